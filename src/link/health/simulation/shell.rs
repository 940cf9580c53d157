//! What the shell does about it: connects, switches, passes on what the judges say.

use super::checker::Checker;
use super::line::{S, Us};
use super::story::Story;
use super::tcp::Tcp;
use super::world::{Event, Session, World};
use crate::link::health::path::{Decision, How, Input, Route};
use crate::link::health::{Action, Observation, ServerFault, SessionId};

/// How long a connection may take.
const CONNECT_TIMEOUT: Us = 5 * S;
/// Round trips until a stream is published: TCP, handshake, connect, createStream, publish.
const CONNECT_ROUNDS: Us = 5;

impl World {
    pub(super) fn route_of(&self, link: usize, ingest: usize) -> Route {
        Route { link: self.links[link].name.clone(), ingest }
    }

    pub(super) fn index_of(&self, route: &Route) -> usize {
        self.links.iter().position(|link| link.name == route.link).unwrap()
    }

    /// Begins to connect, as the session or as the standby. The request is repeated after 1 and 3 s (TCP_SYN_RETRIES).
    pub(super) fn connect(&mut self, route: &Route, carries: bool) {
        self.sessions += 1;
        let (id, link) = (self.sessions, self.index_of(route));
        let session = Session { id, link, ingest: route.ingest, tcp: None, since: self.now, alarm: None };
        let silent = self.story.servers[route.ingest].clone();
        let answers = |at: Us| !silent.iter().any(|(from, until)| *from <= at && at < *until);
        let mut done = None;
        for repeat in [0, S, 3 * S] {
            // The first may leave now; the line keeps its order of arrivals, so later ones are only looked at.
            let left = self.now + repeat;
            let mut line = self.story.links[link].line();
            let there = line.forward(left, true, &mut self.random);
            let back = there.filter(|there| answers(*there)).and_then(|there| line.back(there, true, &mut self.random));
            let Some(back) = back else { continue };
            let end = left + (back - left) * CONNECT_ROUNDS;
            let era = line.now(end);
            done = (era.carries() && answers(end)).then_some(end);
            break;
        }
        let slot = if carries { &mut self.session } else { &mut self.standby };
        *slot = Some(session);
        match done {
            Some(at) => self.push(at, Event::Connected { attempt: id }),
            None => self.push(self.now + CONNECT_TIMEOUT, Event::ConnectFailed { attempt: id }),
        }
    }

    pub(super) fn connected(&mut self, attempt: u32) {
        let now = self.now;
        if let Some(standby) = self.standby.as_mut().filter(|standby| standby.id == attempt) {
            let rtt = 2 * self.story.links[standby.link].delay;
            standby.tcp = Some(Tcp::new(now, rtt));
            let route = self.route_of(self.standby.as_ref().unwrap().link, self.standby.as_ref().unwrap().ingest);
            self.hear(Input::Ready(route));
        } else if let Some(session) = self.session.as_mut().filter(|session| session.id == attempt) {
            let rtt = 2 * self.story.links[session.link].delay;
            session.tcp = Some(Tcp::new(now, rtt));
            session.since = now;
            self.start_talking();
        }
    }

    fn start_talking(&mut self) {
        // What was not confirmed before is sent again: a second's worth.
        let Some(session) = &mut self.session else { return };
        let id = session.id;
        if let Some(tcp) = &mut session.tcp {
            tcp.write(25);
        }
        if self.story.talks {
            self.push(self.now + S, Event::Talk { session: id });
        }
    }

    pub(super) fn connect_failed(&mut self, attempt: u32) {
        let of = |session: &Option<Session>| session.as_ref().filter(|s| s.id == attempt).map(|s| (s.link, s.ingest));
        let (standby, current) = (of(&self.standby), of(&self.session));
        if standby.is_some() {
            self.standby = None;
        }
        let Some((link, ingest)) = standby.or(current) else { return };
        let route = self.route_of(link, ingest);
        self.hear(Input::Failed(route.clone()));
        self.decide();
        // Nowhere else: again.
        if current.is_some() && self.session.as_ref().is_some_and(|session| session.id == attempt) {
            self.connect(&route, true);
        }
    }

    pub(super) fn end_session(&mut self) {
        if let Some(session) = self.session.take() {
            self.observe(session.link, Observation::SessionEnded(SessionId(session.id)));
        }
    }

    pub(super) fn act(&mut self, link: usize, action: &Action) {
        if self.story.tells {
            println!("{:>9.3} {} {action}", self.now as f64 / 1e6, self.links[link].name);
        }
        let standing = self.links[link].judge.standing();
        self.check.action(link, action, &standing, self.session.as_ref(), self.now);
        match action {
            Action::BlameServer(ServerFault { session, .. }) => {
                if self.session.as_ref().is_some_and(|current| SessionId(current.id) == *session) {
                    let Action::BlameServer(fault) = action else { return };
                    self.hear(Input::ServerFault(*fault));
                }
            }
            Action::Arm { .. }
            | Action::StandDown { .. }
            | Action::Leave(_)
            | Action::Returned(_)
            | Action::Trusted { .. }
            | Action::TooLossy { .. } => {}
        }
    }

    /// Does what the path decided. Returns whether there was anything.
    pub(super) fn decide(&mut self) -> bool {
        let now = self.at(self.now);
        let mut any = false;
        while let Some(decision) = self.path.poll(now) {
            any = true;
            if self.story.tells {
                println!("{:>9.3} {decision}", self.now as f64 / 1e6);
            }
            self.check_decision(&decision);
            match decision {
                Decision::Prepare { route, .. } => self.connect(&route, false),
                Decision::Switch { to, how, .. } => self.switch(&to, how),
                Decision::Reconnect { route, .. } => {
                    self.end_session();
                    self.connect(&route, true);
                }
                Decision::Halt { .. } => {
                    self.end_session();
                    self.standby = None;
                }
                Decision::Activate { .. }
                | Decision::StandDown { .. }
                | Decision::Stays { .. }
                | Decision::PutOff { .. }
                | Decision::Stranded { .. } => {}
            }
        }
        any
    }

    fn switch(&mut self, to: &Route, how: How) {
        self.end_session();
        let link = self.index_of(to);
        let ready = self.standby.take_if(|standby| standby.link == link && standby.ingest == to.ingest);
        match how {
            How::Hot | How::AtKeyframe if ready.as_ref().is_some_and(|standby| standby.tcp.is_some()) => {
                self.session = ready;
                if let Some(session) = &mut self.session {
                    session.since = self.now;
                }
                self.start_talking();
            }
            How::Hot | How::AtKeyframe | How::Cold => self.connect(to, true),
        }
    }

    fn check_decision(&mut self, decision: &Decision) {
        let mut check = std::mem::replace(&mut self.check, Checker::new(&Story::quiet(Vec::new())));
        check.decision(decision, self);
        self.check = check;
    }
}
