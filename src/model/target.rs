//! Who is asked about a link: those who answer probes, and a page that no portal knows.

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

/// A page that tells whether a portal answers in the Internet's place: `http://host[:port]/path`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortalCheck {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port, not 0.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// What the page begins with; `None` for one that has no content (status 204).
    pub expect: Option<String>,
}

impl PortalCheck {
    /// Host and port as HTTP names them: without the port where it is the usual one.
    pub fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        match self.port {
            80 => format!("{open}{}{close}", self.host),
            port => format!("{open}{}{close}:{port}", self.host),
        }
    }
}

impl fmt::Display for PortalCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}
