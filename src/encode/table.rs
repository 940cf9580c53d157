//! Pure. Which elements make which codec, and what they must be told to encode with little delay at a constant rate.
//!
//! GStreamer renames properties between releases, and counts bit rates in three units. Both facts live here, once:
//! every entry states the GStreamer versions it is for, and a test looks each property up in
//! `properties.txt`, a list of what those versions' sources declare.
//!
//! Common to all: no B-frames (so `dts == pts`), closed groups of pictures of a fixed length, one reference buffer of
//! rate control of one second, parameter sets at every keyframe.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Codec, FrameRate};

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
    /// The properties to set anew, in this order. Each is also in the element's list, where its value stands.
    pub properties: &'static [&'static str],
}

/// What a change of bit rate does to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The rate moves, nothing else is to be seen.
    Smooth,
    /// The encoder begins anew: each change costs a keyframe.
    Keyframe,
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

impl Change {
    /// Shortest time between two changes worth making.
    pub const fn interval(self) -> Duration {
        match self {
            Self::Smooth => Duration::from_millis(200),
            Self::Keyframe => Duration::from_secs(2),
        }
    }

    /// Smallest change worth making, in thousandths of the rate.
    pub const fn step_permille(self) -> u32 {
        match self {
            Self::Smooth => 20,
            Self::Keyframe => 50,
        }
    }
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

/// The families that make `codec`, hardware first, best first.
pub fn candidates(codec: Codec) -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().filter(move |f| f.makes(codec))
}

const V1_22: Version = Version(1, 22);
const V1_24: Version = Version(1, 24);
const V1_26: Version = Version(1, 26);

const fn set(name: &'static str, value: Value) -> Property {
    Property { name, value, required: true }
}

const fn must(name: &'static str, text: &'static str) -> Property {
    set(name, Value::Is(text))
}

const fn wish(name: &'static str, text: &'static str) -> Property {
    Property { name, value: Value::Is(text), required: false }
}

/// An element that every version from 1.22 on has.
const fn always(
    factory: &'static str,
    codec: Codec,
    input: Input,
    properties: &'static [Property],
    bitrate: Bitrate,
) -> Element {
    Element { factory, codec, since: V1_22, before: None, input, properties, bitrate, keyframe: Keyframe::Event }
}

