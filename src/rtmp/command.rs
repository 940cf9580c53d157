//! Commands (RTMP 1.0 §7.2): what a publisher says, and how it reads what it is told.

use super::amf0::{AmfError, Decoder, Value, encode_all};
use crate::model::Codec;
use crate::mux::flv::{Fact, StreamFacts, fourcc};

/// Transaction ids of the requests, each sent once per session.
pub mod transaction {
    /// connect.
    pub const CONNECT: f64 = 1.0;
    /// releaseStream.
    pub const RELEASE_STREAM: f64 = 2.0;
    /// FCPublish.
    pub const FC_PUBLISH: f64 = 3.0;
    /// createStream.
    pub const CREATE_STREAM: f64 = 4.0;
    /// publish.
    pub const PUBLISH: f64 = 5.0;
    /// FCUnpublish.
    pub const FC_UNPUBLISH: f64 = 6.0;
    /// deleteStream.
    pub const DELETE_STREAM: f64 = 7.0;
}

/// A received command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// `_result`, `onStatus`, …
    pub name: String,
    /// 0 where the peer left it out.
    pub transaction: f64,
    /// Command object and arguments.
    pub arguments: Vec<Value>,
}

impl Command {
    /// Reads a command message. Only the name must be there: FFmpeg sends `onFCPublish` without transaction id, and
    /// what cannot be read behind the name is left out.
    ///
    /// # Errors
    /// [`AmfError`] if there is no name.
    pub fn parse(payload: &[u8]) -> Result<Self, AmfError> {
        let mut decoder = Decoder::new(payload);
        let name = match decoder.next_value()? {
            Some(Value::String(name)) => name,
            _ => return Err(AmfError::Marker { marker: payload.first().copied().unwrap_or(0), at: 0 }),
        };
        let mut command = Self { name, transaction: 0.0, arguments: Vec::new() };
        while let Ok(Some(value)) = decoder.next_value() {
            if let (Value::Number(number), true, 0.0) = (&value, command.arguments.is_empty(), command.transaction) {
                command.transaction = *number;
            } else {
                command.arguments.push(value);
            }
        }
        Ok(command)
    }

    /// A text property of the first argument that has it: servers put `code` into either of two objects.
    pub fn text(&self, property: &str) -> Option<&str> {
        self.arguments.iter().find_map(|a| a.property(property)?.as_str())
    }
}

fn request(name: &str, transaction: f64, arguments: impl IntoIterator<Item = Value>) -> Vec<u8> {
    let mut values = vec![Value::text(name), Value::Number(transaction), Value::Null];
    values.extend(arguments);
    encode_all(&values)
}

