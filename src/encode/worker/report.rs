//! What the worker tells holdfastd.

use std::time::Duration;

use super::feed::VideoControl;
use super::grid::GridReport;
use super::outbox::{Encoded, Outbox};
use super::{Say, Stream};
use crate::capture::Notice;
use crate::clock;
use crate::events::{ChildMessage, Event, EventKind, Role, Severity, ThumbnailSnapshot, WorkerReport, WorkerStream};
use crate::model::{InputId, Media, Wall};

/// The same trouble is told once in this time.
const SAY_AGAIN: Media = Media::from_millis(10_000);

/// Keeps what there is to tell, and tells it.
pub(super) struct Reporter {
    input: InputId,
    /// Where the input's thumbnail is.
    thumbnail: String,
    say: Say,
    latest: Option<GridReport>,
    /// Latest of each stream, milliseconds.
    latency: Vec<u32>,
    /// Pictures of each stream that were thrown away because the input stands by.
    stood_by: Vec<u64>,
    had_picture: bool,
    /// The last bad news of the source.
    lost: Option<String>,
    /// The last bad news of its sound, until that comes.
    sound_lost: Option<String>,
    sound_told: Option<Media>,
    trouble_told: Option<Media>,
}

impl Reporter {
    pub(super) fn new(input: InputId, thumbnail: String, say: Say) -> Self {
        Self {
            input,
            thumbnail,
            say,
            latest: None,
            latency: Vec::new(),
            stood_by: Vec::new(),
            had_picture: false,
            lost: None,
            sound_lost: None,
            sound_told: None,
            trouble_told: None,
        }
    }

    /// The worker is alive and gets things done.
    pub(super) fn beat(&self) {
        (self.say)(ChildMessage::Beat);
    }

    /// `what` stands still, so there are no more beats.
    pub(super) fn hangs(&self, what: &str) {
        let reason = format!("{what} hangs; the worker is about to be replaced");
        self.event(EventKind::Note, Severity::Warning, self.input.as_str(), reason);
    }

    pub(super) fn event(&self, kind: EventKind, severity: Severity, subject: &str, reason: String) {
        let from = Role::Encode(self.input.clone());
        (self.say)(ChildMessage::Event(Event::new(
            (clock::wall(), clock::media()),
            from,
            kind,
            severity,
            subject,
            reason,
        )));
    }

    pub(super) fn unit_made(&mut self, unit: &Encoded, now: Media) {
        let stream = usize::from(unit.stream);
        if self.latency.len() <= stream {
            self.latency.resize(stream + 1, 0);
        }
        let late = (now - unit.pts).to_duration().min(Duration::from_secs(3600));
        self.latency[stream] = u32::try_from(late.as_millis()).unwrap_or(u32::MAX);
    }

    /// An encoder gave a picture that nobody wants.
    pub(super) fn stood_by(&mut self, stream: u16) {
        let stream = usize::from(stream);
        if self.stood_by.len() <= stream {
            self.stood_by.resize(stream + 1, 0);
        }
        self.stood_by[stream] += 1;
    }

    /// An encoder gave something that is not an access unit.
    pub(super) fn spoilt(&mut self, rendition: &str, why: &str) {
        self.trouble(rendition, format!("one unit of the encoder was lost: {why}"));
    }

    /// The grid thread reported; returns why the process must end, if it must.
    pub(super) fn grid_reported(&mut self, mut report: GridReport) -> Option<String> {
        let mut stuck = None;
        for notice in report.notices.drain(..) {
            match notice {
                Notice::Signal(_) => self.lost = None,
                Notice::Lost(why) if self.lost.as_ref() == Some(&why) => {}
                Notice::Lost(why) => {
                    self.event(EventKind::InputChanged, Severity::Warning, self.input.as_str(), why.clone());
                    self.lost = Some(why);
                }
                Notice::Sound => self.sound_lost = None,
                Notice::SoundLost(why) if self.sound_lost.as_ref() == Some(&why) => {}
                Notice::SoundLost(why) => {
                    self.sound_lost = Some(why.clone());
                    self.sound_trouble(why);
                }
                Notice::Note(what) => {
                    self.event(EventKind::Note, Severity::Warning, self.input.as_str(), what);
                }
                Notice::Stuck(why) => stuck = Some(why),
            }
        }
        let has_picture = report.status.has_picture;
        if has_picture != self.had_picture {
            self.had_picture = has_picture;
            let what = &report.status.description;
            let (severity, reason) = if has_picture {
                self.lost = None;
                (Severity::Info, format!("{what}: picture"))
            } else {
                (Severity::Warning, format!("{what}: no picture; it is looked for again and again"))
            };
            self.event(EventKind::InputChanged, severity, self.input.as_str(), reason);
        }
        self.latest = Some(report);
        stuck
    }

