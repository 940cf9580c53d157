//! AMF0 (*Action Message Format -- AMF 0*, Adobe 2007): the values inside RTMP commands and metadata.
//!
//! The decoder is lenient about what real servers get wrong (missing end markers, wrong counts, odd UTF-8) and strict
//! about resources: depth and number of values are bounded, and nothing is allocated before its bytes are there.

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `00`.
    Number(f64),
    /// `01`.
    Boolean(bool),
    /// `02`, `0c` (long) and `0f` (XML); invalid UTF-8 is replaced.
    String(String),
    /// `03` and `10` (typed), in wire order.
    Object(Vec<(String, Value)>),
    /// `05`.
    Null,
    /// `06`, and `07` (reference), `0d` (unsupported), which carry nothing of use here.
    Undefined,
    /// `08`: an object with a count in front.
    EcmaArray(Vec<(String, Value)>),
    /// `0a`.
    StrictArray(Vec<Value>),
    /// `0b`: milliseconds since 1970; the time zone is reserved and ignored.
    Date(f64),
}

/// Why bytes are not AMF0, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// The bytes end inside a value.
    #[error("AMF0 ends inside a value at byte {at}")]
    Truncated {
        /// Offset.
        at: usize,
    },
    /// A marker that AMF0 does not define.
    #[error("AMF0 marker {marker:#04x} at byte {at} is unknown")]
    Marker {
        /// The marker.
        marker: u8,
        /// Offset.
        at: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("AMF0 nested deeper than {MAX_DEPTH} at byte {at}")]
    Depth {
        /// Offset.
        at: usize,
    },
    /// More than [`MAX_VALUES`] values.
    #[error("more than {MAX_VALUES} AMF0 values by byte {at}")]
    TooMany {
        /// Offset.
        at: usize,
    },
}

/// Deepest nesting accepted.
pub const MAX_DEPTH: usize = 16;
/// Most values accepted in one decoder's life, nested ones included.
pub const MAX_VALUES: usize = 4096;

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0A;
const DATE: u8 = 0x0B;
const LONG_STRING: u8 = 0x0C;
const UNSUPPORTED: u8 = 0x0D;
const XML: u8 = 0x0F;
const TYPED_OBJECT: u8 = 0x10;

impl Value {
    /// A string value.
    pub fn text(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// A property of an object or ECMA array.
    pub fn property(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) | Self::EcmaArray(fields) => fields.iter().find(|(key, _)| key == name).map(|f| &f.1),
            Self::Number(_)
            | Self::Boolean(_)
            | Self::String(_)
            | Self::Null
            | Self::Undefined
            | Self::StrictArray(_)
            | Self::Date(_) => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The number of a number.
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// Appends the value to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(NUMBER);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Boolean(truth) => out.extend_from_slice(&[BOOLEAN, u8::from(*truth)]),
            Self::String(text) => match u16::try_from(text.len()) {
                Ok(length) => {
                    out.push(STRING);
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(text.as_bytes());
                }
                Err(_) => {
                    out.push(LONG_STRING);
                    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(&text.as_bytes()[..length as usize]);
                }
            },
            Self::Object(fields) => {
                out.push(OBJECT);
                encode_fields(fields, out);
            }
            Self::Null => out.push(NULL),
            Self::Undefined => out.push(UNDEFINED),
            Self::EcmaArray(fields) => {
                out.push(ECMA_ARRAY);
                out.extend_from_slice(&u32::try_from(fields.len()).unwrap_or(u32::MAX).to_be_bytes());
                encode_fields(fields, out);
            }
            Self::StrictArray(values) => {
                out.push(STRICT_ARRAY);
                out.extend_from_slice(&u32::try_from(values.len()).unwrap_or(u32::MAX).to_be_bytes());
                for value in values {
                    value.encode(out);
                }
            }
            Self::Date(milliseconds) => {
                out.push(DATE);
                out.extend_from_slice(&milliseconds.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
        }
    }
}

fn encode_fields(fields: &[(String, Value)], out: &mut Vec<u8>) {
    for (key, value) in fields {
        // A key longer than the format can say is cut, an empty one would read as the end: neither is ever ours.
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&key.as_bytes()[..usize::from(length)]);
        value.encode(out);
    }
    out.extend_from_slice(&[0, 0, OBJECT_END]);
}

/// Values one after another.
pub fn encode_all(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    for value in values {
        value.encode(&mut out);
    }
    out
}

