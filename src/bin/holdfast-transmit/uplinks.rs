//! The box's interfaces as its operator sees them: what goes over each, and what is told of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use holdfast::clock;
use holdfast::config::{Paths, Settings, SrtPath, Via};
use holdfast::events::{Event, Expected, LinkSnapshot, OutputSnapshot, OutputState, PathState, Role};
use holdfast::link::health::Observation;
use holdfast::link::pinning::{self, CheckedPins, PinCheck};
use holdfast::link::{
    self, Accounting, Ask, Change, Hints, Judging, Knowledge, Link, Links, Monitor, Report, Telling, Use, What,
};
use holdfast::model::{InterfaceName, Media, Wall};
use holdfast::output::EventSink;
use holdfast::output::rtmp::Choice;
use holdfast::programme::Network;
use tokio::sync::{mpsc, watch};

use crate::keeper;
use crate::probing::Probing;

/// What the monitor says, and what was said of it.
pub(crate) struct Uplinks {
    links: watch::Receiver<Arc<Links>>,
    /// The interfaces that something is bound to.
    bound: watch::Sender<BTreeSet<String>>,
    /// Those that are judged: where a stream chooses, or is to be told of its server.
    judged: watch::Sender<BTreeSet<InterfaceName>>,
    judging: Judging,
    probing: Probing,
    accounting: Accounting,
    telling: Telling,
    hints: Hints,
    /// Whether what is bound to each leaves by it.
    pins: watch::Receiver<CheckedPins>,
}

impl Uplinks {
    /// Begins to watch and to judge. What happens is heard from the channel; without a monitor, for the reason that is
    /// returned, nothing is.
    pub(crate) fn watch(paths: &Paths, events: EventSink) -> (Self, mpsc::Receiver<Change>, Option<std::io::Error>) {
        let (bound, names) = watch::channel(BTreeSet::new());
        let (monitor, trouble) = match link::watch(link::Options { ask: Ask::These(names), ..link::Options::default() })
        {
            Ok(monitor) => (monitor, None),
            Err(e) => (Monitor { links: link::unknown(), changes: mpsc::channel(1).1 }, Some(e)),
        };
        let (judged, names) = watch::channel(BTreeSet::new());
        let tell = events.clone();
        let judging = Judging::start(monitor.links.clone(), names, move |event| tell(event));
        let tell = events.clone();
        let accounting = Accounting::start(paths.link_accounts(), keeper::boot_id(), move |event| tell(event));
        let (found, pins) = watch::channel(CheckedPins::new());
        let checking =
            pinning::run(bound.subscribe(), monitor.links.clone(), found, Role::Transmit, move |event| events(event));
        tokio::task::spawn_local(checking);
        let (telling, hints) = (Telling::default(), Hints::default());
        let probing = Probing::new(monitor.links.clone(), judging.clone());
        let links = monitor.links;
        (Self { links, bound, judged, judging, probing, accounting, telling, hints, pins }, monitor.changes, trouble)
    }

    /// Says whose carriers matter. To be called whenever the settings or the interfaces have changed.
    pub(crate) fn bind(&mut self, settings: &Settings) {
        let names = bound(settings, &self.links.borrow());
        self.bound.send_if_modified(|known| {
            let differs = *known != names;
            *known = names;
            differs
        });
        let ours = settings.destinations.iter().flat_map(|destination| destination.via.interfaces());
        // An SRT destination finds a dead path by itself; its links are judged for people, where somebody is asked.
        let srt = settings.srt_destinations.iter().flat_map(|destination| destination.links.paths());
        let theirs = srt.filter(|_| !settings.probe.targets.is_empty()).filter_map(|path| path.interface.as_ref());
        let judged: BTreeSet<InterfaceName> = ours.chain(theirs).cloned().collect();
        self.probing.apply(&judged, &settings.probe);
        self.accounting.apply(&settings.plans, settings.show);
        self.judged.send_if_modified(|known| {
            let differs = *known != judged;
            *known = judged;
            differs
        });
    }

    /// For those who act on it.
    pub(crate) fn network(&self) -> Network {
        let (judging, resolver) = (self.judging.clone(), self.probing.resolver().clone());
        let (links, allowances) = (self.links.clone(), self.accounting.allowances());
        let choice = Choice { judging, resolver, links, allowances };
        Network { links: self.links.clone(), choice: Some(choice) }
    }

