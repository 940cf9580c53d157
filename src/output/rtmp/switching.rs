//! What a destination does about its links: takes the way that the policy of links wants.

use std::time::Instant;

use super::connection::Connection;
use super::destination::{Destination, Opening, leave};
use super::live::{Line, Live};
use super::routing::{Aside, Routing, Stage};
use super::socket::Way;
use crate::distribute::Replay;
use crate::link::JudgedSession;
use crate::link::health::path::{Decision, How, Route, Why};
use crate::model::AccessUnit;
use crate::output::Wake;
use crate::rtmp::trouble::Trouble;

impl Destination {
    /// Does what the policy of links wants.
    pub(super) fn follow(&mut self, mut line: Line, now: Instant) -> Line {
        while let Some(decision) = self.routing.as_mut().and_then(|routing| routing.poll(now)) {
            self.report.routed(&decision, now);
            line = match decision {
                Decision::Prepare { route, .. } => {
                    let opening = self.stand_by(&route);
                    if let Some(routing) = &mut self.routing {
                        routing.prepare(route, opening);
                    }
                    line
                }
                Decision::Switch { to, how, why, .. } => self.switch(&to, how, &why, line, now),
                Decision::Reconnect { why: Why::Server(fault), .. } => match line {
                    Line::Live(mut live) => {
                        let unread = live.unread_since();
                        self.lost_at(unread, *live, &Trouble::NoProgress(fault.silent), now)
                    }
                    line @ (Line::Idle | Line::Opening(_) | Line::Ending(_)) => line,
                },
                Decision::Halt { why } => self.halt(&why, line, now),
                Decision::Activate { ref route, .. } => {
                    if self.activate(route, &mut line) {
                        self.report.note(decision.to_string());
                    }
                    line
                }
                Decision::StandDown { ref route } => {
                    if self.stand_down(route, now) {
                        self.report.note(decision.to_string());
                    }
                    line
                }
                // Connecting again is the other policy's business, which knows how long to wait.
                Decision::Reconnect { .. }
                | Decision::Stays { .. }
                | Decision::PutOff { .. }
                | Decision::Stranded { .. } => line,
            };
        }
        if let Some(routing) = &self.routing {
            self.report.route(routing.route(), routing.ready());
        }
        line
    }

    /// The stream goes there from here on.
    fn switch(&mut self, to: &Route, how: How, why: &Why, line: Line, now: Instant) -> Line {
        let Some(attempt) = self.policy.turn(to.ingest, now) else { return line };
        match line {
            Line::Live(live) => self.leave_for(*live, how, why),
            // Stopped and wanted again in one breath.
            Line::Ending(connection) => self.end_aside(connection),
            Line::Idle | Line::Opening(_) => {}
        }
        let name = attempt.name.clone();
        let stage = self.routing.as_mut().and_then(|routing| routing.take(to));
        if let Some(Stage::Carrying(mut live)) = stage {
            self.policy.published(now);
            self.report.publishing(&attempt.url, live.subscription.behind(), now);
            let judged = self.judged();
            live.comes_forward(&mut self.report, judged, now);
            self.resume = None;
            return Line::Live(live);
        }
        Line::Opening(match stage {
            Some(Stage::Ready { connection, .. }) => Box::pin(connection.publish(name)),
            Some(Stage::Opening(opening)) => Box::pin(async move { opening.await?.publish(name).await }),
            Some(Stage::Publishing(opening, _)) => opening,
            Some(Stage::Carrying(_)) | None => self.open(attempt),
        })
    }

    /// The session that was publishing has a successor elsewhere, which goes on from what its far end has.
    fn leave_for(&mut self, mut live: Live, how: How, why: &Why) {
        live.written(&self.report);
        self.resume = Some(match (how, why) {
            // The old session is well, and gets everything before this keyframe.
            (How::AtKeyframe, why) if !matches!(why, Why::Poor(_)) && !live.subscription.is_a_group_behind() => {
                Replay::from(live.subscription.cursor())
            }
            (How::Hot | How::Cold, Why::Server(_)) => live.unread_since(),
            (How::Hot | How::Cold | How::AtKeyframe, _) => {
                live.confirmed.observe(live.connection.state().unconfirmed);
                Replay::from(live.confirmed.place())
            }
        });
        self.over(&mut live.connection);
        match (how, why) {
            // A server that goes on after all reads what it was sent, up to the end.
            (How::AtKeyframe, _) | (_, Why::Server(_)) => leave(live.connection),
            (How::Hot | How::Cold, _) => live.connection.reset_on_close(),
        }
    }

