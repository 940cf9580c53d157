//! One SRT session in live mode over one or many paths: one send buffer and one receive buffer, and for each path its
//! own round-trip time, acknowledgements, pace and counts. Plain SRT is a session with one path.
//!
//! # Contract
//!
//! A session does nothing by itself: no socket, no clock, no chance. Its owner
//!
//! 1. gives it what happened, with the time: [`Session::handle_datagram`], [`Session::send`], [`Session::handle_timeout`];
//! 2. then takes out everything, until each says `None`: [`Session::poll_transmit`] (send it on that path's socket),
//!    [`Session::poll_deliver`], [`Session::poll_event`];
//! 3. then waits for the next datagram or for [`Session::poll_timeout`], whichever is first, and calls
//!    `handle_timeout`; afterwards step 2 again. `poll_timeout` is never in the past once step 2 is done.
//!
//! `now` must not go backwards. Equal calls at equal times give equal results. Time is whole microseconds.
//!
//! ```text
//!            send ──► send buffer ──► path A: queue, pace, flight ──► poll_transmit
//!                         ▲      └──► path B: queue, pace, flight ──►
//!                 ACK, NAK│
//!   handle_datagram ──────┴──► receive buffer (by sequence number) ──TSBPD──► poll_deliver
//! ```
//!
//! Which paths carry new packets is said by [`Session::set_duty`]; the policies are in `bonding`. The mechanism here:
//!
//! - *Retransmission.* A packet is sent again when the peer reports it missing, at most once per round trip and only
//!   while it can be in time. To Holdfast: on the path where it will arrive first. To a libsrt group, whose members
//!   have a receive buffer each: on the path that asked; if another path has delivered it, the peer is told not to
//!   wait for it there (libsrt >= 1.5.4).
//! - *The end.* What nothing behind it can show to be missing is sent again when nothing was heard of it (`tail`).
//! - *Asking.* What is missing is asked for once all paths that carry data have passed it, or when the slowest of them
//!   should have brought it; again after [draft §4.8.2] (RTT + 4 RTTVar) / 2, at least 20 ms, on the paths in turn.
//! - *Acknowledging.* Each path acknowledges what the session has, but nothing beyond what that path has seen.
//! - *Dropping.* What is too late leaves the send buffer; the receiver plays on without what is missing when its time
//!   has come.
//!
//! *Invariant:* packets are delivered in order and at most once, and no buffer, list or queue grows beyond what the
//! configuration says, whatever the peer sends.

mod config;
mod control;
mod delay;
mod deliver;
mod event;
mod flight;
mod inbound;
mod journal;
mod keys;
mod losses;
mod pacer;
mod path;
mod rate;
mod receive;
mod receive_buffer;
mod repair;
mod report;
mod ring;
mod rtt;
mod send_buffer;
mod stats;
mod tail;
mod time;
mod timers;
mod transmit;
mod tsbpd;
mod view;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

pub use config::{
    DROP_MARGIN, FEATURES, KEEP_ALIVE, Keys, MAX_PATHS, MaxBandwidth, Seed, SessionConfig, Terms, feature,
};
pub use event::{AddPathError, Closed, Delivered, Event, PathId, Reason, SendError, Transmit};
pub use path::Duty;
pub use rate::Amount;
pub use report::MAX_MESSAGE;
pub use stats::{PathCounters, PathStats, SessionCounters, SessionStats};
pub use view::PathView;

use crate::srt::wire::{HEADER_LEN, SeqNo, Timestamp, UDP_HEADER_LEN};
use flight::{Occasion, Queued};
use keys::SessionKeys;
use path::Path;
use rate::RateMeter;
use receive_buffer::ReceiveBuffer;
use ring::Position;
use send_buffer::{Expired, SendBuffer, Slot};
use time::{Micros, TimeLine, micros};
use tsbpd::TimeBase;

/// Most events and control packets that wait to be taken out; the oldest go. Nobody who keeps the contract comes near.
const MAX_WAITING: usize = 4096;
/// How far back a path's flight is searched for what the peer has not mentioned.
const MAX_SEARCH: u64 = 1024;

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Waits until then for the peer to play everything, and a little longer for what it has not acknowledged.
    Closing {
        played: Micros,
        until: Micros,
    },
    Closed,
}

