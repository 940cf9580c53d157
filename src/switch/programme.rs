//! One programme: inputs in, the streams' places out.

use std::collections::{BTreeMap, VecDeque};

use super::change::{Became, Change, Picture};
use super::epoch::{Epoch, SavedTime};
use super::filler::{Names, SlateClip, SlateError, StandIn};
use super::report::{Happened, Reason, SwitchSnapshot};
use super::selector::{Decision, Selector};
use super::settings::{Input, Output, SwitchSettings};
use super::splice::{Fate, Stream};
use crate::events::SourceOnAir;
use crate::model::{AccessUnit, AudioFrom, Duty, InputId, Manual, Media, Selection, Wall};

/// The input id that slate units carry. No configured input may have this name.
pub const SLATE: &str = "slate";

/// The input id of units that repeat the picture before them. No configured input may have this name.
pub const STILL: &str = "still";

/// The switch slept past its own deadline by more than this: the process did not run.
const OVERSLEPT: Media = Media::from_millis(100);

/// One programme. Feed it with [`Switch::handle`], drain [`Switch::poll_output`], and come back at
/// [`Switch::poll_timeout`].
#[derive(Debug)]
pub struct Switch {
    epoch: Epoch,
    selector: Selector,
    streams: Vec<Stream>,
    picture: Picture,
    /// Why the input that is to be on air was chosen.
    decided: Option<(InputId, Reason)>,
    /// When, until it is cut to.
    decided_at: Option<Media>,
    /// What the workers were last told.
    duties: BTreeMap<InputId, Duty>,
    on_air: SourceOnAir,
    reason: Reason,
    now: Media,
    out: VecDeque<Output>,
}

impl Switch {
    /// A programme with nothing on air. `epoch` is consumed: one switch owns programme time.
    pub fn new(settings: SwitchSettings, epoch: Epoch) -> Self {
        let SwitchSettings { rate, streams, inputs, selection, thresholds } = settings;
        let names = Names::new();
        let mut streams: Vec<_> =
            streams.into_iter().map(|s| Stream::new(s, rate, &epoch, thresholds, names.clone())).collect();
        streams.iter_mut().for_each(|s| s.set_still(selection.still));
        let picture = if streams.iter().any(Stream::is_video) { Picture::Nobody } else { Picture::None };
        Self {
            epoch,
            selector: Selector::new(inputs, selection, thresholds.answer),
            streams,
            picture,
            decided: None,
            decided_at: None,
            duties: BTreeMap::new(),
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
            Input::Condition { input, condition } => {
                self.selector.condition(&input, condition, now);
                Vec::new()
            }
            Input::Choose(manual) => self.command(manual, now),
            Input::Inputs(inputs) => {
                let gone = self.selector.replace(inputs);
                self.duties.retain(|input, _| !gone.contains(input));
                gone.iter().flat_map(|g| self.lost(g, &Reason::Removed { input: g.clone() }, now)).collect()
            }
            Input::Select(selection) => self.select(selection, now),
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
        let change = on_air.then_some(Change { rendition, what: Became::Filled(reason) });
        self.decide(change.into_iter().collect(), now);
        Ok(())
    }

    /// What is to be done, in order, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`Switch::handle`] with [`Input::Timeout`] if nothing else happens before, and what for.
    pub fn poll_timeout(&self) -> Option<(Media, &'static str)> {
        let due = self.streams.iter().filter_map(Stream::due).map(|at| (at, "the next unit that stands in"));
        let stall = self.streams.iter().filter_map(Stream::stall_deadline).map(|at| (at, "a live unit is overdue"));
        let held = self.streams.iter().filter_map(Stream::held_until).map(|at| (at, "a picture has waited"));
        due.chain(stall).chain(held).chain(self.selector.deadline()).min_by_key(|(at, _)| *at)
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
            manual: self.selector.manual().clone(),
            inputs: self.selector.snapshot(now),
            renditions: self.streams.iter().map(|s| s.snapshot(now)).collect(),
        }
    }

    /// Time does not go back, and time in which this process did not run is held against nobody.
    fn advance_clock(&mut self, now: Media) -> Media {
        self.now = self.now.max(now);
        if let Some((at, _)) = self.poll_timeout()
            && self.now - at > OVERSLEPT
        {
            for stream in &mut self.streams {
                stream.forgive(self.now);
            }
            // A little more: what waits in the sockets is to be heard first.
            self.selector.forgive(self.now - at + OVERSLEPT);
        }
        self.now
    }

    fn connected(&mut self, input: &InputId, now: Media) -> Vec<Change> {
        // A worker that is replaced without its loss being noticed: the next one's units do not continue the last one's.
        let changes = self.lost(input, &Reason::Replaced { input: input.clone() }, now);
        if self.selector.connected(input, now) {
            // It is told anew what it is to be ready for.
            self.duties.remove(input);
        }
        changes
    }

