//! Pure. What the interfaces under a destination's paths allow: whether a path may call, and whether it stands.
//!
//! ```text
//!   Firm ──no carrier──► Shaken ──100 ms, and others are up──► Sunk ──carrier, address──► Firm, and calls
//!     ▲                    │  others carry at once               ▲
//!     └──carrier is back───┘                                     │
//!     └──interface or address gone───────────────────────────────┘
//! ```
//!
//! A blip costs a duplicate, not a connection. What is gone for good is closed at once: a socket that was bound to an
//! interface that is taken out never works again, nor does a session of an address that is not ours any more.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::SrtPath;
use crate::link::health::budget::Allowance;
use crate::link::{Allowances, Knowledge, Link, LinkState, Links};
use crate::model::InterfaceName;

/// A path without carrier is closed after this time, if there are others.
pub(super) const CLOSED_AFTER: Duration = Duration::from_millis(100);

/// What a path lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// There is no such interface.
    Interface,
    /// There is another one of the same name.
    SameInterface,
    /// It is switched off.
    Power,
    /// Nothing is plugged in, or the other side is off.
    Carrier,
    /// It has none that could be used.
    Address,
    /// It has others than the one that the path left from.
    SameAddress,
    /// What its operator has bought is used.
    Data,
}

/// What becomes of a path whose link is to be used only if nothing else works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// It stays connected: it carries nothing while others do.
    Rests,
    /// It is left out while another one stands, since each carries everything.
    LeftOut,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Not to be called before it is released.
    Hold { place: usize, lack: Lack },
    /// To be called.
    Release { place: usize },
    /// Connected, but nothing goes through now: others are to help.
    Shake { place: usize },
    /// Something may go through again.
    Steady { place: usize },
    /// Connected, and over.
    Close { place: usize, lack: Lack },
}

/// What a path that is connected is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// The kernel's number of the interface, if it is known.
    index: Option<u32>,
    /// The address it leaves from.
    source: Option<IpAddr>,
    /// The kernel's count of its carrier's changes.
    changes: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Firm,
    Shaken { since: Instant },
    Sunk { lack: Lack },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Foot {
    standing: Standing,
    /// `None` while it is not connected.
    bound: Option<Bound>,
}

/// All paths of one destination, by their place in the configuration.
#[derive(Debug)]
pub(super) struct Footing {
    feet: Vec<Foot>,
    looked: Option<Instant>,
    spent: Spent,
    allowances: Arc<Allowances>,
}

/// What an interface allows.
enum Ground<'l> {
    /// Nothing is known of it: all is allowed.
    Unknown,
    Good(&'l Link),
    Lacks(Lack),
}

impl Footing {
    pub(super) fn new(paths: usize, spent: Spent) -> Self {
        let feet = vec![Foot { standing: Standing::Firm, bound: None }; paths];
        Self { feet, looked: None, spent, allowances: Arc::default() }
    }

    /// What links may carry, from the next look on.
    pub(super) fn allow(&mut self, allowances: Arc<Allowances>) {
        self.allowances = allowances;
    }

    /// What the link under a path may carry.
    pub(super) fn allowance(&self, path: &SrtPath, links: &Links) -> Allowance {
        let by_source = || path.source.and_then(|source| InterfaceName::new(&links.with_address(source)?.name));
        let name = path.interface.clone().or_else(by_source);
        name.and_then(|name| self.allowances.get(&name).copied()).unwrap_or(Allowance::Free)
    }

    /// Whether a path may be left out now and joined to the others when they fail.
    pub(super) fn leaves_out(&self) -> bool {
        self.spent == Spent::LeftOut && self.allowances.values().any(|allowance| *allowance == Allowance::Spent)
    }

    /// The destination begins: nothing is held yet.
    pub(super) fn reset(&mut self) {
        self.feet.fill(Foot { standing: Standing::Firm, bound: None });
    }

    /// A path is connected, from this address.
    pub(super) fn connected(&mut self, place: usize, path: &SrtPath, source: Option<IpAddr>, links: &Links) {
        let Some(foot) = self.feet.get_mut(place) else { return };
        let link = match ground(path, links) {
            Ground::Good(link) => Some(link),
            Ground::Unknown | Ground::Lacks(_) => None,
        };
        // An address that the interface does not have is not to be missed there.
        let source = source.filter(|source| link.is_some_and(|link| link.has(*source)));
        let bound = Bound { index: link.map(|l| l.index), source, changes: link.and_then(|l| l.carrier_changes) };
        *foot = Foot { standing: Standing::Firm, bound: Some(bound) };
    }

    /// A path is not connected any more.
    pub(super) fn disconnected(&mut self, place: usize) {
        if let Some(foot) = self.feet.get_mut(place) {
            foot.bound = None;
            if matches!(foot.standing, Standing::Shaken { .. }) {
                foot.standing = Standing::Firm;
            }
        }
    }