    /// Every 500 ms. `thumbnail` is of when it is, if there is one.
    pub(super) fn report(&self, streams: &[Stream], outbox: &Outbox, thumbnail: Option<Wall>) {
        let Some(GridReport { status, given_up, queues, .. }) = &self.latest else { return };
        let streams = (0..).zip(streams).map(|(number, stream)| {
            let (encoded, overflowed) = outbox.counts(number);
            let queue = queues.iter().find(|queue| queue.stream == number);
            let waiting = queue.map_or(Media::ZERO, |queue| queue.waiting).to_duration();
            let (bitrate_changes, keyframes_by_bitrate) = stream.control.as_ref().map_or((0, 0), VideoControl::changes);
            WorkerStream {
                rendition: stream.rendition.clone(),
                encoder: stream.encoder.clone(),
                encoded,
                stood_by: self.stood_by.get(usize::from(number)).copied().unwrap_or(0),
                overflowed,
                latency_ms: self.latency.get(usize::from(number)).copied().unwrap_or(0),
                waiting_ms: u32::try_from(waiting.as_millis()).unwrap_or(u32::MAX),
                left_out: queue.map_or(0, |queue| queue.left_out),
                bitrate_changes,
                keyframes_by_bitrate,
            }
        });
        let signal = match &self.lost {
            Some(why) if !status.has_picture => why.clone(),
            Some(_) | None => status.description.clone(),
        };
        (self.say)(ChildMessage::Worker(WorkerReport {
            input: self.input.clone(),
            signal,
            has_picture: status.has_picture,
            repeated: status.counts.repeated,
            dropped: status.counts.dropped + given_up,
            drift_ppm: status.drift_ppm,
            streams: streams.collect(),
            thumbnail: thumbnail.map(|taken| ThumbnailSnapshot { path: self.thumbnail.clone(), taken }),
        }));
    }

    /// A card that comes and goes is told of now and then.
    fn sound_trouble(&mut self, reason: String) {
        let now = clock::media();
        if self.sound_told.is_none_or(|told| now - told >= SAY_AGAIN) {
            self.sound_told = Some(now);
            self.event(EventKind::InputChanged, Severity::Warning, self.input.as_str(), reason);
        }
    }

    /// Tells of trouble unless some was told just before.
    fn trouble(&mut self, subject: &str, reason: String) {
        let now = clock::media();
        if self.trouble_told.is_some_and(|told| now - told < SAY_AGAIN) {
            return;
        }
        self.trouble_told = Some(now);
        self.event(EventKind::Note, Severity::Warning, subject, reason);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;
    use crate::capture::pace::Counts;
    use crate::capture::source::SourceStatus;
    use crate::model::Condition;

    fn reporter() -> (Reporter, Receiver<ChildMessage>) {
        let (say, said) = sync_channel(16);
        let say = Box::new(move |message| say.try_send(message).unwrap());
        (Reporter::new(InputId::new("camera").unwrap(), String::new(), say), said)
    }

    fn report(notices: Vec<Notice>) -> GridReport {
        let status = SourceStatus {
            description: "NV12, capture /dev/video0".to_owned(),
            has_picture: true,
            counts: Counts::default(),
            drift_ppm: 0,
        };
        GridReport { status, condition: Condition::GOOD, notices, fed: vec![], given_up: 0, queues: vec![] }
    }

    fn told(said: &Receiver<ChildMessage>) -> Vec<String> {
        let events = said.try_iter().filter_map(|m| if let ChildMessage::Event(e) = m { Some(e.reason) } else { None });
        events.collect()
    }

    #[test]
    fn sound_that_stays_away_again_is_told_again_and_is_not_what_the_picture_is() {
        let (mut reporter, said) = reporter();
        let lost = || Notice::SoundLost("sound hw:7: nothing comes from it; started again".to_owned());
        reporter.grid_reported(report(vec![Notice::Sound]));
        assert_eq!(told(&said), ["NV12, capture /dev/video0: picture"]);
        reporter.grid_reported(report(vec![lost()]));
        reporter.grid_reported(report(vec![lost()]));
        assert_eq!(told(&said).len(), 1, "the same attempt again is no news");
        // It came again, and goes long after.
        reporter.grid_reported(report(vec![Notice::Sound]));
        reporter.sound_told = Some(clock::media() - SAY_AGAIN);
        reporter.grid_reported(report(vec![lost()]));
        assert_eq!(told(&said).len(), 1);
        assert_eq!(reporter.lost, None, "nothing is lost of the picture");
    }
}
