//! A simple TCP: cumulative and selective acknowledgements, fast retransmission, and a retransmission timer that doubles,
//! which is what makes holes look longer than they are.

use super::line::{Line, MS, S, Us};
use crate::link::health::TcpFigures;
use std::time::Duration;

/// Bytes of a segment: 40 ms at 6 Mbit/s.
const BYTES: u64 = 30_000;
/// From segment to segment.
pub(super) const EVERY: Us = 40 * MS;
/// Most segments under way.
const WINDOW: u32 = 60;
/// Least variation that the timer allows for (TCP_RTO_MIN).
const VARIATION_LEAST: Us = 200 * MS;

/// One connection, both ends of it.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    /// The application has written so many segments.
    written: u32,
    next: u32,
    acked: u32,
    /// What the far end has in order, and a bit for each of the 64 after the one it lacks.
    got: u32,
    beyond: u64,
    /// When each segment under way was sent last.
    sent: [Us; 64],
    srtt: Us,
    variation: Us,
    pub(super) timer: Option<Us>,
    backoff: u8,
    pub(super) last_ack: Us,
    duplicates: u32,
    /// When the far end got something new.
    pub(super) progress: Us,
}

/// An acknowledgement on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ack {
    pub(super) arrives: Us,
    got: u32,
    beyond: u64,
}

impl Tcp {
    /// Connected at `at`, over a link with this round trip.
    pub(super) fn new(at: Us, rtt: Us) -> Self {
        Self {
            written: 0,
            next: 0,
            acked: 0,
            got: 0,
            beyond: 0,
            sent: [0; 64],
            srtt: rtt,
            variation: rtt / 2,
            timer: None,
            backoff: 0,
            last_ack: at,
            duplicates: 0,
            progress: 0,
        }
    }

    /// The application writes so much.
    pub(super) fn write(&mut self, segments: u32) {
        self.written += segments;
    }

    fn rto(&self) -> Us {
        let base = self.srtt + (4 * self.variation).max(VARIATION_LEAST);
        (base << self.backoff.min(10)).min(120 * S)
    }

    /// Sends what it may. `answers` says whether the server is there.
    pub(super) fn pump(
        &mut self,
        line: &mut Line,
        answers: &dyn Fn(Us) -> bool,
        random: &mut fastrand::Rng,
        now: Us,
        acks: &mut Vec<Ack>,
    ) {
        // After a timeout: one segment at a time until something is acknowledged.
        let window = if self.backoff > 0 { 1 } else { WINDOW };
        while self.next < self.written && self.next - self.acked < window {
            let segment = self.next;
            self.next += 1;
            self.send(segment, line, answers, random, now, acks);
        }
    }

    fn send(
        &mut self,
        segment: u32,
        line: &mut Line,
        answers: &dyn Fn(Us) -> bool,
        random: &mut fastrand::Rng,
        now: Us,
        acks: &mut Vec<Ack>,
    ) {
        self.sent[(segment % 64) as usize] = now;
        self.timer.get_or_insert(now + self.rto());
        let Some(there) = line.forward(now, true, random) else { return };
        if !answers(there) {
            return;
        }
        if segment == self.got {
            self.got += 1;
            while self.beyond & 1 == 1 {
                self.beyond >>= 1;
                self.got += 1;
            }
            self.beyond >>= 1;
            self.progress = there;
        } else if segment > self.got && segment - self.got <= 64 {
            self.beyond |= 1 << (segment - self.got - 1);
        }
        if let Some(arrives) = line.back(there, true, random) {
            acks.push(Ack { arrives, got: self.got, beyond: self.beyond });
        }
    }

    pub(super) fn on_ack(
        &mut self,
        ack: Ack,
        line: &mut Line,
        answers: &dyn Fn(Us) -> bool,
        random: &mut fastrand::Rng,
        acks: &mut Vec<Ack>,
    ) {
        let now = ack.arrives;
        self.last_ack = now;
        if ack.got > self.acked {
            if self.backoff == 0 {
                let sample = now - self.sent[((ack.got - 1) % 64) as usize].min(now);
                self.variation = (3 * self.variation + sample.abs_diff(self.srtt)) / 4;
                self.srtt = (7 * self.srtt + sample) / 8;
            }
            self.acked = ack.got;
            self.next = self.next.max(self.acked);
            self.backoff = 0;
            self.duplicates = 0;
            self.timer = (self.next > self.acked).then(|| now + self.rto());
        } else {
            self.duplicates += 1;
        }
        // What the far end lacks below what it has, and did not get again within a round trip.
        if ack.beyond != 0 || self.duplicates >= 3 {
            let top = 64 - ack.beyond.leading_zeros();
            for offset in 0..=top {
                let segment = ack.got + offset;
                let lacking = offset == 0 || ack.beyond >> (offset - 1) & 1 == 0;
                let again = self.sent[(segment % 64) as usize] + self.srtt <= now;
                if segment < self.next && lacking && again {
                    self.send(segment, line, answers, random, now, acks);
                }
            }
        }
        self.pump(line, answers, random, now, acks);
    }

    /// The timer has run out.
    pub(super) fn on_timer(
        &mut self,
        line: &mut Line,
        answers: &dyn Fn(Us) -> bool,
        random: &mut fastrand::Rng,
        now: Us,
        acks: &mut Vec<Ack>,
    ) {
        self.timer = None;
        if self.next == self.acked {
            return;
        }
        self.backoff = (self.backoff + 1).min(15);
        self.timer = Some(now + self.rto());
        let first = self.acked;
        self.send(first, line, answers, random, now, acks);
        // Everything else that was under way is taken for lost.
        self.next = self.acked + 1;
    }

    pub(super) fn figures(&self, now: Us) -> TcpFigures {
        TcpFigures {
            last_ack_recv: Duration::from_micros(now - self.last_ack),
            unacked: self.next - self.acked,
            backoff: self.backoff,
            bytes_acked: u64::from(self.acked) * BYTES,
            queued: u64::from(self.written - self.acked) * BYTES,
        }
    }

    pub(super) fn unconfirmed(&self) -> u32 {
        self.written - self.acked
    }
}