    /// What was live from `input` goes to the slate.
    fn lost(&mut self, input: &InputId, reason: &Reason, now: Media) -> Vec<Change> {
        let why = if let Reason::Lost { why, .. } = reason { why.clone() } else { reason.to_string() };
        self.selector.lost(input, &why, reason, now);
        self.fall(|s| s.live() == Some(input), reason, now)
    }

    /// These streams go to the slate, as far as they are live.
    fn fall(&mut self, which: impl Fn(&Stream) -> bool, reason: &Reason, now: Media) -> Vec<Change> {
        let out = &mut self.out;
        let live = self.streams.iter_mut().filter(|s| s.live().is_some() && which(s));
        live.map(|stream| {
            stream.fall(reason.stand_in(), now, out);
            Change::filled(stream, reason.clone())
        })
        .collect()
    }

    fn command(&mut self, manual: Manual, now: Media) -> Vec<Change> {
        let slate = manual == Manual::Slate;
        // Nobody who asks for the slate wants to be heard; sound that was set apart from the picture goes on.
        let muted = slate && self.selector.command(manual.clone()) && self.sound_apart().is_none();
        if !slate && !self.selector.command(manual.clone()) {
            self.out.push_back(Output::Event(Happened::NoSuchInput { wanted: manual.clone() }));
        }
        if slate {
            self.streams.iter_mut().for_each(Stream::end_still);
        }
        self.fall(|s| !s.is_video() && muted, &Reason::ByHand(manual), now)
    }

    fn select(&mut self, selection: Selection, now: Media) -> Vec<Change> {
        let apart = self.sound_apart().cloned();
        self.streams.iter_mut().for_each(|s| s.set_still(selection.still));
        self.selector.select(selection, now);
        let Some(sound) = self.sound_apart().cloned().filter(|sound| Some(sound) != apart.as_ref()) else {
            return Vec::new();
        };
        let reason = Reason::SoundFrom { input: sound.clone() };
        self.fall(|s| !s.is_video() && s.live() != Some(&sound), &reason, now)
    }

    /// Whose sound goes with the picture, if not that of the picture's input.
    fn sound_apart(&self) -> Option<&InputId> {
        match &self.selector.selection().sound {
            AudioFrom::Input(input) if self.picture != Picture::None => Some(input),
            AudioFrom::Input(_) | AudioFrom::Picture => None,
        }
    }

    fn unit(&mut self, unit: AccessUnit, now: Media) -> Option<Change> {
        let apart = self.sound_apart().cloned();
        let stream = self.streams.iter_mut().find(|s| s.takes(&unit))?;
        let (video, key, captured) = (stream.is_video(), unit.key, unit.pts);
        let shown = video || self.picture == Picture::None;
        if shown {
            self.selector.picture(&unit.input, now);
        }
        let input = unit.input.clone();
        let on_air = stream.live() == Some(&input);
        let may_cut = match (&apart, &self.picture) {
            _ if video => self.selector.chosen() == Some(&input),
            (Some(sound), _) if *sound != input => return None,
            (Some(_), _) => true,
            // Where the picture has been cut to another input, sound of this one ends.
            (None, Picture::Of { input: of, from }) if unit.pts >= *from && *of != input => return None,
            (None, Picture::Of { input: of, from }) => unit.pts >= *from && *of == input,
            (None, Picture::Nobody) => false,
            (None, Picture::None) => self.selector.chosen() == Some(&input),
        };
        if !(may_cut || on_air || self.selector.chosen() == Some(&input)) {
            return None;
        }

        let fate = stream.offer(unit, now, may_cut, &mut self.out);
        // The chosen input's keyframes lie behind what another input has on air: that waits for the next one, if it is not long,
        // and otherwise only the slate can.
        let behind = fate == Fate::OffTurn && video && key && !on_air && stream.live().is_some();
        let mut bridges = false;
        if behind && stream.held_until().is_none() {
            stream.ask_at_once();
            if stream.can_wait_for(captured, now) {
                stream.wait_for_another(now);
            } else {
                stream.fall(StandIn::Still, now, &mut self.out);
                bridges = true;
            }
        }
        let ask = match &fate {
            Fate::Passed | Fate::Cut(_) => false,
            Fate::PassedBroken => true,
            Fate::NotAKey | Fate::OffTurn => video && !on_air,
        };
        if ask && stream.may_ask(now) {
            let rendition = stream.rendition().clone();
            self.out.push_back(Output::ForceKeyframe { input: input.clone(), rendition });
        }
        match fate {
            Fate::Cut(cut) => {
                if video && !matches!(&self.picture, Picture::Of { input: of, .. } if *of == input) {
                    self.picture = Picture::Of { input: input.clone(), from: stream.last_time() };
                }
                if shown {
                    self.selector.arrived(&input);
                }
                Some(Change::live(stream, cut))
            }
            Fate::OffTurn if bridges => Some(Change::filled(stream, Reason::Bridging { input })),
            Fate::OffTurn | Fate::Passed | Fate::PassedBroken | Fate::NotAKey => None,
        }
    }

