//! SYN cookies: what a caller must have received before anything is kept of it (draft §4.3.1.1).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ring::hmac;

use crate::srt::crypto::Random;

/// A cookie is good in the period it is given out in and in the next one.
const PERIOD: Duration = Duration::from_secs(60);

/// Bakes and tastes cookies: HMAC-SHA-256 over address and period, with a secret of this listener's.
pub(super) struct Cookies {
    key: hmac::Key,
    epoch: Instant,
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cookies")
    }
}

impl Cookies {
    pub(super) fn new(random: &mut Random, now: Instant) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random.bytes::<32>()), epoch: now }
    }

    pub(super) fn bake(&self, peer: SocketAddr, now: Instant) -> u32 {
        self.of(peer, self.period(now))
    }

    pub(super) fn is_good(&self, cookie: u32, peer: SocketAddr, now: Instant) -> bool {
        let period = self.period(now);
        let last = period.checked_sub(1);
        cookie == self.of(peer, period) || last.is_some_and(|last| cookie == self.of(peer, last))
    }

    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs() / PERIOD.as_secs()
    }

    fn of(&self, peer: SocketAddr, period: u64) -> u32 {
        let mut signed = [0; 26];
        match peer.ip() {
            IpAddr::V4(v4) => signed[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => signed[..16].copy_from_slice(&v6.octets()),
        }
        signed[16..18].copy_from_slice(&peer.port().to_be_bytes());
        signed[18..].copy_from_slice(&period.to_be_bytes());
        let tag = hmac::sign(&self.key, &signed);
        tag.as_ref().first_chunk().map_or(0, |first| u32::from_be_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test begins whenever it is run")]
    fn good_for_one_address_and_between_one_and_two_minutes() {
        let now = Instant::now();
        let cookies = Cookies::new(&mut Random::from_seed(&[1; 32]), now);
        let others = Cookies::new(&mut Random::from_seed(&[2; 32]), now);
        let peer = SocketAddr::from(([192, 0, 2, 1], 4000));
        let elsewhere = [SocketAddr::from(([192, 0, 2, 2], 4000)), SocketAddr::from(([192, 0, 2, 1], 4001))];
        let cookie = cookies.bake(peer, now + Duration::from_secs(59));
        for (s, good) in [(59, true), (60, true), (119, true), (120, false), (6000, false)] {
            assert_eq!(cookies.is_good(cookie, peer, now + Duration::from_secs(s)), good, "{s} s");
        }
        assert!(elsewhere.iter().all(|other| !cookies.is_good(cookie, *other, now)));
        assert!(!others.is_good(cookie, peer, now));
    }
}
