//! Pure. A stream that goes on air as it is, without being encoded again: whether it may, and where its units have their places.
//!
//! ```text
//!   Unknown ──picture and sound described──► Passes ──reordering, another format──► Differs
//!                                      └───► Differs
//! ```
//!
//! Places are our clock's and the sender's clock is another. A slower sender leaves a place empty now and then; of a faster one,
//! the picture before a keyframe is left out, which nothing refers to. Sound that finds its place taken is left out.
//!
//! *Invariant:* places only grow, and a unit is never more than [`MOST_AHEAD`] places after its time.

use std::sync::Arc;

use crate::model::{
    AccessUnit, AudioGrid, Codec, CodecConfig, InputId, Media, RenditionId, Track, TrackFormat, VideoFormat, VideoGrid,
};

mod look;

/// Without a keyframe for so many places' worth of a fast clock, or a stream whose times make no sense, it is decoded instead.
const MOST_AHEAD: i64 = 8;

/// What a stream has to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Whose it is.
    pub input: InputId,
    /// The one rendition.
    pub rendition: RenditionId,
    /// Its codec.
    pub codec: Codec,
    /// Its size and rate.
    pub picture: VideoFormat,
    /// The one rendition of its sound.
    pub sound: RenditionId,
    /// Its codec.
    pub sound_codec: Codec,
}

/// Whether a stream is what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its picture or its sound has not been described yet.
    Unknown,
    /// It is.
    Passes,
    /// It is not; in what, for people.
    Differs(String),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Passing {
    wanted: Wanted,
    configs: [Option<Arc<CodecConfig>>; 2],
    verdict: Verdict,
    pictures: Places,
    sounds: Places,
    /// Waits for the next, before which it may have to be left out.
    held: Option<AccessUnit>,
    left_out: u64,
}

/// Where the units of a track are put.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    last: Option<i64>,
    /// Moves units onto the grid, where they lie between two places.
    phase: Media,
}

impl Places {
    /// The place nearest to `at`. What is near the middle between two would be put now on this one, now on that, for the
    /// rounding of its time stamp alone.
    fn nearest(&mut self, at: Media, interval: Media, nearest: impl Fn(Media) -> (i64, Media)) -> i64 {
        let (place, time) = nearest(at + self.phase);
        if (time - (at + self.phase)).0.abs() <= interval.0 / 4 {
            return place;
        }
        let (place, time) = nearest(at);
        self.phase = time - at;
        place
    }
}

impl Passing {
    /// Nothing is known of the stream.
    pub fn new(wanted: Wanted) -> Self {
        let verdict = Verdict::Unknown;
        let (pictures, sounds) = (Places::default(), Places::default());
        Self { wanted, configs: [None, None], verdict, pictures, sounds, held: None, left_out: 0 }
    }

    /// Another sender, or another time of it.
    pub fn restart(&mut self) {
        *self = Self { pictures: self.pictures, sounds: self.sounds, ..Self::new(self.wanted.clone()) };
    }

    /// Whether it may go on air as it is.
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Units that were left out because the sender's clock is faster than ours.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What follows from a unit whose times are ours: none, one or two units on their places.
    pub fn unit(&mut self, unit: AccessUnit) -> Vec<AccessUnit> {
        let config = &mut self.configs[usize::from(unit.track == Track::Audio)];
        if config.as_ref() != Some(&unit.config) {
            *config = Some(unit.config.clone());
            self.judge();
        }
        if self.verdict != Verdict::Passes {
            return self.held.take().into_iter().collect();
        }
        if unit.track == Track::Video && look::may_reorder(unit.config.codec) && unit.pts != unit.dts {
            self.verdict = Verdict::Differs("its pictures are reordered".to_owned());
            return self.held.take().into_iter().collect();
        }
        match unit.track {
            Track::Video => self.picture(unit),
            Track::Audio => self.sound(unit).into_iter().collect(),
        }
    }

    fn picture(&mut self, unit: AccessUnit) -> Vec<AccessUnit> {
        let grid = VideoGrid(self.wanted.picture.rate);
        let at = |time: Media| (grid.nearest(time), grid.time_of(grid.nearest(time)));
        let mut place = self.pictures.nearest(unit.pts, grid.interval(), at);
        let mut before = self.held.take();
        let free = self.pictures.last.map_or(place, |last| last + 1);
        if place < free {
            if unit.key && before.is_some() {
                // Its place is the one before's, which is left out.
                before = None;
                self.left_out += 1;
                place = place.max(free - 1);
            } else if free - place > MOST_AHEAD {
                self.verdict = Verdict::Differs("its pictures come faster than their times say".to_owned());
                return before.into_iter().collect();
            } else {
                place = free;
            }
        }
        self.pictures.last = Some(place);
        let time = grid.time_of(place);
        self.held =
            Some(AccessUnit { rendition: self.wanted.rendition.clone(), pts: time, dts: time, ..self.of(unit) });
        before.into_iter().collect()
    }

    fn sound(&mut self, unit: AccessUnit) -> Option<AccessUnit> {
        let grid = sound_grid(self.wanted.sound_codec);
        let at = |time: Media| (grid.nearest(time), grid.time_of(grid.nearest(time)));
        let place = self.sounds.nearest(unit.pts, grid.interval(), at);
        if self.sounds.last.is_some_and(|last| place <= last) {
            self.left_out += 1;
            return None;
        }
        self.sounds.last = Some(place);
        let time = grid.time_of(place);
        Some(AccessUnit { rendition: self.wanted.sound.clone(), pts: time, dts: time, ..self.of(unit) })
    }

    fn of(&self, unit: AccessUnit) -> AccessUnit {
        AccessUnit { input: self.wanted.input.clone(), ..unit }
    }

    fn judge(&mut self) {
        let [Some(picture), Some(sound)] = &self.configs else { return };
        let difference = picture_differs(&self.wanted, picture).or_else(|| sound_differs(&self.wanted, sound));
        self.verdict = difference.map_or(Verdict::Passes, Verdict::Differs);
    }
}

fn picture_differs(wanted: &Wanted, config: &CodecConfig) -> Option<String> {
    let TrackFormat::Video(picture) = config.format else { return Some("its picture is a sound".to_owned()) };
    if config.codec != wanted.codec {
        return Some(format!("it is {}, and the rendition {}", config.codec.label(), wanted.codec.label()));
    }
    let size = |format: VideoFormat| format!("{}x{} at {:.2}/s", format.width, format.height, format.rate.as_f64());
    if picture != wanted.picture {
        return Some(format!("it is {}, and the rendition {}", size(picture), size(wanted.picture)));
    }
    look::differs(config)
}

fn sound_differs(wanted: &Wanted, config: &CodecConfig) -> Option<String> {
    let TrackFormat::Audio(sound) = config.format else { return Some("its sound is a picture".to_owned()) };
    let grid = sound_grid(wanted.sound_codec);
    if config.codec != wanted.sound_codec {
        return Some(format!("its sound is {}, and ours {}", config.codec.label(), wanted.sound_codec.label()));
    }
    if (sound.rate, sound.samples, sound.channels) != (grid.rate, grid.samples, 2) {
        return Some(format!(
            "its sound has {} Hz, {} channels and {} samples a packet",
            sound.rate, sound.channels, sound.samples
        ));
    }
    None
}

const fn sound_grid(codec: Codec) -> AudioGrid {
    if matches!(codec, Codec::Opus) { AudioGrid::OPUS } else { AudioGrid::AAC }
}

#[cfg(test)]
pub(in crate::ingest) mod tests;
