//! A court in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::time::Duration;

use super::*;
use crate::link::health::{CARRIER_DEAD, Hint, PROBATION_NEW, TargetId};

const MS: Duration = Duration::from_millis(1);

fn name(text: &str) -> InterfaceName {
    InterfaceName::new(text).unwrap()
}

struct Day {
    court: Court,
    now: Instant,
    names: BTreeSet<InterfaceName>,
}

impl Day {
    fn begin(names: &[&str]) -> Self {
        Self { court: Court::default(), now: Instant::now(), names: names.iter().map(|text| name(text)).collect() }
    }

    /// The kernel lists these, with or without a carrier.
    fn listed(&mut self, links: &[(&str, LinkState)]) {
        let links = links.iter().map(|(name, state)| Link::example(name, *state)).collect();
        let links = Links { knowledge: Knowledge::Kernel, links, ..Links::default() };
        self.court.interfaces(&self.names, Some(&links), self.now);
    }

    /// Probes of `link` are answered for so long, ten a second.
    fn answered(&mut self, link: &str, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.court.observe(&name(link), Observation::ProbeSent(TargetId(0)), self.now);
            self.now += 20 * MS;
            let answer = Observation::ProbeAnswered { target: TargetId(0), rtt: 20 * MS };
            self.court.observe(&name(link), answer, self.now);
            self.now += 80 * MS;
            while self.court.poll(self.now).is_some() {}
        }
    }

    fn verdict(&self, link: &str) -> Option<Verdict> {
        self.court.shown().get(&name(link)).map(|judged| judged.verdict)
    }
}

#[test]
fn what_nobody_knows_yet_is_not_said_to_be_absent() {
    let mut day = Day::begin(&["eth0", "usb0"]);
    day.court.interfaces(&day.names, Some(&Links::default()), day.now);
    assert_eq!(*day.court.news().unwrap(), Standings::new());
    day.listed(&[("eth0", LinkState::Up), ("wlan0", LinkState::Up)]);
    let standings = day.court.news().unwrap();
    assert!(standings[&name("eth0")].is_some());
    assert_eq!(standings[&name("usb0")], None, "it is not there");
    assert!(!standings.contains_key(&name("wlan0")), "nobody asked");
    assert_eq!(day.court.news(), None, "told once");
    // The monitor has lost its way: nothing is concluded from that.
    day.court.interfaces(&day.names, Some(&Links::default()), day.now);
    assert_eq!(day.court.news(), None);
}

#[test]
fn without_a_monitor_every_interface_is_taken_to_be_there() {
    let mut day = Day::begin(&["eth0"]);
    day.court.interfaces(&day.names, None, day.now);
    assert!(day.court.news().unwrap()[&name("eth0")].is_some());
    day.answered("eth0", PROBATION_NEW + 500 * MS);
    assert_eq!(day.verdict("eth0"), Some(Verdict::Up));
}

#[test]
fn an_interface_that_is_pulled_out_has_to_prove_itself_when_it_is_back() {
    let mut day = Day::begin(&["usb0"]);
    day.listed(&[("usb0", LinkState::Up)]);
    day.answered("usb0", PROBATION_NEW + 500 * MS);
    assert_eq!(day.verdict("usb0"), Some(Verdict::Up));
    day.court.news();
    day.listed(&[]);
    assert_eq!(day.court.news().unwrap()[&name("usb0")], None, "told at once");
    day.now += CARRIER_DEAD + MS;
    assert!(
        std::iter::from_fn(|| day.court.poll(day.now)).any(|(_, action)| matches!(action, Action::Leave(_))),
        "it is dead while it is gone"
    );
    day.now += 1000 * MS;
    day.listed(&[("usb0", LinkState::Up)]);
    day.answered("usb0", 3000 * MS);
    assert_eq!(day.verdict("usb0"), Some(Verdict::Probation), "trusted only after it has proved itself");
}

#[test]
fn one_that_nobody_is_bound_to_any_more_is_forgotten() {
    let mut day = Day::begin(&["eth0", "wwan0"]);
    day.listed(&[("eth0", LinkState::Up), ("wwan0", LinkState::Up)]);
    day.court.news();
    day.names.remove(&name("wwan0"));
    day.listed(&[("eth0", LinkState::Up), ("wwan0", LinkState::Up)]);
    assert_eq!(day.court.news().unwrap().len(), 1);
    let hint = Observation::Hint(Hint::Trouble { until: day.now + 1000 * MS });
    day.court.observe(&name("wwan0"), hint, day.now);
    assert_eq!(day.verdict("wwan0"), None);
}
