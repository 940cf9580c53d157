//! One call: a name is looked up, a socket bound, a handshake made.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{sleep_until, timeout};

use super::failure::Failure;
use crate::clock;
use crate::config::SrtPath;
use crate::link::resolve::{Resolver, Unresolved, Wanted};
use crate::link::udp::{Binding, Inbox, Port, Route, Shortfall, UdpTrouble};
use crate::srt::caller::{Caller, CallerConfig, CallerEvent, TIMEOUT};
use crate::srt::crypto::{KeyMaterial, Random};
use crate::srt::wire::{GroupId, SeqNo};
use crate::srt::{Negotiated, Offer, StreamId, random_socket_id};

pub(crate) use crate::srt::caller::CallerGroup;

/// How long a name look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried, one after the other.
const MAX_ADDRESSES: usize = 4;

/// What all paths of a session have in common when they call.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) isn: SeqNo,
    pub(crate) start: std::time::Instant,
    pub(crate) offer: Offer,
    pub(crate) stream_id: StreamId,
    pub(crate) keys: Option<KeyMaterial>,
    pub(crate) group: Option<CallerGroup>,
    /// What the far end calls the group, once one of its members is connected.
    pub(crate) far_group: Rc<Cell<Option<GroupId>>>,
}

/// A path that is connected.
pub(crate) struct Connected {
    pub(crate) port: Rc<Port>,
    pub(crate) route: Route,
    /// The address it leaves from, if the kernel says.
    pub(crate) source: Option<IpAddr>,
    pub(crate) negotiated: Box<Negotiated>,
    /// Buffers that turned out smaller than asked for.
    pub(crate) shortfalls: Vec<Shortfall>,
}

/// Calls the far end of `path`, at each of its addresses until one takes the call.
pub(crate) async fn call(
    path: SrtPath,
    common: Common,
    mut random: Random,
    resolver: Option<Resolver>,
) -> Result<Connected, Failure> {
    let looking = look_up(&path, resolver.as_ref());
    let found = timeout(LOOKUP_TIMEOUT, looking).await.unwrap_or(Err(Failure::NameLookup))?;
    if found.is_empty() {
        return Err(Failure::NameLookup);
    }
    let suits = |address: &SocketAddr| path.source.is_none_or(|source| source.is_ipv4() == address.is_ipv4());
    let mut last = Failure::NoSuchFamily;
    for address in found.into_iter().filter(suits).take(MAX_ADDRESSES) {
        match call_address(&path, address, &common, &mut random).await {
            Ok(connected) => return Ok(connected),
            Err(failure) => {
                if let (Some(interface), Some(resolver)) = (&path.interface, &resolver) {
                    resolver.unreachable(interface.as_str(), wanted(&path));
                }
                // What a server has decided, its other address will decide the same way.
                let decided = failure.needs_operator() || failure.is_busy();
                last = failure;
                if decided {
                    break;
                }
            }
        }
    }
    Err(last)
}

/// Over the interface that is to carry the path, where there is somebody to ask over it. A name that its servers do not know
/// may be one that only this machine knows (`/etc/hosts`).
async fn look_up(path: &SrtPath, resolver: Option<&Resolver>) -> Result<Vec<SocketAddr>, Failure> {
    if let (Some(interface), Some(resolver)) = (&path.interface, resolver) {
        match resolver.find(interface.as_str(), wanted(path)).await {
            Ok(machines) => return Ok(machines.into_iter().flatten().collect()),
            Err(Unresolved::NoServers(_) | Unresolved::NoSuchName) => {}
            Err(Unresolved::NoAnswer(_)) => return Err(Failure::NameLookup),
        }
    }
    let found = lookup_host((path.address.host.as_str(), path.address.port)).await;
    found.map(Iterator::collect).map_err(|_| Failure::NameLookup)
}

/// SRT has no port of its own that others could stand in for.
fn wanted(path: &SrtPath) -> Wanted<'_> {
    Wanted { host: &path.address.host, port: path.address.port, service: None }
}

async fn call_address(
    path: &SrtPath,
    peer: SocketAddr,
    common: &Common,
    random: &mut Random,
) -> Result<Connected, Failure> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let local = SocketAddr::new(path.source.unwrap_or(any), 0);
    let interface = path.interface.as_ref().map(ToString::to_string);
    let binding = Binding::caller(interface, local);
    let (socket, shortfalls) = binding.open().map_err(Failure::Socket)?;
    let (port, route) = (Rc::new(Port::new(socket)), Route { to: peer, from: None });
    let config = CallerConfig {
        peer: peer.ip(),
        socket_id: random_socket_id(random),
        isn: common.isn,
        start: common.start,
        offer: common.offer,
        stream_id: common.stream_id.clone(),
        keys: common.keys.clone(),
        group: common.group,
        timeout: TIMEOUT,
    };
    let mut caller = Caller::new(config, clock::now());
    let mut inbox = Inbox::new();
    loop {
        if let Some(group) = common.far_group.get() {
            caller.expect_group(group);
        }
        if let Some(datagram) = caller.poll_transmit() {
            port.push(route, |out| out.extend_from_slice(&datagram));
            port.flush();
        }
        match caller.poll_event() {
            Some(CallerEvent::Connected(negotiated)) => {
                return Ok(Connected { port, route, source: binding.source_towards(peer), negotiated, shortfalls });
            }
            Some(CallerEvent::Failed(trouble)) => return Err(Failure::Handshake(trouble)),
            None => {}
        }
        if let Some(error) = port.take_trouble() {
            match error.trouble {
                // Somebody may be about to listen.
                UdpTrouble::Refused => caller.handle_unreachable(),
                // A full queue is the network's business, and the call is repeated.
                UdpTrouble::QueueFull => {}
                UdpTrouble::NoInterface
                | UdpTrouble::NotAllowed
                | UdpTrouble::InUse
                | UdpTrouble::NoSuchAddress
                | UdpTrouble::Unreachable
                | UdpTrouble::Down
                | UdpTrouble::TooLong
                | UdpTrouble::Firewall
                | UdpTrouble::Other(_) => return Err(Failure::Socket(error)),
            }
        }
        let Some((due, _)) = caller.poll_timeout() else { return Err(Failure::NameLookup) };
        tokio::select! {
            biased;
            ready = port.socket().readable() => {
                if ready.is_err() {
                    return Err(Failure::NameLookup);
                }
                let now = clock::now();
                let hear = |datagram: crate::link::udp::Datagram<'_>| {
                    if datagram.from == peer {
                        caller.handle_datagram(datagram.bytes, now);
                    }
                };
                if let Err(error) = port.socket().receive(&mut inbox, hear) {
                    port.note(error);
                }
            }
            () = sleep_until(due.into()) => caller.handle_timeout(clock::now()),
        }
    }
}
