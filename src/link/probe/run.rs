//! The prober of one link on real sockets: carries out what [`Prober`] and `names` decide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::names::{Names, written_address};
use super::prober::{ProbeCounts, Prober, Transmit};
use crate::clock;
use crate::link::resolve::Lookup;
use crate::link::udp::{Binding, Inbox, Outbox, Route, UdpSocket};
use crate::link::{Knowledge, Links, Outlet};
use crate::model::ProbeTarget;

/// A socket that could not be made is tried again after this time.
const OPEN_AGAIN: Duration = Duration::from_secs(1);
/// How long a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for answers that were not read yet, bytes.
const BUFFER: usize = 64 << 10;
/// Batches that are taken before others have a turn.
const BATCHES: usize = 2;

/// What a prober is to do, and for whom.
pub struct Assignment<T> {
    /// The interface, by the kernel's name.
    pub link: Arc<str>,
    /// Who is asked. Whenever it changes, those that are in the old list and the new one go on as they were.
    pub targets: watch::Receiver<Arc<[ProbeTarget]>>,
    /// What the kernel says of the interfaces.
    pub links: watch::Receiver<Arc<Links>>,
    /// How names are looked up.
    pub lookup: Lookup,
    /// Who is told what was seen. Observations for which there is no room are counted and lost.
    pub observations: Outlet<T>,
    /// For people; what was counted so far.
    pub counts: watch::Sender<ProbeCounts>,
    /// 64 bits that nobody can guess.
    pub seed: u64,
}

/// Probes one link until nobody wants to hear of it. On the current single-threaded runtime (inside a `LocalSet`).
pub async fn run<T>(assignment: Assignment<T>) {
    let Assignment { link, mut targets, links, lookup, observations, counts, seed } = assignment;
    let mut links = Some(links);
    let mut prober = Prober::new(seed, clock::now());
    let (mut names, mut sockets, mut inbox) = (Names::default(), Sockets::new(link.to_string()), Inbox::new());
    let mut lookups = JoinSet::new();
    // Whether there is a list to be read, and whether there may be further ones.
    let (mut is_new, mut may_change) = (true, true);
    if let Some(links) = &mut links {
        sockets.stand_on(&links.borrow_and_update());
    }
    loop {
        let now = clock::now();
        if std::mem::take(&mut is_new) {
            let list = targets.borrow_and_update().clone();
            prober.set_targets(&list);
            names.set_targets(&list, now);
            for target in list.iter() {
                if let Some(address) = written_address(target) {
                    prober.set_addresses(target, &[address], now);
                }
            }
        }
        while let Some(target) = names.poll(now) {
            let found = lookup(target.host.clone(), target.port);
            lookups.spawn_local(async move { (target, timeout(LOOKUP_TIMEOUT, found).await.unwrap_or_default()) });
        }
        while let Some(transmit) = prober.poll_transmit(now) {
            if !sockets.send(&transmit, now) {
                prober.refused();
            }
        }
        while let Some(observation) = prober.poll_observation() {
            if !observations.tell(observation) {
                prober.unheard();
            }
        }
        counts.send_if_modified(|told| std::mem::replace(told, prober.counts()) != *told);
        let due = prober.poll_timeout().into_iter().chain(names.poll_timeout()).min();
        let network = async {
            match &mut links {
                Some(links) => links.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = observations.closed() => return,
            listed = targets.changed(), if may_change => {
                (is_new, may_change) = (listed.is_ok(), listed.is_ok());
            }
            told = network => match (&mut links, told) {
                (Some(watched), Ok(())) => {
                    if sockets.stand_on(&watched.borrow_and_update()) {
                        names.network_changed(clock::now());
                    }
                }
                // Nobody says anything any more; what there is may go on.
                _ => links = None,
            },
            () = sockets.readable() => {
                sockets.receive(&mut inbox, &mut prober);
                // Somebody else's turn, however much more there is.
                tokio::task::yield_now().await;
            }
            Some(Ok((target, found))) = lookups.join_next() => {
                let now = clock::now();
                names.done(&target, !found.is_empty(), now);
                if !found.is_empty() {
                    prober.set_addresses(&target, &found, now);
                }
            }
            () = until(due) => {}
        }
    }
}

/// The sockets of one link, one for each kind of addresses, made when they are needed.
struct Sockets {
    link: String,
    ground: Ground,
    v4: Slot,
    v6: Slot,
}

/// What a socket was made on. On other ground it does not work any more, or some router's memory of it is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ground {
    /// Nobody says anything of interfaces.
    Unknown,
    /// There is no such interface.
    None,
    /// The kernel's number of it, and its addresses.
    Link(u32, Vec<IpAddr>),
}