/// Every family. Hardware first: it is tried in this order.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "va",
        title: "VA-API (Intel, AMD)",
        kind: Kind::Hardware,
        verified: Verified::NotOnHardware,
        label: Some("each change of bit rate costs a keyframe"),
        elements: &[
            always("vah264enc", Codec::H264, Input::Nv12, VA_H264, VA_BITRATE),
            always("vah265enc", Codec::Hevc, Input::Nv12, VA_H265, VA_BITRATE),
            Element { since: V1_24, ..always("vaav1enc", Codec::Av1, Input::Nv12, VA_AV1, VA_BITRATE) },
        ],
    },
    Family {
        name: "va-lp",
        title: "VA-API low power (Intel)",
        kind: Kind::Hardware,
        verified: Verified::NotOnHardware,
        label: Some("needs the GuC/HuC firmware for constant bit rate; each change of bit rate costs a keyframe"),
        elements: &[
            always("vah264lpenc", Codec::H264, Input::Nv12, VA_H264, VA_BITRATE),
            always("vah265lpenc", Codec::Hevc, Input::Nv12, VA_H265, VA_BITRATE),
            Element { since: V1_24, ..always("vaav1lpenc", Codec::Av1, Input::Nv12, VA_AV1, VA_BITRATE) },
        ],
    },
    Family {
        name: "nvenc",
        title: "NVENC (NVIDIA)",
        kind: Kind::Hardware,
        verified: Verified::NotOnHardware,
        label: Some("consumer cards allow few sessions at once"),
        elements: &[
            // 1.26 dropped the old element and gave its name to the one that was nvcudah264enc.
            Element { since: V1_26, ..always("nvh264enc", Codec::H264, Input::Nv12, NV_26, NV_BITRATE) },
            Element { since: V1_24, ..before_1_26("nvcudah264enc", Codec::H264, NV_24) },
            Element { before: Some(V1_24), ..before_1_26("nvcudah264enc", Codec::H264, NV_22) },
            before_1_26("nvh264enc", Codec::H264, NV_LEGACY),
            Element { since: V1_26, ..always("nvh265enc", Codec::Hevc, Input::Nv12, NV_26, NV_BITRATE) },
            Element { since: V1_24, ..before_1_26("nvcudah265enc", Codec::Hevc, NV_24) },
            Element { before: Some(V1_24), ..before_1_26("nvcudah265enc", Codec::Hevc, NV_22) },
            before_1_26("nvh265enc", Codec::Hevc, NV_LEGACY),
            Element { since: V1_26, ..always("nvav1enc", Codec::Av1, Input::Nv12, NV_AV1, NV_BITRATE) },
        ],
    },
    Family {
        name: "qsv",
        title: "Quick Sync (Intel oneVPL)",
        kind: Kind::Hardware,
        verified: Verified::NotOnHardware,
        label: None,
        elements: &[
            always("qsvh264enc", Codec::H264, Input::Nv12, QSV, QSV_BITRATE),
            always("qsvh265enc", Codec::Hevc, Input::Nv12, QSV, QSV_BITRATE),
            always("qsvav1enc", Codec::Av1, Input::Nv12, QSV_AV1, QSV_BITRATE),
        ],
    },
    Family {
        name: "rkmpp",
        title: "Rockchip MPP",
        kind: Kind::Hardware,
        verified: Verified::NotOnHardware,
        label: Some("the plugin is not part of GStreamer; its properties differ between forks"),
        elements: &[
            always("mpph264enc", Codec::H264, Input::Nv12, MPP, MPP_BITRATE),
            always("mpph264enc", Codec::H264, Input::Nv12, MPP_FORK, MPP_FORK_BITRATE),
            always("mpph265enc", Codec::Hevc, Input::Nv12, MPP, MPP_BITRATE),
            always("mpph265enc", Codec::Hevc, Input::Nv12, MPP_FORK, MPP_FORK_BITRATE),
        ],
    },
    Family {
        name: "v4l2m2m",
        title: "V4L2 memory-to-memory (Raspberry Pi 4, i.MX, …)",
        kind: Kind::Hardware,
        verified: Verified::NotOnHardware,
        label: Some("the driver decides which controls it takes"),
        elements: &[
            always("v4l2h264enc", Codec::H264, Input::Nv12, V4L2, V4L2_BITRATE),
            always("v4l2h265enc", Codec::Hevc, Input::Nv12, V4L2, V4L2_BITRATE),
        ],
    },
    Family {
        name: "x264",
        title: "x264",
        kind: Kind::Software,
        verified: Verified::Here("1.22"),
        label: None,
        elements: &[always("x264enc", Codec::H264, Input::I420, X264, X264_BITRATE)],
    },
    Family {
        name: "openh264",
        title: "OpenH264",
        kind: Kind::Software,
        verified: Verified::Here("1.22"),
        label: Some("constrained baseline profile"),
        elements: &[always("openh264enc", Codec::H264, Input::I420, OPENH264, OPENH264_BITRATE)],
    },
    Family {
        name: "x265",
        title: "x265",
        kind: Kind::Software,
        verified: Verified::Here("1.22"),
        label: Some("small sizes only; each change of bit rate costs a keyframe"),
        elements: &[always("x265enc", Codec::Hevc, Input::I420, X265, X265_BITRATE)],
    },
    Family {
        name: "svtav1",
        title: "SVT-AV1",
        kind: Kind::Software,
        verified: Verified::FromSources("1.24"),
        label: None,
        elements: &[
            Element { since: V1_26, ..always("svtav1enc", Codec::Av1, Input::I420, SVT_26, SVT_BITRATE) },
            Element {
                since: V1_24,
                before: Some(V1_26),
                ..always("svtav1enc", Codec::Av1, Input::I420, SVT_24, SVT_BITRATE)
            },
        ],
    },
    Family {
        name: "aom",
        title: "libaom",
        kind: Kind::Software,
        verified: Verified::Here("1.22"),
        label: Some("not constant bit rate; small sizes only"),
        elements: &[
            Element { since: V1_26, ..always("av1enc", Codec::Av1, Input::I420, AOM, AOM_BITRATE) },
            Element {
                before: Some(V1_26),
                keyframe: Keyframe::ZeroInterval { property: "keyframe-max-dist" },
                ..always("av1enc", Codec::Av1, Input::I420, AOM, AOM_BITRATE)
            },
        ],
    },
];

// VA drains and resets for a new rate, so the next picture is an IDR.
const VA_BITRATE: Bitrate = Bitrate { change: Change::Keyframe, properties: &["cpb-size", "bitrate"] };

