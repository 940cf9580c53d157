//! The rules of the switch, checked on everything that leaves it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::grid::Grid;
use super::splice::HELD;
use super::world::{ms, place_of};
use super::*;
use crate::events::SourceOnAir;
use crate::model::{AccessUnit, AudioFrom, InputId, Manual, Media, RenditionId, Selection};

/// Looks at everything that leaves the switch.
pub(super) struct Checker {
    pub(super) streams: BTreeMap<RenditionId, Seen>,
    pub(super) digest: u64,
    pub(super) cuts: u64,
    /// The longest time in which a stream that had something to send sent nothing.
    pub(super) longest_silence: Media,
    offset: Media,
    /// The longest time for which the old picture waited for the new one.
    pub(super) longest_held: Media,
    /// When the programme went to an input.
    switches: VecDeque<Media>,
    /// Whose sound it is, if not that of the picture's input.
    pub(super) sound: AudioFrom,
    /// Since when an input has been well without being on air.
    awaited: Option<Media>,
    stood_still: Media,
    /// The longest such time.
    pub(super) slowest_return: Media,
}

/// What is true of the inputs.
pub(super) struct WellWorld<'w> {
    /// Since when each has been well; `None` if it is not.
    pub(super) well: Vec<Option<Media>>,
    pub(super) manual: &'w Manual,
}

/// What has left one stream.
pub(super) struct Seen {
    grid: Grid,
    video: bool,
    pub(super) clip_since: Option<Media>,
    pub(super) last: Option<Last>,
    /// The slate's first unit is due by then.
    owed: Option<Media>,
    first_allowed: i64,
    pub(super) live: u64,
    pub(super) slate: u64,
    pub(super) missing: u64,
    /// Pictures that are held since the last other one.
    stills: u32,
    restarted: bool,
    /// What was given to the switch of late.
    delivered: Vec<(Media, InputId, Bytes)>,
    /// When the slate's last burst began, and what was on air before: silence that fills a hole is no cut.
    before_burst: Option<(Media, InputId)>,
}

pub(super) struct Last {
    pub(super) place: i64,
    pub(super) input: InputId,
    at: Media,
}

/// Whether units that carry this name come from an input.
fn is_live(input: &InputId) -> bool {
    ![SLATE, STILL].contains(&input.as_str())
}

impl Checker {
    pub(super) fn new(settings: &SwitchSettings, epoch: &Epoch) -> Self {
        let streams = settings.streams.iter().map(|s| {
            let grid = Grid::of(s.codec, settings.rate);
            let seen = Seen {
                grid,
                video: s.codec.is_video(),
                clip_since: None,
                last: None,
                owed: None,
                first_allowed: grid.at_or_after(epoch.floor()),
                live: 0,
                slate: 0,
                missing: 0,
                stills: 0,
                restarted: false,
                delivered: Vec::new(),
                before_burst: None,
            };
            (s.rendition.clone(), seen)
        });
        Self {
            streams: streams.collect(),
            digest: 0xcbf2_9ce4_8422_2325,
            cuts: 0,
            longest_silence: Media::ZERO,
            offset: epoch.offset(),
            longest_held: Media::ZERO,
            switches: VecDeque::new(),
            sound: settings.selection.sound.clone(),
            awaited: None,
            stood_still: Media::ZERO,
            slowest_return: Media::ZERO,
        }
    }

    pub(super) fn restart(&mut self, epoch: &Epoch) {
        assert_eq!(epoch.offset(), self.offset, "the timeline moved at a restart");
        for seen in self.streams.values_mut() {
            (seen.live, seen.slate, seen.missing) = (0, 0, 0);
            seen.first_allowed = seen.grid.at_or_after(epoch.floor());
            (seen.clip_since, seen.owed, seen.restarted) = (None, None, true);
        }
    }

    /// A unit was given to the switch.
    pub(super) fn delivered(&mut self, unit: &AccessUnit, now: Media) {
        let delivered = &mut self.streams.get_mut(&unit.rendition).unwrap().delivered;
        delivered.retain(|(at, ..)| now - *at <= ms(1000));
        delivered.push((now, unit.input.clone(), unit.payload.clone()));
    }

