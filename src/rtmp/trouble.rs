//! Everything that can go wrong with a destination, in words an operator can act on.

use std::time::Duration;

use crate::config::{InterfaceName, RtmpUrl};
use crate::model::Codec;

/// What a session waits for. Every wait has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// S0 S1 S2.
    Handshake,
    /// The answer to `connect`.
    Connect,
    /// The answer to `createStream`.
    CreateStream,
    /// Nothing: it is a standby, and ready.
    Standby,
    /// `NetStream.Publish.Start`.
    Publish,
    /// The far end to take what is left, and close.
    Ending,
}

/// Why a server said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not know the stream key, or the key has expired.
    WrongKey,
    /// It says somebody is publishing with this key already.
    NameBusy,
    /// It accepted and hung up within two seconds, which is how some servers say that the key is in use.
    DroppedAtOnce,
    /// It does not know the application.
    NoSuchApp,
    /// It wants a user name and a password.
    AuthenticationNeeded,
    /// It cannot take this codec.
    CodecNotAccepted(Codec),
    /// Anything else.
    Other {
        /// What it said, made harmless by [`sanitise`].
        said: String,
    },
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The name has no address.
    NameLookup,
    /// ECONNREFUSED.
    ConnectionRefused,
    /// No route to the network or the host.
    Unreachable,
    /// The interface it is pinned to is not there.
    NoInterface(InterfaceName),
    /// The system does not let us pin it to this interface.
    MayNotPin(InterfaceName),
    /// The data cap of the only interface that is left is reached, and its operator bars it then.
    DataCap(InterfaceName),
    /// TCP did not come up in time.
    ConnectTimeout,
    /// The certificate is for another name.
    TlsName,
    /// The certificate is not signed by an authority we know.
    TlsUntrusted,
    /// The certificate is not valid today.
    TlsDates,
    /// Whatever answers does not speak TLS.
    TlsNotSpoken,
    /// Whatever answers takes the connection and then says nothing.
    TlsNoAnswer,
    /// Another TLS failure.
    Tls {
        /// From the TLS library.
        detail: String,
    },
    /// The configured authority cannot be read.
    CaFile {
        /// Why.
        detail: String,
    },
    /// Whatever answers does not speak RTMP.
    NotRtmp,
    /// The server did not answer in time.
    NoAnswer(Step),
    /// The server closed the connection before publishing was accepted.
    ClosedDuring(Step),
    /// The server said no.
    Refused(Refusal),
    /// The connection of a running session broke.
    ConnectionLost {
        /// `closed by the server`, `reset`, …
        how: &'static str,
    },
    /// This box has the address no more that the session was connected from.
    Uprooted,
    /// The far end's TCP confirmed nothing for this long while data was waiting.
    NoProgress(Duration),
    /// The server broke the protocol.
    Protocol {
        /// What it did.
        detail: String,
    },
}

impl Trouble {
    /// Whether it is likely to stay until somebody changes the configuration or the server.
    pub const fn needs_operator(&self) -> bool {
        match self {
            Self::TlsName | Self::TlsUntrusted | Self::TlsDates | Self::TlsNotSpoken | Self::CaFile { .. } => true,
            Self::MayNotPin(_) | Self::DataCap(_) => true,
            Self::NotRtmp => true,
            Self::Refused(refusal) => match refusal {
                Refusal::WrongKey
                | Refusal::NameBusy
                | Refusal::NoSuchApp
                | Refusal::AuthenticationNeeded
                | Refusal::CodecNotAccepted(_)
                | Refusal::Other { .. } => true,
                Refusal::DroppedAtOnce => false,
            },
            Self::NameLookup
            | Self::ConnectionRefused
            | Self::Unreachable
            | Self::NoInterface(_)
            | Self::ConnectTimeout
            | Self::TlsNoAnswer
            | Self::Tls { .. }
            | Self::NoAnswer(_)
            | Self::ClosedDuring(_)
            | Self::ConnectionLost { .. }
            | Self::Uprooted
            | Self::NoProgress(_)
            | Self::Protocol { .. } => false,
        }
    }