    /// When [`Self::look`] is due although nothing has changed.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = self.feet.iter().filter_map(|foot| match foot.standing {
            Standing::Shaken { since } => Some(since + CLOSED_AFTER),
            Standing::Firm | Standing::Sunk { .. } => None,
        });
        // What was due and not done waits for another path.
        due.filter(|at| self.looked.is_none_or(|looked| *at > looked)).min()
    }

    /// Compares what is with what was.
    pub(super) fn look(&mut self, paths: &[SrtPath], links: &Links, now: Instant) -> Vec<Act> {
        self.looked = Some(now);
        let mut acts = Vec::new();
        for (place, path) in paths.iter().enumerate() {
            // Of those that stand firm one is enough.
            let is_firm = |foot: &Foot| foot.bound.is_some() && foot.standing == Standing::Firm;
            let others = self.feet.iter().enumerate().any(|(other, foot)| other != place && is_firm(foot));
            let may_not = match self.allowance(path, links) {
                Allowance::Free | Allowance::Warned => false,
                Allowance::Spent => self.spent == Spent::LeftOut && others,
                Allowance::Barred => true,
            };
            let Some(foot) = self.feet.get_mut(place) else { continue };
            match ground(path, links) {
                Ground::Unknown | Ground::Good(_) if may_not => {
                    foot.on_bad_ground(place, Lack::Data, others, now, &mut acts);
                }
                Ground::Unknown => foot.on_good_ground(place, None, &mut acts),
                Ground::Good(link) => foot.on_good_ground(place, Some(link), &mut acts),
                Ground::Lacks(lack) => foot.on_bad_ground(place, lack, others, now, &mut acts),
            }
        }
        acts
    }
}

impl Foot {
    fn on_good_ground(&mut self, place: usize, link: Option<&Link>, acts: &mut Vec<Act>) {
        if let (Some(bound), Some(link)) = (&mut self.bound, link) {
            let lack = if bound.index.is_some_and(|index| index != link.index) {
                Some(Lack::SameInterface)
            } else if bound.source.is_some_and(|source| !link.has(source)) {
                Some(Lack::SameAddress)
            } else {
                None
            };
            if let Some(lack) = lack {
                (self.bound, self.standing) = (None, Standing::Firm);
                acts.extend([Act::Close { place, lack }, Act::Release { place }]);
                return;
            }
            // The carrier was gone and is back since the last look.
            let blinked = bound.changes.zip(link.carrier_changes).is_some_and(|(was, is)| was != is);
            if blinked && self.standing == Standing::Firm {
                acts.extend([Act::Shake { place }, Act::Steady { place }]);
            }
            bound.changes = link.carrier_changes;
        }
        match std::mem::replace(&mut self.standing, Standing::Firm) {
            Standing::Firm => {}
            Standing::Shaken { .. } => acts.push(Act::Steady { place }),
            Standing::Sunk { .. } => acts.push(Act::Release { place }),
        }
    }

    fn on_bad_ground(&mut self, place: usize, lack: Lack, others: bool, now: Instant, acts: &mut Vec<Act>) {
        if self.bound.is_none() {
            if self.standing != (Standing::Sunk { lack }) {
                self.standing = Standing::Sunk { lack };
                acts.push(Act::Hold { place, lack });
            }
            return;
        }
        let may_pass = matches!(lack, Lack::Carrier | Lack::Power);
        if may_pass {
            let since = match self.standing {
                Standing::Shaken { since } => since,
                Standing::Firm | Standing::Sunk { .. } => {
                    self.standing = Standing::Shaken { since: now };
                    acts.push(Act::Shake { place });
                    now
                }
            };
            // The only path there is may live through it: its session has seconds before it is given up.
            if !others || now.saturating_duration_since(since) < CLOSED_AFTER {
                return;
            }
        }
        (self.bound, self.standing) = (None, Standing::Sunk { lack });
        acts.extend([Act::Close { place, lack }, Act::Hold { place, lack }]);
    }
}

/// What the interface under a path allows. Loopback is always there and not listed.
fn ground<'l>(path: &SrtPath, links: &'l Links) -> Ground<'l> {
    if links.knowledge == Knowledge::Nothing {
        return Ground::Unknown;
    }
    let link = match (&path.interface, path.source) {
        (Some(name), _) if name.to_string() == "lo" => return Ground::Unknown,
        (Some(name), _) => match links.named(&name.to_string()) {
            Some(link) => link,
            None => return Ground::Lacks(Lack::Interface),
        },
        (None, Some(source)) => match links.with_address(source) {
            Some(link) => link,
            None => return Ground::Unknown,
        },
        // The routing table chooses.
        (None, None) => return Ground::Unknown,
    };
    match link.state {
        LinkState::Off => Ground::Lacks(Lack::Power),
        LinkState::NoCarrier => Ground::Lacks(Lack::Carrier),
        LinkState::Up if has_address(path, link) => Ground::Good(link),
        LinkState::Up => Ground::Lacks(Lack::Address),
    }
}

/// The one that is wanted, or one of the far end's kind.
fn has_address(path: &SrtPath, link: &Link) -> bool {
    if let Some(source) = path.source {
        return link.has(source);
    }
    let far: Option<IpAddr> = path.address.host.parse().ok();
    link.addresses.iter().any(|(own, _)| far.is_none_or(|far| far.is_ipv4() == own.is_ipv4()))
}

impl Lack {
    /// A word for the event's evidence, stable across releases.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Interface => "no-interface",
            Self::SameInterface => "interface-replaced",
            Self::Power => "interface-off",
            Self::Carrier => "no-carrier",
            Self::Address => "no-address",
            Self::SameAddress => "address-changed",
            Self::Data => "data-cap",
        }
    }

    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Interface => "there is no such interface: it joins when it is plugged in",
            Self::SameInterface => {
                "the interface was taken out and another one of its name is there: calling from that"
            }
            Self::Power => "the interface is switched off (ip link set … up)",
            Self::Carrier => "no carrier: the cable is out, or the other side is off",
            Self::Address => "the interface has no address to call from",
            Self::SameAddress => "the interface has another address than before: calling from that",
            Self::Data => "its data cap is reached, and it is left out (data_cap, at_cap)",
        }
    }
}

#[cfg(test)]
mod tests;
