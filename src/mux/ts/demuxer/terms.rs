//! What the demuxer is told, and what it says.

use crate::model::{AccessUnit, Codec, FrameRate, InputId, Media, RenditionId, Track};

/// What a stream's access units are labelled with, and what the stream itself does not say.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where they come from.
    pub input: InputId,
    /// Which encode they are.
    pub rendition: RenditionId,
    /// `program_number` of the wanted programme; `None`: the first.
    pub programme: Option<u16>,
    /// Pictures a second if known; otherwise they are counted, for which the first four wait.
    pub rate: Option<FrameRate>,
    /// Nominal bit rate of the picture, bit/s; for metadata.
    pub video_bitrate: u32,
    /// Nominal bit rate of the sound, bit/s; for metadata.
    pub audio_bitrate: u32,
}

/// What comes out of a transport stream, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// The streams of the programme, whenever they change.
    Streams {
        /// Codec of the picture.
        video: Option<Codec>,
        /// Codec of the sound.
        audio: Option<Codec>,
        /// Stream types (H.222.0 table 2-34) that are left aside, because there is one of their kind already or because
        /// they are not known here.
        others: Vec<u8>,
    },
    /// An access unit. Its times count from the programme clock's origin and go on over the wraps of its 33 bits.
    Unit(AccessUnit),
    /// Something of this track is missing before its next unit.
    Gap(Track),
    /// The programme clock started anew: times from here on are not comparable with those before.
    TimeBase {
        /// The stream said so. Otherwise it was seen to jump.
        marked: bool,
    },
}

/// Counted since the demuxer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DemuxCounters {
    /// Packets, padding and other programmes included.
    pub packets: u64,
    /// Units passed on.
    pub units: u64,
    /// Continuity errors on all packet identifiers of the programme.
    pub continuity: u64,
    /// Times that no packet was found where one was expected.
    pub sync_losses: u64,
    /// Bytes that belonged to no packet.
    pub skipped: u64,
    /// Packets with `transport_error_indicator`, scrambled or malformed.
    pub unusable: u64,
    /// Tables with a wrong checksum.
    pub tables: u64,
    /// PES packets that were lost, in part or certainly as a whole.
    pub lost: u64,
    /// PES packets larger than 8 MiB.
    pub oversize: u64,
    /// PES packets of pictures without a time stamp.
    pub untimed: u64,
    /// PES packets and units that could not be read.
    pub malformed: u64,
    /// Pictures before the first decoder configuration.
    pub undecodable: u64,
    /// Outputs dropped because nobody took them.
    pub overflow: u64,
    /// Clock references.
    pub clocks: u64,
    /// The longest step between two clock references of one time base.
    pub clock_interval: Media,
    /// Changes of time base, marked or not.
    pub time_bases: u64,
}
