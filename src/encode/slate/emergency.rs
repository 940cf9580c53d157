//! Pure. A slate without any encoder: for a box whose GStreamer is broken and whose slate was never made.
//!
//! A tiny H.264 encoder (ITU-T H.264, Constrained Baseline, CAVLC) for a picture that is one colour but for a rectangle:
//!
//! ```text
//!   keyframe:  the corner and the rectangle as I_PCM, sample by sample
//!              everything else Intra_16x16 predicted from its neighbours, 8 bits a macroblock
//!   the rest:  P pictures in which every macroblock is skipped
//! ```
//!
//! and one packet of silence each of AAC-LC and Opus, whose bits are constant. HEVC and AV1 have no emergency slate.
//!
//! *Invariant:* the pixels next to the rectangle, inside it, are the ground's, so that prediction carries the ground's colour
//! past it unchanged.

use std::sync::Arc;

use bytes::Bytes;

use super::card;
use super::picture::Planes;
use crate::encode::table::VideoJob;
use crate::model::{AudioFormat, AudioGrid, Codec, CodecConfig, TrackFormat, VideoFormat};
use crate::mux::canonical::Canonicaliser;

/// A piece of a stream to be sent round and round.
#[derive(Clone, Debug)]
pub struct Clip {
    /// What a decoder needs.
    pub config: Arc<CodecConfig>,
    /// Access units, canonical. Of a picture's, the first is the keyframe.
    pub units: Vec<Bytes>,
}

/// Side of a macroblock, pixels.
const SIDE: u32 = 16;
/// Frames after which `frame_num` starts over.
const FRAME_NUM_BITS: u32 = 4;
/// Of the bits that a group may have, the picture takes no more than this part.
const SHARE: f64 = 0.6;
/// Longest group, frames: what a viewer who joins waits for at 30 frames a second is 2 s.
const LONGEST_GROUP: u32 = 60;

/// One group of the card in plain colours, for `job`. `None` for HEVC and AV1, and for a picture of no size.
pub fn picture(name: &str, job: &VideoJob) -> Option<Clip> {
    if job.codec != Codec::H264 || job.width == 0 || job.height == 0 {
        return None;
    }
    let group = job.keyframe_frames().min(LONGEST_GROUP);
    let budget = f64::from(job.bitrate) / 8.0 * f64::from(group) / job.rate.as_f64() * SHARE;
    let planes = affordable(name, job, budget);
    let format = VideoFormat { width: job.width, height: job.height, rate: job.rate };
    let mut canonical = Canonicaliser::new(Codec::H264, TrackFormat::Video(format), job.bitrate);
    let coded = Coded::new(job);
    let key = [coded.sps(), coded.pps(), coded.key(&planes)].concat();
    let first = canonical.push(key.into()).ok()?;
    let mut units = vec![first.payload];
    for n in 1..group {
        units.push(canonical.push(coded.skipped(n).into()).ok()?.payload);
    }
    Some(Clip { config: first.config, units })
}

/// Silence of an audio rendition: one access unit.
pub fn silence(codec: Codec, bitrate: u32) -> Option<Clip> {
    let (grid, packet) = match codec {
        Codec::Aac => (AudioGrid::AAC, aac_silence()),
        // One CELT frame, fullband, 20 ms, stereo (RFC 6716 §3.1), whose first symbol says silence (§4.3).
        Codec::Opus => (AudioGrid::OPUS, vec![0xfc, 0xff, 0xfe]),
        Codec::H264 | Codec::Hevc | Codec::Av1 => return None,
    };
    let format = AudioFormat { rate: grid.rate, channels: 2, samples: grid.samples };
    let mut canonical = Canonicaliser::new(codec, TrackFormat::Audio(format), bitrate);
    if codec == Codec::Aac {
        // AAC-LC, 48 kHz, two channels (ISO/IEC 14496-3 §1.6.2.1).
        canonical.set_codec_data(&[0x11, 0x90]).ok()?;
    }
    let unit = canonical.push(packet.into()).ok()?;
    Some(Clip { config: unit.config, units: vec![unit.payload] })
}

/// A channel pair without any coefficient (ISO/IEC 14496-3 §4.4.2.1).
fn aac_silence() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(1, 3); // a channel pair element
    bits.put(0, 4); // its tag
    bits.put(0, 1); // each channel has its own window
    for _ in 0..2 {
        bits.put(0, 8); // global gain
        bits.put(0, 4); // reserved, one long window, sine
        bits.put(0, 6); // no scale factor band
        bits.put(0, 1); // no prediction
        bits.put(0, 3); // no pulses, no noise shaping, no gain control
    }
    bits.put(7, 3); // the end
    bits.aligned()
}

