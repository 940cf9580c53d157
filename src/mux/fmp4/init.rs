//! The initialisation segment: `ftyp` and `moov`.

use super::boxes::Boxes;
use super::{AUDIO_TRACK, VIDEO_TRACK};
use crate::model::{Codec, CodecConfig, TrackFormat, Wall};
use crate::mux::opus::OpusHead;

/// Sample flags of a picture others do not depend on being before: `sample_depends_on` 2.
pub(super) const SYNC: u32 = 0x0200_0000;
/// Sample flags of a picture that needs earlier ones: `sample_depends_on` 1, `sample_is_non_sync_sample`.
pub(super) const NON_SYNC: u32 = 0x0101_0000;

/// The whole segment. The second value is the offset of a 20-byte `free` box that [`mehd`] fits over.
pub(super) fn segment(
    video: (&CodecConfig, u32),
    audio: Option<(&CodecConfig, u32)>,
    created: Wall,
) -> (Vec<u8>, usize) {
    // Seconds since 1904-01-01.
    let created = u64::try_from(created.0 / 1_000_000 + 2_082_844_800).unwrap_or(0);
    let mut out = Boxes::default();
    out.nest(b"ftyp", |b| {
        b.bytes(b"iso6");
        b.u32(0);
        b.bytes(b"iso6mp41");
        if video.0.codec == Codec::Av1 {
            b.bytes(b"av01");
        }
    });
    let mut reserve = 0;
    out.nest(b"moov", |b| {
        b.full(b"mvhd", 1, 0, |b| {
            b.u64(created);
            b.u64(created);
            b.u32(1000); // timescale
            b.u64(0); // duration: all in fragments
            b.u32(0x0001_0000); // rate
            b.u16(0x0100); // volume
            b.zeros(10);
            matrix(b);
            b.zeros(24);
            b.u32(AUDIO_TRACK + 1); // next_track_ID
        });
        track(b, VIDEO_TRACK, video.0, video.1, created);
        if let Some((config, timescale)) = audio {
            track(b, AUDIO_TRACK, config, timescale, created);
        }
        b.nest(b"mvex", |b| {
            reserve = b.len();
            b.nest(b"free", |b| b.zeros(12));
            trex(b, VIDEO_TRACK, NON_SYNC);
            if audio.is_some() {
                trex(b, AUDIO_TRACK, SYNC);
            }
        });
    });
    (out.into_vec(), reserve)
}

/// The movie's duration, milliseconds, once it is known.
pub(super) fn mehd(duration_ms: u64) -> Vec<u8> {
    let mut out = Boxes::default();
    out.full(b"mehd", 1, 0, |b| b.u64(duration_ms));
    out.into_vec()
}

fn trex(b: &mut Boxes, id: u32, flags: u32) {
    b.full(b"trex", 0, 0, |b| {
        b.u32(id);
        b.u32(1); // default_sample_description_index
        b.u32(0);
        b.u32(0);
        b.u32(flags);
    });
}

fn matrix(b: &mut Boxes) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        b.u32(value);
    }
}

fn track(b: &mut Boxes, id: u32, config: &CodecConfig, timescale: u32, created: u64) {
    let (width, height) = match config.format {
        TrackFormat::Video(video) => (video.width, video.height),
        TrackFormat::Audio(_) => (0, 0),
    };
    let is_video = config.codec.is_video();
    b.nest(b"trak", |b| {
        // Enabled, in movie.
        b.full(b"tkhd", 1, 3, |b| {
            b.u64(created);
            b.u64(created);
            b.u32(id);
            b.u32(0);
            b.u64(0); // duration
            b.zeros(8);
            b.u16(0); // layer
            b.u16(0); // alternate_group
            b.u16(if is_video { 0 } else { 0x0100 }); // volume
            b.u16(0);
            matrix(b);
            b.u32(width << 16);
            b.u32(height << 16);
        });
        b.nest(b"mdia", |b| {
            b.full(b"mdhd", 1, 0, |b| {
                b.u64(created);
                b.u64(created);
                b.u32(timescale);
                b.u64(0); // duration
                b.u16(0x55c4); // language: und
                b.u16(0);
            });
            b.full(b"hdlr", 0, 0, |b| {
                b.u32(0);
                b.bytes(if is_video { b"vide" } else { b"soun" });
                b.zeros(12);
                b.bytes(if is_video { b"Picture\0" } else { b"Sound\0" });
            });
            b.nest(b"minf", |b| {
                if is_video {
                    b.full(b"vmhd", 0, 1, |b| b.zeros(8));
                } else {
                    b.full(b"smhd", 0, 0, |b| b.zeros(4));
                }
                b.nest(b"dinf", |b| {
                    b.full(b"dref", 0, 0, |b| {
                        b.u32(1);
                        b.full(b"url ", 0, 1, |_| {}); // in this file
                    });
                });
                b.nest(b"stbl", |b| {
                    b.full(b"stsd", 0, 0, |b| {
                        b.u32(1);
                        sample_entry(b, config);
                    });
                    b.full(b"stts", 0, 0, |b| b.u32(0));
                    b.full(b"stsc", 0, 0, |b| b.u32(0));
                    b.full(b"stsz", 0, 0, |b| b.zeros(8));
                    b.full(b"stco", 0, 0, |b| b.u32(0));
                });
            });
        });
    });
}

