//! One UDP socket with what waits to leave by it.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use holdfast::link::udp::{Binding, Inbox, Outbox, Route, UdpSocket};

#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
    outbox: Outbox,
    pub lost: u64,
}

/// A datagram that has come, and how.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub from: SocketAddr,
    pub to: Option<IpAddr>,
    pub bytes: Bytes,
}

impl Port {
    pub fn open(mut binding: Binding, buffer: usize) -> Self {
        if buffer > 0 {
            (binding.receive_buffer, binding.send_buffer) = (buffer, buffer);
        }
        let (socket, _) = binding.open().expect("the socket opens");
        Self { socket, outbox: Outbox::new(), lost: 0 }
    }

    pub fn local(&self) -> SocketAddr {
        self.socket.local()
    }

    pub fn push(&mut self, route: Route, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.outbox.push_with(route, write) {
            self.lost += 1;
        }
    }

    /// Sends what waits. Whether something still does.
    pub fn flush(&mut self) -> bool {
        if self.outbox.is_empty() {
            return false;
        }
        let sent = self.socket.send(&mut self.outbox);
        self.lost += sent.lost;
        sent.is_blocked
    }

    /// Takes one batch of what has come; false if there was nothing. Each batch is one allocation.
    pub fn receive(&self, inbox: &mut Inbox, arrivals: &mut Vec<Arrival>) -> bool {
        let mut room = BytesMut::with_capacity(1 << 16);
        let each = |datagram: holdfast::link::udp::Datagram<'_>| {
            room.extend_from_slice(datagram.bytes);
            let bytes = room.split().freeze();
            arrivals.push(Arrival { from: datagram.from, to: datagram.to, bytes });
        };
        // An answer of the network to something sent earlier is no end.
        !matches!(self.socket.receive(inbox, each), Ok(0))
    }
}

/// Waits until something has come in at one of them.
pub async fn any_readable(ports: &[Port]) {
    if let [one] = ports {
        let _ = one.socket.readable().await;
        return;
    }
    let mut waits: Vec<_> = ports.iter().map(|port| Box::pin(port.socket.readable())).collect();
    poll_fn(|cx| match waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}