    /// Nothing is sent from here on, until there is a route again.
    fn halt(&mut self, why: &Why, line: Line, now: Instant) -> Line {
        let Why::BudgetSpent(link) = why else { return line };
        if let Some(routing) = &mut self.routing {
            routing.halt();
        }
        let trouble = Trouble::DataCap(link.clone());
        match line {
            Line::Live(mut live) => {
                live.written(&self.report);
                self.resume = Some(Replay::from(live.subscription.cursor()));
                self.over(&mut live.connection);
                leave(live.connection);
                self.failed(&trouble, now)
            }
            Line::Idle | Line::Opening(_) => {
                // One that waits has failed without being made.
                let _ = self.policy.attempt(now);
                self.failed(&trouble, now)
            }
            line @ Line::Ending(_) => line,
        }
    }

    /// The standby there carries too, until it is known what becomes of the publishing session; whether it does.
    fn activate(&mut self, route: &Route, line: &mut Line) -> bool {
        if let (Line::Live(live), Some(routing)) = (line, &mut self.routing)
            && routing.may_carry_twice()
        {
            let name = self.policy.name_at(route.ingest);
            live.confirmed.observe(live.connection.state().unconfirmed);
            let replay = Replay::from(live.confirmed.place());
            return routing.activate(route, replay, |connection| Box::pin(connection.publish(name)));
        }
        false
    }

    /// It need not any more: a new one stands by in its place. Whether it did.
    fn stand_down(&mut self, route: &Route, now: Instant) -> bool {
        let next = self.stand_by(route);
        let stage = self.routing.as_mut().and_then(|routing| routing.stand_down(route, next));
        let did = stage.is_some();
        if let Some(Stage::Carrying(live)) = stage {
            leave(live.stands_down(&self.report, now));
        }
        did
    }

    fn stand_by(&mut self, route: &Route) -> Opening {
        let (facts, ca_file, random) = (self.facts.clone(), self.settings.ca_file.clone(), self.random.fork());
        let url = self.policy.address(route.ingest).clone();
        let way = Way { link: route.link.clone(), resolver: self.resolver(), links: self.links.clone() };
        Box::pin(async move { Connection::stand_by(url, facts, ca_file.as_deref(), Some(way), random).await })
    }

    /// `unit` comes next, unless the stream goes over another link from it on.
    pub(super) fn keyframe(&mut self, live: Box<Live>, unit: &AccessUnit, now: Instant) -> Line {
        if let Some(routing) = &mut self.routing {
            routing.keyframe(now);
        }
        match self.follow(Line::Live(live), now) {
            Line::Live(mut live) => {
                live.send(unit);
                Line::Live(live)
            }
            line @ (Line::Idle | Line::Opening(_) | Line::Ending(_)) => line,
        }
    }

    pub(super) fn aside(&mut self, aside: Aside, now: Instant) {
        if let Aside::Published(Ok(connection), replay) = aside {
            let subscription = self.feed.subscribe_from(replay, Wake::EachPicture);
            if let Some(routing) = &mut self.routing {
                routing.carries(Live::new(connection, subscription, None, now));
            }
            return;
        }
        // Made here, since only the destination knows how; used only if the standby is old.
        let is_old = matches!(aside, Aside::Old);
        let ready = self.routing.as_ref().and_then(Routing::ready).filter(|_| is_old).cloned();
        let renewed = ready.map(|route| self.stand_by(&route));
        if let Some(routing) = &mut self.routing {
            routing.aside(aside, renewed, now);
        }
    }

    /// The session that begins, as the judge of its link hears of it.
    pub(super) fn judged(&self) -> Option<JudgedSession> {
        let routing = self.routing.as_ref()?;
        Some(routing.judging().session(routing.route()?.link.clone()))
    }
}
