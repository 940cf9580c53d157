//! The picture and sound formats that every source is brought to before anything else sees it.

use gstreamer as gst;
use gstreamer_audio as gst_audio;
use gstreamer_video as gst_video;

use super::tape::{SAMPLE_RATE, Sample};
use crate::model::VideoFormat;

/// Raw picture caps of the canvas. `with_rate` fixes the frame rate too; a source keeps its own until it is paced.
pub fn video_caps(format: VideoFormat, with_rate: bool) -> gst::Caps {
    let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", side(format.width))
        .field("height", side(format.height))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .field("interlace-mode", "progressive")
        .field("colorimetry", "bt709");
    if with_rate { caps.field("framerate", fraction(format)).build() } else { caps.build() }
}

/// What a picture's caps say, in words, followed by `what`: `1280x720 29.97 fps, file film.mp4`.
pub fn describe(caps: Option<&gst::CapsRef>, what: &str) -> String {
    let Some(format) = caps.and_then(|caps| caps.structure(0)) else { return what.to_owned() };
    let (Ok(width), Ok(height)) = (format.get::<i32>("width"), format.get::<i32>("height")) else {
        return what.to_owned();
    };
    let rate = format.get::<gst::Fraction>("framerate").ok().filter(|rate| rate.numer() > 0);
    let rate = rate.map_or_else(String::new, |rate| {
        let fps = f64::from(rate.numer()) / f64::from(rate.denom());
        format!(" {} fps", (fps * 100.0).round() / 100.0)
    });
    format!("{width}x{height}{rate}, {what}")
}

/// The grid's frame rate as GStreamer writes it.
pub fn fraction(format: VideoFormat) -> gst::Fraction {
    let part = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    gst::Fraction::new(part(format.rate.num), part(format.rate.den))
}

/// The layout of a canvas buffer.
pub fn video_info(format: VideoFormat) -> Option<gst_video::VideoInfo> {
    gst_video::VideoInfo::from_caps(&video_caps(format, true)).ok()
}

/// Raw sound caps: 48 kHz stereo floats.
pub fn audio_caps() -> gst::Caps {
    gst_audio::AudioCapsBuilder::new_interleaved()
        .format(gst_audio::AUDIO_FORMAT_F32)
        .rate(i32::try_from(SAMPLE_RATE).unwrap_or(48_000))
        .channels(2)
        .build()
}

/// The samples of a buffer with [`audio_caps`].
pub fn samples_of(buffer: &gst::BufferRef) -> Vec<Sample> {
    let Ok(map) = buffer.map_readable() else { return Vec::new() };
    let float = |bytes: &[u8]| bytes.first_chunk().map_or(0.0, |b| f32::from_ne_bytes(*b));
    map.chunks_exact(8).map(|frame| [float(frame), float(&frame[4..])]).collect()
}

/// A buffer with [`audio_caps`] of these samples.
pub fn buffer_of(samples: &[Sample]) -> gst::Buffer {
    let bytes: Vec<u8> = samples.iter().flatten().flat_map(|level| level.to_ne_bytes()).collect();
    gst::Buffer::from_mut_slice(bytes)
}
