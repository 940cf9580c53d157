//! Pure. What a relay tells its box that it really has: the message behind the word *verified*.
//!
//! It travels as a message of SRT's layers above ([`crate::srt::session::Session::send_message`]), which only Holdfast's own
//! ends exchange. All numbers are big-endian:
//!
//! ```text
//!   +0 u8 version: 1   +1 u8 flags: bit 0, there is a picture   +2 u16 0
//!   +4 u64 newest picture's presentation time, 90 kHz, 33 bits, as in the transport stream
//!   +12 u64 pictures   +20 u64 continuity errors   +28 u64 packets that never came   (counted since the session began)
//! ```
//!
//! Later versions may add to the end.

use bytes::{Buf, BufMut};

use crate::model::Media;

const VERSION: u8 = 1;
const LENGTH: usize = 36;
const HAS_PICTURE: u8 = 1;
/// Time stamps in transport streams have 33 bits (H.222.0 §2.4.3.7).
const STAMPS: i64 = 1 << 33;

/// How often a relay says so.
pub const EVERY: std::time::Duration = std::time::Duration::from_millis(250);

/// What a relay has of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Presentation time of the newest picture.
    pub newest_picture: Option<Stamp>,
    /// Pictures taken out of the stream.
    pub pictures: u64,
    /// Continuity errors of the stream.
    pub continuity_errors: u64,
    /// Packets that never came in time.
    pub missing: u64,
}

/// A time stamp as transport streams have them: 90 kHz, modulo 2³³ (26.5 h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// Of a time from the stream's origin.
    pub fn of(time: Media) -> Self {
        Self(u64::try_from(time.to_ticks(90_000).rem_euclid(STAMPS)).unwrap_or(0))
    }

    /// How much earlier than `time` it is; negative if later. Right as long as the two are less than half a day apart.
    pub fn before(self, time: Media) -> Media {
        let distance = (time.to_ticks(90_000) - i64::try_from(self.0).unwrap_or(0)).rem_euclid(STAMPS);
        let distance = if distance >= STAMPS / 2 { distance - STAMPS } else { distance };
        Media(distance * 100_000 / 9)
    }
}

impl Account {
    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH);
        out.put_u8(VERSION);
        out.put_u8(if self.newest_picture.is_some() { HAS_PICTURE } else { 0 });
        out.put_u16(0);
        out.put_u64(self.newest_picture.map_or(0, |stamp| stamp.0));
        out.put_u64(self.pictures);
        out.put_u64(self.continuity_errors);
        out.put_u64(self.missing);
        out
    }

    /// `None` for anything else.
    pub fn decode(mut message: &[u8]) -> Option<Self> {
        if message.len() < LENGTH || message.get_u8() != VERSION {
            return None;
        }
        let flags = message.get_u8();
        message.advance(2);
        let stamp = message.get_u64() & (STAMPS as u64 - 1);
        Some(Self {
            newest_picture: (flags & HAS_PICTURE != 0).then_some(Stamp(stamp)),
            pictures: message.get_u64(),
            continuity_errors: message.get_u64(),
            missing: message.get_u64(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read_and_anything_else_is_nothing() {
        let newest_picture = Some(Stamp::of(Media::from_millis(1234)));
        let account = Account { newest_picture, pictures: 7, continuity_errors: 8, missing: u64::MAX };
        let mut message = account.encode();
        assert_eq!(Account::decode(&message), Some(account));
        assert_eq!(Account::decode(&Account::default().encode()), Some(Account::default()));
        assert_eq!(Account::decode(&message[..LENGTH - 1]), None);
        message.extend([1, 2, 3]);
        assert_eq!(Account::decode(&message), Some(account), "a later version says more");
        message[0] = 9;
        assert_eq!(Account::decode(&message), None);
    }

    #[test]
    fn ages_are_right_across_the_wrap() {
        let wrap = Media(STAMPS * 100_000 / 9);
        for (picture, now) in [(0, 700), (-400, 300), (5_000, 5_000), (900, 400)] {
            let (picture, now) = (wrap + Media::from_millis(picture), wrap + Media::from_millis(now));
            let age = Stamp::of(picture).before(now);
            assert!(((now - picture) - age).as_nanos().abs() < 20_000, "{picture:?} at {now:?}: {age:?}");
        }
    }
}
