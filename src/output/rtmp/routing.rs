//! Which link a destination's sessions go over, and the standby that is ready when that link dies.
//!
//! [`crate::link::health::path`] decides; here a standby is connected, kept and renewed. What becomes of the publishing
//! session is the destination's business.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::Choice;
use super::connection::Connection;
use super::destination::Opening;
use super::live::Live;
use super::socket;
use crate::config::{DestinationSettings, RtmpUrl, Takeover, Via};
use crate::distribute::Replay;
use crate::link::health::ServerFault;
use crate::link::health::budget::Allowance;
use crate::link::health::path::{Decision, Elsewhere, Input, Path, Route, Rule, Spares};
use crate::link::resolve::Resolver;
use crate::link::{Allowances, Judging, Standings};
use crate::rtmp::trouble::Trouble;

/// A standby is replaced by a new one after this time: servers close what publishes nothing (SRS after 30 s).
const RENEW_AFTER: Duration = Duration::from_secs(20);

/// The choice of links of one destination.
pub(super) struct Routing {
    rule: Rule,
    elsewhere: Elsewhere,
    addresses: usize,
    judging: Judging,
    resolver: Resolver,
    servers: Vec<RtmpUrl>,
    standings: watch::Receiver<Arc<Standings>>,
    allowances: watch::Receiver<Option<Arc<Allowances>>>,
    path: Option<Path>,
    standby: Option<Standby>,
}

/// A session that publishes nothing yet.
pub(super) struct Standby {
    pub(super) route: Route,
    pub(super) state: Stage,
}

/// How far a standby is.
pub(super) enum Stage {
    Opening(Opening),
    /// It is about to carry beside the publishing session, from there on.
    Publishing(Opening, Replay),
    /// It does.
    Carrying(Box<Live>),
    Ready {
        connection: Box<Connection>,
        since: Instant,
        /// What is to take its place.
        next: Option<Opening>,
    },
}

/// What happened beside the publishing session.
pub(super) enum Aside {
    /// Links are other than they were.
    Judged,
    /// The policy is due.
    Due,
    /// The standby is connected, or could not be.
    Opened(Result<Connection, Trouble>),
    /// The standby publishes, from there on, or could not.
    Published(Result<Connection, Trouble>, Replay),
    /// The standby's server has hung up, or sent it elsewhere.
    Lost,
    /// The standby has been one for long enough.
    Old,
    /// The next standby is connected, or could not be.
    Renewed(Result<Connection, Trouble>),
}

impl Routing {
    /// `None` where the routing table chooses.
    pub(super) fn new(settings: &DestinationSettings, choice: Option<Choice>) -> Option<Self> {
        let Choice { judging, resolver, allowances, .. } = choice?;
        let rule = match &settings.via {
            Via::Routing => return None,
            Via::Pinned(link) => Rule::Pinned(link.clone()),
            Via::Failover(links) => Rule::Failover(links.clone()),
        };
        // The far end may hold the first address for a session that it does not know to be dead.
        let (elsewhere, addresses) = match settings.takeover {
            Takeover::BackupUrl(_) => (Elsewhere::NextAddress, 2),
            Takeover::PriorityQuery | Takeover::ServerOverrides | Takeover::RetryUntilFree => {
                (Elsewhere::SameAddress, 1)
            }
        };
        let standings = judging.standings();
        let mut servers = vec![settings.url.clone()];
        if let Takeover::BackupUrl(backup) = &settings.takeover {
            servers.push(backup.clone());
        }
        Some(Self {
            rule,
            elsewhere,
            addresses,
            judging,
            resolver,
            servers,
            standings,
            allowances,
            path: None,
            standby: None,
        })
    }

