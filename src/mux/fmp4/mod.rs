//! Fragmented MP4 (ISO/IEC 14496-12): a recording that can be read up to its last whole fragment at any moment.
//!
//! ```text
//!   ftyp moov │ moof mdat │ moof mdat │ …  │ mfra
//!   └ with the first fragment ┘             └ when closed, for quick seeking; readers do without
//! ```
//!
//! A fragment ends before each keyframe and after [`FRAGMENT`] at the latest. Times in a file count from its first
//! keyframe. *Invariant:* a fragment is a header and the access units' own bytes, none of them copied.

mod boxes;
mod init;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::boxes::Boxes;
use super::MuxError;
use crate::model::{AccessUnit, CodecConfig, Media, Track, TrackFormat, Wall};

pub use scan::{BoxHeader, Sample, Scan, ScannedTrack, Tail, box_header, scan};

/// The longest a fragment gets before it is written even without a keyframe: what a crash costs at most.
pub const FRAGMENT: Duration = Duration::from_secs(2);
/// Payload at which a fragment ends early, bytes.
pub const FRAGMENT_BYTES: usize = 16 << 20;
/// Largest access unit taken, bytes. With [`FRAGMENT_BYTES`] it keeps every 32-bit box size true.
pub const MAX_UNIT: usize = 64 << 20;
/// Keyframes the seek table has room for: 36 hours at two a second. Later ones are found by reading on.
const MAX_SEEK_POINTS: usize = 1 << 18;

const VIDEO_TRACK: u32 = 1;
const AUDIO_TRACK: u32 = 2;

/// Why a unit does not belong into this file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its decoder configuration is not the file's, or the file has no such track: a new file must begin.
    #[error("its decoder configuration differs from the file's")]
    OtherConfiguration,
    /// It is not later than the previous unit of its track, or earlier than the file's first keyframe.
    #[error("its time is before what is already in the file")]
    Backwards,
    /// A file can only begin with a video keyframe.
    #[error("a file begins with a video keyframe")]
    NotAKeyframe,
    /// The unit is empty or larger than [`MAX_UNIT`].
    #[error(transparent)]
    Size(#[from] MuxError),
}

/// Bytes to append to the file, in order.
#[derive(Clone, Debug, Default)]
pub struct Fragment {
    /// Header and payloads; made for a vectored write.
    pub parts: Vec<Bytes>,
    /// Their total length, bytes.
    pub length: u64,
    /// Access units in it.
    pub units: u64,
}

/// The end of a file.
#[derive(Clone, Debug)]
pub struct End {
    /// What is left to append: the last fragment and the seek table.
    pub tail: Fragment,
    /// Bytes to put over those at this offset: the movie's duration. Unimportant if it fails.
    pub duration: Option<(u64, Bytes)>,
}

/// One file being written.
#[derive(Debug)]
pub struct Fmp4 {
    created: Wall,
    origin: Media,
    video: Lane,
    audio: Option<Lane>,
    /// Payload waiting for its fragment, bytes.
    waiting: usize,
    /// Time of the first unit waiting.
    since: Media,
    sequence: u32,
    /// Bytes handed out so far: 0 until the initialisation segment has been.
    written: u64,
    /// Where the duration goes.
    reserve: u64,
    seek: Vec<(u64, u64)>,
}

/// One track of the file.
#[derive(Debug)]
struct Lane {
    id: u32,
    config: Arc<CodecConfig>,
    timescale: u32,
    /// Ticks of the file's origin.
    origin: i64,
    /// Ticks of one frame or packet when the next one's time is not known.
    nominal: u32,
    waiting: Vec<Arc<AccessUnit>>,
    last: Option<Media>,
}

impl Fmp4 {
    /// Begins a file at `keyframe`. `created` is written into it for people.
    ///
    /// # Errors
    /// [`Refusal::NotAKeyframe`], or an unusable size.
    pub fn begin(keyframe: Arc<AccessUnit>, created: Wall) -> Result<Self, Refusal> {
        if keyframe.track != Track::Video || !keyframe.key {
            return Err(Refusal::NotAKeyframe);
        }
        let origin = keyframe.dts;
        let mut file = Self {
            created,
            origin,
            video: Lane::new(VIDEO_TRACK, keyframe.config.clone(), origin),
            audio: None,
            waiting: 0,
            since: origin,
            sequence: 0,
            written: 0,
            reserve: 0,
            seek: Vec::new(),
        };
        file.push(keyframe)?;
        Ok(file)
    }

    /// Programme time at which the file begins.
    pub fn origin(&self) -> Media {
        self.origin
    }

    /// Up to where it has sound, programme time; `None` if it has none.
    pub fn sound_until(&self) -> Option<Media> {
        let audio = self.audio.as_ref()?;
        let packet = i64::from(audio.nominal) * 1_000_000_000 / i64::from(audio.timescale);
        Some(audio.last? + Media(packet))
    }

