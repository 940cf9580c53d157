//! The child's side of a trial: encodes sixty frames with one family and says what came of it.
//!
//! It writes one JSON object a line: `{"units":n}` as it goes on, `{"outcome":…}` at the end. If the process dies or
//! stops before the end, that is the finding.

use std::io::Write;
use std::time::Duration;

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::model::{Codec, Media, Name, TrackFormat, VideoFormat, VideoGrid};
use crate::mux::canonical::Canonicaliser;

use super::build::{self, BuiltEncoder};
use super::error::EncoderError;
use super::offline::{self, Offline};
use super::table::{self, Kind, VideoJob};
use super::verdict::{self, ENOUGH, FRAMES, Measured, Outcome};

/// A line of the child's output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// Access units so far.
    Units(u32),
    /// The end.
    Outcome(Outcome),
}

/// When the bit rate is halved.
const SLOWER_AT: u32 = 20;
/// When a keyframe is asked for. No encoder may make one by itself by then.
const KEY_AT: u32 = 40;
/// From here on a keyframe is the answer: the encoder may have a few frames in hand when it is asked.
const KEY_FROM: usize = 30;
/// A whole trial without a keyframe of its own.
const LONG: Duration = Duration::from_secs(3600);
/// Mean difference per pixel above which a decoded picture is not the one that went in. Coding at the lowest bit rates
/// measures below 12, a picture of the wrong content above 50.
const SAME_PICTURE: u64 = 30;

/// Runs the trial and writes its lines to standard output.
pub(super) fn run(job: &VideoJob, family: &Name) {
    let outcome = attempt(job, family);
    say(&Line::Outcome(outcome));
}

fn say(line: &Line) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more if this fails, and the parent draws its own conclusion.
    let _ = serde_json::to_writer(&mut out, line).map(|()| out.write_all(b"\n").and_then(|()| out.flush()));
}

fn attempt(job: &VideoJob, family: &Name) -> Outcome {
    let kind = table::family(family.as_str()).map_or(Kind::Software, |f| f.kind);
    let encoder = match build::build_video(&VideoJob { keyframe_interval: LONG, ..*job }, family) {
        Ok(encoder) => encoder,
        Err(e @ EncoderError::NotRegistered { .. }) => return Outcome::NotRegistered { why: e.to_string() },
        Err(e) => return refused(e.to_string()),
    };
    say(&Line::Units(0));
    let pictures = Pictures::new(&encoder, job);
    let run = match encode(&encoder, job, &pictures) {
        Ok(run) => run,
        Err(why) => return refused(why),
    };
    if let Err(why) = check(&run, job) {
        return Outcome::Wrong { why };
    }
    let decoded = match decode(&run, job, &pictures) {
        Ok(decoded) => decoded,
        Err(why) => return Outcome::Wrong { why },
    };
    let units = u32::try_from(run.samples.len()).unwrap_or(u32::MAX);
    let interval = VideoGrid(job.rate).interval().as_nanos() as f64 / 1e9;
    let bytes: usize = run.samples.iter().map(|(sample, _)| sample.buffer().map_or(0, |b| b.size())).sum();
    Outcome::Works(Measured {
        element: encoder.factory,
        units,
        cpu_ms: run.cpu_s * 1000.0 / f64::from(FRAMES),
        realtime: verdict::realtime(kind, f64::from(FRAMES) * interval, run.wall_s, run.cpu_s),
        first_ms: run.first_s * 1000.0,
        bitrate: (bytes as f64 * 8.0 / (f64::from(FRAMES) * interval)) as u32,
        decoded,
        left_out: encoder.left_out.iter().map(ToString::to_string).collect(),
    })
}

fn refused(why: String) -> Outcome {
    if verdict::means_no_session(&why) { Outcome::NoSession { why } } else { Outcome::Refused { why } }
}

/// What an encode yielded.
struct Run {
    /// Each access unit, and whether it was a keyframe in canonical form.
    samples: Vec<(gst::Sample, bool)>,
    /// Size that the stream states.
    size: (u32, u32),
    wall_s: f64,
    cpu_s: f64,
    first_s: f64,
}

