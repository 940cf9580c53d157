//! Pure. Which target of a link is asked when, and which of what comes back is an answer.
//!
//! ```text
//!                      silent for SEARCH_AFTER
//!   Searching ◄──────────────────────────────── Settled at one address
//!     each of its addresses in turn ──────────────►
//!                      one answers
//! ```
//!
//! All questions of a link leave on one grid of 100 ms, so that they share a wake. Answers are told apart from everything
//! else by what nobody else can know, and by where they come from.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::echo::{Echo, Stamp};
use super::stun::{self, Outcome, TransactionId};
use crate::link::health::{Observation, TargetId};
use crate::model::{ProbeKind, ProbeTarget};

/// Most targets of a link: as many as a judge listens to.
pub const MOST_TARGETS: usize = 8;
/// Addresses of one target that are tried.
pub const MOST_ADDRESSES: usize = 4;
/// Between two questions to a relay.
pub const ECHO_EVERY: Duration = Duration::from_millis(100);
/// Between two questions to somebody else's server. A judge takes a target that was not asked for a second for none.
pub const STUN_EVERY: Duration = Duration::from_millis(500);
/// An answer that takes longer is none: the link was given up long before.
pub const LATE_AFTER: Duration = Duration::from_secs(5);
/// A target that has been silent for so long is asked at its other addresses as well: longer than any link needs to be
/// found dead, so that its silence is seen before.
pub const SEARCH_AFTER: Duration = Duration::from_secs(3);
/// Questions of one target that wait for answers: more than are asked in [`LATE_AFTER`].
const MOST_QUESTIONS: usize = 64;
/// Observations that wait to be taken out; a prober that is polled has fewer than twenty.
const MOST_OBSERVATIONS: usize = 256;

/// A question that is to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Whom it is for.
    pub to: SocketAddr,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// What became of a prober's questions, and what else came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeCounts {
    /// Questions that were due.
    pub sent: u64,
    /// Of them, those that the kernel did not take.
    pub refused: u64,
    /// Answers in time.
    pub answered: u64,
    /// Answers to what was answered already.
    pub duplicate: u64,
    /// Answers from a target to what was asked too long ago, or never.
    pub late: u64,
    /// What would be an answer if it came from the target, or knew what was asked.
    pub forged: u64,
    /// What is no answer at all.
    pub malformed: u64,
    /// Observations for which there was no room.
    pub unheard: u64,
}

/// Asks the targets of one link. Ask it for what is to leave with [`Self::poll_transmit`], for what was seen with
/// [`Self::poll_observation`], each until there is nothing more, and come back at [`Self::poll_timeout`] at the latest.
#[derive(Debug)]
pub struct Prober {
    random: fastrand::Rng,
    /// A point of the grid.
    grid: Instant,
    targets: Vec<Asked>,
    /// Which numbers have been given to a target; a judge never forgets one.
    given: [bool; MOST_TARGETS],
    observations: VecDeque<Observation>,
    counts: ProbeCounts,
}

/// A target, and how it is asked.
#[derive(Debug)]
struct Asked {
    id: TargetId,
    target: ProbeTarget,
    telling: Telling,
    token: u64,
    sequence: u32,
    addresses: Vec<SocketAddr>,
    way: Way,
    /// `None` until it has an address.
    due: Option<Instant>,
    questions: VecDeque<Question>,
    mapped: Option<SocketAddr>,
}

/// Whether a judge hears of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// It does.
    Begun,
    /// Its number was another target's, which a judge knows as one that answers: it hears of this one when that does too.
    OnceAnswered,
}

/// Which of a target's addresses is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All in turn, this one next.
    Searching { next: usize },
    /// The one that answered last.
    Settled { at: usize, answered: Instant },
}

