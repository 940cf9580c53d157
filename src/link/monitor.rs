//! Watches the network: a thread of its own that listens to the kernel, and asks it what it may not tell.
//!
//! ```text
//!   kernel ──multicast──► netlink ──Fact──┐
//!             dump ──────────┘            ├─► Network (pure diff) ──► Links (latest), Changes (each)
//!   driver ◄──GLINK, every 50 ms── asked ─┘      of the interfaces that something is bound to
//! ```
//!
//! A thread of its own, since a driver may take its time to answer: that must hold up nobody's packets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use netlink_packet_core::NetlinkPayload;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::change::{Change, What};
use super::ethtool::Ethtool;
use super::fact::Fact;
use super::hardware::{CLASS_NET, look_up};
use super::links::{CARRIER_POLL, Links};
use super::netlink::{Netlink, facts};
use super::network::Network;
use crate::clock;

/// Changes waiting to be read. When nobody reads, further ones are dropped; the latest [`Links`] have them.
const CHANGES: usize = 256;
/// Room in the kernel for a burst of changes; what does not fit is found by the next dump.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The kernel removes routes without a word when an address goes; another way out than the one that is lost may be there, of
/// which only one is kept; and what is in the queue at an overrun is older than the dump that follows: so everything is looked
/// at once more after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// ... and now and then anyway.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
/// Messages that are taken in before others are told.
const BATCH: usize = 64;
/// A driver that answers slowly is asked less often: at most this part of the time is spent waiting for one.
const SLOW_SHARE: u32 = 10;
/// Between attempts, if the kernel does not answer, or a driver.
const RETRY: Duration = Duration::from_secs(1);

/// Whose drivers are asked for the carrier every [`CARRIER_POLL`]. Of the others it comes from the kernel alone, up to a
/// second late, or not at all if it flaps.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Those of all interfaces.
    All,
    /// Nobody's.
    Nobody,
    /// Those of the interfaces with these names, whatever they are at the time. Nobody is woken while there are none.
    These(watch::Receiver<BTreeSet<String>>),
}

impl Ask {
    fn is_in_vain(&self) -> bool {
        match self {
            Self::All => false,
            Self::Nobody => true,
            Self::These(names) => names.borrow().is_empty(),
        }
    }

    fn wants(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nobody => false,
            Self::These(names) => names.borrow().contains(name),
        }
    }

    /// Waits until others are to be asked.
    async fn changed(&mut self) {
        if let Self::These(names) = self
            && names.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// How the network is watched.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whom to ask for the carrier.
    pub ask: Ask,
    /// Bytes of room for what the kernel tells.
    pub receive_buffer: usize,
    /// Where sysfs lists the interfaces.
    pub class_net: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { ask: Ask::All, receive_buffer: RECEIVE_BUFFER, class_net: CLASS_NET.into() }
    }
}

/// What is seen. The watch ends when both receivers are dropped.
#[derive(Debug)]
pub struct Monitor {
    /// All interfaces as they are. Closed when nobody watches any more, which leaves nothing known.
    pub links: watch::Receiver<Arc<Links>>,
    /// What happens to them, in order.
    pub changes: mpsc::Receiver<Change>,
}

/// Watches the network namespace of the calling thread.
///
/// # Errors
/// If this process may not open a netlink socket, or have a thread. The box works without: nothing is known of its
/// interfaces then, and destinations wait out their back-off.
pub fn watch(options: Options) -> io::Result<Monitor> {
    let (links, seen) = watch::channel(Arc::new(Links::default()));
    let (changes, happened) = mpsc::channel(CHANGES);
    let (answer, opened) = std::sync::mpsc::sync_channel(1);
    // The thread is in the namespace of the one that makes it.
    std::thread::Builder::new().name("links".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(answer.send(Err(error))),
        };
        runtime.block_on(async {
            let netlink = Netlink::open(options.receive_buffer);
            let ethtool = Ethtool::open();
            let (netlink, ethtool) = match (netlink, ethtool) {
                (Ok(netlink), Ok(ethtool)) => (netlink, ethtool),
                (Err(error), _) | (_, Err(error)) => return drop(answer.send(Err(error))),
            };
            drop(answer.send(Ok(())));
            let mut watcher = Watcher {
                network: Network::default(),
                ethtool,
                options,
                links,
                changes,
                asking: BTreeMap::new(),
                overruns: 0,
            };
            watcher.keep_watching(netlink).await;
        });
    })?;
    opened.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that watches the network ended at once")))?;
    Ok(Monitor { links: seen, changes: happened })
}

/// One look at all there is, without watching. Blocks for as long as the kernel takes to answer.
///
/// # Errors
/// As [`watch()`], and if the kernel does not answer.
pub fn look() -> io::Result<Links> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (options, ethtool) = (Options::default(), Ethtool::open()?);
        let netlink = Netlink::open(options.receive_buffer)?;
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "the kernel does not list its interfaces");
        let mut network = Network::default();
        network.resync(netlink.dump().await.ok_or_else(silent)?, clock::media());
        describe_all(&mut network, &ethtool, &options.class_net);
        Ok(network.links())
    })
}