fn encode(encoder: &BuiltEncoder, job: &VideoJob, pictures: &Pictures) -> Result<Run, String> {
    let opening = clock::now();
    let chain = [encoder.element.clone(), offline::filter(&encoder.output_caps)?];
    let offline = Offline::start(&encoder.input_caps, &chain, &encoder.output_caps)?;
    let format = VideoFormat { width: job.width, height: job.height, rate: job.rate };
    let mut canonical = Canonicaliser::new(job.codec, TrackFormat::Video(format), job.bitrate);
    let mut run = Run { samples: Vec::new(), size: (0, 0), wall_s: 0.0, cpu_s: 0.0, first_s: 0.0 };
    let mut began = None;
    let mut take = |sample: gst::Sample, run: &mut Run| -> Result<(), String> {
        if run.samples.is_empty() {
            run.first_s = (clock::now() - opening).as_secs_f64();
        }
        let unit =
            canonical.push(offline::bytes_of(&sample)?).map_err(|e| format!("its output is not readable: {e}"))?;
        if let TrackFormat::Video(format) = unit.config.format {
            run.size = (format.width, format.height);
        }
        run.samples.push((sample, unit.key));
        say(&Line::Units(u32::try_from(run.samples.len()).unwrap_or(u32::MAX)));
        Ok(())
    };
    for n in 0..FRAMES {
        if n == SLOWER_AT {
            encoder.set_bitrate(job.bitrate / 2);
        }
        if n == KEY_AT {
            encoder.keyframe_request().send();
        }
        offline.feed(pictures.buffer(n))?;
        // The first picture opens the session, which is not encoding.
        if n == 0 {
            began = Some((clock::now(), cpu_s()));
        }
        while let Some(sample) = offline.take() {
            take(sample, &mut run)?;
        }
    }
    offline.finish();
    while let Some(sample) = offline.wait()? {
        take(sample, &mut run)?;
    }
    if let Some((since, cpu)) = began {
        run.wall_s = (clock::now() - since).as_secs_f64();
        run.cpu_s = cpu_s() - cpu;
    }
    Ok(run)
}