    /// Whether a unit with this configuration can go into this file.
    pub fn takes(&self, track: Track, config: &Arc<CodecConfig>) -> bool {
        let same = |lane: &Lane| Arc::ptr_eq(&lane.config, config) || lane.config == *config;
        match (track, &self.audio) {
            (Track::Video, _) => same(&self.video),
            (Track::Audio, Some(audio)) => same(audio),
            (Track::Audio, None) => self.written == 0,
        }
    }

    /// Adds a unit. Returns the fragment that it completes; the unit itself is in the next one.
    ///
    /// # Errors
    /// [`Refusal`]; the file is as it was before.
    pub fn push(&mut self, unit: Arc<AccessUnit>) -> Result<Option<Fragment>, Refusal> {
        let length = unit.payload.len();
        if length == 0 {
            return Err(MuxError::Empty { codec: unit.config.codec }.into());
        }
        if length > MAX_UNIT {
            return Err(MuxError::TooLarge { what: "an access unit", length, max: MAX_UNIT }.into());
        }
        if !self.takes(unit.track, &unit.config) {
            return Err(Refusal::OtherConfiguration);
        }
        let last = match unit.track {
            Track::Video => self.video.last,
            Track::Audio => self.audio.as_ref().and_then(|lane| lane.last),
        };
        if unit.dts < self.origin || last.is_some_and(|last| unit.dts <= last) {
            return Err(Refusal::Backwards);
        }
        let fragment = self.ends_before(&unit).then(|| self.flush(&unit));
        if self.waiting == 0 {
            self.since = unit.dts;
        }
        self.waiting += length;
        let origin = self.origin;
        let lane = match unit.track {
            Track::Video => &mut self.video,
            Track::Audio => self.audio.get_or_insert_with(|| Lane::new(AUDIO_TRACK, unit.config.clone(), origin)),
        };
        lane.last = Some(unit.dts);
        lane.waiting.push(unit);
        Ok(fragment)
    }

    /// Ends the file.
    pub fn finish(mut self) -> End {
        let mut tail = self.flush_all(None);
        let table = self.seek_table();
        tail.length += table.len() as u64;
        tail.parts.push(table);
        let duration = self.duration_ms();
        End { tail, duration: Some((self.reserve, init::mehd(duration).into())) }
    }

    /// From the first keyframe to the end of the last picture or sound, milliseconds.
    pub fn duration_ms(&self) -> u64 {
        let end_of = |lane: &Lane| {
            let last = lane.last.map_or(0, |last| lane.ticks(last)) + u64::from(lane.nominal);
            u128::from(last) * 1000 / u128::from(lane.timescale)
        };
        let longest = end_of(&self.video).max(self.audio.as_ref().map_or(0, end_of));
        u64::try_from(longest).unwrap_or(u64::MAX)
    }

    fn ends_before(&self, unit: &AccessUnit) -> bool {
        if self.waiting == 0 {
            return false;
        }
        // The first fragment says which tracks there are. Sound that has not come yet is waited for across keyframes: at
        // the start of a show the first two may be frames apart.
        let sound_may_come = self.written == 0 && self.audio.is_none();
        let patience = match unit.track {
            Track::Audio if sound_may_come => return false,
            Track::Video if sound_may_come => FRAGMENT,
            Track::Video if unit.key && !self.video.waiting.is_empty() => return true,
            Track::Video => FRAGMENT,
            // Sound leads only when pictures stay away, which the switch does not let happen for long.
            Track::Audio => FRAGMENT + Duration::from_millis(500),
        };
        self.waiting >= FRAGMENT_BYTES || (unit.dts - self.since).to_duration() >= patience
    }

    fn flush(&mut self, next: &AccessUnit) -> Fragment {
        self.flush_all(Some(next))
    }

    /// Everything that waits, as a fragment. `next` is the unit after it, if there is one.
    fn flush_all(&mut self, next: Option<&AccessUnit>) -> Fragment {
        let mut fragment = Fragment::default();
        if self.waiting == 0 {
            return fragment;
        }
        let mut head = Vec::new();
        if self.written == 0 {
            let audio = self.audio.as_ref().map(|lane| (&*lane.config, lane.timescale));
            let (segment, reserve) = init::segment((&self.video.config, self.video.timescale), audio, self.created);
            self.reserve = reserve as u64;
            head = segment;
        }
        let moof_at = self.written + head.len() as u64;
        if let Some(first) = self.video.waiting.first().filter(|first| first.key)
            && self.seek.len() < MAX_SEEK_POINTS
        {
            self.seek.push((self.video.ticks(first.pts), moof_at));
        }
        self.sequence = self.sequence.wrapping_add(1);
        head.extend_from_slice(&self.moof(next));
        // At most FRAGMENT_BYTES + MAX_UNIT.
        head.extend_from_slice(&(self.waiting as u32 + 8).to_be_bytes());
        head.extend_from_slice(b"mdat");
        fragment.length = head.len() as u64 + self.waiting as u64;
        fragment.parts.push(head.into());
        for lane in std::iter::once(&mut self.video).chain(&mut self.audio) {
            fragment.units += lane.waiting.len() as u64;
            fragment.parts.extend(lane.waiting.drain(..).map(|unit| unit.payload.clone()));
        }
        self.waiting = 0;
        self.written += fragment.length;
        fragment
    }

