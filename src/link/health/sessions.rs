//! Pure. What the sessions over a link say: whether anything that was sent is answered, and which server is silent alone.

use std::time::{Duration, Instant};

use super::class::{REPEAT_UNANSWERED, STALE};
use super::evidence::Stream;
use super::observation::{Load, SessionId, SrtFigures, TcpFigures};
use super::planted::{Bug, planted};

/// Most sessions of a link that are watched; the oldest figures make room.
const MAX_SESSIONS: usize = 64;

/// What the sessions say as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Nothing is on its way.
    Idle,
    /// Something is, and nothing has come back since then. As long as answers are in time, that is a moment ago.
    Awaits {
        /// When the last answer to any session came, or when the first byte left.
        since: Instant,
        /// What carries the session that was answered last.
        stream: Stream,
        /// Most retransmissions in a row.
        backoff: u8,
    },
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    stream: Stream,
    /// When its figures came.
    seen: Instant,
    /// When it was last answered.
    heard: Instant,
    /// Since when something has been on its way without a pause.
    awaits: Option<Instant>,
    pub(super) backoff: u8,
    /// When the last two retransmissions after a timeout were seen, the younger one first.
    repeated: [Option<Instant>; 2],
    acked: u64,
    /// Since when bytes wait without any being confirmed.
    pub(super) stuck: Option<Instant>,
    /// When bytes were last confirmed.
    progress: Option<Instant>,
    /// Its server was blamed for this silence.
    pub(super) blamed: bool,
}

/// All sessions of a link.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: Vec<Session>,
    /// When any of them was last answered.
    answered: Option<Instant>,
}

impl Session {
    fn new(id: SessionId, stream: Stream, now: Instant) -> Self {
        Self {
            id,
            stream,
            seen: now,
            heard: now,
            awaits: None,
            backoff: 0,
            repeated: [None, None],
            acked: 0,
            stuck: None,
            progress: None,
            blamed: false,
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) <= STALE
    }

    /// Since when nothing has come back although something is on its way: the younger of the last answer and the first
    /// byte that waits for one.
    pub(super) fn silent_since(&self, awake: Instant) -> Option<Instant> {
        let awaits = self.awaits?;
        if planted(Bug::CountsThePause) {
            return Some(self.heard.max(awake));
        }
        Some(self.heard.max(awaits).max(awake))
    }

    /// When it is certain that two retransmissions that left after `back`, when the link answered again, are not
    /// answered. One may fall into another short hole.
    pub(super) fn repeat_unanswered(&self, back: Instant, rtt: Duration) -> Option<Instant> {
        let [last, before] = self.repeated;
        before.filter(|at| *at > self.heard && *at >= back)?;
        last.map(|last| last + REPEAT_UNANSWERED.max(rtt * 2))
    }
}

impl Sessions {
    pub(super) fn tcp(&mut self, id: SessionId, figures: &TcpFigures, now: Instant) {
        let session = self.entry(id, Stream::Tcp, now);
        session.seen = now;
        // The kernel counts from the beginning of the connection, which may be before any sending.
        session.heard = now.checked_sub(figures.last_ack_recv).unwrap_or(session.heard);
        session.awaits = (figures.unacked > 0).then(|| session.awaits.unwrap_or(now));
        if figures.backoff > session.backoff {
            session.repeated = [Some(now), session.repeated[0]];
        }
        session.backoff = figures.backoff;
        let waits = figures.queued > 0 || figures.unacked > 0;
        if figures.bytes_acked != session.acked || !waits {
            session.stuck = None;
            session.blamed = false;
        }
        if figures.bytes_acked != session.acked {
            session.progress = Some(now);
        }
        session.acked = figures.bytes_acked;
        if waits {
            session.stuck.get_or_insert(now);
        }
        // A connection that has never got anything through counts from its making.
        if session.acked > 0 {
            let heard = session.heard;
            self.answered = self.answered.max(Some(heard));
        }
    }

    pub(super) fn srt(&mut self, id: SessionId, figures: &SrtFigures, now: Instant) {
        let session = self.entry(id, Stream::Srt, now);
        session.seen = now;
        session.heard = now.checked_sub(figures.heard).unwrap_or(session.heard);
        session.awaits = match figures.load {
            Load::Carries => Some(session.awaits.unwrap_or(now)),
            Load::Rests => None,
        };
        let heard = session.heard;
        self.answered = self.answered.max(Some(heard));
    }

    fn entry(&mut self, id: SessionId, stream: Stream, now: Instant) -> &mut Session {
        let index = self.all.iter().position(|session| session.id == id).unwrap_or_else(|| {
            if self.all.len() >= MAX_SESSIONS {
                let oldest = (0..self.all.len()).min_by_key(|index| self.all[*index].seen);
                if let Some(oldest) = oldest {
                    self.all.remove(oldest);
                }
            }
            self.all.push(Session::new(id, stream, now));
            self.all.len() - 1
        });
        &mut self.all[index]
    }

    pub(super) fn ended(&mut self, id: SessionId) {
        self.all.retain(|session| session.id != id);
    }

    /// Those whose figures are fresh.
    pub(super) fn fresh(&mut self, now: Instant) -> impl Iterator<Item = &mut Session> {
        self.all.iter_mut().filter(move |session| session.is_fresh(now))
    }

    /// Those whose figures are fresh and whose server was not blamed yet.
    pub(super) fn unblamed(&self, now: Instant) -> impl Iterator<Item = &Session> {
        self.all.iter().filter(move |session| session.is_fresh(now) && !session.blamed)
    }

    /// For how long none of them has got anything through although one has something to get through.
    pub(super) fn stuck_for(&self, awake: Instant, now: Instant) -> Option<Duration> {
        let fresh = || self.all.iter().filter(|session| session.is_fresh(now));
        let stuck = fresh().filter_map(|session| session.stuck).max()?;
        let progress = fresh().filter_map(|session| session.progress).max();
        Some(now.saturating_duration_since(progress.map_or(stuck, |at| at.max(stuck)).max(awake)))
    }

    /// What they say as a whole: one that is answered is enough, even if it has nothing on its way just now.
    pub(super) fn say(&self, awake: Instant, now: Instant) -> Traffic {
        let mut said = Traffic::Idle;
        let mut heard: Option<Instant> = None;
        for session in self.all.iter().filter(|session| session.is_fresh(now)) {
            heard = heard.max(Some(session.heard));
            let Some(silent) = session.silent_since(awake) else { continue };
            said = match said {
                Traffic::Idle => Traffic::Awaits { since: silent, stream: session.stream, backoff: session.backoff },
                Traffic::Awaits { since, stream, backoff } => Traffic::Awaits {
                    since: since.max(silent),
                    stream: if silent > since { session.stream } else { stream },
                    backoff: backoff.max(session.backoff),
                },
            };
        }
        match (said, heard) {
            (Traffic::Awaits { since, stream, backoff }, Some(heard)) if !planted(Bug::CountsThePause) => {
                Traffic::Awaits { since: since.max(heard), stream, backoff }
            }
            (said, _) => said,
        }
    }

    /// When any session was last answered, also one that is over.
    pub(super) const fn last_answer(&self) -> Option<Instant> {
        self.answered
    }
}
