//! Access units out of the payload of PES packets: the opposite of dressing them.

mod cadence;
mod sound;

use bytes::{Bytes, BytesMut};

use self::cadence::Cadence;
use self::sound::{Adts, control_headers};
use super::av1 as dressed;
use super::psi::Carriage;
use crate::model::{AudioFormat, Codec, FrameRate, Media, TrackFormat, VideoFormat};
use crate::mux::MuxError;
use crate::mux::canonical::{Canonical, Canonicaliser};
use crate::mux::opus::packet_samples;

/// Bytes of a temporal unit that comes in several PES packets.
const MAX_TEMPORAL_UNIT: usize = 8 << 20;

/// A unit and when it belongs.
#[derive(Clone, Debug)]
pub(super) struct Recovered {
    pub(super) pts: Media,
    pub(super) dts: Media,
    pub(super) unit: Canonical,
}

/// The payload of a PES packet, and its time stamps.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) pts: Media,
    pub(super) dts: Media,
    pub(super) payload: Bytes,
}

/// One stream's way back into canonical form.
#[derive(Debug)]
pub(super) enum Recover {
    /// Pictures, one to a PES packet. The frame rate belongs into the configuration, so the first wait until it is
    /// known.
    Picture {
        carriage: Carriage,
        cadence: Cadence,
        shape: Option<Canonicaliser>,
        hidden: Option<Hidden>,
        bitrate: u32,
    },
    Aac {
        shape: Canonicaliser,
        frames: Adts,
    },
    /// The first packet tells how many samples there are in one.
    Opus {
        channels: u8,
        shape: Option<Canonicaliser>,
        bitrate: u32,
    },
}

/// The beginning of a temporal unit whose shown frame is in a later PES packet.
#[derive(Debug)]
pub(super) struct Hidden {
    dts: Media,
    obus: BytesMut,
}

impl Recover {
    /// `rate` if it is known; `bitrate` is nominal, bit/s.
    pub(super) fn new(carriage: Carriage, rate: Option<FrameRate>, bitrate: u32) -> Self {
        match carriage {
            Carriage::H264 | Carriage::Hevc | Carriage::Av1 | Carriage::Av1Plain => {
                Self::Picture { carriage, cadence: Cadence::new(rate), shape: None, hidden: None, bitrate }
            }
            Carriage::Aac => {
                Self::Aac { shape: Canonicaliser::new(Codec::Aac, sound(2, 1024), bitrate), frames: Adts::default() }
            }
            Carriage::Opus { channels } => Self::Opus { channels, shape: None, bitrate },
        }
    }

    /// Forgets what was left of the last PES packet: one was lost.
    pub(super) fn reset(&mut self) {
        match self {
            Self::Picture { hidden, .. } => *hidden = None,
            Self::Aac { frames, .. } => frames.reset(),
            Self::Opus { .. } => {}
        }
    }

    /// Takes a PES packet and passes on the units it completes, and what could not be read.
    pub(super) fn push(&mut self, piece: Piece, mut each: impl FnMut(Result<Recovered, MuxError>)) {
        match self {
            Self::Picture { carriage, cadence, shape, hidden, bitrate } => {
                let (codec, bitrate) = (carriage.codec(), *bitrate);
                cadence.push(piece, |piece, rate| {
                    let shape = shape.get_or_insert_with(|| {
                        let format = VideoFormat { width: 0, height: 0, rate };
                        Canonicaliser::new(codec, TrackFormat::Video(format), bitrate)
                    });
                    if let Some(recovered) = picture(*carriage, shape, hidden, piece).transpose() {
                        each(recovered);
                    }
                });
            }
            Self::Aac { shape, frames } => frames.push(&piece, |frame, pts| {
                each(frame.and_then(|frame| shape.push(frame)).map(|unit| Recovered { pts, dts: pts, unit }));
            }),
            Self::Opus { channels, shape, bitrate } => control_headers(&piece, |packet, pts| {
                let unit = packet.and_then(|packet| {
                    let samples = packet_samples(&packet)?;
                    let format = sound(*channels, samples);
                    shape.get_or_insert_with(|| Canonicaliser::new(Codec::Opus, format, *bitrate)).push(packet)
                });
                each(unit.map(|unit| Recovered { pts, dts: pts, unit }));
            }),
        }
    }

    /// Passes on what still waits: no more will come.
    pub(super) fn flush(&mut self, mut each: impl FnMut(Result<Recovered, MuxError>)) {
        if let Self::Picture { cadence, .. } = self {
            let waiting = cadence.give_up();
            for piece in waiting {
                self.push(piece, &mut each);
            }
        }
    }
}

fn sound(channels: u8, samples: u32) -> TrackFormat {
    TrackFormat::Audio(AudioFormat { rate: 48_000, channels, samples })
}

