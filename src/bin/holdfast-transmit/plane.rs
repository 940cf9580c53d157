//! Wires the rooms of the data plane: intake → programme, and the link to holdfastd.
//!
//! ```text
//!   senders ──► inlets ──► workers
//!   workers ──► intake ──► Programme{switch, feeds, outputs} ──► destinations, recordings
//!                            ▲  │
//!          slate files ──────┘  └──► keyframe wishes back to the workers
//! ```
//!
//! *Invariant:* nothing here decides about the picture (the switch does) or about a session (the outputs do), and
//! nothing here waits for a disk, a peer or holdfastd.

mod remote;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast::clock;
use holdfast::config::{Paths, Settings};
use holdfast::encode::bitrate::Ceiling;
use holdfast::encode::protocol::{Gate, ToWorker};
use holdfast::encode::slate;
use holdfast::events::{ChildCommand, ChildMessage, Event, EventKind, PlaneSnapshot, Role, Severity};
use holdfast::ingest::strand::Path;
use holdfast::link;
use holdfast::model::{Condition, InputId, Manual};
use holdfast::output::{EventSink, OutputCommand};
use holdfast::programme::{KeyframeWish, Order, Programme, Wanted};
use holdfast::supervisor::child_link::{ChildLink, ChildSender};
use holdfast::supervisor::load;
use holdfast::supervisor::wish::Wish;
use holdfast::switch::{Epoch, How, Input, SavedTime, SlateClip};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::remote::Feeding;
use crate::bitrates::{Bitrates, Outcome};
use crate::conditions;
use crate::inlets::Inlets;
use crate::intake::{self, ConnectionId, FromIntake};
use crate::keeper::{self, Keeper};
use crate::slates::{self, Awaited, Meanwhile};
use crate::uplinks::Uplinks;

/// Messages from workers waiting for the plane; beyond that the sockets wait, and then the workers drop.
const INBOX: usize = 256;
/// How long the last events may take to holdfastd.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Beats and reports.
const BEAT: Duration = Duration::from_millis(100);
/// Reports to holdfastd, in beats.
const REPORT_EVERY: u32 = 5;
/// Looking at how destinations do, in beats.
const ADAPT_EVERY: u32 = 5;
/// Looking for slates that were not there yet, in beats.
const SLATES_EVERY: u32 = 5;

/// Runs the data plane until it is told to stop.
///
/// # Errors
/// In words, when it cannot begin.
pub(crate) async fn run(paths: Paths, settings: Settings) -> Result<(), String> {
    let hash = settings.hash_for(&Role::Transmit);
    let socket = paths.media_socket();
    let listener = intake::listen(&socket).map_err(|e| format!("{}: {e}", socket.display()))?;
    let keeper = Keeper::start(paths.programme_time()).map_err(|e| format!("cannot start a thread: {e}"))?;
    let mut link = ChildLink::start(paths.children_socket(), Role::Transmit, hash);
    let (inbox, mut intake) = mpsc::channel(INBOX);
    tokio::task::spawn_local(intake::serve(listener, paths.clone(), inbox));

    let sender = link.sender();
    let events: EventSink = Arc::new(move |event| sender.send(ChildMessage::Event(event)));
    let (uplinks, mut changes, trouble) = Uplinks::watch(&paths, events.clone());
    let (inlets, mut arrivals) = Inlets::new(events.clone());
    let mut plane = Plane::new(paths, settings, keeper, link.sender(), events, (uplinks, inlets));
    if let Some(e) = trouble {
        let text = format!("the kernel does not tell of its interfaces ({e}); destinations retry by the clock");
        plane.say(EventKind::Note, Severity::Warning, "", text);
    }
    let mut beat = clock::in_step(BEAT);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|e| format!("cannot listen for SIGTERM: {e}"))?;
    // Told only where systemd listens; elsewhere there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    if plane.paths.on_air_wish().exists() {
        plane.set_on_air(true, "the box was on air when the data plane ended");
    }
    loop {
        let timeout = plane.timeout();
        tokio::select! {
            biased;
            command = link.next() => if plane.command(command) { break },
            message = intake.recv() => if let Some(message) = message { plane.hear(message) },
            () = sleep_until(timeout) => plane.time_has_come(),
            Some((input, arrival)) = arrivals.recv() => plane.arrived(&input, arrival),
            _ = beat.tick() => plane.beat(),
            Some(change) = changes.recv() => plane.link_changed(&change),
            _ = terminate.recv() => break,
        }
    }
    plane.programme.end().await;
    plane.uplinks.finish().await;
    link.finish(LAST_WORDS).await;
    Ok(())
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

