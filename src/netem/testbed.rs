//! A box with uplinks to a relay, on this machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::emulator::{Cable, Emulator, Tap, Wiring, ip};
use super::{Conditions, Namespace};

/// Where the relay is, seen from the box over any uplink of a testbed with namespaces.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 77, 255, 1);

/// How a testbed is wired.
#[derive(Debug)]
pub enum Wires {
    /// Box and relay in namespaces of their own, a TAP device of the uplink's name in the box's for each. Carriers are real.
    Taps {
        /// Where the box's processes and sockets belong. Its devices are named as the uplinks are.
        at_box: Namespace,
        /// Where the relay's belong.
        at_relay: Namespace,
    },
    /// Everything on loopback, a proxy for each uplink and port. No carriers.
    Proxies {
        /// Why there are no namespaces.
        because: String,
    },
}

/// What a testbed is for.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// A device's name: up to 15 letters and digits.
    pub name: String,
    /// Of the way to the relay and back.
    pub conditions: Conditions,
}

/// Uplinks between a box and a relay, with whatever this machine allows.
#[derive(Debug)]
pub struct Testbed {
    /// How it is wired.
    pub wires: Wires,
    /// Takes orders such as `uplink loss 5`.
    pub emulator: Emulator,
}

impl Testbed {
    /// Lays the uplinks. `relay_port` is the UDP port that the relay listens on: on all addresses of its namespace, or on
    /// loopback where there are only proxies.
    ///
    /// # Errors
    /// If not even proxies can be set up.
    pub fn new(uplinks: &[Uplink], relay_port: u16, seed: u64) -> io::Result<Self> {
        match Self::with_namespaces(uplinks, seed) {
            Ok(testbed) => Ok(testbed),
            Err(why) => Self::with_proxies(uplinks, relay_port, seed, why.to_string()),
        }
    }

    /// Only with namespaces and TAP devices.
    ///
    /// # Errors
    /// Without the rights for it; see [`Tap::new`] and [`Namespace::new`].
    pub fn with_namespaces(uplinks: &[Uplink], seed: u64) -> io::Result<Self> {
        let (at_box, at_relay) = (Namespace::new()?, Namespace::new()?);
        let mut cables = Vec::new();
        for (n, uplink) in (1u8..=250).zip(uplinks) {
            let a = Tap::new(&at_box, &uplink.name, &format!("10.77.{n}.1/24"))?;
            let b = Tap::new(&at_relay, &format!("relay{n}"), &format!("10.77.{n}.2/24"))?;
            // Every uplink has a default route, the first one's is preferred; a socket bound to a device uses its own.
            let (gateway, metric) = (format!("10.77.{n}.2"), n.to_string());
            at_box
                .enter(|| ip(&["route", "add", "default", "via", &gateway, "dev", &uplink.name, "metric", &metric]))?;
            cables.push(Cable::new(&uplink.name, uplink.conditions, Wiring::Taps(a, b)));
        }
        at_relay.enter(|| ip(&["address", "add", &format!("{RELAY}/32"), "dev", "lo"]))?;
        Ok(Self { wires: Wires::Taps { at_box, at_relay }, emulator: Emulator::start(cables, seed)? })
    }

    /// Only with proxies.
    ///
    /// # Errors
    /// If loopback has no free ports.
    pub fn with_proxies(uplinks: &[Uplink], relay_port: u16, seed: u64, because: String) -> io::Result<Self> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, relay_port));
        let cable =
            |uplink: &Uplink| Cable::new(&uplink.name, uplink.conditions, Wiring::Udp { listen, target, from: None });
        let emulator = Emulator::start(uplinks.iter().map(cable).collect(), seed)?;
        Ok(Self { wires: Wires::Proxies { because }, emulator })
    }

    /// Where the box finds the relay's port over that uplink, and the device it has to go out of, if there is one.
    pub fn way(&self, uplink: &str, relay_port: u16) -> Option<(SocketAddr, Option<String>)> {
        match &self.wires {
            Wires::Taps { .. } => Some((SocketAddr::from((RELAY, relay_port)), Some(uplink.to_owned()))),
            Wires::Proxies { .. } => Some((self.emulator.address(uplink)?, None)),
        }
    }

    /// Does something where the box is: opens its sockets, starts its processes.
    ///
    /// # Errors
    /// As [`Namespace::enter`].
    pub fn at_box<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match &self.wires {
            Wires::Taps { at_box, .. } => at_box.enter(work),
            Wires::Proxies { .. } => work(),
        }
    }

    /// Does something where the relay is.
    ///
    /// # Errors
    /// As [`Namespace::enter`].
    pub fn at_relay<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match &self.wires {
            Wires::Taps { at_relay, .. } => at_relay.enter(work),
            Wires::Proxies { .. } => work(),
        }
    }

    /// One sentence for people.
    pub fn told(&self) -> String {
        match &self.wires {
            Wires::Taps { .. } => {
                let who = if nix::unistd::getuid().is_root() && !in_user_namespace() {
                    "as root"
                } else {
                    "in a user namespace"
                };
                format!("uplinks are TAP devices between two network namespaces, made {who}; carriers are real")
            }
            Wires::Proxies { because } => {
                format!(
                    "uplinks are UDP proxies on loopback without carriers, since there are no namespaces here ({because})"
                )
            }
        }
    }
}

/// Whether root is not the machine's root here. The machine's own user namespace maps every user to itself.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut fields = map.split_whitespace();
    !(fields.next() == Some("0") && fields.next() == Some("0"))
}