const VA_H264: &[Property] = &[
    must("rate-control", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kilobit)),
    set("cpb-size", Value::OneSecond(Unit::Kilobit)),
    set("key-int-max", Value::KeyframeFrames),
    wish("b-frames", "0"),
    wish("ref-frames", "1"),
    wish("target-usage", "6"),
    wish("aud", "true"),
];

const VA_H265: &[Property] = VA_H264;

const VA_AV1: &[Property] = &[
    must("rate-control", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kilobit)),
    set("cpb-size", Value::OneSecond(Unit::Kilobit)),
    set("key-int-max", Value::KeyframeFrames),
    wish("gf-group-size", "1"),
    wish("hierarchical-level", "1"),
    wish("ref-frames", "1"),
    wish("target-usage", "6"),
];

const fn before_1_26(factory: &'static str, codec: Codec, properties: &'static [Property]) -> Element {
    Element { before: Some(V1_26), ..always(factory, codec, Input::Nv12, properties, NV_BITRATE) }
}

// NVENC multiplies by 1024. It reconfigures without an IDR where the GPU can.
const NV_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["vbv-buffer-size", "bitrate"] };

const NV_LEGACY: &[Property] = &[
    must("rc-mode", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kibibit)),
    set("vbv-buffer-size", Value::OneSecond(Unit::Kibibit)),
    set("gop-size", Value::KeyframeFrames),
    wish("bframes", "0"),
    wish("rc-lookahead", "0"),
    wish("preset", "low-latency-hq"),
    wish("zerolatency", "true"),
    wish("strict-gop", "true"),
    wish("aud", "true"),
];

const NV_22: &[Property] = &[
    must("rate-control", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kibibit)),
    set("vbv-buffer-size", Value::OneSecond(Unit::Kibibit)),
    set("gop-size", Value::KeyframeFrames),
    wish("b-frames", "0"),
    wish("rc-lookahead", "0"),
    wish("preset", "low-latency-hq"),
    wish("zero-reorder-delay", "true"),
    wish("strict-gop", "true"),
    wish("repeat-sequence-header", "true"),
];

const NV_24: &[Property] = &[
    must("rate-control", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kibibit)),
    set("vbv-buffer-size", Value::OneSecond(Unit::Kibibit)),
    set("gop-size", Value::KeyframeFrames),
    wish("b-frames", "0"),
    wish("rc-lookahead", "0"),
    wish("preset", "p4"),
    wish("tune", "ultra-low-latency"),
    wish("zero-reorder-delay", "true"),
    wish("strict-gop", "true"),
    wish("repeat-sequence-header", "true"),
];

const NV_26: &[Property] = &[
    must("rc-mode", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kibibit)),
    set("vbv-buffer-size", Value::OneSecond(Unit::Kibibit)),
    set("gop-size", Value::KeyframeFrames),
    wish("bframes", "0"),
    wish("rc-lookahead", "0"),
    wish("preset", "p4"),
    wish("tune", "ultra-low-latency"),
    wish("zerolatency", "true"),
    wish("strict-gop", "true"),
    wish("repeat-sequence-header", "true"),
];

const NV_AV1: &[Property] = &[
    must("rc-mode", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kibibit)),
    set("vbv-buffer-size", Value::OneSecond(Unit::Kibibit)),
    set("gop-size", Value::KeyframeFrames),
    wish("bframes", "0"),
    wish("rc-lookahead", "0"),
    wish("preset", "p4"),
    wish("tune", "ultra-low-latency"),
    wish("zerolatency", "true"),
    wish("strict-gop", "true"),
];

// MFX Reset with StartNewSequence off: no IDR, unless the driver refuses and the session is opened anew.
const QSV_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["bitrate"] };

const QSV: &[Property] = &[
    must("rate-control", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kilobit)),
    set("gop-size", Value::KeyframeFrames),
    wish("b-frames", "0"),
    wish("ref-frames", "1"),
    wish("idr-interval", "0"),
    wish("low-latency", "true"),
    wish("target-usage", "7"),
];

const QSV_AV1: &[Property] = &[
    must("rate-control", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kilobit)),
    set("gop-size", Value::KeyframeFrames),
    wish("ref-frames", "1"),
    wish("low-latency", "true"),
    wish("target-usage", "7"),
];

// Applied from the next frame on. bit/s, unlike all others in hardware; its least and most follow by themselves.
const MPP_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["bps"] };

