//! Keeps the processes alive.

pub mod load;
