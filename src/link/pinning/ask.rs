//! Asks the kernel what it would do (RTM_GETROUTE), and a socket that sends nothing what it has become.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, new_connection};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::timeout;

use super::check::{Answer, Back, Grounds, Of, ReverseFilter, Sockets};
use crate::link::change::is_useful;
use crate::link::links::{Link, Links};
use crate::link::netlink::ip;

/// Somewhere in the Internet, of addresses that nobody has (RFC 5737, RFC 3849). Nothing is sent there.
const INTERNET_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const INTERNET_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// For a socket, which wants one.
const SOME_PORT: u16 = 443;
/// The kernel answers at once, unless it is busy with its network.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What there is to know of these interfaces, in the network namespace of the calling thread. Blocks for as long as the
/// kernel takes to answer.
///
/// # Errors
/// If this process may not open a netlink socket.
pub fn look(names: &BTreeSet<String>, links: &Links) -> io::Result<Vec<Grounds>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, mut handle, _) = new_connection()?;
        let connection = tokio::spawn(connection);
        let mut all = Vec::new();
        for name in names {
            all.push(grounds(&mut handle, name, links).await);
        }
        connection.abort();
        Ok(all)
    })
}

async fn grounds(handle: &mut Handle, name: &str, links: &Links) -> Grounds {
    let mut grounds = Grounds { name: name.to_owned(), rules: links.rules.clone(), ..Grounds::default() };
    let Some(link) = links.named(name) else { return grounds };
    grounds.link = Some(link.clone());
    grounds.sockets = sockets(name);
    let sysctl = |kind: &str, of: &str, setting: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/{kind}/conf/{of}/{setting}")).ok()?;
        text.trim().parse::<u8>().ok()
    };
    let (all, own) = (sysctl("ipv4", "all", "rp_filter"), sysctl("ipv4", name, "rp_filter"));
    grounds.filter = all.zip(own).map(|(all, own)| ReverseFilter { all, own });
    grounds.v6_is_off = sysctl("ipv6", name, "disable_ipv6") == Some(1);
    grounds.v4 = of(handle, link, INTERNET_V4.into()).await;
    grounds.v6 = of(handle, link, INTERNET_V6.into()).await;
    grounds
}

async fn of(handle: &mut Handle, link: &Link, to: IpAddr) -> Of {
    let own = link.addresses.iter().map(|(own, _)| *own).find(|own| own.is_ipv6() == to.is_ipv6() && is_useful(*own));
    let Some(own) = own else { return Of::default() };
    let back = if to.is_ipv4() { back(handle, link, to, own).await } else { Back::Unknown };
    Of { out: out(handle, link, to).await, source: source(&link.name, to), back }
}

/// Which way the kernel would send a packet to `to` that has to leave by `link`.
async fn out(handle: &mut Handle, link: &Link, to: IpAddr) -> Answer {
    // The entry of the table that decides: where none does, IPv4 would go on with a guess.
    let mut entry = question(to, RouteFlags::FibMatch);
    entry.attributes.push(RouteAttribute::Oif(link.index));
    let table = match ask(handle, entry).await {
        Asked::Route(route) => table(&route),
        Asked::Refused => return Answer::NoWay,
        Asked::Silence => return Answer::Unasked,
    };
    let mut way = question(to, RouteFlags::empty());
    way.attributes.push(RouteAttribute::Oif(link.index));
    match ask(handle, way).await {
        Asked::Route(route) => leaves(&route, table),
        Asked::Refused => Answer::NoWay,
        Asked::Silence => Answer::Unasked,
    }
}

/// Whether a packet from `from` to our address `own` would be let in at `link`.
async fn back(handle: &mut Handle, link: &Link, from: IpAddr, own: IpAddr) -> Back {
    let mut message = question(own, RouteFlags::empty());
    message.header.source_prefix_length = bits(from);
    message.attributes.extend([RouteAttribute::Source(from.into()), RouteAttribute::Iif(link.index)]);
    match ask(handle, message).await {
        Asked::Route(_) => Back::LetIn,
        Asked::Refused => Back::ThrownAway,
        Asked::Silence => Back::Unknown,
    }
}

fn question(to: IpAddr, flags: RouteFlags) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = if to.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.destination_prefix_length = bits(to);
    message.header.flags = flags;
    message.attributes.push(RouteAttribute::Destination(to.into()));
    message
}

const fn bits(address: IpAddr) -> u8 {
    if address.is_ipv6() { 128 } else { 32 }
}

enum Asked {
    Route(Box<RouteMessage>),
    Refused,
    Silence,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kernel answers a question about a route with one, or an error")]
async fn ask(handle: &mut Handle, message: RouteMessage) -> Asked {
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetRoute(message));
    request.header.flags = NLM_F_REQUEST;
    let Ok(answers) = handle.request(request) else { return Asked::Silence };
    let mut answers = std::pin::pin!(answers);
    let Ok(Some(answer)) = timeout(ANSWER_TIMEOUT, answers.next()).await else { return Asked::Silence };
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => Asked::Route(Box::new(route)),
        NetlinkPayload::Error(_) => Asked::Refused,
        _ => Asked::Silence,
    }
}

fn table(route: &RouteMessage) -> u32 {
    let told =
        route.attributes.iter().find_map(|a| if let RouteAttribute::Table(table) = a { Some(*table) } else { None });
    told.unwrap_or_else(|| route.header.table.into())
}

fn leaves(route: &RouteMessage, table: u32) -> Answer {
    let by = route.attributes.iter().find_map(|a| if let RouteAttribute::Oif(index) = a { Some(*index) } else { None });
    let gateway =
        route.attributes.iter().find_map(|a| if let RouteAttribute::Gateway(to) = a { Some(to) } else { None });
    let gateway = gateway.and_then(ip);
    by.map_or(Answer::NoWay, |by| Answer::Leaves { by, gateway, table })
}

/// Which address a socket that is bound to the interface leaves from. Of a datagram socket connecting only fixes the ends.
fn source(name: &str, to: IpAddr) -> Option<IpAddr> {
    let to = SocketAddr::new(to, SOME_PORT);
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP)).ok()?;
    socket.bind_device(Some(name.as_bytes())).ok()?;
    socket.connect(&to.into()).ok()?;
    socket.local_addr().ok()?.as_socket().map(|local| local.ip())
}

fn sockets(name: &str) -> Sockets {
    let bound = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
        .and_then(|socket| socket.bind_device(Some(name.as_bytes())));
    match bound {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => Sockets::Forbidden,
        Ok(()) | Err(_) => Sockets::Allowed,
    }
}
