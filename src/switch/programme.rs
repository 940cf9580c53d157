//! One programme: inputs in, the streams' places out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::epoch::{Epoch, SavedTime};
use super::report::{Happened, Reason, SwitchSnapshot};
use super::selector::Selector;
use super::splice::{Fate, SlateClip, SlateError, Stream, StreamSettings};
use crate::events::SourceOnAir;
use crate::model::{AccessUnit, FrameRate, InputId, Media, RenditionId, Wall};

/// The input id that slate units carry. No configured input may have this name.
pub const SLATE: &str = "slate";

/// The switch slept past its own deadline by more than this: the process did not run.
const OVERSLEPT: Media = Media::from_millis(100);

/// What a programme consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchSettings {
    /// The video grid.
    pub rate: FrameRate,
    /// The streams.
    pub streams: Vec<StreamSettings>,
    /// The inputs, in order of preference.
    pub inputs: Vec<InputId>,
    /// When to decide.
    pub thresholds: Thresholds,
}

/// When the switch decides. All on the clock of `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A live unit may come this much later than units have lately come, before its stream is given to the slate …
    pub stall: Media,
    /// … or this many intervals of its stream, whichever is longer.
    pub stall_intervals: u32,
    /// Between two requests for the keyframe of a stream.
    pub ask_again: Media,
    /// A preferred input takes over after it has been connected for this long.
    pub promote_after: Media,
    /// Places that nobody filled for longer than this (the process was stopped) stay empty.
    pub longest_fill: Media,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            stall: Media::from_millis(400),
            stall_intervals: 10,
            ask_again: Media::from_millis(500),
            promote_after: Media::from_millis(2000),
            longest_fill: Media::from_millis(10_000),
        }
    }
}

/// What happens to a programme.
#[derive(Debug)]
pub enum Input {
    /// The worker of `input` is connected. Connected twice means another worker.
    Connected {
        /// Which input.
        input: InputId,
    },
    /// The connection of its worker ended.
    Lost {
        /// Which input.
        input: InputId,
        /// What the connection said.
        why: String,
    },
    /// A unit in worker time.
    Unit(AccessUnit),
    /// Other inputs, in order of preference.
    Inputs(Vec<InputId>),
    /// Nothing; the deadline is due.
    Timeout,
}

/// What the switch wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// This leaves the box: programme time, the next place of its stream.
    Unit(Arc<AccessUnit>),
    /// Ask the worker of `input` for a keyframe.
    ForceKeyframe {
        /// Whose worker.
        input: InputId,
        /// On which stream.
        rendition: RenditionId,
    },
    /// For the log.
    Event(Happened),
}

/// One programme. Feed it with [`Switch::handle`], drain [`Switch::poll_output`], and come back at
/// [`Switch::poll_timeout`].
#[derive(Debug)]
pub struct Switch {
    epoch: Epoch,
    selector: Selector,
    streams: Vec<Stream>,
    picture: Picture,
    on_air: SourceOnAir,
    reason: Reason,
    now: Media,
    out: VecDeque<Output>,
}

/// Whose pictures are on air; sound follows them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Picture {
    /// No stream's: live sound that is on air stays, none is cut to.
    Nobody,
    /// Sound may be cut to from the place of the first picture on.
    Of { input: InputId, from: Media },
    /// The programme is sound only: any may be cut to.
    None,
}

impl Switch {
    /// A programme with nothing on air. `epoch` is consumed: one switch owns programme time.
    pub fn new(settings: SwitchSettings, epoch: Epoch) -> Self {
        let SwitchSettings { rate, streams, inputs, thresholds } = settings;
        let slate = InputId::new(SLATE).expect("five lower-case letters");
        let streams: Vec<_> =
            streams.into_iter().map(|s| Stream::new(s, rate, &epoch, thresholds, slate.clone())).collect();
        let picture = if streams.iter().any(Stream::is_video) { Picture::Nobody } else { Picture::None };
        Self {
            epoch,
            selector: Selector::new(inputs, thresholds.promote_after),
            streams,
            picture,
            on_air: SourceOnAir::Nothing,
            reason: Reason::Started,
            now: Media(i64::MIN),
            out: VecDeque::new(),
        }
    }

