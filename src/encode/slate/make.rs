//! Encodes a rendition's slate, as fast as it goes, and puts it where the data plane looks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use bytes::{Bytes, BytesMut};
use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::super::build::{self, BuiltEncoder};
use super::super::cache::write_whole;
use super::super::choose::choose;
use super::super::error::EncoderError;
use super::super::offline::{self, Offline};
use super::super::protocol::FromWorker;
use super::super::table::VideoJob;
use super::picture::{Picture, Planes};
use super::{card, file, fit};
use crate::config::{AudioSettings, EncoderChoice, Paths, RenditionSettings, Settings};
use crate::model::{
    AudioFormat, AudioGrid, Codec, CodecConfig, FrameRate, Media, RenditionId, TrackFormat, VideoFormat, VideoGrid,
};
use crate::mux::canonical::Canonicaliser;

/// Why there is no slate.
#[derive(Debug, thiserror::Error)]
pub enum SlateError {
    /// No encoder works.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The encoder that works in a trial does not here.
    #[error("{0}")]
    Encode(String),
    /// The file could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Longest group in a slate: a viewer who joins waits no longer.
const LONGEST: Duration = Duration::from_secs(2);
/// Groups that are encoded. The last is kept: by then rate control has settled, so that the loop does not pulse.
const GROUPS: u32 = 3;
/// Sound that is encoded, access units. The first are dropped: they hold the encoder's start.
const SOUND: usize = 64;
/// Of these, the last so many are kept.
const KEPT_SOUND: usize = 32;
/// Slates that stay on disk; older ones belong to settings of long ago.
const KEPT_FILES: usize = 64;

/// Makes `rendition`'s slate with `encoder`, which should be what will encode its picture, unless it is there already.
/// Returns where it is.
///
/// # Errors
/// [`SlateError`].
pub fn make(
    settings: &Settings,
    rendition: &RenditionSettings,
    encoder: &EncoderChoice,
    paths: &Paths,
) -> Result<PathBuf, SlateError> {
    let image = file::picture_bytes(settings);
    let path = file::path(paths, settings, rendition, image.as_deref());
    if file::is_there(&path) {
        return Ok(path);
    }
    let (picture, _) = picture_for(settings, image.as_deref(), rendition.width, rendition.height);
    let job = VideoJob {
        codec: rendition.codec,
        width: rendition.width,
        height: rendition.height,
        rate: settings.frame_rate,
        bitrate: rendition.bitrate,
        keyframe_interval: rendition.keyframe_interval.min(LONGEST),
    };
    let family =
        choose(&VideoJob { keyframe_interval: rendition.keyframe_interval, ..job }, encoder, &paths.probe_cache())?;
    let video = encode_picture(&build::build_video(&job, &family)?, &job, &picture).map_err(SlateError::Encode)?;
    let audio = encode_silence(&rendition.audio)?;
    let grid = audio_grid(rendition.audio.codec);
    let mut content = BytesMut::new();
    video.write(&mut content, 0, &rendition.id, |n| VideoGrid(job.rate).time_of(n));
    audio.write(&mut content, 1, &rendition.audio.rendition(), |n| grid.time_of(n));
    file::end(&mut content);
    write_whole(&path, &content).map_err(|source| SlateError::Write { path: path.clone(), source })?;
    prune(&paths.slate_dir());
    Ok(path)
}

/// The picture of a slate at this size: `image` if it is one, else the card. The second value says why it is not `image`.
pub fn picture_for(settings: &Settings, image: Option<&[u8]>, width: u32, height: u32) -> (Picture, Option<String>) {
    let card = || card::draw(&settings.box_name, width, height);
    match image.map(|bytes| fit(bytes, width, height)) {
        None => (card(), None),
        Some(Ok(picture)) => (picture, None),
        Some(Err(e)) => (card(), Some(e.to_string())),
    }
}

/// One track of a slate.
struct Track {
    encoder: String,
    config: Arc<CodecConfig>,
    units: Vec<(Bytes, bool)>,
}

impl Track {
    fn write(self, out: &mut BytesMut, stream: u16, rendition: &RenditionId, time_of: impl Fn(i64) -> Media) {
        let rendition = rendition.clone();
        FromWorker::Format { stream, rendition, encoder: self.encoder, config: self.config }.encode(out);
        for (n, (payload, key)) in (0..).zip(self.units) {
            let time = time_of(n);
            FromWorker::Unit { stream, key, pts: time, dts: time, payload }.encode(out);
        }
    }
}

fn encode_picture(encoder: &BuiltEncoder, job: &VideoJob, picture: &Picture) -> Result<Track, String> {
    let frame = buffer_of(&picture.planes(), encoder).ok_or("the picture does not fit into a buffer")?;
    let chain = [encoder.element.clone(), offline::filter(&encoder.output_caps)?];
    let offline = Offline::start(&encoder.input_caps, &chain, &encoder.output_caps)?;
    let format = VideoFormat { width: job.width, height: job.height, rate: job.rate };
    let mut canonical = Canonicaliser::new(job.codec, TrackFormat::Video(format), job.bitrate);
    let group = job.keyframe_frames() as usize;
    let mut units = Vec::new();
    let mut config = None;
    let mut take = |sample: gst::Sample| -> Result<(), String> {
        let unit = canonical.push(offline::bytes_of(&sample)?).map_err(|e| e.to_string())?;
        units.push((unit.payload, unit.key));
        config = Some(unit.config);
        Ok(())
    };
    for n in 0..job.keyframe_frames() * GROUPS {
        offline.feed(stamped(&frame, job.rate, n))?;
        while let Some(sample) = offline.take() {
            take(sample)?;
        }
    }
    offline.finish();
    while let Some(sample) = offline.wait()? {
        take(sample)?;
    }
    let last = units.iter().enumerate().rev().find(|(n, (_, key))| *key && n + group <= units.len());
    let begin = last.map(|(n, _)| n).ok_or("the encoder made no keyframe")?;
    let units = units.split_off(begin).into_iter().take(group).collect();
    Ok(Track { encoder: encoder.factory.clone(), config: config.ok_or("the encoder made nothing")?, units })
}

fn buffer_of(planes: &Planes, encoder: &BuiltEncoder) -> Option<gst::Buffer> {
    let info = gst_video::VideoInfo::from_caps(&encoder.input_caps).ok()?;
    let mut buffer = gst::Buffer::with_size(info.size()).ok()?;
    {
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.get_mut()?, &info).ok()?;
        let width = planes.width as usize;
        copy_rows(&mut frame, 0, &planes.y, width)?;
        if info.n_planes() == 3 {
            copy_rows(&mut frame, 1, &planes.u, width / 2)?;
            copy_rows(&mut frame, 2, &planes.v, width / 2)?;
        } else {
            let both: Vec<u8> = planes.u.iter().zip(&planes.v).flat_map(|(u, v)| [*u, *v]).collect();
            copy_rows(&mut frame, 1, &both, width)?;
        }
    }
    Some(buffer)
}

