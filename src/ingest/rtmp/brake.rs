//! Pure. Whoever guesses stream keys is slowed down: by address, since a guesser has no other name.
//!
//! The first wrong keys cost nothing, for keys are mistyped. After each further one no key of that address is looked at for a
//! while, twice as long as after the one before; what is tried meanwhile neither counts nor tells whether it was right. A
//! publisher that knows the key is looked at again within [`LONGEST`] of the last wrong one, so that nobody behind the same
//! address can keep it out for good. The right key, or a long quiet, makes up for everything.
//!
//! *Invariant:* at most [`MOST`] addresses are remembered, and each tries less than once in [`LONGEST`] in the long run.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong keys that cost nothing.
const FREE: u32 = 3;
/// After the first that does.
const FIRST: Duration = Duration::from_secs(1);
/// At most.
const LONGEST: Duration = Duration::from_secs(64);
/// After so long without a wrong key an address is as good as new.
const FORGET: Duration = Duration::from_secs(600);
/// Addresses that are remembered; whose last wrong key is longest ago goes first.
const MOST: usize = 1024;

/// Who gave wrong keys.
#[derive(Debug, Default)]
pub(super) struct Brake {
    addresses: BTreeMap<IpAddr, Guesses>,
}

#[derive(Clone, Copy, Debug)]
struct Guesses {
    wrong: u32,
    last: Instant,
}

impl Guesses {
    /// How long nothing is looked at after the last one.
    fn pause(self) -> Duration {
        match self.wrong.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(doublings) => FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST),
        }
    }
}

impl Brake {
    /// How much longer no key of `from` is looked at; `None` if one is.
    pub(super) fn pause(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let guesses = self.addresses.get(&whose(from))?;
        let left = guesses.pause().saturating_sub(now.saturating_duration_since(guesses.last));
        (!left.is_zero()).then_some(left)
    }

    /// `from` gave a wrong key.
    pub(super) fn wrong(&mut self, from: IpAddr, now: Instant) {
        let from = whose(from);
        self.addresses.retain(|_, guesses| now.saturating_duration_since(guesses.last) < FORGET);
        if self.addresses.len() >= MOST
            && !self.addresses.contains_key(&from)
            && let Some(oldest) = self.addresses.iter().min_by_key(|(_, guesses)| guesses.last).map(|(from, _)| *from)
        {
            self.addresses.remove(&oldest);
        }
        let guesses = self.addresses.entry(from).or_insert(Guesses { wrong: 0, last: now });
        guesses.wrong = guesses.wrong.saturating_add(1);
        guesses.last = now;
    }

    /// `from` gave the right one.
    pub(super) fn right(&mut self, from: IpAddr) {
        self.addresses.remove(&whose(from));
    }
}

/// An IPv6 host has a network of addresses to itself, which is 64 bits long (RFC 4291 §2.5.1).
fn whose(from: IpAddr) -> IpAddr {
    const NETWORK: u128 = !(u64::MAX as u128);
    match from.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn mistyping_costs_nothing_and_guessing_ever_more() {
        let (mut brake, mut now) = (Brake::default(), crate::clock::now());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            brake.wrong(HERE, now);
            let pause = brake.pause(HERE, now).unwrap_or_default();
            pauses.push(pause.as_secs());
            assert_eq!(brake.pause(HERE, now + pause), None);
            now += pause;
        }
        assert_eq!(pauses, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert_eq!(brake.pause(HERE, now - seconds(1)), Some(seconds(1)));
        assert_eq!(brake.pause(IpAddr::from([192, 0, 2, 8]), now - seconds(1)), None, "a neighbour");
        brake.right(HERE);
        brake.wrong(HERE, now);
        assert_eq!(brake.pause(HERE, now), None, "begins anew after the right one");
        for _ in 0..5 {
            brake.wrong(HERE, now);
        }
        assert_eq!(brake.pause(HERE, now), Some(seconds(4)));
        brake.wrong(HERE, now + FORGET);
        assert_eq!(brake.pause(HERE, now + FORGET), None, "and after a long quiet");
    }

    #[test]
    fn a_guesser_in_a_day_has_few_tries_even_if_it_never_waits() {
        let (mut brake, began) = (Brake::default(), crate::clock::now());
        let mut tries = 0;
        for tenth in 0..864_000_u64 {
            let now = began + Duration::from_millis(100 * tenth);
            if brake.pause(HERE, now).is_none() {
                brake.wrong(HERE, now);
                tries += 1;
            }
        }
        assert!((1340..1370).contains(&tries), "{tries} in a day");
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser_and_a_mapped_address_is_the_plain_one() {
        let (mut brake, now) = (Brake::default(), crate::clock::now());
        let of = |network: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 0, network, host, host, 0, host]);
        (0..5).for_each(|host| brake.wrong(of(1, host), now));
        assert_eq!(brake.pause(of(1, 77), now), Some(seconds(2)));
        assert_eq!(brake.pause(of(2, 0), now), None);
        (0..5).for_each(|_| brake.wrong(HERE, now));
        assert_eq!(brake.pause("::ffff:192.0.2.7".parse().unwrap_or(HERE), now), Some(seconds(2)));
    }

    #[test]
    fn many_addresses_push_out_the_one_that_has_been_quiet_longest() {
        let (mut brake, began) = (Brake::default(), crate::clock::now());
        let of = |n: usize| IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
        for n in 0..MOST {
            for _ in 0..10 {
                brake.wrong(of(n), began + Duration::from_millis(n as u64));
            }
        }
        let now = began + seconds(2);
        brake.wrong(of(MOST), now);
        assert_eq!((brake.addresses.len(), brake.pause(of(0), now)), (MOST, None));
        assert!((1..MOST).all(|n| brake.pause(of(n), now).is_some()));
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_the_longest_whatever_happens(
            steps in prop::collection::vec((0u8..4, 0u8..3, 0u64..100_000), 1..300),
        ) {
            let (mut brake, mut now) = (Brake::default(), crate::clock::now());
            for (who, what, ms) in steps {
                now += Duration::from_millis(ms);
                let from = IpAddr::from([192, 0, 2, who]);
                match what {
                    0 => brake.right(from),
                    _ => brake.wrong(from, now),
                }
                let pause = brake.pause(from, now);
                prop_assert!(pause.is_none_or(|pause| pause <= LONGEST));
                prop_assert_eq!(brake.pause(from, now + LONGEST), None);
                prop_assert!(brake.addresses.len() <= 4);
            }
        }
    }
}
