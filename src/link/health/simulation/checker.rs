//! The rules. Knows what every link and server is really like at every moment.

use super::line::{Era, MS, S, Us, Wall};
use super::story::{Kind, Story};
use super::world::{Session, World};
use crate::link::health::budget::Allowance;
use crate::link::health::path::{BURST, Decision, How, MOST_IN_A_MINUTE, Route, Why};
use crate::link::health::{
    Action, Alarm, Evidence, FORGIVEN_AFTER, Health, NO_PROGRESS, PROBATION_MOST, Portal, ServerFault, Standing,
};

/// A link that has been clean for so long, and a server behind it that works, have to carry the stream by then.
pub(super) const ON_AIR_WITHIN: Us = 15 * S;
/// A dead link is left within this, if another one is known to work.
pub(super) const LEFT_WITHIN: Us = 3 * S;
/// ... and one without a carrier within this: 100 ms, and 50 until somebody asked the driver.
const CARRIER_LEFT_WITHIN: Us = 200 * MS;
/// A silent server is left within this.
const SERVER_LEFT_WITHIN: Us = 4 * S;
/// A stream that gets nothing through for longer than this is taken to stall.
pub(super) const STALLED_AFTER: Us = S;
/// The rules that take looking back are looked at so often.
const LOOK_EVERY: Us = 100 * MS;

/// A link's truth, and what its judge made of it.
struct Truth {
    eras: Vec<Era>,
    dead_after: Us,
    probation: Us,
    usable: bool,
    /// When the last packet that went there and back came back.
    round: Us,
    portal: Option<Portal>,
    left: Option<Us>,
    /// Failures in a row as this file counts them, and what the last one may be excused by.
    relapses: u32,
    remembered: Option<Us>,
    trusted: bool,
}

pub(super) struct Checker {
    truths: Vec<Truth>,
    story: Story,
    pub(super) keyframe: bool,
    progressed: Us,
    pub(super) digest: u64,
    switches: Vec<Us>,
    looked: Us,
    /// The present route: link, server, since when, and whether a session carries there.
    route: Option<(usize, usize, Us)>,
    failures: u32,
    /// What it came to.
    pub(super) told: Told,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) deaths: u64,
    pub(super) switches: u64,
    pub(super) returns: u64,
    pub(super) blamed: u64,
    pub(super) alarms: u64,
    /// From the moment that nothing passed to the moment that the stream left, of silent links.
    pub(super) left_after: Vec<Us>,
    /// The same of links that lost their carrier.
    pub(super) left_carrier_after: Vec<Us>,
    /// From the moment that a server fell silent to the moment that it was left.
    pub(super) left_server_after: Vec<Us>,
    pub(super) worst_off_air: Us,
    pub(super) most_in_a_minute: usize,
    /// What became of the links: when, which one, and what.
    pub(super) turns: Vec<(Us, usize, Turn)>,
    /// From when until when a session's figures were read.
    pub(super) carried: Vec<(Us, Us)>,
    /// For how long nothing got through that had waited for more than [`STALLED_AFTER`].
    pub(super) stalled: Us,
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Suspect,
    Cleared,
    Dead,
    Returned,
}

impl Told {
    pub(super) fn add(&mut self, other: Self) {
        self.deaths += other.deaths;
        self.switches += other.switches;
        self.returns += other.returns;
        self.blamed += other.blamed;
        self.alarms += other.alarms;
        self.left_after.extend(other.left_after);
        self.left_carrier_after.extend(other.left_carrier_after);
        self.left_server_after.extend(other.left_server_after);
        self.worst_off_air = self.worst_off_air.max(other.worst_off_air);
        self.most_in_a_minute = self.most_in_a_minute.max(other.most_in_a_minute);
        self.turns.extend(other.turns);
        self.carried.extend(other.carried);
        self.stalled += other.stalled;
    }
}

impl Checker {
    pub(super) fn new(story: &Story) -> Self {
        let us = |duration: std::time::Duration| duration.as_micros() as Us;
        let truths = story.links.iter().enumerate().map(|(index, uplink)| Truth {
            eras: uplink.line().eras().to_vec(),
            dead_after: us(uplink.row.dead),
            probation: us(uplink.row.probation),
            usable: !uplink.filtered && uplink.spent.is_none() && (story.kind != Kind::Pinned || index == 0),
            round: 0,
            portal: None,
            left: None,
            relapses: 0,
            remembered: None,
            trusted: false,
        });
        Self {
            truths: truths.collect(),
            keyframe: false,
            progressed: 0,
            digest: 0xcbf2_9ce4_8422_2325,
            switches: Vec::new(),
            looked: 0,
            route: None,
            failures: 0,
            told: Told::default(),
            story: story.clone(),
        }
    }