    /// Whether the far end probably still holds another session with this key.
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Refused(Refusal::NameBusy | Refusal::DroppedAtOnce))
    }

    /// Whether another link or another server might do better. Whoever is refused is refused over any link, and whoever finds
    /// the name busy has to wait for it.
    pub const fn may_be_the_way(&self) -> bool {
        !self.needs_operator() && !self.is_busy()
    }

    /// A word for the event's evidence, stable across releases.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NameLookup => "name-lookup",
            Self::ConnectionRefused => "connection-refused",
            Self::Unreachable => "unreachable",
            Self::NoInterface(_) => "no-interface",
            Self::MayNotPin(_) => "may-not-pin",
            Self::DataCap(_) => "data-cap",
            Self::ConnectTimeout => "connect-timeout",
            Self::TlsName => "tls-name",
            Self::TlsUntrusted => "tls-untrusted",
            Self::TlsDates => "tls-dates",
            Self::TlsNotSpoken => "tls-not-spoken",
            Self::TlsNoAnswer => "tls-no-answer",
            Self::Tls { .. } => "tls",
            Self::CaFile { .. } => "ca-file",
            Self::NotRtmp => "not-rtmp",
            Self::NoAnswer(_) => "no-answer",
            Self::ClosedDuring(_) => "closed-during-setup",
            Self::Refused(refusal) => match refusal {
                Refusal::WrongKey => "wrong-key",
                Refusal::NameBusy => "name-busy",
                Refusal::DroppedAtOnce => "dropped-at-once",
                Refusal::NoSuchApp => "no-such-app",
                Refusal::AuthenticationNeeded => "authentication-needed",
                Refusal::CodecNotAccepted(_) => "codec-not-accepted",
                Refusal::Other { .. } => "refused",
            },
            Self::ConnectionLost { .. } => "connection-lost",
            Self::Uprooted => "uprooted",
            Self::NoProgress(_) => "no-progress",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// The place, what is wrong, and what to do.
    pub fn in_words(&self, url: &RtmpUrl) -> String {
        let place = place(url);
        let RtmpUrl { host, tls, .. } = url;
        let app = url.app.split('?').next().unwrap_or_default();
        match self {
            Self::NameLookup => format!("the name {host} cannot be looked up: check its spelling and the network"),
            Self::ConnectionRefused => {
                format!("nothing listens at {place}: check address and port, and that the server is running")
            }
            Self::Uprooted => {
                format!("this box does not have the address any more from which it was connected to {place}")
            }
            Self::Unreachable => format!("there is no way to {place}: check the cable and the network"),
            Self::NoInterface(interface) => {
                format!("there is no interface {interface}: plug it in, or name another one (`ip link` lists them)")
            }
            Self::MayNotPin(interface) => {
                format!("this system does not let Holdfast pin a connection to {interface}: run it with CAP_NET_RAW")
            }
            Self::DataCap(interface) => format!(
                "the data cap of {interface} is reached, and nothing else works: plug in another link, raise data_cap, or set \
                 at_cap = \"last-resort\" to go on over it"
            ),
            Self::ConnectTimeout => format!("{place} does not answer: check address, port and firewall"),
            Self::TlsName => format!("the certificate at {place} is for another name than {host}: check the address"),
            Self::TlsUntrusted => format!(
                "the certificate at {place} is not signed by an authority this box knows: check the address, or name \
                 the authority's PEM file in ca_file"
            ),
            Self::TlsDates => format!(
                "the certificate at {place} is not valid today: check the box's clock, then tell the server's operator"
            ),
            Self::TlsNotSpoken => {
                format!("{place} does not speak TLS: use rtmp:// or the port the server has for rtmps")
            }
            Self::TlsNoAnswer => format!(
                "{place} takes connections but does not begin TLS: the server is stuck, or the address should be rtmp://"
            ),
            Self::Tls { detail } => format!("no secure connection to {place}: {detail}"),
            Self::CaFile { detail } => format!("ca_file cannot be used: {detail}"),
            Self::NotRtmp if *tls => format!("{place} does not speak RTMP: check address and port"),
            Self::NotRtmp => format!("{place} does not speak RTMP: check address and port, or use rtmps://"),
            Self::NoAnswer(step) => match step {
                Step::Handshake => format!(
                    "{place} takes connections but does not answer: the server is stuck, or it is not an RTMP server"
                ),
                Step::Connect => format!("{place} does not answer for the application {app}: check the address"),
                Step::CreateStream | Step::Standby | Step::Publish => {
                    format!("{place} does not answer the request to publish: check the stream key")
                }
                Step::Ending => format!("{place} did not confirm the end"),
            },
            Self::ClosedDuring(step) => match step {
                Step::Handshake if !tls => {
                    format!("{place} hangs up at once: check address and port, or use rtmps://")
                }
                Step::Handshake => format!("{place} hangs up at once: check address and port"),
                Step::Connect => format!("{place} hangs up at the application {app}: check the address"),
                Step::CreateStream | Step::Publish => {
                    format!(
                        "{place} hangs up when asked to publish: check the stream key, and that nobody else uses it"
                    )
                }
                Step::Standby => format!("{place} hung up on a standby"),
                Step::Ending => format!("{place} hung up at the end"),
            },
            Self::Refused(refusal) => match refusal {
                Refusal::WrongKey => format!("{place} does not accept the stream key: check it, or get another"),
                Refusal::NameBusy => format!(
                    "{place} says somebody is publishing with this stream key already: stop the other encoder, or wait \
                     until the server lets go of the previous session"
                ),
                Refusal::DroppedAtOnce => format!(
                    "{place} accepts and hangs up at once: the stream key is probably in use by another session, or wrong"
                ),
                Refusal::NoSuchApp => format!("{place} has no application {app}: check the address"),
                Refusal::AuthenticationNeeded => format!("{place} wants a user name and a password"),
                Refusal::CodecNotAccepted(codec) => {
                    format!("{place} does not take {}: send it a rendition with another codec", codec.label())
                }
                Refusal::Other { said } => format!("{place} refuses: \u{201c}{said}\u{201d}"),
            },
            Self::ConnectionLost { how } => format!("the connection to {place} broke ({how})"),
            Self::NoProgress(time) => {
                format!("{place} has taken nothing for {} s: the network or the server is stuck", time.as_secs())
            }
            Self::Protocol { detail } => format!("{place} broke the protocol: {detail}"),
        }
    }
}

