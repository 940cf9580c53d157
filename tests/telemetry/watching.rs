//! Sources and an observer, as holdfastd has them, and what they said so far.

use std::path::PathBuf;
use std::time::Duration;

use holdfast::clock;
use holdfast::config::{DishSettings, Dishes, InterfaceName, TelemetrySettings};
use holdfast::events::TelemetrySnapshot;
use holdfast::telemetry::{Bus, Limits, LinkHint, News, Observer, Options, Output, Sources};
use tokio::sync::watch;

/// Far above what anything here takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub struct Watching {
    sources: Sources,
    observer: Observer,
    pub starlinks: watch::Sender<Vec<String>>,
    pub news: Vec<News>,
    pub hints: Vec<LinkHint>,
}

/// Nothing is watched.
pub fn nothing() -> Options {
    let settings =
        TelemetrySettings { modem: false, dishes: Dishes::Listed(Vec::new()), ..TelemetrySettings::default() };
    Options {
        settings,
        directories: Vec::new(),
        bus: Bus::At("unix:path=/nowhere".into()),
        dish: holdfast::telemetry::dish::USUAL,
        root: PathBuf::from("/nowhere"),
    }
}

/// One dish, behind the loopback interface.
pub fn dish(address: std::net::SocketAddr) -> Options {
    let interface = InterfaceName::new("lo");
    let dishes = Dishes::Listed(vec![DishSettings { address, interface }]);
    let nothing = nothing();
    Options { settings: TelemetrySettings { dishes, ..nothing.settings.clone() }, ..nothing }
}

/// ModemManager on the bus at this address.
pub fn modems(address: &str) -> Options {
    let nothing = nothing();
    let settings = TelemetrySettings { modem: true, ..nothing.settings.clone() };
    Options { settings, bus: Bus::At(address.to_owned()), ..nothing }
}

impl Watching {
    pub fn start(options: Options) -> Self {
        let (starlinks, seen) = watch::channel(Vec::new());
        let limits = Limits { hot_celsius: 85.0, disk_low_bytes: 0 };
        let observer = Observer::new(limits);
        Self { sources: Sources::start(options, seen), observer, starlinks, news: Vec::new(), hints: Vec::new() }
    }

    /// Takes readings in until `found` finds what it looks for.
    pub async fn until<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let begin = clock::now();
        loop {
            if let Some(found) = found(self) {
                println!("    {:>7.3} s  {what}", (clock::now() - begin).as_secs_f64());
                return found;
            }
            let left = PATIENCE.saturating_sub(clock::now() - begin);
            let Ok(reading) = tokio::time::timeout(left, self.sources.next()).await else {
                panic!("waited {PATIENCE:?} for {what}: {:#?}\n{:#?}", self.state(), self.news);
            };
            self.observer.observe(reading, clock::now());
            while let Some(output) = self.observer.poll() {
                match output {
                    Output::News(news) => self.news.push(news),
                    Output::Hint(hint) => self.hints.push(hint),
                }
            }
        }
    }

    pub fn state(&self) -> &TelemetrySnapshot {
        self.observer.snapshot()
    }

    /// The reason of the news that has `words` in it.
    pub fn told(&self, words: &str) -> Option<&News> {
        self.news.iter().find(|news| news.reason.contains(words))
    }
}
