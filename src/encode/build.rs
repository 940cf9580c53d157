//! From the table to a GStreamer element that is ready to be linked.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Once, mpsc};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

use crate::config::AudioSettings;
use crate::model::{Codec, Name};

use super::error::EncoderError;
use super::table::{self, Element, Input, Keyframe, Version, VideoJob};

/// A video encoder, set up and not yet linked.
#[derive(Debug)]
pub struct BuiltEncoder {
    /// The element.
    pub element: gst::Element,
    /// Its factory's name, e.g. `x264enc`.
    pub factory: String,
    /// Its family, e.g. `x264`.
    pub family: Name,
    /// The layout it must be fed, at the job's size and rate.
    pub input_format: gst_video::VideoFormat,
    /// What it must be fed: put this in a capsfilter before it.
    pub input_caps: gst::Caps,
    /// What it must yield, whole access units: put this in a capsfilter after it.
    pub output_caps: gst::Caps,
    /// Settings of the table that this element has not got and can do without.
    pub left_out: Vec<&'static str>,
    entry: &'static Element,
    wishes: Arc<Wishes>,
    heeded: Option<mpsc::Receiver<Heeded>>,
}

/// A wish that was passed on to the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heeded {
    /// The time of the picture that entered next.
    pub pts: gst::ClockTime,
    /// What it was.
    pub what: Wish,
}

/// What is asked of a running encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A keyframe.
    Keyframe,
    /// Another bit rate.
    Bitrate,
}

/// Wishes that were passed on and not looked at yet; more are not kept.
const HEEDED: usize = 64;

impl BuiltEncoder {
    /// Asks for another bit rate, bit/s, while running, from any thread. Takes effect within the next frames; see
    /// [`table::Change`] for what it does to the stream and how often it is worth doing.
    pub fn set_bitrate(&self, bps: u32) {
        self.wishes.bitrate.store(bps, Ordering::Relaxed);
    }

    /// What was passed on to the element so far and will be, as it happens. Whoever asks first gets it.
    pub fn take_heeded(&mut self) -> Option<mpsc::Receiver<Heeded>> {
        self.heeded.take()
    }

    /// A means of asking it for keyframes, from any thread.
    pub fn keyframe_request(&self) -> KeyframeRequest {
        KeyframeRequest(self.wishes.clone())
    }

    /// How its bit rate changes while it runs.
    pub fn change(&self) -> table::Change {
        self.entry.bitrate.change
    }
}

/// Asks an encoder for keyframes.
#[derive(Clone, Debug)]
pub struct KeyframeRequest(Arc<Wishes>);

impl KeyframeRequest {
    /// The next picture that enters the encoder becomes a keyframe, with parameter sets.
    pub fn send(&self) {
        self.0.keyframe.store(true, Ordering::Relaxed);
    }
}

/// What is asked of a running encoder. The encoder's own thread takes it up as the next picture enters: changed while it
/// encodes, `av1enc` crashes in libaom one time in twelve (measured at 1.22: it encodes without its own lock).
#[derive(Debug, Default)]
struct Wishes {
    keyframe: AtomicBool,
    /// Bit/s; 0 asks for nothing.
    bitrate: AtomicU32,
    /// Bit/s that was asked for last: some encoders begin anew when they are told what they know.
    in_force: AtomicU32,
}

/// Takes up what is wished, before each picture. Does not keep the element alive.
fn heed(wishes: Arc<Wishes>, element: &gst::Element, entry: &'static Element, job: VideoJob) -> mpsc::Receiver<Heeded> {
    let (heeded, told) = mpsc::sync_channel(HEEDED);
    wishes.in_force.store(job.bitrate, Ordering::Relaxed);
    let Some(pad) = element.static_pad("sink") else { return told };
    let element = element.downgrade();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let tell = |what| {
            if let Some(pts) = info.buffer().and_then(|buffer| buffer.pts()) {
                // Nobody may be listening.
                let _ = heeded.try_send(Heeded { pts, what });
            }
        };
        let (bitrate, keyframe) =
            (wishes.bitrate.swap(0, Ordering::Relaxed), wishes.keyframe.swap(false, Ordering::Relaxed));
        if let Some(element) = element.upgrade() {
            if bitrate > 0 && wishes.in_force.swap(bitrate, Ordering::Relaxed) != bitrate {
                change_bitrate(&element, entry, &VideoJob { bitrate, ..job });
                tell(Wish::Bitrate);
            }
            if keyframe {
                force_keyframe(&element, entry, &job);
                tell(Wish::Keyframe);
            }
        }
        gst::PadProbeReturn::Ok
    });
    told
}

