//! What of a publisher's stream is not passed on, and why.

use std::fmt;

use crate::model::{Codec, Track};
use crate::mux::MuxError;

/// Why a tag is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// A codec that the box does not take.
    Codec(Foreign),
    /// A further track of Enhanced RTMP v2, by its number.
    Track(Track, u8),
    /// Several tracks in one tag, which nobody sends live.
    ManyTracks(Track),
    /// A packet type that is not known here.
    Packet(Track, u8),
    /// Before its decoder configuration.
    Undecodable(Codec),
    /// No picture and no packet is in it.
    Empty(Codec),
    /// Not as its format wants it.
    Malformed(Track, MuxError),
}

/// A codec by the name the publisher gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Its number in a legacy tag (FLV 10.1 Annex E.4.2.1, E.4.3.1).
    Number(Track, u8),
    /// Its FourCC.
    FourCc(Track, [u8; 4]),
}

impl Foreign {
    /// Picture or sound.
    pub const fn track(self) -> Track {
        match self {
            Self::Number(track, _) | Self::FourCc(track, _) => track,
        }
    }
}

impl LeftOut {
    /// Worth telling people: something they sent is not there. The rest goes with a stream's beginning, or says itself.
    pub const fn is_a_loss(&self) -> bool {
        match self {
            Self::Codec(_) | Self::ManyTracks(_) | Self::Packet(..) | Self::Malformed(..) => true,
            Self::Track(..) | Self::Undecodable(_) | Self::Empty(_) => false,
        }
    }
}

const fn word(track: Track) -> &'static str {
    match track {
        Track::Video => "picture",
        Track::Audio => "sound",
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |f: &mut fmt::Formatter<'_>, number| write!(f, "codec number {number}");
        match *self {
            Self::Number(Track::Video, 2) => f.write_str("Sorenson H.263"),
            Self::Number(Track::Video, 3 | 6) => f.write_str("Screen Video"),
            Self::Number(Track::Video, 4 | 5) => f.write_str("VP6"),
            Self::Number(Track::Video, 12) => f.write_str("HEVC by a number instead of Enhanced RTMP"),
            Self::Number(Track::Audio, 0 | 1 | 3) => f.write_str("PCM"),
            Self::Number(Track::Audio, 2 | 14) => f.write_str("MP3"),
            Self::Number(Track::Audio, 4..=6) => f.write_str("Nellymoser"),
            Self::Number(Track::Audio, 7 | 8) => f.write_str("G.711"),
            Self::Number(Track::Audio, 11) => f.write_str("Speex"),
            Self::Number(_, other) => number(f, other),
            Self::FourCc(_, four) => write!(f, "\"{}\"", four.escape_ascii()),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(foreign) => {
                let takes = match foreign.track() {
                    Track::Video => "H.264, HEVC and AV1",
                    Track::Audio => "AAC and Opus",
                };
                let what = word(foreign.track());
                write!(f, "its {what} is {foreign}, which is left out: {takes} are taken")
            }
            Self::Track(track, number) => write!(f, "{} track {number} is left out: the first is taken", word(*track)),
            Self::ManyTracks(track) => write!(f, "several {} tracks in one message are left out", word(*track)),
            Self::Packet(track, number) => write!(f, "{} packets of type {number} are left out", word(*track)),
            Self::Undecodable(codec) => {
                write!(f, "{} before its decoder configuration is left out", codec.label())
            }
            Self::Empty(codec) => write!(f, "a message of {} without coded data is left out", codec.label()),
            Self::Malformed(track, error) => write!(f, "a message of its {} is left out: {error}", word(*track)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_says_what_would_be_taken_and_holds_nothing_that_a_terminal_obeys() {
        let said = |foreign| LeftOut::Codec(foreign).to_string();
        assert_eq!(
            said(Foreign::Number(Track::Audio, 2)),
            "its sound is MP3, which is left out: AAC and Opus are taken"
        );
        assert_eq!(
            said(Foreign::FourCc(Track::Video, *b"vp09")),
            "its picture is \"vp09\", which is left out: H.264, HEVC and AV1 are taken"
        );
        assert!(said(Foreign::FourCc(Track::Video, *b"\x1b[2J")).chars().all(|c| !c.is_control()));
    }
}