struct Worker {
    connection: ConnectionId,
    wishes: mpsc::Sender<ToWorker>,
    /// What it did not take because it reads too slowly.
    owed: Option<Gate>,
    /// What is wrong with its input, as it says.
    condition: Condition,
    /// The same with what is wrong with the network before it.
    told: Condition,
    feed: Feeding,
}

struct Plane {
    paths: Paths,
    settings: Settings,
    programme: Programme,
    workers: BTreeMap<InputId, Worker>,
    /// The slates that have not been read yet, and since when they are awaited.
    slates: Vec<Awaited>,
    slates_since: std::time::Instant,
    saved: Option<SavedTime>,
    keeper: Keeper,
    link: ChildSender,
    uplinks: Uplinks,
    inlets: Inlets,
    bitrates: Bitrates,
    events: EventSink,
    beats: u32,
    on_air: bool,
    /// What an operator wants to see.
    choice: Manual,
}

impl Plane {
    fn new(
        paths: Paths,
        settings: Settings,
        keeper: Keeper,
        link: ChildSender,
        events: EventSink,
        (uplinks, inlets): (Uplinks, Inlets),
    ) -> Self {
        let (now, wall, boot) = (clock::media(), clock::wall(), keeper::boot_id());
        let saved = keeper::load(&paths.programme_time());
        let rate = settings.frame_rate;
        let (epoch, how) = Epoch::resume(saved.as_ref().ok().and_then(Option::as_ref), &boot, now, wall, rate);
        let seed = u64::try_from(wall.0).unwrap_or(1) ^ u64::from(std::process::id());
        let mut plane = Self {
            programme: Programme::with_network(
                &wanted(&settings),
                inputs(&settings),
                epoch,
                Order::Presentation,
                events.clone(),
                uplinks.network(),
                seed,
            ),
            paths,
            settings,
            workers: BTreeMap::new(),
            slates: Vec::new(),
            slates_since: clock::now(),
            saved: None,
            keeper,
            link,
            uplinks,
            inlets,
            bitrates: Bitrates::default(),
            events,
            beats: 0,
            on_air: false,
            choice: Manual::Auto,
        };
        if let Err(why) = saved {
            let text = format!("{} {why}; programme time begins anew", plane.paths.programme_time().display());
            plane.say(EventKind::TimeResumed, Severity::Warning, "", text);
        }
        plane.say(EventKind::TimeResumed, Severity::Info, "", in_words(how));
        // Before anything is sent: whoever comes after must not go back behind it.
        plane.save_time();
        plane.uplinks.bind(&plane.settings);
        plane.bitrates.apply(&plane.settings);
        plane.inlets.apply(&plane.settings);
        plane.look_for_slates();
        plane
    }

    fn timeout(&self) -> Option<Instant> {
        let deadline = self.programme.poll_timeout().into_iter().chain(self.inlets.next_due()).min()?;
        Some(Instant::from_std(clock::now()) + (deadline - clock::media()).to_duration())
    }

    fn switch_input(&mut self, input: Input) {
        let wishes = self.programme.handle(input, clock::media());
        self.pass_on(wishes);
    }

    fn pass_on(&mut self, wishes: Vec<KeyframeWish>) {
        for (input, duty) in self.programme.take_duties() {
            let gate = self.inlets.gate(&input, duty);
            self.set_gate(&input, gate);
        }
        for KeyframeWish { input, rendition } in wishes {
            self.wish(&input, ToWorker::ForceKeyframe { rendition: Some(rendition) });
        }
    }

    /// Told until it is taken: with its gate closed an input can be on air for nobody.
    fn set_gate(&mut self, input: &InputId, gate: Gate) {
        if let Some(worker) = self.workers.get_mut(input) {
            worker.owed = worker.wishes.try_send(ToWorker::SetGate { gate }).err().map(|_| gate);
        }
    }

    fn wish_all(&self, wish: &ToWorker) {
        self.workers.keys().for_each(|input| self.wish(input, wish.clone()));
    }

    /// A full queue means the worker is not reading; the switch asks again.
    fn wish(&self, input: &InputId, wish: ToWorker) {
        if let Some(worker) = self.workers.get(input) {
            let _ = worker.wishes.try_send(wish);
        }
    }
}

