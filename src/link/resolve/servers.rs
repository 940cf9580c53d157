//! Pure. Which name servers an interface has, in the words of those who know.
//!
//! | file | who writes it | line |
//! |---|---|---|
//! | `/run/systemd/netif/links/<index>` | systemd-networkd: leases, router advertisements, configuration | `DNS=` |
//! | `/run/systemd/netif/leases/<index>` | systemd-networkd: the DHCPv4 lease alone | `DNS=` |
//! | `/run/systemd/resolve/netif/<index>` | systemd-resolved: what others told it, such as NetworkManager | `SERVERS=` |
//! | `/etc/resolv.conf` | anybody: for all interfaces together | `nameserver` |
//!
//! The first that names any wins. A server on loopback is a go-between that asks over whatever interface it likes, so it is
//! none of an interface's.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Most servers that are asked.
const MOST_SERVERS: usize = 4;
/// The usual port.
const PORT: u16 = 53;

/// A file that may name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Of systemd-networkd.
    Networkd,
    /// Of systemd-resolved.
    Resolved,
    /// resolv.conf(5).
    ResolvConf,
}

/// The servers that `text` names, in its order, each once.
pub fn servers(source: Source, text: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let value = match source {
            Source::Networkd => line.strip_prefix("DNS="),
            Source::Resolved => line.strip_prefix("SERVERS="),
            Source::ResolvConf => line.strip_prefix("nameserver").filter(|rest| rest.starts_with(char::is_whitespace)),
        };
        for word in value.into_iter().flat_map(str::split_whitespace) {
            if let Some(server) = server(word).filter(|server| is_of_use(server.ip()))
                && !found.contains(&server)
                && found.len() < MOST_SERVERS
            {
                found.push(server);
            }
            if source == Source::ResolvConf {
                // One a line; what follows is a comment.
                break;
            }
        }
    }
    found
}

/// `address`, `address%interface`, `address:port`, `[address]:port`, each with `#name` behind it (resolved's notation).
fn server(word: &str) -> Option<SocketAddr> {
    let word = word.split('#').next().unwrap_or(word);
    // The interface is known already.
    let (address, after) = match word.split_once('%') {
        Some((address, zone)) => (address, zone.split_once("]:").map(|(_, port)| port)),
        None => (word, None),
    };
    if let Ok(ip) = address.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT));
    }
    if let Ok(server) = address.parse::<SocketAddr>() {
        return Some(server).filter(|server| server.port() > 0);
    }
    // `[fe80::1%eth0]:5353`, cut at the percent sign.
    let ip: Ipv6Addr = address.strip_prefix('[')?.trim_end_matches(']').parse().ok()?;
    let port = after.map_or(Some(PORT), |port| port.parse().ok())?;
    Some(SocketAddr::new(ip.into(), port)).filter(|server| server.port() > 0)
}

fn is_of_use(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(source: Source, text: &str) -> Vec<String> {
        servers(source, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_lease_names_its_servers() {
        let lease = "# This is private data. Do not parse.\nADDRESS=10.0.0.7\nROUTER=10.0.0.1\nDNS=10.0.0.1 10.0.0.2\n\
                     NTP=10.0.0.9\nDOMAINNAME=example.net\n";
        assert_eq!(found(Source::Networkd, lease), ["10.0.0.1:53", "10.0.0.2:53"]);
        let link = "ADMIN_STATE=configured\nDNS=192.0.2.1 2001:db8::53 192.0.2.1\nDNSSEC=no\n";
        assert_eq!(found(Source::Networkd, link), ["192.0.2.1:53", "[2001:db8::53]:53"], "each once");
        assert_eq!(found(Source::Networkd, "NTP=1.2.3.4\nDNS=\n"), [""; 0]);
    }

    #[test]
    fn resolveds_notation_has_ports_names_and_interfaces() {
        let text = "LLMNR=yes\nSERVERS=9.9.9.9#dns.quad9.net 192.0.2.1:5353 [2001:db8::1]:53#a fe80::1%wwan0 \
                    [fe80::2%3]:5353#b nonsense 192.0.2.1:0\n";
        let expected = ["9.9.9.9:53", "192.0.2.1:5353", "[2001:db8::1]:53", "[fe80::1]:53"];
        assert_eq!(found(Source::Resolved, text), expected);
        assert_eq!(found(Source::Resolved, "SERVERS=[fe80::2%3]:5353#b"), ["[fe80::2]:5353"]);
    }

    #[test]
    fn a_stub_on_loopback_is_not_an_interfaces() {
        let text = "# nameserver 192.0.2.66\nnameserver 127.0.0.53\nnameserver\t192.0.2.1 # ours\nnameserver ::1\n\
                    nameservers 192.0.2.2\noptions edns0\nnameserver ::ffff:127.0.0.1\nnameserver 0.0.0.0\n";
        assert_eq!(found(Source::ResolvConf, text), ["192.0.2.1:53"]);
    }

    #[test]
    fn no_text_is_too_much() {
        let text: String = (0..1000).map(|n| format!("nameserver 192.0.{}.{}\n", n / 250, n % 250 + 1)).collect();
        assert_eq!(servers(Source::ResolvConf, &text).len(), MOST_SERVERS);
        for noise in ["DNS=%", "DNS=[", "DNS=]:", "DNS=[%]:1", "DNS=%%##", "DNS=[::1", "DNS=:53", "DNS=1.2.3.4:x"] {
            assert_eq!(found(Source::Networkd, noise), [""; 0], "{noise}");
        }
    }
}
