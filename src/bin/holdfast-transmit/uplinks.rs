//! The box's interfaces as its operator sees them: what goes over each, and what is told of them.

use std::sync::Arc;
use std::time::Instant;

use holdfast::clock;
use holdfast::config::{Settings, SrtPath};
use holdfast::events::{Event, Expected, LinkSnapshot, OutputSnapshot, OutputState, PathState, Role};
use holdfast::link::{Change, Hints, Knowledge, Link, Links, Telling, Use};
use holdfast::model::Media;
use tokio::sync::watch;

/// What the monitor says, and what was said of it.
pub(crate) struct Uplinks {
    links: watch::Receiver<Arc<Links>>,
    telling: Telling,
    hints: Hints,
}

impl Uplinks {
    pub(crate) fn new(links: watch::Receiver<Arc<Links>>) -> Self {
        Self { links, telling: Telling::default(), hints: Hints::default() }
    }

    /// For those who act on it.
    pub(crate) fn links(&self) -> watch::Receiver<Arc<Links>> {
        self.links.clone()
    }

    /// The event that a change is worth, if it is.
    pub(crate) fn event(&mut self, change: &Change, settings: &Settings) -> Option<Event> {
        let bound = settings.srt_destinations.iter().flat_map(|d| d.links.paths());
        let is_bound = bound.filter_map(|path| path.interface.as_ref()).any(|name| name.to_string() == change.name);
        let matters = if is_bound { Use::Bound } else { Use::None };
        self.telling.tell(change, matters, clock::wall(), Role::Transmit)
    }

    /// Takes in what telemetry expects of a link.
    pub(crate) fn hint(&mut self, link: &str, expected: Expected, now: Instant) {
        // What the hint means to a judge of the link is not asked for yet: none judges them here.
        let _ = self.hints.take(link, expected, now);
    }

    /// All interfaces; `None` while nothing is known of them.
    pub(crate) fn shown(
        &self,
        settings: &Settings,
        outputs: &[OutputSnapshot],
        now: Media,
    ) -> Option<Vec<LinkSnapshot>> {
        let links = self.links.borrow().clone();
        let shown = |link: &Link| LinkSnapshot {
            expected_trouble: self.hints.because(&link.name, clock::now()).map(str::to_owned),
            ..link.shown(uses(link, &links, settings, outputs), now)
        };
        (links.knowledge == Knowledge::Kernel).then(|| links.links.iter().map(shown).collect())
    }
}

/// Which outputs go over `link`, in words.
fn uses(link: &Link, links: &Links, settings: &Settings, outputs: &[OutputSnapshot]) -> Vec<String> {
    let output = |id| outputs.iter().find(|output| output.id == id);
    let by_default = links.preferred().is_some_and(|preferred| preferred.index == link.index);
    let mut found = Vec::new();
    for destination in &settings.srt_destinations {
        for (place, path) in destination.links.paths().iter().enumerate() {
            if !goes_over(path, link, by_default) {
                continue;
            }
            let shown = output(destination.id.clone()).and_then(|o| o.srt.as_ref()).and_then(|s| s.paths.get(place));
            let how = match shown.map(|path| &path.state) {
                Some(PathState::Carries) => "carries",
                Some(PathState::Ready) => "ready",
                Some(PathState::Calling) => "calling",
                Some(PathState::Waiting { .. }) => "waiting",
                Some(PathState::NoLink { .. }) => "no link",
                Some(PathState::Off) | None => "off",
            };
            found.push(format!("{} ({how})", destination.id));
        }
    }
    for destination in settings.destinations.iter().filter(|_| by_default) {
        let is_up = output(destination.id.clone()).is_some_and(|o| o.state == OutputState::Publishing);
        let how = if is_up { "publishing, by the routing table" } else { "by the routing table" };
        found.push(format!("{} ({how})", destination.id));
    }
    found
}

fn goes_over(path: &SrtPath, link: &Link, by_default: bool) -> bool {
    match (&path.interface, path.source) {
        (Some(interface), _) => interface.to_string() == link.name,
        (None, Some(source)) => link.has(source),
        (None, None) => by_default,
    }
}
