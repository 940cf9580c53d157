//! Processes that end with their test.

#[path = "../../scenarios/support/process.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod process;
#[path = "../../scenarios/support/wait.rs"]
#[allow(dead_code, reason = "the scenarios use all of it")]
pub mod wait;