/// The card with as large a writing as the bit rate affords.
fn affordable(name: &str, job: &VideoJob, budget: f64) -> Planes {
    let sizes = [1.0, 0.8, 0.6, 0.45, 0.3, 0.0];
    let drawn = sizes.iter().map(|&size| card::draw_plain(name, job.width, job.height, size).planes());
    let cost = |planes: &Planes| {
        let area = Rectangle::around(planes);
        f64::from(area.width() * area.height()) * 384.0
    };
    let mut last = None;
    for planes in drawn {
        let fits = cost(&planes) <= budget;
        last = Some(planes);
        if fits {
            break;
        }
    }
    last.unwrap_or_else(|| card::draw_plain(name, job.width, job.height, 0.0).planes())
}

/// A rectangle of macroblocks; `right` and `bottom` are beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rectangle {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

impl Rectangle {
    /// Around all that differs from the first pixel, with at least two pixels of ground inside its edge.
    fn around(planes: &Planes) -> Self {
        let (width, height) = (planes.width, planes.height);
        let ground = planes.ground();
        let (mut left, mut top, mut right, mut bottom) = (width, height, 0, 0);
        for y in 0..height {
            for x in 0..width {
                if planes.at(x, y) != ground {
                    (left, top) = (left.min(x), top.min(y));
                    (right, bottom) = (right.max(x + 1), bottom.max(y + 1));
                }
            }
        }
        if left >= right {
            return Self { left: 0, top: 0, right: 0, bottom: 0 };
        }
        Self {
            left: left.saturating_sub(2) / SIDE,
            top: top.saturating_sub(2) / SIDE,
            right: (right + 2).div_ceil(SIDE),
            bottom: (bottom + 2).div_ceil(SIDE),
        }
    }

    fn holds(self, x: u32, y: u32) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }

    fn width(self) -> u32 {
        self.right - self.left
    }

    fn height(self) -> u32 {
        self.bottom - self.top
    }
}

impl Planes {
    fn at(&self, x: u32, y: u32) -> (u8, u8, u8) {
        let (x, y) = (x.min(self.width.saturating_sub(1)) as usize, y.min(self.height.saturating_sub(1)) as usize);
        let chroma = y / 2 * (self.width as usize).div_ceil(2) + x / 2;
        let of = |plane: &[u8], at: usize| plane.get(at).copied().unwrap_or(128);
        (of(&self.y, y * self.width as usize + x), of(&self.u, chroma), of(&self.v, chroma))
    }

    fn ground(&self) -> (u8, u8, u8) {
        self.at(0, 0)
    }

    /// As [`Self::at`], and the ground outside of the picture.
    fn padded(&self, x: u32, y: u32) -> (u8, u8, u8) {
        if x < self.width && y < self.height { self.at(x, y) } else { self.ground() }
    }
}

/// The stream's shape.
struct Coded {
    job: VideoJob,
    /// Macroblocks across and down.
    columns: u32,
    rows: u32,
}

const I_PCM: u32 = 25;
/// Intra_16x16, DC prediction, nothing coded.
const I_16X16_DC: u32 = 3;
const P_SLICE: u32 = 5;
const I_SLICE: u32 = 7;

impl Coded {
    fn new(job: &VideoJob) -> Self {
        Self { job: *job, columns: job.width.div_ceil(SIDE), rows: job.height.div_ceil(SIDE) }
    }

    /// Sequence parameter set, §7.3.2.1.
    fn sps(&self) -> Vec<u8> {
        let mut bits = Bits::default();
        bits.put(66, 8); // Baseline,
        bits.put(0b1100_0000, 8); // constrained: also a Main stream
        bits.put(self.level(), 8);
        bits.ue(0);
        bits.ue(FRAME_NUM_BITS - 4);
        bits.ue(2); // output order is decoding order
        bits.ue(1); // one reference
        bits.put(0, 1);
        bits.ue(self.columns - 1);
        bits.ue(self.rows - 1);
        bits.put(1, 1); // frames only
        bits.put(1, 1);
        let (right, bottom) = (self.columns * SIDE - self.job.width, self.rows * SIDE - self.job.height);
        let cropped = right > 0 || bottom > 0;
        bits.put(u32::from(cropped), 1);
        if cropped {
            // In chroma samples.
            [0, right / 2, 0, bottom / 2].into_iter().for_each(|side| bits.ue(side));
        }
        bits.put(1, 1); // VUI, §E.1.1
        bits.put(0, 2); // square pixels, no overscan
        bits.put(1, 1);
        bits.put(5, 3); // any video format,
        bits.put(0, 1); // limited range,
        bits.put(1, 1);
        [1, 1, 1].into_iter().for_each(|bt_709| bits.put(bt_709, 8));
        bits.put(0, 1);
        bits.put(1, 1); // two ticks a frame
        bits.put(self.job.rate.den, 32);
        bits.put(self.job.rate.num.saturating_mul(2), 32);
        bits.put(1, 1);
        bits.put(0, 4); // no HRD, no picture structure, no restrictions
        bits.nal(0x67)
    }

