//! Pure. What waits to be written to the data plane.
//!
//! ```text
//!   per stream:   Closed ──connected──► AwaitingKey ──a key unit──► Flowing
//!                   ▲                       ▲                          │
//!                   └──────disconnected─────┴── more than 2 s wait, ───┘
//!                                               no keyframe among it
//! ```
//!
//! When more than 2 s wait, everything before the newest waiting keyframe is dropped and counted, stream by stream.
//!
//! What is wrong with the input is said after Hello, and again whenever it is another. Only the latest of it waits.
//!
//! *Invariant:* a stream's units reach the data plane in order, the first one after a connection or a loss is one that a
//! decoder can start at, and its format was sent before it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use crate::encode::protocol::{FromWorker, Hello, MAX_UNIT, PROTOCOL, unit_header};
use crate::model::{CodecConfig, Condition, InputId, Media, RenditionId};

/// One unit as it leaves an encoder, with the time of its grid place.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    /// The worker's number for the stream.
    pub(super) stream: u16,
    /// Time of its grid place on CLOCK_MONOTONIC.
    pub(super) pts: Media,
    /// A decoder can start here.
    pub(super) key: bool,
    /// What a decoder needs.
    pub(super) config: Arc<CodecConfig>,
    /// The bytes, canonical.
    pub(super) payload: Bytes,
}

/// Bytes to write, in one or two pieces.
pub(super) type Outgoing = bytes::buf::Chain<Bytes, Bytes>;

/// The queue towards the data plane.
#[derive(Debug)]
pub(super) struct Outbox {
    input: InputId,
    pid: u32,
    streams: Vec<Stream>,
    queue: VecDeque<Item>,
    connected: bool,
    condition: Condition,
}

#[derive(Debug)]
struct Stream {
    rendition: RenditionId,
    encoder: String,
    flow: Flow,
    /// The configuration the data plane knows of.
    announced: Option<Arc<CodecConfig>>,
    waiting_bytes: usize,
    encoded: u64,
    overflowed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Closed,
    AwaitingKey,
    Flowing,
}

#[derive(Debug)]
enum Item {
    Message(Bytes),
    /// What is wrong with the input when it is written.
    Condition,
    Unit(Encoded),
}

impl Outbox {
    /// Programme that may wait, per stream.
    pub(super) const LIMIT: Media = Media::from_millis(2000);
    /// Bytes that may wait, per stream.
    pub(super) const LIMIT_BYTES: usize = 2 * MAX_UNIT;

    /// An empty queue of the worker of `input`.
    pub(super) fn new(input: InputId, pid: u32) -> Self {
        let (streams, queue) = (Vec::new(), VecDeque::new());
        Self { input, pid, streams, queue, connected: false, condition: Condition::GOOD }
    }

    /// Adds a stream; its number is one more than the previous one's, from 0.
    pub(super) fn add_stream(&mut self, rendition: RenditionId, encoder: String) -> u16 {
        self.streams.push(Stream {
            rendition,
            encoder,
            flow: Flow::Closed,
            announced: None,
            waiting_bytes: 0,
            encoded: 0,
            overflowed: 0,
        });
        u16::try_from(self.streams.len() - 1).unwrap_or(u16::MAX)
    }

    /// A new connection: begins with Hello, and every stream at a unit that a decoder can start at.
    pub(super) fn connected(&mut self) {
        self.connected = true;
        self.queue.clear();
        let hello = Hello { protocol: PROTOCOL, input: self.input.clone(), pid: self.pid };
        self.queue_message(&FromWorker::Hello(hello));
        self.queue.push_back(Item::Condition);
        for stream in &mut self.streams {
            stream.flow = Flow::AwaitingKey;
            stream.announced = None;
            stream.waiting_bytes = 0;
        }
    }