fn change_bitrate(element: &gst::Element, entry: &Element, job: &VideoJob) {
    for property in entry.bitrate.properties.iter().filter_map(|name| entry.property(name)) {
        if let Err(e) = set(element, entry.factory, property.name, &property.value.render(job, cores())) {
            gst::warning!(gst::CAT_RUST, "{e}");
        }
    }
}

fn force_keyframe(element: &gst::Element, entry: &'static Element, job: &VideoJob) {
    let Some(pad) = element.static_pad("src") else { return };
    let Keyframe::ZeroInterval { property } = entry.keyframe else {
        pad.send_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
        return;
    };
    let factory = entry.factory;
    let usual = entry.property(property).map(|p| p.value.render(job, cores()));
    let (Some(usual), Ok(())) = (usual, set(element, factory, property, "0")) else { return };
    let element = element.downgrade();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if info.buffer().is_some_and(|b| b.flags().contains(gst::BufferFlags::DELTA_UNIT)) {
            return gst::PadProbeReturn::Ok;
        }
        if let Some(element) = element.upgrade() {
            // It took 0 a moment ago, so it takes this.
            let _ = set(&element, factory, property, &usual);
        }
        gst::PadProbeReturn::Remove
    });
}

/// Starts GStreamer, once.
///
/// # Errors
/// [`EncoderError::Gstreamer`].
pub fn init() -> Result<(), EncoderError> {
    gst::init().map_err(|e| EncoderError::Gstreamer(e.to_string()))?;
    // The trial decides what works here, so that the loader's own warnings say nothing an operator could use.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| gst::log::set_default_threshold(gst::DebugLevel::Error));
    Ok(())
}

/// The installed GStreamer.
pub fn gstreamer_version() -> Version {
    let (major, minor, ..) = gst::version();
    Version(major, minor)
}

/// Processors that this process may use.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// Makes `family`'s encoder for `job`.
///
/// # Errors
/// [`EncoderError`] says whether the family, the plugin or a setting is what is missing.
pub fn build_video(job: &VideoJob, family: &Name) -> Result<BuiltEncoder, EncoderError> {
    init()?;
    let known =
        table::family(family.as_str()).ok_or_else(|| EncoderError::UnknownFamily(family.as_str().to_owned()))?;
    if !known.makes(job.codec) {
        return Err(EncoderError::WrongCodec { family: family.as_str().to_owned(), codec: job.codec });
    }
    let mut refusal = not_registered(known, job.codec, gstreamer_version());
    for entry in registered(known, job.codec)? {
        match set_up(entry, job) {
            Ok((element, left_out)) => return Ok(built(entry, element, left_out, job, family)),
            Err(e) => refusal = e,
        }
    }
    Err(refusal)
}

/// The entries of `family` for `codec` whose element is registered, best first; at least one.
///
/// # Errors
/// [`EncoderError::NotRegistered`].
pub(super) fn registered(family: &table::Family, codec: Codec) -> Result<Vec<&'static Element>, EncoderError> {
    let version = gstreamer_version();
    let here = family.elements(codec, version).filter(|e| gst::ElementFactory::find(e.factory).is_some());
    let here: Vec<_> = here.collect();
    if here.is_empty() { Err(not_registered(family, codec, version)) } else { Ok(here) }
}

/// The element with its settings, and the names of those that it has not got and can do without.
fn set_up(entry: &Element, job: &VideoJob) -> Result<(gst::Element, Vec<&'static str>), EncoderError> {
    let element = make(entry.factory)?;
    let mut left_out = Vec::new();
    for property in entry.properties {
        if !property.required && element.find_property(property.name).is_none() {
            left_out.push(property.name);
            continue;
        }
        set(&element, entry.factory, property.name, &property.value.render(job, cores()))?;
    }
    Ok((element, left_out))
}

fn built(
    entry: &'static Element,
    element: gst::Element,
    left_out: Vec<&'static str>,
    job: &VideoJob,
    family: &Name,
) -> BuiltEncoder {
    let input_format = match entry.input {
        Input::Nv12 => gst_video::VideoFormat::Nv12,
        Input::I420 => gst_video::VideoFormat::I420,
    };
    let field = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let input_caps = gst::Caps::builder("video/x-raw")
        .field("format", input_format.to_str())
        .field("width", field(job.width))
        .field("height", field(job.height))
        .field("framerate", gst::Fraction::new(field(job.rate.num), field(job.rate.den)))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .field("interlace-mode", "progressive")
        .field("colorimetry", "bt709")
        .build();
    let wishes = Arc::new(Wishes::default());
    let heeded = Some(heed(wishes.clone(), &element, entry, *job));
    BuiltEncoder {
        element,
        heeded,
        left_out,
        factory: entry.factory.to_owned(),
        family: family.clone(),
        input_format,
        input_caps,
        output_caps: output_caps(job.codec),
        entry,
        wishes,
    }
}

