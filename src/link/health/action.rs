//! Pure. What a judge says: what is to be done about a link, and what others have to know of it.

use std::fmt;
use std::time::Duration;

use super::evidence::{Evidence, Health, Probation, Secs, ServerFault};
use super::observation::SessionId;
use super::score::{Grade, Score};

/// Points are told in steps of so many.
const POINTS_TOLD: u8 = 5;

/// What is to be done about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The standby of whatever goes over this link is to be made ready, or used.
    Arm {
        /// How far.
        arming: Arming,
        /// What for.
        because: Alarm,
    },
    /// The alarm is over.
    StandDown {
        /// How long it lasted.
        after: Duration,
    },
    /// Whatever goes over this link is to leave it.
    Leave(Evidence),
    /// The link answers again. It is on probation.
    Returned(Probation),
    /// The link was clean for long enough.
    Trusted {
        /// How long that took, with the times that it was not.
        after: Duration,
    },
    /// The link is well and the server at the other end of a session is not: another server, over the same link.
    BlameServer(ServerFault),
    /// A session gets nothing through although the link answers: it loses too much, so any good link is better.
    TooLossy {
        /// Which session.
        session: SessionId,
        /// For how long nothing was confirmed.
        stuck: Duration,
        /// Probes lost, per cent.
        loss: u32,
    },
}

/// How far a standby is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arming {
    /// Connected, so that it could carry at once.
    Connect,
    /// It carries already, beside the first: a blip costs a duplicate, not a switch.
    Carry,
}

/// Why a standby is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The link is suspect.
    Suspect(Evidence),
    /// Telemetry expects trouble.
    Hint,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspect(evidence) => write!(f, "{evidence}"),
            Self::Hint => f.write_str("telemetry expects trouble"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arm { arming: Arming::Connect, because } => write!(f, "the standby is to be ready: {because}"),
            Self::Arm { arming: Arming::Carry, because } => write!(f, "the standby is to carry as well: {because}"),
            Self::StandDown { after } => write!(f, "a false alarm of {}", Secs(*after)),
            Self::Leave(evidence) => write!(f, "dead: {evidence}"),
            Self::Returned(probation) => write!(f, "answers again, {probation}"),
            Self::Trusted { after } => write!(f, "trusted after {}", Secs(*after)),
            Self::BlameServer(fault) => write!(f, "{fault}"),
            Self::TooLossy { stuck, loss, .. } => {
                write!(f, "{loss} % of the probes are lost, and nothing was confirmed for {}", Secs(*stuck))
            }
        }
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A silence may become long enough for the next step.
    Silence,
    /// A lost carrier has not returned.
    Carrier,
    /// A hint is not believed any more.
    HintExpires,
    /// A probation may be over.
    Probation,
    /// A server may have to be blamed.
    Server,
}

/// What others have to know of a link in order to choose between links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How it is.
    pub health: Health,
    /// How well it carries.
    pub grade: Grade,
    /// In points.
    pub score: Score,
    /// Whether trouble is expected.
    pub outlook: Outlook,
}

impl Standing {
    /// Whether whoever chooses between links has to hear of the change at once: everything but the figures.
    pub fn differs_from(&self, other: &Self) -> bool {
        let key = |standing: &Self| {
            let kind = std::mem::discriminant(&standing.health);
            let evidence = match standing.health {
                Health::Suspect { evidence, .. } => Some(std::mem::discriminant(&evidence)),
                Health::Up { .. } | Health::Dead { .. } | Health::Probation(_) => None,
            };
            let unclean = match standing.health {
                Health::Probation(probation) => Some(std::mem::discriminant(&probation.unclean)),
                Health::Up { .. } | Health::Suspect { .. } | Health::Dead { .. } => None,
            };
            (kind, evidence, unclean, standing.grade, standing.outlook, standing.score.0 / POINTS_TOLD)
        };
        key(self) != key(other)
    }
}

/// What telemetry expects, or what the last probes give reason to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing in particular.
    Fair,
    /// Trouble.
    Foul,
}