    /// The show began then; `None` while there is none.
    pub(crate) fn on_air(&self, since: Option<Wall>) {
        self.accounting.on_air(since);
    }

    /// Remembers what has to be remembered.
    pub(crate) async fn finish(&self) {
        self.accounting.finish().await;
    }

    /// The event that a change is worth, if it is.
    pub(crate) fn event(&mut self, change: &Change, settings: &Settings) -> Option<Event> {
        self.bind(settings);
        if matches!(change.what, What::AddressGained(_) | What::Returned(_)) {
            self.probing.resolver().network_changed(&change.name);
        }
        let matters = if self.bound.borrow().contains(&change.name) { Use::Bound } else { Use::None };
        self.telling.tell(change, matters, clock::wall(), Role::Transmit)
    }

    /// Takes in what telemetry expects of a link.
    pub(crate) fn hint(&mut self, link: &str, expected: Expected, now: Instant) {
        let hint = self.hints.take(link, expected, now);
        if let (Some(hint), Some(link)) = (hint, InterfaceName::new(link)) {
            // One that does not fit has a successor within a second, while it lasts.
            let _ = self.judging.reports().try_send(Report::Saw(link, Observation::Hint(hint)));
        }
    }

    /// All interfaces; `None` while nothing is known of them.
    pub(crate) fn shown(
        &self,
        settings: &Settings,
        outputs: &[OutputSnapshot],
        now: Media,
    ) -> Option<Vec<LinkSnapshot>> {
        let (links, judged, budgets) = (self.links.borrow().clone(), self.judging.shown(), self.accounting.shown());
        let shown = |link: &Link| {
            let name = InterfaceName::new(&link.name);
            let judged = name.as_ref().and_then(|name| judged.get(name).cloned());
            let budget = name.and_then(|name| budgets.get(&name).cloned());
            let expected_trouble = self.hints.because(&link.name, clock::now()).map(str::to_owned);
            let pin = self.pins.borrow().get(&link.name).map(PinCheck::shown);
            let shown = link.shown(uses(link, &links, settings, outputs), now);
            LinkSnapshot { judged, budget, pin, expected_trouble, ..shown }
        };
        (links.knowledge == Knowledge::Kernel).then(|| links.links.iter().map(shown).collect())
    }
}

/// The interfaces that outputs are bound to: by name, or by an address of theirs.
fn bound(settings: &Settings, links: &Links) -> BTreeSet<String> {
    let pins = settings.destinations.iter().flat_map(|destination| destination.via.interfaces());
    let mut names: BTreeSet<String> = pins.map(ToString::to_string).collect();
    for path in settings.srt_destinations.iter().flat_map(|destination| destination.links.paths()) {
        match (&path.interface, path.source) {
            (Some(interface), _) => drop(names.insert(interface.to_string())),
            (None, Some(source)) => {
                names.extend(links.links.iter().filter(|link| link.has(source)).map(|link| link.name.clone()));
            }
            (None, None) => {}
        }
    }
    names
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
    for destination in &settings.destinations {
        let shown = output(destination.id.clone());
        let is_up = shown.is_some_and(|o| o.state == OutputState::Publishing);
        let is_here = |way: fn(&OutputSnapshot) -> Option<&String>| shown.and_then(way) == Some(&link.name);
        let is_listed = destination.via.interfaces().iter().any(|interface| interface.as_str() == link.name);
        let how = match destination.via {
            Via::Routing if by_default && is_up => "publishing, by the routing table",
            Via::Routing if by_default => "by the routing table",
            Via::Routing => continue,
            Via::Pinned(_) | Via::Failover(_) if !is_listed => continue,
            Via::Pinned(_) | Via::Failover(_) if is_here(|o| o.route.as_ref()) && is_up => "publishing",
            Via::Pinned(_) | Via::Failover(_) if is_here(|o| o.route.as_ref()) => "trying",
            Via::Pinned(_) | Via::Failover(_) if is_here(|o| o.standby.as_ref()) => "standing by",
            Via::Pinned(_) | Via::Failover(_) => "in reserve",
        };
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
