//! Pure. Whose questions are answered: everybody's, but nobody's too often.
//!
//! Who asks is known only by an address that anybody may write on an envelope. So nothing is made large for anybody, each
//! source has its own allowance, all together have one, and the table of sources has two halves of a bounded size: what is
//! in neither begins with a full allowance, so that no flood of invented sources can shut out a real one.
//!
//! *Invariant:* an answer is as long as its question, and there is at most one for each.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::echo::{Echo, LENGTH};

/// Answers a second to one source: the links of ten boxes behind one translated address.
pub const SOURCE_RATE: u32 = 100;
/// Answers to one source at once.
pub const SOURCE_BURST: u32 = 200;
/// Answers a second to all: five hundred links, and a few per cent of a processor.
pub const TOTAL_RATE: u32 = 5000;
/// Sources in each half of the table.
const SOURCES: usize = 4096;
/// The older half is forgotten after this time; whoever is in it has a full allowance long since.
const GENERATION: Duration = Duration::from_secs(10);
/// Bits of an IPv6 address that name a site rather than one of its machines.
const SITE: u32 = 64;

/// What became of what was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponderCounts {
    /// Questions that were answered.
    pub answered: u64,
    /// Questions beyond the allowance of their source.
    pub limited: u64,
    /// Questions beyond what is answered altogether.
    pub crowded: u64,
    /// What is no question.
    pub malformed: u64,
    /// Answers that the kernel did not take; its socket knows.
    pub unsent: u64,
}

/// Answers questions.
#[derive(Debug)]
pub struct Responder {
    young: BTreeMap<IpAddr, Bucket>,
    old: BTreeMap<IpAddr, Bucket>,
    turned: Instant,
    total: Bucket,
    counts: ResponderCounts,
}

/// An allowance: so many at once, refilled evenly.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Millionths of an answer.
    level: u64,
    at: Instant,
}

const WHOLE: u64 = 1_000_000;

impl Bucket {
    const fn full(burst: u32, now: Instant) -> Self {
        Self { level: burst as u64 * WHOLE, at: now }
    }

    fn take(&mut self, rate: u32, burst: u32, now: Instant) -> bool {
        let since = u64::try_from(now.saturating_duration_since(self.at).as_micros()).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(since.saturating_mul(u64::from(rate))).min(u64::from(burst) * WHOLE);
        // What is less than a microsecond counts the next time.
        self.at += Duration::from_micros(since);
        let left = self.level.checked_sub(WHOLE);
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }
}

impl Responder {
    /// Nobody has asked yet.
    pub const fn new(now: Instant) -> Self {
        Self {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            turned: now,
            total: Bucket::full(TOTAL_RATE, now),
            counts: ResponderCounts { answered: 0, limited: 0, crowded: 0, malformed: 0, unsent: 0 },
        }
    }

    /// The answer to what `from` has sent, if there is to be one.
    pub fn answer(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) -> Option<[u8; LENGTH]> {
        let Ok(Echo::Question(stamp)) = Echo::read(bytes) else {
            self.counts.malformed += 1;
            return None;
        };
        if !self.bucket(from.ip(), now).take(SOURCE_RATE, SOURCE_BURST, now) {
            self.counts.limited += 1;
            return None;
        }
        if !self.total.take(TOTAL_RATE, TOTAL_RATE, now) {
            self.counts.crowded += 1;
            return None;
        }
        self.counts.answered += 1;
        Some(Echo::Answer(stamp).write())
    }

    /// What was counted.
    pub const fn counts(&self) -> ResponderCounts {
        self.counts
    }

    fn bucket(&mut self, from: IpAddr, now: Instant) -> &mut Bucket {
        if self.young.len() >= SOURCES || now.saturating_duration_since(self.turned) >= GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
        let site = match from.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> (128 - SITE) << (128 - SITE)).into()),
            v4 @ IpAddr::V4(_) => v4,
        };
        let known = self.old.remove(&site);
        self.young.entry(site).or_insert_with(|| known.unwrap_or(Bucket::full(SOURCE_BURST, now)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::echo::Stamp;
    use super::*;
    use crate::clock;

    const STAMP: Stamp = Stamp { token: 7, sequence: 9 };

    fn question() -> [u8; LENGTH] {
        Echo::Question(STAMP).write()
    }

    fn from(n: u32) -> SocketAddr {
        SocketAddr::from((n.to_be_bytes(), 5000))
    }

    fn ask(responder: &mut Responder, who: SocketAddr, times: u32, now: Instant) -> u32 {
        (0..times).filter(|_| responder.answer(who, &question(), now).is_some()).count() as u32
    }

    #[test]
    fn a_question_is_answered_with_its_own_stamp_and_nothing_else_is() {
        let (mut responder, now) = (Responder::new(clock::now()), clock::now());
        assert_eq!(responder.answer(from(1), &question(), now), Some(Echo::Answer(STAMP).write()));
        let answer = Echo::Answer(STAMP).write();
        for hostile in [&answer[..], &[][..], &question()[..31], &[0xff; 1500][..]] {
            assert_eq!(responder.answer(from(1), hostile, now), None, "{} bytes", hostile.len());
        }
        let counts = responder.counts();
        assert_eq!((counts.answered, counts.malformed), (1, 4), "an answer is not answered: no loops");
    }

    #[test]
    fn a_source_that_asks_too_often_is_answered_at_its_rate_and_its_neighbours_always() {
        let start = clock::now();
        let (mut responder, mut now) = (Responder::new(start), start);
        assert_eq!(ask(&mut responder, from(1), 1000, now), SOURCE_BURST);
        let (mut greedy, mut modest) = (0, 0);
        for _ in 0..100 {
            now += Duration::from_millis(100);
            greedy += ask(&mut responder, from(1), 50, now);
            modest += ask(&mut responder, from(2), 1, now);
        }
        assert_eq!((greedy, modest), (SOURCE_RATE * 10, 100));
        assert_eq!(responder.counts().limited, 800 + 4000);
        // The whole site shares one.
        let site = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, n, 0, 0, n], 1));
        let all: u32 = (0..100).map(|n| ask(&mut responder, site(n), 10, now)).sum();
        assert_eq!(all, SOURCE_BURST);
    }

    #[test]
    fn invented_sources_neither_fill_memory_nor_shut_out_a_real_one() {
        let start = clock::now();
        let mut responder = Responder::new(start);
        let mut real = 0;
        for n in 0..40_000u32 {
            let now = start + Duration::from_micros(u64::from(n) * 250);
            let _ = responder.answer(from(0x0a00_0000 + n), &question(), now);
            if n % 400 == 0 {
                real += ask(&mut responder, from(1), 1, now);
            }
        }
        assert!(responder.young.len() <= SOURCES && responder.old.len() <= SOURCES);
        assert_eq!(real, 100, "ten a second for ten seconds");
    }

    #[test]
    fn all_together_are_answered_at_a_bounded_rate() {
        let (mut responder, now) = (Responder::new(clock::now()), clock::now());
        let answered: u32 = (0..10_000).map(|n| ask(&mut responder, from(n), 1, now)).sum();
        assert_eq!((answered, responder.counts().crowded), (TOTAL_RATE, 5000));
    }
}
