//! A relay with its configuration, its status, and the tools around it.

#[path = "../../scenarios/support/process.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod process;
pub mod rig;
#[path = "../../scenarios/support/tools.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod tools;
#[path = "../../scenarios/support/wait.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod wait;
