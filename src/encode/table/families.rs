//! Pure. Every family: its elements, their settings, the releases these are for.

use std::time::Duration;

use super::{Bitrate, Change, Element, Family, Input, Keyframe, Kind, Pace, Property, Unit, Value, Verified, Version};
use crate::model::Codec;

pub(super) const V1_22: Version = Version(1, 22);
pub(super) const V1_24: Version = Version(1, 24);
pub(super) const V1_26: Version = Version(1, 26);

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

const fn pace(step_permille: u32, every_ms: u64, urgent_ms: u64) -> Pace {
    Pace { step_permille, every: Duration::from_millis(every_ms), urgent: Duration::from_millis(urgent_ms) }
}

// A keyframe weighs about as much as twelve other pictures: one in 4 s takes a tenth of what is made at 30 a second, which a
// step of less than a tenth would not give back. In an emergency one in 2 s, as many as are made anyway.
const KEYFRAME_EACH: Pace = pace(100, 4000, 2000);

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
        label: Some("its bit rate is fixed while it runs"),
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

// VA drains and resets for a new rate, so the next picture is an IDR (read in gst-plugins-bad, sys/va; not seen).
const VA_BITRATE: Bitrate =
    Bitrate { change: Change::Keyframe, pace: KEYFRAME_EACH, properties: &["cpb-size", "bitrate"] };

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

// NVENC multiplies by 1024. It reconfigures without an IDR where the GPU can (dynamic bit rate), and opens its session anew
// where it cannot: no more often than is worth that.
const NV_BITRATE: Bitrate =
    Bitrate { change: Change::Smooth, pace: pace(50, 2000, 1000), properties: &["vbv-buffer-size", "bitrate"] };

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
// Each drains what is in the encoder first.
const QSV_BITRATE: Bitrate = Bitrate { change: Change::Smooth, pace: pace(50, 2000, 1000), properties: &["bitrate"] };

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
// Others change it five times a second (BELABOX); an owner saw the picture stutter then.
const MPP_PACE: Pace = pace(50, 1000, 500);
const MPP_BITRATE: Bitrate = Bitrate { change: Change::Smooth, pace: MPP_PACE, properties: &["bps"] };

const MPP: &[Property] = &[
    must("rc-mode", "cbr"),
    set("bps", Value::Bitrate(Unit::Bit)),
    set("gop", Value::KeyframeFrames),
    must("header-mode", "each-idr"),
    // Otherwise an access unit that the data plane still holds keeps one of the encoder's few buffers.
    wish("zero-copy-pkt", "false"),
];

// A fork renamed `bps`.
const MPP_FORK_BITRATE: Bitrate = Bitrate { change: Change::Smooth, pace: MPP_PACE, properties: &["bitrate"] };

pub(super) const MPP_FORK: &[Property] = &[
    must("rc-mode", "cbr"),
    set("bitrate", Value::Bitrate(Unit::Bit)),
    set("gop", Value::KeyframeFrames),
    must("header-mode", "each-idr"),
    wish("zero-copy-pkt", "false"),
];

// The element applies all controls again. What a driver makes of that is its own: slowly, until one was seen.
const V4L2_BITRATE: Bitrate =
    Bitrate { change: Change::Smooth, pace: pace(50, 2000, 1000), properties: &["extra-controls"] };

const V4L2: &[Property] = &[set("extra-controls", Value::V4l2Controls)];

// Down within 1 s, up within 3 s, no extra IDR (measured; a test counts them). `nal-hrd=cbr` would freeze the rate. Before
// a second is over nobody sees what the last change did.
const SEEN_WITHIN_A_SECOND: Pace = pace(40, 1000, 500);
const X264_BITRATE: Bitrate = Bitrate { change: Change::Smooth, pace: SEEN_WITHIN_A_SECOND, properties: &["bitrate"] };

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

// At once and within 1 %. The first change costs a keyframe, whatever the size and the rates, and later ones none (measured
// with OpenH264 2.3 at 320x180 to 1280x720; a test counts them).
const OPENH264_BITRATE: Bitrate =
    Bitrate { change: Change::FirstKeyframe, pace: SEEN_WITHIN_A_SECOND, properties: &["bitrate"] };

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
const X265_BITRATE: Bitrate =
    Bitrate { change: Change::Keyframe, pace: KEYFRAME_EACH, properties: &["option-string", "bitrate"] };

const X265: &[Property] = &[
    must("tune", "zerolatency"),
    must("speed-preset", "ultrafast"),
    set("bitrate", Value::Bitrate(Unit::Kilobit)),
    set("key-int-max", Value::KeyframeFrames),
    set("option-string", Value::X265Options),
];

// Once it has a format the element refuses every property, `max-bitrate` too although that is marked as mutable ("encoder
// state has been set before properties", gst-plugins-bad, ext/svtav1/gstsvtav1enc.c).
const SVT_BITRATE: Bitrate = Bitrate { change: Change::Anew, pace: KEYFRAME_EACH, properties: &[] };

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

// Not constant, so that what a change did is seen late.
const AOM_BITRATE: Bitrate =
    Bitrate { change: Change::Smooth, pace: pace(50, 2000, 1000), properties: &["target-bitrate"] };

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
