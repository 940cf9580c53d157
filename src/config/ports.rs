//! Where inputs listen. No two can at one place.

use std::net::{IpAddr, SocketAddr};

/// What is listened to; ports of the one are not ports of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// The places that are taken.
#[derive(Debug, Default)]
pub(super) struct Ports(Vec<Place>);

/// A place that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    transport: Transport,
    pub(super) address: SocketAddr,
    /// By whom, in words.
    pub(super) owner: String,
}

impl Ports {
    /// Takes `address` for `owner`, unless somebody has it or a part of it, who is the error.
    pub(super) fn take(&mut self, transport: Transport, address: SocketAddr, owner: &str) -> Result<(), Place> {
        if let Some(place) = self.0.iter().find(|p| p.transport == transport && overlap(p.address, address)) {
            return Err(place.clone());
        }
        self.0.push(Place { transport, address, owner: owner.to_owned() });
        Ok(())
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (ip == other_ip || covers(ip, other_ip) || covers(other_ip, ip))
}

/// Whether who listens at `one` gets what is sent to `other`. At `[::]` that is IPv4 too.
fn covers(one: IpAddr, other: IpAddr) -> bool {
    match one {
        IpAddr::V4(all) => all.is_unspecified() && other.is_ipv4(),
        IpAddr::V6(all) => all.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_addresses_are_each_of_them() {
        let clash = |one: &str, other: &str| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(one, other), overlap(other, one), "{one} {other}");
            overlap(one, other)
        };
        assert!(clash("0.0.0.0:9100", "0.0.0.0:9100"));
        assert!(clash("0.0.0.0:9100", "192.0.2.1:9100"));
        assert!(clash("[::]:9100", "192.0.2.1:9100"));
        assert!(clash("[::]:9100", "0.0.0.0:9100"));
        assert!(clash("[::]:9100", "[2001:db8::1]:9100"));
        assert!(clash("[::ffff:192.0.2.1]:9100", "192.0.2.1:9100"));
        assert!(!clash("0.0.0.0:9100", "[2001:db8::1]:9100"));
        assert!(!clash("192.0.2.1:9100", "192.0.2.2:9100"));
        assert!(!clash("0.0.0.0:9100", "0.0.0.0:9101"));
    }

    #[test]
    fn a_port_of_the_one_transport_is_none_of_the_other() {
        let mut ports = Ports::default();
        let (all, one) = ("0.0.0.0:1935".parse().unwrap(), "192.0.2.1:1935".parse().unwrap());
        assert_eq!(ports.take(Transport::Tcp, all, "a"), Ok(()));
        assert_eq!(ports.take(Transport::Udp, one, "b"), Ok(()));
        assert_eq!(ports.take(Transport::Tcp, one, "c").unwrap_err().owner, "a");
        assert_eq!(ports.take(Transport::Udp, all, "d").unwrap_err().owner, "b");
    }
}