fn picture(
    carriage: Carriage,
    shape: &mut Canonicaliser,
    hidden: &mut Option<Hidden>,
    piece: Piece,
) -> Result<Option<Recovered>, MuxError> {
    let Piece { pts, mut dts, mut payload } = piece;
    if let Carriage::Av1 | Carriage::Av1Plain = carriage {
        let plain = carriage == Carriage::Av1Plain;
        let before = hidden.take();
        let found = if plain { dressed::Undressed::of_plain(&payload)? } else { dressed::undress(&payload)? };
        let (begun, obus) = match before {
            Some(mut before) => {
                before.obus.extend_from_slice(&found.obus);
                (before.dts, before.obus)
            }
            None => (dts, found.obus),
        };
        if !found.shown {
            if obus.len() > MAX_TEMPORAL_UNIT {
                let (what, length) = ("an AV1 temporal unit", obus.len());
                return Err(MuxError::TooLarge { what, length, max: MAX_TEMPORAL_UNIT });
            }
            *hidden = Some(Hidden { dts: begun, obus });
            return Ok(None);
        }
        (dts, payload) = (begun, obus.freeze());
    }
    Ok(Some(Recovered { pts, dts, unit: shape.push(payload)? }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mux::fixtures::canonical;

    fn push(recover: &mut Recover, ms: i64, payload: impl Into<Bytes>) -> Vec<Result<Recovered, MuxError>> {
        let at = Media::from_millis(ms);
        let mut found = Vec::new();
        recover.push(Piece { pts: at, dts: at, payload: payload.into() }, |unit| found.push(unit));
        found
    }

    fn av1(carriage: Carriage) -> Recover {
        Recover::new(carriage, Some(FrameRate::whole(30)), 0)
    }

    #[test]
    fn plain_obus_with_delimiters_are_read_as_gstreamer_sends_them() {
        let mut recover = av1(Carriage::Av1Plain);
        for (n, unit) in (0i64..).zip(canonical(Codec::Av1)) {
            let payload = [&[0x12, 0][..], &unit.payload].concat();
            let found = push(&mut recover, 33 * n, payload).remove(0).unwrap();
            assert_eq!((found.unit.payload, found.unit.key), (unit.payload, unit.key));
        }
    }

    #[test]
    fn a_hidden_frame_in_a_pes_packet_of_its_own_is_joined_to_the_one_that_is_shown() {
        let key = canonical(Codec::Av1).remove(0);
        let mut recover = av1(Carriage::Av1Plain);
        assert_eq!(push(&mut recover, 0, key.payload).len(), 1);
        // Frames without show_frame; then one with.
        assert!(push(&mut recover, 33, vec![0x32, 2, 0x20, 1]).is_empty());
        assert!(push(&mut recover, 40, vec![0x32, 2, 0x20, 2]).is_empty());
        let shown = push(&mut recover, 66, vec![0x32, 2, 0x30, 3]).remove(0).unwrap();
        assert_eq!(shown.unit.payload[..], [0x32, 2, 0x20, 1, 0x32, 2, 0x20, 2, 0x32, 2, 0x30, 3]);
        assert_eq!((shown.pts, shown.dts), (Media::from_millis(66), Media::from_millis(33)));
        // One whose shown frame was lost is not joined to the next.
        assert!(push(&mut recover, 99, vec![0x32, 2, 0x20, 4]).is_empty());
        recover.reset();
        let shown = push(&mut recover, 132, vec![0x32, 2, 0x30, 5]).remove(0).unwrap();
        assert_eq!(shown.unit.payload[..], [0x32, 2, 0x30, 5]);
    }

    #[test]
    fn frames_that_are_never_shown_are_bounded() {
        let key = canonical(Codec::Av1).remove(0);
        let mut recover = av1(Carriage::Av1Plain);
        push(&mut recover, 0, key.payload);
        let mut hidden = vec![0x32, 0x80, 0x80, 0x40]; // a frame of 1 MiB
        hidden.resize(4 + (1 << 20), 0x20);
        let refused = (0..20).flat_map(|n| push(&mut recover, n, hidden.clone())).collect::<Vec<_>>();
        assert!(matches!(refused[..], [Err(MuxError::TooLarge { .. }), Err(MuxError::TooLarge { .. })]));
    }

    #[test]
    fn pictures_wait_until_there_is_a_rate_or_no_more_come() {
        let mut recover = Recover::new(Carriage::Av1Plain, None, 0);
        let units = canonical(Codec::Av1);
        assert!((0..3).all(|n| push(&mut recover, 40 * n, units[n as usize].payload.clone()).is_empty()));
        let mut found = Vec::new();
        recover.flush(|unit| found.push(unit.unwrap().unit));
        assert_eq!(found.len(), 3);
        assert!(matches!(found[0].config.format, TrackFormat::Video(format) if format.rate == FrameRate::whole(25)));
        assert_eq!(push(&mut recover, 120, units[3].payload.clone()).len(), 1);
    }
}
