//! Pure. When the name of each target is looked up.
//!
//! At once when it is new, soon again after a failure, now and then after a success, and at once when the network has
//! changed and the last look-up failed. A name that is an address is never looked up.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::model::ProbeTarget;

/// After the first failure; doubled after each further one ...
pub(super) const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// ... up to this.
pub(super) const AGAIN_MOST: Duration = Duration::from_secs(30);
/// After a success.
pub(super) const REFRESH: Duration = Duration::from_secs(300);

/// The targets of one link that are known by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    target: ProbeTarget,
    next: Next,
    /// In a row.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    At(Instant),
    UnderWay,
}

/// Where a target is whose name is an address.
pub(super) fn written_address(target: &ProbeTarget) -> Option<SocketAddr> {
    target.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, target.port))
}

impl Names {
    /// Looks after these and no others.
    pub(super) fn set_targets(&mut self, targets: &[ProbeTarget], now: Instant) {
        self.names.retain(|named| targets.contains(&named.target));
        for target in targets.iter().filter(|target| written_address(target).is_none()) {
            if !self.names.iter().any(|named| named.target == *target) {
                self.names.push(Named { target: target.clone(), next: Next::At(now), failures: 0 });
            }
        }
    }

    /// A target whose name is to be looked up; [`Self::done`] is to be told how it went.
    pub(super) fn poll(&mut self, now: Instant) -> Option<ProbeTarget> {
        let is_due = |named: &&mut Named| matches!(named.next, Next::At(at) if at <= now);
        let named = self.names.iter_mut().find(is_due)?;
        named.next = Next::UnderWay;
        Some(named.target.clone())
    }

    /// When [`Self::poll`] has something next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = self.names.iter().filter_map(|named| match named.next {
            Next::At(at) => Some(at),
            Next::UnderWay => None,
        });
        due.min()
    }

    /// A look-up has ended; `found` is whether it found any address.
    pub(super) fn done(&mut self, target: &ProbeTarget, found: bool, now: Instant) {
        let Some(named) = self.names.iter_mut().find(|named| named.target == *target) else { return };
        let wait = if found {
            named.failures = 0;
            REFRESH
        } else {
            let doubled = AGAIN_FIRST.saturating_mul(1u32.checked_shl(named.failures).unwrap_or(u32::MAX));
            named.failures = named.failures.saturating_add(1);
            doubled.min(AGAIN_MOST)
        };
        named.next = Next::At(now + wait);
    }

    /// The link is another one than it was: what failed over the old one is tried again.
    pub(super) fn network_changed(&mut self, now: Instant) {
        for named in self.names.iter_mut().filter(|named| named.failures > 0) {
            named.failures = 0;
            if matches!(named.next, Next::At(_)) {
                named.next = Next::At(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock;
    use crate::model::ProbeKind;

    fn target(host: &str) -> ProbeTarget {
        ProbeTarget { kind: ProbeKind::Echo, host: host.to_owned(), port: 9710 }
    }

    #[test]
    fn a_name_is_looked_up_at_once_and_again_now_and_then() {
        let (mut names, now, one) = (Names::default(), clock::now(), target("relay.example"));
        names.set_targets(&[one.clone(), target("192.0.2.1"), target("2001:db8::1")], now);
        assert_eq!((names.poll(now), names.poll(now)), (Some(one.clone()), None), "addresses need no look-up");
        assert_eq!(names.poll_timeout(), None, "one at a time");
        names.done(&one, true, now);
        assert_eq!(names.poll_timeout(), Some(now + REFRESH));
        names.network_changed(now);
        assert_eq!(names.poll(now), None, "what is known is known");
    }

    #[test]
    fn failures_are_tried_again_more_and_more_seldom_until_the_network_changes() {
        let (mut names, mut now, one) = (Names::default(), clock::now(), target("relay.example"));
        names.set_targets(std::slice::from_ref(&one), now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert_eq!(names.poll(now), Some(one.clone()));
            names.done(&one, false, now);
            let next = names.poll_timeout().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        names.done(&one, false, now);
        names.network_changed(now);
        assert_eq!(names.poll(now), Some(one.clone()));
        names.done(&one, false, now);
        assert_eq!(names.poll_timeout(), Some(now + AGAIN_FIRST));
    }

    #[test]
    fn what_is_not_asked_for_any_more_is_forgotten() {
        let (mut names, now) = (Names::default(), clock::now());
        names.set_targets(&[target("a"), target("b")], now);
        assert_eq!(names.poll(now), Some(target("a")));
        names.set_targets(&[target("b"), target("c")], now);
        names.done(&target("a"), true, now);
        assert_eq!((names.poll(now), names.poll(now), names.poll(now)), (Some(target("b")), Some(target("c")), None));
    }
}
