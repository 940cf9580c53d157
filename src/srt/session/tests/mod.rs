//! Two ends in memory.

mod harness;
mod keys;
mod many;
mod one;
