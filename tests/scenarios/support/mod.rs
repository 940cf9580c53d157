//! What every scenario uses: real processes, real receivers, and the pictures read back from them.

pub mod config;
pub mod film;
pub mod picture;
pub mod process;
pub mod receiver;
pub mod results;
pub mod rig;
pub mod show;
pub mod sound;
pub mod tools;
pub mod turn;
pub mod wait;
