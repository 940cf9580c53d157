//! The box: a judge per link, a path, and what the shell around them will do, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::checker::Checker;
use super::line::{Line, MS, S, Us, Wall};
use super::story::{Kind, Story};
use super::tcp::{self, Ack, Tcp};
use crate::link::health::budget::Allowance;
use crate::link::health::path::{Input, Path, Rule};
use crate::link::health::{Carrier, Hint, Judge, Observation, Portal, SessionId, Standing, TargetId};
use crate::model::InterfaceName;

/// Between two probes to a target.
const PROBE_EVERY: Us = 100 * MS;
/// A session that gets nothing through for so long is given up.
const GIVE_UP: Us = 10 * S;
/// How often the driver is asked for its carrier.
const CARRIER_EVERY: Us = 50 * MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Ack { session: u32, ack: Ack },
    Timer { session: u32 },
    Talk { session: u32 },
    Write,
    Probe { link: usize },
    Answer { link: usize, target: u8, left: Us },
    Check { link: usize },
    Hint { link: usize },
    Era { link: usize },
    Spent { link: usize },
    Tick,
    Keyframe,
    Connected { attempt: u32 },
    ConnectFailed { attempt: u32 },
    Wake,
}

impl Event {
    /// Whether the box's process has to run for it.
    const fn needs_us(self) -> bool {
        match self {
            Self::Ack { .. } | Self::Timer { .. } | Self::Talk { .. } => false,
            Self::Write
            | Self::Probe { .. }
            | Self::Answer { .. }
            | Self::Check { .. }
            | Self::Hint { .. }
            | Self::Era { .. }
            | Self::Spent { .. }
            | Self::Tick
            | Self::Keyframe
            | Self::Connected { .. }
            | Self::ConnectFailed { .. }
            | Self::Wake => true,
        }
    }
}

/// A connection, made or being made.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: u32,
    pub(super) link: usize,
    pub(super) ingest: usize,
    pub(super) tcp: Option<Tcp>,
    /// When it began to carry the stream.
    pub(super) since: Us,
    /// When its timer is looked at next.
    pub(super) alarm: Option<Us>,
}

pub(super) struct Link {
    pub(super) name: InterfaceName,
    pub(super) line: Line,
    pub(super) judge: Judge,
    pub(super) allowance: Allowance,
    told: Option<(Option<Standing>, Allowance)>,
    carrier: bool,
    /// Whether the judge was told something, or its deadline has come.
    stirred: bool,
    due: Option<Us>,
}

pub(super) struct World {
    pub(super) story: Story,
    begin: Instant,
    pub(super) now: Us,
    queue: BinaryHeap<Reverse<(Us, u64, Event)>>,
    pushed: u64,
    pub(super) random: fastrand::Rng,
    pub(super) links: Vec<Link>,
    pub(super) path: Path,
    pub(super) session: Option<Session>,
    pub(super) standby: Option<Session>,
    pub(super) sessions: u32,
    frozen: Us,
    path_stirred: bool,
    path_due: Option<Us>,
    acks: Vec<Ack>,
    pub(super) check: Checker,
}

const NAMES: [&str; 3] = ["first", "second", "third"];

impl World {
    pub(super) fn new(story: Story, begin: Instant) -> Self {
        let names: Vec<InterfaceName> =
            NAMES[..story.links.len()].iter().map(|name| InterfaceName::new(name).unwrap()).collect();
        let rule = match story.kind {
            Kind::Pinned => Rule::Pinned(names[0].clone()),
            Kind::Failover => Rule::Failover(names.clone()),
            Kind::Best => Rule::Best(names.clone()),
        };
        let links = story.links.iter().zip(&names).map(|(uplink, name)| Link {
            name: name.clone(),
            line: uplink.line(),
            judge: Judge::by(uplink.row, begin),
            allowance: Allowance::Free,
            told: None,
            carrier: true,
            stirred: true,
            due: None,
        });
        let links = links.collect();
        let path = Path::new(rule, story.spares, story.servers.len(), begin);
        let check = Checker::new(&story);
        let mut world = Self {
            begin,
            now: 0,
            queue: BinaryHeap::new(),
            pushed: 0,
            random: fastrand::Rng::with_seed(story.seed ^ 0x5eed),
            links,
            path,
            session: None,
            standby: None,
            sessions: 0,
            frozen: 0,
            path_stirred: true,
            path_due: None,
            acks: Vec::new(),
            check,
            story,
        };
        world.schedule();
        world
    }

