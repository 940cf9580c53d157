//! A session and the ports of its paths: what comes in goes to the bond, what the bond has to say goes out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::call::Connected;
use crate::bonding::{Bond, BondEvent};
use crate::clock;
use crate::link::udp::{Arena, Inbox, Port, Route};
use crate::srt::session::{PathId, SendError};

/// Batches that are taken from one socket before somebody else has a turn.
const BATCHES: usize = 4;
/// Events that wait for the destination's task; the oldest go.
const MOST_EVENTS: usize = 1024;

/// A bond, its ports, and the destination's task that waits for it.
///
/// Touched by the tasks that serve the ports and by the destination's own, all on one thread, and never across a wait.
pub(super) struct Sender {
    pub(super) bond: Bond,
    paths: Vec<PathPort>,
    arena: Arena,
    events: VecDeque<BondEvent>,
    /// Until when the destination's task sleeps, as far as it knows.
    armed: Option<Instant>,
    wake: Rc<Notify>,
}

struct PathPort {
    id: PathId,
    /// Its place in the configuration.
    place: usize,
    port: Rc<Port>,
    route: Route,
    server: AbortHandle,
}

impl Drop for PathPort {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Sender {
    /// A bond that has no port yet.
    pub(super) fn new(bond: Bond, wake: Rc<Notify>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            bond,
            paths: Vec::new(),
            arena: Arena::new(),
            events: VecDeque::new(),
            armed: None,
            wake,
        }))
    }

    /// Connects a path of the bond with its port, and begins to serve it.
    pub(super) fn attach(
        this: &Rc<RefCell<Self>>,
        id: PathId,
        place: usize,
        connected: &Connected,
        inbox: &Rc<RefCell<Inbox>>,
    ) {
        let (port, route) = (connected.port.clone(), connected.route);
        // Not kept alive by those who serve it: with it go its ports, and they with these.
        let (served, sender, inbox) = (port.clone(), Rc::downgrade(this), inbox.clone());
        let server = tokio::task::spawn_local(async move {
            let receive = || {
                if let Some(sender) = sender.upgrade() {
                    sender.borrow_mut().receive(id, &served, &mut inbox.borrow_mut());
                }
            };
            // Ends only with the runtime.
            let _ = served.serve(receive).await;
        });
        let server = server.abort_handle();
        this.borrow_mut().paths.push(PathPort { id, place, port, route, server });
    }

    /// Which place of the configuration a path has.
    pub(super) fn place(&self, id: PathId) -> Option<usize> {
        self.paths.iter().find(|path| path.id == id).map(|path| path.place)
    }

    /// The path of a place of the configuration.
    pub(super) fn path(&self, place: usize) -> Option<PathId> {
        self.paths.iter().find(|path| path.place == place).map(|path| path.id)
    }

    /// The paths: place, number, port.
    pub(super) fn ports(&self) -> impl Iterator<Item = (usize, PathId, &Port)> {
        self.paths.iter().map(|path| (path.place, path.id, &*path.port))
    }

    /// A path has ended.
    pub(super) fn detach(&mut self, id: PathId) {
        self.paths.retain(|path| path.id != id);
    }

    /// Gives a packet to the session. [`Self::settle`] sends it.
    pub(super) fn send(&mut self, payload: Bytes, made: Instant, now: Instant) -> Result<(), SendError> {
        self.bond.send(payload, made, now).map(|_| ())
    }

    /// What happened since the last call.
    pub(super) fn poll_event(&mut self) -> Option<BondEvent> {
        self.events.pop_front()
    }

    /// When the destination's task has to call [`Self::timeout`]; it will, unless it is woken before.
    pub(super) fn arm(&mut self) -> Option<Instant> {
        self.armed = self.bond.poll_timeout().map(|(at, _)| at);
        self.armed
    }

    /// Time has come.
    pub(super) fn timeout(&mut self) {
        let now = clock::now();
        if self.bond.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.bond.handle_timeout(now);
        }
        self.settle(now);
    }

    fn receive(&mut self, id: PathId, port: &Port, inbox: &mut Inbox) {
        let Some(peer) = self.paths.iter().find(|path| path.id == id).map(|path| path.route.to) else { return };
        for _ in 0..BATCHES {
            let now = clock::now();
            let (bond, arena) = (&mut self.bond, &mut self.arena);
            let hear = |datagram: crate::link::udp::Datagram<'_>| {
                if datagram.from == peer {
                    bond.handle_datagram(id, &arena.keep(datagram.bytes), now);
                }
            };
            match port.socket().receive(inbox, hear) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => port.note(error),
            }
        }
        self.settle(clock::now());
    }

    /// Takes out of the bond all that it has to say, and wakes the destination's task if that concerns it.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(transmit) = self.bond.poll_transmit(now) {
            if let Some(path) = self.paths.iter().find(|path| path.id == transmit.path) {
                path.port.push(path.route, |out| transmit.write_to(out));
            }
        }
        for path in &self.paths {
            path.port.flush();
        }
        // Nobody sends to a sender; were it to, the buffer would fill.
        while self.bond.poll_deliver(now).is_some() {}
        while let Some(event) = self.bond.poll_event() {
            if self.events.len() >= MOST_EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
        let due = self.bond.poll_timeout().map(|(at, _)| at);
        let sooner = due.is_some_and(|due| self.armed.is_none_or(|armed| due < armed));
        if sooner || !self.events.is_empty() {
            self.wake.notify_one();
        }
    }
}
