//! One sender's session, and the ports that its paths arrive at.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Taker;
use super::status::{ArrivalSnapshot, SenderSnapshot};
use crate::bonding::{Bond, BondEvent, LinkId, Policy};
use crate::link::udp::{Port, Route};
use crate::output::srt::account::EVERY;
use crate::srt::Negotiated;
use crate::srt::session::{AddPathError, Closed, Event, PathId, Seed, SessionConfig};
use crate::srt::wire::{GroupId, GroupType, SocketId};

/// Packets that a session holds: 8 s at 40 Mbit/s.
pub(super) const RECEIVE_BUFFER: u32 = 32_768;
/// A sender that says nothing for so long on any path, although SRT speaks every second, may be replaced by another.
///
/// Not sooner: outages of a second or two are what latency is for, and cost the audience nothing; a second encoder that
/// waits for its turn would make each of them a cut. One that has been restarted calls again until it is let in.
const DEAD: Duration = Duration::from_millis(2500);
/// One that speaks but sends no stream, for so long after what it sent last is played, may be replaced as well.
const IDLE: Duration = Duration::from_secs(5);
/// What is left in the buffer of a session that is over is played for this much longer than its latency at most.
const DRAIN: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Reception {
    bond: Bond,
    /// Which taker it is for.
    pub(super) place: usize,
    ways: Vec<Way>,
    made: u32,
    /// Its group, as we call it.
    pub(super) group: Option<GroupId>,
    phase: Phase,
    began: Instant,
    /// When a payload was last passed on.
    fed: Instant,
    about: About,
    /// When its sender is told next what we have.
    account_due: Option<Instant>,
}

/// Where a path arrives.
struct Way {
    id: PathId,
    local: SocketId,
    port: Rc<Port>,
    route: Route,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Live,
    /// No path is left; what has arrived is still to be played.
    Draining {
        until: Instant,
    },
}

/// What is known of a sender from its handshake.
struct About {
    from: SocketAddr,
    bonding: &'static str,
    version: u32,
    encrypted: bool,
    is_holdfast: bool,
    latency: Duration,
}

/// What happened in a session.
pub(super) enum News {
    /// A path is there.
    PathUp { from: SocketAddr, paths: usize },
    /// A path has ended.
    PathDown { local: SocketId, from: SocketAddr, why: Closed, left: usize },
    /// It is over, and all that arrived has been passed on.
    Over,
}

impl Reception {
    pub(super) fn new(
        negotiated: &Negotiated,
        place: usize,
        (port, route): (Rc<Port>, Route),
        seed: Seed,
        now: Instant,
    ) -> Self {
        let config =
            SessionConfig { receive_buffer: RECEIVE_BUFFER as usize, seed: Some(seed), ..SessionConfig::default() };
        let terms = negotiated.terms();
        // Nothing is sent, so there is nothing to decide about paths.
        let bond = Bond::new(Policy::Broadcast, config, &terms, LinkId(0), 0, now);
        let bonding = match negotiated.group.map(|group| group.group_type) {
            None => "single",
            Some(GroupType::Broadcast) => "broadcast",
            Some(GroupType::Backup) => "backup",
            Some(GroupType::Other(_)) => "other",
        };
        let about = About {
            from: route.to,
            bonding,
            version: negotiated.peer_version,
            encrypted: negotiated.keys.is_some(),
            is_holdfast: negotiated.private.is_some(),
            latency: negotiated.receive_latency,
        };
        let mut reception = Self {
            place,
            ways: Vec::new(),
            made: 1,
            group: negotiated.group.map(|group| group.local),
            phase: Phase::Live,
            began: now,
            fed: now,
            account_due: about.is_holdfast.then(|| now + EVERY),
            about,
            bond,
        };
        if let Some(id) = reception.bond.session().paths().next() {
            reception.ways.push(Way { id, local: negotiated.local, port, route });
        }
        reception
    }

    /// Another member of its group.
    pub(super) fn join(
        &mut self,
        negotiated: &Negotiated,
        (port, route): (Rc<Port>, Route),
        now: Instant,
    ) -> Result<PathId, AddPathError> {
        let id = self.bond.add_path(&negotiated.terms(), LinkId(self.made), 0, now)?;
        self.made += 1;
        self.ways.push(Way { id, local: negotiated.local, port, route });
        Ok(id)
    }

    /// The number of its first path.
    pub(super) fn first_path(&self) -> Option<PathId> {
        self.ways.first().map(|way| way.id)
    }