    /// The least level that has the macroblocks (table A-1).
    fn level(&self) -> u32 {
        const LEVELS: [(u32, u32, f64); 12] = [
            (11, 396, 3000.0),
            (12, 396, 6000.0),
            (13, 396, 11_880.0),
            (21, 792, 19_800.0),
            (22, 1620, 20_250.0),
            (30, 1620, 40_500.0),
            (31, 3600, 108_000.0),
            (32, 5120, 216_000.0),
            (40, 8192, 245_760.0),
            (42, 8704, 522_240.0),
            (51, 36_864, 983_040.0),
            (52, 36_864, 2_073_600.0),
        ];
        let size = self.columns * self.rows;
        let speed = f64::from(size) * self.job.rate.as_f64();
        let fits = LEVELS.iter().find(|(_, frame, second)| size <= *frame && speed <= *second);
        fits.map_or(62, |(level, ..)| *level)
    }

    /// Picture parameter set, §7.3.2.2.
    fn pps(&self) -> Vec<u8> {
        let mut bits = Bits::default();
        bits.ue(0);
        bits.ue(0);
        bits.put(0, 2); // CAVLC
        bits.ue(0); // one slice group
        bits.ue(0);
        bits.ue(0);
        bits.put(0, 3); // no weighted prediction
        [0, 0, 0].into_iter().for_each(|signed_zero| bits.ue(signed_zero));
        bits.put(1, 1); // slices may turn deblocking off
        bits.put(0, 2);
        bits.nal(0x68)
    }

    /// Slice header, §7.3.3.
    fn header(&self, bits: &mut Bits, slice: u32, frame: u32) {
        bits.ue(0);
        bits.ue(slice);
        bits.ue(0);
        bits.put(frame % (1 << FRAME_NUM_BITS), FRAME_NUM_BITS);
        if slice == I_SLICE {
            bits.ue(0); // which IDR picture; never two in a row
            bits.put(0, 2); // earlier pictures are shown, not kept
        } else {
            bits.put(0, 2); // the reference is the picture before
            bits.put(0, 1);
        }
        bits.ue(0); // quantiser as in the PPS
        bits.ue(1); // no deblocking, which would blur the rectangle's edge
    }

    fn key(&self, planes: &Planes) -> Vec<u8> {
        let area = Rectangle::around(planes);
        // The corner has no neighbour to predict it from.
        let sampled = |x: u32, y: u32| (x == 0 && y == 0) || area.holds(x, y);
        let mut bits = Bits::default();
        self.header(&mut bits, I_SLICE, 0);
        for y in 0..self.rows {
            for x in 0..self.columns {
                if sampled(x, y) {
                    bits.ue(I_PCM);
                    bits.align_with_zeros();
                    samples(&mut bits, planes, x * SIDE, y * SIDE);
                    continue;
                }
                bits.ue(I_16X16_DC);
                bits.ue(0); // chroma predicted likewise
                bits.ue(0); // quantiser unchanged
                let left = x.checked_sub(1).map(|left| sampled(left, y));
                let above = y.checked_sub(1).map(|above| sampled(x, above));
                no_coefficients(&mut bits, left, above);
            }
        }
        bits.nal(0x65)
    }

    /// A picture that is the one before.
    fn skipped(&self, frame: u32) -> Vec<u8> {
        let mut bits = Bits::default();
        self.header(&mut bits, P_SLICE, frame);
        bits.ue(self.columns * self.rows);
        bits.nal(0x41)
    }
}

/// `coeff_token` for none, whose code depends on how many the blocks to the left and above have (§9.2.1): 16 in I_PCM, here
/// else none.
fn no_coefficients(bits: &mut Bits, left: Option<bool>, above: Option<bool>) {
    let count = |sampled: bool| if sampled { 16u32 } else { 0 };
    let expected = match (left.map(count), above.map(count)) {
        (Some(left), Some(above)) => (left + above).div_ceil(2),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 0,
    };
    if expected >= 8 { bits.put(0b00_0011, 6) } else { bits.put(1, 1) }
}

fn samples(bits: &mut Bits, planes: &Planes, left: u32, top: u32) {
    for y in 0..SIDE {
        for x in 0..SIDE {
            bits.put(planes.padded(left + x, top + y).0.into(), 8);
        }
    }
    let chroma = |x: u32, y: u32| planes.padded(left + x * 2, top + y * 2);
    let places = || (0..SIDE / 2).flat_map(|y| (0..SIDE / 2).map(move |x| (x, y)));
    places().for_each(|(x, y)| bits.put(chroma(x, y).1.into(), 8));
    places().for_each(|(x, y)| bits.put(chroma(x, y).2.into(), 8));
}

