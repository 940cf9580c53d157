//! Everything that can go wrong with a call, in words an operator can act on.

use super::wire::{HEADER_LEN, RejectReason, UDP_HEADER_LEN};

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The listener's cookie.
    Induction,
    /// Its decision.
    Conclusion,
}

/// What of an answer does not suit us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsuitable {
    /// It does not know SRT 1.3, or is no SRT listener.
    TooOld,
    /// It makes no sense; in a word what of it.
    Nonsense(&'static str),
    /// It takes the connection but not the group.
    NoGroup,
    /// It is of another server than the other members' answers.
    OtherGroup,
    /// It wants a packet filter.
    Filter,
    /// It is not in live mode.
    NotLive,
    /// It does not take packets as large as the stream's.
    SmallPackets {
        /// Bytes of payload that it takes.
        most: usize,
        /// Bytes of payload in the stream's packets.
        needed: usize,
    },
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing came in time.
    NoAnswer {
        /// What did not come.
        step: Step,
        /// Whether the far end's system said that nothing listens (ICMP port unreachable).
        unreachable: bool,
    },
    /// The listener refused.
    Refused {
        /// Its reason.
        reason: RejectReason,
        /// Whether we have a passphrase.
        encrypted: bool,
    },
    /// The listener took the connection, but not as we need it.
    Unsuitable(Unsuitable),
    /// The listener closed the connection before it was up.
    Closed,
}

impl Trouble {
    /// Whether it is likely to stay until somebody changes the configuration or the server.
    pub const fn needs_operator(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::Closed => false,
            Self::Unsuitable(unsuitable) => !matches!(unsuitable, Unsuitable::OtherGroup | Unsuitable::Nonsense(_)),
            Self::Refused { reason, .. } => match reason {
                RejectReason::Version
                | RejectReason::BadSecret
                | RejectReason::Unsecure
                | RejectReason::MessageApi
                | RejectReason::Congestion
                | RejectReason::Filter
                | RejectReason::Group
                | RejectReason::Crypto
                | RejectReason::Peer => true,
                // 402 is "too busy", 409 and 423 are "somebody else is there", 5xx is the server's own trouble.
                RejectReason::Server(number) => matches!(number, 400 | 401 | 403..=406 | 415),
                RejectReason::Unknown
                | RejectReason::System
                | RejectReason::Resource
                | RejectReason::Rogue
                | RejectReason::Backlog
                | RejectReason::Internal
                | RejectReason::Closing
                | RejectReason::RendezvousCookie
                | RejectReason::Timeout
                | RejectReason::Other(_) => false,
            },
        }
    }

    /// Whether the far end probably still holds another connection for this stream.
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Refused { reason: RejectReason::Server(409 | 423), .. })
    }

    /// A word for the event's evidence, stable across releases.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAnswer { unreachable: true, .. } => "nothing-listens",
            Self::NoAnswer { .. } => "no-answer",
            Self::Closed => "closed-during-setup",
            Self::Unsuitable(unsuitable) => match unsuitable {
                Unsuitable::TooOld => "too-old",
                Unsuitable::Nonsense(_) => "protocol",
                Unsuitable::NoGroup => "no-group",
                Unsuitable::OtherGroup => "other-group",
                Unsuitable::Filter => "filter",
                Unsuitable::NotLive => "not-live",
                Unsuitable::SmallPackets { .. } => "small-packets",
            },
            Self::Refused { reason, encrypted } => match reason {
                RejectReason::BadSecret => "wrong-passphrase",
                RejectReason::Unsecure if *encrypted => "passphrase-unexpected",
                RejectReason::Unsecure => "passphrase-missing",
                RejectReason::Group => "no-group",
                RejectReason::Version => "too-old",
                RejectReason::Server(401 | 403) => "not-allowed",
                RejectReason::Server(404) => "no-such-stream",
                RejectReason::Server(409 | 423) => "stream-busy",
                RejectReason::Server(402 | 503) | RejectReason::Backlog | RejectReason::Resource => "server-busy",
                RejectReason::Unknown
                | RejectReason::System
                | RejectReason::Peer
                | RejectReason::Rogue
                | RejectReason::Internal
                | RejectReason::Closing
                | RejectReason::RendezvousCookie
                | RejectReason::MessageApi
                | RejectReason::Congestion
                | RejectReason::Filter
                | RejectReason::Timeout
                | RejectReason::Crypto
                | RejectReason::Server(_)
                | RejectReason::Other(_) => "refused",
            },
        }
    }

    /// The place, what is wrong, and what to do. `place` is `host:port`.
    pub fn in_words(&self, place: &str) -> String {
        match self {
            Self::NoAnswer { step: Step::Induction, unreachable: true } => {
                format!("nothing listens at {place}: check address and port, and that the server is running")
            }
            Self::NoAnswer { step: Step::Induction, unreachable: false } => {
                format!("{place} does not answer: check address, port and that UDP passes the firewall")
            }
            Self::NoAnswer { step: Step::Conclusion, .. } => format!(
                "{place} answers but does not decide: the server is stuck, does not want this stream, or larger UDP \
                 packets are lost on the way"
            ),
            Self::Closed => format!("{place} hangs up during the handshake: check the server's log"),
            Self::Unsuitable(unsuitable) => unsuitable.in_words(place),
            Self::Refused { reason, encrypted } => refused(*reason, *encrypted, place),
        }
    }
}