    /// Our sockets of its paths.
    pub(super) fn sockets(&self) -> impl Iterator<Item = SocketId> + use<'_> {
        self.ways.iter().map(|way| way.local)
    }

    /// Whether another sender has to be refused.
    pub(super) fn is_alive(&mut self, now: Instant) -> bool {
        let ids: Vec<PathId> = self.ways.iter().map(|way| way.id).collect();
        let mut silences = ids.into_iter().filter_map(|id| self.bond.session_mut().path_stats(id, now));
        self.phase == Phase::Live
            && now.saturating_duration_since(self.fed) < self.about.latency + IDLE
            && silences.any(|path| path.silent_for < DEAD)
    }

    /// A datagram for one of its paths.
    pub(super) fn receive(&mut self, path: PathId, datagram: &Bytes, now: Instant) {
        self.bond.handle_datagram(path, datagram, now);
    }

    /// Ends it; its sender is told.
    pub(super) fn close(&mut self, now: Instant) {
        self.bond.close(now);
    }

    /// When [`Self::settle`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let bond = self.bond.poll_timeout().map(|(at, _)| at);
        let until = match self.phase {
            Phase::Live => None,
            Phase::Draining { until } => Some(until),
        };
        bond.into_iter().chain(until).chain(self.account_due).min()
    }

    /// Does what is due, passes on what came, says what there is to say.
    pub(super) fn settle(&mut self, taker: &mut impl Taker, now: Instant) -> Vec<News> {
        if self.bond.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.bond.handle_timeout(now);
        }
        while let Some(delivered) = self.bond.poll_deliver(now) {
            self.fed = now;
            taker.payload(&delivered.payload, now);
        }
        if self.account_due.is_some_and(|at| at <= now) {
            self.account_due = Some(now + EVERY);
            self.tell(taker, now);
        }
        self.transmit(now);
        let mut news = Vec::new();
        let mut is_closed = false;
        while let Some(event) = self.bond.poll_event() {
            match event {
                BondEvent::Session(Event::PathAdded(id)) => {
                    let from = self.ways.iter().find(|way| way.id == id).map_or(self.about.from, |way| way.route.to);
                    news.push(News::PathUp { from, paths: self.ways.len() });
                }
                BondEvent::Session(Event::PathClosed { path, why }) => {
                    let Some(at) = self.ways.iter().position(|way| way.id == path) else { continue };
                    let way = self.ways.remove(at);
                    let (local, from, left) = (way.local, way.route.to, self.ways.len());
                    news.push(News::PathDown { local, from, why, left });
                }
                BondEvent::Session(Event::Closed) => is_closed = true,
                BondEvent::Session(Event::Message { .. } | Event::Keys { .. } | Event::KeyRefused { .. })
                | BondEvent::Decided(_) => {}
            }
        }
        if self.phase == Phase::Live && (is_closed || self.ways.is_empty()) {
            self.phase = Phase::Draining { until: now + self.about.latency + DRAIN };
            self.account_due = None;
        }
        if let Phase::Draining { until } = self.phase
            && (now >= until || self.bond.session_mut().stats(now).receive_buffer == 0)
        {
            news.push(News::Over);
        }
        news
    }

    /// Passes on what waits for its time, since nobody will be there then.
    pub(super) fn pass_on_early(&mut self, taker: &mut impl Taker, now: Instant) {
        while let Some(delivered) = self.bond.poll_deliver_early(now) {
            taker.payload(&delivered.payload, now);
        }
    }

    /// Sends what its session has to say.
    fn transmit(&mut self, now: Instant) {
        while let Some(transmit) = self.bond.poll_transmit(now) {
            if let Some(way) = self.ways.iter().find(|way| way.id == transmit.path) {
                way.port.push(way.route, |out| transmit.write_to(out));
            }
        }
        for way in &self.ways {
            way.port.flush();
        }
    }

    fn tell(&mut self, taker: &impl Taker, now: Instant) {
        let missing = self.missing(now);
        if let Some(account) = taker.account(missing) {
            // To a sender that would not understand it nothing is sent.
            let _ = self.bond.session_mut().send_message(&account.encode(), now);
        }
    }

    /// Packets that never came in time.
    pub(super) fn missing(&mut self, now: Instant) -> u64 {
        self.bond.session_mut().stats(now).counters.skipped
    }

    /// In words, for the log.
    pub(super) fn in_words(&self) -> String {
        let About { from, bonding, encrypted, is_holdfast, latency, .. } = &self.about;
        let secret = if *encrypted { "encrypted" } else { "in clear" };
        let who = if *is_holdfast { "Holdfast" } else { "SRT" };
        format!("{who} from {from}, {bonding}, {secret}, latency {} ms", latency.as_millis())
    }

    /// For people; `None` once it is over.
    pub(super) fn snapshot(&mut self, now: Instant) -> Option<SenderSnapshot> {
        if self.phase != Phase::Live {
            return None;
        }
        let stats = self.bond.session_mut().stats(now);
        let paths = self.ways.iter().filter_map(|way| {
            let path = self.bond.session_mut().path_stats(way.id, now)?;
            let counters = path.counters;
            Some(ArrivalSnapshot {
                from: way.route.to.to_string(),
                to: way.port.socket().local().to_string(),
                rtt_us: path.rtt.map(micros),
                queue_delay_us: path.arrival_delay.map(micros),
                silent_ms: millis(path.silent_for),
                bitrate: path.receive_rate.bytes * 8,
                received: counters.received.packets,
                first: counters.first.packets,
                duplicate: counters.duplicate,
                belated: counters.belated,
                missing: counters.missing,
            })
        });
        let [_, major, minor, patch] = self.about.version.to_be_bytes();
        Some(SenderSnapshot {
            from: self.about.from.to_string(),
            bonding: self.about.bonding,
            is_holdfast: self.about.is_holdfast,
            version: format!("{major}.{minor}.{patch}"),
            encrypted: self.about.encrypted,
            connected_ms: millis(now.saturating_duration_since(self.began)),
            latency_ms: millis(self.about.latency),
            buffer_ms: millis(stats.receive_buffer_span),
            drift_us: stats.drift_us,
            bitrate: stats.receive_rate.bytes * 8,
            delivered: stats.counters.delivered.packets,
            missing: stats.counters.skipped,
            recovered: stats.counters.recovered,
            paths: paths.collect(),
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
