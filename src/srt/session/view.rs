//! What policies and people can know of a session.

use std::time::{Duration, Instant};

use super::report::{MAX_MESSAGE, Private};
use super::stats::{PathStats, SessionStats};
use super::time::{Micros, duration};
use super::{Amount, Duty, PathId, Session, config::feature};

/// What a policy needs to know of a path. Everything is measured; what is not known is None.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathView {
    /// Which.
    pub id: PathId,
    /// What it is used for.
    pub duty: Duty,
    /// Smoothed round-trip time; None before it was measured.
    pub rtt: Option<Duration>,
    /// When the peer should have said that it has more than it had, if all is well and not counting its own interval of
    /// 10 ms. None when nothing is on its way.
    pub answer_expected: Option<Instant>,
    /// When the peer last said that it has more than it had.
    pub progress: Instant,
    /// By how much it says so later than expected, its interval of 10 ms counted, on average.
    pub lateness: Duration,
    /// Acknowledgements stand still at a packet that is being sent again, so they say nothing of what comes behind it.
    pub hole: bool,
    /// When something last came from the peer, of whatever kind.
    pub heard: Instant,
    /// Waiting in queues on the way to the peer.
    pub queue_delay: Option<Duration>,
    /// Data packets that left in the last 100 to 200 ms.
    pub sent_lately: u64,
    /// Data packets reported lost in the last 100 to 200 ms.
    pub lost_lately: u64,
    /// Data packets that have left, ever.
    pub sent: u64,
    /// Data packets that the peer has got on this path, ever.
    pub arrived: u64,
    /// Of the data packets on this path, lost ever: as Holdfast counts them, or as reported by libsrt.
    pub lost: u64,
    /// Probes sent, ever.
    pub probes: u64,
    /// Answers to acknowledgements and probes, ever.
    pub answers: u64,
}

impl Session {
    /// What a policy needs to know of a path.
    pub fn view(&mut self, path: PathId, now: Instant) -> Option<PathView> {
        let t = self.line.at(now);
        let line = self.line;
        let base = self.outgoing.buffer.base();
        let path = self.path_mut(path)?;
        let sent = path.counters.sent.packets + path.counters.retransmitted.packets;
        let (arrived, lost) = match &path.report {
            Some(_) => path.reported,
            None => (path.counters.acknowledged, path.counters.reported_lost),
        };
        Some(PathView {
            id: path.id,
            duty: path.duty,
            rtt: path.rtt.is_measured().then(|| duration(path.rtt.smoothed())),
            answer_expected: path.answer_expected(base).map(|at| line.instant(at)),
            progress: line.instant(path.progress),
            lateness: duration(path.lateness),
            hole: path.is_held_up(),
            heard: line.instant(path.heard),
            queue_delay: path.queue_delay(t).map(duration),
            sent_lately: path.sent_rate.recent(t),
            lost_lately: path.lost_rate.recent(t),
            sent,
            arrived,
            lost,
            probes: path.counters.probes,
            answers: path.counters.answers,
        })
    }

    /// [`PathView::answer_expected`] alone.
    pub fn answer_expected(&self, path: PathId) -> Option<Instant> {
        self.path(path)?.answer_expected(self.outgoing.buffer.base()).map(|at| self.line.instant(at))
    }

    /// [`PathView::lateness`] alone.
    pub fn lateness(&self, path: PathId) -> Duration {
        self.path(path).map_or(Duration::ZERO, |path| duration(path.lateness))
    }

    /// Whether the peer keeps one buffer for all paths, so that duplicates cost it nothing: Holdfast.
    pub fn is_shared(&self, path: PathId) -> bool {
        self.path(path).is_some_and(|path| path.kind == super::path::PeerKind::Shared)
    }

    /// How long the peer holds packets before it plays them.
    pub fn send_latency(&self) -> Duration {
        duration(self.outgoing.latency)
    }

    /// Packets that the peer may not have.
    pub fn unacknowledged(&self) -> u64 {
        self.outgoing.buffer.next() - self.outgoing.buffer.delivered()
    }

    /// Measures a path that carries nothing: an acknowledgement that says nothing new, which every SRT peer answers.
    pub fn probe(&mut self, path: PathId, now: Instant) {
        let t = self.line.at(now);
        let Some(index) = self.index(path) else { return };
        let said = self.paths[index].said;
        self.paths[index].counters.probes += 1;
        let up_to = self.incoming.buffer.acknowledged().min(self.paths[index].inbound.next);
        self.say_ack(index, up_to, t);
        // A resting member of a libsrt group is known by its keepalives, so they go on.
        self.paths[index].said = said;
    }

    /// Sends a message of at most [`MAX_MESSAGE`] bytes to the layers above at the far end, once, on the path that was
    /// heard from last. False if the peer would not understand it or it is too long.
    pub fn send_message(&mut self, body: &[u8], now: Instant) -> bool {
        let t = self.line.at(now);
        let able = self.paths.iter().enumerate().filter(|(_, path)| path.understands(feature::MESSAGE));
        match able.max_by_key(|(_, path)| path.heard) {
            Some((index, _)) if body.len() <= MAX_MESSAGE => {
                self.say_private(index, &Private::Message(body), t);
                true
            }
            Some(_) | None => false,
        }
    }

    /// One path's counts and measurements.
    pub fn path_stats(&mut self, path: PathId, now: Instant) -> Option<PathStats> {
        let t = self.line.at(now);
        let base = self.outgoing.buffer.base();
        let path = self.path_mut(path)?;
        Some(PathStats {
            id: path.id,
            duty: path.duty,
            age: now.saturating_duration_since(path.added),
            rtt: path.rtt.is_measured().then(|| duration(path.rtt.smoothed())),
            rtt_variance: duration(path.rtt.variance()),
            queue_delay: path.queue_delay(t).map(duration),
            arrival_delay: path.inbound.way.waiting(t).map(duration),
            send_rate: path.sent_rate.per_second(t),
            peer_receive_rate: path.peer_rate,
            receive_rate: path.inbound.rate.per_second(t),
            in_flight: path.flight.in_flight(base),
            queued: (path.flight.queue.len() + path.flight.resend.len()) as u64,
            window: path.flight.window,
            silent_for: duration(t - path.heard),
            counters: path.counters,
        })
    }

    /// The session's counts and measurements.
    pub fn stats(&mut self, now: Instant) -> SessionStats {
        let t = self.line.at(now);
        let (sending, receiving) = (&mut self.outgoing, &mut self.incoming);
        let buffer = &sending.buffer;
        let next = receiving.buffer.next_source();
        let since = |at: Option<Micros>| at.map_or(Duration::ZERO, |at| duration(t - at));
        SessionStats {
            counters: self.counters,
            send_rate: sending.rate.per_second(t),
            receive_rate: receiving.rate.per_second(t),
            send_buffer: Amount { packets: buffer.next() - buffer.base(), bytes: buffer.bytes() as u64 },
            send_buffer_span: since(buffer.oldest()),
            receive_buffer: receiving.buffer.held(),
            receive_buffer_span: next.map_or(Duration::ZERO, |source| duration(receiving.base.play(source) - t)),
            missing: receiving.buffer.losses.count(),
            receive_latency: duration(receiving.base.latency()),
            drift_us: receiving.base.drift(),
        }
    }
}
