//! Network namespaces that exist as long as somebody holds them.

use std::fs::File;
use std::io;

use nix::sched::{CloneFlags, setns, unshare};

use super::emulator::ip;

/// A network namespace, with its loopback up. It and its devices go when the last of its holders, sockets and processes
/// does; nothing is left behind under a name.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new and empty one.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, which root has, and everybody in a user namespace of their own (`unshare -Ur`).
    pub fn new() -> io::Result<Self> {
        // A namespace is entered by a thread; the one that makes this one ends with it.
        in_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            ip(&["link", "set", "lo", "up"])?;
            Ok(Self { file: File::open("/proc/thread-self/ns/net")? })
        })
    }

    /// Does something inside: sockets that are opened there stay there, and so do processes that are started there.
    ///
    /// # Errors
    /// If it cannot be entered, or what is done there fails.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        in_a_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }
}

fn in_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
}
