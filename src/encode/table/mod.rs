//! Pure. Which elements make which codec, and what they must be told to encode with little delay at a constant rate.
//!
//! GStreamer renames properties between releases, and counts bit rates in three units. Both facts live here, once:
//! every entry states the GStreamer versions it is for, and a test looks each property up in
//! `table/properties.txt`, a list of what those versions' sources declare.
//!
//! Common to all: no B-frames (so `dts == pts`), closed groups of pictures of a fixed length, one reference buffer of
//! rate control of one second, parameter sets at every keyframe.

mod families;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Codec, FrameRate};

pub use families::FAMILIES;

/// A GStreamer release series: major, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u32, pub u32);

/// One video encode, as an encoder needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VideoJob {
    /// H.264, HEVC or AV1.
    pub codec: Codec,
    /// Pixels across; even.
    pub width: u32,
    /// Pixels down; even.
    pub height: u32,
    /// Frames per second.
    pub rate: FrameRate,
    /// Bit/s.
    pub bitrate: u32,
    /// Between keyframes.
    pub keyframe_interval: Duration,
}

impl VideoJob {
    /// Frames from one keyframe to the next; at least 1.
    pub fn keyframe_frames(&self) -> u32 {
        let frames = self.keyframe_interval.as_secs_f64() * self.rate.as_f64();
        // Saturates at both ends, which is what is wanted of a count.
        (frames.round() as u32).max(1)
    }

    fn pixels_per_second(&self) -> f64 {
        f64::from(self.width) * f64::from(self.height) * self.rate.as_f64()
    }
}

/// A way of encoding: one driver or one library.
#[derive(Debug)]
pub struct Family {
    /// What the configuration calls it.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// In silicon, or on the processor.
    pub kind: Kind,
    /// How far its entries were tried.
    pub verified: Verified,
    /// What an operator should know before choosing it.
    pub label: Option<&'static str>,
    /// Its elements, in order of preference.
    pub elements: &'static [Element],
}

/// In silicon, or on the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// In silicon: hardly any processor time, few sessions at once.
    Hardware,
    /// On the processor.
    Software,
}

/// How far a family's entries were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Run in the tests, with this GStreamer.
    Here(&'static str),
    /// Run in the tests only where this GStreamer or a later one is installed; the properties are checked against its
    /// sources.
    FromSources(&'static str),
    /// Written from sources and documents; `holdfast probe --report` tells.
    NotOnHardware,
}

/// One element, the versions it exists in and its settings.
#[derive(Debug)]
pub struct Element {
    /// The factory's name.
    pub factory: &'static str,
    /// What it makes.
    pub codec: Codec,
    /// First GStreamer with it as described here.
    pub since: Version,
    /// First GStreamer without it, or with other properties.
    pub before: Option<Version>,
    /// The picture layout it takes.
    pub input: Input,
    /// What to set.
    pub properties: &'static [Property],
    /// How its bit rate changes while it runs.
    pub bitrate: Bitrate,
    /// How it is asked for a keyframe.
    pub keyframe: Keyframe,
}

/// A picture layout in system memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Luma, then interleaved chroma: what hardware takes.
    Nv12,
    /// Three planes: what libraries take.
    I420,
}

/// One setting.
#[derive(Debug)]
pub struct Property {
    /// The property's name.
    pub name: &'static str,
    /// What it is set to.
    pub value: Value,
    /// Without it the element is not what the table takes it for. The others are left out where a driver has not got them.
    pub required: bool,
}

/// What a property is set to, in the words GStreamer's own value parser takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Always this.
    Is(&'static str),
    /// Frames between keyframes.
    KeyframeFrames,
    /// The bit rate in this unit.
    Bitrate(Unit),
    /// One second of the bit rate in this unit: the rate control's buffer.
    OneSecond(Unit),
    /// Threads worth having for this size on this machine.
    Threads,
    /// The x264 preset that this machine can afford.
    X264Preset,
    /// x265 options that have no property of their own.
    X265Options,
    /// V4L2 controls as a structure.
    V4l2Controls,
}

/// What a bit rate is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// bit/s.
    Bit,
    /// 1000 bit/s.
    Kilobit,
    /// 1024 bit/s.
    Kibibit,
}

impl Unit {
    /// `bitrate` bit/s in this unit, at least 1.
    pub const fn of(self, bitrate: u32) -> u32 {
        let n = match self {
            Self::Bit => bitrate,
            Self::Kilobit => bitrate / 1000,
            Self::Kibibit => bitrate / 1024,
        };
        if n == 0 { 1 } else { n }
    }
}

/// How an encoder's bit rate changes while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitrate {
    /// What happens to the stream.
    pub change: Change,
    /// How often and by how much it is worth changing.
    pub pace: Pace,
    /// The properties to set anew, in this order. Each is also in the element's list, where its value stands.
    pub properties: &'static [&'static str],
}

