//! Pure. Who is connected to an input, and whose place it is to publish.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Most connections at once. Each stranger's may hold some 100 KiB.
pub(super) const MOST: usize = 8;
/// A publisher of whom nothing came for this long has to leave the place to one that comes with the right key: most likely it
/// is the same one, and its old connection is dead without either end having been told.
pub(super) const SILENT: Duration = Duration::from_millis(2500);

/// A connection, by the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Guest(pub(super) u64);

/// What a publisher that asks for the place is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is free.
    Free,
    /// It takes the place of this one.
    InsteadOf(Guest),
    /// It is taken.
    Taken,
}

/// The place to publish, and those around it.
#[derive(Debug, Default)]
pub(super) struct Place {
    guests: BTreeSet<Guest>,
    live: Option<Live>,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    guest: Guest,
    heard: Instant,
}

impl Place {
    /// Somebody connects. Who has to go, if there are too many: the one that has been here longest without publishing. A
    /// flood of connections that say nothing keeps nobody out who knows the key.
    pub(super) fn enter(&mut self, guest: Guest) -> Option<Guest> {
        let full = self.guests.len() >= MOST;
        let live = self.live.map(|live| live.guest);
        let goes = self.guests.iter().copied().find(|guest| Some(*guest) != live).filter(|_| full);
        if let Some(goes) = goes {
            self.leave(goes);
        }
        self.guests.insert(guest);
        goes
    }

    /// It is gone.
    pub(super) fn leave(&mut self, guest: Guest) {
        self.guests.remove(&guest);
        self.vacate(guest);
    }

    /// It does not publish any more; its connection may live a little longer.
    pub(super) fn vacate(&mut self, guest: Guest) {
        self.live = self.live.filter(|live| live.guest != guest);
    }

    /// Something came from it at `now`.
    pub(super) fn hear(&mut self, guest: Guest, now: Instant) {
        if let Some(live) = self.live.as_mut().filter(|live| live.guest == guest) {
            live.heard = now;
        }
    }

    /// Whether the place is its.
    pub(super) fn is_live(&self, guest: Guest) -> bool {
        self.live.is_some_and(|live| live.guest == guest)
    }

    /// It knows the key and wants the place; unless that is taken, it has it.
    pub(super) fn ask(&mut self, guest: Guest, now: Instant) -> Verdict {
        let verdict = match self.live {
            None => Verdict::Free,
            Some(live) if now.saturating_duration_since(live.heard) >= SILENT => Verdict::InsteadOf(live.guest),
            Some(_) => return Verdict::Taken,
        };
        self.live = Some(Live { guest, heard: now });
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_publishes_and_another_may_only_when_it_has_been_silent_or_is_gone() {
        let (mut place, began) = (Place::default(), crate::clock::now());
        let [one, two, three] = [1, 2, 3].map(Guest);
        assert_eq!(place.ask(one, began), Verdict::Free);
        let last = began + Duration::from_secs(60);
        place.hear(one, last);
        place.hear(two, last + Duration::from_secs(9));
        assert_eq!(place.ask(two, last + SILENT - Duration::from_millis(1)), Verdict::Taken);
        assert!(place.is_live(one) && !place.is_live(two));
        assert_eq!(place.ask(two, last + SILENT), Verdict::InsteadOf(one));
        place.vacate(one);
        assert!(place.is_live(two), "who was displaced has no place to leave");
        assert_eq!(place.ask(three, last + SILENT), Verdict::Taken, "it has just been let in");
        place.vacate(two);
        assert_eq!(place.ask(three, last + SILENT), Verdict::Free);
    }

    #[test]
    fn too_many_push_out_the_oldest_that_does_not_publish() {
        let (mut place, now) = (Place::default(), crate::clock::now());
        for n in 0..MOST as u64 {
            assert_eq!(place.enter(Guest(n)), None);
        }
        place.ask(Guest(0), now);
        assert_eq!(place.enter(Guest(100)), Some(Guest(1)));
        assert_eq!(place.enter(Guest(101)), Some(Guest(2)));
        place.leave(Guest(100));
        assert_eq!(place.enter(Guest(102)), None);
        assert!((103..200).all(|n| place.enter(Guest(n)).is_some_and(|goes| goes != Guest(0))));
        assert!(place.is_live(Guest(0)) && place.guests.len() == MOST);
    }
}