    /// Takes one input. Drain [`Switch::poll_output`] afterwards.
    pub fn handle(&mut self, input: Input, now: Media) {
        let now = self.advance_clock(now);
        let changes = match input {
            Input::Connected { input } => self.connected(&input, now),
            Input::Lost { input, why } => self.lost(&input, &Reason::Lost { input: input.clone(), why }, now),
            Input::Unit(unit) => self.unit(unit, now).into_iter().collect(),
            Input::Inputs(inputs) => {
                let gone = self.selector.replace(inputs);
                gone.iter().flat_map(|g| self.lost(g, &Reason::Removed { input: g.clone() }, now)).collect()
            }
            Input::Timeout => Vec::new(),
        };
        self.decide(changes, now);
    }

    /// Loads the slate of one rendition, in place of the one it had. Works at any time.
    ///
    /// # Errors
    /// [`SlateError`] if it cannot stand in for any stream; what was loaded stays.
    pub fn load_slate(&mut self, clip: SlateClip, now: Media) -> Result<(), SlateError> {
        let now = self.advance_clock(now);
        // A sound may be called like a picture.
        let of_its_kind = |s: &Stream| s.is_video() == clip.config.codec.is_video();
        let named = self.streams.iter_mut().filter(|s| s.rendition() == &clip.rendition);
        let Some(stream) = named.max_by_key(|s| of_its_kind(s)) else {
            return Err(SlateError::NoSuchRendition(clip.rendition));
        };
        let rendition = clip.rendition.clone();
        let on_air = stream.load(clip, now)?;
        self.out.push_back(Output::Event(Happened::SlateLoaded { rendition: rendition.clone() }));
        let reason = if self.reason == Reason::Started { Reason::SlateReady } else { self.reason.clone() };
        let change = on_air.then_some(Change { rendition, live: false, reason });
        self.decide(change.into_iter().collect(), now);
        Ok(())
    }

    /// What is to be done, in order, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`Switch::handle`] with [`Input::Timeout`] if nothing else happens before, and what for.
    pub fn poll_timeout(&self) -> Option<(Media, &'static str)> {
        let due = self.streams.iter().filter_map(Stream::due).map(|at| (at, "the slate's next unit"));
        let stall = self.streams.iter().filter_map(Stream::stall_deadline).map(|at| (at, "a live unit is overdue"));
        let promotion = self.selector.deadline().map(|at| (at, "a preferred input has stayed"));
        due.chain(stall).chain(promotion).min_by_key(|(at, _)| *at)
    }

    /// The map between worker time and programme time.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// As [`Epoch::due_save`].
    pub fn due_save(&mut self, now: Media, wall: Wall) -> Option<SavedTime> {
        self.epoch.due_save(now, wall)
    }

    /// The state at `now`, for people.
    pub fn snapshot(&self, now: Media) -> SwitchSnapshot {
        let reached = self.streams.iter().filter(|s| s.is_video()).find_map(Stream::reached);
        SwitchSnapshot {
            programme_time: reached.unwrap_or_else(|| self.epoch.programme(now)),
            source: self.on_air.clone(),
            reason: self.reason.to_string(),
            inputs: self.selector.snapshot(now),
            renditions: self.streams.iter().map(|s| s.snapshot(now)).collect(),
        }
    }

    /// Time does not go back, and time in which this process did not run is held against nobody.
    fn advance_clock(&mut self, now: Media) -> Media {
        self.now = self.now.max(now);
        if self.poll_timeout().is_some_and(|(at, _)| self.now - at > OVERSLEPT) {
            for stream in &mut self.streams {
                stream.forgive(self.now);
            }
        }
        self.now
    }

    fn connected(&mut self, input: &InputId, now: Media) -> Vec<Change> {
        // A worker that is replaced without its loss being noticed: the next one's units do not continue the last one's.
        let changes = self.lost(input, &Reason::Replaced { input: input.clone() }, now);
        if self.selector.connected(input, now) && self.selector.chosen() == Some(input) {
            self.expect_chosen(now);
        }
        changes
    }

    /// What was live from `input` goes to the slate.
    fn lost(&mut self, input: &InputId, reason: &Reason, now: Media) -> Vec<Change> {
        self.selector.lost(input);
        let live = self.streams.iter_mut().filter(|s| s.live() == Some(input));
        live.map(|stream| {
            stream.fall(now);
            Change { rendition: stream.rendition().clone(), live: false, reason: reason.clone() }
        })
        .collect()
    }