/// What the rest of the box says to the plane.
impl Plane {
    fn hear(&mut self, message: FromIntake) {
        match message {
            FromIntake::Opened { connection, hello, wishes } => {
                let input = hello.input;
                if !self.settings.inputs.iter().any(|i| i.id == input) {
                    // Dropping the sender ends the writer; the worker's next look at the configuration ends the worker.
                    let _ = wishes.try_send(ToWorker::Refused { reason: format!("there is no input {input}") });
                    return;
                }
                for wish in self.bitrates.in_force() {
                    let _ = wishes.try_send(wish);
                }
                let (owed, condition, told) = (None, Condition::GOOD, Condition::GOOD);
                let feed = Feeding::Flows;
                self.workers.insert(input.clone(), Worker { connection, wishes, owed, condition, told, feed });
                let behind = self.inlets.catch_up(&input);
                self.feed(&input, behind);
                self.switch_input(Input::Connected { input: input.clone() });
                self.judge(&input);
            }
            FromIntake::Described { rendition, encoder, input } => {
                let text = format!("{rendition} is made by {encoder}");
                self.say(EventKind::InputChanged, Severity::Info, input.as_str(), text);
                let outcome = self.bitrates.encoded_by(rendition, input, encoder);
                self.adapt(outcome.into_iter().collect());
            }
            FromIntake::Unit { connection, unit } => {
                // An older connection of the same input may still have units in the inbox. And where a sender's stream goes on
                // air as it is, its worker's sound is nobody's.
                let is_its = self.workers.get(&unit.input).is_some_and(|w| w.connection == connection);
                if is_its && self.inlets.path(&unit.input) == Path::Decoded {
                    self.switch_input(Input::Unit(unit));
                }
            }
            FromIntake::Condition { connection, input, condition } => self.found(connection, &input, condition),
            FromIntake::Closed { connection, input, why } => {
                let Some(input) = input else {
                    let text = format!("a peer on media.sock was turned away: {why}");
                    return self.say(EventKind::Note, Severity::Warning, "", text);
                };
                if self.workers.get(&input).is_some_and(|w| w.connection == connection) {
                    self.workers.remove(&input);
                    self.bitrates.worker_gone(&input);
                    self.switch_input(Input::Lost { input, why });
                }
            }
        }
    }

    /// Something else is wrong with an input, or nothing is any more.
    fn found(&mut self, connection: ConnectionId, input: &InputId, condition: Condition) {
        let Some(worker) = self.workers.get_mut(input).filter(|w| w.connection == connection) else { return };
        worker.condition = condition;
        self.judge(input);
    }

    /// Tells the switch what is wrong with an input, from its worker and its network, if that is something else than before.
    fn judge(&mut self, input: &InputId) {
        let Some(worker) = self.workers.get_mut(input) else { return };
        let condition = self.inlets.condition(input, &worker.condition);
        if condition == worker.told {
            return;
        }
        let told = conditions::told(&worker.told, &condition);
        let findings = serde_json::to_value(&condition).unwrap_or_default();
        worker.told = condition.clone();
        if let Some((severity, reason)) = told {
            let event = self.event(EventKind::InputCondition, severity, input.as_str(), reason);
            (self.events)(event.with("findings", findings));
        }
        self.switch_input(Input::Condition { input: input.clone(), condition });
    }

    /// Does what holdfastd says; true when the process is to end.
    fn command(&mut self, command: ChildCommand) -> bool {
        match command {
            ChildCommand::Welcome { .. } => self.report(),
            ChildCommand::Reload => self.reload(),
            ChildCommand::SetOnAir { on } => self.set_on_air(on, "an operator asked for it"),
            ChildCommand::RetryNow { output } => self.programme.tell(output.as_ref(), OutputCommand::RetryNow),
            ChildCommand::ForceKeyframe { rendition } => {
                for input in self.workers.keys() {
                    self.wish(input, ToWorker::ForceKeyframe { rendition: rendition.clone() });
                }
            }
            ChildCommand::Choose { choice } => {
                self.choice = choice.clone();
                self.switch_input(Input::Choose(choice));
                self.report();
            }
            ChildCommand::SetBitrate { rendition, bitrate } => {
                let outcomes = self.bitrates.limit(&rendition, bitrate, clock::now());
                self.adapt(outcomes);
            }
            // Kept until it expires, for whoever judges links, and shown beside them.
            ChildCommand::Hint { link, expected } => self.uplinks.hint(&link, expected, clock::now()),
            // Likewise kept until it expires.
            ChildCommand::Ceiling { permille, for_ms, because } => {
                let ceiling = Ceiling { permille, because };
                self.bitrates.heat(ceiling, Duration::from_millis(for_ms), clock::now());
            }
            ChildCommand::Stop => return true,
        }
        false
    }