struct Watcher {
    network: Network,
    ethtool: Ethtool,
    options: Options,
    links: watch::Sender<Arc<Links>>,
    changes: mpsc::Sender<Change>,
    /// When each interface's driver is asked next.
    asking: BTreeMap<u32, Instant>,
    overruns: u64,
}

impl Watcher {
    async fn keep_watching(&mut self, mut netlink: Netlink) {
        loop {
            if self.watch(&mut netlink).await.is_some() {
                return;
            }
            // Nobody can say what is there now.
            self.links.send_replace(Arc::new(Links::default()));
            loop {
                tokio::select! {
                    () = sleep(RETRY) => {}
                    () = unwanted(&self.links, &self.changes) => return,
                }
                if let Ok(again) = Netlink::open(self.options.receive_buffer) {
                    netlink = again;
                    break;
                }
            }
        }
    }

    /// Until the kernel does not answer any more (`None`), or nobody wants to know.
    async fn watch(&mut self, netlink: &mut Netlink) -> Option<()> {
        let is_first = self.network == Network::default();
        let found = self.network.resync(netlink.dump().await?, clock::media());
        describe_all(&mut self.network, &self.ethtool, &self.options.class_net);
        // What is there at the beginning has not happened.
        self.tell(if is_first { Vec::new() } else { found });
        let mut poll = interval(CARRIER_POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Twenty times a second nothing has happened: that costs one question and no more.
        let (links, changes) = (self.links.clone(), self.changes.clone());
        let mut unwanted = pin!(unwanted(&links, &changes));
        let mut look_again = pin!(sleep(LOOK_ANYWAY));
        let mut others = self.options.ask.clone();
        loop {
            let asks = !self.options.ask.is_in_vain();
            tokio::select! {
                biased;
                message = netlink.messages.next() => {
                    let mut batch = vec![message?];
                    while batch.len() < BATCH
                        && let Some(Some(message)) = netlink.messages.next().now_or_never()
                    {
                        batch.push(message);
                    }
                    let (mut changes, mut overrun) = (Vec::new(), false);
                    for (message, _) in batch {
                        overrun |= matches!(message.payload, NetlinkPayload::Overrun(_));
                        for fact in facts(message) {
                            changes.extend(self.take(fact));
                        }
                    }
                    let unsaid = |what: &What| matches!(what, What::AddressLost(_) | What::RouteLost | What::SwitchedOff);
                    if overrun || changes.iter().any(|change| unsaid(&change.what)) {
                        let soon = tokio::time::Instant::from_std(clock::now() + LOOK_AGAIN);
                        if look_again.deadline() > soon {
                            look_again.as_mut().reset(soon);
                        }
                    }
                    self.overruns += u64::from(overrun);
                    self.tell(changes);
                    if overrun {
                        self.resync(netlink).await?;
                    }
                }
                () = others.changed() => {}
                _ = poll.tick(), if asks => {
                    let changes = self.ask_carriers();
                    if !changes.is_empty() {
                        self.tell(changes);
                    }
                }
                () = &mut look_again => {
                    self.resync(netlink).await?;
                    look_again.as_mut().reset(tokio::time::Instant::from_std(clock::now() + LOOK_ANYWAY));
                }
                () = &mut unwanted => return Some(()),
            }
        }
    }

    async fn resync(&mut self, netlink: &Netlink) -> Option<()> {
        let found = netlink.dump().await?;
        let changes = self.describing(|network| network.resync(found, clock::media()));
        self.tell(changes);
        Some(())
    }

    /// Takes in one fact, and looks up what follows from it.
    fn take(&mut self, fact: Fact) -> Vec<Change> {
        let mut changes = match &fact {
            Fact::Link(_) => self.describing(|network| network.apply(fact, clock::media())),
            // Nothing else brings an interface, or another name for one.
            Fact::LinkGone { .. }
            | Fact::Address { .. }
            | Fact::AddressGone { .. }
            | Fact::Route { .. }
            | Fact::RouteGone { .. }
            | Fact::Rule(_)
            | Fact::RuleGone(_)
            | Fact::Carrier { .. }
            | Fact::Hardware { .. }
            | Fact::Speed { .. } => self.network.apply(fact, clock::media()),
        };
        for index in of(&changes, |what| matches!(what, What::CarrierReturned | What::SwitchedOn)) {
            changes.extend(ask_speed(&mut self.network, &self.ethtool, index));
        }
        changes
    }

    /// Looks up what new interfaces are, and those whose name or address has changed: what is plugged in is renamed within
    /// milliseconds (udev), modems get another address, and what was looked up by the old one was not found.
    fn describing(&mut self, news: impl FnOnce(&mut Network) -> Vec<Change>) -> Vec<Change> {
        let known = self.network.devices();
        let mut changes = news(&mut self.network);
        let appeared = of(&changes, |what| *what == What::Appeared);
        for (index, device) in self.network.devices() {
            if known.get(&index) != Some(&device) || appeared.contains(&index) {
                changes.extend(describe(&mut self.network, &self.ethtool, &self.options.class_net, index));
            }
        }
        changes
    }

    fn ask_carriers(&mut self) -> Vec<Change> {
        let switched_on = self.network.switched_on().filter(|(_, name)| self.options.ask.wants(name));
        let all: Vec<(u32, String)> = switched_on.map(|(index, name)| (index, name.to_owned())).collect();
        self.asking.retain(|index, _| all.iter().any(|(there, _)| there == index));
        let mut changes = Vec::new();
        for (index, name) in all {
            let begin = clock::now();
            if self.asking.get(&index).is_some_and(|due| *due > begin) {
                continue;
            }
            let answer = self.ethtool.carrier(&name);
            let end = clock::now();
            let pause = (end - begin) * SLOW_SHARE;
            match answer {
                Ok(carrier) => changes.extend(self.take(Fact::Carrier { index, carrier })),
                // A driver that cannot say, which netlink knows as well as it can.
                Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    self.asking.insert(index, end + LOOK_ANYWAY);
                }
                // Gone or renamed, which netlink tells; or its driver resets the device, and answers again in a moment.
                Err(_) => {
                    self.asking.insert(index, end + RETRY);
                }
            }
            if pause > CARRIER_POLL {
                self.asking.insert(index, end + pause);
            }
        }
        changes
    }

