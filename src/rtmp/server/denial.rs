//! Why somebody may not publish, and how a publisher's session ended: to us, and in words to them.

use std::fmt;
use std::time::Duration;

use super::Step;

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The first byte is TLS's.
    Tls,
    /// The first byte is neither that nor RTMP's.
    NotRtmp,
    /// It asked for another application.
    WrongApp,
    /// It gave another stream key.
    WrongKey,
    /// Too many wrong ones came from its address, so that none is looked at for so long.
    Guesses(Duration),
    /// Somebody else is publishing.
    Taken,
    /// It wants to watch.
    Player,
    /// It did not go on.
    Late(Step),
    /// It broke the rules of RTMP before it published.
    Protocol {
        /// How.
        detail: String,
    },
    /// There are as many connections as may be.
    Crowded,
}

/// How a publisher's session ended, or a connection that never was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It said that its broadcast is over.
    Unpublished,
    /// It hung up, or the connection broke; how, in a few words.
    Closed(&'static str),
    /// Nothing came for [`super::SILENCE`].
    Silent,
    /// Another one took the place, since this one had been silent.
    Displaced,
    /// It broke the rules of RTMP.
    Protocol {
        /// How.
        detail: String,
    },
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => f.write_str("it speaks TLS (rtmps), and this input plain RTMP"),
            Self::NotRtmp => f.write_str("it does not speak RTMP"),
            Self::WrongApp => f.write_str("it asked for an application that is not this input's"),
            Self::WrongKey => f.write_str("its stream key is wrong"),
            Self::Guesses(pause) => write!(
                f,
                "too many wrong stream keys came from its address, and none is looked at for another {} s",
                whole_seconds(*pause)
            ),
            Self::Taken => f.write_str("somebody else is publishing to this input"),
            Self::Player => f.write_str("it wants to watch, and this input only takes publishers"),
            Self::Late(step) => write!(f, "it did not get on with {step}"),
            Self::Protocol { detail } => write!(f, "it broke the rules of RTMP: {detail}"),
            Self::Crowded => f.write_str("there are too many connections"),
        }
    }
}

impl Denial {
    /// For whoever set the publisher up: what to change. `app` is what is right here.
    pub(super) fn advice(&self, app: &str) -> String {
        match self {
            Self::WrongApp => {
                format!("No such application here. Publish to rtmp://<this server>/{app} with the stream key")
            }
            Self::WrongKey => "Wrong stream key. Compare it with the one in the settings of this input".to_owned(),
            Self::Guesses(pause) => format!(
                "Too many wrong stream keys from this address. Correct the key and try again in {} s",
                whole_seconds(*pause)
            ),
            Self::Taken => "Another publisher is live on this input. End that one first".to_owned(),
            Self::Player => "This input takes publishers only; there is nothing to play".to_owned(),
            Self::Tls | Self::NotRtmp | Self::Late(_) | Self::Protocol { .. } | Self::Crowded => self.to_string(),
        }
    }
}

/// Rounded up: who comes then is not too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpublished => f.write_str("the publisher ended its broadcast"),
            Self::Closed(how) => f.write_str(how),
            Self::Silent => write!(f, "nothing came for {} s", super::SILENCE.as_secs()),
            Self::Displaced => f.write_str("it was silent, and another publisher came"),
            Self::Protocol { detail } => write!(f, "it broke the rules of RTMP: {detail}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake",
            Self::Connect => "connect",
            Self::CreateStream => "createStream",
            Self::Publish => "publish",
            Self::Live => "its stream",
        })
    }
}
