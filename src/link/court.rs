//! Pure. A judge for every interface that something is bound to, and what the judges say as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::fact::LinkState;
use super::health::{Action, Carrier, Health, Judge, LinkClass, Observation, Standing};
use super::links::{Knowledge, Link, Links};
use crate::events::{self, JudgedSnapshot, Verdict};
use crate::model::InterfaceName;

/// How every judged interface is; `None` for one that is not there. Those of which nobody knows yet are left out.
pub type Standings = BTreeMap<InterfaceName, Option<Standing>>;

/// The judges. Tell it what is there with [`Self::interfaces`] and what is seen with [`Self::observe`], ask with
/// [`Self::poll`] until there is nothing more, and come back at [`Self::poll_timeout`] at the latest.
#[derive(Debug, Default)]
pub struct Court {
    seats: BTreeMap<InterfaceName, Seat>,
    told: Option<Arc<Standings>>,
}

#[derive(Debug)]
enum Seat {
    /// Nobody knows yet whether there is such an interface.
    Unknown,
    /// There is none, and never was.
    Empty,
    Taken(Box<Judged>),
}

#[derive(Debug)]
struct Judged {
    judge: Judge,
    presence: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    There,
    /// Its judge remembers what it was, for when it returns.
    Gone,
}

impl Court {
    /// Exactly these interfaces are judged from here on, and this is what the kernel says of them; `None` if nobody asks it,
    /// and all are taken to be there.
    pub fn interfaces(&mut self, names: &BTreeSet<InterfaceName>, links: Option<&Links>, now: Instant) {
        self.seats.retain(|name, _| names.contains(name));
        for name in names {
            let seat = self.seats.entry(name.clone()).or_insert(Seat::Unknown);
            let Some(links) = links else {
                seat.is_there(LinkClass::Unknown, Carrier::Up, now);
                continue;
            };
            match (links.named(name.as_str()), links.knowledge) {
                (Some(link), _) => seat.is_there(class(link.class.class), carrier(link), now),
                (None, Knowledge::Kernel) => seat.is_gone(now),
                // Nobody says anything: it is as it was.
                (None, Knowledge::Nothing) => {}
            }
        }
    }

    /// Something was seen of an interface. One that is not judged is nobody's concern.
    pub fn observe(&mut self, link: &InterfaceName, observation: Observation, now: Instant) {
        if let Some(Seat::Taken(judged)) = self.seats.get_mut(link) {
            judged.judge.observe(now, observation);
        }
    }

    /// What is to be done, and about which interface.
    pub fn poll(&mut self, now: Instant) -> Option<(InterfaceName, Action)> {
        self.seats.iter_mut().find_map(|(name, seat)| match seat {
            Seat::Taken(judged) => judged.judge.poll(now).map(|action| (name.clone(), action)),
            Seat::Unknown | Seat::Empty => None,
        })
    }

    /// When to ask again at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |seat: &Seat| match seat {
            Seat::Taken(judged) => judged.judge.poll_timeout().map(|(at, _)| at),
            Seat::Unknown | Seat::Empty => None,
        };
        self.seats.values().filter_map(due).min()
    }

    /// How all of them are, if anybody has to hear of it: somebody is there, gone, or has changed beyond a few points.
    pub fn news(&mut self) -> Option<Arc<Standings>> {
        let known = self.seats.iter().filter(|(_, seat)| !matches!(seat, Seat::Unknown));
        let standings: Standings = known.map(|(name, seat)| (name.clone(), seat.standing())).collect();
        let is_told = self.told.as_ref().is_some_and(|told| {
            told.len() == standings.len()
                && told.iter().zip(&standings).all(|((told, was), (name, is))| told == name && same(*was, *is))
        });
        if is_told {
            return None;
        }
        let standings = Arc::new(standings);
        self.told = Some(standings.clone());
        Some(standings)
    }

    /// For people: the judged interfaces that are there.
    pub fn shown(&self) -> BTreeMap<InterfaceName, JudgedSnapshot> {
        let shown = |(name, seat): (&InterfaceName, &Seat)| match seat {
            Seat::Taken(judged) if judged.presence == Presence::There => Some((name.clone(), judged.shown())),
            Seat::Taken(_) | Seat::Unknown | Seat::Empty => None,
        };
        self.seats.iter().filter_map(shown).collect()
    }
}

fn same(was: Option<Standing>, is: Option<Standing>) -> bool {
    match (was, is) {
        (None, None) => true,
        (Some(was), Some(is)) => !is.differs_from(&was),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

impl Seat {
    fn is_there(&mut self, class: LinkClass, carrier: Carrier, now: Instant) {
        if let Self::Taken(judged) = self {
            judged.presence = Presence::There;
            judged.judge.observe(now, Observation::Carrier(carrier));
        } else {
            let mut judge = Judge::new(class, now);
            judge.observe(now, Observation::Carrier(carrier));
            *self = Self::Taken(Box::new(Judged { judge, presence: Presence::There }));
        }
    }

    fn is_gone(&mut self, now: Instant) {
        match self {
            Self::Taken(judged) => {
                judged.presence = Presence::Gone;
                judged.judge.observe(now, Observation::Carrier(Carrier::Down));
            }
            Self::Unknown | Self::Empty => *self = Self::Empty,
        }
    }

    fn standing(&self) -> Option<Standing> {
        match self {
            Self::Taken(judged) if judged.presence == Presence::There => Some(judged.judge.standing()),
            Self::Taken(_) | Self::Unknown | Self::Empty => None,
        }
    }
}

impl Judged {
    fn shown(&self) -> JudgedSnapshot {
        let (health, standing) = (self.judge.health(), self.judge.standing());
        JudgedSnapshot {
            verdict: match health {
                Health::Up { .. } => Verdict::Up,
                Health::Suspect { .. } => Verdict::Suspect,
                Health::Dead { .. } => Verdict::Dead,
                Health::Probation(_) => Verdict::Probation,
            },
            words: health.to_string(),
            points: standing.score.0,
            rtt_ms: self.judge.rtt().map(|rtt| u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX)),
            loss_percent: self.judge.loss(),
        }
    }
}

fn carrier(link: &Link) -> Carrier {
    if link.state == LinkState::Up { Carrier::Up } else { Carrier::Down }
}

/// As patient as its kind deserves; with what has no hardware of its own, as with what is not known.
const fn class(class: events::LinkClass) -> LinkClass {
    match class {
        events::LinkClass::Ethernet => LinkClass::Ethernet,
        events::LinkClass::WiFi => LinkClass::Wifi,
        events::LinkClass::Cellular => LinkClass::Cellular,
        events::LinkClass::Starlink => LinkClass::Starlink,
        events::LinkClass::Virtual | events::LinkClass::Unknown => LinkClass::Unknown,
    }
}

#[cfg(test)]
mod tests;
