//! Pure. What a path policy decided, and why.

use std::fmt;
use std::time::Instant;

use super::super::evidence::{Health, ServerFault};
use super::super::score::Score;
use crate::model::InterfaceName;

/// Where a destination's stream goes: out of which link, to which of its servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The link.
    pub link: InterfaceName,
    /// Which of the destination's addresses, from 0.
    pub ingest: usize,
}

/// What is to be done. The session on the present route stays up until [`Decision::Switch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Connect there, as a standby; say `Ready` or `Failed`. It takes the place of any standby elsewhere.
    Prepare {
        /// Where.
        route: Route,
        /// What for.
        purpose: Purpose,
    },
    /// The standby there carries as well from here on, beside the present route.
    Activate {
        /// Where.
        route: Route,
        /// Why.
        why: Why,
    },
    /// The standby there need not carry any more.
    StandDown {
        /// Where.
        route: Route,
    },
    /// The stream goes there from here on.
    Switch {
        /// Whence; None at the beginning.
        from: Option<Route>,
        /// Whither.
        to: Route,
        /// Why.
        why: Why,
        /// How.
        how: How,
    },
    /// The present route is bad and stays: it is pinned.
    Stays {
        /// Where.
        route: Route,
        /// What is wrong.
        why: Why,
    },
    /// The present route is bad, and there have been so many changes that the next one has to wait.
    PutOff {
        /// Until then.
        until: Instant,
        /// What is wrong.
        why: Why,
    },
    /// The present route is bad, and there is nothing else.
    Stranded {
        /// What is wrong.
        why: Why,
    },
    /// The present route is given up, and there is none until one is chosen by [`Self::Switch`]: the operator does not want the
    /// link used, and there is nothing else.
    Halt {
        /// What is wrong.
        why: Why,
    },
    /// Connect to the same server over the same link again: there is nowhere better.
    Reconnect {
        /// Where.
        route: Route,
        /// What is wrong.
        why: Why,
    },
}

/// What a standby is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be there when the present route dies.
    Spare,
    /// To be moved to at the next keyframe.
    Move,
}

/// How a change of route is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// At once, with a replay of what the far end may not have: there is a standby.
    Hot,
    /// At once, but a connection has to be made first.
    Cold,
    /// At a keyframe, from one working session to another.
    AtKeyframe,
}

/// Why something was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// There was no route before.
    Start,
    /// The link of the present route.
    Link {
        /// Which.
        link: InterfaceName,
        /// How it is.
        health: Health,
    },
    /// The interface is gone.
    LinkGone(InterfaceName),
    /// The link's data budget is spent.
    BudgetSpent(InterfaceName),
    /// The link loses too much.
    Poor(InterfaceName),
    /// A link that comes first in the list is trusted.
    Preferred(InterfaceName),
    /// Another link has had more points for long enough.
    Better {
        /// Which.
        link: InterfaceName,
        /// Its points.
        score: Score,
        /// Those of the present one.
        than: Score,
    },
    /// The link is well, the server is not.
    Server(ServerFault),
    /// No session could be had there, or it was lost, while the link is well.
    Refused,
    /// The interface does not have the address any more that the session began from.
    Uprooted(InterfaceName),
    /// There is no link to begin with.
    NoLink,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, address {}", self.link, self.ingest + 1)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("the stream begins"),
            Self::Link { link, health } => write!(f, "{link} is {health}"),
            Self::LinkGone(link) => write!(f, "{link} is gone"),
            Self::BudgetSpent(link) => write!(f, "the data cap of {link} is reached"),
            Self::Poor(link) => write!(f, "{link} loses too much"),
            Self::Preferred(link) => write!(f, "{link} comes first and is trusted"),
            Self::Better { link, score, than } => write!(f, "{link} has {score} points, the present link {}", than.0),
            Self::Server(fault) => write!(f, "{fault}"),
            Self::Refused => f.write_str("no session can be had there, though the link is well"),
            Self::Uprooted(link) => write!(f, "{link} does not have the session's address any more"),
            Self::NoLink => f.write_str("no link works"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { route, purpose: Purpose::Spare } => write!(f, "a standby is made ready over {route}"),
            Self::Prepare { route, purpose: Purpose::Move } => write!(f, "a move to {route} is made ready"),
            Self::Activate { route, why } => write!(f, "the standby over {route} carries as well: {why}"),
            Self::StandDown { route } => write!(f, "the standby over {route} rests again"),
            Self::Switch { from: None, to, why, .. } => write!(f, "over {to}: {why}"),
            Self::Switch { from: Some(from), to, why, how } => {
                let how = match how {
                    How::Hot => "to the standby",
                    How::Cold => "without a standby",
                    How::AtKeyframe => "at a keyframe",
                };
                write!(f, "from {from} to {to}, {how}: {why}")
            }
            Self::Stays { route, why } => write!(f, "stays on {route}, where it is pinned: {why}"),
            // When that is, is said by whoever knows the time.
            Self::PutOff { why, .. } => write!(f, "too many changes within a minute; the next one waits: {why}"),
            Self::Stranded { why } => write!(f, "nowhere to go: {why}"),
            Self::Halt { why } => write!(f, "nothing is sent, since there is no other link: {why}"),
            Self::Reconnect { route, why } => write!(f, "again over {route}: {why}"),
        }
    }
}
