//! Packets whose time has come.

use std::time::Instant;

use super::Session;
use super::event::Delivered;
use super::time::{MS, Micros};
use crate::srt::wire::SeqNo;

impl Session {
    /// The next packet that is to be played by `now`. What is missing before it is skipped.
    pub fn poll_deliver(&mut self, now: Instant) -> Option<Delivered> {
        let t = self.line.at(now);
        let base = self.incoming.base;
        self.deliver(t, |source| base.play(source) <= t)
    }

    /// The next packet, be it time for it or not: for an owner that will not be there any more when it is.
    pub fn poll_deliver_early(&mut self, now: Instant) -> Option<Delivered> {
        self.deliver(self.line.at(now), |_| true)
    }

    fn deliver(&mut self, t: Micros, is_due: impl FnOnce(Micros) -> bool) -> Option<Delivered> {
        let base = self.incoming.base;
        let played = self.incoming.buffer.play(is_due)?;
        self.counters.delivered.add(played.payload.len());
        self.counters.skipped += played.skipped;
        self.incoming.rate.add(t, played.payload.len());
        if played.skipped > 0 {
            // What is not waited for any more can be acknowledged. Not at once: what is to be sent at this time may have
            // been taken out already.
            for path in &mut self.paths {
                path.inbound.arm_ack(t + MS);
            }
        }
        let room = self.incoming.buffer.free();
        if self.incoming.starving && room >= self.config.receive_buffer as u64 / 4 {
            // The sender waits for room, and nothing new to acknowledge would tell it of any.
            self.incoming.starving = false;
            for path in &mut self.paths {
                path.inbound.insist = true;
                path.inbound.arm_ack(t + MS);
            }
        }
        Some(Delivered {
            seq: SeqNo::from(played.at),
            source_us: played.source.max(0).unsigned_abs(),
            play_at: self.line.instant(base.play(played.source)),
            skipped: played.skipped,
            payload: played.payload,
        })
    }
}
