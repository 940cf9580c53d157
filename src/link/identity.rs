//! Pure. What an interface is called wherever it is plugged in and whatever the kernel names it today.
//!
//! Kernel names depend on the order of discovery. What stays is, best first:
//!
//! 1. the alias somebody gave it (`Alias=` of a systemd.link file, `ip link set … alias …`);
//! 2. of what can be unplugged (USB): its permanent MAC, if a maker vouches for it, since it may be plugged in elsewhere;
//! 3. of what is built in (PCI, SoC): where it sits, since the socket on the box is what people point at;
//! 4. the other one of the two;
//! 5. its name, which is all that a virtual interface has.
//!
//! Modems of one make often share one MAC: of several interfaces with the same identity each is told apart by its place.

use std::collections::BTreeMap;

use super::fact::Mac;

/// A lasting name, and what it is taken from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `mac-00:e0:4c:68:01:02`, `pci-0000:03:00.0`, an alias, or a name.
    pub id: String,
    /// In words.
    pub reason: &'static str,
}

/// What an identity is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Features<'a> {
    pub(super) name: &'a str,
    pub(super) alias: Option<&'a str>,
    pub(super) permanent: Option<Mac>,
    /// Below `/sys/devices`.
    pub(super) device: Option<&'a str>,
}

/// The identities of all interfaces there are, in their order: no two are the same.
pub(super) fn identities(all: &[Features<'_>]) -> Vec<Identity> {
    let mut found: Vec<Identity> = all.iter().map(identity).collect();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for identity in &found {
        *count.entry(identity.id.clone()).or_default() += 1;
    }
    for (identity, features) in found.iter_mut().zip(all) {
        if count.get(&identity.id).is_some_and(|n| *n > 1) {
            let place = features.device.and_then(bus_path);
            let place = place.unwrap_or_else(|| features.name.to_owned());
            identity.id = format!("{}@{place}", identity.id);
            identity.reason = "several interfaces share the rest of it, so its place tells it apart";
        }
    }
    found
}

fn identity(features: &Features<'_>) -> Identity {
    let place = features.device.and_then(bus_path);
    let mac = features.permanent.filter(|mac| mac.is_universal()).map(|mac| format!("mac-{mac}"));
    let can_be_unplugged = place.as_ref().is_some_and(|place| place.contains("-usb-"));
    let by_mac = |id| Identity { id, reason: "its maker's MAC address, wherever it is plugged in" };
    let by_place = |id| Identity { id, reason: "the socket it is plugged into or soldered to" };
    if let Some(alias) = features.alias.filter(|alias| !alias.trim().is_empty()) {
        return Identity { id: alias.to_owned(), reason: "the alias it was given" };
    }
    match (mac, place) {
        (Some(mac), Some(_)) if can_be_unplugged => by_mac(mac),
        (_, Some(place)) => by_place(place),
        (Some(mac), None) => by_mac(mac),
        (None, None) => {
            Identity { id: features.name.to_owned(), reason: "its name, since it has nothing else that lasts" }
        }
    }
}

/// Where a device sits, in the form of udev's ID_PATH: `pci-0000:00:14.0-usb-0:1.4:1.0`. Of USB the ports are named, not
/// the bus, whose number depends on the order of discovery. `None` for what has no place.
pub fn bus_path(device: &str) -> Option<String> {
    let mut base: Option<String> = None;
    let mut usb: Option<&str> = None;
    let mut on_platform = false;
    for part in device.split('/') {
        if part == "virtual" {
            return None;
        } else if part == "platform" {
            on_platform = true;
        } else if is_pci_address(part) {
            (base, on_platform) = (Some(format!("pci-{part}")), false);
        } else if part.starts_with("pci") || part.starts_with("virtio") || part.is_empty() {
        } else if let Some(ports) = usb_ports(part) {
            usb = Some(ports);
        } else if on_platform && usb.is_none() && part.contains('.') {
            base = Some(format!("platform-{part}"));
        }
    }
    let base = base?;
    Some(usb.map_or_else(|| base.clone(), |ports| format!("{base}-usb-0:{ports}")))
}

/// `0000:03:00.0`
fn is_pci_address(part: &str) -> bool {
    let hex = |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    let fields: Vec<&str> = part.split([':', '.']).collect();
    match fields[..] {
        [domain, bus, device, function] => {
            hex(domain, 4) && hex(bus, 2) && hex(device, 2) && hex(function, 1) && part.contains('.')
        }
        _ => false,
    }
}

/// `1.4` of `2-1.4`, `1.4:1.0` of `2-1.4:1.0`.
fn usb_ports(part: &str) -> Option<&str> {
    let (bus, ports) = part.split_once('-')?;
    let is_number = !bus.is_empty() && bus.bytes().all(|b| b.is_ascii_digit());
    let is_ports = !ports.is_empty() && ports.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b':');
    (is_number && is_ports).then_some(ports)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MAC: Mac = Mac([0, 0xe0, 0x4c, 0x68, 1, 2]);
    const STICK: &str = "/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1.4/2-1.4:1.0";
    const CARD: &str = "/sys/devices/pci0000:00/0000:00:1c.0/0000:03:00.0";

    fn one(features: Features<'_>) -> String {
        identities(&[features]).remove(0).id
    }

    #[test]
    fn places_are_written_as_udev_writes_them() {
        let place = |device| bus_path(device).unwrap_or_default();
        assert_eq!(place(STICK), "pci-0000:00:14.0-usb-0:1.4:1.0");
        assert_eq!(
            place("/sys/devices/pci0000:00/0000:00:14.0/usb7/7-1/7-1.4/7-1.4:1.0"),
            place(STICK),
            "the bus number"
        );
        assert_eq!(place(CARD), "pci-0000:03:00.0");
        assert_eq!(place("/sys/devices/pci0000:00/0000:00:03.0/virtio0"), "pci-0000:00:03.0");
        assert_eq!(place("/sys/devices/platform/scb/fd580000.ethernet"), "platform-fd580000.ethernet");
        let soc_usb = "/sys/devices/platform/soc/fe980000.usb/usb1/1-1/1-1.2/1-1.2:1.1";
        assert_eq!(place(soc_usb), "platform-fe980000.usb-usb-0:1.2:1.1");
        assert_eq!(bus_path("/sys/devices/virtual/net/veth0"), None);
    }

    #[test]
    fn a_stick_keeps_its_identity_in_another_socket_and_under_another_name() {
        let elsewhere = "/sys/devices/pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0";
        let here = one(Features { name: "usb0", permanent: Some(MAC), device: Some(STICK), ..Features::default() });
        let there =
            one(Features { name: "eth7", permanent: Some(MAC), device: Some(elsewhere), ..Features::default() });
        assert_eq!((here.as_str(), &here), ("mac-00:e0:4c:68:01:02", &there));
    }

    #[test]
    fn a_card_that_is_replaced_keeps_the_identity_of_its_slot() {
        let old = Features { name: "eth0", permanent: Some(MAC), device: Some(CARD), ..Features::default() };
        let new = Features { permanent: Mac::new(&[0, 1, 2, 3, 4, 5]), ..old };
        assert_eq!((one(old), one(new)), ("pci-0000:03:00.0".into(), "pci-0000:03:00.0".into()));
    }

    #[test]
    fn what_somebody_called_it_comes_first_and_a_name_last() {
        let named = Features { name: "eth0", alias: Some("front left"), device: Some(CARD), permanent: Some(MAC) };
        assert_eq!(one(named), "front left");
        assert_eq!(one(Features { name: "veth1", ..Features::default() }), "veth1");
        assert_eq!(one(Features { alias: Some(" "), ..named }), "pci-0000:03:00.0", "an empty alias is none");
    }

    #[test]
    fn a_mac_that_nobody_vouches_for_is_no_identity() {
        let random = Mac([0x0e, 1, 2, 3, 4, 5]);
        let stick = Features { name: "usb0", permanent: Some(random), device: Some(STICK), ..Features::default() };
        assert_eq!(one(stick), "pci-0000:00:14.0-usb-0:1.4:1.0");
    }

    #[test]
    fn two_modems_with_one_mac_are_told_apart() {
        let other = "/sys/devices/pci0000:00/0000:00:14.0/usb2/2-2/2-2:1.0";
        let of = |name, device| Features { name, permanent: Some(MAC), device: Some(device), ..Features::default() };
        let found = identities(&[of("usb0", STICK), of("usb1", other)]);
        assert_ne!(found[0].id, found[1].id);
        assert_eq!(found[1].id, "mac-00:e0:4c:68:01:02@pci-0000:00:14.0-usb-0:2:1.0");
    }
}
