//! Where a session's arrivals leave for the data plane, without waiting: a session that cannot be held up leaves units out
//! instead, up to the next keyframe.

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::arrival::Arrival;
use crate::model::Track;

/// Began and Ended that wait for room; a session that comes and goes more often is told of as it is in the end.
const OWED: usize = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Outlet {
    out: mpsc::Sender<Arrival>,
    flow: Flow,
    /// What must not be lost, in order.
    owed: Vec<Arrival>,
}

#[derive(Debug, PartialEq, Eq)]
enum Flow {
    Runs,
    /// A unit found no room: what follows is of no use before the next keyframe.
    Broken,
}

impl Outlet {
    pub(crate) fn new(out: mpsc::Sender<Arrival>) -> Self {
        Self { out, flow: Flow::Runs, owed: Vec::new() }
    }

    /// Passes it on, or keeps it if it must not be lost, or leaves it out.
    pub(crate) fn say(&mut self, arrival: Arrival) {
        while let Some(first) = self.owed.first() {
            if self.out.try_send(first.clone()).is_err() {
                break;
            }
            self.owed.remove(0);
        }
        let is_key = matches!(&arrival, Arrival::Unit(unit) if unit.track == Track::Video && unit.key);
        let is_unit = matches!(arrival, Arrival::Unit(_));
        if is_unit && ((self.flow == Flow::Broken && !is_key) || !self.owed.is_empty()) {
            self.flow = Flow::Broken;
            return;
        }
        let sent = if self.owed.is_empty() { self.out.try_send(arrival) } else { Err(TrySendError::Full(arrival)) };
        match sent {
            Ok(()) if is_unit => self.flow = Flow::Runs,
            Ok(()) => {}
            Err(TrySendError::Full(Arrival::Unit(_))) => self.flow = Flow::Broken,
            Err(TrySendError::Full(Arrival::Network(_)) | TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(arrival)) => {
                if self.owed.len() == OWED {
                    self.owed.drain(..2);
                }
                self.owed.push(arrival);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::model::{
        AccessUnit, Codec, CodecConfig, FrameRate, InputId, Media, RenditionId, TrackFormat, VideoFormat,
    };

    fn unit(n: i64, key: bool) -> Arrival {
        let format = VideoFormat { width: 640, height: 360, rate: FrameRate::whole(30) };
        Arrival::Unit(AccessUnit {
            input: InputId::new("cam").unwrap(),
            rendition: RenditionId::new("cam").unwrap(),
            track: Track::Video,
            pts: Media(n),
            dts: Media(n),
            key,
            config: Arc::new(CodecConfig {
                codec: Codec::H264,
                record: Bytes::new(),
                format: TrackFormat::Video(format),
                bitrate: 0,
            }),
            payload: Bytes::new(),
        })
    }

    fn heard(inbox: &mut mpsc::Receiver<Arrival>) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(arrival) = inbox.try_recv() {
            all.push(match arrival {
                Arrival::Began { .. } => "began".to_owned(),
                Arrival::Unit(unit) => unit.pts.as_nanos().to_string(),
                Arrival::TimeBase => "base".to_owned(),
                Arrival::Network(_) => "network".to_owned(),
                Arrival::Ended { .. } => "ended".to_owned(),
            });
        }
        all
    }

    #[test]
    fn what_finds_no_room_is_left_out_up_to_a_keyframe_and_comings_and_goings_are_not_lost() {
        let (out, mut inbox) = mpsc::channel(3);
        let mut outlet = Outlet::new(out);
        outlet.say(Arrival::Began { from: "here".into() });
        (0..4).for_each(|n| outlet.say(unit(n, n == 0)));
        assert_eq!(heard(&mut inbox), ["began", "0", "1"]);
        (4..6).for_each(|n| outlet.say(unit(n, false)));
        assert_eq!(heard(&mut inbox), [""; 0], "of no use without what was left out");
        (6..9).for_each(|n| outlet.say(unit(n, n == 6)));
        outlet.say(Arrival::Ended { why: "gone".into() });
        outlet.say(Arrival::Began { from: "again".into() });
        outlet.say(unit(9, true));
        assert_eq!(heard(&mut inbox), ["6", "7", "8"]);
        outlet.say(unit(10, true));
        assert_eq!(heard(&mut inbox), ["ended", "began", "10"]);
    }
}