    fn unit(&mut self, unit: AccessUnit, now: Media) -> Option<Change> {
        let stream = self.streams.iter_mut().find(|s| s.takes(&unit))?;
        let (video, key) = (stream.is_video(), unit.key);
        if video {
            self.selector.picture(&unit.input, now);
        }
        let input = unit.input.clone();
        let chosen = self.selector.chosen() == Some(&input);
        let on_air = stream.live() == Some(&input);
        let (may_cut, outlived) = match &self.picture {
            Picture::Of { input: of, from } => (unit.pts >= *from && *of == input, unit.pts >= *from && *of != input),
            Picture::Nobody => (false, false),
            Picture::None => (true, false),
        };
        // Where the picture has been cut to another input, sound of this one ends.
        if !(chosen || on_air) || (outlived && !video) {
            return None;
        }

        let fate = stream.offer(unit, now, may_cut || video, &mut self.out);
        let ask = match &fate {
            Fate::Passed | Fate::Cut(_) => false,
            Fate::PassedBroken => true,
            Fate::NotAKey | Fate::OffTurn => video && !on_air,
        };
        if ask && stream.may_ask(now) {
            let rendition = stream.rendition().clone();
            self.out.push_back(Output::ForceKeyframe { input: input.clone(), rendition });
        }
        let rendition = stream.rendition().clone();
        match fate {
            Fate::Cut(reason) => {
                if video && !matches!(&self.picture, Picture::Of { input: of, .. } if *of == input) {
                    self.picture = Picture::Of { input, from: stream.last_time() };
                }
                Some(Change { rendition, live: true, reason })
            }
            // The chosen input's keyframes lie behind what another input has on air: only the slate can wait for them.
            Fate::OffTurn if video && key && stream.live().is_some() && !on_air => {
                stream.fall(now);
                Some(Change { rendition, live: false, reason: Reason::Bridging { input } })
            }
            Fate::OffTurn | Fate::Passed | Fate::PassedBroken | Fate::NotAKey => None,
        }
    }

    /// Everything that follows from the clock and from what was just taken in.
    fn decide(&mut self, mut changes: Vec<Change>, now: Media) {
        for stream in &mut self.streams {
            if let Some(reason) = stream.stalled(now) {
                stream.fall(now);
                changes.push(Change { rendition: stream.rendition().clone(), live: false, reason });
            }
        }
        if self.selector.choose(now) {
            self.expect_chosen(now);
        }
        if let Picture::Of { input, .. } = &self.picture
            && !self.streams.iter().any(|s| s.is_video() && s.live() == Some(input))
        {
            self.picture = Picture::Nobody;
        }
        self.fill_due(now);
        self.report(changes);
    }

    /// Asks the chosen input for a keyframe on every stream that it is to fill.
    fn expect_chosen(&mut self, now: Media) {
        let Some(chosen) = self.selector.chosen() else { return };
        for stream in self.streams.iter_mut().filter(|s| s.live() != Some(chosen)) {
            stream.expect_another(now);
            if stream.is_video() && stream.may_ask(now) {
                let (input, rendition) = (chosen.clone(), stream.rendition().clone());
                self.out.push_back(Output::ForceKeyframe { input, rendition });
            }
        }
    }

    /// Sends what the slate owes, in the order of the places' times, so that pictures and sound stay interleaved.
    fn fill_due(&mut self, now: Media) {
        loop {
            let due = self.streams.iter_mut().filter(|s| s.due().is_some_and(|at| at <= now));
            match due.min_by_key(|s| s.next_time()) {
                Some(stream) => stream.fill_one(now, &mut self.out),
                None => break,
            }
        }
    }

    fn report(&mut self, changes: Vec<Change>) {
        let source = self.source();
        if let Some(change) = changes.first()
            && source != self.on_air
        {
            let from = std::mem::replace(&mut self.on_air, source.clone());
            self.reason = change.reason.clone();
            let reason = change.reason.clone();
            self.out.push_back(Output::Event(Happened::Switched { from, to: source, reason }));
            return;
        }
        for Change { rendition, live, reason } in changes {
            self.out.push_back(Output::Event(match live {
                true => Happened::StreamLive { rendition, reason },
                false => Happened::StreamFilled { rendition, reason },
            }));
        }
    }

    /// What the programme shows: live as soon as one picture is.
    fn source(&self) -> SourceOnAir {
        let sound_only = self.picture == Picture::None;
        let mut shown = self.streams.iter().filter(|s| s.is_video() || sound_only);
        match shown.clone().find_map(Stream::live) {
            Some(input) => SourceOnAir::Input(input.clone()),
            None if shown.any(Stream::is_slate) => SourceOnAir::Slate,
            None => SourceOnAir::Nothing,
        }
    }
}

/// A stream that became live, or ceased to be.
#[derive(Debug)]
struct Change {
    rendition: RenditionId,
    live: bool,
    reason: Reason,
}
