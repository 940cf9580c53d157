//! The machine: `read` looks at it, in a thread of its own, since a disk may hang whoever asks about it; `watch` (pure) decides
//! what is worth an event.

mod read;
mod watch;

pub use read::read;
pub(super) use read::watch;
pub(super) use watch::MachineWatch;
