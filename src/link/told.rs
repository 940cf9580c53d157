//! Pure. What happened to interfaces, as events that do not repeat themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use super::change::{Change, What};
use super::health::budget::{Allowance, Figures};
use super::health::{Action, Alarm};
use super::ledger::News;
use crate::events::{Event, EventKind, LinkClass, Role, Severity};
use crate::model::{InterfaceName, Media, Wall};

/// The same thing about one interface is told at most this often; what is left out is counted.
pub const TELL_EVERY: Duration = Duration::from_secs(5);
/// Interfaces that are remembered.
const MAX_TOLD: usize = 256;

/// Makes events of changes.
#[derive(Debug, Default)]
pub struct Telling {
    told: BTreeMap<(String, &'static str), Told>,
}

#[derive(Debug)]
struct Told {
    at: Media,
    untold: u64,
}

impl Telling {
    /// The event that a change is worth, if it is. `matters` says whether something goes over the interface; of virtual ones
    /// only those are told, since containers come and go.
    pub fn tell(&mut self, change: &Change, matters: Use, wall: Wall, from: Role) -> Option<Event> {
        let (kind, severity) = kind(&change.what, matters)?;
        if change.class == Some(LinkClass::Virtual) && matters == Use::None {
            return None;
        }
        let code = change.what.code();
        let again = self.admits((change.name.clone(), code), change.at)?;
        let reason = change.what.in_words() + &more_times(again);
        let event = Event::new((wall, change.at), from, kind, severity, change.name.clone(), reason);
        Some(event.with("what", code).with("index", change.index).with("again", again))
    }

    /// The event that a judge's action is worth, if it is. Suspicions are told seldom, since radio has many.
    pub fn judged(&mut self, link: &InterfaceName, action: &Action, at: (Wall, Media), from: Role) -> Option<Event> {
        let (verdict, severity) = match action {
            Action::Arm { because: Alarm::Suspect(_), .. } => ("suspect", Severity::Info),
            Action::Arm { because: Alarm::Hint, .. } | Action::StandDown { .. } => return None,
            Action::Leave(_) => ("dead", Severity::Warning),
            Action::Returned(_) => ("probation", Severity::Info),
            Action::Trusted { .. } => ("up", Severity::Info),
            Action::BlameServer(_) => ("server", Severity::Warning),
            Action::TooLossy { .. } => ("poor", Severity::Warning),
        };
        let mut reason = action.to_string();
        if verdict == "suspect" {
            reason += &more_times(self.admits((link.to_string(), verdict), at.1)?);
        }
        let event = Event::new(at, from, EventKind::LinkJudged, severity, link.to_string(), reason);
        Some(event.with("verdict", verdict))
    }

