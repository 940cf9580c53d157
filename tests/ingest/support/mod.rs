//! Senders as processes of their own, films for them to send, and the tools around them.

pub mod bytes;
pub mod film;
#[path = "../../scenarios/support/process.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod process;
#[path = "../../scenarios/support/tools.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod tools;
#[path = "../../scenarios/support/wait.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod wait;
