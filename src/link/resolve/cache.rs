//! Pure. The last good answers, and whether they are to be asked for again.
//!
//! An answer is given out for as long as there is no newer one: whoever has to move a stream to another link cannot wait for
//! a name server, and an address that was right an hour ago is most probably right now.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An answer that is older is asked for again, while it is given out.
pub(super) const FRESH: Duration = Duration::from_secs(60);
/// An answer that is older is not given out.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 3600);
/// After a failure nobody asks again for so long, unless somebody waits for it.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// Most names of all links together; the one that was asked for longest ago goes.
const MOST_NAMES: usize = 128;

/// Of which link, by the kernel's name for it, which name.
type Key = (String, String);

#[derive(Debug)]
struct Entry<T> {
    /// With its time.
    found: Option<(T, Instant)>,
    asked: Asked,
    /// When anybody wanted it last.
    wanted: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Never,
    UnderWay,
    Failed(Instant),
}

impl<T> Entry<T> {
    fn doubt(&mut self, now: Instant) {
        if let Some((_, at)) = &mut self.found {
            *at = now.checked_sub(FRESH).map_or(*at, |stale| stale.min(*at));
        }
        if matches!(self.asked, Asked::Failed(_)) {
            self.asked = Asked::Never;
        }
    }
}

/// What is to be done about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known<T> {
    /// The last good answer, if there is one.
    pub(super) answer: Option<T>,
    /// Whether it is to be asked for now; [`Cache::done`] is to be told how it went.
    pub(super) ask: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cache<T> {
    entries: BTreeMap<Key, Entry<T>>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<T: Clone> Cache<T> {
    /// What is known of a name, and whether to ask. `waits` is for somebody who has nothing without an answer.
    pub(super) fn want(&mut self, link: &str, name: &str, waits: bool, now: Instant) -> Known<T> {
        let key = (link.to_owned(), name.to_owned());
        if !self.entries.contains_key(&key) {
            self.make_room();
        }
        let entry = self.entries.entry(key).or_insert(Entry { found: None, asked: Asked::Never, wanted: now });
        entry.wanted = now;
        entry.found = entry.found.take().filter(|(_, at)| now.saturating_duration_since(*at) < KEPT);
        let is_fresh = entry.found.as_ref().is_some_and(|(_, at)| now.saturating_duration_since(*at) < FRESH);
        let ask = !is_fresh
            && match entry.asked {
                Asked::Never => true,
                Asked::UnderWay => waits && entry.found.is_none(),
                Asked::Failed(at) => (waits && entry.found.is_none()) || now.saturating_duration_since(at) >= AGAIN,
            };
        if ask {
            entry.asked = Asked::UnderWay;
        }
        Known { answer: entry.found.as_ref().map(|(answer, _)| answer.clone()), ask }
    }

    /// A question was answered, or not: then what was known before stays.
    pub(super) fn done(&mut self, link: &str, name: &str, found: Option<T>, now: Instant) {
        let Some(entry) = self.entries.get_mut(&(link.to_owned(), name.to_owned())) else { return };
        match found {
            Some(answer) => (entry.found, entry.asked) = (Some((answer, now)), Asked::Never),
            None => entry.asked = Asked::Failed(now),
        }
    }

    /// The newest answer that any other link has had.
    pub(super) fn elsewhere(&self, link: &str, name: &str, now: Instant) -> Option<T> {
        let others = self.entries.iter().filter(|((of, its), _)| of != link && its == name);
        let found = others.filter_map(|(_, entry)| entry.found.as_ref());
        let good = found.filter(|(_, at)| now.saturating_duration_since(*at) < KEPT);
        good.max_by_key(|(_, at)| *at).map(|(answer, _)| answer.clone())
    }

    /// The names that were ever wanted of a link: those to ask for again when it has changed.
    pub(super) fn names(&self, link: &str) -> Vec<String> {
        self.entries.keys().filter(|(of, _)| of == link).map(|(_, name)| name.clone()).collect()
    }

    /// A link is on another network than it was: its answers are given out still, but none is fresh.
    pub(super) fn doubt(&mut self, link: &str, now: Instant) {
        self.entries.iter_mut().filter(|((of, _), _)| of == link).for_each(|(_, entry)| entry.doubt(now));
    }

    /// What a name stood for does not answer: likewise for this name.
    pub(super) fn doubt_name(&mut self, link: &str, name: &str, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&(link.to_owned(), name.to_owned())) {
            entry.doubt(now);
        }
    }

    fn make_room(&mut self) {
        if self.entries.len() < MOST_NAMES {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.wanted).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::IpAddr;

    use super::*;
    use crate::clock;

    type Cache = super::Cache<Vec<IpAddr>>;
    type Known = super::Known<Vec<IpAddr>>;

    const NAME: &str = "ingest.example";

    fn ip(last: u8) -> Vec<IpAddr> {
        vec![IpAddr::from([192, 0, 2, last])]
    }

    fn known(last: u8, ask: bool) -> Known {
        Known { answer: Some(ip(last)), ask }
    }

    #[test]
    fn an_answer_is_given_out_at_once_and_asked_for_again_beside() {
        let (mut cache, now) = (Cache::default(), clock::now());
        assert_eq!(cache.want("a", NAME, true, now), Known { answer: None, ask: true });
        cache.done("a", NAME, Some(ip(1)), now);
        assert_eq!(cache.want("a", NAME, true, now), known(1, false));
        assert_eq!(cache.want("a", NAME, true, now + FRESH), known(1, true));
        assert_eq!(cache.want("a", NAME, true, now + FRESH), known(1, false), "one question at a time");
        cache.done("a", NAME, Some(ip(2)), now + FRESH);
        assert_eq!(cache.want("a", NAME, false, now + FRESH), known(2, false));
    }

    #[test]
    fn a_dead_server_takes_no_answer_away_and_is_not_asked_all_the_time() {
        let (mut cache, mut now) = (Cache::default(), clock::now());
        cache.want("a", NAME, true, now);
        cache.done("a", NAME, Some(ip(1)), now);
        now += FRESH;
        for _ in 0..100 {
            assert_eq!(cache.want("a", NAME, true, now), known(1, true));
            cache.done("a", NAME, None, now);
            assert_eq!(cache.want("a", NAME, true, now), known(1, false));
            now += AGAIN;
        }
        assert_eq!(cache.want("a", NAME, true, now + KEPT).answer, None, "not for ever");
    }

    #[test]
    fn whoever_has_nothing_asks_whenever_it_waits() {
        let (mut cache, now) = (Cache::default(), clock::now());
        assert!(cache.want("a", NAME, false, now).ask);
        assert!(!cache.want("a", NAME, false, now).ask, "who does not wait does not ask twice");
        assert!(cache.want("a", NAME, true, now).ask);
        cache.done("a", NAME, None, now);
        assert!(!cache.want("a", NAME, false, now).ask && cache.want("a", NAME, true, now).ask);
    }

    #[test]
    fn links_know_nothing_of_each_other_and_a_link_that_changes_asks_again() {
        let (mut cache, now) = (Cache::default(), clock::now() + FRESH * 2);
        for (link, last) in [("a", 1), ("b", 2)] {
            cache.want(link, NAME, true, now);
            cache.done(link, NAME, Some(ip(last)), now);
        }
        cache.want("a", "other.example", true, now);
        cache.done("a", "other.example", None, now);
        cache.doubt("a", now);
        assert_eq!(cache.names("a"), [NAME, "other.example"]);
        assert_eq!(
            (cache.want("a", NAME, false, now), cache.want("b", NAME, false, now)),
            (known(1, true), known(2, false))
        );
        assert!(cache.want("a", "other.example", false, now).ask);
    }

    #[test]
    fn a_name_whose_machine_does_not_answer_is_asked_for_again_and_given_out_meanwhile() {
        let (mut cache, now) = (Cache::default(), clock::now() + FRESH * 2);
        for name in [NAME, "other.example"] {
            cache.want("a", name, true, now);
            cache.done("a", name, Some(ip(1)), now);
        }
        cache.doubt_name("a", NAME, now);
        assert_eq!(cache.want("a", NAME, true, now), known(1, true));
        assert_eq!(cache.want("a", "other.example", true, now), known(1, false));
    }

    #[test]
    fn what_another_link_was_told_last_can_be_had() {
        let (mut cache, now) = (Cache::default(), clock::now());
        assert_eq!(cache.elsewhere("a", NAME, now), None);
        for (link, last, after) in [("a", 1, 0), ("b", 2, 2), ("c", 3, 1)] {
            let at = now + Duration::from_secs(after);
            cache.want(link, NAME, true, at);
            cache.done(link, NAME, Some(ip(last)), at);
        }
        assert_eq!(cache.elsewhere("a", NAME, now + FRESH), Some(ip(2)));
        assert_eq!(cache.elsewhere("b", NAME, now + FRESH), Some(ip(3)));
        assert_eq!(cache.elsewhere("a", "other.example", now), None);
        assert_eq!(cache.elsewhere("a", NAME, now + KEPT * 2), None, "not for ever");
    }

    #[test]
    fn names_are_bounded_and_the_one_that_is_used_stays() {
        let (mut cache, now) = (Cache::default(), clock::now());
        for n in 0..1000u32 {
            let at = now + Duration::from_millis(n.into());
            cache.want("a", &n.to_string(), false, at);
            cache.want("a", NAME, false, at);
        }
        assert_eq!(cache.entries.len(), MOST_NAMES);
        assert!(cache.names("a").contains(&NAME.to_owned()));
    }
}