    pub(super) fn unit(&mut self, unit: &AccessUnit, now: Media) {
        let what = format!("{} {:?} from {} at {now:?}", unit.rendition, unit.pts, unit.input);
        let offset = self.offset;
        let on_picture = self
            .streams
            .values()
            .any(|s| s.video && s.last.as_ref().is_some_and(|l| l.input == unit.input) && !s.restarted);
        let seen = self.streams.get_mut(&unit.rendition).unwrap();
        let place = seen.grid.nearest(unit.pts);
        assert_eq!(seen.grid.time_of(place), unit.pts, "{what}: off the grid");
        assert_eq!(unit.dts, unit.pts, "{what}: reordered");

        let (live, still) = (is_live(&unit.input), unit.input.as_str() == STILL);
        let changed = seen.last.as_ref().is_none_or(|l| l.input != unit.input) || seen.restarted;
        // A picture that is held goes on from the one before it, and nothing else goes on from that.
        let goes_on = still && !seen.restarted && seen.last.as_ref().is_some_and(|l| l.input.as_str() != SLATE);
        assert!(!changed || unit.key || goes_on, "{what}: the source changed off a keyframe");
        assert!(!still || seen.video && !unit.key, "{what}: not a picture that is held");
        seen.stills = if still { seen.stills + 1 } else { 0 };
        let held = Media(seen.grid.interval().0 * i64::from(seen.stills));
        assert!(held <= Selection::default().still, "{what}: a picture was held for {held:?}");
        let bridged = seen.before_burst.as_ref().is_some_and(|(at, input)| *at == now && *input == unit.input);
        let cut_to = changed && live && !bridged;
        let apart = self.sound == AudioFrom::Input(unit.input.clone());
        assert!(!cut_to || seen.video || on_picture || apart, "{what}: the sound was cut to before the picture");
        if let Some(last) = seen.last.as_ref().filter(|l| !live && l.at < now) {
            seen.before_burst = Some((now, last.input.clone()));
        }
        self.cuts += u64::from(changed);
        if let Some(last) = &seen.last {
            assert!(place > last.place, "{what}: place {place} after place {}", last.place);
        }
        let expected = match &seen.last {
            Some(last) if !seen.restarted => last.place + 1,
            _ => seen.first_allowed,
        };
        assert!(place >= expected, "{what}: before what this process may send");
        let hole = u64::try_from(place - expected).unwrap();
        if let Some(last) = &seen.last
            && !seen.video
            && !seen.restarted
        {
            let without_silence = seen.clip_since.is_none_or(|since| since > last.at);
            let empty = seen.grid.time_of(place) - seen.grid.time_of(last.place);
            let stood_still = empty > Thresholds::default().longest_fill;
            assert!(hole == 0 || without_silence || stood_still, "{what}: sound has a hole of {hole} units");
        }
        seen.missing += hole;

        if live {
            seen.live += 1;
            let ours = |(_, input, payload): &(Media, InputId, Bytes)| *input == unit.input && *payload == unit.payload;
            let (at, ..) = seen.delivered.iter().find(|d| ours(d)).expect("a live unit left that was never delivered");
            let held = now - *at;
            let longest = if seen.video { HELD } else { Media::ZERO };
            assert!(held <= longest, "{what}: a live unit was held back for {held:?}");
            self.longest_held = self.longest_held.max(held);
            let captured = place_of(&unit.payload);
            assert_eq!(seen.grid.time_of(captured) + offset, unit.pts, "{what}: a live unit left its place");
        } else {
            seen.slate += 1;
            assert!(unit.pts <= now + offset + seen.grid.interval(), "{what}: the slate ran ahead of the clock");
        }
        if let Some(last) = &seen.last
            && !seen.restarted
            && seen.clip_since.is_some_and(|since| since <= last.at)
        {
            self.longest_silence = self.longest_silence.max(now - last.at);
        }
        seen.restarted = false;
        seen.owed = None;
        seen.last = Some(Last { place, input: unit.input.clone(), at: now });
        for word in [now.0, place, i64::from(unit.key), i64::from(live)] {
            self.digest = (self.digest ^ word.cast_unsigned()).wrapping_mul(0x100_0000_01b3);
        }
    }

