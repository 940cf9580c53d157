//! The kernel's routes and rules: read, and changed step by step (rtnetlink, RFC 3549).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, pin_mut};
use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, IpVersion, new_connection};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::netlink::ip;
use super::plan::{Interface, PROTOCOL, State, Step, TableRoute, TableRule};

/// The kernel answers at once, unless it is busy with its network.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// FIB_RULE_SUPPRESS: nothing is suppressed.
const NOTHING: u32 = u32::MAX;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// EPERM.
    #[error("this process has no CAP_NET_ADMIN")]
    NotAllowed,
    /// Anything else, in the kernel's words.
    #[error("{0}")]
    Failed(String),
}

/// A socket to the kernel of the network namespace that it was opened in.
pub(super) struct Kernel {
    handle: Handle,
    /// Ends with this.
    _connection: JoinSet<()>,
}

impl Kernel {
    pub(super) fn open() -> std::io::Result<Self> {
        let (connection, handle, _) = new_connection()?;
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        Ok(Self { handle, _connection: connections })
    }

    /// All there is. `None` if the kernel does not answer.
    pub(super) async fn read(&self) -> Option<State> {
        timeout(ANSWER_TIMEOUT, self.read_once()).await.ok()?.ok()
    }

    async fn read_once(&self) -> Result<State, rtnetlink::Error> {
        let mut state = State::default();
        let links = self.handle.link().get().execute();
        pin_mut!(links);
        while let Some(message) = links.try_next().await? {
            let flags = message.header.flags;
            let name =
                message.attributes.iter().find_map(|a| if let LinkAttribute::IfName(n) = a { Some(n) } else { None });
            if let (Some(name), false) = (name, flags.contains(LinkFlags::Loopback)) {
                state.interfaces.push(Interface {
                    index: message.header.index,
                    name: name.clone(),
                    is_on: flags.contains(LinkFlags::Up),
                    addresses: Vec::new(),
                });
            }
        }
        let addresses = self.handle.address().get().execute();
        pin_mut!(addresses);
        while let Some(message) = addresses.try_next().await? {
            let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
            let local = find(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
            let own = local.or_else(|| find(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None }));
            let interface = state.interfaces.iter_mut().find(|interface| interface.index == message.header.index);
            if let (Some(own), Some(interface)) = (own, interface) {
                interface.addresses.push(own);
            }
        }
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            let found = self.handle.route().get(request).execute();
            pin_mut!(found);
            while let Some(message) = found.try_next().await? {
                let protocol = u8::from(message.header.protocol);
                state.routes.extend(routes(&message).into_iter().map(|route| (route, protocol)));
            }
        }
        for version in [IpVersion::V4, IpVersion::V6] {
            let found = self.handle.rule().get(version).execute();
            pin_mut!(found);
            while let Some(message) = found.try_next().await? {
                state.rules.extend(rule(&message));
            }
        }
        Ok(state)
    }

    /// Does one step. What is there already, or gone already, is done.
    pub(super) async fn take(&mut self, step: &Step) -> Result<(), Refused> {
        let (message, flags, done) = match step {
            Step::AddRoute(route) => {
                (RouteNetlinkMessage::NewRoute(of_route(route)), NLM_F_CREATE | NLM_F_EXCL, libc::EEXIST)
            }
            Step::RemoveRoute(route) => (RouteNetlinkMessage::DelRoute(of_route(route)), 0, libc::ESRCH),
            Step::AddRule(rule) => {
                (RouteNetlinkMessage::NewRule(of_rule(rule)), NLM_F_CREATE | NLM_F_EXCL, libc::EEXIST)
            }
            Step::RemoveRule(rule) => (RouteNetlinkMessage::DelRule(of_rule(rule)), 0, libc::ENOENT),
        };
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let answers = self.handle.request(request).map_err(|e| Refused::Failed(format!("{step}: {e}")))?;
        pin_mut!(answers);
        let answer = timeout(ANSWER_TIMEOUT, answers.next()).await;
        let silent = |_| Refused::Failed(format!("{step}: the kernel does not answer"));
        // That it is done is said by the end of the answers.
        let Some(answer) = answer.map_err(silent)? else { return Ok(()) };
        let NetlinkPayload::Error(error) = answer.payload else { return Ok(()) };
        match errno(&error) {
            0 => Ok(()),
            code if code == done => Ok(()),
            libc::EPERM => Err(Refused::NotAllowed),
            code => Err(Refused::Failed(format!("{step}: {}", std::io::Error::from_raw_os_error(code)))),
        }
    }
}