    fn mix(&mut self, now: Us, what: &str) {
        for byte in now.to_le_bytes().into_iter().chain(what.bytes()) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(super) fn round(&mut self, link: usize, at: Us) {
        self.truths[link].round = self.truths[link].round.max(at);
    }

    pub(super) fn portal(&mut self, link: usize, portal: Portal) {
        self.truths[link].portal = Some(portal);
    }

    pub(super) fn progress(&mut self, at: Us) {
        self.progressed = self.progressed.max(at);
    }

    /// A session's figures are read.
    pub(super) fn carries(&mut self, at: Us) {
        match self.told.carried.last_mut() {
            Some((_, until)) if at <= *until + LOOK_EVERY => *until = at,
            Some(_) | None => self.told.carried.push((at, at)),
        }
    }

    /// Since when a link has been like that without a break; None if it is not now.
    fn since(&self, link: usize, now: Us, like: impl Fn(&Era) -> bool) -> Option<Us> {
        let eras = self.truths[link].eras.iter().rev().skip_while(|era| era.from > now);
        eras.take_while(|era| like(era)).last().map(|era| era.from)
    }

    fn ever(&self, link: usize, from: Us, now: Us, like: impl Fn(&Era) -> bool) -> bool {
        self.truths[link].eras.iter().any(|era| era.from <= now && era.until > from && like(era))
    }

    fn is_server_silent(&self, ingest: usize, from: Us, now: Us) -> bool {
        self.story.servers[ingest].iter().any(|(begins, ends)| *begins <= now && *ends > from)
    }

    fn froze(&self, from: Us, now: Us) -> bool {
        self.story.freezes.iter().any(|(begins, ends)| *begins <= now && *ends > from)
    }

    /// Whether there is another link that has been good for so long, and a token to go there.
    fn could_leave(&self, link: usize, since: Us, now: Us) -> bool {
        let recent = self.switches.iter().filter(|at| **at + 60 * S > now).count();
        let other = (0..self.truths.len()).any(|other| {
            other != link
                && self.truths[other].usable
                && self.since(other, now, Era::is_clean).is_some_and(|clean| clean == 0 || clean + 3 * S <= since)
        });
        // Without any probe a silent server and a dead link look the same, and so do a dead link and one that is back.
        let probed = self.story.targets.iter().any(Vec::is_empty);
        other && probed && recent < BURST as usize && self.story.kind != Kind::Pinned
    }

    pub(super) fn step(&mut self, now: Us) {
        if now < self.looked + LOOK_EVERY {
            return;
        }
        self.looked = now;
        if self.froze(now.saturating_sub(ON_AIR_WITHIN), now) {
            return;
        }
        self.look_at_air(now);
        if let Some((link, ingest, since)) = self.route {
            self.look_at_link(link, since, now);
            self.look_at_server(link, ingest, since, now);
        }
    }

    fn look_at_air(&mut self, now: Us) {
        let off_air = now.saturating_sub(self.progressed);
        let began = now.saturating_sub(off_air);
        if off_air > STALLED_AFTER {
            self.told.stalled += LOOK_EVERY;
        }
        let clean = (0..self.truths.len()).any(|link| {
            self.truths[link].usable && self.since(link, now, Era::is_clean).is_some_and(|since| since <= began)
        });
        let served = (0..self.story.servers.len()).any(|ingest| !self.is_server_silent(ingest, began, now));
        if clean && served {
            self.told.worst_off_air = self.told.worst_off_air.max(off_air);
            assert!(off_air < ON_AIR_WITHIN, "off air for {off_air} us at {now} although a clean link was there");
        }
    }

    fn look_at_link(&mut self, link: usize, since: Us, now: Us) {
        let dead = |era: &Era| !era.carries() && era.wall != Wall::Tcp;
        let Some(died) = self.since(link, now, dead) else { return };
        // A session that is being made has no witness but the probes.
        if died < since + S || !self.could_leave(link, died, now) {
            return;
        }
        let lost = self.since(link, now, |era| !era.carrier);
        assert!(now - died <= LEFT_WITHIN, "link {link} is dead since {died} and not left at {now}");
        if let Some(lost) = lost {
            assert!(now - lost <= CARRIER_LEFT_WITHIN, "link {link} has no carrier since {lost}, not left at {now}");
        }
    }

    fn look_at_server(&mut self, link: usize, ingest: usize, since: Us, now: Us) {
        let fault = self.story.servers[ingest].iter().find(|(from, until)| *from <= now && now < *until);
        let Some((silent, _)) = fault.copied() else { return };
        let clean = self.since(link, now, Era::is_clean).is_some_and(|at| at == 0 || at + 5 * S <= silent);
        let others = (0..self.story.servers.len())
            .any(|other| other != ingest && !self.is_server_silent(other, silent.saturating_sub(S), now));
        let probed = !self.story.links[link].filtered && self.story.targets.iter().any(Vec::is_empty);
        let tokens = self.switches.iter().filter(|at| **at + 60 * S > now).count() < BURST as usize;
        if clean && others && probed && tokens && self.failures == 0 && silent > since + S {
            assert!(now - silent <= SERVER_LEFT_WITHIN, "server {ingest} is silent since {silent}, not left at {now}");
        }
    }

    pub(super) fn action(
        &mut self,
        link: usize,
        action: &Action,
        standing: &Standing,
        session: Option<&Session>,
        now: Us,
    ) {
        self.mix(now, &action.to_string());
        let turn = match action {
            Action::Arm { because: Alarm::Suspect(_), .. } => Some(Turn::Suspect),
            Action::StandDown { .. } => Some(Turn::Cleared),
            Action::Leave(_) => Some(Turn::Dead),
            Action::Returned(_) => Some(Turn::Returned),
            Action::Arm { .. } | Action::Trusted { .. } | Action::BlameServer(_) | Action::TooLossy { .. } => None,
        };
        self.told.turns.extend(turn.map(|turn| (now, link, turn)));
        match action {
            Action::Leave(evidence) => self.leaves(link, evidence, now),
            Action::Trusted { .. } => self.trusts(link, now),
            Action::BlameServer(fault) => self.blames(link, fault, session, now),
            Action::Arm { .. } => self.told.alarms += 1,
            Action::StandDown { .. } | Action::Returned(_) | Action::TooLossy { .. } => {}
        }
        assert!(!standing.health.to_string().is_empty());
    }

    /// No link that carried packets both ways within the time of detection is dead.
    fn leaves(&mut self, link: usize, evidence: &Evidence, now: Us) {
        let truth = &self.truths[link];
        match evidence {
            Evidence::NoCarrier { .. } => assert!(
                self.ever(link, now.saturating_sub(60 * MS), now, |era| !era.carrier),
                "link {link} has a carrier at {now}"
            ),
            Evidence::Captive => assert_eq!(truth.portal, Some(Portal::Captive), "link {link} at {now}"),
            Evidence::AllSilent { .. }
            | Evidence::ProbesSilent { .. }
            | Evidence::BackOff { .. }
            | Evidence::NoProgress { .. } => assert!(
                truth.round + truth.dead_after <= now,
                "link {link} is called dead at {now}: {evidence}, but a packet came back at {}",
                truth.round
            ),
        }
        self.told.deaths += 1;
        let truth = &mut self.truths[link];
        if truth.trusted {
            let soon = truth.remembered.is_some_and(|at| now - at < FORGIVEN_AFTER.as_micros() as Us);
            truth.relapses = if soon { truth.relapses + 1 } else { 0 };
            truth.remembered = Some(now);
        }
        truth.trusted = false;
        truth.left = Some(now);
    }

    /// Trust takes a probation, and twice the time after each relapse.
    fn trusts(&mut self, link: usize, now: Us) {
        let truth = &mut self.truths[link];
        if let (Some(left), Some(_)) = (truth.left, truth.remembered) {
            let needs = (truth.probation << truth.relapses.min(8)).min(PROBATION_MOST.as_micros() as Us);
            assert!(now - left >= needs, "link {link} is trusted at {now}, {} us after it failed", now - left);
            truth.remembered = Some(now);
        }
        truth.trusted = true;
    }

    /// A server is only blamed if it was silent, or the way to it is bad in a manner that probes do not see.
    fn blames(&mut self, link: usize, fault: &ServerFault, session: Option<&Session>, now: Us) {
        self.told.blamed += 1;
        let Some(session) = session.filter(|session| session.link == link && session.id == fault.session.0) else {
            return;
        };
        let from = now.saturating_sub(6 * S);
        let silent = self.is_server_silent(session.ingest, from, now);
        // At the hard limit a session is made anew whatever it was: TCP may wait for seconds after a hole is over.
        let hard = fault.silent >= NO_PROGRESS && self.ever(link, from, now, |era| !era.carries());
        let bad = self.ever(link, now.saturating_sub(10 * S), now, |era| {
            era.wall != Wall::None || era.forward.loss > 0.0 || (era.forward.hole ^ era.back.hole)
        });
        assert!(silent || bad || hard, "server {} is blamed at {now}: {fault}", session.ingest);
    }

    pub(super) fn decision(&mut self, decision: &Decision, world: &World) {
        let now = world.now;
        self.mix(now, &decision.to_string());
        if matches!(decision, Decision::Halt { .. }) {
            self.halts(world);
        }
        let Decision::Switch { from, to, why, how } = decision else { return };
        let link = world.index_of(to);
        assert!(
            world.links[link].allowance != Allowance::Barred,
            "sent over link {link} at {now}, which is barred: {decision}"
        );
        self.told.switches += u64::from(from.is_some());
        if let Some(from) = from {
            self.leaves_route(from, to, why, world);
        }
        if *how == How::AtKeyframe {
            self.moves(link, to, world);
        }
        self.route = Some((link, to.ingest, now));
        if matches!(why, Why::Refused | Why::Server(_)) {
            self.failures += 1;
        }
    }

    /// Nothing is sent any more, since its operator does not want the only link used that works.
    fn halts(&mut self, world: &World) {
        let now = world.now;
        let barred = |link: usize| world.links[link].allowance == Allowance::Barred;
        let cause = self.route.map(|(link, ..)| link);
        let right = cause.map_or_else(|| (0..self.truths.len()).any(barred), barred);
        assert!(right, "halted at {now}, and {cause:?} is not barred");
        self.route = None;
    }

    fn leaves_route(&mut self, from: &Route, to: &Route, why: &Why, world: &World) {
        let now = world.now;
        self.switches.push(now);
        let lately = self.switches.iter().filter(|at| **at + 60 * S > now).count();
        self.told.most_in_a_minute = self.told.most_in_a_minute.max(lately);
        assert!(lately <= MOST_IN_A_MINUTE as usize, "{lately} changes in the minute before {now}");
        assert!(self.story.kind != Kind::Pinned || from.link == to.link, "left the pinned link at {now}");
        if matches!(why, Why::Server(_)) && self.failures == 0 && self.story.servers.len() > 1 {
            assert_eq!(from.link, to.link, "the link was left for a silent server at {now}");
        }
        let link = world.index_of(from);
        let carried = self.route.is_some_and(|(_, _, since)| self.since(link, now, |era| !era.carries()) > Some(since));
        match why {
            Why::Link { health: Health::Dead { evidence, .. }, .. } if carried => {
                let silent = |era: &Era| !era.carries();
                let died = self.since(link, now, silent).unwrap_or(now);
                if matches!(evidence, Evidence::NoCarrier { .. }) {
                    self.told.left_carrier_after.push(now - died);
                } else {
                    self.told.left_after.push(now - died);
                }
            }
            Why::Server(_) => {
                let fault = self.story.servers[from.ingest].iter().find(|(begins, ends)| *begins <= now && now < *ends);
                if let Some((silent, _)) = fault {
                    self.told.left_server_after.push(now - silent);
                }
            }
            Why::Start
            | Why::Link { .. }
            | Why::LinkGone(_)
            | Why::BudgetSpent(_)
            | Why::Poor(_)
            | Why::Preferred(_)
            | Why::Better { .. }
            | Why::Refused
            | Why::Uprooted(_)
            | Why::NoLink => {}
        }
    }

    /// A change of choice: at a keyframe, to a session that is there, over a trusted link without a portal.
    fn moves(&mut self, link: usize, to: &Route, world: &World) {
        let now = world.now;
        self.told.returns += 1;
        assert!(self.keyframe, "moved to link {link} without a keyframe at {now}");
        let ready = world
            .standby
            .as_ref()
            .is_some_and(|standby| standby.link == link && standby.ingest == to.ingest && standby.tcp.is_some());
        assert!(ready, "moved to link {link} at {now} before a session was there");
        let known = &world.links[link];
        assert!(
            matches!(known.judge.health(), Health::Up { .. }),
            "moved to link {link} at {now}: {}",
            known.judge.health()
        );
        assert!(known.allowance == Allowance::Free, "moved to link {link} at {now}, whose budget is spent");
        assert_ne!(self.truths[link].portal, Some(Portal::Captive), "moved to link {link} at {now}, behind a portal");
    }

    pub(super) fn ends(&mut self, route: Option<&Route>, now: Us) {
        self.mix(now, &route.map(ToString::to_string).unwrap_or_default());
    }
}