/// `connect` with the capabilities of Enhanced RTMP v2 (*Enhancing NetConnection connect Command*): the codecs this box
/// can send, and ReconnectRequest, which is the one optional capability it implements.
pub fn connect(app: &str, tc_url: &str) -> Vec<u8> {
    const CAN_ENCODE: f64 = 2.0;
    const CAPS_RECONNECT: f64 = 1.0;
    const VIDEO: [Codec; 3] = [Codec::H264, Codec::Hevc, Codec::Av1];
    const AUDIO: [Codec; 2] = [Codec::Aac, Codec::Opus];
    let name = |codec: &Codec| String::from_utf8_lossy(&fourcc(*codec)).into_owned();
    let map =
        |codecs: &[Codec]| Value::Object(codecs.iter().map(|codec| (name(codec), Value::Number(CAN_ENCODE))).collect());
    let object = [
        ("app", Value::text(app)),
        ("type", Value::text("nonprivate")),
        ("flashVer", Value::text("FMLE/3.0 (compatible; Holdfast)")),
        ("tcUrl", Value::text(tc_url)),
        // The form of v1, for servers that know only that.
        ("fourCcList", Value::StrictArray([Codec::Hevc, Codec::Av1].iter().map(|c| Value::text(name(c))).collect())),
        ("videoFourCcInfoMap", map(&VIDEO)),
        ("audioFourCcInfoMap", map(&AUDIO)),
        ("capsEx", Value::Number(CAPS_RECONNECT)),
    ];
    let object = Value::Object(object.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    encode_all(&[Value::text("connect"), Value::Number(transaction::CONNECT), object])
}

/// `releaseStream`: asks the server to let go of a previous session of this key. Not in the specification; every
/// encoder sends it, and some ingests need it.
pub fn release_stream(key: &str) -> Vec<u8> {
    request("releaseStream", transaction::RELEASE_STREAM, [Value::text(key)])
}

/// `FCPublish`: as `releaseStream`.
pub fn fc_publish(key: &str) -> Vec<u8> {
    request("FCPublish", transaction::FC_PUBLISH, [Value::text(key)])
}

/// `createStream` (§7.2.1.3).
pub fn create_stream() -> Vec<u8> {
    request("createStream", transaction::CREATE_STREAM, [])
}

/// `publish` (§7.2.2.6).
pub fn publish(key: &str) -> Vec<u8> {
    request("publish", transaction::PUBLISH, [Value::text(key), Value::text("live")])
}

/// `FCUnpublish`: the broadcast is over, as opposed to interrupted.
pub fn fc_unpublish(key: &str) -> Vec<u8> {
    request("FCUnpublish", transaction::FC_UNPUBLISH, [Value::text(key)])
}

/// `deleteStream` (§7.2.2.3).
pub fn delete_stream(stream: u32) -> Vec<u8> {
    request("deleteStream", transaction::DELETE_STREAM, [Value::Number(f64::from(stream))])
}

/// `@setDataFrame onMetaData`.
pub fn metadata(facts: &StreamFacts) -> Vec<u8> {
    let fields = facts.metadata().into_iter().map(|(name, fact)| {
        let value = match fact {
            Fact::Number(number) => Value::Number(number),
            Fact::Flag(truth) => Value::Boolean(truth),
            Fact::Text(text) => Value::String(text),
        };
        (name.to_owned(), value)
    });
    encode_all(&[Value::text("@setDataFrame"), Value::text("onMetaData"), Value::EcmaArray(fields.collect())])
}

/// Whether a server that lists codecs in its answer to `connect` leaves `codec` out. Absence of any list means a server
/// from before Enhanced RTMP, of which nothing is known.
pub fn is_left_out(answer: &Command, codec: Codec) -> bool {
    let name = fourcc(codec);
    let is_named = |text: &str| text == "*" || text.as_bytes() == name;
    let (map, list) = match codec {
        // Legacy tags: every server takes these, listed or not.
        Codec::H264 | Codec::Aac => return false,
        Codec::Hevc | Codec::Av1 => ("videoFourCcInfoMap", Some("fourCcList")),
        // The list of v1 was for video only, so sound may be missing from it.
        Codec::Opus => ("audioFourCcInfoMap", None),
    };
    let mut lists = 0;
    for argument in &answer.arguments {
        if let Some(Value::StrictArray(list)) = list.and_then(|list| argument.property(list)) {
            lists += 1;
            if list.iter().any(|entry| entry.as_str().is_some_and(is_named)) {
                return false;
            }
        }
        if let Some(Value::Object(map) | Value::EcmaArray(map)) = argument.property(map) {
            lists += 1;
            if map.iter().any(|(key, mask)| is_named(key) && mask.as_number().is_some_and(|mask| mask > 0.0)) {
                return false;
            }
        }
    }
    lists > 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn answer(fields: Vec<(&str, Value)>) -> Command {
        let fields = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Command { name: "_result".into(), transaction: 1.0, arguments: vec![Value::Object(fields), Value::Null] }
    }

    #[test]
    fn a_command_without_transaction_id_is_read() {
        let command = Command::parse(b"\x02\0\x0bonFCPublish").unwrap();
        assert_eq!((command.name.as_str(), command.transaction, command.arguments.len()), ("onFCPublish", 0.0, 0));
        let command = Command::parse(b"\x02\0\x08onStatus\0\0\0\0\0\0\0\0\0\x05\x03\0\x04code\x02\0\x01x").unwrap();
        assert_eq!(command.text("code"), Some("x"));
        assert!(Command::parse(b"").is_err());
        assert!(Command::parse(b"\x05").is_err());
    }

    #[test]
    fn connect_names_the_application_first_and_claims_only_what_is_implemented() {
        let command = Command::parse(&connect("live", "rtmp://host/live")).unwrap();
        let Value::Object(fields) = &command.arguments[0] else { unreachable!("an object was written") };
        assert_eq!(fields[0], ("app".to_owned(), Value::text("live")));
        assert_eq!(command.arguments[0].property("capsEx"), Some(&Value::Number(1.0)));
        assert_eq!(
            command.arguments[0].property("fourCcList"),
            Some(&Value::StrictArray(vec![Value::text("hvc1"), Value::text("av01")]))
        );
    }

    #[test]
    fn a_server_that_lists_codecs_without_ours_is_understood_and_one_that_lists_none_is_tried() {
        assert!(!is_left_out(&answer(vec![]), Codec::Hevc));
        let list = |names: &[&str]| Value::StrictArray(names.iter().map(|n| Value::text(*n)).collect());
        assert!(is_left_out(&answer(vec![("fourCcList", list(&["vp09"]))]), Codec::Hevc));
        assert!(!is_left_out(&answer(vec![("fourCcList", list(&["vp09", "hvc1"]))]), Codec::Hevc));
        assert!(!is_left_out(&answer(vec![("fourCcList", list(&["*"]))]), Codec::Av1));
        assert!(!is_left_out(&answer(vec![("fourCcList", list(&["vp09"]))]), Codec::H264));
        assert!(!is_left_out(&answer(vec![("fourCcList", list(&["vp09"]))]), Codec::Opus));
        let map = |key: &str, mask| Value::Object(vec![(key.to_owned(), Value::Number(mask))]);
        assert!(!is_left_out(&answer(vec![("audioFourCcInfoMap", map("Opus", 1.0))]), Codec::Opus));
        assert!(is_left_out(&answer(vec![("audioFourCcInfoMap", map("ac-3", 1.0))]), Codec::Opus));
        assert!(is_left_out(&answer(vec![("videoFourCcInfoMap", map("av01", 0.0))]), Codec::Av1));
    }

    proptest! {
        #[test]
        fn no_bytes_can_hurt(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(command) = Command::parse(&bytes) {
                let _ = is_left_out(&command, Codec::Hevc);
                let _ = command.text("code");
            }
        }
    }
}
