//! Somebody who answers probes of a link.

use std::fmt;

/// Who is asked whether a link carries anything: `echo://host:port` or `stun://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeTarget {
    /// What is spoken with it.
    pub kind: ProbeKind,
    /// Name or address, without brackets.
    pub host: String,
    /// UDP port, not 0.
    pub port: u16,
}

/// What is spoken with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Our own echo, which a relay answers.
    Echo,
    /// STUN (RFC 8489), which anybody's server may answer.
    Stun,
}

impl ProbeKind {
    /// How its addresses begin.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Stun => "stun",
        }
    }
}

impl fmt::Display for ProbeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.kind.scheme();
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}
