//! A recording: the programme into fragmented MP4 files, without the disk ever touching the programme.
//!
//! ```text
//!   data plane's thread          │ record-<id>                     │ record-close
//!   Feed ─► task ─► Gate ──queue─┼─► Fmp4 ─► write ─► x.mp4.part   │
//!             ▲      └ overflow: │     │ every 2 s ── fdatasync ────┼─►
//!             │        to the    │     └ file ends ── close ────────┼─► fdatasync, rename to x.mp4
//!             │        next key  │                                 │   salvage what a crash left
//!             └──── Progress ────┤
//! ```
//!
//! A file ends at the first keyframe after `rotate_after`, when it has a quarter of `max_bytes`, or when the encoder's
//! configuration changes. A file that cannot be written is cut to its last whole fragment and closed; recording is then
//! tried again at keyframes, with back-off. The directory is never created: an absent one means an absent disk.
//!
//! *Invariant:* the data plane's thread makes no file system call and waits for none; what the disk does not take in
//! time is left out from keyframe to keyframe, counted and told.

mod closer;
mod disk;
mod name;
mod policy;
mod queue;
mod report;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::disk::{Disk, LocalDisk};
use self::policy::{Entry, Gate};
use self::queue::Intake;
use self::report::Report;
use self::writer::Progress;
use super::{EventSink, Feed, OutputCommand, OutputHandle, Received, Subscription, Wake};
use crate::clock;
use crate::config::RecordingSettings;
use crate::events::{RecordingSnapshot, RecordingState};
use crate::model::{AccessUnit, Track};

/// Commands in hand-over.
const COMMANDS: usize = 8;
/// After a recorder's thread died, another is started.
const RESTART: Duration = Duration::from_secs(5);

/// Starts a recording on the current single-threaded runtime (inside a `LocalSet`). It waits for
/// [`OutputCommand::Start`]. After `Stop`, its state is `Off` once the file is closed; after the handle is dropped, its
/// snapshot channel closes once the file is.
pub fn spawn(settings: RecordingSettings, feed: Feed, events: EventSink) -> OutputHandle<RecordingSnapshot> {
    spawn_on(settings, feed, events, Arc::new(LocalDisk))
}

fn spawn_on(
    settings: RecordingSettings,
    feed: Feed,
    events: EventSink,
    disk: Arc<dyn Disk>,
) -> OutputHandle<RecordingSnapshot> {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (publish, snapshot) = watch::channel(RecordingSnapshot {
        id: settings.id.clone(),
        rendition: settings.rendition.clone(),
        state: RecordingState::Off,
        file: None,
        bytes: 0,
        lost: 0,
        free_bytes: None,
    });
    let report = Report::new(&settings, events);
    let recording = Recording { settings, feed, disk, report, publish, past: Past::default() };
    tokio::task::spawn_local(recording.run(inbox));
    OutputHandle { commands, snapshot }
}

struct Recording {
    settings: RecordingSettings,
    feed: Feed,
    disk: Arc<dyn Disk>,
    report: Report,
    publish: watch::Sender<RecordingSnapshot>,
    past: Past,
}

/// Counted by threads that have ended, and by the task itself.
#[derive(Default)]
struct Past {
    bytes: u64,
    lost: u64,
}

enum Period {
    Off,
    OnAir(Box<OnAir>),
    /// The thread closes its file; then comes what is wished for.
    Closing(watch::Receiver<Progress>, Wish),
    /// The thread could not be started or died.
    Broken(tokio::time::Instant),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Rest,
    Start,
    End,
}

struct OnAir {
    subscription: Subscription,
    intake: Intake,
    gate: Gate,
    progress: watch::Receiver<Progress>,
}

/// What the task woke up for.
enum Woken {
    Command(Option<OutputCommand>),
    Progress(Result<(), watch::error::RecvError>),
    Unit(Received),
    Restart,
}

impl Recording {
    async fn run(mut self, mut commands: mpsc::Receiver<OutputCommand>) {
        let mut period = Period::Off;
        loop {
            let woken = match &mut period {
                Period::Off => Woken::Command(commands.recv().await),
                Period::Broken(retry_at) => tokio::select! {
                    biased;
                    command = commands.recv() => Woken::Command(command),
                    () = tokio::time::sleep_until(*retry_at) => Woken::Restart,
                },
                Period::OnAir(on_air) => tokio::select! {
                    biased;
                    command = commands.recv() => Woken::Command(command),
                    changed = on_air.progress.changed() => Woken::Progress(changed),
                    received = on_air.subscription.next() => Woken::Unit(received),
                },
                // With no one left to command, the file is still closed.
                Period::Closing(progress, Wish::End) => Woken::Progress(progress.changed().await),
                Period::Closing(progress, _) => tokio::select! {
                    biased;
                    command = commands.recv() => Woken::Command(command),
                    changed = progress.changed() => Woken::Progress(changed),
                },
            };
            let Some(next) = self.step(period, woken) else { return };
            period = next;
            self.show(&period);
        }
    }

