//! Pure. What systemd-networkd needs to give each uplink a routing table of its own: one `.network` file each.
//!
//! Tried with systemd 252. With a table of their own the routes that DHCP and routers tell of are not in the main one, so
//! whoever is bound to nothing needs rules as well: first the networks that are on the uplinks, whichever it is, then the
//! way out, over the first uplink that has one.

use crate::model::InterfaceName;

/// The first uplink's table; the next has the next.
pub const FIRST_TABLE: u32 = 201;
/// Of what is bound to the interface: before the main table (32766) and the rules of most tunnels.
const BOUND: u32 = 1000;
/// Of whoever is bound to nothing: the networks that are on the uplinks.
const NEAR: u32 = 30_000;
/// Of whoever is bound to nothing: the way out. One for each uplink, the first choice first.
const FAR: u32 = 31_000;

/// A file for `/etc/systemd/network`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFile {
    /// Its name. Before those that a distribution has, of which the first that fits an interface counts.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// One file for each of these interfaces, of which the first is preferred by whoever is bound to none.
pub fn files(interfaces: &[InterfaceName]) -> Vec<NetworkFile> {
    (0..).zip(interfaces).map(|(place, interface)| file(place, interface)).collect()
}

fn file(place: u32, interface: &InterfaceName) -> NetworkFile {
    let table = FIRST_TABLE + place;
    let metric = 100 * (place + 1);
    let (near, far) = (NEAR + place, FAR + place);
    let text = format!(
        "\
# Written by `holdfast networkd`. {interface} has routing table {table}: what is bound to it finds its way there, whatever the
# main table says. A static address, or a modem that ModemManager sets up: replace the sections of DHCP, keep the rules.
[Match]
Name={interface}

[Link]
# A box starts without its modem, too.
RequiredForOnline=no

[Network]
DHCP=yes
IPv6AcceptRA=yes
# A cable that was out for a moment has the address that it had.
KeepConfiguration=dhcp
IgnoreCarrierLoss=10s

[DHCPv4]
RouteTable={table}
RouteMetric={metric}
UseDomains=no

[IPv6AcceptRA]
RouteTable={table}
UseDomains=no

# What is bound to {interface}.
[RoutingPolicyRule]
OutgoingInterface={interface}
Table={table}
Priority={BOUND}
Family=both

# Everybody else: the network of {interface} ...
[RoutingPolicyRule]
Table={table}
SuppressPrefixLength=0
Priority={near}
Family=both

# ... and the Internet, if no uplink before it has a way there.
[RoutingPolicyRule]
Table={table}
Priority={far}
Family=both
"
    );
    NetworkFile { name: format!("10-holdfast-{interface}.network"), text }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_uplink_has_a_table_and_priorities_that_no_other_has() {
        let names: Vec<InterfaceName> =
            ["eth0", "wwan0", "eth1"].iter().map(|n| InterfaceName::new(n).unwrap()).collect();
        let files = files(&names);
        assert_eq!(files.len(), 3);
        for (place, file) in files.iter().enumerate() {
            assert_eq!(file.name, format!("10-holdfast-{}.network", names[place]));
            let table = format!("Table={}\n", 201 + place);
            assert_eq!(file.text.matches(&table).count(), 5, "{}", file.text);
            let priorities: Vec<&str> = file.text.lines().filter_map(|line| line.strip_prefix("Priority=")).collect();
            assert_eq!(priorities, ["1000".to_owned(), (30_000 + place).to_string(), (31_000 + place).to_string()]);
        }
    }
}