    /// The destination is wanted.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.path.is_none() {
            let path = Path::new(self.rule.clone(), Spares::Always, self.addresses, now);
            self.path = Some(path.beginning(self.elsewhere));
            self.look_up();
            self.judged(now);
        }
    }

    /// So that nobody waits for a name when a link is dead.
    fn look_up(&self) {
        let links = match &self.rule {
            Rule::Pinned(link) => std::slice::from_ref(link),
            Rule::Failover(links) | Rule::Best(links) => links,
        };
        for (link, url) in links.iter().flat_map(|link| self.servers.iter().map(move |url| (link, url))) {
            self.resolver.prefetch_all(link.as_str(), socket::wanted(url));
        }
    }

    /// It is not.
    pub(super) fn end(&mut self) {
        (self.path, self.standby) = (None, None);
    }

    /// Where the stream goes; `None` before that is known.
    pub(super) fn route(&self) -> Option<&Route> {
        self.path.as_ref()?.route()
    }

    /// Where the standby is, if it could take over at once.
    pub(super) fn ready(&self) -> Option<&Route> {
        self.standby
            .as_ref()
            .filter(|standby| matches!(standby.state, Stage::Ready { .. } | Stage::Carrying(_)))
            .map(|standby| &standby.route)
    }

    /// Whether two sessions of this destination can publish at once: they have addresses of their own. Where they have not,
    /// the second would throw the first one out.
    pub(super) fn may_carry_twice(&self) -> bool {
        self.elsewhere == Elsewhere::NextAddress
    }

    pub(super) const fn judging(&self) -> &Judging {
        &self.judging
    }

    pub(super) const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// There is no route; no session stands by for one.
    pub(super) fn halt(&mut self) {
        self.standby = None;
    }

    /// What the policy wants next.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Decision> {
        self.path.as_mut()?.poll(now)
    }

    /// Passes on how the links are, and what they may carry.
    pub(super) fn judged(&mut self, now: Instant) {
        let standings = self.standings.borrow_and_update().clone();
        let allowances = self.allowances.borrow_and_update().clone();
        // Before it is known, a link that is spent would be begun with, and left at once.
        let Some(allowances) = allowances else { return };
        for (link, standing) in standings.iter() {
            let allowance = allowances.get(link).copied().unwrap_or(Allowance::Free);
            self.hear(Input::Link { link: link.clone(), standing: *standing, allowance }, now);
        }
    }

    pub(super) fn server_fault(&mut self, fault: ServerFault, now: Instant) {
        self.hear(Input::ServerFault(fault), now);
    }

    pub(super) fn keyframe(&mut self, now: Instant) {
        self.hear(Input::Keyframe, now);
    }

    /// The publishing session could not be had, or was lost.
    pub(super) fn failed(&mut self, trouble: &Trouble, now: Instant) {
        if trouble.may_be_the_way()
            && let Some(route) = self.route().cloned()
        {
            self.hear(failure(trouble, route), now);
        }
    }

    /// A standby there takes the place of any other.
    pub(super) fn prepare(&mut self, route: Route, opening: Opening) {
        self.standby = Some(Standby { route, state: Stage::Opening(opening) });
    }

    /// The standby, if it is there.
    pub(super) fn take(&mut self, route: &Route) -> Option<Stage> {
        self.standby.take_if(|standby| standby.route == *route).map(|standby| standby.state)
    }

    /// The standby there begins to carry beside the publishing session, which may not have got what comes from `replay` on.
    /// `publish` makes it publish. One that is not connected stays what it is: false.
    pub(super) fn activate(
        &mut self,
        route: &Route,
        replay: Replay,
        publish: impl FnOnce(Box<Connection>) -> Opening,
    ) -> bool {
        match self.standby.take() {
            Some(Standby { route: there, state: Stage::Ready { connection, .. } }) if there == *route => {
                self.standby = Some(Standby { route: there, state: Stage::Publishing(publish(connection), replay) });
                true
            }
            standby => {
                self.standby = standby;
                false
            }
        }
    }

    /// It carries.
    pub(super) fn carries(&mut self, live: Live) {
        if let Some(standby) = &mut self.standby {
            standby.state = Stage::Carrying(Box::new(live));
        }
    }

    /// The standby there carries no more, and `next` takes its place. What it was, if it was on its way.
    pub(super) fn stand_down(&mut self, route: &Route, next: Opening) -> Option<Stage> {
        let standby = self.standby.as_mut().filter(|standby| standby.route == *route)?;
        match standby.state {
            Stage::Publishing(..) | Stage::Carrying(_) => {
                Some(std::mem::replace(&mut standby.state, Stage::Opening(next)))
            }
            Stage::Opening(_) | Stage::Ready { .. } => None,
        }
    }

    /// What happened to the standby; `next` is to take its place if it is old.
    pub(super) fn aside(&mut self, aside: Aside, next: Option<Opening>, now: Instant) {
        match (aside, self.standby.take()) {
            (Aside::Judged, standby) => {
                self.standby = standby;
                self.judged(now);
            }
            (Aside::Opened(Ok(connection)), Some(Standby { route, .. })) => {
                let state = Stage::Ready { connection: Box::new(connection), since: now, next: None };
                self.standby = Some(Standby { route: route.clone(), state });
                self.hear(Input::Ready(route), now);
            }
            // A server that asks to go elsewhere is left like one that hangs up: a standby owes it nothing.
            (Aside::Opened(Err(trouble)) | Aside::Published(Err(trouble), _), Some(Standby { route, .. })) => {
                self.hear(failure(&trouble, route), now);
            }
            (Aside::Lost, Some(Standby { route, .. })) => self.hear(Input::Failed(route), now),
            (Aside::Old, Some(Standby { route, state: Stage::Ready { connection, since, next: None } })) => {
                self.standby = Some(Standby { route, state: Stage::Ready { connection, since, next } });
            }
            (Aside::Renewed(renewed), Some(Standby { route, state: Stage::Ready { connection, .. } })) => {
                // Where there is no new one, the old one may still do.
                let connection = renewed.map_or(connection, Box::new);
                self.standby = Some(Standby { route, state: Stage::Ready { connection, since: now, next: None } });
            }
            (
                Aside::Due | Aside::Opened(_) | Aside::Published(..) | Aside::Lost | Aside::Old | Aside::Renewed(_),
                standby,
            ) => {
                self.standby = standby;
            }
        }
    }

    fn hear(&mut self, input: Input, now: Instant) {
        if let Some(path) = &mut self.path {
            path.observe(now, input);
        }
    }

    /// Waits until something happens. Cancel-safe.
    pub(super) async fn woken(&mut self) -> Aside {
        let Some(path) = &self.path else { return std::future::pending().await };
        let due = path.poll_timeout().map(|(at, _)| at);
        tokio::select! {
            biased;
            Ok(()) = self.standings.changed() => Aside::Judged,
            Ok(()) = self.allowances.changed() => Aside::Judged,
            aside = waits(&mut self.standby) => aside,
            () = at(due) => Aside::Due,
        }
    }
}

