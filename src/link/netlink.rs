//! The kernel's own account of links, addresses, routes and rules (rtnetlink, RFC 3549).

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, TryStreamExt, pin_mut};
use netlink_packet_core::{NLM_F_REPLACE, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{AsyncSocket, SocketAddr};
use rtnetlink::{IpVersion, MulticastGroup, new_connection, new_multicast_connection};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::class::DISH;
use super::fact::{Fact, LinkFact, LinkState, Mac, Placed, Route, Rule};

/// A dump whose end got lost is begun again.
const DUMP_TIMEOUT: Duration = Duration::from_secs(2);
/// Dumps in a row that may fail.
const DUMP_TRIES: u32 = 5;

/// Messages as they come.
pub(super) type Messages = Pin<Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Send>>;

/// Two sockets: one that listens, and one that asks.
pub(super) struct Netlink {
    pub(super) messages: Messages,
    handle: rtnetlink::Handle,
    /// They end with this.
    _connections: JoinSet<()>,
}

impl Netlink {
    /// Begins to listen, inside a tokio runtime, in the network namespace of this thread. What happens between this and a
    /// dump is in both.
    pub(super) fn open(receive_buffer: usize) -> io::Result<Self> {
        let (mut listening, _handle, messages) = new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
        ])?;
        listening.socket_mut().socket_mut().set_rx_buf_sz(receive_buffer)?;
        // A dump goes over a socket of its own: an overrun of the other one cannot swallow its end.
        let (asking, handle, _) = new_connection()?;
        let mut connections = JoinSet::new();
        connections.spawn(listening);
        connections.spawn(asking);
        Ok(Self { messages: Box::pin(messages), handle, _connections: connections })
    }

    /// Everything there is. `None` if the kernel does not answer.
    pub(super) async fn dump(&self) -> Option<Vec<Fact>> {
        for _ in 0..DUMP_TRIES {
            if let Ok(Ok(facts)) = timeout(DUMP_TIMEOUT, self.dump_once()).await {
                return Some(facts);
            }
        }
        None
    }

    async fn dump_once(&self) -> Result<Vec<Fact>, rtnetlink::Error> {
        let mut facts = Vec::new();
        // Links first: addresses and routes of unknown interfaces are ignored.
        let links = self.handle.link().get().execute();
        pin_mut!(links);
        while let Some(message) = links.try_next().await? {
            facts.extend(link(&message));
        }
        let addresses = self.handle.address().get().execute();
        pin_mut!(addresses);
        while let Some(message) = addresses.try_next().await? {
            facts.extend(address(&message));
        }
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            let found = self.handle.route().get(request).execute();
            pin_mut!(found);
            while let Some(message) = found.try_next().await? {
                facts.extend(routes(&message).into_iter().map(|route| route.there(Placed::Beside)));
            }
        }
        for version in [IpVersion::V4, IpVersion::V6] {
            let rules = self.handle.rule().get(version).execute();
            pin_mut!(rules);
            loop {
                match rules.try_next().await {
                    Ok(Some(message)) => facts.extend(rule(&message).map(Fact::Rule)),
                    // A kernel without policy routing has no rules, and says so.
                    Ok(None) | Err(rtnetlink::Error::NetlinkError(_)) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(facts)
    }
}

/// What a message says. An overrun is no message but the want of some.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kernel talks of many things that are none of ours")]
pub(super) fn facts(message: NetlinkMessage<RouteNetlinkMessage>) -> Vec<Fact> {
    let replaces = message.header.flags & NLM_F_REPLACE != 0;
    let placed = if replaces { Placed::Instead } else { Placed::Beside };
    let NetlinkPayload::InnerMessage(message) = message.payload else { return Vec::new() };
    match message {
        RouteNetlinkMessage::NewLink(m) => link(&m).into_iter().collect(),
        // An interface that leaves a bridge is deleted there (AF_BRIDGE), and goes on.
        RouteNetlinkMessage::DelLink(m) if m.header.interface_family == AddressFamily::Unspec => {
            vec![Fact::LinkGone { index: m.header.index }]
        }
        RouteNetlinkMessage::NewAddress(m) => address(&m).into_iter().collect(),
        RouteNetlinkMessage::DelAddress(m) => match address_of(&m) {
            Some(address) => vec![Fact::AddressGone { index: m.header.index, address }],
            None => Vec::new(),
        },
        RouteNetlinkMessage::NewRoute(m) => routes(&m).into_iter().map(|route| route.there(placed)).collect(),
        RouteNetlinkMessage::DelRoute(m) => routes(&m).into_iter().map(Found::gone).collect(),
        RouteNetlinkMessage::NewRule(m) => rule(&m).map(Fact::Rule).into_iter().collect(),
        RouteNetlinkMessage::DelRule(m) => rule(&m).map(Fact::RuleGone).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// `None` for loopback, for what only concerns a bridge, and for messages about an interface that do not name it (wireless events).
#[expect(clippy::wildcard_enum_match_arm, reason = "of some seventy attributes these matter")]
fn link(message: &LinkMessage) -> Option<Fact> {
    let flags = message.header.flags;
    if flags.contains(LinkFlags::Loopback) || message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let mut fact = LinkFact { index: message.header.index, ..LinkFact::default() };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => fact.name.clone_from(name),
            LinkAttribute::Address(bytes) => fact.mac = Mac::new(bytes),
            LinkAttribute::PermAddress(bytes) => fact.permanent = Mac::new(bytes),
            LinkAttribute::IfAlias(alias) => fact.alias = Some(alias.clone()),
            LinkAttribute::CarrierChanges(count) => fact.carrier_changes = Some(*count),
            LinkAttribute::LinkInfo(infos) => {
                let kind = infos.iter().find_map(|i| if let LinkInfo::Kind(kind) = i { Some(kind) } else { None });
                fact.kind = kind.map(ToString::to_string);
            }
            _ => {}
        }
    }
    fact.state = if !flags.contains(LinkFlags::Up) {
        LinkState::Off
    } else if flags.contains(LinkFlags::LowerUp) {
        LinkState::Up
    } else {
        LinkState::NoCarrier
    };
    (!fact.name.is_empty()).then_some(Fact::Link(fact))
}

/// The interface's own address; `None` while IPv6 still checks it for duplicates.
fn address(message: &AddressMessage) -> Option<Fact> {
    let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    if message.header.flags.intersects(unusable) && !message.header.flags.contains(AddressHeaderFlags::Optimistic) {
        return None;
    }
    let address = address_of(message)?;
    Some(Fact::Address { index: message.header.index, address, prefix: message.header.prefix_len })
}

fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    // On point-to-point links `Address` is the far end and `Local` is ours; elsewhere `Local` may be missing.
    let local = find(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
    local.or_else(|| find(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None }))
}