fn copy_rows(
    frame: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
    plane: u32,
    from: &[u8],
    width: usize,
) -> Option<()> {
    let stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
    let rows = frame.plane_data_mut(plane).ok()?.chunks_mut(stride);
    for (to, from) in rows.zip(from.chunks(width)) {
        to.get_mut(..from.len())?.copy_from_slice(from);
    }
    Some(())
}

fn stamped(frame: &gst::Buffer, rate: FrameRate, n: u32) -> gst::Buffer {
    let grid = VideoGrid(rate);
    timed(frame.clone(), grid.time_of(n.into()), grid.time_of(i64::from(n) + 1))
}

fn timed(mut buffer: gst::Buffer, begin: Media, end: Media) -> gst::Buffer {
    let clock = |time: Media| gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(0));
    let meta = buffer.make_mut();
    meta.set_pts(clock(begin));
    meta.set_duration(clock(end) - clock(begin));
    buffer
}

const fn audio_grid(codec: Codec) -> AudioGrid {
    match codec {
        Codec::Opus => AudioGrid::OPUS,
        Codec::Aac | Codec::H264 | Codec::Hevc | Codec::Av1 => AudioGrid::AAC,
    }
}

fn encode_silence(settings: &AudioSettings) -> Result<Track, SlateError> {
    let encoder = build::build_audio(settings)?;
    let factory = encoder.factory().map_or_else(String::new, |f| f.name().to_string());
    silence(encoder, factory, settings).map_err(SlateError::Encode)
}