    fn tell(&self, changes: Vec<Change>) {
        let links = Links { overruns: self.overruns, ..self.network.links() };
        // The latest state before the news of it, so that whoever hears the news finds it there.
        self.links.send_if_modified(|known| {
            let differs = **known != links;
            if differs {
                *known = Arc::new(links);
            }
            differs
        });
        for change in changes {
            // Full, or nobody reads: the state has it.
            let _ = self.changes.try_send(change);
        }
    }
}

/// Nobody looks any more.
async fn unwanted(links: &watch::Sender<Arc<Links>>, changes: &mpsc::Sender<Change>) {
    changes.closed().await;
    links.closed().await;
}

fn of(changes: &[Change], is_it: impl Fn(&What) -> bool) -> Vec<u32> {
    changes.iter().filter(|change| is_it(&change.what)).map(|change| change.index).collect()
}

fn describe_all(network: &mut Network, ethtool: &Ethtool, class_net: &Path) {
    for index in network.devices().into_keys() {
        describe(network, ethtool, class_net, index);
    }
}

/// What an interface is made of, how fast it is, and whether its carrier is what the kernel said.
fn describe(network: &mut Network, ethtool: &Ethtool, class_net: &Path, index: u32) -> Vec<Change> {
    let Some((name, mac)) = network.device(index).map(|(name, mac)| (name.to_owned(), mac)) else { return Vec::new() };
    let hardware = look_up(class_net, ethtool, &name, index, mac);
    let mut changes = network.apply(Fact::Hardware { index, hardware }, clock::media());
    changes.extend(ask_speed(network, ethtool, index));
    changes
}

fn ask_speed(network: &mut Network, ethtool: &Ethtool, index: u32) -> Vec<Change> {
    let Some(name) = network.device(index).map(|(name, _)| name.to_owned()) else { return Vec::new() };
    let fact = Fact::Speed { index, mbit: ethtool.speed(&name) };
    network.apply(fact, clock::media())
}

/// An interface that can carry traffic again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Its kernel name, e.g. `eth0`.
    pub interface: String,
    /// What was seen, in words.
    pub why: &'static str,
}

impl Return {
    /// If that is what happened.
    pub fn of(change: &Change) -> Option<Self> {
        match change.what {
            What::Returned(why) => Some(Self { interface: change.name.clone(), why }),
            What::Appeared
            | What::Gone
            | What::Renamed { .. }
            | What::SwitchedOn
            | What::SwitchedOff
            | What::CarrierLost
            | What::CarrierReturned
            | What::Blinked { .. }
            | What::AddressGained(_)
            | What::AddressLost(_)
            | What::RouteGained
            | What::RouteLost => None,
        }
    }
}

/// Returns waiting to be read. When nobody reads, further ones are dropped: one is enough to make everybody retry.
const RETURNS: usize = 8;

/// Watches only for networks that come back, as [`watch()`] does; drivers are not asked.
///
/// # Errors
/// As [`watch()`].
pub fn watch_returns() -> io::Result<mpsc::Receiver<Return>> {
    let mut monitor = watch(Options { ask: Ask::Nobody, ..Options::default() })?;
    let (returns, receiver) = mpsc::channel(RETURNS);
    tokio::spawn(async move {
        loop {
            let change = tokio::select! {
                change = monitor.changes.recv() => change,
                () = returns.closed() => return,
            };
            let Some(change) = change else { return };
            if let Some(back) = Return::of(&change) {
                let _ = returns.try_send(back);
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests;