    /// `moof` (§8.8.4): the pictures' run, then the sound's.
    fn moof(&self, next: Option<&AccessUnit>) -> Vec<u8> {
        let mut out = Boxes::default();
        let mut offsets = Vec::new();
        out.nest(b"moof", |b| {
            b.full(b"mfhd", 0, 0, |b| b.u32(self.sequence));
            for lane in std::iter::once(&self.video).chain(&self.audio).filter(|lane| !lane.waiting.is_empty()) {
                let next = next.filter(|next| (next.track == Track::Video) == (lane.id == VIDEO_TRACK));
                offsets.push((lane.traf(b, next.map(|next| next.dts)), lane.bytes()));
            }
        });
        let mut data = out.len() + 8;
        for (at, bytes) in offsets {
            out.set_u32(at, data as u32);
            data += bytes;
        }
        out.into_vec()
    }

    /// `mfra` (§8.8.9): the keyframes at the start of fragments.
    fn seek_table(&self) -> Bytes {
        let mut out = Boxes::default();
        out.nest(b"mfra", |b| {
            b.full(b"tfra", 1, 0, |b| {
                b.u32(VIDEO_TRACK);
                b.u32(0); // one byte each for traf, trun and sample numbers
                b.u32(self.seek.len() as u32);
                for (time, offset) in &self.seek {
                    b.u64(*time);
                    b.u64(*offset);
                    b.bytes(&[1, 1, 1]);
                }
            });
            let length = b.len() as u32 + 16;
            b.full(b"mfro", 0, 0, |b| b.u32(length));
        });
        out.into_vec().into()
    }
}

impl Lane {
    fn new(id: u32, config: Arc<CodecConfig>, origin: Media) -> Self {
        let (timescale, nominal) = match config.format {
            // A multiple of the frame rate's numerator, so that every n / fps is a whole number of ticks.
            TrackFormat::Video(video) => {
                let fine = if video.rate.num < 1000 { 1000 } else { 1 };
                (video.rate.num.max(1) * fine, video.rate.den.saturating_mul(fine))
            }
            TrackFormat::Audio(audio) => (audio.rate.max(1), audio.samples),
        };
        let origin = origin.to_ticks(timescale);
        Self { id, config, timescale, origin, nominal, waiting: Vec::new(), last: None }
    }

    fn bytes(&self) -> usize {
        self.waiting.iter().map(|unit| unit.payload.len()).sum()
    }

    /// Ticks since the start of the file. Both ends are rounded on the grid, not their difference, so that neighbours
    /// on the grid stay equally far apart.
    fn ticks(&self, time: Media) -> u64 {
        u64::try_from(time.to_ticks(self.timescale) - self.origin).unwrap_or(0)
    }

    /// `traf` (§8.8.6) with one run. Returns where in `b` the run's data offset goes.
    fn traf(&self, b: &mut Boxes, next: Option<Media>) -> usize {
        let is_video = self.id == VIDEO_TRACK;
        let reordered = self.waiting.iter().any(|unit| unit.pts != unit.dts);
        let mut offset_at = 0;
        b.nest(b"traf", |b| {
            b.full(b"tfhd", 0, 0x02_0000, |b| b.u32(self.id)); // default-base-is-moof
            let start = self.waiting.first().map_or(0, |first| self.ticks(first.dts));
            b.full(b"tfdt", 1, 0, |b| b.u64(start));
            let mut flags = 0x301; // data offset, durations, sizes
            flags |= if is_video { 0x400 } else { 0 };
            flags |= if reordered { 0x800 } else { 0 };
            b.full(b"trun", 1, flags, |b| {
                b.u32(self.waiting.len() as u32);
                offset_at = b.len();
                b.u32(0);
                for (i, unit) in self.waiting.iter().enumerate() {
                    let start = self.ticks(unit.dts);
                    let following = self.waiting.get(i + 1).map(|unit| unit.dts).or(next);
                    let duration = following.map_or(self.nominal.into(), |following| self.ticks(following) - start);
                    b.u32(u32::try_from(duration).unwrap_or(u32::MAX));
                    b.u32(unit.payload.len() as u32);
                    if is_video {
                        b.u32(if unit.key { init::SYNC } else { init::NON_SYNC });
                    }
                    if reordered {
                        let shift = unit.pts.to_ticks(self.timescale) - unit.dts.to_ticks(self.timescale);
                        b.u32(i32::try_from(shift).unwrap_or(0) as u32);
                    }
                }
            });
        });
        offset_at
    }
}
