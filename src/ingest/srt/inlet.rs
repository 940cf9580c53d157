//! An input of a box as the taker of what its sender brings: a transport stream, taken apart.

use std::time::{Duration, Instant};

use super::Taker;
use super::status::SenderSnapshot;
use crate::ingest::arrival::{Arrival, Network};
use crate::ingest::outlet::Outlet;
use crate::model::{InputId, Media, RenditionId, Track};
use crate::mux::ts::{Demuxer, Output, Source};
use crate::output::srt::account::{Account, Stamp};

/// See the module.
pub(super) struct Inlet {
    input: InputId,
    demuxer: Option<Demuxer>,
    out: Outlet,
    pictures: u64,
    /// Presentation time of the newest picture, in the sender's time.
    newest: Option<Media>,
    /// What was told last of its network: packets delivered and missing.
    told: (u64, u64),
}

impl Inlet {
    pub(super) fn new(input: InputId, out: Outlet) -> Self {
        Self { input, demuxer: None, out, pictures: 0, newest: None, told: (0, 0) }
    }

    /// Whether the sender that is there, or was there last, has brought a picture.
    pub(super) const fn has_delivered(&self) -> bool {
        self.pictures > 0
    }

    /// Tells how the network does, `over` after the last time.
    pub(super) fn network(&mut self, sender: &SenderSnapshot, over: Duration) {
        let (delivered, missing) = self.told;
        let lost = sender.missing.saturating_sub(missing);
        let rtt = sender.paths.iter().filter_map(|path| path.rtt_us).min();
        self.out.say(Arrival::Network(Network {
            over,
            rtt: rtt.map(Duration::from_micros),
            packets: sender.delivered.saturating_sub(delivered) + lost,
            lost,
            bytes: u64::try_from(u128::from(sender.bitrate) * over.as_millis() / 8000).unwrap_or(u64::MAX),
        }));
        self.told = (sender.delivered, sender.missing);
    }

    fn drain(&mut self) {
        while let Some(output) = self.demuxer.as_mut().and_then(Demuxer::poll) {
            match output {
                Output::Unit(unit) => {
                    if unit.track == Track::Video {
                        self.pictures += 1;
                        self.newest = Some(self.newest.map_or(unit.pts, |newest| newest.max(unit.pts)));
                    }
                    self.out.say(Arrival::Unit(unit));
                }
                Output::TimeBase { .. } => {
                    self.newest = None;
                    self.out.say(Arrival::TimeBase);
                }
                // Decoders conceal what is missing until the next keyframe.
                Output::Streams { .. } | Output::Gap(_) => {}
            }
        }
    }
}

impl Taker for Inlet {
    fn name(&self) -> &str {
        self.input.as_str()
    }

    fn begin(&mut self, from: &str) {
        self.finish("another sender took over", 0);
        self.demuxer = Some(Demuxer::new(Source {
            input: self.input.clone(),
            rendition: RenditionId::new("network").expect("seven lower-case letters"),
            programme: None,
            rate: None,
            video_bitrate: 0,
            audio_bitrate: 0,
        }));
        (self.pictures, self.newest, self.told) = (0, None, (0, 0));
        self.out.say(Arrival::Began { from: from.to_owned() });
    }

    fn payload(&mut self, bytes: &[u8], now: Instant) {
        if let Some(demuxer) = &mut self.demuxer {
            demuxer.push(bytes, now);
            self.drain();
        }
    }

    fn finish(&mut self, why: &str, _missing: u64) {
        let Some(demuxer) = &mut self.demuxer else { return };
        demuxer.flush(crate::clock::now());
        self.drain();
        self.demuxer = None;
        self.out.say(Arrival::Ended { why: why.to_owned() });
    }

    fn account(&self, missing: u64) -> Option<Account> {
        let demuxer = self.demuxer.as_ref()?;
        Some(Account {
            newest_picture: self.newest.map(Stamp::of),
            pictures: self.pictures,
            continuity_errors: demuxer.counters().continuity,
            missing,
        })
    }

    fn deadline(&self) -> Option<Media> {
        None
    }

    fn timeout(&mut self) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn a_sender_that_hangs_up_before_its_first_picture_has_delivered_nothing() {
        let (out, _arrivals) = mpsc::channel(8);
        let mut inlet = Inlet::new(InputId::new("van").unwrap(), Outlet::new(out));
        inlet.begin("SRT from 192.0.2.1:9000");
        // Packets without anything in them.
        let padding = [[0x47, 0x1f, 0xff, 0x10].as_slice(), &[0xff; 184]].concat();
        inlet.payload(&padding.repeat(7), crate::clock::now());
        inlet.finish("it hung up", 0);
        assert!(!inlet.has_delivered());
        inlet.pictures = 1;
        inlet.finish("it hung up", 0);
        assert!(inlet.has_delivered(), "until the next begins");
        inlet.begin("SRT from 192.0.2.1:9001");
        assert!(!inlet.has_delivered());
    }
}