fn silence(encoder: gst::Element, factory: String, settings: &AudioSettings) -> Result<Track, String> {
    let grid = audio_grid(settings.codec);
    let input = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", i32::try_from(grid.rate).unwrap_or(48_000))
        .field("channels", 2i32)
        .field("channel-mask", gst::Bitmask::new(3))
        .build();
    let output = build::audio_output_caps(settings.codec);
    let chain = [offline::element("audioconvert")?, encoder, offline::filter(&output)?];
    let offline = Offline::start(&input, &chain, &output)?;
    let format = AudioFormat { rate: grid.rate, channels: 2, samples: grid.samples };
    let mut canonical = Canonicaliser::new(settings.codec, TrackFormat::Audio(format), settings.bitrate);
    let quiet = gst::Buffer::from_slice(vec![0u8; grid.samples as usize * 8]);
    for n in 0..SOUND as i64 {
        offline.feed(timed(quiet.clone(), grid.time_of(n), grid.time_of(n + 1)))?;
    }
    offline.finish();
    let (mut units, mut config) = (Vec::new(), None);
    while let Some(sample) = offline.wait()? {
        if let Some(record) = offline::configuration(&sample) {
            canonical.set_codec_data(&record).map_err(|e| e.to_string())?;
        }
        let unit = canonical.push(offline::bytes_of(&sample)?).map_err(|e| e.to_string())?;
        units.push((unit.payload, true));
        config = Some(unit.config);
    }
    // The very last holds the encoder's end.
    units.pop();
    let begin = units.len().saturating_sub(KEPT_SOUND);
    let units = units.split_off(begin);
    Ok(Track { encoder: factory, config: config.ok_or("the encoder made nothing")?, units })
}

/// Removes the slates that were made longest ago. What cannot be removed stays; it is only disk space.
fn prune(directory: &Path) {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let slates = files.filter(|f| f.path().extension().is_some_and(|e| e == "slate"));
    let mut dated: Vec<_> = slates.filter_map(|f| Some((f.metadata().ok()?.modified().ok()?, f.path()))).collect();
    dated.sort();
    let surplus = dated.len().saturating_sub(KEPT_FILES);
    for (_, path) in dated.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::encode::decoded::{difference, pictures};
    use crate::model::Name;

    #[test]
    fn what_is_sent_is_the_card() {
        for (codec, family, bitrate) in [
            (Codec::H264, "x264", 800_000),
            (Codec::H264, "openh264", 800_000),
            (Codec::Hevc, "x265", 300_000),
            (Codec::Av1, "aom", 200_000),
        ] {
            let keyframe_interval = Duration::from_millis(500);
            let job =
                VideoJob { codec, width: 320, height: 180, rate: FrameRate::whole(30), bitrate, keyframe_interval };
            let encoder = match build::build_video(&job, &Name::new(family).unwrap()) {
                Err(EncoderError::NotRegistered { .. }) => continue,
                other => other.unwrap(),
            };
            let card = card::draw("North stage", 320, 180);
            let track = encode_picture(&encoder, &job, &card).unwrap();
            let units: Vec<_> = track.units.into_iter().map(|(unit, _)| unit).collect();

            let shown = pictures(&track.config, &units).unwrap();

            assert_eq!(shown.len(), 15, "{family}");
            for picture in [&shown[0], &shown[14]] {
                let off = difference(&picture.y, &card.planes().y);
                assert!(off < 3.0, "{family}: mean difference {off}");
            }
        }
    }
}