/// A route and where it leads.
struct Found {
    index: u32,
    route: Route,
    gateway: Option<IpAddr>,
}

impl Found {
    fn there(self, placed: Placed) -> Fact {
        Fact::Route { index: self.index, route: self.route, gateway: self.gateway, placed }
    }

    fn gone(self) -> Fact {
        Fact::RouteGone { index: self.index, route: self.route, gateway: self.gateway }
    }
}

/// Default routes, and the one to a Starlink dish; one for each interface that it leads through. All others are none of
/// ours, however many there are.
#[expect(clippy::wildcard_enum_match_arm, reason = "of some thirty attributes these matter")]
fn routes(message: &RouteMessage) -> Vec<Found> {
    let header = &message.header;
    if header.kind != RouteType::Unicast {
        return Vec::new();
    }
    let v6 = header.address_family == AddressFamily::Inet6;
    let mut route = Route { v6, table: header.table.into(), priority: 0, to: None };
    let mut hops: Vec<(u32, Option<IpAddr>)> = Vec::new();
    let (mut oif, mut gateway) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => oif = Some(*index),
            RouteAttribute::Gateway(to) => gateway = ip(to),
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Priority(priority) => route.priority = *priority,
            RouteAttribute::Destination(to) => route.to = ip(to).map(|to| (to, header.destination_prefix_length)),
            RouteAttribute::MultiPath(all) => {
                let via = |a: &RouteAttribute| if let RouteAttribute::Gateway(to) = a { ip(to) } else { None };
                hops.extend(all.iter().map(|hop| (hop.interface_index, hop.attributes.iter().find_map(via))));
            }
            _ => {}
        }
    }
    let is_default = header.destination_prefix_length == 0;
    if is_default {
        route.to = None;
    } else if route.to != Some((IpAddr::V4(DISH), 32)) {
        return Vec::new();
    }
    hops.extend(oif.map(|index| (index, gateway)));
    hops.into_iter().map(|(index, gateway)| Found { index, route, gateway }).collect()
}

pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(v4) = address {
        Some((*v4).into())
    } else if let RouteAddress::Inet6(v6) = address {
        Some((*v6).into())
    } else {
        None
    }
}

/// `None` for rules that look into no table.
#[expect(clippy::wildcard_enum_match_arm, reason = "of some twenty attributes these matter")]
fn rule(message: &RuleMessage) -> Option<Rule> {
    let header = &message.header;
    let mut rule = Rule { v6: header.family == AddressFamily::Inet6, table: header.table.into(), ..Rule::default() };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Source(from) => rule.from = Some((*from, header.src_len)),
            RuleAttribute::Oifname(name) => rule.oif = Some(name.clone()),
            RuleAttribute::Iifname(name) => rule.iif = Some(name.clone()),
            RuleAttribute::FwMark(mark) => rule.mark = Some(*mark),
            _ => {}
        }
    }
    (rule.table != 0).then_some(rule)
}