/// Makes an audio encoder: `avenc_aac` or else `voaacenc`, or `opusenc` with 20 ms frames. AAC comes as raw access
/// units with an AudioSpecificConfig in the caps' `codec_data`. Feed it through `audioconvert`: they differ in sample format.
///
/// # Errors
/// [`EncoderError`] says which plugin is missing.
pub fn build_audio(settings: &AudioSettings) -> Result<gst::Element, EncoderError> {
    init()?;
    let bitrate = settings.bitrate.to_string();
    let (factories, options): (&[&str], &[(&str, &str)]) = match settings.codec {
        Codec::Opus => (
            &["opusenc"],
            &[
                ("frame-size", "20"),
                ("bitrate-type", "constrained-vbr"),
                ("audio-type", "generic"),
                ("complexity", "8"),
            ],
        ),
        Codec::Aac | Codec::H264 | Codec::Hevc | Codec::Av1 => (&["avenc_aac", "voaacenc"], &[]),
    };
    let Some(factory) = factories.iter().find(|f| gst::ElementFactory::find(f).is_some()) else {
        return Err(EncoderError::NotRegistered {
            elements: factories.join(" or "),
            remedy: "install gstreamer1.0-libav (AAC) and gstreamer1.0-plugins-base (Opus)".to_owned(),
        });
    };
    let element = make(factory)?;
    set(&element, factory, "bitrate", &bitrate)?;
    for (name, text) in options {
        set(&element, factory, name, text)?;
    }
    Ok(element)
}

/// What [`build_audio`]'s element must yield.
pub fn audio_output_caps(codec: Codec) -> gst::Caps {
    output_caps(codec)
}

/// Whole access units in one form per codec; the muxers make them canonical.
fn output_caps(codec: Codec) -> gst::Caps {
    match codec {
        Codec::H264 => annex_b("video/x-h264"),
        Codec::Hevc => annex_b("video/x-h265"),
        Codec::Av1 => {
            gst::Caps::builder("video/x-av1").field("stream-format", "obu-stream").field("alignment", "tu").build()
        }
        Codec::Aac => gst::Caps::builder("audio/mpeg").field("mpegversion", 4i32).field("stream-format", "raw").build(),
        Codec::Opus => gst::Caps::new_empty_simple("audio/x-opus"),
    }
}

fn annex_b(name: &str) -> gst::Caps {
    gst::Caps::builder(name).field("stream-format", "byte-stream").field("alignment", "au").build()
}

fn make(factory: &str) -> Result<gst::Element, EncoderError> {
    gst::ElementFactory::make(factory).build().map_err(|e| refused(factory, &e))
}

fn refused(factory: &str, why: &dyn std::fmt::Display) -> EncoderError {
    EncoderError::Element { factory: factory.to_owned(), why: why.to_string() }
}

fn not_registered(family: &table::Family, codec: Codec, version: Version) -> EncoderError {
    let names = |elements: &[&'static Element]| {
        let mut names: Vec<_> = elements.iter().map(|e| e.factory).collect();
        names.dedup();
        names.join(" or ")
    };
    let all: Vec<_> = family.elements.iter().filter(|e| e.codec == codec).collect();
    let here: Vec<_> = family.elements(codec, version).collect();
    let (elements, remedy) = if here.is_empty() {
        let Version(a, b) = all.iter().map(|e| e.since).min().unwrap_or(version);
        let Version(major, minor) = version;
        (names(&all), format!("it came with GStreamer {a}.{b}, and this is {major}.{minor}"))
    } else {
        (names(&here), plugin_remedy(family))
    };
    EncoderError::NotRegistered { elements, remedy }
}

/// Hardware plugins register their elements only when they find the hardware, so a missing element has two causes.
fn plugin_remedy(family: &table::Family) -> String {
    let plugin = match family.name {
        "va" | "va-lp" => "va",
        "nvenc" => "nvcodec",
        "qsv" => "qsv",
        "v4l2m2m" => "video4linux2",
        "rkmpp" => "rockchipmpp",
        "x264" => "x264",
        "openh264" => "openh264",
        "x265" => "x265",
        "svtav1" => "svtav1",
        _ => "aom",
    };
    if gst::Registry::get().find_plugin(plugin).is_none() {
        return format!("the plugin {plugin:?} is not installed");
    }
    match family.kind {
        table::Kind::Hardware => format!("the plugin {plugin:?} finds no such hardware or driver"),
        table::Kind::Software => format!("the plugin {plugin:?} comes without it"),
    }
}