const MPP: &[Property] = &[
    must("rc-mode", "cbr"),
    set("bps", Value::Bitrate(Unit::Bit)),
    set("gop", Value::KeyframeFrames),
    must("header-mode", "each-idr"),
    // Otherwise an access unit that the data plane still holds keeps one of the encoder's few buffers.
    wish("zero-copy-pkt", "false"),
];

// A fork renamed `bps`.
const MPP_FORK_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["bitrate"] };

const MPP_FORK: &[Property] = &[
    must("rc-mode", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Bit)),
    set("gop", Value::KeyframeFrames),
    must("header-mode", "each-idr"),
    wish("zero-copy-pkt", "false"),
];

const V4L2_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["extra-controls"] };

const V4L2: &[Property] = &[set("extra-controls", Value::V4l2Controls)];

// Down within 1 s, up within 3 s, no extra IDR. `nal-hrd=cbr` would freeze the rate.
const X264_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["bitrate"] };

const X264: &[Property] = &[
    must("tune", "zerolatency"),
    set("speed-preset", Value::X264Preset),
    must("pass", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Kilobit)),
    wish("vbv-buf-capacity", "1000"),
    set("key-int-max", Value::KeyframeFrames),
    wish("bframes", "0"),
    set("threads", Value::Threads),
    wish("aud", "false"),
    // Keyframes where they are asked for and at the end of a group, nowhere else.
    must("option-string", "scenecut=0"),
];

const OPENH264_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["bitrate"] };

const OPENH264: &[Property] = &[
    must("rate-control", "bitrate"),
    set("bitrate", Value::Bitrate(Unit::Bit)),
    set("gop-size", Value::KeyframeFrames),
    wish("complexity", "low"),
    wish("usage-type", "camera"),
    wish("scene-change-detection", "false"),
    wish("enable-frame-skip", "false"),
    set("multi-thread", Value::Threads),
    set("num-slices", Value::Threads),
];

// The element closes its encoder and opens another, which reads `option-string` again.
const X265_BITRATE: Bitrate = Bitrate { change: Change::Keyframe, properties: &["option-string", "bitrate"] };

const X265: &[Property] = &[
    must("tune", "zerolatency"),
    must("speed-preset", "ultrafast"),
    set("bitrate", Value::Bitrate(Unit::Kilobit)),
    set("key-int-max", Value::KeyframeFrames),
    set("option-string", Value::X265Options),
];

const SVT_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["max-bitrate"] };

const SVT_24: &[Property] = &[
    wish("preset", "11"),
    set("target-bitrate", Value::Bitrate(Unit::Kilobit)),
    set("max-bitrate", Value::Bitrate(Unit::Kilobit)),
    set("intra-period-length", Value::KeyframeFrames),
    must("intra-refresh-type", "IDR"),
    wish("maximum-buffer-size", "1000"),
    set("logical-processors", Value::Threads),
    wish("parameters-string", "pred-struct=1:lookahead=0:scd=0"),
];

const SVT_26: &[Property] = &[
    wish("preset", "11"),
    set("target-bitrate", Value::Bitrate(Unit::Kilobit)),
    set("max-bitrate", Value::Bitrate(Unit::Kilobit)),
    set("intra-period-length", Value::KeyframeFrames),
    must("intra-refresh-type", "IDR"),
    wish("maximum-buffer-size", "1000"),
    set("level-of-parallelism", Value::Threads),
    wish("parameters-string", "pred-struct=1:lookahead=0:scd=0"),
];

const AOM_BITRATE: Bitrate = Bitrate { change: Change::Smooth, properties: &["target-bitrate"] };