/// `host:port`, as people write it.
fn place(url: &RtmpUrl) -> String {
    if url.host.contains(':') { format!("[{}]:{}", url.host, url.port) } else { format!("{}:{}", url.host, url.port) }
}

/// Reads a server's `code` and `description`. `video` is the codec that was offered, `secret` the stream name.
pub fn classify(code: &str, description: &str, video: Codec, secret: &str) -> Refusal {
    let said = description.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let wants_login =
        code.starts_with("NetConnection") && says(&["authmod", "authentication", "need auth", "needauth"]);
    let says_busy = says(&["already", "in use", "busy", "duplicate", "exist and publishing"]);
    match code {
        "NetConnection.Connect.InvalidApp" => Refusal::NoSuchApp,
        _ if wants_login => Refusal::AuthenticationNeeded,
        "NetConnection.Connect.Rejected" | "NetConnection.Connect.Failed" if says(&["app", "vhost"]) => {
            Refusal::NoSuchApp
        }
        _ if says(&["codec", "fourcc"]) => Refusal::CodecNotAccepted(video),
        "NetStream.Publish.BadName" if !says_busy && says(&["invalid", "key", "auth", "denied", "not found"]) => {
            Refusal::WrongKey
        }
        "NetStream.Publish.BadName" | "NetStream.Publish.AlreadyPublishing" => Refusal::NameBusy,
        _ if code.starts_with("NetStream.Publish") && says_busy => Refusal::NameBusy,
        "NetStream.Publish.Rejected"
        | "NetStream.Publish.Denied"
        | "NetStream.Publish.Unauthorized"
        | "NetStream.Publish.Failed"
        | "NetStream.Authenticate.Failed" => Refusal::WrongKey,
        _ => Refusal::Other { said: sanitise(code, description, secret) },
    }
}

