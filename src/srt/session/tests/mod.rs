//! Two ends in memory.

mod harness;
mod many;
mod one;