    fn set_on_air(&mut self, on: bool, why: &str) {
        if self.on_air == on {
            return;
        }
        self.on_air = on;
        self.programme.set_on_air(on);
        // The wish is older than this process if the process is another than the one that went on air.
        let since = || Wish::open(self.paths.on_air_wish()).since().unwrap_or_else(clock::wall);
        self.uplinks.on_air(on.then(since));
        let kind = if on { EventKind::WentOnAir } else { EventKind::WentOffAir };
        self.say(kind, Severity::Info, "", why.to_owned());
        self.report();
    }

    /// Takes the last-good settings again. What did not change is not disturbed.
    fn reload(&mut self) {
        let settings = match load::load_last_good(&self.paths) {
            Ok(settings) => settings,
            Err(e) => return self.say(EventKind::ConfigRefused, Severity::Alert, "data plane", e.to_string()),
        };
        let rebuilt =
            settings.renditions != self.settings.renditions || settings.frame_rate != self.settings.frame_rate;
        self.settings = settings;
        if rebuilt {
            self.rebuild();
        } else {
            self.programme.apply(&wanted(&self.settings));
            self.switch_input(Input::Select(self.settings.selection.clone()));
            self.switch_input(Input::Inputs(inputs(&self.settings)));
        }
        self.uplinks.bind(&self.settings);
        self.inlets.apply(&self.settings);
        self.bitrates.apply(&self.settings);
        for wish in self.bitrates.in_force() {
            self.wish_all(&wish);
        }
        self.look_for_slates();
        self.link.settings(self.settings.hash_for(&Role::Transmit));
        self.report();
    }

    /// Other encodes: everything after the workers begins anew, later on the same timeline.
    fn rebuild(&mut self) {
        let (now, wall, boot) = (clock::media(), clock::wall(), keeper::boot_id());
        let (epoch, _) = Epoch::resume(self.saved.as_ref(), &boot, now, wall, self.settings.frame_rate);
        self.programme.rebuild(&wanted(&self.settings), inputs(&self.settings), epoch);
        self.switch_input(Input::Choose(self.choice.clone()));
        let there: Vec<_> = self.workers.iter().map(|(input, worker)| (input.clone(), worker.told.clone())).collect();
        for (input, condition) in there {
            self.switch_input(Input::Connected { input: input.clone() });
            self.switch_input(Input::Condition { input, condition });
        }
    }

    /// Which slates these settings ask for.
    fn look_for_slates(&mut self) {
        self.slates = slates::awaited(&self.paths, &self.settings);
        self.slates_since = clock::now();
        self.load_slates();
    }

    /// Reads the slates that were made since the last look. One that is torn is as good as absent: holdfastd has it made
    /// again.
    fn load_slates(&mut self) {
        let (there, missing): (Vec<_>, Vec<_>) =
            self.slates.drain(..).partition(|slate| slate::file::is_there(&slate.path));
        self.slates = missing;
        for slate in there {
            match slates::read(&slate.path) {
                Ok(clips) => self.show(clips),
                Err(why) => self.say(EventKind::SlateChanged, Severity::Warning, slate.rendition.as_str(), why),
            }
        }
        if clock::now().saturating_duration_since(self.slates_since) >= slates::STAND_IN_AFTER {
            self.stand_in();
        }
    }

    /// For the slates that have not come, because no encoder works here, say.
    fn stand_in(&mut self) {
        for rendition in self.settings.renditions.clone() {
            let late = self.slates.iter_mut().find(|slate| slate.rendition == rendition.id);
            let Some(Awaited { meanwhile: meanwhile @ Meanwhile::Nothing, .. }) = late else { continue };
            *meanwhile = Meanwhile::StandIn;
            let sound = rendition.audio.rendition();
            // Sound may be shared with a rendition whose slate is there.
            let heard = self.settings.renditions.iter().any(|other| {
                other.audio.rendition() == sound && !self.slates.iter().any(|slate| slate.rendition == other.id)
            });
            let mut clips = slates::stand_in(&self.settings, &rendition);
            clips.retain(|clip| clip.rendition != sound || !heard);
            let has_card = clips.iter().any(|clip| clip.rendition == rendition.id);
            let reason = if has_card {
                "no slate could be made; a plain card that needs no encoder stands in"
            } else {
                "no slate could be made, and this codec has no stand-in: without a live picture there is none"
            };
            self.say(EventKind::SlateChanged, Severity::Alert, rendition.id.as_str(), reason.to_owned());
            self.show(clips);
        }
    }