/// Reads values one after another.
#[derive(Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Decoder<'a> {
    /// From the first byte of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, values: 0 }
    }

    /// The next value; `None` at the end.
    ///
    /// # Errors
    /// [`AmfError`]. Decoding cannot go on after an error.
    pub fn next_value(&mut self) -> Result<Option<Value>, AmfError> {
        if self.at >= self.bytes.len() { Ok(None) } else { self.value(0).map(Some) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, AmfError> {
        let at = self.at;
        if depth > MAX_DEPTH {
            return Err(AmfError::Depth { at });
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(AmfError::TooMany { at });
        }
        let [marker] = self.array()?;
        Ok(match marker {
            NUMBER => Value::Number(f64::from_be_bytes(self.array()?)),
            BOOLEAN => Value::Boolean(self.array::<1>()? != [0]),
            STRING => Value::String(self.short_text()?),
            OBJECT => Value::Object(self.fields(depth)?),
            NULL => Value::Null,
            UNDEFINED | UNSUPPORTED => Value::Undefined,
            REFERENCE => {
                self.array::<2>()?;
                Value::Undefined
            }
            ECMA_ARRAY => {
                // The count is a hint that some encoders leave at zero; the end marker decides.
                self.array::<4>()?;
                Value::EcmaArray(self.fields(depth)?)
            }
            STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.array()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::StrictArray(values)
            }
            DATE => {
                let milliseconds = f64::from_be_bytes(self.array()?);
                self.array::<2>()?;
                Value::Date(milliseconds)
            }
            LONG_STRING | XML => {
                let length = u32::from_be_bytes(self.array()?) as usize;
                Value::String(String::from_utf8_lossy(self.take(length)?).into_owned())
            }
            TYPED_OBJECT => {
                self.short_text()?;
                Value::Object(self.fields(depth)?)
            }
            marker => return Err(AmfError::Marker { marker, at }),
        })
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<(String, Value)>, AmfError> {
        let mut fields = Vec::new();
        // An object that ends with the message instead of its end marker is taken as complete.
        while self.at < self.bytes.len() {
            let key = self.short_text()?;
            if key.is_empty() && self.bytes.get(self.at) == Some(&OBJECT_END) {
                self.at += 1;
                break;
            }
            fields.push((key, self.value(depth + 1)?));
        }
        Ok(fields)
    }

    fn short_text(&mut self) -> Result<String, AmfError> {
        let length = u16::from_be_bytes(self.array()?);
        Ok(String::from_utf8_lossy(self.take(usize::from(length))?).into_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], AmfError> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..length));
        let taken = taken.ok_or(AmfError::Truncated { at: self.at })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| AmfError::Truncated { at })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<Vec<Value>, AmfError> {
        let mut decoder = Decoder::new(bytes);
        let mut values = Vec::new();
        while let Some(value) = decoder.next_value()? {
            values.push(value);
        }
        Ok(values)
    }

    #[test]
    fn an_ecma_array_is_written_as_receivers_expect_metadata() {
        let array = Value::EcmaArray(vec![("width".into(), Value::Number(1.0)), ("s".into(), Value::Boolean(true))]);
        assert_eq!(
            encode_all(&[Value::text("onMetaData"), array]),
            *b"\x02\0\x0aonMetaData\x08\0\0\0\x02\0\x05width\0\x3f\xf0\0\0\0\0\0\0\0\x01s\x01\x01\0\0\x09"
        );
    }

    #[test]
    fn an_array_without_count_or_end_is_still_read() {
        let fields = vec![("a".to_owned(), Value::Null)];
        assert_eq!(decode(b"\x08\0\0\0\0\0\x01a\x05\0\0\x09").unwrap(), [Value::EcmaArray(fields.clone())]);
        assert_eq!(decode(b"\x03\0\x01a\x05").unwrap(), [Value::Object(fields)]);
    }

    #[test]
    fn depth_and_count_are_bounded_and_errors_say_where() {
        let deep = b"\x0a\0\0\0\x01".repeat(100_000);
        assert_eq!(decode(&deep), Err(AmfError::Depth { at: 5 * (MAX_DEPTH + 1) }));
        let mut many = b"\x0a\xff\xff\xff\xff".to_vec();
        many.resize(100_000, NULL);
        assert_eq!(decode(&many), Err(AmfError::TooMany { at: 4 + MAX_VALUES }));
        assert_eq!(decode(b"\x0c\xff\xff\xff\xffhi"), Err(AmfError::Truncated { at: 5 }));
        assert_eq!(decode(b"\x05\x42"), Err(AmfError::Marker { marker: 0x42, at: 1 }));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<f64>().prop_filter("NaN is not equal to itself", |n| !n.is_nan()).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,40}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
            (0.0..1e12).prop_map(Value::Date),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let fields = prop::collection::vec((".{1,10}", inner.clone()), 0..5);
            prop_oneof![
                fields.clone().prop_map(Value::Object),
                fields.prop_map(Value::EcmaArray),
                prop::collection::vec(inner, 0..5).prop_map(Value::StrictArray),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec(value(), 0..5)) {
            prop_assert_eq!(decode(&encode_all(&values)).unwrap(), values);
        }

        #[test]
        fn what_is_written_is_read_by_somebody_elses_decoder(values in prop::collection::vec(value(), 0..5)) {
            // scuffle-amf0 leaves the end marker of ECMA arrays unread and does not know dates.
            fn plain(value: &Value) -> bool {
                match value {
                    Value::Date(_) | Value::Undefined | Value::EcmaArray(_) => false,
                    Value::Object(f) => f.iter().all(|f| plain(&f.1)),
                    Value::StrictArray(v) => v.iter().all(plain),
                    Value::Number(_) | Value::Boolean(_) | Value::String(_) | Value::Null => true,
                }
            }
            prop_assume!(values.iter().all(plain));
            let bytes = bytes::Bytes::from(encode_all(&values));
            let mut decoder = scuffle_amf0::decoder::Amf0Decoder::from_buf(bytes);
            prop_assert_eq!(decoder.decode_all().unwrap().len(), values.len());
        }

        #[test]
        fn no_bytes_can_hurt(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_broken_message_can_hurt(values in prop::collection::vec(value(), 1..4), at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let mut bytes = encode_all(&values);
            let at = at.index(bytes.len());
            bytes[at] = with;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..at]);
        }
    }
}
