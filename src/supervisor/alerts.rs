//! Pure. Which events are worth an operator's telephone: every alert, the end of every trouble that was alerted, and
//! neither more than once a minute about the same thing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::events::{Event, EventKind, Severity};

/// The same alert again only after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Things that can be in trouble at once; beyond that the longest silent is forgotten.
const REMEMBERED: usize = 256;

/// What an event is about, so that the end of a trouble is told to those who heard of its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    Source,
    Output,
    Path,
    Route,
    Link,
    Budget,
    Recording,
    Child,
    Config,
    Telemetry,
    Other,
}

fn matter(kind: EventKind) -> Matter {
    match kind {
        EventKind::Switched | EventKind::InputChanged | EventKind::InputCondition | EventKind::SlateChanged => {
            Matter::Source
        }
        EventKind::OutputPublishing | EventKind::OutputDown | EventKind::OutputLagged => Matter::Output,
        EventKind::RecordingOpened | EventKind::RecordingClosed | EventKind::RecordingTrouble => Matter::Recording,
        EventKind::ChildStarted | EventKind::ChildReady | EventKind::ChildEnded | EventKind::ChildAdopted => {
            Matter::Child
        }
        EventKind::PathUp | EventKind::PathDown | EventKind::PathSwitched | EventKind::PathDoubted => Matter::Path,
        EventKind::RouteChanged => Matter::Route,
        EventKind::LinkUp | EventKind::LinkDown | EventKind::LinkChanged | EventKind::LinkJudged => Matter::Link,
        EventKind::BudgetChanged => Matter::Budget,
        EventKind::ConfigLoaded | EventKind::ConfigRefused => Matter::Config,
        EventKind::ModemChanged | EventKind::DishChanged | EventKind::MachineChanged => Matter::Telemetry,
        EventKind::WentOnAir
        | EventKind::WentOffAir
        | EventKind::TimeResumed
        | EventKind::NetworkReturned
        | EventKind::CommandTaken
        | EventKind::SenderConnected
        | EventKind::SenderGone
        | EventKind::CallerRefused
        | EventKind::FormatChanged
        | EventKind::PinChecked
        | EventKind::TablesChanged
        | EventKind::BitrateChanged
        | EventKind::Note => Matter::Other,
    }
}

/// Ends a trouble: what happens when it is over, not on the way there.
fn is_recovery(event: &Event) -> bool {
    match event.kind {
        EventKind::Switched
        | EventKind::OutputPublishing
        | EventKind::PathUp
        | EventKind::RouteChanged
        | EventKind::LinkUp
        | EventKind::BudgetChanged
        | EventKind::RecordingOpened
        | EventKind::RecordingTrouble
        | EventKind::ChildReady
        | EventKind::ChildAdopted
        | EventKind::ModemChanged
        | EventKind::DishChanged
        | EventKind::MachineChanged
        | EventKind::ConfigLoaded => event.severity == Severity::Info,
        EventKind::WentOnAir
        | EventKind::WentOffAir
        | EventKind::InputChanged
        | EventKind::InputCondition
        | EventKind::OutputDown
        | EventKind::OutputLagged
        | EventKind::BitrateChanged
        | EventKind::PathDown
        | EventKind::PathSwitched
        | EventKind::PathDoubted
        | EventKind::LinkDown
        | EventKind::LinkChanged
        | EventKind::LinkJudged
        | EventKind::SenderConnected
        | EventKind::SenderGone
        | EventKind::CallerRefused
        | EventKind::FormatChanged
        | EventKind::RecordingClosed
        | EventKind::ChildStarted
        | EventKind::ChildEnded
        | EventKind::ConfigRefused
        | EventKind::TimeResumed
        | EventKind::SlateChanged
        | EventKind::NetworkReturned
        | EventKind::CommandTaken
        | EventKind::PinChecked
        | EventKind::TablesChanged
        | EventKind::Note => false,
    }
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Told at that time, not over.
    Open(Instant),
    /// Over; told at that time.
    Over(Instant),
}

/// Decides event by event.
#[derive(Debug, Default)]
pub struct Alerts {
    troubles: BTreeMap<(Matter, String), Trouble>,
}

impl Alerts {
    /// Whether `event` is to be sent.
    pub fn admits(&mut self, event: &Event, now: Instant) -> bool {
        let about = (matter(event.kind), event.subject.clone());
        let known = self.troubles.get(&about).copied();
        if event.severity == Severity::Alert {
            let told = match known {
                Some(Trouble::Open(at) | Trouble::Over(at)) => Some(at),
                None => None,
            };
            let recent = told.is_some_and(|at| now.saturating_duration_since(at) < AGAIN_AFTER);
            self.remember(about, Trouble::Open(if recent { told.unwrap_or(now) } else { now }));
            return !recent;
        }
        match known {
            Some(Trouble::Open(at)) if is_recovery(event) => {
                self.remember(about, Trouble::Over(at));
                true
            }
            _ => false,
        }
    }

    fn remember(&mut self, about: (Matter, String), trouble: Trouble) {
        self.troubles.insert(about, trouble);
        if self.troubles.len() > REMEMBERED {
            let oldest = self.troubles.iter().min_by_key(|(_, t)| match t {
                Trouble::Open(at) | Trouble::Over(at) => *at,
            });
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.troubles.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Role;
    use crate::model::{Media, Wall};

    fn event(kind: EventKind, severity: Severity, subject: &str) -> Event {
        Event::new((Wall(0), Media(0)), Role::Transmit, kind, severity, subject, "because")
    }

    #[test]
    fn an_alert_and_its_end_are_told_once() {
        let (mut alerts, now) = (Alerts::default(), crate::clock::now());
        let down = event(EventKind::OutputDown, Severity::Alert, "youtube");
        let up = event(EventKind::OutputPublishing, Severity::Info, "youtube");
        assert!(!alerts.admits(&up, now), "nobody heard of a trouble");
        assert!(alerts.admits(&down, now));
        assert!(alerts.admits(&up, now));
        assert!(!alerts.admits(&up, now));
    }

    #[test]
    fn a_flapping_destination_does_not_ring_all_night() {
        let (mut alerts, start) = (Alerts::default(), crate::clock::now());
        let told = (0..3600)
            .filter(|s| {
                let now = start + Duration::from_secs(*s);
                let down = alerts.admits(&event(EventKind::OutputDown, Severity::Alert, "a"), now);
                alerts.admits(&event(EventKind::OutputPublishing, Severity::Info, "a"), now);
                down
            })
            .count();
        assert_eq!(told, 60);
    }

    #[test]
    fn troubles_of_different_things_do_not_hide_each_other() {
        let (mut alerts, now) = (Alerts::default(), crate::clock::now());
        assert!(alerts.admits(&event(EventKind::OutputDown, Severity::Alert, "a"), now));
        assert!(alerts.admits(&event(EventKind::OutputDown, Severity::Alert, "b"), now));
        assert!(alerts.admits(&event(EventKind::Switched, Severity::Alert, ""), now));
        assert!(!alerts.admits(&event(EventKind::OutputPublishing, Severity::Info, "c"), now));
    }
}