/// ISO/IEC 14496-15 §5.4.2 (`avc1`) and §8.4.1 (`hvc1`), AV1-ISOBMFF §2.2 (`av01`), ISO/IEC 14496-14 §6.7 (`mp4a`),
/// Opus-in-ISOBMFF §4.3 (`Opus`).
fn sample_entry(b: &mut Boxes, config: &CodecConfig) {
    let (entry, record_box) = match config.codec {
        Codec::H264 => (b"avc1", b"avcC"),
        Codec::Hevc => (b"hvc1", b"hvcC"),
        Codec::Av1 => (b"av01", b"av1C"),
        Codec::Aac => (b"mp4a", b"esds"),
        Codec::Opus => (b"Opus", b"dOps"),
    };
    b.nest(entry, |b| {
        b.zeros(6);
        b.u16(1); // data_reference_index
        match config.format {
            TrackFormat::Video(video) => {
                b.zeros(16);
                b.u16(u16::try_from(video.width).unwrap_or(u16::MAX));
                b.u16(u16::try_from(video.height).unwrap_or(u16::MAX));
                b.u32(0x0048_0000); // 72 dpi
                b.u32(0x0048_0000);
                b.u32(0);
                b.u16(1); // frame_count
                b.zeros(32); // compressorname
                b.u16(24); // depth
                b.u16(u16::MAX);
            }
            TrackFormat::Audio(audio) => {
                b.zeros(8);
                b.u16(audio.channels.into());
                b.u16(16); // samplesize
                b.u32(0);
                b.u32(u32::from(u16::try_from(audio.rate).unwrap_or(0)) << 16);
            }
        }
        match config.codec {
            Codec::H264 | Codec::Hevc | Codec::Av1 => b.nest(record_box, |b| b.bytes(&config.record)),
            Codec::Aac => b.full(record_box, 0, 0, |b| elementary_stream(b, config)),
            Codec::Opus => b.nest(record_box, |b| {
                let usual = OpusHead { channels: 2, pre_skip: OpusHead::USUAL_PRE_SKIP, input_rate: 48_000, gain: 0 };
                b.bytes(&OpusHead::parse(&config.record).unwrap_or(usual).dops());
            }),
        }
    });
}

/// `ES_Descriptor` (ISO/IEC 14496-1 §7.2.6.5) around an AudioSpecificConfig.
fn elementary_stream(b: &mut Boxes, config: &CodecConfig) {
    // AudioSpecificConfig is 2 to some dozens of bytes; lengths stay under the 7 bits of one length byte.
    let asc = config.record.get(..config.record.len().min(64)).unwrap_or_default();
    let specific = asc.len() as u8;
    b.bytes(&[3, 3 + 2 + 13 + 2 + specific + 3, 0, 0, 0]); // ES_DescrTag, ES_ID 0, no flags
    b.bytes(&[4, 13 + 2 + specific, 0x40, 0x15, 0, 0, 0]); // DecoderConfigDescrTag: MPEG-4 audio, an audio stream
    b.u32(config.bitrate); // maxBitrate
    b.u32(config.bitrate); // avgBitrate
    b.bytes(&[5, specific]); // DecSpecificInfoTag
    b.bytes(asc);
    b.bytes(&[6, 1, 2]); // SLConfigDescrTag: MP4 file
}
