//! Pure. What is found about pinned interfaces, as events that do not repeat themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Finding, PinCheck};
use crate::events::{Event, EventKind, Role, Severity};
use crate::model::{Media, Wall};

/// What was told of each interface last.
#[derive(Debug, Default)]
pub(super) struct Telling {
    told: BTreeMap<String, Told>,
}

/// Two checks of which this is the same need only be told once.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// It was not there, off or without address: the real verdict is still to come.
    Absent,
    Verdict {
        leaves: bool,
        codes: BTreeSet<&'static str>,
    },
}

impl Telling {
    /// The events that these checks are worth. An interface that nothing is bound to any more is forgotten.
    pub(super) fn tell(&mut self, checks: &[PinCheck], at: (Wall, Media), from: &Role) -> Vec<Event> {
        self.told.retain(|name, _| checks.iter().any(|check| check.interface == *name));
        let mut events = Vec::new();
        for check in checks {
            let is_absent = !check.leaves() && check.findings.iter().all(Finding::is_weather);
            let told = self.told.get(&check.interface);
            // That it comes and goes is told by others.
            if is_absent && told.is_some() {
                continue;
            }
            let codes = check.findings.iter().map(Finding::code).collect();
            let now = if is_absent { Told::Absent } else { Told::Verdict { leaves: check.leaves(), codes } };
            if told == Some(&now) {
                continue;
            }
            events.push(event(check, is_absent, at, from));
            self.told.insert(check.interface.clone(), now);
        }
        events
    }
}

fn event(check: &PinCheck, is_absent: bool, at: (Wall, Media), from: &Role) -> Event {
    let name = &check.interface;
    let mut reason = match (check.leaves(), check.findings.is_empty()) {
        (true, _) => format!("what is bound to {name} leaves by it: {}", check.words()),
        (false, _) if is_absent => format!("nothing can leave by {name} yet"),
        (false, _) => format!("what is bound to {name} does not get out"),
    };
    for finding in &check.findings {
        reason += &format!("; {}: {}", finding.what(name), finding.remedy(name));
    }
    let severity = if check.findings.is_empty() || is_absent { Severity::Info } else { Severity::Warning };
    let codes: Vec<&str> = check.findings.iter().map(Finding::code).collect();
    let event = Event::new(at, from.clone(), EventKind::PinChecked, severity, name.clone(), reason);
    event.with("leaves", check.leaves()).with("findings", codes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::check::Way;
    use super::*;

    fn found(findings: &[Finding]) -> PinCheck {
        let way = if findings.is_empty() {
            Way::Leaves { source: [192, 0, 2, 7].into(), gateway: Some([192, 0, 2, 1].into()) }
        } else {
            Way::Not
        };
        PinCheck { interface: "eth0".into(), v4: way, v6: Way::NoAddress, findings: findings.to_vec() }
    }

    fn tell(telling: &mut Telling, check: &PinCheck) -> Vec<Event> {
        telling.tell(std::slice::from_ref(check), (Wall(0), Media::ZERO), &Role::Transmit)
    }

    #[test]
    fn a_good_interface_is_told_once_and_its_trouble_when_it_comes_and_when_it_ends() {
        let mut telling = Telling::default();
        let good = tell(&mut telling, &found(&[])).pop().unwrap();
        assert_eq!((good.severity, good.subject.as_str()), (Severity::Info, "eth0"));
        assert!(good.reason.ends_with("leaves by it: IPv4 from 192.0.2.7 via 192.0.2.1"), "{}", good.reason);
        assert!(tell(&mut telling, &found(&[])).is_empty());
        let bad = tell(&mut telling, &found(&[Finding::NoDefaultRoute { v6: false }])).pop().unwrap();
        assert_eq!(bad.severity, Severity::Warning);
        assert!(bad.reason.contains("ip route add default via ROUTER dev eth0"), "{}", bad.reason);
        assert!(tell(&mut telling, &found(&[Finding::NoDefaultRoute { v6: false }])).is_empty());
        assert_eq!(tell(&mut telling, &found(&[])).len(), 1);
    }

    #[test]
    fn a_cable_that_is_pulled_and_put_back_is_not_told_here() {
        let mut telling = Telling::default();
        let first = tell(&mut telling, &found(&[Finding::NoCarrier])).pop().unwrap();
        assert_eq!(first.severity, Severity::Info, "{}", first.reason);
        assert_eq!(tell(&mut telling, &found(&[])).len(), 1);
        for finding in [Finding::NoCarrier, Finding::NoAddress, Finding::NotThere] {
            assert!(tell(&mut telling, &found(&[finding])).is_empty());
            assert!(tell(&mut telling, &found(&[])).is_empty());
        }
    }

    #[test]
    fn what_nothing_is_bound_to_any_more_is_forgotten() {
        let mut telling = Telling::default();
        assert_eq!(tell(&mut telling, &found(&[])).len(), 1);
        assert!(telling.tell(&[], (Wall(0), Media::ZERO), &Role::Transmit).is_empty());
        assert_eq!(tell(&mut telling, &found(&[])).len(), 1);
    }
}