    fn schedule(&mut self) {
        for link in 0..self.links.len() {
            let uplink = self.story.links[link].clone();
            // Links are not probed in step.
            self.push(7 * MS * link as Us, Event::Probe { link });
            self.push(S + link as Us, Event::Check { link });
            for at in &uplink.hints {
                self.push(*at, Event::Hint { link });
            }
            let eras: Vec<Us> = self.links[link].line.eras().iter().map(|era| era.from).collect();
            for from in eras {
                // Seen when the kernel tells, or when it is asked.
                let seen = from + if self.random.bool() { MS } else { self.random.u64(0..CARRIER_EVERY) };
                self.push(seen, Event::Era { link });
            }
            if let Some((at, _)) = uplink.spent {
                self.push(at, Event::Spent { link });
            }
        }
        self.push(0, Event::Tick);
        self.push(0, Event::Keyframe);
        self.push(0, Event::Write);
    }

    pub(super) fn push(&mut self, at: Us, event: Event) {
        self.pushed += 1;
        self.queue.push(Reverse((at.max(self.now), self.pushed, event)));
    }

    pub(super) fn at(&self, us: Us) -> Instant {
        self.begin + Duration::from_micros(us)
    }

    pub(super) fn us(&self, at: Instant) -> Us {
        u64::try_from(at.saturating_duration_since(self.begin).as_micros()).unwrap()
    }

    pub(super) fn run(&mut self) {
        self.drain();
        while self.step() {}
        let (path, now) = (self.path.route().cloned(), self.now);
        self.check.ends(path.as_ref(), now);
    }

    fn step(&mut self) -> bool {
        let due = self.timeout();
        let Some(Reverse((at, _, event))) = self.queue.peek().copied() else { return false };
        let (at, event) = match due {
            // A deadline that falls on an event comes before it: the worse order.
            Some(due) if due <= at => (due, Event::Wake),
            Some(_) | None => {
                self.queue.pop();
                (at, event)
            }
        };
        if at >= self.story.length {
            return false;
        }
        if event.needs_us()
            && let Some((_, until)) = self.story.freezes.iter().find(|(from, until)| *from <= at && at < *until)
        {
            self.frozen = *until;
            // What waited to be read comes after the timers.
            let late = self.frozen + u64::from(event != Event::Wake);
            self.push(late, event);
            return true;
        }
        assert!(at >= self.now);
        self.now = at;
        self.handle(event);
        self.drain();
        self.check.step(self.now);
        let (now, due) = (self.now, self.timeout());
        assert!(due.is_none_or(|due| due > now || self.frozen > now), "a deadline that stays due: {due:?} at {now}");
        true
    }

    /// The earliest deadline. Those within a freeze wait for its end.
    fn timeout(&self) -> Option<Us> {
        let due = self.links.iter().filter_map(|link| link.due).chain(self.path_due).min()?;
        Some(due.max(self.frozen))
    }

    /// Deadlines are exact to the nanosecond, this world to the microsecond.
    fn due<R>(&self, timeout: Option<(Instant, R)>) -> Option<Us> {
        timeout.map(|(at, _)| self.us(at + Duration::from_nanos(999)))
    }

    pub(super) fn observe(&mut self, link: usize, observation: Observation) {
        let now = self.at(self.now);
        self.links[link].stirred = true;
        self.links[link].judge.observe(now, observation);
    }