impl Unsuitable {
    fn in_words(self, place: &str) -> String {
        match self {
            Self::TooOld => {
                format!("{place} does not speak SRT 1.3 or newer: check address and port, update the server")
            }
            Self::Nonsense(what) => format!("{place} answers the handshake with nonsense ({what}): tell its operator"),
            Self::NoGroup => format!(
                "{place} does not know groups (bonding): use a single link, or a server that has them switched on \
                 (libsrt: groupconnect)"
            ),
            Self::OtherGroup => format!(
                "{place} answers for another group than the other links: all links have to reach the same server, and \
                 it may have restarted"
            ),
            Self::Filter => {
                format!("{place} demands a packet filter (FEC), which is not supported: switch it off there")
            }
            Self::SmallPackets { most, needed } => format!(
                "{place} takes packets with at most {most} bytes of payload, and the stream's have {needed}: set its MSS \
                 to 1500, or to {} at least (libsrt: SRTO_MSS; srt-tokio: max_payload_size, which it sends as its MSS)",
                needed + HEADER_LEN + UDP_HEADER_LEN
            ),
            Self::NotLive => format!("{place} is not in live mode: configure the server for live streaming"),
        }
    }
}

fn refused(reason: RejectReason, encrypted: bool, place: &str) -> String {
    match reason {
        RejectReason::Unknown => format!("{place} refuses without a reason: check the stream id, ask its operator"),
        RejectReason::Peer => format!("{place} refuses this stream: check the stream id, ask its operator"),
        RejectReason::System | RejectReason::Internal => {
            format!("{place} refuses because of an error of its own: check the server's log")
        }
        RejectReason::Resource => format!("{place} refuses for lack of resources, or this stream id: ask its operator"),
        RejectReason::Rogue => {
            format!("{place} does not understand the handshake: check that it is an SRT listener in live mode")
        }
        RejectReason::Backlog => format!("{place} has too many callers at the moment"),
        RejectReason::Closing => format!("{place} is shutting down"),
        RejectReason::Version => format!("{place} demands another SRT version: update the older of the two"),
        RejectReason::RendezvousCookie => format!("{place} is in rendezvous mode: configure it as a listener"),
        RejectReason::BadSecret => format!("{place} has another passphrase: check it on both sides"),
        RejectReason::Unsecure if encrypted => {
            format!("{place} has no passphrase, and one is configured here: set it there, or remove it here")
        }
        RejectReason::Unsecure => format!("{place} demands a passphrase, and none is configured here"),
        RejectReason::MessageApi => format!("{place} is in stream mode: configure it for live mode"),
        RejectReason::Congestion => format!("{place} is in file mode: configure it for live mode"),
        RejectReason::Filter => format!("{place} demands a packet filter (FEC): switch it off there"),
        RejectReason::Group => Unsuitable::NoGroup.in_words(place),
        RejectReason::Timeout => format!("{place} took too long to decide"),
        RejectReason::Crypto => format!("{place} demands another cipher (AES-GCM): configure AES-CTR there"),
        RejectReason::Server(400) => format!("{place} does not understand the stream id: check its spelling"),
        RejectReason::Server(401) => format!("{place} does not accept this user: check user and stream id"),
        RejectReason::Server(402) => format!("{place} is overloaded, or its quota is used up"),
        RejectReason::Server(403) => format!("{place} does not allow this stream: check the stream id and its rights"),
        RejectReason::Server(404) => format!("{place} has no such stream: check the stream id"),
        RejectReason::Server(405) => {
            format!("{place} does not allow this mode: check m= in the stream id (publish to send)")
        }
        RejectReason::Server(409 | 423) => format!(
            "{place} says somebody is publishing this stream already: stop the other encoder, or wait until the server \
             lets go of the previous connection"
        ),
        RejectReason::Server(415) => format!("{place} does not take this kind of media"),
        RejectReason::Server(503) => format!("{place} is out of service at the moment"),
        RejectReason::Server(_) | RejectReason::Other(_) => {
            format!("{place} refuses with code {}: ask its operator", reason.code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_to_do() {
        let refused = |code, encrypted| Trouble::Refused { reason: RejectReason::from_code(code), encrypted };
        for (trouble, begins, code) in [
            (refused(1010, true), "a:1 has another passphrase", "wrong-passphrase"),
            (refused(1011, true), "a:1 has no passphrase", "passphrase-unexpected"),
            (refused(1011, false), "a:1 demands a passphrase", "passphrase-missing"),
            (refused(1015, false), "a:1 does not know groups", "no-group"),
            (refused(2404, false), "a:1 has no such stream", "no-such-stream"),
            (refused(2409, false), "a:1 says somebody is publishing", "stream-busy"),
            (refused(3007, false), "a:1 refuses with code 3007", "refused"),
            (
                Trouble::Unsuitable(Unsuitable::SmallPackets { most: 1272, needed: 1316 }),
                "a:1 takes packets with at most 1272 bytes of payload, and the stream's have 1316: set its MSS to 1500, or \
                 to 1360 at least",
                "small-packets",
            ),
            (
                Trouble::NoAnswer { step: Step::Induction, unreachable: true },
                "nothing listens at a:1",
                "nothing-listens",
            ),
        ] {
            assert!(trouble.in_words("a:1").starts_with(begins), "{}", trouble.in_words("a:1"));
            assert_eq!(trouble.code(), code);
        }
        assert!(refused(2409, false).is_busy() && !refused(2409, false).needs_operator());
        assert!(refused(1010, true).needs_operator());
    }

    #[test]
    fn every_code_has_words() {
        for code in (1000..1020).chain(2399..2520).chain([3000, 0x7fff_ffff]) {
            let trouble = Trouble::Refused { reason: RejectReason::from_code(code), encrypted: false };
            assert!(trouble.in_words("a:1").contains("a:1"), "{code}");
        }
    }
}
