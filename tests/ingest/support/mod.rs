//! Films to be sent, and the tools around them.

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
