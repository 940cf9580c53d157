//! Pure. Our echo on the wire: a question and its answer, equally long, so that nobody can make much of little with it.
//!
//! ```text
//!   0        4   5   6    8                16         20                32
//!   ├────────┼───┼───┼────┼────────────────┼──────────┼─────────────────┤
//!   │ HFpb   │ 1 │ k │ 00 │ token          │ sequence │ 0 …             │   big endian; k: 0 question, 1 answer
//!   └────────┴───┴───┴────┴────────────────┴──────────┴─────────────────┘
//! ```
//!
//! A question and an answer differ, so that two responders cannot be made to answer each other without end.

use std::ops::Range;

/// Bytes of a question and of its answer.
pub const LENGTH: usize = 32;
const MAGIC: [u8; 4] = *b"HFpb";
const VERSION: u8 = 1;
const QUESTION: u8 = 0;
const ANSWER: u8 = 1;
const TOKEN: Range<usize> = 8..16;
const SEQUENCE: Range<usize> = 16..20;

/// What makes an answer that of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Whoever cannot guess it cannot forge an answer. One for each target and run of a prober.
    pub token: u64,
    /// Counts up, and around.
    pub sequence: u32,
}

/// One datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// Of a prober.
    Question(Stamp),
    /// Of a responder: the question's stamp.
    Answer(Stamp),
}

/// A datagram that is nothing of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an echo")]
pub struct NotAnEcho;

impl Echo {
    /// As it is sent.
    pub fn write(&self) -> [u8; LENGTH] {
        let (kind, stamp) = match self {
            Self::Question(stamp) => (QUESTION, stamp),
            Self::Answer(stamp) => (ANSWER, stamp),
        };
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = kind;
        bytes[TOKEN].copy_from_slice(&stamp.token.to_be_bytes());
        bytes[SEQUENCE].copy_from_slice(&stamp.sequence.to_be_bytes());
        bytes
    }

    /// # Errors
    /// If it is not exactly what [`Self::write`] makes.
    pub fn read(bytes: &[u8]) -> Result<Self, NotAnEcho> {
        let bytes: &[u8; LENGTH] = bytes.try_into().map_err(|_| NotAnEcho)?;
        let token = bytes[TOKEN].try_into().map_err(|_| NotAnEcho)?;
        let sequence = bytes[SEQUENCE].try_into().map_err(|_| NotAnEcho)?;
        let stamp = Stamp { token: u64::from_be_bytes(token), sequence: u32::from_be_bytes(sequence) };
        let echo = match bytes[5] {
            QUESTION => Self::Question(stamp),
            ANSWER => Self::Answer(stamp),
            _ => return Err(NotAnEcho),
        };
        if echo.write() == *bytes { Ok(echo) } else { Err(NotAnEcho) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STAMP: Stamp = Stamp { token: 0x0123_4567_89ab_cdef, sequence: 0xfedc_ba98 };

    #[test]
    fn what_is_written_is_read_and_looks_as_it_is_drawn() {
        let mut drawn = Vec::from(*b"HFpb\x01\x01\x00\x00\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98");
        drawn.resize(LENGTH, 0);
        assert_eq!(Echo::Answer(STAMP).write()[..], drawn[..]);
        for echo in [Echo::Question(STAMP), Echo::Answer(STAMP)] {
            assert_eq!(Echo::read(&echo.write()), Ok(echo));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = Echo::Question(STAMP).write();
        for length in (0..LENGTH).chain([LENGTH + 1, 1500]) {
            let mut bytes = good.to_vec();
            bytes.resize(length, 0);
            assert_eq!(Echo::read(&bytes), Err(NotAnEcho), "{length} bytes");
        }
        for at in (0..8).chain(20..LENGTH) {
            let mut bytes = good;
            bytes[at] ^= 0x80;
            assert_eq!(Echo::read(&bytes), Err(NotAnEcho), "byte {at}");
        }
    }
}