#[derive(Debug)]
struct Question {
    key: Key,
    to: SocketAddr,
    at: Instant,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Echo(u32),
    Stun(TransactionId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Answered,
}

impl Prober {
    /// Nobody is asked yet. `seed` must be such that nobody can guess it: answers are known by what is made of it.
    pub fn new(seed: u64, now: Instant) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            grid: now,
            targets: Vec::new(),
            given: [false; MOST_TARGETS],
            observations: VecDeque::new(),
            counts: ProbeCounts::default(),
        }
    }

    /// Asks these targets and no others, the first [`MOST_TARGETS`] of them. One that was asked before goes on as it was.
    pub fn set_targets(&mut self, targets: &[ProbeTarget]) {
        let wanted = targets.get(..MOST_TARGETS).unwrap_or(targets);
        self.targets.retain(|asked| wanted.contains(&asked.target));
        for target in wanted {
            if !self.targets.iter().any(|asked| asked.target == *target) {
                self.add(target.clone());
            }
        }
    }

    fn add(&mut self, target: ProbeTarget) {
        let is_free = |id: &u8| !self.targets.iter().any(|asked| asked.id.0 == *id);
        let free: Vec<u8> = (0..MOST_TARGETS as u8).filter(is_free).collect();
        let was_given = |id: &u8| self.given.get(usize::from(*id)).copied().unwrap_or(true);
        let fresh = free.iter().copied().find(|id| !was_given(id));
        let Some(id) = fresh.or(free.first().copied()) else { return };
        if let Some(given) = self.given.get_mut(usize::from(id)) {
            *given = true;
        }
        self.targets.push(Asked {
            id: TargetId(id),
            target,
            telling: if fresh.is_some() { Telling::Begun } else { Telling::OnceAnswered },
            token: self.random.u64(..),
            sequence: self.random.u32(..),
            addresses: Vec::new(),
            way: Way::Searching { next: 0 },
            due: None,
            questions: VecDeque::new(),
            mapped: None,
        });
    }

    /// Where `target` is, as was found out just now. While that is unknown it is not asked; when a look-up fails, what was
    /// known before is still the best there is, so this need not be told.
    pub fn set_addresses(&mut self, target: &ProbeTarget, addresses: &[SocketAddr], now: Instant) {
        let first = self.after(now) - ECHO_EVERY;
        let Some(asked) = self.targets.iter_mut().find(|asked| asked.target == *target) else { return };
        let addresses: Vec<SocketAddr> = addresses.iter().map(canonical).take(MOST_ADDRESSES).collect();
        asked.way = match asked.way {
            Way::Settled { at, answered } => {
                let same = asked.addresses.get(at).and_then(|old| addresses.iter().position(|new| new == old));
                same.map_or(Way::Searching { next: 0 }, |at| Way::Settled { at, answered })
            }
            Way::Searching { .. } => Way::Searching { next: 0 },
        };
        asked.due = if addresses.is_empty() { None } else { Some(asked.due.unwrap_or(first)) };
        asked.addresses = addresses;
    }

    /// A question that is due. Whatever becomes of it, it counts as sent.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let next = self.after(now);
        let asked = self.targets.iter_mut().find(|asked| asked.due.is_some_and(|due| due <= now))?;
        // What was missed is not made up for.
        asked.due = Some(match asked.target.kind {
            ProbeKind::Echo => next,
            ProbeKind::Stun => next + (STUN_EVERY - ECHO_EVERY),
        });
        let to = asked.address(now)?;
        let (key, bytes) = match asked.target.kind {
            ProbeKind::Echo => {
                let stamp = Stamp { token: asked.token, sequence: asked.sequence };
                asked.sequence = asked.sequence.wrapping_add(1);
                (Key::Echo(stamp.sequence), Echo::Question(stamp).write().to_vec())
            }
            ProbeKind::Stun => {
                let mut id = [0; 12];
                self.random.fill(&mut id);
                let id = TransactionId(id);
                (Key::Stun(id), stun::request(id).to_vec())
            }
        };
        asked.forget(now);
        asked.questions.push_back(Question { key, to, at: now, fate: Fate::Open });
        self.counts.sent += 1;
        if asked.telling == Telling::Begun {
            let seen = Observation::ProbeSent(asked.id);
            self.see(seen);
        }
        Some(Transmit { to, bytes })
    }

    /// The kernel did not take a question.
    pub const fn refused(&mut self) {
        self.counts.refused += 1;
    }

    /// Something came.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let from = canonical(&from);
        let (known, mapped) = match (Echo::read(bytes), stun::read(bytes)) {
            (Ok(Echo::Answer(stamp)), _) => {
                (self.targets.iter_mut().find(|t| t.token == stamp.token).map(|t| (t, Key::Echo(stamp.sequence))), None)
            }
            (Ok(Echo::Question(_)), _) => return self.counts.malformed += 1,
            (Err(_), Ok(answer)) => {
                let key = Key::Stun(answer.transaction);
                let mapped = match answer.outcome {
                    Outcome::Mapped(address) => Some(address),
                    Outcome::Refused => None,
                };
                // Two names may stand for one address: then who was asked this comes first.
                let place =
                    self.targets.iter().position(|t| t.asked(from, key)).or_else(|| {
                        self.targets.iter().position(|t| t.target.kind == ProbeKind::Stun && t.lives_at(from))
                    });
                (place.and_then(|place| self.targets.get_mut(place)).map(|t| (t, key)), mapped)
            }
            (Err(_), Err(_)) => return self.counts.malformed += 1,
        };
        let Some((asked, key)) = known.filter(|(asked, _)| asked.lives_at(from)) else {
            return self.counts.forged += 1;
        };
        asked.forget(now);
        let Some(question) = asked.questions.iter_mut().find(|q| q.key == key && q.to == from) else {
            return self.counts.late += 1;
        };
        if question.fate == Fate::Answered {
            return self.counts.duplicate += 1;
        }
        question.fate = Fate::Answered;
        let rtt = now.saturating_duration_since(question.at);
        if let Some(at) = asked.addresses.iter().position(|address| *address == from) {
            asked.settle(at, now);
        }
        asked.mapped = mapped.or(asked.mapped);
        let (target, was) = (asked.id, std::mem::replace(&mut asked.telling, Telling::Begun));
        self.counts.answered += 1;
        if was == Telling::OnceAnswered {
            self.see(Observation::ProbeSent(target));
        }
        self.see(Observation::ProbeAnswered { target, rtt });
    }

    /// What was seen of the link.
    pub fn poll_observation(&mut self) -> Option<Observation> {
        self.observations.pop_front()
    }

    /// When [`Self::poll_transmit`] has something next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.targets.iter().filter_map(|asked| asked.due).min()
    }

    /// What was counted.
    pub const fn counts(&self) -> ProbeCounts {
        self.counts
    }

    /// An observation found no room.
    pub const fn unheard(&mut self) {
        self.counts.unheard += 1;
    }

    /// What the outside takes this link's address for, if a STUN server has said.
    pub fn mapped(&self) -> Option<SocketAddr> {
        self.targets.iter().find_map(|asked| asked.mapped)
    }

    /// The number by which a judge knows a target.
    pub fn id(&self, target: &ProbeTarget) -> Option<TargetId> {
        self.targets.iter().find(|asked| asked.target == *target).map(|asked| asked.id)
    }

    fn see(&mut self, observation: Observation) {
        if self.observations.len() < MOST_OBSERVATIONS {
            self.observations.push_back(observation);
        } else {
            self.counts.unheard += 1;
        }
    }

    /// The first point of the grid after `now`.
    fn after(&self, now: Instant) -> Instant {
        let step = ECHO_EVERY.as_nanos();
        let into = now.saturating_duration_since(self.grid).as_nanos() % step;
        now + Duration::from_nanos(u64::try_from(step - into).unwrap_or(0))
    }
}

