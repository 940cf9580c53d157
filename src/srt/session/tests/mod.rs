//! Two ends in memory.

mod harness;
mod keys;
mod libsrt;
mod many;
mod one;
mod tail;
