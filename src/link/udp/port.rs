//! A socket with what waits to leave by it, shared by the tasks of one thread.

use std::cell::{Cell, RefCell};
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::error::UdpError;
use super::outbox::{Outbox, Route};
use super::socket::UdpSocket;

/// Room for copies of received datagrams that is made at a time, bytes.
const BLOCK: usize = 64 << 10;

/// A socket and its outbox. One task serves it; whoever has something to send pushes and flushes, without waiting: what the
/// kernel does not take at once is sent by the serving task as soon as it does.
#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
    outbox: RefCell<Outbox>,
    /// Something began to wait.
    waits: Notify,
    counts: Cell<PortCounts>,
    trouble: RefCell<Option<UdpError>>,
}

/// What left, and what did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounts {
    /// Datagrams the kernel took.
    pub sent: u64,
    /// Datagrams that could not be sent, or for which there was no room.
    pub lost: u64,
}

impl Port {
    /// Takes over a socket. Nothing is received until it is served.
    pub fn new(socket: UdpSocket) -> Self {
        Self {
            socket,
            outbox: RefCell::new(Outbox::new()),
            waits: Notify::new(),
            counts: Cell::new(PortCounts::default()),
            trouble: RefCell::new(None),
        }
    }

    /// The socket.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// What was counted.
    pub fn counts(&self) -> PortCounts {
        self.counts.get()
    }

    /// What went wrong since the last call, if anything did.
    pub fn take_trouble(&self) -> Option<UdpError> {
        self.trouble.borrow_mut().take()
    }

    /// Puts the datagram that `write` appends into the outbox. [`Self::flush`] sends it.
    pub fn push(&self, route: Route, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.outbox.borrow_mut().push_with(route, write) {
            self.count(0, 1);
        }
    }

    /// Sends what is in the outbox, as far as the kernel takes it.
    pub fn flush(&self) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.is_empty() {
            return;
        }
        let sent = self.socket.send(&mut outbox);
        self.count(sent.datagrams, sent.lost);
        if let Some(trouble) = sent.trouble {
            self.note(trouble);
        }
        if sent.is_blocked {
            self.waits.notify_one();
        }
    }

    /// Keeps `trouble` for [`Self::take_trouble`].
    pub fn note(&self, trouble: UdpError) {
        *self.trouble.borrow_mut() = Some(trouble);
    }

    /// Calls `receive` whenever something has come, and sends what waits whenever the kernel takes it. Never ends by itself.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub async fn serve(&self, mut receive: impl FnMut()) -> io::Result<()> {
        loop {
            let waits = !self.outbox.borrow().is_empty();
            tokio::select! {
                biased;
                ready = self.socket.readable() => {
                    ready?;
                    receive();
                    // Somebody else's turn, however much more there is.
                    tokio::task::yield_now().await;
                }
                ready = self.socket.writable(), if waits => {
                    ready?;
                    self.flush();
                }
                () = self.waits.notified() => {}
            }
        }
    }

    fn count(&self, sent: u64, lost: u64) {
        let counts = self.counts.get();
        self.counts.set(PortCounts { sent: counts.sent + sent, lost: counts.lost + lost });
    }
}

/// Copies of datagrams that are kept after their inbox is used again: back to back, so that a packet that waits for its time
/// holds little more memory than it is long.
#[derive(Debug, Default)]
pub struct Arena {
    block: BytesMut,
}

impl Arena {
    /// Takes no memory until something is kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy.
    pub fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.block.capacity() < bytes.len() {
            self.block = BytesMut::with_capacity(BLOCK.max(bytes.len()));
        }
        self.block.extend_from_slice(bytes);
        self.block.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::rc::Rc;
    use std::time::Duration;

    use tokio::task::LocalSet;
    use tokio::time::timeout;

    use super::super::{Binding, Inbox};
    use super::*;

    #[tokio::test]
    async fn what_one_task_pushes_the_serving_task_of_the_other_end_receives() {
        let local = LocalSet::new();
        let any = "127.0.0.1:0".parse().unwrap();
        let here = Rc::new(Port::new(Binding::caller(None, any).open().unwrap().0));
        let there = Rc::new(Port::new(Binding::listener(any).open().unwrap().0));
        let got = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::new(Notify::new());
        let (port, list, news) = (there.clone(), got.clone(), seen.clone());
        local.spawn_local(async move {
            let mut inbox = Inbox::new();
            let receive = || {
                while port.socket().receive(&mut inbox, |d| list.borrow_mut().push(d.bytes[0])).unwrap() > 0 {}
                news.notify_one();
            };
            port.serve(receive).await
        });
        let all = async {
            for n in 0..100 {
                here.push(Route { to: there.socket().local(), from: None }, |bytes| bytes.extend([n; 50]));
            }
            here.flush();
            while got.borrow().len() < 100 {
                seen.notified().await;
            }
        };
        local.run_until(timeout(Duration::from_secs(30), all)).await.unwrap();
        assert_eq!(*got.borrow(), (0..100).collect::<Vec<u8>>());
        assert_eq!(here.counts(), PortCounts { sent: 100, lost: 0 });
    }

    #[test]
    fn copies_lie_back_to_back() {
        let mut arena = Arena::new();
        let (one, two) = (arena.keep(&[1; 1332]), arena.keep(&[2; 44]));
        assert_eq!(one.as_ptr() as usize + 1332, two.as_ptr() as usize);
        let large = arena.keep(&vec![3; 100_000]);
        assert_eq!((large.len(), one[0], two[43]), (100_000, 1, 2));
    }
}