    pub(super) fn event(&mut self, event: &Happened, now: Media) {
        match event {
            Happened::Switched { from: SourceOnAir::Input(from), to: SourceOnAir::Slate, reason, .. } => {
                let everything = matches!(reason, Reason::Lost { .. } | Reason::Replaced { .. });
                for seen in self.streams.values_mut().filter(|s| s.video || everything) {
                    if seen.clip_since.is_some() && seen.last.as_ref().is_some_and(|l| l.input == *from) {
                        seen.owed = Some(now + seen.grid.interval());
                    }
                }
            }
            Happened::StreamFilled { rendition, .. } => {
                let seen = self.streams.get_mut(rendition).unwrap();
                // A slate that has just been loaded begins at the first place whose turn is still to come.
                let was_ready = seen.clip_since.is_some_and(|since| since < now);
                // Its first unit may have left in the same turn, before the event.
                if was_ready && seen.last.as_ref().is_some_and(|l| l.at < now || is_live(&l.input)) {
                    seen.owed = Some(now + seen.grid.interval());
                }
            }
            Happened::Switched { to: SourceOnAir::Input(_), .. } => self.switches.push_back(now),
            Happened::Switched { .. }
            | Happened::StreamLive { .. }
            | Happened::SlateLoaded { .. }
            | Happened::ChosenByHand { .. }
            | Happened::NoSuchInput { .. }
            | Happened::Overruled { .. }
            | Happened::Released { .. } => {}
        }
    }

    pub(super) fn nothing_is_owed(&self, now: Media) {
        for (rendition, seen) in &self.streams {
            assert!(seen.owed.is_none_or(|by| now <= by), "{rendition}: no slate within one interval of the decision");
        }
    }

    /// Where an input has been well for 5 s, something stands in for no stream: 7 s if another one may be waited for in vain, and
    /// longer where the programme has changed its input too often to do it again.
    pub(super) fn the_well_are_live(&mut self, world: &WellWorld<'_>, now: Media) {
        let well = if *world.manual == Manual::Slate { None } else { world.well.iter().copied().flatten().min() };
        let Some(well_since) = well.map(|since| since.max(self.stood_still)) else {
            self.awaited = None;
            return;
        };
        let heard = |s: &Seen| s.video || self.sound == AudioFrom::Picture;
        let filled = |s: &Seen| s.last.as_ref().is_none_or(|l| !is_live(&l.input));
        let dead = self.streams.iter().find(|(_, s)| heard(s) && filled(s));
        match (dead, self.awaited) {
            (Some((rendition, _)), awaited) => {
                while self.switches.front().is_some_and(|at| now - *at > ms(90_000)) {
                    self.switches.pop_front();
                }
                let others = i64::try_from(world.well.len() - 1).unwrap();
                let turns = if self.switches.is_empty() { 0 } else { others + 1 };
                let patience = ms(5000 + 2000 * others) + Media(ONE_IN.0 * turns);
                // From when it was well, or from when something else left the stream.
                let since = awaited.unwrap_or(now).max(well_since);
                assert!(
                    now - since < patience,
                    "{rendition} is not live though an input has been well for {patience:?}"
                );
                self.awaited = Some(since);
            }
            (None, Some(since)) => {
                self.slowest_return = self.slowest_return.max(now - since);
                self.awaited = None;
            }
            (None, None) => {}
        }
    }

    /// The data plane was stopped until `now`.
    pub(super) fn stood_still(&mut self, now: Media) {
        self.stood_still = now;
        self.awaited = None;
        self.streams.values_mut().filter_map(|s| s.last.as_mut()).for_each(|l| l.at = now);
    }

    /// The switch's own counters say what was seen.
    pub(super) fn counters_agree(&self, snapshot: &SwitchSnapshot, settled: bool) {
        for counted in &snapshot.renditions {
            let seen = self.streams.get(&counted.id).unwrap();
            if seen.last.is_none() || seen.restarted {
                continue;
            }
            let name = &counted.id;
            assert_eq!(
                (counted.live, counted.slate),
                (seen.live, seen.slate),
                "{name}: (live, slate) counted, and seen"
            );
            // A slate that was just loaded has counted what was missing before its first unit is seen.
            assert!(
                counted.missing >= seen.missing,
                "{name}: {} missing counted, {} seen",
                counted.missing,
                seen.missing
            );
            assert!(!settled || counted.missing == seen.missing, "{name}: counted as missing, but seen");
        }
    }
}