fn errno(error: &ErrorMessage) -> i32 {
    error.code.map_or(0, |code| -code.get())
}

/// Of a unicast route, one for each interface that it leads through. What a table of ours could not have is left out.
#[expect(clippy::wildcard_enum_match_arm, reason = "of some thirty attributes these matter")]
fn routes(message: &RouteMessage) -> Vec<TableRoute> {
    let header = &message.header;
    // A route that a router has told of (ICMP redirect) is none of an uplink's own.
    if header.kind != RouteType::Unicast || header.flags.contains(RouteFlags::Cloned) {
        return Vec::new();
    }
    let nowhere = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Vec::new(),
    };
    let mut route = TableRoute {
        table: header.table.into(),
        to: (nowhere, header.destination_prefix_length),
        metric: 0,
        by: 0,
        gateway: None,
        source: None,
    };
    let (mut oif, mut hops) = (None, Vec::new());
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => oif = Some(*index),
            RouteAttribute::Gateway(to) => route.gateway = ip(to),
            RouteAttribute::PrefSource(from) => route.source = ip(from),
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Destination(to) => route.to.0 = ip(to).unwrap_or(nowhere),
            RouteAttribute::MultiPath(all) => {
                let via = |a: &RouteAttribute| if let RouteAttribute::Gateway(to) = a { ip(to) } else { None };
                hops.extend(all.iter().map(|hop| (hop.interface_index, hop.attributes.iter().find_map(via))));
            }
            // IPv4 through an IPv6 gateway, or something around each packet.
            RouteAttribute::Via(_) | RouteAttribute::Encap(_) => return Vec::new(),
            _ => {}
        }
    }
    hops.extend(oif.map(|index| (index, route.gateway)));
    hops.into_iter().map(|(by, gateway)| TableRoute { by, gateway, ..route.clone() }).collect()
}

/// With its protocol. `None` for a rule that looks into no table, or chooses by more than ours do.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not known here makes it another's rule")]
fn rule(message: &RuleMessage) -> Option<(TableRule, u8)> {
    let header = &message.header;
    let mut protocol = 0;
    let mut rule = TableRule {
        v6: header.family == AddressFamily::Inet6,
        priority: 0,
        oif: None,
        from: None,
        table: header.table.into(),
        suppress: None,
    };
    let whole = if rule.v6 { 128 } else { 32 };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Source(from) if header.src_len == whole => rule.from = Some(*from),
            RuleAttribute::Oifname(name) => rule.oif = Some(name.clone()),
            RuleAttribute::SuppressPrefixLen(bits) => rule.suppress = Some(*bits).filter(|bits| *bits != NOTHING),
            RuleAttribute::Protocol(by) => protocol = u8::from(*by),
            RuleAttribute::SuppressIfGroup(NOTHING) => {}
            _ => return None,
        }
    }
    (header.action == RuleAction::ToTable && rule.table != 0 && header.tos == 0).then_some((rule, protocol))
}

fn family(v6: bool) -> AddressFamily {
    if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

fn of_route(route: &TableRoute) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (to, bits) = route.to;
    message.header.address_family = family(to.is_ipv6());
    message.header.destination_prefix_length = bits;
    message.header.protocol = RouteProtocol::from(PROTOCOL);
    message.header.kind = RouteType::Unicast;
    let reaches = if route.gateway.is_some() || to.is_ipv6() { RouteScope::Universe } else { RouteScope::Link };
    message.header.scope = reaches;
    message.attributes.extend([RouteAttribute::Table(route.table), RouteAttribute::Oif(route.by)]);
    message.attributes.push(RouteAttribute::Priority(route.metric));
    if bits > 0 {
        message.attributes.push(RouteAttribute::Destination(to.into()));
    }
    if let Some(gateway) = route.gateway {
        // Whoever told of it knew that it is there.
        message.header.flags = RouteFlags::Onlink;
        message.attributes.push(RouteAttribute::Gateway(gateway.into()));
    }
    message.attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
    message
}

fn of_rule(rule: &TableRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.v6);
    message.header.action = RuleAction::ToTable;
    message.attributes.extend([RuleAttribute::Priority(rule.priority), RuleAttribute::Table(rule.table)]);
    message.attributes.push(RuleAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
    message.attributes.extend(rule.oif.clone().map(RuleAttribute::Oifname));
    message.attributes.extend(rule.suppress.map(RuleAttribute::SuppressPrefixLen));
    if let Some(from) = rule.from {
        message.header.src_len = if rule.v6 { 128 } else { 32 };
        message.attributes.push(RuleAttribute::Source(from));
    }
    message
}
