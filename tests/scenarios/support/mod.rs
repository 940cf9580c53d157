//! What every scenario uses: real processes, real receivers, and the pictures read back from them.

pub mod picture;
pub mod process;
pub mod receiver;
pub mod tools;
pub mod wait;
