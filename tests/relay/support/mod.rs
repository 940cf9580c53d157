//! A relay with its configuration, its status, and the tools around it.

pub mod film;
#[path = "../../scenarios/support/picture.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod picture;
#[path = "../../scenarios/support/process.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod process;
#[path = "../../scenarios/support/receiver.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod receiver;
pub mod rig;
pub mod sender;
#[path = "../../scenarios/support/tools.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod tools;
#[path = "../../scenarios/support/wait.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod wait;