/// The sending half.
#[derive(Debug)]
struct Outgoing {
    buffer: SendBuffer,
    /// The first position there was; message numbers are counted from it.
    first: Position,
    /// When our timestamps are 0.
    start: Micros,
    /// How long the peer holds packets.
    latency: Micros,
    /// Largest payload.
    max_payload: usize,
    rate: RateMeter,
    /// Bytes/s that each path may send.
    pace: Option<u64>,
    paced: Micros,
    /// Whose turn it is.
    turn: usize,
    /// A peer with one buffer for all paths knows of everything before, whether it has it or not.
    known: Position,
    /// When something was last sent again unasked.
    reminded: Micros,
    /// When everything was taken out.
    drained: Micros,
}

/// The receiving half.
#[derive(Debug)]
struct Incoming {
    buffer: ReceiveBuffer,
    base: TimeBase,
    rate: RateMeter,
    /// The peer was last told that there is little room.
    starving: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    line: TimeLine,
    state: State,
    paths: Vec<Path>,
    paths_made: u32,
    outgoing: Outgoing,
    incoming: Incoming,
    keys: SessionKeys,
    outbox: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: SessionCounters,
}

impl Session {
    /// A session with its first path.
    pub fn new(config: SessionConfig, terms: &Terms, now: Instant) -> Self {
        let line = TimeLine::new(now);
        // Far enough from 0 that nothing near can lie before it.
        let first = u64::from(terms.isn.get()) + (1 << 32);
        let base = TimeBase::new(line.at(terms.peer_start), micros(terms.receive_latency));
        let mut session = Self {
            line,
            state: State::Open,
            paths: Vec::new(),
            paths_made: 0,
            outgoing: Outgoing {
                buffer: SendBuffer::new(first, config.send_buffer),
                first,
                start: line.at(terms.start),
                latency: micros(terms.send_latency),
                max_payload: MAX_DATAGRAM - HEADER_LEN,
                rate: RateMeter::new(),
                pace: None,
                paced: Micros::MIN,
                turn: 0,
                known: first,
                reminded: Micros::MIN / 2,
                drained: Micros::MIN / 2,
            },
            incoming: Incoming {
                buffer: ReceiveBuffer::new(first, config.receive_buffer),
                base,
                rate: RateMeter::new(),
                starving: false,
            },
            keys: SessionKeys::default(),
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            counters: SessionCounters::default(),
            config,
        };
        session.attach(terms, now);
        session
    }

    /// Another path, or one that comes back. It begins with [`Duty::Rest`]; its timestamps must begin where the first
    /// path's did ([`Self::start`]).
    pub fn add_path(&mut self, terms: &Terms, now: Instant) -> Result<PathId, AddPathError> {
        if self.state != State::Open {
            return Err(AddPathError::Closed);
        }
        if self.paths.len() >= MAX_PATHS {
            return Err(AddPathError::TooMany);
        }
        Ok(self.attach(terms, now))
    }

    fn attach(&mut self, terms: &Terms, now: Instant) -> PathId {
        let id = PathId(self.paths_made);
        let isn = terms.isn.extend(self.outgoing.buffer.next());
        let at = (self.line.at(now), now);
        let keys = terms.keys.as_ref().map(|keys| self.keys.join(keys, &self.config));
        let mut path = Path::new(id, terms, isn, self.paths_made == 0, self.config.send_buffer, at);
        path.keys = keys;
        path.inbound.next = terms.isn.extend(self.incoming.buffer.end());
        self.outgoing.max_payload =
            self.outgoing.max_payload.min((terms.mss as usize).saturating_sub(UDP_HEADER_LEN + HEADER_LEN).max(1));
        self.paths_made += 1;
        self.paths.push(path);
        self.event(Event::PathAdded(id));
        id
    }

    /// When our timestamps are 0: a path that joins must use the same in its handshake.
    pub fn start(&self) -> Instant {
        self.line.instant(self.outgoing.start)
    }

    /// The sequence number of the next packet: a path that joins says it in its handshake.
    pub fn next_seq(&self) -> SeqNo {
        SeqNo::from(self.outgoing.buffer.next())
    }