const AOM: &[Property] = &[
    must("usage-profile", "realtime"),
    wish("cpu-used", "10"),
    // Its constant rate control abort()s the process (libaom 3.6, ratectrl.c).
    must("end-usage", "vbr"),
    set("target-bitrate", Value::Bitrate(Unit::Kilobit)),
    wish("buf-sz", "1000"),
    wish("buf-initial-sz", "500"),
    wish("buf-optimal-sz", "600"),
    wish("min-quantizer", "4"),
    wish("max-quantizer", "63"),
    set("keyframe-max-dist", Value::KeyframeFrames),
    must("lag-in-frames", "0"),
    set("threads", Value::Threads),
    wish("row-mt", "true"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// What a release's sources declare: release, element, and each property with its allowed words, if they are words.
    fn declared() -> Vec<(&'static str, &'static str, Vec<(&'static str, Vec<&'static str>)>)> {
        let lines = include_str!("properties.txt").lines().filter(|l| !l.starts_with('#'));
        lines
            .map(|line| {
                let mut words = line.split(' ');
                let (release, element) = (words.next().unwrap(), words.next().unwrap());
                let properties = words.map(|w| match w.split_once('=') {
                    Some((name, nicks)) => (name, nicks.split('|').collect()),
                    None => (w, Vec::new()),
                });
                (release, element, properties.collect())
            })
            .collect()
    }

    /// The releases whose sources were read.
    const READ: [Version; 4] = [V1_22, V1_24, V1_26, Version(1, 28)];

    fn rockchip(family: &Family) -> bool {
        family.name == "rkmpp"
    }

    #[test]
    fn every_property_is_declared_by_every_release_it_is_claimed_for() {
        let declared = declared();
        let mut checked = 0;
        for family in FAMILIES {
            for element in family.elements {
                // The fork's sources are not among those read.
                if std::ptr::eq(element.properties, MPP_FORK) {
                    continue;
                }
                for version in READ.into_iter().filter(|&v| element.exists_in(v)) {
                    let release =
                        if rockchip(family) { "rockchip".to_owned() } else { format!("{}.{}", version.0, version.1) };
                    let name = element.factory;
                    let Some((.., known)) = declared.iter().find(|(r, e, _)| *r == release && *e == name) else {
                        panic!("GStreamer {release} has no {name}");
                    };
                    for property in element.properties {
                        let Some((_, words)) = known.iter().find(|(n, _)| *n == property.name) else {
                            panic!("{name} of GStreamer {release} has no property {}", property.name);
                        };
                        if let Value::Is(text) = property.value {
                            assert!(
                                words.is_empty() || words.contains(&text),
                                "{name}.{} of GStreamer {release} takes {words:?}, not {text:?}",
                                property.name
                            );
                        }
                        checked += 1;
                    }
                }
            }
        }
        assert!(checked > 500, "only {checked} properties were checked");
    }

    #[test]
    fn every_release_that_declares_an_element_has_an_entry_for_it() {
        for (release, name, _) in declared().into_iter().filter(|(r, ..)| *r != "rockchip") {
            let (major, minor) = release.split_once('.').unwrap();
            let version = Version(major.parse().unwrap(), minor.parse().unwrap());
            let claimed = FAMILIES.iter().flat_map(|f| f.elements).any(|e| e.factory == name && e.exists_in(version));
            assert!(claimed, "GStreamer {release} has {name}, the table has not");
        }
    }

    #[test]
    fn what_a_change_of_bit_rate_sets_is_what_depends_on_the_bit_rate() {
        let job = |bitrate| VideoJob {
            codec: Codec::H264,
            width: 1280,
            height: 720,
            rate: FrameRate::whole(30),
            bitrate,
            keyframe_interval: Duration::from_secs(2),
        };
        for element in FAMILIES.iter().flat_map(|f| f.elements) {
            let moves = |p: &&Property| p.value.render(&job(1_000_000), 4) != p.value.render(&job(2_000_000), 4);
            let mut moving: Vec<_> = element.properties.iter().filter(moves).map(|p| p.name).collect();
            // SVT-AV1 takes a change of the upper bound only.
            moving.retain(|name| (element.factory, *name) != ("svtav1enc", "target-bitrate"));
            let mut set: Vec<_> = element.bitrate.properties.to_vec();
            (moving.sort_unstable(), set.sort_unstable());
            assert_eq!(moving, set, "{}", element.factory);
        }
    }

    #[test]
    fn hardware_is_tried_first_and_every_picture_codec_has_a_software_encoder() {
        for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
            let kinds: Vec<_> = candidates(codec).map(|f| f.kind).collect();
            assert!(kinds.is_sorted(), "{codec:?}: {kinds:?}");
            assert_eq!(kinds.last(), Some(&Kind::Software));
        }
    }

    #[test]
    fn rates_are_counted_in_the_unit_of_each_element() {
        assert_eq!(Unit::Bit.of(3_072_000), 3_072_000);
        assert_eq!(Unit::Kilobit.of(3_072_000), 3072);
        assert_eq!(Unit::Kibibit.of(3_072_000), 3000);
        assert_eq!(Unit::Kilobit.of(0), 1);
    }
}
