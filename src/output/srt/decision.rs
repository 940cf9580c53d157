//! What the bond decided, as an event with its evidence.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::bonding::{Congestion, Decision, Doubt, Evidence, LinkId};
use crate::events::{EventKind, Severity};
use crate::srt::session::PathId;

/// An event in the making.
pub(super) struct Told {
    pub(super) kind: EventKind,
    pub(super) severity: Severity,
    /// The path it is about, in the order of the configuration.
    pub(super) place: Option<usize>,
    pub(super) reason: String,
    pub(super) evidence: Map<String, Value>,
}

/// Puts a decision into words. `place` finds a path, `label` names one.
pub(super) fn told(
    decision: &Decision,
    place: impl Fn(PathId) -> Option<usize>,
    label: impl Fn(Option<usize>) -> String,
) -> Told {
    let name = |path: PathId| label(place(path));
    let of_link = |link: LinkId| usize::try_from(link.0).ok();
    let tell = |kind, severity, place, reason: String, evidence| Told { kind, severity, place, reason, evidence };
    match decision {
        Decision::Doubted { path, why, evidence, spares, tail } => {
            let others = spares.iter().map(|spare| name(*spare)).collect::<Vec<_>>().join(", ");
            let reason = match path {
                Some(path) => format!("{} {}: {others} carries as well", name(*path), doubt(*why)),
                None => format!("the path that carried {}: {others} carries", doubt(*why)),
            };
            let mut map = evidence.as_ref().map(numbers).unwrap_or_default();
            map.insert("tail".into(), (*tail).into());
            tell(EventKind::PathDoubted, Severity::Info, path.and_then(&place), reason, map)
        }
        Decision::Cleared { path, after, evidence } => {
            let reason = format!("{} answers again: a false alarm, it carries alone", name(*path));
            let mut map = numbers(evidence);
            map.insert("after_ms".into(), millis(*after));
            tell(EventKind::PathDoubted, Severity::Info, place(*path), reason, map)
        }
        Decision::Switched { from, to, why, after, evidence } => {
            let from = from.map_or_else(|| "the path that carried".to_owned(), &name);
            let (to_name, why_words) = (name(*to), doubt(*why));
            let reason = match why {
                Doubt::Preferred => format!("{to_name} {why_words}: it carries in the place of {from}"),
                Doubt::Overdue | Doubt::Congested(_) | Doubt::Unsteady | Doubt::NoCarrier | Doubt::Gone => {
                    format!("{from} {why_words}: {to_name} carries in its place")
                }
            };
            let severity = if *why == Doubt::Preferred { Severity::Info } else { Severity::Warning };
            let mut map = numbers(evidence);
            map.insert("after_ms".into(), millis(*after));
            tell(EventKind::PathSwitched, severity, place(*to), reason, map)
        }
        Decision::Probation { link, needs, relapses } => {
            let reason =
                format!("{} is trusted again after {} s without a fault", label(of_link(*link)), needs.as_secs());
            let map = Map::from_iter([("needs_ms".into(), millis(*needs)), ("relapses".into(), (*relapses).into())]);
            tell(EventKind::Note, Severity::Info, of_link(*link), reason, map)
        }
        Decision::Trusted { link, after } => {
            let reason = format!("{} is trusted", label(of_link(*link)));
            let map = Map::from_iter([("after_ms".into(), millis(*after))]);
            tell(EventKind::Note, Severity::Info, of_link(*link), reason, map)
        }
        Decision::NoSpare { path, why, evidence } => {
            let reason = format!("{} {}, and there is no other path", name(*path), doubt(*why));
            tell(EventKind::PathDoubted, Severity::Warning, place(*path), reason, numbers(evidence))
        }
    }
}

fn doubt(why: Doubt) -> &'static str {
    match why {
        Doubt::Overdue => "does not answer",
        Doubt::Congested(Congestion::Queue) => "is congested (packets wait in its queues)",
        Doubt::Congested(Congestion::Loss) => "is congested (packets are lost)",
        Doubt::Congested(Congestion::Shortfall) => "is congested (less arrives than is sent)",
        Doubt::Unsteady => "was doubted again and again",
        Doubt::NoCarrier => "has lost its carrier",
        Doubt::Gone => "is gone",
        Doubt::Preferred => "is preferred and works again",
    }
}

fn millis(time: Duration) -> Value {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
}

fn numbers(evidence: &Evidence) -> Map<String, Value> {
    let optional = |time: Option<Duration>| time.map_or(Value::Null, millis);
    Map::from_iter([
        ("rtt_ms".into(), optional(evidence.rtt)),
        ("since_progress_ms".into(), millis(evidence.since_progress)),
        ("overdue_ms".into(), millis(evidence.overdue)),
        ("patience_ms".into(), millis(evidence.patience)),
        ("lateness_ms".into(), millis(evidence.lateness)),
        ("silent_ms".into(), millis(evidence.silent)),
        ("queue_delay_ms".into(), optional(evidence.queue_delay)),
        ("queue_limit_ms".into(), millis(evidence.queue_limit)),
        ("sent_lately".into(), evidence.sent_lately.into()),
        ("lost_lately".into(), evidence.lost_lately.into()),
        ("offered".into(), evidence.offered.into()),
        ("delivered".into(), evidence.delivered.into()),
        ("short_for_ms".into(), millis(evidence.short_for)),
    ])
}