enum Slot {
    Closed,
    Open(UdpSocket),
    /// It could not be made, or failed.
    Failed(Instant),
}

impl Sockets {
    const fn new(link: String) -> Self {
        Self { link, ground: Ground::Unknown, v4: Slot::Closed, v6: Slot::Closed }
    }

    /// Takes in what the kernel says; sockets that were made on other ground are closed. Whether the ground is another.
    fn stand_on(&mut self, links: &Links) -> bool {
        let ground = match links.named(&self.link) {
            _ if links.knowledge == Knowledge::Nothing => return false,
            Some(link) => Ground::Link(link.index, link.addresses.iter().map(|(address, _)| *address).collect()),
            None => Ground::None,
        };
        if ground == self.ground {
            return false;
        }
        // The first word on a link that was there all the while changes nothing.
        let is_news = self.ground != Ground::Unknown;
        self.ground = ground;
        if is_news {
            (self.v4, self.v6) = (Slot::Closed, Slot::Closed);
        }
        true
    }

    /// Sends a question; false if it did not leave.
    fn send(&mut self, transmit: &Transmit, now: Instant) -> bool {
        let (any, slot): (IpAddr, _) = match transmit.to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), &mut self.v4),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), &mut self.v6),
        };
        let may_open = match slot {
            Slot::Closed => true,
            Slot::Open(_) => false,
            Slot::Failed(at) => now.saturating_duration_since(*at) >= OPEN_AGAIN,
        };
        if may_open {
            let binding = Binding {
                interface: Some(self.link.clone()),
                local: SocketAddr::new(any, 0),
                receive_buffer: BUFFER,
                send_buffer: BUFFER,
                hear_icmp: false,
            };
            *slot = binding.open().map_or(Slot::Failed(now), |(socket, _)| Slot::Open(socket));
        }
        let Slot::Open(socket) = slot else { return false };
        let mut outbox = Outbox::new();
        // What does not leave at once is worth nothing later: the outbox goes, whatever is in it.
        outbox.push(Route { to: transmit.to, from: None }, &transmit.bytes) && socket.send(&mut outbox).datagrams == 1
    }

    /// Waits until something has come. Cancel-safe.
    async fn readable(&self) {
        let one = async |slot: &Slot| match slot {
            Slot::Open(socket) => {
                // Fails only when the runtime has ended, and nothing is waited for any more.
                let _ = socket.readable().await;
            }
            Slot::Closed | Slot::Failed(_) => std::future::pending().await,
        };
        tokio::select! {
            () = one(&self.v4) => {}
            () = one(&self.v6) => {}
        }
    }

    fn receive(&mut self, inbox: &mut Inbox, prober: &mut Prober) {
        for slot in [&mut self.v4, &mut self.v6] {
            let Slot::Open(socket) = slot else { continue };
            let now = clock::now();
            for _ in 0..BATCHES {
                match socket.receive(inbox, |datagram| prober.handle_datagram(datagram.from, datagram.bytes, now)) {
                    Ok(0) => break,
                    Ok(_) => {}
                    // Its interface was switched off or taken out.
                    Err(_) => {
                        *slot = Slot::Failed(now);
                        break;
                    }
                }
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
