//! How many conclusions are looked at: each may cost some milliseconds of key derivation.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// One caller, by the part of its address that somebody can have for himself: an IPv4 address, 64 bits of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix(u64);

impl Prefix {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_bits().into()),
            IpAddr::V6(v6) => Self((v6.to_bits() >> 64) as u64 | 1 << 63),
        }
    }
}

/// Handshakes in reserve, and when they were counted.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths.
    tokens: u32,
    counted: Instant,
}

/// From one prefix: a group of many members may call at once.
const EACH: Rate = Rate { burst: 32, per_second: 8 };
/// From all together.
const ALL: Rate = Rate { burst: 256, per_second: 64 };
/// Prefixes that are remembered.
const MOST_PREFIXES: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    per_second: u32,
}

impl Bucket {
    const fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst * 1000, counted: now }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let gone = now.saturating_duration_since(self.counted).min(Duration::from_secs(3600));
        let more = u32::try_from(gone.as_millis()).unwrap_or(u32::MAX).saturating_mul(rate.per_second);
        self.tokens = self.tokens.saturating_add(more).min(rate.burst * 1000);
        self.counted = now;
    }

    const fn take(&mut self) -> bool {
        match self.tokens.checked_sub(1000) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Limiter {
    all: Bucket,
    each: BTreeMap<Prefix, Bucket>,
}

impl Limiter {
    pub(super) const fn new(now: Instant) -> Self {
        Self { all: Bucket::full(ALL, now), each: BTreeMap::new() }
    }

    /// Whether nobody is remembered.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Whether a conclusion from there may be looked at.
    pub(super) fn allows(&mut self, ip: IpAddr, now: Instant) -> bool {
        self.all.refill(ALL, now);
        let prefix = Prefix::of(ip);
        if !self.each.contains_key(&prefix) {
            // Prefixes whose bucket is full again need not be remembered. The common limit bounds how often this runs.
            if self.each.len() >= MOST_PREFIXES && self.all.tokens >= 1000 {
                self.each.retain(|_, bucket| {
                    bucket.refill(EACH, now);
                    bucket.tokens < EACH.burst * 1000
                });
            }
            if self.each.len() >= MOST_PREFIXES {
                return self.all.take();
            }
        }
        let bucket = self.each.entry(prefix).or_insert_with(|| Bucket::full(EACH, now));
        bucket.refill(EACH, now);
        // The own limit first: who is over it takes nothing from the others.
        bucket.take() && self.all.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test begins whenever it is run")]
    fn begin() -> (Limiter, Instant) {
        let now = Instant::now();
        (Limiter::new(now), now)
    }

    #[test]
    fn one_address_does_not_use_up_what_is_for_all() {
        let (mut limiter, now) = begin();
        let allowed = |limiter: &mut Limiter, ip: [u8; 4], now| {
            (0..100).filter(|_| limiter.allows(IpAddr::from(ip), now)).count()
        };
        assert_eq!(allowed(&mut limiter, [192, 0, 2, 1], now), 32);
        assert_eq!(allowed(&mut limiter, [192, 0, 2, 2], now), 32);
        assert_eq!(allowed(&mut limiter, [192, 0, 2, 1], now + Duration::from_secs(1)), 8);
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let (mut limiter, now) = begin();
        let allowed = (0..100u16).filter(|i| limiter.allows(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, *i]), now));
        assert_eq!(allowed.count(), 32);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_in_number_and_memory() {
        let (mut limiter, now) = begin();
        let mut allowed = 0;
        for i in 0..100_000u32 {
            let now = now + Duration::from_micros(u64::from(i) * 100);
            allowed += u32::from(limiter.allows(IpAddr::from(i.to_be_bytes()), now));
            assert!(limiter.each.len() <= MOST_PREFIXES);
        }
        assert!((256..=256 + 64 * 10).contains(&allowed), "{allowed}");
    }
}
