//! What a server says (RTMP 1.0 §7.2; Enhanced RTMP v2, *Enhancing NetConnection connect Command*), and what it reads in
//! a publisher's description of its stream.

use crate::model::Codec;
use crate::mux::flv::fourcc;
use crate::mux::flv::read::{Announced, rate_of};
use crate::rtmp::amf0::{Decoder, Value, encode_all};

/// The only message stream a connection has here.
pub(super) const STREAM: u32 = 1;
/// Longest text of a publisher's that is shown to people, characters.
const MAX_SAID: usize = 64;

/// `level` of an information object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Status,
    Error,
}

fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn information(level: Level, code: &'static str, description: &str) -> [(&'static str, Value); 3] {
    let level = match level {
        Level::Status => "status",
        Level::Error => "error",
    };
    [("level", Value::text(level)), ("code", Value::text(code)), ("description", Value::text(description))]
}

/// Version and abilities as a server of the kind that encoders know says them.
fn properties() -> Value {
    object([("fmsVer", Value::text("FMS/3,0,1,123")), ("capabilities", Value::Number(31.0))])
}

/// `_result` of `connect`, with the codecs that are taken.
pub(super) fn connected(transaction: f64) -> Vec<u8> {
    const CAN_DECODE: f64 = 1.0;
    /// ModEx and TimestampNanoOffset are read; of several tracks only the first is.
    const CAPS: f64 = 12.0;
    const VIDEO: [Codec; 3] = [Codec::H264, Codec::Hevc, Codec::Av1];
    const AUDIO: [Codec; 2] = [Codec::Aac, Codec::Opus];
    let name = |codec: &Codec| String::from_utf8_lossy(&fourcc(*codec)).into_owned();
    let map =
        |codecs: &[Codec]| Value::Object(codecs.iter().map(|codec| (name(codec), Value::Number(CAN_DECODE))).collect());
    let information = information(Level::Status, "NetConnection.Connect.Success", "Connection succeeded.");
    let enhanced = [
        ("objectEncoding", Value::Number(0.0)),
        ("fourCcList", Value::StrictArray(VIDEO.iter().chain(&AUDIO).map(|codec| Value::text(name(codec))).collect())),
        ("videoFourCcInfoMap", map(&VIDEO)),
        ("audioFourCcInfoMap", map(&AUDIO)),
        ("capsEx", Value::Number(CAPS)),
    ];
    let information = object(information.into_iter().chain(enhanced));
    encode_all(&[Value::text("_result"), Value::Number(transaction), properties(), information])
}

/// `_error` to any command.
pub(super) fn error(transaction: f64, code: &'static str, description: &str) -> Vec<u8> {
    let information = object(information(Level::Error, code, description));
    encode_all(&[Value::text("_error"), Value::Number(transaction), Value::Null, information])
}

/// `_result` without anything in it.
pub(super) fn done(transaction: f64) -> Vec<u8> {
    encode_all(&[Value::text("_result"), Value::Number(transaction), Value::Null, Value::Undefined])
}

/// `_result` of `createStream`.
pub(super) fn stream_created(transaction: f64) -> Vec<u8> {
    let stream = Value::Number(STREAM.into());
    encode_all(&[Value::text("_result"), Value::Number(transaction), Value::Null, stream])
}

/// `onFCPublish`, which some encoders wait for.
pub(super) fn on_fc_publish() -> Vec<u8> {
    let information = object(information(Level::Status, "NetStream.Publish.Start", ""));
    encode_all(&[Value::text("onFCPublish"), Value::Number(0.0), Value::Null, information])
}

/// `onStatus`.
pub(super) fn status(level: Level, code: &'static str, description: &str) -> Vec<u8> {
    let information = object(information(level, code, description));
    encode_all(&[Value::text("onStatus"), Value::Number(0.0), Value::Null, information])
}

/// Data that describes the stream: `@setDataFrame onMetaData`, or `onMetaData` alone. `None` for any other.
pub(super) fn announced(payload: &[u8]) -> Option<Announced> {
    let mut decoder = Decoder::new(payload);
    let mut next = || decoder.next_value().ok().flatten();
    let mut name = next()?;
    if name.as_str() == Some("@setDataFrame") {
        name = next()?;
    }
    if name.as_str() != Some("onMetaData") {
        return None;
    }
    let facts = next()?;
    let number = |name: &str| facts.property(name).and_then(Value::as_number);
    let bits = |name| number(name).filter(|k| (0.0..=4e6).contains(k)).map_or(0, |k| (k * 1000.0).round() as u32);
    Some(Announced {
        rate: number("framerate").or_else(|| number("fps")).and_then(rate_of),
        video_bitrate: bits("videodatarate"),
        audio_bitrate: bits("audiodatarate"),
    })
}

/// A publisher's own words, fit to be shown: one short line.
pub(super) fn harmless(said: &str) -> Option<String> {
    let plain = said.chars().filter(|c| !c.is_control() && *c != '\u{2028}').take(MAX_SAID).collect::<String>();
    Some(plain.trim().to_owned()).filter(|plain| !plain.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::FrameRate;
    use crate::rtmp::command::{Command, is_left_out};

    #[test]
    fn our_own_client_finds_every_codec_in_the_answer() {
        let answer = Command::parse(&connected(1.0)).unwrap();
        assert_eq!((answer.name.as_str(), answer.transaction), ("_result", 1.0));
        assert_eq!(answer.text("code"), Some("NetConnection.Connect.Success"));
        for codec in [Codec::H264, Codec::Hevc, Codec::Av1, Codec::Aac, Codec::Opus] {
            assert!(!is_left_out(&answer, codec), "{codec:?}");
        }
    }

    #[test]
    fn a_description_is_read_in_either_form() {
        let facts = Value::EcmaArray(vec![
            ("framerate".into(), Value::Number(29.97)),
            ("videodatarate".into(), Value::Number(2500.0)),
            ("audiodatarate".into(), Value::Number(f64::INFINITY)),
        ]);
        let wanted =
            Announced { rate: Some(FrameRate { num: 30_000, den: 1001 }), video_bitrate: 2_500_000, audio_bitrate: 0 };
        let whole = encode_all(&[Value::text("@setDataFrame"), Value::text("onMetaData"), facts.clone()]);
        assert_eq!(announced(&whole), Some(wanted));
        assert_eq!(announced(&encode_all(&[Value::text("onMetaData"), facts.clone()])), Some(wanted));
        assert_eq!(announced(&encode_all(&[Value::text("onTextData"), facts])), None);
        assert_eq!(announced(b"\x02"), None);
    }

    #[test]
    fn a_publishers_words_are_one_short_line() {
        assert_eq!(harmless(" FMLE/3.0\n\x1b[2J "), Some("FMLE/3.0[2J".to_owned()));
        assert_eq!(harmless(&"x".repeat(1000)).unwrap().len(), MAX_SAID);
        assert_eq!(harmless("\n"), None);
    }
}
