//! What senders over a network bring, on its way to workers and to the switch.

use holdfast::clock;
use holdfast::encode::protocol::ToWorker;
use holdfast::events::{EventKind, Severity};
use holdfast::ingest::arrival::Arrival;
use holdfast::ingest::strand::Followed;
use holdfast::model::{Feed, InputId, Track};
use holdfast::switch::Input;

use super::{Plane, Worker};

/// Whether a worker takes what its input's sender delivers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Feeding {
    Flows,
    /// It did not take something: what follows is of no use before the next keyframe.
    Broken,
}

impl Worker {
    fn push(&mut self, feed: Feed) {
        if self.wishes.try_send(ToWorker::Feed(feed)).is_err() {
            self.feed = Feeding::Broken;
        }
    }
}

impl Plane {
    /// What is due goes out.
    pub(super) fn time_has_come(&mut self) {
        for unit in self.inlets.take_due(clock::media()) {
            self.switch_input(Input::Unit(unit));
        }
        self.switch_input(Input::Timeout);
    }

    /// A sender over a network delivers, comes or goes.
    pub(super) fn arrived(&mut self, input: &InputId, arrival: Arrival) {
        let is_unit = matches!(arrival, Arrival::Unit(_));
        let Followed { feeds, path } = self.inlets.arrived(input, arrival);
        self.feed(input, feeds);
        if let Some((_, why)) = path {
            let gate = self.inlets.gate_now(input);
            self.set_gate(input, gate);
            self.say(EventKind::InputChanged, Severity::Info, input.as_str(), why);
        }
        if !is_unit {
            self.judge(input);
        }
    }

    /// To the worker, if it reads; one that does not begins again at a keyframe, with formats.
    pub(super) fn feed(&mut self, input: &InputId, feeds: Vec<Feed>) {
        let Some(worker) = self.workers.get_mut(input) else { return };
        for feed in feeds {
            let is_key = matches!(feed, Feed::Unit { track: Track::Video, key: true, .. });
            if worker.feed == Feeding::Broken && is_key {
                worker.feed = Feeding::Flows;
                // It ends with this keyframe.
                for feed in self.inlets.catch_up(input) {
                    worker.push(feed);
                }
            } else if worker.feed == Feeding::Flows {
                worker.push(feed);
            }
        }
    }
}
