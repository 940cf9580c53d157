//! Pure. Why a link is what it is said to be, in figures and in words.

use std::fmt;
use std::time::{Duration, Instant};

use super::observation::SessionId;

/// How a link is. Every variant owns what it was decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Trusted, and nothing is wrong.
    Up {
        /// Since it was trusted, or since the last suspicion ended.
        since: Instant,
    },
    /// Trusted so far; the standby is armed.
    Suspect {
        /// Since when.
        since: Instant,
        /// Why.
        evidence: Evidence,
    },
    /// It carries nothing.
    Dead {
        /// Since when that is known.
        since: Instant,
        /// How it was known.
        evidence: Evidence,
    },
    /// It answers, and has to do so for a while.
    Probation(Probation),
}

impl Health {
    /// Whether a stream may go over it although others are available.
    pub const fn is_trusted(&self) -> bool {
        matches!(self, Self::Up { .. } | Self::Suspect { .. })
    }
}

/// What stands between a link and trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probation {
    /// Since when it is on probation.
    pub since: Instant,
    /// Since when it has been clean; None if it is not.
    pub clean: Option<Instant>,
    /// What is wrong with it, if it is not clean.
    pub unclean: Unclean,
    /// How long it has to be clean.
    pub needs: Duration,
    /// Failures, each soon after it had been trusted.
    pub relapses: u32,
    /// What it failed by last; None if it is new.
    pub failed: Option<Evidence>,
}

/// Why a link on probation is not clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclean {
    /// It is.
    Clean,
    /// Nobody has answered yet.
    NothingHeard,
    /// Silent for too long.
    Silent(Duration),
    /// So many per cent of the probes were lost.
    Lossy(u32),
    /// No carrier.
    NoCarrier,
    /// A captive portal.
    Captive,
}

/// What a suspicion or a death rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The interface has lost its carrier.
    NoCarrier {
        /// For how long.
        lasting: Duration,
    },
    /// Neither the sessions nor the probes are answered.
    AllSilent {
        /// Who carries the sessions.
        stream: Stream,
        /// Since their last answer.
        silent: Duration,
        /// Since the last answer to a probe.
        probes: Duration,
    },
    /// Nothing else is sent, and the probes are not answered.
    ProbesSilent {
        /// Since the last answer to a probe.
        probes: Duration,
    },
    /// There is no working probe, and TCP repeats itself in vain.
    BackOff {
        /// Since the last acknowledgement.
        silent: Duration,
        /// Retransmissions in a row.
        backoff: u8,
    },
    /// Bytes wait, none is confirmed, and nothing else speaks for the link.
    NoProgress {
        /// For how long.
        stuck: Duration,
        /// Since the last answer to a probe; None without a working probe.
        probes: Option<Duration>,
    },
    /// A captive portal, and no session that is answered.
    Captive,
}

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// TCP, and RTMP over it.
    Tcp,
    /// SRT.
    Srt,
}

/// What a server is blamed by: the link answers, it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerFault {
    /// Which session.
    pub session: SessionId,
    /// Since its last acknowledgement, or since bytes were last confirmed.
    pub silent: Duration,
    /// Retransmissions in a row.
    pub backoff: u8,
    /// How long the probes have been answered without a break.
    pub unbroken: Duration,
}

/// A duration as people read it.
pub(super) struct Secs(pub(super) Duration);

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            0..1000 => write!(f, "{ms} ms"),
            1000..10_000 => write!(f, "{:.2} s", self.0.as_secs_f64()),
            10_000..120_000 => write!(f, "{} s", ms / 1000),
            _ => write!(f, "{} min", ms / 60_000),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCarrier { lasting } if lasting.is_zero() => f.write_str("the carrier is lost"),
            Self::NoCarrier { lasting } => write!(f, "no carrier for {}", Secs(*lasting)),
            Self::AllSilent { stream, silent, probes } => {
                write!(f, "{stream} for {} and no probe answer for {}", Secs(*silent), Secs(*probes))
            }
            Self::ProbesSilent { probes } => write!(f, "no probe answer for {}", Secs(*probes)),
            Self::BackOff { silent, backoff } => {
                write!(f, "no TCP acknowledgement for {} and {backoff} retransmissions in vain", Secs(*silent))
            }
            Self::NoProgress { stuck, probes: Some(probes) } => {
                write!(
                    f,
                    "bytes wait and none was confirmed for {}, no probe answer for {}",
                    Secs(*stuck),
                    Secs(*probes)
                )
            }
            Self::NoProgress { stuck, probes: None } => {
                write!(f, "bytes wait and none was confirmed for {}, and there is no working probe", Secs(*stuck))
            }
            Self::Captive => f.write_str("a captive portal answers in the Internet's place"),
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "no TCP acknowledgement",
            Self::Srt => "nothing from the SRT peer",
        })
    }
}

impl fmt::Display for Unclean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("clean"),
            Self::NothingHeard => f.write_str("nothing has answered yet"),
            Self::Silent(silent) => write!(f, "no answer for {}", Secs(*silent)),
            Self::Lossy(per_cent) => write!(f, "{per_cent} % of the probes are lost"),
            Self::NoCarrier => f.write_str("no carrier"),
            Self::Captive => f.write_str("a captive portal"),
        }
    }
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server has confirmed nothing for {}", Secs(self.silent))?;
        if self.backoff > 0 {
            write!(f, " and {} retransmissions", self.backoff)?;
        }
        write!(f, ", while probes have been answered for {} without a break", Secs(self.unbroken))
    }
}

impl fmt::Display for Probation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has to be clean for {}", Secs(self.needs))?;
        if self.unclean != Unclean::Clean {
            write!(f, ", is not: {}", self.unclean)?;
        }
        match self.failed {
            None => f.write_str("; new"),
            Some(failed) => match self.relapses {
                0 => write!(f, "; failed: {failed}"),
                relapses => write!(f, "; failed: {failed}; relapses: {relapses}"),
            },
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { .. } => f.write_str("up"),
            Self::Suspect { evidence, .. } => write!(f, "suspect: {evidence}"),
            Self::Dead { evidence, .. } => write!(f, "dead: {evidence}"),
            Self::Probation(probation) => write!(f, "on probation: {probation}"),
        }
    }
}
