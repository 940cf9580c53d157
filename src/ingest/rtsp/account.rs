//! Pure. How the network does. The client tells what was lost, but not how many packets came; so those are reckoned from
//! the bytes, by the mean size that the sender's own reports state (RFC 3550 §6.4.1).

use std::time::{Duration, Instant};

use super::super::arrival::Network;
use crate::model::Track;

/// How often it is told.
const EVERY: Duration = Duration::from_secs(1);
/// Bytes of a picture that senders put into a packet, as long as they have not said: a little below what Ethernet carries.
const USUAL: u64 = 1400;

/// What has come since the last report.
#[derive(Debug)]
pub(super) struct Account {
    since: Instant,
    picture: Tally,
    sound: Tally,
    network: Network,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// What the sender has sent in all: packets, bytes.
    sent: Option<(u32, u32)>,
    /// Bytes in a packet, if that is known.
    mean: Option<u64>,
    /// Bytes that do not make a packet yet.
    rest: u64,
}

impl Account {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, picture: Tally::default(), sound: Tally::default(), network: Network::default() }
    }

    /// A frame of `bytes`, before which `lost` packets are missing.
    pub(super) fn frame(&mut self, track: Track, bytes: usize, lost: u16) {
        let (bytes, lost) = (bytes as u64, u64::from(lost));
        let came = self.tally(track).packets(track, bytes);
        self.network.packets += came + lost;
        self.network.lost += lost;
        self.network.bytes += bytes;
    }

    /// The sender says that it has sent `packets` with `octets` of payload in all; both wrap.
    pub(super) fn sent(&mut self, track: Track, packets: u32, octets: u32) {
        let tally = self.tally(track);
        let (before_packets, before_octets) = tally.sent.unwrap_or_default();
        let (more, bytes) = (packets.wrapping_sub(before_packets), octets.wrapping_sub(before_octets));
        if let Some(mean) = bytes.checked_div(more) {
            tally.mean = Some(u64::from(mean).clamp(1, u16::MAX.into()));
        }
        tally.sent = Some((packets, octets));
    }

    /// A report, if one is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Network> {
        let over = now.saturating_duration_since(self.since);
        if over < EVERY {
            return None;
        }
        self.since = now;
        Some(Network { over, ..std::mem::take(&mut self.network) })
    }

    /// When the next report is due.
    pub(super) fn due(&self) -> Instant {
        self.since + EVERY
    }

    fn tally(&mut self, track: Track) -> &mut Tally {
        match track {
            Track::Video => &mut self.picture,
            Track::Audio => &mut self.sound,
        }
    }
}

impl Tally {
    fn packets(&mut self, track: Track, bytes: u64) -> u64 {
        match (self.mean, track) {
            (Some(mean), _) => {
                let all = self.rest + bytes;
                self.rest = all % mean;
                all / mean
            }
            (None, Track::Video) => bytes.div_ceil(USUAL),
            (None, Track::Audio) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn a_report_comes_every_second_with_what_came_in_it() {
        let began = Instant::now();
        let mut account = Account::new(began);
        account.frame(Track::Video, 3000, 0);
        account.frame(Track::Audio, 300, 2);
        assert_eq!(account.take(began + Duration::from_millis(999)), None);
        assert_eq!(account.due(), began + EVERY);
        let over = Duration::from_millis(1010);
        let expected = Network { over, rtt: None, packets: 3 + 1 + 2, lost: 2, bytes: 3300 };
        assert_eq!(account.take(began + over), Some(expected));
        assert_eq!(account.take(began + over), None);
        let empty = account.take(began + 2 * over).unwrap();
        assert_eq!(empty, Network { over, ..Network::default() });
    }

    #[test]
    fn packets_are_as_long_as_the_sender_says_and_none_is_forgotten() {
        let began = Instant::now();
        let mut account = Account::new(began);
        account.sent(Track::Video, 1000, 500_000);
        for _ in 0..10 {
            account.frame(Track::Video, 1250, 0);
        }
        assert_eq!(account.take(began + EVERY).unwrap().packets, 25);
        // Since the last report they are shorter; the counters wrap.
        account.sent(Track::Video, u32::MAX, u32::MAX - 49);
        account.sent(Track::Video, 9, 950);
        account.frame(Track::Video, 1000, 0);
        assert_eq!(account.take(began + 2 * EVERY).unwrap().packets, 10);
    }

    #[test]
    fn reports_that_cannot_be_do_no_harm() {
        let mut account = Account::new(Instant::now());
        account.sent(Track::Audio, 0, 0);
        account.sent(Track::Audio, 5, 0);
        account.frame(Track::Audio, usize::MAX / 4, u16::MAX);
        account.sent(Track::Audio, 4, 0);
        account.frame(Track::Audio, 0, 0);
    }
}