    /// `None` at the end.
    fn step(&mut self, period: Period, woken: Woken) -> Option<Period> {
        Some(match (period, woken) {
            (Period::Off | Period::Broken(_), Woken::Command(None)) => return None,
            (Period::Off, Woken::Command(Some(OutputCommand::Start))) => self.begin(),
            (Period::Broken(_), Woken::Command(Some(OutputCommand::Stop))) => Period::Off,
            (Period::Broken(_), Woken::Restart | Woken::Command(Some(OutputCommand::RetryNow))) => self.begin(),
            (Period::OnAir(on_air), Woken::Command(None)) => self.end(*on_air, Wish::End),
            (Period::OnAir(on_air), Woken::Command(Some(OutputCommand::Stop))) => self.end(*on_air, Wish::Rest),
            (Period::OnAir(on_air), Woken::Command(Some(OutputCommand::RetryNow))) => {
                on_air.intake.retry_now();
                Period::OnAir(on_air)
            }
            (Period::OnAir(mut on_air), Woken::Unit(received)) => {
                self.take(&mut on_air, received);
                // What else is there, without going round through the runtime.
                for _ in 0..64 {
                    let Some(received) = on_air.subscription.try_next() else { break };
                    self.take(&mut on_air, received);
                }
                Period::OnAir(on_air)
            }
            (Period::OnAir(on_air), Woken::Progress(Err(_))) => {
                self.account(&on_air.progress);
                self.report.broken("its thread died");
                Period::Broken(tokio::time::Instant::from_std(clock::now() + RESTART))
            }
            (Period::Closing(progress, wish), Woken::Command(command)) => {
                let wish = match command {
                    None => Wish::End,
                    Some(OutputCommand::Start) => Wish::Start,
                    Some(OutputCommand::Stop) => Wish::Rest,
                    Some(OutputCommand::RetryNow | OutputCommand::NetworkReturned | OutputCommand::SkipAhead) => wish,
                };
                Period::Closing(progress, wish)
            }
            (Period::Closing(progress, wish), Woken::Progress(Err(_))) => {
                self.account(&progress);
                match wish {
                    Wish::Rest => Period::Off,
                    Wish::Start => self.begin(),
                    Wish::End => return None,
                }
            }
            // A command that changes nothing, or progress that only needs showing.
            (period, Woken::Command(_) | Woken::Progress(_) | Woken::Unit(_) | Woken::Restart) => period,
        })
    }

    fn begin(&mut self) -> Period {
        let (intake, outlet) = queue::bounded();
        let (sender, progress) = watch::channel(Progress::default());
        let (settings, disk, report) = (self.settings.clone(), self.disk.clone(), self.report.clone());
        match writer::start(settings, disk, report, outlet, sender) {
            Ok(()) => {
                let subscription = self.feed.subscribe(Wake::EachPicture);
                Period::OnAir(Box::new(OnAir { subscription, intake, gate: Gate::Open, progress }))
            }
            Err(error) => {
                self.report.broken(&format!("a thread could not be started ({error})"));
                Period::Broken(tokio::time::Instant::from_std(clock::now() + RESTART))
            }
        }
    }

    /// Gives the thread what the programme has up to here, and lets it close its file.
    fn end(&mut self, mut on_air: OnAir, wish: Wish) -> Period {
        while let Some(received) = on_air.subscription.try_next() {
            self.take(&mut on_air, received);
        }
        Period::Closing(on_air.progress, wish)
    }

    fn take(&mut self, on_air: &mut OnAir, received: Received) {
        match received {
            Received::Skipped { units } => {
                self.past.lost += units;
                self.report.lagged(units);
            }
            Received::Unit(unit) => self.offer(on_air, unit),
        }
    }

    fn offer(&mut self, on_air: &mut OnAir, unit: Arc<AccessUnit>) {
        let keyframe = unit.track == Track::Video && unit.key;
        match on_air.gate.offer(keyframe, on_air.intake.level(&unit), clock::now()) {
            Entry::In => {}
            Entry::InAgain { lost, lasted } => self.report.recovered(lasted, lost),
            Entry::Out { news } => {
                self.past.lost += 1;
                if news {
                    self.report.too_slow(on_air.intake.waiting());
                }
                return;
            }
        }
        if !on_air.intake.push(unit) {
            // The thread is gone; its progress channel says so next.
            self.past.lost += 1;
        }
    }

    fn account(&mut self, progress: &watch::Receiver<Progress>) {
        let last = progress.borrow();
        self.past.bytes += last.bytes;
        self.past.lost += last.lost;
    }

    /// Publishes the state as it is in `period`.
    fn show(&self, period: &Period) {
        let recording = |progress: &Progress| match &progress.trouble {
            Some(because) => RecordingState::Trouble { because: because.clone() },
            None => RecordingState::Recording,
        };
        let none = Progress::default();
        let (state, progress) = match period {
            Period::Off => (RecordingState::Off, none),
            Period::Broken(_) => (RecordingState::Trouble { because: "the recorder is being restarted".into() }, none),
            Period::OnAir(on_air) => {
                let progress = on_air.progress.borrow().clone();
                let shut = matches!(on_air.gate, Gate::Shut { .. });
                let slow = || RecordingState::Trouble { because: "the disk does not keep up".into() };
                let state = if shut && progress.trouble.is_none() { slow() } else { recording(&progress) };
                (state, progress)
            }
            Period::Closing(progress, _) => {
                let progress = progress.borrow().clone();
                (recording(&progress), progress)
            }
        };
        self.publish.send_if_modified(|shown| {
            let latest = RecordingSnapshot {
                id: shown.id.clone(),
                rendition: shown.rendition.clone(),
                state,
                file: progress.file,
                bytes: self.past.bytes + progress.bytes,
                lost: self.past.lost + progress.lost,
                free_bytes: progress.free.or(shown.free_bytes),
            };
            let changed = *shown != latest;
            *shown = latest;
            changed
        });
    }
}
