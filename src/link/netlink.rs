//! The kernel's own account of links, addresses and default routes (rtnetlink, RFC 3549).

use std::io;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, pin_mut};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{MulticastGroup, new_connection, new_multicast_connection};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::returns::{Fact, LinkState, Network, Return, RouteId};

/// Returns waiting to be read. When nobody reads, further ones are dropped: one is enough to make everybody retry.
const RETURNS: usize = 8;
/// Room in the kernel for a burst of changes; what does not fit is found by the next dump.
const RECEIVE_BUFFER: usize = 1 << 20;
/// A dump whose end got lost is begun again.
const DUMP_TIMEOUT: Duration = Duration::from_secs(2);
/// Dumps in a row that may fail before the watch ends.
const DUMP_TRIES: u32 = 5;

/// Watches the kernel for networks that come back. Spawns onto the current runtime and sees the network namespace of the
/// calling thread; ends when the receiver is dropped. The channel closes if the kernel stops answering.
///
/// # Errors
/// If this process may not open a netlink socket. The box works without: destinations then wait out their back-off.
pub fn watch_returns() -> io::Result<mpsc::Receiver<Return>> {
    let (returns, receiver) = mpsc::channel(RETURNS);
    // Subscribed before the first dump, so that no change falls between the two.
    let (mut connection, _handle, messages) = new_multicast_connection(&[
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ])?;
    connection.socket_mut().socket_mut().set_rx_buf_sz(RECEIVE_BUFFER)?;
    // A dump goes over a socket of its own: an overrun of the other one cannot swallow its end.
    let (dumps, handle, _) = new_connection()?;
    tokio::spawn(async move {
        let watch = async {
            pin_mut!(messages);
            let mut network = Network::default();
            network.resync(dump(&handle).await?);
            while let Some((message, _)) = messages.next().await {
                let news = if matches!(message.payload, NetlinkPayload::Overrun(_)) {
                    network.resync(dump(&handle).await?)
                } else {
                    facts(message).into_iter().filter_map(|fact| network.apply(fact)).collect()
                };
                for news in news {
                    if let Err(mpsc::error::TrySendError::Closed(_)) = returns.try_send(news) {
                        return None;
                    }
                }
            }
            Some(())
        };
        // The connections are driven here and end with the watch.
        tokio::select! {
            _ = watch => {}
            () = connection => {}
            () = dumps => {}
            () = returns.closed() => {}
        }
    });
    Ok(receiver)
}

/// Everything there is. `None` if the kernel does not answer.
async fn dump(handle: &rtnetlink::Handle) -> Option<Vec<Fact>> {
    for _ in 0..DUMP_TRIES {
        if let Ok(Ok(facts)) = timeout(DUMP_TIMEOUT, dump_once(handle)).await {
            return Some(facts);
        }
    }
    None
}

async fn dump_once(handle: &rtnetlink::Handle) -> Result<Vec<Fact>, rtnetlink::Error> {
    let mut facts = Vec::new();
    // Links first: addresses and routes of unknown interfaces are ignored.
    let links = handle.link().get().execute();
    pin_mut!(links);
    while let Some(message) = links.try_next().await? {
        facts.extend(link(&message));
    }
    let addresses = handle.address().get().execute();
    pin_mut!(addresses);
    while let Some(message) = addresses.try_next().await? {
        facts.extend(address(&message).map(|(index, address)| Fact::Address { index, address }));
    }
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        let routes = handle.route().get(request).execute();
        pin_mut!(routes);
        while let Some(message) = routes.try_next().await? {
            facts.extend(default_routes(&message).map(|(index, route)| Fact::DefaultRoute { index, route }));
        }
    }
    Ok(facts)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kernel talks of many things that are none of ours")]
fn facts(message: NetlinkMessage<RouteNetlinkMessage>) -> Vec<Fact> {
    let NetlinkPayload::InnerMessage(message) = message.payload else { return Vec::new() };
    match message {
        RouteNetlinkMessage::NewLink(m) => link(&m).into_iter().collect(),
        RouteNetlinkMessage::DelLink(m) => vec![Fact::LinkGone { index: m.header.index }],
        RouteNetlinkMessage::NewAddress(m) => {
            address(&m).map(|(index, address)| Fact::Address { index, address }).into_iter().collect()
        }
        RouteNetlinkMessage::DelAddress(m) => {
            address(&m).map(|(index, address)| Fact::AddressGone { index, address }).into_iter().collect()
        }
        RouteNetlinkMessage::NewRoute(m) => {
            default_routes(&m).map(|(index, route)| Fact::DefaultRoute { index, route }).collect()
        }
        RouteNetlinkMessage::DelRoute(m) => {
            default_routes(&m).map(|(index, route)| Fact::DefaultRouteGone { index, route }).collect()
        }
        _ => Vec::new(),
    }
}

