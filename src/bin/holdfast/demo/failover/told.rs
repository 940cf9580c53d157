//! Pure. What the box did about a fault, read from its events, and whether that is what it promises.

use holdfast::events::{Event, EventKind};
use holdfast::model::Media;

use super::LinkFault;
use super::bench::NAME;

/// Something the box found or did, and how long after the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) after_ms: i64,
    pub(super) reason: String,
}

/// What came of a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    /// The link was found dead.
    pub(super) found: Option<Moment>,
    /// The stream was sent another way.
    pub(super) moved: Option<Moment>,
    /// The server took it there.
    pub(super) publishing: Option<Moment>,
    /// The check found the portal.
    pub(super) portal: Option<Moment>,
    /// The stream went back to where it had been.
    pub(super) returned: Option<Moment>,
    /// How often the link was suspected and not more.
    pub(super) suspected: usize,
    /// Decisions to go another way, verdicts against the link or the server, and broken sessions.
    pub(super) upsets: Vec<Moment>,
}

/// Whether people are to see it. Everything else is in the box's log.
pub(super) fn is_decisive(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::LinkUp
            | EventKind::LinkDown
            | EventKind::LinkJudged
            | EventKind::RouteChanged
            | EventKind::OutputPublishing
            | EventKind::OutputDown
            | EventKind::OutputLagged
            | EventKind::Switched
            | EventKind::Note
    )
}

impl Course {
    /// What `events` say of a fault of `link` at `at`.
    pub(super) fn read(events: &[Event], link: &str, at: Media) -> Self {
        let mut course = Self::default();
        for event in events.iter().filter(|event| event.mono >= at) {
            let moment = || Moment { after_ms: (event.mono - at).to_ticks(1000), reason: event.reason.clone() };
            let first = |place: &mut Option<Moment>| {
                place.get_or_insert_with(moment);
            };
            let is = |key: &str, value: &str| event.evidence.get(key).is_some_and(|v| v == value);
            if event.kind == EventKind::LinkJudged && event.subject == link {
                if event.reason.contains("captive portal") {
                    first(&mut course.portal);
                }
                if is("verdict", "dead") {
                    first(&mut course.found);
                }
                course.suspected += usize::from(is("verdict", "suspect"));
                if ["dead", "poor", "server"].iter().any(|verdict| is("verdict", verdict)) {
                    course.upsets.push(moment());
                }
            }
            if event.subject != NAME {
                continue;
            }
            if event.kind == EventKind::RouteChanged && is("decision", "switch") {
                if is("from", link) && !is("to", link) {
                    first(&mut course.moved);
                }
                if is("to", link) && course.moved.is_some() {
                    first(&mut course.returned);
                }
            }
            if event.kind == EventKind::OutputPublishing {
                first(&mut course.publishing);
            }
            if matches!(event.kind, EventKind::RouteChanged | EventKind::OutputDown) {
                course.upsets.push(moment());
            }
        }
        course
    }

    /// Whether the box did what it promises.
    ///
    /// # Errors
    /// What it did not do, in words.
    pub(super) fn verdict(&self, fault: LinkFault) -> Result<(), String> {
        let link = fault.link();
        match fault {
            LinkFault::Starlink => match self.upsets.first() {
                None => Ok(()),
                Some(upset) => Err(format!(
                    "the stream was to stay on {link} and did not: {} ms after the first hole, {}",
                    upset.after_ms, upset.reason
                )),
            },
            LinkFault::Cable | LinkFault::Blackhole | LinkFault::Captive => {
                let missing = [
                    (self.found.is_none(), "the link was not found dead"),
                    (self.moved.is_none(), "the stream was not sent another way"),
                    (self.publishing.is_none(), "the stream was not published again"),
                    (fault == LinkFault::Captive && self.portal.is_none(), "the portal was not found"),
                ];
                match missing.iter().find(|(is_missing, _)| *is_missing) {
                    None => Ok(()),
                    Some((_, what)) => Err(format!("{link} failed, and {what}")),
                }
            }
        }
    }

    /// What came of it, in lines for people.
    pub(super) fn lines(&self, fault: LinkFault) -> Vec<(&'static str, String)> {
        let when = |moment: &Option<Moment>| {
            moment.as_ref().map_or_else(|| "never".to_owned(), |m| format!("after {} ms: {}", m.after_ms, m.reason))
        };
        if fault == LinkFault::Starlink {
            let moved = match self.upsets.as_slice() {
                [] => "nothing: no link was found dead, no session was left, the stream stayed where it was".to_owned(),
                upsets => upsets.iter().map(|u| u.reason.clone()).collect::<Vec<_>>().join("; "),
            };
            let times = match self.suspected {
                0 => "never".to_owned(),
                1 => "once, told once".to_owned(),
                n => format!("told {n} times"),
            };
            return vec![("moved", moved), ("suspected", format!("{times}; a suspicion readies the standby, no more"))];
        }
        let mut lines = vec![
            ("detected", when(&self.found)),
            ("moved", when(&self.moved)),
            (
                "publishing",
                self.publishing
                    .as_ref()
                    .map_or_else(|| "never".to_owned(), |m| format!("again after {} ms: {}", m.after_ms, m.reason)),
            ),
        ];
        if fault == LinkFault::Captive {
            lines.push(("portal", when(&self.portal)));
        }
        lines.push(match &self.returned {
            Some(moment) => ("returned", format!("after {} s: {}", moment.after_ms / 1000, moment.reason)),
            None => ("returned", format!("not yet: {} has to be clean for a while first", fault.link())),
        });
        lines
    }
}

/// What all this would be with a server that knows the stream by one name and lets nobody else have it.
pub(super) fn with_a_server_that_holds_the_key(fault: LinkFault) -> &'static str {
    match fault {
        LinkFault::Starlink => {
            "   The same: as long as nothing moves, nobody asks for the key a second time. What it would be if the dish were
   really lost is told by --fault blackhole."
        }
        LinkFault::Cable | LinkFault::Blackhole | LinkFault::Captive => {
            "   A server that gives the key to one session at a time, and has no second address, does not know that the old
   session is dead: its end never gets there. No standby can have the key beforehand. The stream would ask for it four
   times a second, then each second (takeover = \"retry-until-free\"), until the server gives the old session up. When that
   is, is the server's decision: after seconds with most; as long as TCP hopes with this one. What was not confirmed is
   then sent again as far as the ring reaches (12 s); the rest is lost and counted. A `backup_url` avoids the wait, as
   shown here; so does `priority-query` with a server that knows it (Twitch)."
        }
    }
}

#[cfg(test)]
mod tests;
