//! Pure. What happened to an interface, found by comparing what was known before and after.

use std::net::IpAddr;

use super::fact::LinkState;
use super::network::{Interface, Reach};
use crate::events::LinkClass;
use crate::model::Media;

/// Something happened to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was noticed, on CLOCK_MONOTONIC.
    pub at: Media,
    /// The kernel's number of the interface. Another one under an old name is another interface.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it is taken for.
    pub class: Option<LinkClass>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The interface is there.
    Appeared,
    /// It is not there any more.
    Gone,
    /// The kernel calls it something else.
    Renamed {
        /// Its name before.
        from: String,
    },
    /// It was switched on.
    SwitchedOn,
    /// It was switched off.
    SwitchedOff,
    /// The signal on the line is gone.
    CarrierLost,
    /// The signal is back.
    CarrierReturned,
    /// The signal was gone and is back, all between two looks.
    Blinked {
        /// So often.
        times: u32,
    },
    /// It has another address.
    AddressGained(IpAddr),
    /// It has one address less.
    AddressLost(IpAddr),
    /// A default route leads through it.
    RouteGained,
    /// None does any more.
    RouteLost,
    /// It can carry traffic again, or further than before.
    Returned(&'static str),
}

impl What {
    /// From one state of an interface to the next: losses first.
    pub(super) fn between(before: &Interface, after: &Interface) -> Vec<Self> {
        let mut found = Vec::new();
        if before.name != after.name {
            found.push(Self::Renamed { from: before.name.clone() });
        }
        found.extend(Self::carrier(before, after));
        let (lost, gained) = (addresses(before, after), addresses(after, before));
        found.extend(lost.into_iter().map(Self::AddressLost));
        if before.has_default_route() && !after.has_default_route() {
            found.push(Self::RouteLost);
        }
        found.extend(gained.into_iter().map(Self::AddressGained));
        if after.has_default_route() && !before.has_default_route() {
            found.push(Self::RouteGained);
        }
        found.extend(Self::returned(before.reach(), after.reach()));
        found
    }

    /// Of an interface that has just appeared.
    pub(super) fn first(after: &Interface) -> Vec<Self> {
        let addresses = after.addresses.keys().copied().filter(|address| is_useful(*address));
        addresses.map(Self::AddressGained).chain(Self::returned(Reach::Nothing, after.reach())).collect()
    }

    fn carrier(before: &Interface, after: &Interface) -> Vec<Self> {
        use LinkState::{NoCarrier, Off, Up};
        let mut found = match (before.state, after.state) {
            (Off, Off) | (NoCarrier, NoCarrier) | (Up, Up) => Vec::new(),
            (Up, NoCarrier) => vec![Self::CarrierLost],
            (NoCarrier, Up) => vec![Self::CarrierReturned],
            (_, Off) => vec![Self::SwitchedOff],
            (Off, _) => vec![Self::SwitchedOn],
        };
        let flips = u32::from(matches!((before.state, after.state), (Up, NoCarrier) | (NoCarrier, Up)));
        let counted = before.carrier_changes.zip(after.carrier_changes).map(|(was, is)| is.wrapping_sub(was));
        // Two for each time; a count that goes back is another device's. Switching on and off also counts.
        let unseen = counted.filter(|n| *n < u32::MAX / 2).map_or(0, |n| n.saturating_sub(flips) / 2);
        if unseen > 0 && before.state != Off && after.state != Off {
            found.insert(0, Self::Blinked { times: unseen });
        }
        found
    }

    fn returned(before: Reach, after: Reach) -> Option<Self> {
        if after <= before {
            return None;
        }
        Some(Self::Returned(match (before, after) {
            (Reach::Nothing, Reach::Everything) => "it has carrier, an address and a default route again",
            (Reach::Nothing, _) => "it has carrier and an address again",
            _ => "it has a default route again",
        }))
    }

    /// For people.
    pub fn in_words(&self) -> String {
        match self {
            Self::Appeared => "it is there".to_owned(),
            Self::Gone => "it is gone: unplugged, or its driver has ended".to_owned(),
            Self::Renamed { from } => format!("it was called {from} before"),
            Self::SwitchedOn => "it was switched on".to_owned(),
            Self::SwitchedOff => "it was switched off".to_owned(),
            Self::CarrierLost => "carrier lost: the cable is out, or the other side is off".to_owned(),
            Self::CarrierReturned => "carrier is back".to_owned(),
            Self::Blinked { times: 1 } => "carrier was lost and came back at once: look at the cable".to_owned(),
            Self::Blinked { times } => format!("carrier was lost and came back {times} times: look at the cable"),
            Self::AddressGained(address) => format!("it has the address {address}"),
            Self::AddressLost(address) => format!("it does not have the address {address} any more"),
            Self::RouteGained => "a default route leads through it".to_owned(),
            Self::RouteLost => "no default route leads through it any more".to_owned(),
            Self::Returned(why) => (*why).to_owned(),
        }
    }

    /// A word for the event's evidence, stable across releases.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Gone => "gone",
            Self::Renamed { .. } => "renamed",
            Self::SwitchedOn => "switched-on",
            Self::SwitchedOff => "switched-off",
            Self::CarrierLost => "carrier-lost",
            Self::CarrierReturned => "carrier-returned",
            Self::Blinked { .. } => "carrier-blinked",
            Self::AddressGained(_) => "address-gained",
            Self::AddressLost(_) => "address-lost",
            Self::RouteGained => "route-gained",
            Self::RouteLost => "route-lost",
            Self::Returned(_) => "returned",
        }
    }
}

/// The useful addresses of one that the other does not have.
fn addresses(one: &Interface, other: &Interface) -> Vec<IpAddr> {
    let only = |address: &IpAddr| is_useful(*address) && !other.addresses.contains_key(address);
    one.addresses.keys().copied().filter(only).collect()
}

/// Link-local addresses are there before the network is.
pub(super) fn is_useful(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_loopback() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_loopback() && !v6.is_unspecified(),
    }
}