    /// The paths there are.
    pub fn paths(&self) -> impl Iterator<Item = PathId> + use<'_> {
        self.paths.iter().map(|path| path.id)
    }

    /// Whether it takes packets.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// What a path is to be used for. From [`Duty::Carry`] on it gets the packets that are given to the session from
    /// now on; what is in flight elsewhere only with [`Self::duplicate_tail`], and so what waits on a path that no longer
    /// carries.
    pub fn set_duty(&mut self, path: PathId, duty: Duty) {
        let Some(path) = self.path_mut(path) else { return };
        path.duty = duty;
        if duty != Duty::Carry {
            // Whoever carries has to have these too: see `duplicate_tail`.
            path.flight.queue.clear();
        }
        if duty == Duty::Rest {
            let resend = std::mem::take(&mut path.flight.resend);
            for at in resend {
                if let Some(slot) = self.outgoing.buffer.get_mut(at) {
                    slot.waiting = false;
                }
            }
        }
    }

    /// Takes a packet that was made at `source_time`: it goes to every path whose duty is to carry. The peer plays it
    /// one latency after that time.
    pub fn send(&mut self, payload: Bytes, source_time: Instant, now: Instant) -> Result<SeqNo, SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        if payload.len() > self.outgoing.max_payload {
            self.counters.too_long += 1;
            return Err(SendError::TooLong { bytes: payload.len(), most: self.outgoing.max_payload });
        }
        let t = self.line.at(now);
        self.expire(t);
        let out = &mut self.outgoing;
        // Neither before the first timestamp nor from the future, which a clock that was set can claim.
        let source = self.line.at(source_time).min(t).max(out.start);
        let bytes = payload.len();
        self.counters.offered.add(bytes);
        out.rate.add(t, bytes);
        let (payload, key) = self.keys.seal(SeqNo::from(out.buffer.next()), payload);
        let timestamp = Timestamp::from((source - out.start).unsigned_abs());
        let slot = Slot { payload, source, timestamp, key, ..Slot::default() };
        let mut expired = Expired::default();
        let at = out.buffer.push(slot, &mut expired);
        self.count_expired(expired);
        for path in self.paths.iter_mut().filter(|path| path.duty == Duty::Carry) {
            path.flight.queue.push_back(Queued { at, occasion: Occasion::New });
        }
        self.update_pace(t);
        if self.keys.are_refreshed() {
            self.maintain_keys(t);
        }
        Ok(SeqNo::from(at))
    }

    /// Ends the session: no more packets are taken; those that were are sent and waited for, one latency and at most
    /// [`SessionConfig::linger`]. Then the peer is told, and not before: libsrt throws away what it has not played.
    pub fn close(&mut self, now: Instant) {
        if self.state == State::Open {
            let now = self.line.at(now);
            let last = self.outgoing.buffer.newest().unwrap_or(Micros::MIN / 4);
            let played = last + self.outgoing.latency + micros(DROP_MARGIN);
            self.state = State::Closing { played, until: now.max(played) + micros(self.config.linger) };
            self.finish(now);
        }
    }

    /// Takes a path out of the session and tells the peer.
    pub fn close_path(&mut self, path: PathId, now: Instant) {
        if let Some(index) = self.index(path) {
            self.say_shutdown(index, self.line.at(now));
            self.remove_path(index, Closed::Here);
        }
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn index(&self, id: PathId) -> Option<usize> {
        self.paths.iter().position(|path| path.id == id)
    }

    fn path(&self, id: PathId) -> Option<&Path> {
        self.paths.iter().find(|path| path.id == id)
    }

    fn path_mut(&mut self, id: PathId) -> Option<&mut Path> {
        self.paths.iter_mut().find(|path| path.id == id)
    }

    fn event(&mut self, event: Event) {
        if self.events.len() >= MAX_WAITING {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn remove_path(&mut self, index: usize, why: Closed) {
        let path = self.paths.remove(index);
        for at in &path.flight.resend {
            if let Some(slot) = self.outgoing.buffer.get_mut(*at) {
                slot.waiting = false;
            }
        }
        self.event(Event::PathClosed { path: path.id, why });
        if self.paths.is_empty() && why == Closed::ByPeer && self.state != State::Closed {
            self.state = State::Closed;
            self.event(Event::Closed);
        }
    }

    /// The last step of closing, once nothing is waited for.
    fn finish(&mut self, now: Micros) {
        let State::Closing { played, until } = self.state else { return };
        let delivered = self.outgoing.buffer.delivered() == self.outgoing.buffer.next();
        if (delivered && now >= played) || self.paths.is_empty() || now >= until {
            for index in 0..self.paths.len() {
                self.say_shutdown(index, now);
            }
            self.state = State::Closed;
            self.event(Event::Closed);
        }
    }

    /// Takes out of the send buffer what the peer can no longer use.
    fn expire(&mut self, now: Micros) {
        let expired = self.outgoing.buffer.expire(now - self.outgoing.latency - micros(DROP_MARGIN));
        self.count_expired(expired);
    }

    fn count_expired(&mut self, expired: Expired) {
        self.counters.dropped_unsent += expired.unsent;
        self.counters.dropped_unacknowledged += expired.unacknowledged;
    }
}

/// The largest datagram: what fits into an Ethernet frame with IPv4 and UDP headers.
const MAX_DATAGRAM: usize = 1500 - UDP_HEADER_LEN;

#[cfg(test)]
mod tests;