impl Asked {
    /// Where the next question goes.
    fn address(&mut self, now: Instant) -> Option<SocketAddr> {
        if let Way::Settled { at, answered } = self.way
            && now.saturating_duration_since(answered) >= SEARCH_AFTER
        {
            self.way = Way::Searching { next: at };
        }
        match &mut self.way {
            Way::Settled { at, .. } => self.addresses.get(*at).copied(),
            Way::Searching { next } => {
                let at = *next % self.addresses.len().max(1);
                *next = at + 1;
                self.addresses.get(at).copied()
            }
        }
    }

    /// An address has answered. An answer of another one than the one in use says nothing against that.
    fn settle(&mut self, at: usize, now: Instant) {
        match &mut self.way {
            Way::Settled { at: used, answered } => {
                if *used == at {
                    *answered = now;
                }
            }
            Way::Searching { .. } => self.way = Way::Settled { at, answered: now },
        }
    }

    /// Whether it may answer from there: it has that address, or had it when it was asked.
    fn lives_at(&self, from: SocketAddr) -> bool {
        self.addresses.contains(&from) || self.questions.iter().any(|question| question.to == from)
    }

    fn asked(&self, at: SocketAddr, key: Key) -> bool {
        self.questions.iter().any(|question| question.to == at && question.key == key)
    }

    /// Forgets questions whose answers would be late.
    fn forget(&mut self, now: Instant) {
        let is_late = |q: &Question| now.saturating_duration_since(q.at) >= LATE_AFTER;
        while self.questions.front().is_some_and(is_late) || self.questions.len() > MOST_QUESTIONS {
            self.questions.pop_front();
        }
    }
}

/// An address as it is compared: IPv4 as such, and nothing that only this machine knows.
fn canonical(address: &SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