/// Sets a property from text, never panicking: an element from another tree may lack it, or bound it otherwise. A number
/// out of the property's range becomes the nearest in it.
fn set(element: &gst::Element, factory: &str, name: &str, text: &str) -> Result<(), EncoderError> {
    let refuse = |why: String| EncoderError::Element { factory: factory.to_owned(), why };
    let spec = element.find_property(name).ok_or_else(|| refuse(format!("has no property {name:?}")))?;
    if !spec.flags().contains(gst::glib::ParamFlags::WRITABLE)
        || spec.flags().contains(gst::glib::ParamFlags::CONSTRUCT_ONLY)
    {
        return Err(refuse(format!("property {name:?} cannot be set")));
    }
    let value = gst::glib::Value::deserialize_with_pspec(&in_range(&spec, text), &spec)
        .map_err(|_| refuse(format!("property {name:?} does not take {text:?}")))?;
    element.set_property_from_value(name, &value);
    Ok(())
}

fn in_range(spec: &gst::glib::ParamSpec, text: &str) -> String {
    use gst::glib::{ParamSpecInt, ParamSpecInt64, ParamSpecUInt, ParamSpecUInt64};
    let Ok(n) = text.parse::<i128>() else { return text.to_owned() };
    let unsigned = spec.downcast_ref::<ParamSpecUInt>().map(|s| (s.minimum().into(), s.maximum().into()));
    let signed = || spec.downcast_ref::<ParamSpecInt>().map(|s| (s.minimum().into(), s.maximum().into()));
    let unsigned_64 = || spec.downcast_ref::<ParamSpecUInt64>().map(|s| (s.minimum().into(), s.maximum().into()));
    let signed_64 = || spec.downcast_ref::<ParamSpecInt64>().map(|s| (s.minimum().into(), s.maximum().into()));
    let bounds: Option<(i128, i128)> = unsigned.or_else(signed).or_else(unsigned_64).or_else(signed_64);
    bounds.map_or_else(|| text.to_owned(), |(low, high)| n.clamp(low, high).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::encode::table::Kind;
    use crate::model::FrameRate;
    use std::time::Duration;

    fn job(codec: Codec) -> VideoJob {
        VideoJob {
            codec,
            width: 320,
            height: 180,
            rate: FrameRate::whole(30),
            bitrate: 300_000,
            keyframe_interval: Duration::from_secs(2),
        }
    }

    #[test]
    fn every_installed_software_encoder_takes_every_setting_of_the_table() {
        init().unwrap();
        let mut built = Vec::new();
        for family in table::FAMILIES.iter().filter(|f| f.kind == Kind::Software) {
            for element in family.elements.iter().filter(|e| e.exists_in(gstreamer_version())) {
                if gst::ElementFactory::find(element.factory).is_none() {
                    continue;
                }
                let encoder = build_video(&job(element.codec), &Name::new(family.name).unwrap()).unwrap();
                change_bitrate(&encoder.element, encoder.entry, &VideoJob { bitrate: 250_000, ..job(element.codec) });
                assert!(encoder.left_out.is_empty(), "{}: {:?}", encoder.factory, encoder.left_out);
                built.push(encoder.factory);
            }
        }
        assert!(built.contains(&"x264enc".to_owned()), "only {built:?} could be built");
    }

    #[test]
    fn the_committed_property_lists_are_what_this_gstreamer_has() {
        init().unwrap();
        let Version(major, minor) = gstreamer_version();
        let release = format!("{major}.{minor}");
        let lines = include_str!("table/properties.txt").lines().filter_map(|l| l.strip_prefix(&release));
        for mut words in lines.map(|l| l.split_whitespace()) {
            let Some(Ok(element)) = words.next().map(|f| gst::ElementFactory::make(f).build()) else { continue };
            for word in words {
                let name = word.split('=').next().unwrap();
                assert!(element.find_property(name).is_some(), "{} has no {name}", element.name());
            }
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_remedy() {
        init().unwrap();
        let nvenc = table::family("nvenc").unwrap();
        let missing = not_registered(nvenc, Codec::Av1, Version(1, 22)).to_string();
        assert!(missing.contains("nvav1enc") && missing.contains("came with GStreamer 1.26"), "{missing}");
        let missing = not_registered(nvenc, Codec::H264, Version(1, 24)).to_string();
        assert!(missing.contains("nvcudah264enc or nvh264enc") && missing.contains("\"nvcodec\""), "{missing}");
        let wrong = build_video(&job(Codec::Av1), &Name::new("x264").unwrap()).unwrap_err();
        assert_eq!(wrong.to_string(), "x264 does not make AV1");
        let unknown = build_video(&job(Codec::Av1), &Name::new("x266").unwrap()).unwrap_err();
        assert!(unknown.to_string().contains("no encoder family \"x266\""), "{unknown}");
    }

    #[test]
    fn both_sounds_can_be_made() {
        for codec in [Codec::Aac, Codec::Opus] {
            let element = build_audio(&AudioSettings { codec, bitrate: 96_000 }).unwrap();
            assert!(element.find_property("bitrate").is_some());
        }
    }
}
