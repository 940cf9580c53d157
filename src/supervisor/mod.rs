//! Keeps the processes alive.
//!
//! *Invariant:* nothing that happens in this room touches the picture: the data plane needs it to be started again, never
//! to go on.

pub mod child_link;
pub mod lifecycle;
pub mod load;
pub mod lock;
