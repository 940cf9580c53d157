//! Runs one encoder on its own, as fast as it goes: for trials and for the slate.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

/// An encoder between a source that is fed by hand and a sink that is emptied by hand. Feeding waits while the encoder is
/// busy; what it makes waits for [`Offline::take`], without a bound, so feed no more than memory holds.
#[derive(Debug)]
pub(super) struct Offline {
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
}

impl Offline {
    /// Links `chain` between source and sink. `input` and `output` are the caps at its two ends.
    ///
    /// # Errors
    /// GStreamer's words.
    pub(super) fn start(input: &gst::Caps, chain: &[gst::Element], output: &gst::Caps) -> Result<Self, String> {
        // Live, or VA holds four frames back.
        let source = AppSrc::builder().caps(input).format(gst::Format::Time).is_live(true).block(true).build();
        source.set_max_buffers(2);
        source.set_max_bytes(0);
        let sink = AppSink::builder().caps(output).sync(false).build();
        let pipeline = gst::Pipeline::new();
        let elements: Vec<&gst::Element> =
            std::iter::once(source.upcast_ref()).chain(chain).chain([sink.upcast_ref()]).collect();
        pipeline.add_many(&elements).map_err(|e| e.to_string())?;
        gst::Element::link_many(&elements).map_err(|_| "its elements do not link".to_owned())?;
        let offline = Self { pipeline, source, sink };
        match offline.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(offline),
            Err(_) => Err(offline.complaint().unwrap_or_else(|| "does not start".to_owned())),
        }
    }

    /// Feeds one buffer.
    ///
    /// # Errors
    /// GStreamer's words, when the pipeline has failed.
    pub(super) fn feed(&self, buffer: gst::Buffer) -> Result<(), String> {
        self.source.push_buffer(buffer).map(|_| ()).map_err(|flow| self.complaint().unwrap_or_else(|| flow.to_string()))
    }

    /// Nothing more will be fed.
    pub(super) fn finish(&self) {
        // Fails only when the pipeline has failed already, which `take` then reports.
        let _ = self.source.end_of_stream();
    }

    /// What has been made by now, without waiting.
    pub(super) fn take(&self) -> Option<gst::Sample> {
        self.sink.try_pull_sample(gst::ClockTime::ZERO)
    }

    /// The next thing made, waiting for it; `None` at the end of the stream.
    ///
    /// # Errors
    /// GStreamer's words, when the pipeline has failed.
    pub(super) fn wait(&self) -> Result<Option<gst::Sample>, String> {
        loop {
            if let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
                return Ok(Some(sample));
            }
            if let Some(why) = self.complaint() {
                return Err(why);
            }
            if self.sink.is_eos() {
                return Ok(None);
            }
        }
    }

    /// The pipeline's error, if it has one.
    pub(super) fn complaint(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        let gst::MessageView::Error(error) = message.view() else { return None };
        let detail = error.debug().and_then(|d| d.lines().last().map(str::trim).map(str::to_owned)).unwrap_or_default();
        Some(if detail.is_empty() { error.error().to_string() } else { format!("{} ({detail})", error.error()) })
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        // These processes are short-lived, and their parent kills them if this hangs.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A capsfilter.
///
/// # Errors
/// GStreamer's core elements are missing.
pub(super) fn filter(caps: &gst::Caps) -> Result<gst::Element, String> {
    element("capsfilter").inspect(|filter| filter.set_property("caps", caps))
}

/// One element by its factory's name.
///
/// # Errors
/// It is not installed.
pub(super) fn element(factory: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(factory).build().map_err(|_| format!("the GStreamer element {factory} is not installed"))
}

/// The bytes of an encoder's buffer, without a copy where it is in system memory.
///
/// # Errors
/// It cannot be mapped.
pub(super) fn bytes_of(sample: &gst::Sample) -> Result<bytes::Bytes, String> {
    let buffer = sample.buffer_owned().ok_or("a sample without a buffer")?;
    let mapped = buffer.into_mapped_buffer_readable().map_err(|_| "a buffer that cannot be mapped")?;
    Ok(bytes::Bytes::copy_from_slice(mapped.as_slice()))
}

/// The configuration record that comes in the caps: `codec_data`, or for Opus the first `streamheader`.
pub(super) fn configuration(sample: &gst::Sample) -> Option<bytes::Bytes> {
    let structure = sample.caps()?.structure(0)?;
    let header =
        || structure.get::<gst::ArrayRef<'_>>("streamheader").ok()?.as_slice().first()?.get::<gst::Buffer>().ok();
    let record = structure.get::<gst::Buffer>("codec_data").ok().or_else(header)?;
    let bytes = record.map_readable().ok()?;
    Some(bytes::Bytes::copy_from_slice(bytes.as_slice()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::time::Duration;

    use super::*;
    use crate::encode::build::build_video;
    use crate::encode::table::{FAMILIES, Kind, VideoJob};
    use crate::model::{FrameRate, Name};

    /// Noise, black and grey ramps in turn, as frame `n`.
    fn picture(n: u32, grain: &mut fastrand::Rng) -> gst::Buffer {
        let mut bytes = vec![128u8; 320 * 180 * 3 / 2];
        for (at, luma) in bytes.iter_mut().take(320 * 180).enumerate() {
            *luma = match n / 12 % 3 {
                0 => grain.u8(16..=235),
                1 => 16,
                _ => ((at % 320 + n as usize * 5) % 220) as u8 + 16,
            };
        }
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let meta = buffer.make_mut();
        meta.set_pts(gst::ClockTime::from_nseconds(u64::from(n) * 1_000_000_000 / 30));
        meta.set_duration(gst::ClockTime::from_nseconds(1_000_000_000 / 30));
        buffer
    }

    #[test]
    fn hard_cuts_and_sudden_wishes_lose_no_frame_of_any_software_encoder() {
        const FRAMES: u32 = 240;
        crate::encode::build::init().unwrap();
        let mut grain = fastrand::Rng::with_seed(7);
        for family in FAMILIES.iter().filter(|f| f.kind == Kind::Software) {
            for codec in family.elements.iter().map(|e| e.codec).take(1) {
                let (rate, keyframe_interval) = (FrameRate::whole(30), Duration::from_secs(2));
                let job = VideoJob { codec, width: 320, height: 180, rate, bitrate: 300_000, keyframe_interval };
                let Ok(encoder) = build_video(&job, &Name::new(family.name).unwrap()) else { continue };
                let chain = [encoder.element.clone(), filter(&encoder.output_caps).unwrap()];
                let offline = Offline::start(&encoder.input_caps, &chain, &encoder.output_caps).unwrap();
                let mut made = 0;
                for n in 0..FRAMES {
                    if n % 17 == 0 {
                        encoder.set_bitrate(grain.u32(50_000..2_000_000));
                    }
                    if n % 23 == 0 {
                        encoder.keyframe_request().send();
                    }
                    offline.feed(picture(n, &mut grain)).unwrap();
                    made += std::iter::from_fn(|| offline.take()).count();
                }
                offline.finish();
                while offline.wait().unwrap().is_some() {
                    made += 1;
                }
                assert_eq!(made, FRAMES as usize, "{}", family.name);
            }
        }
    }
}