    /// The connection is gone, with everything that waited for it.
    pub(super) fn disconnected(&mut self) {
        self.connected = false;
        for item in self.queue.drain(..) {
            if let Item::Unit(unit) = item
                && let Some(stream) = self.streams.get_mut(usize::from(unit.stream))
            {
                stream.overflowed += 1;
            }
        }
        for stream in &mut self.streams {
            stream.flow = Flow::Closed;
            stream.waiting_bytes = 0;
        }
    }

    /// A unit left an encoder.
    pub(super) fn push(&mut self, unit: Encoded) {
        let number = unit.stream;
        let Some(stream) = self.streams.get_mut(usize::from(number)) else { return };
        stream.encoded += 1;
        let oldest = self.queue.iter().find_map(|item| match item {
            Item::Unit(waiting) if waiting.stream == number => Some(waiting.pts),
            Item::Unit(_) | Item::Message(_) | Item::Condition => None,
        });
        let too_much = oldest.is_some_and(|oldest| unit.pts - oldest > Self::LIMIT)
            || stream.waiting_bytes + unit.payload.len() > Self::LIMIT_BYTES;
        if stream.flow == Flow::Flowing && too_much {
            let of_stream = |item: &Item| matches!(item, Item::Unit(waiting) if waiting.stream == number);
            let key = |item: &Item| matches!(item, Item::Unit(waiting) if waiting.stream == number && waiting.key);
            // The newest group stays; without a keyframe among what waits there is nothing to go on from.
            let oldest = self.queue.iter().position(of_stream);
            let newest_key = self.queue.iter().rposition(key).filter(|at| Some(*at) != oldest);
            let mut at = 0;
            self.queue.retain(|item| {
                at += 1;
                let goes = of_stream(item) && newest_key.is_none_or(|key| at - 1 < key);
                if let (true, Item::Unit(waiting)) = (goes, item) {
                    stream.waiting_bytes = stream.waiting_bytes.saturating_sub(waiting.payload.len());
                    stream.overflowed += 1;
                }
                !goes
            });
            if newest_key.is_none() {
                stream.flow = Flow::AwaitingKey;
            }
        }
        match stream.flow {
            Flow::AwaitingKey if unit.key => stream.flow = Flow::Flowing,
            Flow::Flowing => {}
            Flow::Closed | Flow::AwaitingKey => {
                stream.overflowed += 1;
                return;
            }
        }
        stream.waiting_bytes += unit.payload.len();
        if stream.announced.as_ref() != Some(&unit.config) {
            stream.announced = Some(unit.config.clone());
            let format = FromWorker::Format {
                stream: number,
                rendition: stream.rendition.clone(),
                encoder: stream.encoder.clone(),
                config: unit.config.clone(),
            };
            self.queue_message(&format);
        }
        self.queue.push_back(Item::Unit(unit));
    }

    /// What is wrong with the input.
    pub(super) fn condition(&mut self, condition: &Condition) {
        if self.condition == *condition {
            return;
        }
        self.condition = condition.clone();
        if self.connected && !self.queue.iter().any(|item| matches!(item, Item::Condition)) {
            self.queue.push_back(Item::Condition);
        }
    }

    /// The worker ends on purpose.
    pub(super) fn end(&mut self, reason: &str) {
        self.queue_message(&FromWorker::Bye { reason: reason.to_owned() });
    }

    /// The next bytes to write, in full and in order.
    pub(super) fn next_outgoing(&mut self) -> Option<Outgoing> {
        Some(match self.queue.pop_front()? {
            Item::Message(bytes) => bytes.chain(Bytes::new()),
            Item::Condition => {
                let mut bytes = BytesMut::new();
                FromWorker::Condition(self.condition.clone()).encode(&mut bytes);
                bytes.freeze().chain(Bytes::new())
            }
            Item::Unit(unit) => {
                if let Some(stream) = self.streams.get_mut(usize::from(unit.stream)) {
                    stream.waiting_bytes = stream.waiting_bytes.saturating_sub(unit.payload.len());
                }
                let header = unit_header(unit.stream, unit.key, unit.pts, unit.pts, unit.payload.len());
                Bytes::copy_from_slice(&header).chain(unit.payload)
            }
        })
    }

