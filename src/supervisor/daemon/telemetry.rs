//! What modems, dishes and the machine say: to people, and as hints to the data plane.

use std::path::PathBuf;

use super::Daemon;
use crate::clock;
use crate::config::Settings;
use crate::events::{ChildCommand, Expected, LinkClass, PlaneSnapshot, Role};
use crate::link::health::Hint;
use crate::telemetry::{Limits, LinkHint, Observer, Options, Output, Reading, Sources};
use tokio::sync::watch;

/// The sources that the settings ask for, and what was made of them so far.
pub(super) struct Telemetry {
    sources: Sources,
    observer: Observer,
    /// Interfaces that look like Starlink, as the data plane sees them.
    starlinks: watch::Sender<Vec<String>>,
}

impl Telemetry {
    pub(super) fn start(settings: &Settings) -> Self {
        let (starlinks, seen) = watch::channel(Vec::new());
        let (sources, observer) = begin(settings, seen);
        Self { sources, observer, starlinks }
    }

    /// The next reading. Cancel-safe.
    pub(super) async fn next(&mut self) -> Reading {
        self.sources.next().await
    }

    pub(super) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Begins anew: other sources, other limits.
    pub(super) fn restart(&mut self, settings: &Settings) {
        (self.sources, self.observer) = begin(settings, self.starlinks.subscribe());
    }

    /// The data plane hears the kernel, which is why it need not be heard here as well.
    pub(super) fn look_at_links(&self, plane: &PlaneSnapshot) {
        let Some(links) = &plane.links else { return };
        let likely = links.iter().filter(|link| link.class == LinkClass::Starlink);
        let likely: Vec<String> = likely.map(|link| link.name.clone()).collect();
        self.starlinks.send_if_modified(|known| {
            let differs = *known != likely;
            *known = likely;
            differs
        });
    }
}

/// Whether they differ in what telemetry depends on.
pub(super) fn differs(a: &Settings, b: &Settings) -> bool {
    a.telemetry != b.telemetry || directories(a) != directories(b)
}

fn begin(settings: &Settings, starlinks: watch::Receiver<Vec<String>>) -> (Sources, Observer) {
    let wanted = settings.telemetry.clone();
    let limits = Limits { hot_celsius: f64::from(wanted.hot_celsius), disk_low_bytes: wanted.disk_low_bytes };
    let options = Options::of_this_machine(wanted, directories(settings));
    (Sources::start(options, starlinks), Observer::new(limits))
}

/// Where recordings go, each once.
fn directories(settings: &Settings) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = settings.recordings.iter().map(|r| r.directory.clone()).collect();
    directories.sort();
    directories.dedup();
    directories
}

impl Daemon {
    pub(super) fn hear_telemetry(&mut self, reading: Reading) {
        if let Reading::Machine(machine) = &reading {
            self.feel(machine);
        }
        self.telemetry.observer.observe(reading, clock::now());
        while let Some(output) = self.telemetry.observer.poll() {
            match output {
                Output::News(news) => {
                    let at = (clock::wall(), clock::media());
                    self.record(news.into_event(at, Role::Supervisor));
                }
                Output::Hint(hint) => self.pass_on(hint),
            }
        }
    }

    /// A data plane that is not there needs no hints; the next one hears them again within seconds.
    fn pass_on(&self, LinkHint { link, hint, because }: LinkHint) {
        let expected = match hint {
            Hint::Clear => Expected::Nothing,
            Hint::Trouble { until } => {
                let left = until.saturating_duration_since(clock::now());
                Expected::Trouble { for_ms: u64::try_from(left.as_millis()).unwrap_or(0), because }
            }
        };
        self.children.command(&Role::Transmit, ChildCommand::Hint { link, expected });
    }
}
