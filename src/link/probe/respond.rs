//! A responder and its socket.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use super::responder::{Responder, ResponderCounts};
use crate::clock;
use crate::link::udp::{Binding, Inbox, Port, Shortfall, UdpError};

/// Batches that are taken before others have a turn.
const BATCHES: usize = 2;
/// Room for questions that have come and were not read yet, bytes: a tenth of a second of the most that is answered.
const RECEIVE_BUFFER: usize = 256 << 10;

/// Answers probes on one UDP port.
#[derive(Debug)]
pub struct EchoPort {
    port: Port,
    responder: RefCell<Responder>,
}

impl EchoPort {
    /// Listens. Nothing is answered until [`Self::serve`] runs.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn open(at: SocketAddr) -> Result<(Self, Vec<Shortfall>), UdpError> {
        let binding = Binding { receive_buffer: RECEIVE_BUFFER, send_buffer: RECEIVE_BUFFER, ..Binding::listener(at) };
        let (socket, shortfalls) = binding.open()?;
        let (port, responder) = (Port::new(socket), RefCell::new(Responder::new(clock::now())));
        Ok((Self { port, responder }, shortfalls))
    }

    /// Its own address.
    pub fn local(&self) -> SocketAddr {
        self.port.socket().local()
    }

    /// Answers until the runtime ends. What the network itself answers to us is of no interest.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub async fn serve(&self) -> io::Result<()> {
        let mut inbox = Inbox::new();
        self.port.serve(|| self.receive(&mut inbox)).await
    }

    /// What was counted.
    pub fn counts(&self) -> ResponderCounts {
        ResponderCounts { unsent: self.port.counts().lost, ..self.responder.borrow().counts() }
    }

    fn receive(&self, inbox: &mut Inbox) {
        let mut responder = self.responder.borrow_mut();
        for _ in 0..BATCHES {
            let now = clock::now();
            let received = self.port.socket().receive(inbox, |datagram| {
                if let Some(answer) = responder.answer(datagram.from, datagram.bytes, now) {
                    // From the address that was asked: a prober believes no other.
                    self.port.push(datagram.way_back(), |out| out.extend_from_slice(&answer));
                }
            });
            match received {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => self.port.note(error),
            }
        }
        self.port.flush();
    }
}