/// Longest text of a server that is passed on.
const MAX_SAID: usize = 200;

/// Values in a query that are shorter than this are no tokens, and may be words that a server says anyway.
const LEAST_TOKEN: usize = 6;

/// A server's words about an address, without what is shown of it nowhere: the query of its application, which may be a token.
pub fn without_query(said: &str, app: &str) -> String {
    let query = app.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
    let hidden = std::iter::once(query).chain(values.filter(|value| value.len() >= LEAST_TOKEN));
    hidden.filter(|part| !part.is_empty()).fold(said.to_owned(), |said, part| said.replace(part, "•••"))
}

/// A server's own words: one line of printable text, bounded, without the stream key.
pub fn sanitise(code: &str, description: &str, secret: &str) -> String {
    let mut said = match (code.is_empty(), description.is_empty()) {
        (false, false) => format!("{code}: {description}"),
        (false, true) => code.to_owned(),
        (true, false) => description.to_owned(),
        (true, true) => "no reason given".to_owned(),
    };
    // A key may come back whole or without the query it was sent with.
    for part in [secret, secret.split('?').next().unwrap_or_default()] {
        if !part.is_empty() {
            said = said.replace(part, "•••");
        }
    }
    let mut line: String =
        said.chars().map(|c| if c.is_control() || c == '\u{2028}' { ' ' } else { c }).take(MAX_SAID).collect();
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_known_servers_are_understood() {
        let cases = [
            // nginx-rtmp, node-media-server, SRS, Adobe Media Server, Wowza, Red5.
            ("NetStream.Publish.BadName", "Already publishing", Refusal::NameBusy),
            ("NetStream.Publish.BadName", "Stream already publishing", Refusal::NameBusy),
            ("NetStream.Publish.BadName", "", Refusal::NameBusy),
            ("NetStream.Publish.BadName", "Invalid stream key", Refusal::WrongKey),
            ("NetStream.Publish.Rejected", "", Refusal::WrongKey),
            ("NetStream.Publish.BadName", "Authentication failed", Refusal::WrongKey),
            ("NetStream.Publish.Failed", "unsupported codec", Refusal::CodecNotAccepted(Codec::Hevc)),
            ("NetStream.Publish.Rejected", "stream is already in use", Refusal::NameBusy),
            ("NetConnection.Connect.InvalidApp", "Application (live2) is not defined.", Refusal::NoSuchApp),
            (
                "NetConnection.Connect.Rejected",
                "[ Server.Reject ] : (_defaultRoot_, ) : Invalid application name(/x).",
                Refusal::NoSuchApp,
            ),
            (
                "NetConnection.Connect.Rejected",
                "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
                Refusal::AuthenticationNeeded,
            ),
        ];
        for (code, description, expected) in cases {
            assert_eq!(classify(code, description, Codec::Hevc, "k"), expected, "{code} {description}");
        }
    }

    #[test]
    fn an_unknown_answer_is_quoted_in_one_bounded_line_without_the_key() {
        let said = format!("\u{1b}[31mno\n/live/s3cr3t?x=1 and s3cr3t {}", "x".repeat(500));
        let Refusal::Other { said } = classify("NetStream.Odd", &said, Codec::Av1, "s3cr3t?x=1") else {
            unreachable!("nothing else fits")
        };
        assert!(said.starts_with("NetStream.Odd:  [31mno /live/••• and ••• xx"), "{said:?}");
        assert_eq!(said.chars().count(), MAX_SAID);
    }

    #[test]
    fn words_name_the_place_and_never_the_query_of_the_application() {
        let url = RtmpUrl { tls: false, host: "::1".into(), port: 1935, app: "live?token=abc".into() };
        let words = Trouble::Refused(Refusal::NoSuchApp).in_words(&url);
        assert_eq!(words, "[::1]:1935 has no application live: check the address");
    }
}