/// What a change of bit rate does to the stream; the later the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The rate moves, nothing else is to be seen.
    Smooth,
    /// The first change of a running encoder costs a keyframe, those after it nothing.
    FirstKeyframe,
    /// Each change costs a keyframe.
    Keyframe,
    /// A running encoder takes none: only one that is made anew has another bit rate, and that is not done live.
    Anew,
}

/// How often and by how much a running encoder's bit rate is worth changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Smallest change worth making, in thousandths of the rate in force.
    pub step_permille: u32,
    /// Shortest time between two changes.
    pub every: Duration,
    /// The same where a destination is about to lose programme.
    pub urgent: Duration,
}

impl Pace {
    /// The slower of both in everything.
    #[must_use]
    pub fn slower(self, other: Self) -> Self {
        Self {
            step_permille: self.step_permille.max(other.step_permille),
            every: self.every.max(other.every),
            urgent: self.urgent.max(other.urgent),
        }
    }
}

/// How a running element is asked for a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyframe {
    /// By GStreamer's force-key-unit event.
    Event,
    /// The element ignores the event. Its interval is set to 0, which makes every picture a keyframe, until one came.
    ZeroInterval {
        /// The interval's property.
        property: &'static str,
    },
}

impl Value {
    /// The value for `job` on a machine with `cores` processors, as text.
    pub fn render(self, job: &VideoJob, cores: u32) -> String {
        match self {
            Self::Is(text) => text.to_owned(),
            Self::KeyframeFrames => job.keyframe_frames().to_string(),
            Self::Bitrate(unit) | Self::OneSecond(unit) => unit.of(job.bitrate).to_string(),
            Self::Threads => threads(job, cores).to_string(),
            Self::X264Preset => x264_preset(job, cores).to_owned(),
            Self::X265Options => x265_options(job, cores),
            Self::V4l2Controls => format!(
                "controls,video_bitrate_mode=(int)1,video_bitrate=(int){},video_gop_size=(int){},\
                 repeat_sequence_header=(int)1",
                job.bitrate,
                job.keyframe_frames()
            ),
        }
    }
}

/// Threads cost delay or slices, so a small picture gets one; more than four help no size that is live.
fn threads(job: &VideoJob, cores: u32) -> u32 {
    const ONE_THREAD: f64 = 640.0 * 360.0 * 60.0;
    if job.pixels_per_second() <= ONE_THREAD { 1 } else { cores.clamp(1, 4) }
}

/// Measured with hard content at 1280x720: veryfast 10 ms, superfast 5.5 ms, ultrafast 3 ms of processor per frame. The
/// steps keep an encode under about a quarter of the machine.
fn x264_preset(job: &VideoJob, cores: u32) -> &'static str {
    let per_core = job.pixels_per_second() / f64::from(cores.max(1));
    if per_core <= 15e6 {
        "veryfast"
    } else if per_core <= 40e6 {
        "superfast"
    } else {
        "ultrafast"
    }
}

fn x265_options(job: &VideoJob, cores: u32) -> String {
    let kbit = Unit::Kilobit.of(job.bitrate);
    let pools = threads(job, cores);
    // One pool thread plus the frame thread; wavefronts only pay with more.
    format!(
        "pools={pools}:frame-threads=1:bframes=0:rc-lookahead=0:scenecut=0:open-gop=0:repeat-headers=1:info=0:\
         vbv-maxrate={kbit}:vbv-bufsize={kbit}"
    )
}

impl Element {
    /// Whether `version` has this element as described.
    pub fn exists_in(&self, version: Version) -> bool {
        version >= self.since && self.before.is_none_or(|before| version < before)
    }

    /// The property of that name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|p| p.name == name)
    }
}

impl Family {
    /// The elements for `codec` that `version` has, best first.
    pub fn elements(&self, codec: Codec, version: Version) -> impl Iterator<Item = &'static Element> {
        self.elements.iter().filter(move |e| e.codec == codec && e.exists_in(version))
    }

    /// Whether any version of it makes `codec`.
    pub fn makes(&self, codec: Codec) -> bool {
        self.elements.iter().any(|e| e.codec == codec)
    }
}

/// The family of that name.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.name == name)
}

/// What is known of the element of that name. Where several releases have one of the same name, they change their bit rate in
/// the same way.
pub fn element(factory: &str) -> Option<(&'static Family, &'static Element)> {
    FAMILIES.iter().find_map(|family| Some((family, family.elements.iter().find(|e| e.factory == factory)?)))
}

/// The families that make `codec`, hardware first, best first.
pub fn candidates(codec: Codec) -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().filter(move |f| f.makes(codec))
}