    fn show(&mut self, clips: Vec<SlateClip>) {
        for clip in clips {
            let rendition = clip.rendition.clone();
            match self.programme.load_slate(clip, clock::media()) {
                Ok(wishes) => self.pass_on(wishes),
                Err(why) => self.say(EventKind::SlateChanged, Severity::Warning, rendition.as_str(), why.to_string()),
            }
        }
    }

    /// Paths that are bound to the interface have heard of it by themselves.
    fn link_changed(&mut self, change: &link::Change) {
        if let Some(event) = self.uplinks.event(change, &self.settings) {
            (self.events)(event);
        }
        if let Some(back) = link::Return::of(change) {
            self.say(EventKind::NetworkReturned, Severity::Info, &back.interface, back.why.to_owned());
            self.programme.tell(None, OutputCommand::NetworkReturned);
        }
    }

    fn beat(&mut self) {
        self.link.send(ChildMessage::Beat);
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        self.beats = self.beats.wrapping_add(1);
        if self.beats.is_multiple_of(SLATES_EVERY) {
            self.load_slates();
        }
        let owed = self.workers.iter().filter_map(|(input, worker)| Some((input.clone(), worker.owed?)));
        for (input, gate) in owed.collect::<Vec<_>>() {
            self.set_gate(&input, gate);
        }
        if self.beats.is_multiple_of(ADAPT_EVERY) {
            let outcomes = self.bitrates.observe(&self.programme, clock::now());
            self.adapt(outcomes);
        }
        if self.beats.is_multiple_of(REPORT_EVERY) || self.programme.take_news() {
            self.report();
        }
        self.save_time();
    }

    /// Tells whoever has to know of other bit rates.
    fn adapt(&self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Wish(wish) => self.wish_all(&wish),
                Outcome::Tell(output, command) => self.programme.tell(Some(&output), command),
                Outcome::Say(kind, severity, rendition, text) => self.say(kind, severity, rendition.as_str(), text),
            }
        }
    }

    /// Remembers, once a second, how far programme time has got.
    fn save_time(&mut self) {
        if let Some(time) = self.programme.due_save(clock::media(), clock::wall()) {
            self.keeper.save(time.clone());
            self.saved = Some(time);
        }
    }

    fn say(&self, kind: EventKind, severity: Severity, subject: &str, reason: String) {
        (self.events)(self.event(kind, severity, subject, reason));
    }

    fn event(&self, kind: EventKind, severity: Severity, subject: &str, reason: String) -> Event {
        Event::new((clock::wall(), clock::media()), Role::Transmit, kind, severity, subject, reason)
    }

    fn report(&self) {
        let now = clock::media();
        let mut state = self.programme.snapshot(now);
        self.bitrates.show(&mut state.renditions);
        self.inlets.show(&mut state.inputs, now);
        let outputs = self.programme.destinations();
        let links = self.uplinks.shown(&self.settings, &outputs, now);
        self.link.send(ChildMessage::Plane(PlaneSnapshot {
            on_air: self.on_air,
            programme_time: state.programme_time,
            source: state.source,
            source_reason: state.reason,
            choice: self.choice.clone(),
            inputs: state.inputs,
            renditions: state.renditions,
            outputs,
            recordings: self.programme.recordings(),
            links,
        }));
    }
}

fn inputs(settings: &Settings) -> Vec<InputId> {
    settings.inputs.iter().map(|i| i.id.clone()).collect()
}

fn wanted(settings: &Settings) -> Wanted<'_> {
    Wanted {
        name: &settings.box_name,
        rate: settings.frame_rate,
        renditions: &settings.renditions,
        sound: None,
        selection: Some(&settings.selection),
        destinations: &settings.destinations,
        srt_destinations: &settings.srt_destinations,
        recordings: &settings.recordings,
    }
}

fn in_words(how: How) -> String {
    match how {
        How::Began => "programme time begins".to_owned(),
        How::SameBoot => "programme time goes on in the same timeline".to_owned(),
        How::AnotherBoot { away } => {
            format!("programme time goes on after a reboot; away for {} s", away.as_secs())
        }
        How::AnotherBootWithoutClock => {
            "programme time goes on 10 s later; the wall clock does not tell how long the box was away".to_owned()
        }
    }
}
