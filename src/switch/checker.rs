//! The rules of the switch, checked on everything that leaves it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use bytes::Bytes;

use super::grid::Grid;
use super::world::{Worker, ms};
use super::*;
use crate::events::SourceOnAir;
use crate::model::{AccessUnit, InputId, Media, RenditionId};

/// Looks at everything that leaves the switch.
pub(super) struct Checker {
    pub(super) streams: BTreeMap<RenditionId, Seen>,
    pub(super) digest: u64,
    pub(super) cuts: u64,
    /// The longest time in which a stream that had something to send sent nothing.
    pub(super) longest_silence: Media,
    offset: Media,
    /// The input that ought to be on air, and since when.
    wanted: Option<(InputId, Media)>,
    /// Since when it has been well without being on air on every stream.
    awaited: Option<Media>,
    /// The longest such time.
    pub(super) slowest_return: Media,
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
    restarted: bool,
    /// When the slate's last burst began, and what was on air before: silence that fills a hole is no cut.
    before_burst: Option<(Media, InputId)>,
}

pub(super) struct Last {
    pub(super) place: i64,
    pub(super) input: InputId,
    at: Media,
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
                restarted: false,
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
            wanted: None,
            awaited: None,
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

    pub(super) fn unit(&mut self, unit: &AccessUnit, now: Media, delivered: Option<&(RenditionId, Bytes)>) {
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

        let live = unit.input.as_str() != SLATE;
        let changed = seen.last.as_ref().is_none_or(|l| l.input != unit.input) || seen.restarted;
        assert!(!changed || unit.key, "{what}: the source changed off a keyframe");
        let bridged = seen.before_burst.as_ref().is_some_and(|(at, input)| *at == now && *input == unit.input);
        let cut_to = changed && live && !bridged;
        assert!(!cut_to || seen.video || on_picture, "{what}: the sound was cut to before the picture");
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
            let (rendition, payload) = delivered.expect("a live unit left while none was delivered");
            assert!(*rendition == unit.rendition && *payload == unit.payload, "{what}: a live unit was held back");
            let captured = i64::from_be_bytes(payload.as_ref().try_into().unwrap());
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
            Happened::Switched { from: SourceOnAir::Input(from), to: SourceOnAir::Slate, reason } => {
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
                if was_ready && seen.last.as_ref().is_some_and(|l| l.at < now || l.input.as_str() != SLATE) {
                    seen.owed = Some(now + seen.grid.interval());
                }
            }
            Happened::Switched { .. } | Happened::StreamLive { .. } | Happened::SlateLoaded { .. } => {}
        }
    }

    pub(super) fn nothing_is_owed(&self, now: Media) {
        for (rendition, seen) in &self.streams {
            assert!(seen.owed.is_none_or(|by| now <= by), "{rendition}: no slate within one interval of the decision");
        }
    }

    /// An input that has been well, and the first of those connected, for 5 s is on air on every stream.
    pub(super) fn healthy_is_live(
        &mut self,
        settings: &SwitchSettings,
        workers: &BTreeMap<InputId, Worker>,
        now: Media,
    ) {
        let wanted = settings.inputs.iter().find(|i| workers.get(i).is_some_and(|w| w.connected));
        if wanted != self.wanted.as_ref().map(|(input, _)| input) {
            self.wanted = wanted.map(|input| (input.clone(), now));
        }
        let Some((input, wanted_since)) = &self.wanted else { return };
        let Some(healthy_since) = workers.get(input).and_then(|w| w.healthy_since) else {
            self.awaited = None;
            return;
        };
        let well_since = healthy_since.max(*wanted_since);
        let dead: Vec<_> =
            self.streams.iter().filter(|(_, s)| s.last.as_ref().is_none_or(|l| l.input != *input)).collect();
        match (dead.first(), self.awaited) {
            (Some((rendition, _)), _) => {
                assert!(now - well_since < ms(5000), "{rendition} is not live though {input} has been well for 5 s");
                self.awaited = Some(well_since);
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
        self.wanted = None;
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