/// Whose fault it is.
fn failure(trouble: &Trouble, route: Route) -> Input {
    if matches!(trouble, Trouble::Uprooted) {
        Input::Uprooted(route)
    } else if matches!(trouble, Trouble::Unreachable | Trouble::NoInterface(_)) {
        Input::Unreachable(route)
    } else {
        Input::Failed(route)
    }
}

async fn waits(standby: &mut Option<Standby>) -> Aside {
    match standby.as_mut().map(|standby| &mut standby.state) {
        None => std::future::pending().await,
        Some(Stage::Opening(opening)) => Aside::Opened(opening.await),
        Some(Stage::Publishing(opening, replay)) => {
            let replay = *replay;
            Aside::Published(opening.await, replay)
        }
        Some(Stage::Carrying(live)) => {
            let _ = live.carry().await;
            Aside::Lost
        }
        Some(Stage::Ready { connection, since, next: None }) => tokio::select! {
            _ = connection.next_event() => Aside::Lost,
            () = at(Some(*since + RENEW_AFTER)) => Aside::Old,
        },
        Some(Stage::Ready { connection, next: Some(next), .. }) => tokio::select! {
            renewed = next => Aside::Renewed(renewed),
            // It goes on being there until the next one is.
            _ = connection.next_event() => Aside::Lost,
        },
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