    /// Units encoded, and units the data plane did not take, of a stream.
    pub(super) fn counts(&self, stream: u16) -> (u64, u64) {
        self.streams.get(usize::from(stream)).map_or((0, 0), |s| (s.encoded, s.overflowed))
    }

    fn queue_message(&mut self, message: &FromWorker) {
        if !self.connected {
            return;
        }
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        self.queue.push_back(Item::Message(bytes.freeze()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::model::{AudioGrid, Codec, Fault, Finding, FrameRate, TrackFormat, VideoFormat, VideoGrid};

    fn outbox() -> Outbox {
        let mut outbox = Outbox::new(InputId::new("cam").unwrap(), 7);
        outbox.add_stream(RenditionId::new("main").unwrap(), "x264enc".to_owned());
        outbox.add_stream(RenditionId::new("aac-128k").unwrap(), "avenc_aac".to_owned());
        outbox
    }

    fn config(record: u8) -> Arc<CodecConfig> {
        let format = VideoFormat { width: 640, height: 360, rate: FrameRate::whole(30) };
        Arc::new(CodecConfig {
            codec: Codec::H264,
            record: Bytes::copy_from_slice(&[record]),
            format: TrackFormat::Video(format),
            bitrate: 1,
        })
    }

    fn video(n: i64, key: bool) -> Encoded {
        let pts = VideoGrid(FrameRate::whole(30)).time_of(n);
        Encoded { stream: 0, pts, key, config: config(1), payload: Bytes::from_static(b"picture") }
    }

    fn sound(k: i64) -> Encoded {
        let pts = AudioGrid::AAC.time_of(k);
        Encoded { stream: 1, pts, key: true, config: config(9), payload: Bytes::from_static(b"sound") }
    }

    fn all_written(outbox: &mut Outbox) -> Vec<FromWorker> {
        let mut wire = BytesMut::new();
        while let Some(mut outgoing) = outbox.next_outgoing() {
            wire.extend_from_slice(&outgoing.copy_to_bytes(outgoing.remaining()));
        }
        std::iter::from_fn(|| FromWorker::decode(&mut wire).unwrap()).collect()
    }

    /// All but what is said of the input.
    fn written(outbox: &mut Outbox) -> Vec<FromWorker> {
        let mut messages = all_written(outbox);
        messages.retain(|message| !matches!(message, FromWorker::Condition(_)));
        messages
    }

    fn pts(messages: &[FromWorker], of: u16) -> Vec<Media> {
        let of = |m: &FromWorker| match m {
            FromWorker::Unit { stream, pts, .. } if *stream == of => Some(*pts),
            FromWorker::Unit { .. } | FromWorker::Hello(_) | FromWorker::Format { .. } => None,
            FromWorker::Bye { .. } | FromWorker::Condition(_) => None,
        };
        messages.iter().filter_map(of).collect()
    }

    #[test]
    fn a_connection_begins_with_hello_formats_and_a_keyframe() {
        let mut outbox = outbox();
        outbox.push(video(0, true));
        assert!(written(&mut outbox).is_empty(), "nobody is there");
        outbox.connected();
        outbox.push(video(1, false));
        outbox.push(sound(5));
        outbox.push(video(2, true));
        outbox.push(video(3, false));
        let messages = written(&mut outbox);
        assert!(matches!(messages[0], FromWorker::Hello(_)));
        assert!(matches!(messages[1], FromWorker::Format { stream: 1, .. }));
        assert!(matches!(messages[2], FromWorker::Unit { stream: 1, .. }));
        assert!(matches!(messages[3], FromWorker::Format { stream: 0, .. }));
        assert!(matches!(messages[4], FromWorker::Unit { stream: 0, key: true, .. }));
        assert_eq!(messages.len(), 6);
        assert_eq!(outbox.counts(0), (4, 2));
    }

    #[test]
    fn what_is_wrong_is_said_at_once_and_after_each_connection_and_never_piles_up() {
        let condition = |fault, evidence: &str| Condition::new(vec![Finding { fault, evidence: evidence.to_owned() }]);
        let mut outbox = outbox();
        outbox.condition(&condition(Fault::Stalled, "no picture in the first 3.0 s"));
        assert!(all_written(&mut outbox).is_empty(), "nobody is there");
        outbox.connected();
        let stalled = FromWorker::Condition(condition(Fault::Stalled, "no picture in the first 3.0 s"));
        assert_eq!(all_written(&mut outbox)[1], stalled);
        for n in 0..1000 {
            outbox.condition(&Condition::GOOD);
            outbox.condition(&condition(Fault::Frozen, &format!("unchanged for {n} s")));
        }
        let frozen = FromWorker::Condition(condition(Fault::Frozen, "unchanged for 999 s"));
        assert_eq!(all_written(&mut outbox), std::slice::from_ref(&frozen));
        outbox.condition(&condition(Fault::Frozen, "unchanged for 999 s"));
        assert!(all_written(&mut outbox).is_empty(), "it is the same");
        outbox.disconnected();
        outbox.connected();
        assert_eq!(all_written(&mut outbox)[1], frozen);
    }

    #[test]
    fn a_reconnection_announces_everything_again() {
        let mut outbox = outbox();
        outbox.connected();
        outbox.push(video(0, true));
        outbox.disconnected();
        outbox.push(video(1, false));
        outbox.connected();
        outbox.push(video(2, false));
        outbox.push(video(3, true));
        let messages = written(&mut outbox);
        assert!(matches!(
            messages[..],
            [FromWorker::Hello(_), FromWorker::Format { .. }, FromWorker::Unit { key: true, .. }]
        ));
        assert_eq!(outbox.counts(0), (4, 3));
    }

    #[test]
    fn a_stalled_data_plane_costs_whole_groups_and_finds_the_newest_one_afterwards() {
        let mut outbox = outbox();
        outbox.connected();
        let (mut k, mut most) = (0, 0);
        for n in 0..600 {
            outbox.push(video(n, n % 60 == 0));
            while AudioGrid::AAC.time_of(k) <= VideoGrid(FrameRate::whole(30)).time_of(n) {
                outbox.push(sound(k));
                k += 1;
            }
            most = most.max(outbox.queue.len());
        }
        assert!(most <= 61 + 95 + 3, "{most} items waited");
        let messages = written(&mut outbox);
        let (pictures, sounds) = (pts(&messages, 0), pts(&messages, 1));
        assert!(pictures.windows(2).all(|w| w[1] - w[0] <= Media(33_333_334)), "a hole within a group");
        let first = messages.iter().find_map(|m| match m {
            FromWorker::Unit { stream: 0, key, .. } => Some(*key),
            FromWorker::Unit { .. } | FromWorker::Hello(_) | FromWorker::Format { .. } => None,
            FromWorker::Bye { .. } | FromWorker::Condition(_) => None,
        });
        assert_eq!(first, Some(true));
        let (encoded, overflowed) = outbox.counts(0);
        assert_eq!((encoded, overflowed + pictures.len() as u64), (600, 600));
        let (encoded, overflowed) = outbox.counts(1);
        assert_eq!(encoded, overflowed + sounds.len() as u64);
        assert!(sounds.windows(2).all(|w| w[1] > w[0]));
    }

    #[test]
    fn a_changed_configuration_is_announced_once_before_its_first_unit() {
        let mut outbox = outbox();
        outbox.connected();
        outbox.push(video(0, true));
        outbox.push(Encoded { config: config(1), ..video(1, false) });
        outbox.push(Encoded { config: config(2), ..video(2, true) });
        let formats: Vec<usize> = written(&mut outbox)
            .iter()
            .enumerate()
            .filter_map(|(i, m)| matches!(m, FromWorker::Format { .. }).then_some(i))
            .collect();
        assert_eq!(formats, [1, 4]);
    }
}