fn cpu_s() -> f64 {
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn check(run: &Run, job: &VideoJob) -> Result<(), String> {
    let units = run.samples.len();
    if units < ENOUGH as usize {
        return Err(format!("{units} access units came of {FRAMES} frames"));
    }
    if !run.samples.first().is_some_and(|(_, key)| *key) {
        return Err("its first access unit is not a keyframe with parameter sets".to_owned());
    }
    if run.size != (job.width, job.height) {
        let (width, height) = run.size;
        return Err(format!("it makes {width}x{height} when asked for {}x{}", job.width, job.height));
    }
    let times: Vec<_> = run.samples.iter().filter_map(|(sample, _)| sample.buffer()?.pts()).collect();
    if times.len() != units || !times.is_sorted() {
        return Err("it reorders pictures although told not to (B-frames)".to_owned());
    }
    if !run.samples.iter().skip(KEY_FROM).any(|(_, key)| *key) {
        return Err("it makes no keyframe when asked for one".to_owned());
    }
    Ok(())
}

/// Decodes what was made and compares the last picture with what went in; false when no decoder is installed.
fn decode(run: &Run, job: &VideoJob, pictures: &Pictures) -> Result<bool, String> {
    let (parser, decoders): (&str, &[&str]) = match job.codec {
        Codec::Hevc => ("h265parse", &["avdec_h265", "libde265dec"]),
        Codec::Av1 => ("av1parse", &["dav1ddec", "av1dec", "avdec_av1"]),
        Codec::H264 | Codec::Aac | Codec::Opus => ("h264parse", &["avdec_h264", "openh264dec"]),
    };
    let Some(decoder) = decoders.iter().find_map(|d| offline::element(d).ok()) else { return Ok(false) };
    let Ok(parser) = offline::element(parser) else { return Ok(false) };
    let Some(caps) = run.samples.first().and_then(|(sample, _)| sample.caps_owned()) else { return Ok(false) };
    let raw = gst::Caps::builder("video/x-raw").field("format", "I420").build();
    let chain = [parser, decoder, offline::element("videoconvert")?, offline::filter(&raw)?];
    let offline = Offline::start(&caps, &chain, &raw)?;
    let mut frames = 0u32;
    let mut last = None;
    for (sample, _) in &run.samples {
        let buffer = sample.buffer_owned().ok_or("an access unit without a buffer")?;
        offline.feed(buffer).map_err(|e| format!("its output does not decode: {e}"))?;
        while let Some(sample) = offline.take() {
            (frames, last) = (frames + 1, Some(sample));
        }
    }
    offline.finish();
    while let Some(sample) = offline.wait().map_err(|e| format!("its output does not decode: {e}"))? {
        (frames, last) = (frames + 1, Some(sample));
    }
    if frames < ENOUGH {
        return Err(format!("only {frames} of its {} access units decode", run.samples.len()));
    }
    let difference = last.and_then(|sample| pictures.difference(FRAMES - 1, &sample, job));
    match difference {
        Some(d) if d > SAME_PICTURE => {
            Err(format!("what it makes is not the picture it was given (mean difference {d} of 255)"))
        }
        _ => Ok(true),
    }
}

/// A few pictures with detail that move, shown in turn.
struct Pictures {
    frames: Vec<gst::Buffer>,
    grid: VideoGrid,
}

impl Pictures {
    const COUNT: usize = 8;

    fn new(encoder: &BuiltEncoder, job: &VideoJob) -> Self {
        let info = gst_video::VideoInfo::builder(encoder.input_format, job.width, job.height).build();
        let frames = info
            .map_or_else(|_| Vec::new(), |info| (0..Self::COUNT).filter_map(|n| Self::draw(&info, n as u32)).collect());
        Self { frames, grid: VideoGrid(job.rate) }
    }

    /// Slanted bars that drift, a bright square that falls, and mild grain.
    fn draw(info: &gst_video::VideoInfo, n: u32) -> Option<gst::Buffer> {
        let mut buffer = gst::Buffer::with_size(info.size()).ok()?;
        let mut grain = fastrand::Rng::with_seed(u64::from(n));
        {
            let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.get_mut()?, info).ok()?;
            let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
            let (width, height) = (info.width(), info.height());
            let (left, top, side) = (width / 4 + n * 6, height / 8 + n * 4, height / 4);
            for (y, row) in (0u32..).zip(frame.plane_data_mut(0).ok()?.chunks_mut(stride).take(height as usize)) {
                for (x, luma) in (0u32..).zip(row.iter_mut().take(width as usize)) {
                    let bars = 40 + ((x + y / 2 + n * 3) / 16 % 10) as u8 * 16;
                    let square = x.wrapping_sub(left) < side && y.wrapping_sub(top) < side;
                    *luma = (if square { 215 } else { bars }) + grain.u8(0..4);
                }
            }
            for plane in 1..info.n_planes() {
                frame.plane_data_mut(plane).ok()?.fill(if plane == 1 { 120 } else { 136 });
            }
        }
        Some(buffer)
    }

    fn buffer(&self, n: u32) -> gst::Buffer {
        let mut buffer = self.frames.get(n as usize % Self::COUNT).cloned().unwrap_or_default();
        let time = |n: u32| {
            gst::ClockTime::from_nseconds(u64::try_from(Media::as_nanos(self.grid.time_of(n.into()))).unwrap_or(0))
        };
        let meta = buffer.make_mut();
        meta.set_pts(time(n));
        meta.set_duration(time(n + 1) - time(n));
        buffer
    }

    /// Mean difference of luma between what was fed as frame `n` and what was decoded.
    fn difference(&self, n: u32, decoded: &gst::Sample, job: &VideoJob) -> Option<u64> {
        let fed = self.frames.get(n as usize % Self::COUNT)?;
        let info = gst_video::VideoInfo::from_caps(decoded.caps()?).ok()?;
        let stride = usize::try_from(*info.stride().first()?).ok()?;
        let (fed, decoded) = (fed.map_readable().ok()?, decoded.buffer()?.map_readable().ok()?);
        let (width, height) = (job.width as usize, job.height as usize);
        // Both layouts begin with luma, in rows of a multiple of four.
        let rows = fed.chunks(width.next_multiple_of(4)).zip(decoded.chunks(stride)).take(height);
        let sum: u64 =
            rows.flat_map(|(a, b)| a.iter().zip(b).take(width)).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        Some(sum / (job.width as u64 * job.height as u64).max(1))
    }
}
