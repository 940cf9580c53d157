//! What a decoder nobody here wrote makes of canonical units. For tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::build;
use super::offline::{self, Offline};
use crate::encode::slate::picture::Planes;
use crate::model::{Codec, CodecConfig};

/// Decodes `units` and returns every picture.
pub(super) fn pictures(config: &CodecConfig, units: &[Bytes]) -> Result<Vec<Planes>, String> {
    build::init().unwrap();
    let (media, format, decoder) = match config.codec {
        Codec::H264 => ("video/x-h264", "avc", "avdec_h264"),
        Codec::Hevc => ("video/x-h265", "hvc1", "avdec_h265"),
        Codec::Av1 => ("video/x-av1", "obu-stream", "av1dec"),
        Codec::Aac | Codec::Opus => panic!("not a picture"),
    };
    let mut caps = gst::Caps::builder(media).field("stream-format", format);
    if config.codec == Codec::Av1 {
        caps = caps.field("alignment", "tu");
    } else {
        let record = gst::Buffer::from_slice(config.record.to_vec());
        caps = caps.field("alignment", "au").field("codec_data", record);
    }
    let raw = gst::Caps::builder("video/x-raw").field("format", "I420").build();
    let chain = [offline::element(decoder)?, offline::element("videoconvert")?, offline::filter(&raw)?];
    let offline = Offline::start(&caps.build(), &chain, &raw)?;
    for (n, unit) in (0..).zip(units) {
        let mut buffer = gst::Buffer::from_slice(unit.to_vec());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40) * n);
        offline.feed(buffer)?;
    }
    offline.finish();
    let mut pictures = Vec::new();
    while let Some(sample) = offline.wait()? {
        pictures.push(planes(&sample));
    }
    Ok(pictures)
}

/// Decodes packets of sound and returns the samples of all channels, interleaved, -1 to 1.
pub(super) fn sound(config: &CodecConfig, packets: &[Bytes]) -> Result<Vec<f32>, String> {
    build::init().unwrap();
    let (caps, decoder) = if config.codec == Codec::Opus {
        let caps = gst::Caps::builder("audio/x-opus").field("channel-mapping-family", 0i32).field("channels", 2i32);
        (caps.field("rate", 48_000i32).build(), "opusdec")
    } else {
        let record = gst::Buffer::from_slice(config.record.to_vec());
        let caps = gst::Caps::builder("audio/mpeg").field("mpegversion", 4i32).field("stream-format", "raw");
        (
            caps.field("framed", true)
                .field("rate", 48_000i32)
                .field("channels", 2i32)
                .field("codec_data", record)
                .build(),
            "avdec_aac",
        )
    };
    let raw = gst::Caps::builder("audio/x-raw").field("format", "F32LE").field("layout", "interleaved").build();
    let chain = [offline::element(decoder)?, offline::element("audioconvert")?, offline::filter(&raw)?];
    let offline = Offline::start(&caps, &chain, &raw)?;
    for (n, packet) in (0..).zip(packets) {
        let mut buffer = gst::Buffer::from_slice(packet.to_vec());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(20) * n);
        offline.feed(buffer)?;
    }
    offline.finish();
    let mut samples = Vec::new();
    while let Some(sample) = offline.wait()? {
        let bytes = offline::bytes_of(&sample)?;
        samples.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())));
    }
    Ok(samples)
}

fn planes(sample: &gst::Sample) -> Planes {
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info).unwrap();
    let plane = |n: u32, width: u32, height: u32| {
        let stride = frame.plane_stride()[n as usize] as usize;
        let rows = frame.plane_data(n).unwrap().chunks(stride).take(height as usize);
        rows.flat_map(|row| &row[..width as usize]).copied().collect::<Vec<u8>>()
    };
    let (width, height) = (info.width(), info.height());
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    Planes {
        width,
        height,
        y: plane(0, width, height),
        u: plane(1, half_width, half_height),
        v: plane(2, half_width, half_height),
    }
}

/// Mean difference of two planes of equal size.
pub(super) fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "planes of two sizes");
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}
