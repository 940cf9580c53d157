//! MPEG-2 transport streams (ITU-T H.222.0, ISO/IEC 13818-1): what goes over SRT.
//!
//! ```text
//!   AccessUnit ─elementary─► PES ─queue─► Muxer::poll(now) ─► payloads of up to 7 × 188 bytes ─► every SRT output
//!                                             ▲ PSI and PCR by timer
//!   datagrams ─sync─► packets ─► PES ─recover─► AccessUnit, in canonical form
//! ```
//!
//! How each codec is carried:
//!
//! | codec | stream type | in a PES packet |
//! |---|---|---|
//! | H.264 | 0x1b | one picture, Annex B: AUD, before a keyframe SPS and PPS, slices |
//! | HEVC | 0x24, registration `HEVC` | one picture, Annex B: AUD, before a keyframe VPS, SPS and PPS, slices |
//! | AV1 | 0x06, registration `AV01`, descriptor 0x80 | one temporal unit by AOM's *Carriage of AV1 in MPEG-2 TS* |
//! | AAC | 0x0f | one access unit in ADTS |
//! | Opus | 0x06, registration `Opus`, extension descriptor 0x80 | one packet after its control header (*Opus in TS*) |
//!
//! Who reads that: FFmpeg and GStreamer all of it except AV1 (tried; `tests/ts.rs`), VLC likewise by its source. None
//! of the three knows the registration `AV01`: FFmpeg 9 shows a data stream, and GStreamer has a mapping of its own,
//! `AV1G`, which the [`Demuxer`] here reads too. The browser players mpegts.js (tried) and shaka-player do, and so does
//! our relay.
//!
//! *Invariant:* continuity counters and table versions live as long as the [`Muxer`], whatever becomes of the encoders
//! before it. The [`Demuxer`] holds one PES packet per stream, at the start of a stream four, each of bounded size; it
//! panics at no input.

mod av1;
mod clock;
mod demuxer;
mod elementary;
mod muxer;
mod packet;
mod pes;
mod psi;
mod recover;
mod sync;

pub use demuxer::{DemuxCounters, Demuxer, Output, PidCounters, Source};
pub use muxer::{MuxCounters, Muxer, Payload, Reason, Settings, Taken};
pub use packet::LENGTH as PACKET;

/// Packets in a full payload: the most that fits into an Ethernet frame beside IP, UDP and SRT headers.
pub const PACKETS: usize = 7;
/// Bytes of a full payload, which is also the default of SRT's live mode.
pub const PAYLOAD: usize = PACKETS * PACKET;

#[cfg(test)]
mod tests;
