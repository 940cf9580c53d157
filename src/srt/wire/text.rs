//! Text in handshake extensions: libsrt copies it into words of the host and then sends the words, so that the four
//! bytes of each word arrive in reverse (draft §3.2.1.3: "the message content is stored as 32-bit little endian words").

use bytes::BufMut;

/// A text as it stands in the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// As on the wire.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text, or None when it is longer than `most` bytes, has a zero within or is not UTF-8.
    pub fn read(self, most: usize) -> Option<String> {
        let turned = self.0.as_chunks::<4>().0.iter().flat_map(|[a, b, c, d]| [*d, *c, *b, *a]);
        let mut bytes = Vec::new();
        let mut ended = false;
        for byte in turned {
            match (byte, ended) {
                (0, _) => ended = true,
                (_, true) => return None,
                (_, false) if bytes.len() == most => return None,
                (_, false) => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).ok()
    }
}

/// How many words `text` takes.
pub(super) const fn words_of(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// Appends `text`, filled up with zeros to whole words.
pub(super) fn put(text: &str, out: &mut impl BufMut) {
    for word in text.as_bytes().chunks(4) {
        let mut turned = [0; 4];
        for (to, from) in turned.iter_mut().rev().zip(word) {
            *to = *from;
        }
        out.put_slice(&turned);
    }
}