    /// How often it was left out before; `None` to leave it out now.
    fn admits(&mut self, what: (String, &'static str), now: Media) -> Option<u64> {
        if let Some(told) = self.told.get_mut(&what) {
            // Addresses come in twos, of IPv4 and IPv6, and each counts.
            let is_address = what.1.starts_with("address");
            if !is_address && (now - told.at).to_duration() < TELL_EVERY {
                told.untold += 1;
                return None;
            }
            told.at = now;
            return Some(std::mem::take(&mut told.untold));
        }
        if self.told.len() >= MAX_TOLD {
            self.told.retain(|_, told| (now - told.at).to_duration() < TELL_EVERY);
        }
        self.told.insert(what, Told { at: now, untold: 0 });
        Some(0)
    }
}

/// The event that news of a data plan is. A cap that will be reached goes to the telephone, since something can be done
/// about it only before.
pub(super) fn budget(link: &InterfaceName, news: &News, at: (Wall, Media), from: Role) -> Event {
    let (severity, what, figures) = match news {
        News::NewPeriod { figures, .. } => (Severity::Info, "new-period", figures),
        News::Budget(notice) => {
            let (severity, what) = match notice.allowance {
                Allowance::Free => (Severity::Info, "free"),
                Allowance::Warned if notice.before > Allowance::Warned => (Severity::Info, "free-again"),
                Allowance::Warned => (Severity::Alert, "warned"),
                Allowance::Spent => (Severity::Alert, "spent"),
                Allowance::Barred => (Severity::Alert, "barred"),
            };
            (severity, what, &notice.figures)
        }
    };
    let Figures { plan, used, forecast, .. } = figures;
    let event = Event::new(at, from, EventKind::BudgetChanged, severity, link.to_string(), news.to_string());
    let forecast = forecast.as_ref().map(|(bytes, _)| *bytes);
    event.with("budget", what).with("used", *used).with("cap", plan.cap).with("forecast", forecast)
}

fn more_times(again: u64) -> String {
    if again == 0 { String::new() } else { format!(" ({again} more times since this was last told)") }
}

/// Whether a change concerns the programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nothing goes over the interface.
    None,
    /// An output is bound to it.
    Bound,
}

fn kind(what: &What, matters: Use) -> Option<(EventKind, Severity)> {
    let loss = match matters {
        Use::Bound => Severity::Warning,
        Use::None => Severity::Info,
    };
    match what {
        What::Gone | What::CarrierLost | What::SwitchedOff => Some((EventKind::LinkDown, loss)),
        What::Appeared | What::CarrierReturned | What::SwitchedOn => Some((EventKind::LinkUp, Severity::Info)),
        What::Blinked { .. } | What::AddressLost(_) | What::RouteLost => Some((EventKind::LinkChanged, loss)),
        What::Renamed { .. } | What::AddressGained(_) | What::RouteGained => {
            Some((EventKind::LinkChanged, Severity::Info))
        }
        // Told as a network that came back.
        What::Returned(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::link::health::budget::Notice;
    use crate::link::health::{Arming, Evidence};
    use crate::model::DataPlan;

    fn change(ms: i64, what: What) -> Change {
        Change { at: Media::from_millis(ms), index: 3, name: "eth0".into(), class: Some(LinkClass::Ethernet), what }
    }

    fn tell(telling: &mut Telling, change: &Change, matters: Use) -> Option<Event> {
        telling.tell(change, matters, Wall(0), Role::Transmit)
    }

    #[test]
    fn a_loss_under_an_output_is_a_warning_and_its_return_is_told() {
        let mut telling = Telling::default();
        let lost = tell(&mut telling, &change(0, What::CarrierLost), Use::Bound).unwrap();
        assert_eq!((lost.kind, lost.severity, lost.subject.as_str()), (EventKind::LinkDown, Severity::Warning, "eth0"));
        let back = tell(&mut telling, &change(10, What::CarrierReturned), Use::Bound).unwrap();
        assert_eq!((back.kind, back.severity), (EventKind::LinkUp, Severity::Info));
        assert_eq!(tell(&mut telling, &change(20, What::Gone), Use::None).unwrap().severity, Severity::Info);
    }

    #[test]
    fn a_flapping_cable_does_not_fill_the_log_and_is_counted() {
        let mut telling = Telling::default();
        let events: Vec<Event> =
            (0..40).filter_map(|n| tell(&mut telling, &change(n * 300, What::CarrierLost), Use::Bound)).collect();
        assert_eq!(events.len(), 3, "12 s of it");
        assert!(events[1].reason.contains("16 more times"), "{}", events[1].reason);
    }

    #[test]
    fn suspicions_are_counted_and_a_death_is_always_told() {
        let (mut telling, link) = (Telling::default(), InterfaceName::new("wwan0").unwrap());
        let evidence = Evidence::ProbesSilent { probes: Duration::from_millis(400) };
        let suspect = Action::Arm { arming: Arming::Connect, because: Alarm::Suspect(evidence) };
        let mut tell =
            |ms: i64, action: &Action| telling.judged(&link, action, (Wall(0), Media::from_millis(ms)), Role::Transmit);
        let told: Vec<Event> = (0..20).filter_map(|n| tell(n * 1000, &suspect)).collect();
        assert_eq!(told.len(), 4, "20 s of one in a second");
        assert!(told[1].reason.ends_with("(4 more times since this was last told)"), "{}", told[1].reason);
        for ms in [19_500, 19_600] {
            let dead = tell(ms, &Action::Leave(evidence)).unwrap();
            assert_eq!((dead.severity, dead.evidence["verdict"].as_str()), (Severity::Warning, Some("dead")));
        }
        assert_eq!(tell(19_700, &Action::Arm { arming: Arming::Connect, because: Alarm::Hint }), None);
    }

    #[test]
    fn what_is_to_be_done_about_a_cap_rings_and_that_it_binds_no_more_is_for_the_record() {
        let link = InterfaceName::new("wwan0").unwrap();
        let plan = DataPlan { cap: Some(20_000_000_000), ..DataPlan::default() };
        let figures =
            Figures { plan, used: 16_200_000_000, forecast: Some((24_000_000_000, "18:30".into())), lasts: None };
        let told = |before, allowance| {
            let news = News::Budget(Notice { before, allowance, figures: figures.clone() });
            let event = budget(&link, &news, (Wall(0), Media::ZERO), Role::Transmit);
            assert_eq!((event.kind, event.subject.as_str()), (EventKind::BudgetChanged, "wwan0"));
            assert_eq!(
                (&event.evidence["used"], &event.evidence["forecast"]),
                (&16_200_000_000_u64.into(), &24_000_000_000_u64.into())
            );
            assert!(
                event.reason.ends_with("it has carried 16.2 GB of 20 GB; at this rate 24 GB by 18:30"),
                "{}",
                event.reason
            );
            (event.evidence["budget"].as_str().unwrap().to_owned(), event.severity)
        };
        assert_eq!(told(Allowance::Free, Allowance::Warned), ("warned".into(), Severity::Alert));
        assert_eq!(told(Allowance::Warned, Allowance::Spent), ("spent".into(), Severity::Alert));
        assert_eq!(told(Allowance::Free, Allowance::Barred), ("barred".into(), Severity::Alert));
        assert_eq!(told(Allowance::Spent, Allowance::Warned), ("free-again".into(), Severity::Info));
        assert_eq!(told(Allowance::Warned, Allowance::Free), ("free".into(), Severity::Info));
    }

    #[test]
    fn containers_that_come_and_go_are_not_told_unless_something_uses_them() {
        let mut telling = Telling::default();
        let veth = Change { class: Some(LinkClass::Virtual), ..change(0, What::Appeared) };
        assert_eq!(tell(&mut telling, &veth, Use::None), None);
        assert!(tell(&mut telling, &veth, Use::Bound).is_some());
    }
}
