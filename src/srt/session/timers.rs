//! Deadlines.

use std::time::Instant;

use super::event::{Closed, Reason};
use super::time::{Micros, micros};
use super::{DROP_MARGIN, KEEP_ALIVE, Session, State};

impl Session {
    /// When [`Self::handle_timeout`] is to be called, and what for. None when nothing will happen by itself.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        let mut earliest: Option<(Micros, Reason)> = None;
        let mut at = |when: Option<Micros>, why: Reason| {
            if let Some(when) = when
                && earliest.is_none_or(|(before, _)| when < before)
            {
                earliest = Some((when, why));
            }
        };
        at(self.incoming.buffer.next_source().map(|source| self.incoming.base.play(source)), Reason::Deliver);
        if self.state == State::Closed {
            return earliest.map(|(when, why)| (self.line.instant(when), why));
        }
        if let State::Closing { played, until } = self.state {
            // Once that is past, the last acknowledgement ends it.
            let delivered = self.outgoing.buffer.delivered() == self.outgoing.buffer.next();
            at(Some(if delivered { played } else { until }), Reason::Linger);
        }
        at(self.outgoing.buffer.oldest().map(|made| made + self.useful_for()), Reason::Expire);
        at(self.tail_due(), Reason::Tail);
        if !self.paths.is_empty() {
            at(self.incoming.buffer.losses.earliest(), Reason::Nak);
        }
        for path in &self.paths {
            at(path.inbound.ack_due, Reason::Acknowledge);
            at(path.inbound.report_due, Reason::Report);
            at(Some(path.said + micros(KEEP_ALIVE)), Reason::KeepAlive);
            at(Some(path.heard + micros(self.config.peer_idle)), Reason::PeerIdle);
            // Rounded up: it need not be a whole microsecond, and before it nothing is due.
            at(path.keys.as_ref().and_then(|keys| keys.timeout()).map(|due| self.line.at(due) + 1), Reason::Key);
            if path.flight.is_waiting() && path.is_unblocked(self.outgoing.buffer.base()) {
                at(Some(path.flight.pacer.opens()), Reason::Pace);
            }
        }
        earliest.map(|(when, why)| (self.line.instant(when), why))
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let t = self.line.at(now);
        if self.state == State::Closed {
            return;
        }
        self.expire(t);
        let idle = micros(self.config.peer_idle);
        while let Some(index) = self.paths.iter().position(|path| t - path.heard >= idle) {
            self.remove_path(index, Closed::PeerIdle);
        }
        if !self.paths.is_empty() && self.incoming.buffer.losses.earliest().is_some_and(|due| due <= t) {
            self.ask(t);
        }
        for index in 0..self.paths.len() {
            self.acknowledge(index, t);
            if self.paths[index].inbound.report_due.is_some_and(|due| due <= t) {
                self.paths[index].inbound.report_due = None;
                self.say_report(index, t);
            }
            if t - self.paths[index].said >= micros(KEEP_ALIVE) {
                self.say(index, crate::srt::wire::Control::KeepAlive, t);
            }
        }
        if self.tail_due().is_some_and(|due| due <= t) {
            self.send_tail_again(t);
        }
        if self.keys.are_refreshed() {
            self.announce_keys(t);
        }
        self.finish(t);
    }

    /// How long after its time a packet can be of use to the peer. At that time it is not yet useless.
    pub(super) fn useful_for(&self) -> Micros {
        self.outgoing.latency + micros(DROP_MARGIN) + 1
    }
}