    pub(super) fn hear(&mut self, input: Input) {
        let now = self.at(self.now);
        self.path_stirred = true;
        self.path.observe(now, input);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Wake => {}
            Event::Ack { session, ack } => self.on_session(session, |tcp, line, answers, random, _, acks| {
                tcp.on_ack(ack, line, answers, random, acks);
            }),
            Event::Timer { session } => self.on_session(session, |tcp, line, answers, random, now, acks| {
                if tcp.timer.is_some_and(|at| at <= now) {
                    tcp.on_timer(line, answers, random, now, acks);
                }
            }),
            Event::Talk { session } => {
                let now = self.now;
                if let Some(current) = self.session.as_mut().filter(|current| current.id == session) {
                    let link = &mut self.links[current.link];
                    if link.line.back(now, true, &mut self.random).is_some()
                        && let Some(tcp) = &mut current.tcp
                    {
                        tcp.last_ack = now;
                    }
                    self.push(now + S, event);
                }
            }
            Event::Write => self.write(),
            Event::Probe { link } => self.probe(link),
            Event::Answer { link, target, left } => {
                let rtt = Duration::from_micros(self.now - left);
                self.check.round(link, self.now);
                self.observe(link, Observation::ProbeAnswered { target: TargetId(target), rtt });
            }
            Event::Check { link } => self.check_portal(link),
            Event::Hint { link } => {
                let until = self.at(self.now + 5 * S);
                self.observe(link, Observation::Hint(Hint::Trouble { until }));
            }
            Event::Era { link } => {
                let now = self.now;
                let era = self.links[link].line.now(now);
                self.links[link].stirred = true;
                if era.carrier != self.links[link].carrier {
                    self.links[link].carrier = era.carrier;
                    let carrier = if era.carrier { Carrier::Up } else { Carrier::Down };
                    self.observe(link, Observation::Carrier(carrier));
                }
            }
            Event::Spent { link } => {
                if let Some((_, allowance)) = self.story.links[link].spent {
                    self.links[link].allowance = allowance;
                    self.links[link].stirred = true;
                }
            }
            Event::Tick => {
                self.tick();
                self.push(self.now + self.story.tick, Event::Tick);
            }
            Event::Keyframe => {
                self.check.keyframe = true;
                self.hear(Input::Keyframe);
                self.decide();
                self.check.keyframe = false;
                self.push(self.now + self.story.gop, Event::Keyframe);
            }
            Event::Connected { attempt } => self.connected(attempt),
            Event::ConnectFailed { attempt } => self.connect_failed(attempt),
        }
    }

    /// Runs something of the session that carries, and puts what comes of it on its way.
    fn on_session(
        &mut self,
        session: u32,
        work: impl FnOnce(&mut Tcp, &mut Line, &dyn Fn(Us) -> bool, &mut fastrand::Rng, Us, &mut Vec<Ack>),
    ) {
        let Some(current) = self.session.as_mut().filter(|current| current.id == session) else { return };
        let Some(tcp) = &mut current.tcp else { return };
        let silent = &self.story.servers[current.ingest];
        let answers = |at: Us| !silent.iter().any(|(from, until)| *from <= at && at < *until);
        work(tcp, &mut self.links[current.link].line, &answers, &mut self.random, self.now, &mut self.acks);
        // One event for all: when it comes too early, it is put off.
        let timer = tcp.timer.filter(|at| current.alarm.is_none_or(|alarm| *at < alarm || alarm <= self.now));
        if let Some(at) = timer {
            current.alarm = Some(at);
            self.push(at, Event::Timer { session });
        }
        for ack in std::mem::take(&mut self.acks) {
            self.push(ack.arrives, Event::Ack { session, ack });
        }
    }

    fn write(&mut self) {
        self.push(self.now + tcp::EVERY, Event::Write);
        let Some(session) = self.session.as_ref().map(|session| session.id) else { return };
        self.on_session(session, |tcp, line, answers, random, now, acks| {
            tcp.write(1);
            tcp.pump(line, answers, random, now, acks);
        });
    }

    /// What the shell reads of the session that carries.
    fn tick(&mut self) {
        let Some(session) = &self.session else { return };
        let (id, link) = (session.id, session.link);
        let Some(tcp) = &session.tcp else { return };
        let figures = tcp.figures(self.now);
        let (progress, last_ack) = (tcp.progress, tcp.last_ack);
        self.check.progress(progress);
        self.check.carries(self.now);
        if !self.story.talks {
            self.check.round(link, last_ack);
        }
        if self.now.saturating_sub(session.since.max(tcp.progress)) > GIVE_UP && tcp.unconfirmed() > 0 {
            let route = self.route_of(link, session.ingest);
            self.end_session();
            self.hear(Input::Failed(route.clone()));
            self.decide();
            if self.session.is_none() {
                self.connect(&route, true);
            }
            return;
        }
        self.observe(link, Observation::Tcp(SessionId(id), figures));
    }

    fn probe(&mut self, link: usize) {
        self.push(self.now + PROBE_EVERY, Event::Probe { link });
        for target in 0..2_u8 {
            self.observe(link, Observation::ProbeSent(TargetId(target)));
            let Some(there) = self.links[link].line.forward(self.now, false, &mut self.random) else { continue };
            let silent =
                self.story.targets[usize::from(target)].iter().any(|(from, until)| *from <= there && there < *until);
            if silent || self.story.links[link].filtered {
                continue;
            }
            if let Some(arrives) = self.links[link].line.back(there, false, &mut self.random) {
                self.push(arrives, Event::Answer { link, target, left: self.now });
            }
        }
    }

    fn check_portal(&mut self, link: usize) {
        let now = self.now;
        self.push(now + self.story.links[link].checks_every, Event::Check { link });
        let era = self.links[link].line.now(now);
        let portal = match era.wall {
            Wall::None if era.carries() => Portal::Clear,
            Wall::None => return,
            Wall::Everything | Wall::Tcp if era.carrier && !era.forward.hole && !era.back.hole => Portal::Captive,
            Wall::Everything | Wall::Tcp => return,
        };
        self.check.portal(link, portal);
        self.observe(link, Observation::Portal(portal));
    }

    /// Takes out everything that was decided, until nothing more comes of it.
    fn drain(&mut self) {
        if self.frozen > self.now {
            return;
        }
        let now = self.at(self.now);
        loop {
            let mut quiet = true;
            for link in 0..self.links.len() {
                if !self.links[link].stirred && self.links[link].due.is_none_or(|due| due > self.now) {
                    continue;
                }
                self.links[link].stirred = false;
                while let Some(action) = self.links[link].judge.poll(now) {
                    quiet = false;
                    self.act(link, &action);
                }
                let there = self.links[link].carrier || self.links[link].line.now(self.now).there;
                let told = (there.then(|| self.links[link].judge.standing()), self.links[link].allowance);
                // Points and figures change all the time; what matters is told at once.
                if self.links[link].told.as_ref().is_none_or(|before| differs(before, &told)) {
                    self.links[link].told = Some(told);
                    let (standing, allowance) = told;
                    let name = self.links[link].name.clone();
                    self.hear(Input::Link { link: name, standing, allowance });
                }
                self.links[link].due = self.due(self.links[link].judge.poll_timeout());
            }
            if self.path_stirred || self.path_due.is_some_and(|due| due <= self.now) {
                self.path_stirred = false;
                quiet &= !self.decide();
                self.path_due = self.due(self.path.poll_timeout());
            }
            if quiet {
                return;
            }
        }
    }
}

/// Whether the path has to hear of it.
fn differs(before: &(Option<Standing>, Allowance), after: &(Option<Standing>, Allowance)) -> bool {
    before.1 != after.1
        || match (&before.0, &after.0) {
            (Some(before), Some(after)) => before.differs_from(after),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        }
}