/// `None` for loopback, and for messages about an interface that do not name it (wireless events).
fn link(message: &LinkMessage) -> Option<Fact> {
    let flags = message.header.flags;
    if flags.contains(LinkFlags::Loopback) {
        return None;
    }
    let name = message
        .attributes
        .iter()
        .find_map(|attribute| if let LinkAttribute::IfName(name) = attribute { Some(name.clone()) } else { None })?;
    let state = if !flags.contains(LinkFlags::Up) {
        LinkState::Off
    } else if flags.contains(LinkFlags::LowerUp) {
        LinkState::Up
    } else {
        LinkState::NoCarrier
    };
    Some(Fact::Link { index: message.header.index, name, state })
}

/// The interface's own address; `None` while IPv6 still checks it for duplicates.
fn address(message: &AddressMessage) -> Option<(u32, std::net::IpAddr)> {
    let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    if message.header.flags.intersects(unusable) && !message.header.flags.contains(AddressHeaderFlags::Optimistic) {
        return None;
    }
    let find = |wanted: fn(&AddressAttribute) -> Option<std::net::IpAddr>| message.attributes.iter().find_map(wanted);
    // On point-to-point links `Address` is the far end and `Local` is ours; elsewhere `Local` may be missing.
    let local = find(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
    let address = local.or_else(|| find(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None }));
    address.map(|address| (message.header.index, address))
}

/// The interfaces through which this route, if it is a default route, leads.
fn default_routes(message: &RouteMessage) -> impl Iterator<Item = (u32, RouteId)> {
    let header = &message.header;
    let is_default = header.destination_prefix_length == 0 && header.kind == RouteType::Unicast;
    let mut id = RouteId { v6: header.address_family == AddressFamily::Inet6, table: header.table.into(), priority: 0 };
    let mut interfaces = Vec::new();
    for attribute in message.attributes.iter().filter(|_| is_default) {
        if let RouteAttribute::Oif(index) = attribute {
            interfaces.push(*index);
        } else if let RouteAttribute::Table(table) = attribute {
            id.table = *table;
        } else if let RouteAttribute::Priority(priority) = attribute {
            id.priority = *priority;
        } else if let RouteAttribute::MultiPath(hops) = attribute {
            interfaces.extend(hops.iter().map(|hop| hop.interface_index));
        }
    }
    interfaces.into_iter().map(move |index| (index, id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::process::Command;

    use super::*;

    fn ip(arguments: &str) {
        let done = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
        assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// In a network namespace of its own; `false` if this user may not have one.
    fn in_a_namespace(test: impl FnOnce() + Send + 'static) -> bool {
        std::thread::spawn(move || {
            // SAFETY: affects only this thread, which was made for it.
            let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            if done == 0 {
                test();
            }
            done == 0
        })
        .join()
        .unwrap()
    }

    async fn next(returns: &mut mpsc::Receiver<Return>) -> (String, &'static str) {
        let limit = Duration::from_secs(60);
        let news = timeout(limit, returns.recv()).await.expect("the kernel said nothing").unwrap();
        (news.interface, news.why)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn the_kernel_says_when_a_network_comes_back() {
        let done = in_a_namespace(|| {
            runtime().block_on(async {
                ip("link add here type veth peer name there");
                ip("link set there up");
                ip("addr add 192.0.2.1/24 dev here");
                ip("link set here up");
                let mut returns = watch_returns().unwrap();
                // Carrier may come before or after the first dump; a second interface settles where we are.
                ip("link add second type veth peer name far");
                ip("link set far up");
                ip("addr add 198.51.100.1/24 dev second");
                ip("link set second up");
                while next(&mut returns).await.0 != "second" {}

                // `far` and `there` have no useful address, so nothing is said of them.
                ip("route add default via 192.0.2.254 dev here");
                assert_eq!(next(&mut returns).await, ("here".to_owned(), "it has a default route again"));
                ip("link set here down");
                ip("link set here up");
                assert_eq!(next(&mut returns).await, ("here".to_owned(), "it has carrier and an address again"));
                // The kernel reports carrier at most about once a second and may swallow a shorter loss: pulled again
                // until it is seen.
                let seen = loop {
                    ip("link set there down");
                    ip("link set there up");
                    if let Ok(news) = timeout(Duration::from_millis(1500), returns.recv()).await {
                        break news.unwrap();
                    }
                };
                assert_eq!((seen.interface.as_str(), seen.why), ("here", "it has carrier and an address again"));
            });
        });
        if !done {
            eprintln!("skipped: this user may not make a network namespace");
        }
    }
}