    /// Everything that follows from the clock and from what was just taken in.
    fn decide(&mut self, mut changes: Vec<Change>, now: Media) {
        self.release_held(now);
        self.end_stalls(&mut changes, now);
        let shown = match self.source() {
            SourceOnAir::Input(input) => Some(input),
            SourceOnAir::Slate | SourceOnAir::Nothing => None,
        };
        let decision = self.selector.choose(shown.as_ref(), now);
        if let Some(Decision { to: None, reason }) = &decision {
            let sound_only = self.picture == Picture::None;
            changes.extend(self.fall(|s| s.is_video() || sound_only, reason, now));
        }
        self.out.extend(self.selector.take_news().into_iter().map(Output::Event));
        self.tell_duties();
        if let Some(Decision { to: Some(input), reason }) = decision {
            self.decided = Some((input, reason));
            self.decided_at = Some(now);
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

    /// Old pictures that have waited for another one for long enough go on.
    fn release_held(&mut self, now: Media) {
        for stream in self.streams.iter_mut().filter(|s| s.held_until().is_some_and(|at| at <= now)) {
            stream.release(now, &mut self.out);
        }
    }

    /// Streams whose units are overdue go to the slate. An input that has none left which is looked at has stalled.
    fn end_stalls(&mut self, changes: &mut Vec<Change>, now: Media) {
        let sound_only = self.picture == Picture::None;
        let mut silent = Vec::new();
        for stream in &mut self.streams {
            let Some(reason) = stream.stalled(now) else { continue };
            if let Some(input) = stream.live().filter(|_| stream.is_video() || sound_only) {
                silent.push((input.clone(), reason.clone()));
            }
            stream.fall(reason.stand_in(), now, &mut self.out);
            changes.push(Change::filled(stream, reason));
        }
        for (input, reason) in silent {
            if !self.streams.iter().any(|s| (s.is_video() || sound_only) && s.live() == Some(&input)) {
                self.selector.stalled(&input, &reason, now);
            }
        }
    }

    /// Opens the gates that are needed before those that are not are closed.
    fn tell_duties(&mut self) {
        let live = |input: &InputId| self.streams.iter().any(|s| s.is_video() && s.live() == Some(input));
        let wanted = self.selector.inputs().map(|input| {
            let duty = if live(input) { Duty::OnAir } else { self.selector.duty(input) };
            (duty, input.clone())
        });
        let mut changed: Vec<_> = wanted.filter(|(duty, input)| self.duties.get(input) != Some(duty)).collect();
        changed.sort_by_key(|(duty, _)| *duty);
        for (duty, input) in changed {
            self.duties.insert(input.clone(), duty);
            self.out.push_back(Output::Duty { input, duty });
        }
    }

    /// Asks the chosen input for a keyframe on every stream that it is to fill.
    fn expect_chosen(&mut self, now: Media) {
        let Some(chosen) = self.selector.chosen() else { return };
        for stream in &mut self.streams {
            // The old picture that was to be left is chosen again.
            if stream.live() == Some(chosen) {
                stream.release(now, &mut self.out);
                continue;
            }
            stream.expect_another(now);
            stream.wait_for_another(now);
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
            let (cut, because) = match &change.what {
                Became::Live(cut) => (Some(cut.clone()), Reason::InHand(cut.clone())),
                Became::Filled(reason) => (None, reason.clone()),
            };
            self.reason = match (&source, &self.decided) {
                (SourceOnAir::Input(input), Some((chosen, reason))) if chosen == input => reason.clone(),
                (SourceOnAir::Input(_) | SourceOnAir::Slate | SourceOnAir::Nothing, _) => because,
            };
            let reason = self.reason.clone();
            let waited = self.decided_at.take_if(|_| cut.is_some()).map(|at| self.now - at);
            self.out.push_back(Output::Event(Happened::Switched { from, to: source, reason, cut, waited }));
            return;
        }
        for Change { rendition, what } in changes {
            self.out.push_back(Output::Event(match what {
                Became::Live(cut) => Happened::StreamLive { rendition, reason: Reason::InHand(cut) },
                Became::Filled(reason) => Happened::StreamFilled { rendition, reason },
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
