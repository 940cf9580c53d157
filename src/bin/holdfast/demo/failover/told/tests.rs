#![allow(clippy::unwrap_used)]

use holdfast::events::{Role, Severity};
use holdfast::model::Wall;

use super::*;

const AT: Media = Media::from_millis(100_000);

fn event(after_ms: i64, kind: EventKind, subject: &str, reason: &str) -> Event {
    let mono = AT + Media::from_millis(after_ms);
    Event::new((Wall(0), mono), Role::Transmit, kind, Severity::Info, subject, reason)
}

fn failover() -> Vec<Event> {
    vec![
        event(-5000, EventKind::OutputPublishing, NAME, "publishing"),
        event(410, EventKind::LinkJudged, "eth0", "suspect").with("verdict", "suspect"),
        event(1010, EventKind::LinkJudged, "eth0", "dead: silent").with("verdict", "dead"),
        event(1011, EventKind::RouteChanged, NAME, "from eth0 to wwan0")
            .with("decision", "switch")
            .with("from", "eth0")
            .with("to", "wwan0"),
        event(1080, EventKind::OutputPublishing, NAME, "publishing over wwan0"),
    ]
}

#[test]
fn a_fault_that_is_survived_is_read_from_the_events() {
    let course = Course::read(&failover(), "eth0", AT);
    let ms = |moment: &Option<Moment>| moment.as_ref().map(|m| m.after_ms);
    assert_eq!((ms(&course.found), ms(&course.moved), ms(&course.publishing)), (Some(1010), Some(1011), Some(1080)));
    assert_eq!(course.suspected, 1);
    course.verdict(LinkFault::Blackhole).unwrap();
    let lines = course.lines(LinkFault::Blackhole);
    assert!(lines.iter().any(|(what, told)| *what == "publishing" && told.starts_with("again after 1080 ms")));
    assert!(lines.iter().any(|(what, told)| *what == "returned" && told.starts_with("not yet")));
}

#[test]
fn every_step_that_is_missing_is_named() {
    for (n, kind) in [(2, "dead"), (3, "another way"), (4, "published again")] {
        let mut events = failover();
        events.remove(n);
        let why = Course::read(&events, "eth0", AT).verdict(LinkFault::Cable).unwrap_err();
        assert!(why.contains(kind), "{why}");
    }
    let why = Course::read(&failover(), "eth0", AT).verdict(LinkFault::Captive).unwrap_err();
    assert!(why.contains("portal"), "{why}");
    let mut events = failover();
    let reason = "dead: a captive portal answers in the Internet's place";
    events.push(event(3000, EventKind::LinkJudged, "eth0", reason).with("verdict", "dead"));
    let course = Course::read(&events, "eth0", AT);
    course.verdict(LinkFault::Captive).unwrap();
    assert_eq!(course.portal.map(|m| m.after_ms), Some(3000));
}

#[test]
fn a_dish_may_be_suspected_and_nothing_more() {
    let suspected = event(410, EventKind::LinkJudged, "starlink0", "suspect").with("verdict", "suspect");
    let course = Course::read(std::slice::from_ref(&suspected), "starlink0", AT);
    course.verdict(LinkFault::Starlink).unwrap();
    assert!(course.lines(LinkFault::Starlink)[0].1.starts_with("nothing"));
    for upset in [
        event(1300, EventKind::LinkJudged, "starlink0", "dead: silent").with("verdict", "dead"),
        event(1300, EventKind::RouteChanged, NAME, "from starlink0 to wwan0"),
        event(1300, EventKind::OutputDown, NAME, "broken"),
    ] {
        let course = Course::read(&[suspected.clone(), upset], "starlink0", AT);
        let why = course.verdict(LinkFault::Starlink).unwrap_err();
        assert!(why.contains("1300 ms"), "{why}");
    }
}

#[test]
fn another_links_troubles_are_not_this_ones() {
    let mut events = failover();
    events[2].subject = "wwan0".to_owned();
    assert_eq!(Course::read(&events, "eth0", AT).found, None);
}

#[test]
fn the_return_is_told_when_it_has_been_seen() {
    let mut events = failover();
    let back = event(75_500, EventKind::RouteChanged, NAME, "from wwan0 to eth0, at a keyframe");
    events.push(back.with("decision", "switch").with("from", "wwan0").with("to", "eth0"));
    let lines = Course::read(&events, "eth0", AT).lines(LinkFault::Cable);
    assert!(lines.iter().any(|(what, told)| *what == "returned" && told.starts_with("after 75 s")), "{lines:?}");
}