/// Bits, most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    open: u8,
    used: u32,
}

impl Bits {
    /// The lowest `count` bits of `value`, at most 32.
    fn put(&mut self, value: u32, count: u32) {
        for n in (0..count).rev() {
            self.open = self.open << 1 | u8::from(value >> n & 1 == 1);
            self.used += 1;
            if self.used == 8 {
                self.bytes.push(self.open);
                (self.open, self.used) = (0, 0);
            }
        }
    }

    /// Exp-Golomb, §9.1.
    fn ue(&mut self, value: u32) {
        let value = value.saturating_add(1);
        let length = 32 - value.leading_zeros();
        self.put(0, length - 1);
        self.put(value, length);
    }

    fn align_with_zeros(&mut self) {
        self.put(0, (8 - self.used) % 8);
    }

    fn aligned(mut self) -> Vec<u8> {
        self.align_with_zeros();
        self.bytes
    }

    /// As a NAL unit of an Annex B stream: start code, header, trailing bits, emulation prevention (§7.3.1, §B.1).
    fn nal(mut self, header: u8) -> Vec<u8> {
        self.put(1, 1);
        let payload = self.aligned();
        let mut out = vec![0, 0, 0, 1, header];
        let mut zeros = 0;
        for byte in payload {
            if zeros == 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::time::Duration;

    use super::*;
    use crate::model::FrameRate;

    pub(super) fn job(width: u32, height: u32, bitrate: u32) -> VideoJob {
        VideoJob {
            codec: Codec::H264,
            width,
            height,
            rate: FrameRate::whole(30),
            bitrate,
            keyframe_interval: Duration::from_secs(2),
        }
    }

    #[test]
    fn it_stays_within_the_bit_rate_and_says_what_is_missing_for_other_codecs() {
        for (width, height, bitrate) in [(1920, 1080, 6_000_000), (1280, 720, 3_000_000), (320, 180, 150_000)] {
            let clip = picture("North stage", &job(width, height, bitrate)).unwrap();
            let bits: usize = clip.units.iter().map(|u| u.len() * 8).sum();
            assert!(bits < bitrate as usize * 2, "{width}x{height}: {bits} bits in 2 s");
            assert_eq!(clip.units.len(), 60);
            assert!(matches!(clip.config.format, TrackFormat::Video(v) if (v.width, v.height) == (width, height)));
        }
        for codec in [Codec::Hevc, Codec::Av1] {
            assert!(picture("x", &VideoJob { codec, ..job(320, 180, 200_000) }).is_none());
            assert!(silence(codec, 128_000).is_none());
        }
    }

    #[test]
    fn every_size_and_name_gives_a_stream() {
        for (width, height) in [(128, 96), (130, 98), (96, 640), (1280, 96), (0, 10)] {
            for name in ["", "x", "\u{0}", "W".repeat(64).as_str()] {
                assert_eq!(
                    picture(name, &job(width, height, 50_000)).is_some(),
                    width > 0,
                    "{width}x{height} {name:?}"
                );
            }
        }
    }
}

#[cfg(all(test, feature = "encode"))]
mod decoding {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::tests::job;
    use super::*;
    use crate::encode::decoded;

    #[test]
    fn a_decoder_shows_exactly_what_was_drawn_in_every_frame() {
        // Whole macroblocks; cropped across, down and both; portrait.
        for (width, height) in [(1280, 720), (320, 180), (426, 240), (250, 138), (360, 640)] {
            let keyframe_interval = std::time::Duration::from_millis(600);
            let clip =
                picture("North stage", &VideoJob { keyframe_interval, ..job(width, height, 6_000_000) }).unwrap();

            let shown = decoded::pictures(&clip.config, &clip.units).unwrap();

            assert_eq!(shown.len(), 18, "{width}x{height}");
            let drawn = card::draw_plain("North stage", width, height, 1.0).planes();
            for picture in [&shown[0], &shown[9], &shown[17]] {
                assert!(*picture == drawn, "{width}x{height} is not what was drawn");
            }
        }
    }

    #[test]
    fn silence_is_silent() {
        for codec in [Codec::Aac, Codec::Opus] {
            let clip = silence(codec, 128_000).unwrap();
            let samples = decoded::sound(&clip.config, &vec![clip.units[0].clone(); 20]).unwrap();
            assert!(samples.len() >= 2 * 960 * 18, "{codec:?}: {} samples", samples.len());
            assert!(samples.iter().all(|s| s.abs() < 1e-4), "{codec:?} is not silent");
        }
    }
}
