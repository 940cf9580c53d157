//! What Holdfast's own ends tell each other beside SRT: control packets of type 0x7fff with the subtype of the private
//! handshake extension, sent only to a peer that has offered to understand them.
//!
//! ```text
//!   +0 u16 what: 1 path report, 2 message    +2 u16 0
//!   path report:   +4 one past the newest seen   +8 packets that arrived   +12 packets missing on this path
//!                  +16 waiting on the way, us    +20 bytes that arrived (all u32, the counters wrap)
//!   message:       +4 whatever the layers above say
//! ```

use bytes::{Buf, BufMut};

use crate::srt::wire::SeqNo;

/// What one path has brought, by the receiver's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathReport {
    /// One past the newest that it has brought.
    pub(super) next: SeqNo,
    /// Packets that arrived, whether or not others had brought them before.
    pub(super) received: u32,
    /// Packets that it skipped.
    pub(super) missing: u32,
    /// Waiting in queues on the way, µs.
    pub(super) waiting_us: u32,
    /// Bytes of payload that arrived.
    pub(super) bytes: u32,
}

const REPORT: u16 = 1;
const MESSAGE: u16 = 2;

/// Longest message, bytes: it fits into a datagram of any path.
pub const MAX_MESSAGE: usize = 1200;

/// What a private packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Private<'a> {
    Report(PathReport),
    Message(&'a [u8]),
}

impl<'a> Private<'a> {
    /// None for what a later version may say.
    pub(super) fn decode(mut body: &'a [u8]) -> Option<Self> {
        if body.len() < 4 {
            return None;
        }
        let what = body.get_u16();
        body.advance(2);
        match what {
            REPORT if body.len() >= 20 => Some(Self::Report(PathReport {
                next: SeqNo::new(body.get_u32()),
                received: body.get_u32(),
                missing: body.get_u32(),
                waiting_us: body.get_u32(),
                bytes: body.get_u32(),
            })),
            MESSAGE => Some(Self::Message(body)),
            _ => None,
        }
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Report(report) => {
                out.put_u16(REPORT);
                out.put_u16(0);
                out.put_u32(report.next.get());
                out.put_u32(report.received);
                out.put_u32(report.missing);
                out.put_u32(report.waiting_us);
                out.put_u32(report.bytes);
            }
            Self::Message(body) => {
                out.put_u16(MESSAGE);
                out.put_u16(0);
                out.put_slice(body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_anything_else_is_nothing() {
        let report = Private::Report(PathReport {
            next: SeqNo::new(77),
            received: 1,
            missing: u32::MAX,
            waiting_us: 12_000,
            bytes: 9,
        });
        for message in [report, Private::Message(b"on air")] {
            let mut body = Vec::new();
            message.encode(&mut body);
            assert_eq!(Private::decode(&body), Some(message));
        }
        let mut random = fastrand::Rng::with_seed(3);
        for length in 0..64 {
            let body: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            let _ = Private::decode(&body);
        }
        assert_eq!(Private::decode(&[0, 1, 0, 0, 1]), None, "cut off");
    }
}
