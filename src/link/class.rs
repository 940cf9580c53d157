//! Pure. What kind of uplink an interface is, and why it is taken for that.
//!
//! What the kernel knows (Wi-Fi, modems, virtual devices) is certain. Starlink is a cable to whoever plugs it in: that is
//! only ever *likely*, from how its network looks. Only the dish itself can say more.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::fact::{Hardware, Mac, Radio};
use crate::events::{Certainty, LinkClass};

/// A class, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What it is.
    pub class: LinkClass,
    /// How sure that is.
    pub certainty: Certainty,
    /// In words.
    pub reason: String,
}

/// What is known of an interface.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence<'a> {
    /// IFLA_INFO_KIND.
    pub(super) kind: Option<&'a str>,
    pub(super) hardware: Option<&'a Hardware>,
    pub(super) addresses: &'a [IpAddr],
    pub(super) gateways: &'a [IpAddr],
    /// There is a route of its own to [`DISH`].
    pub(super) dish_route: bool,
    /// Whether it has an Ethernet address.
    pub(super) mac: Option<Mac>,
}

/// Where a Starlink dish answers, from behind its router or without one. Cable modems use the same address, but nobody
/// hands out a route to theirs.
pub(super) const DISH: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 1);
/// The gateway that Starlink hands out with addresses of 100.64.0.0/10 when its router is bypassed.
const STARLINK_GATEWAY: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);
/// IPv6 blocks assigned to SpaceX (ARIN, APNIC, RIPE), and their lengths.
const SPACEX: [(Ipv6Addr, u32); 3] = [
    (Ipv6Addr::new(0x2605, 0x59c0, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2406, 0x2d40, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2a0d, 0x3340, 0, 0, 0, 0, 0, 0), 29),
];

/// Kernel modules that only modems and phones need.
const MODEM_DRIVERS: [&str; 13] = [
    "cdc_mbim",
    "qmi_wwan",
    "qmi_wwan_q",
    "huawei_cdc_ncm",
    "sierra_net",
    "hso",
    "mhi_net",
    "mhi_wwan_mbim",
    "iosm",
    "mtk_t7xx",
    "bam-dmux",
    "ipheth",
    "GobiNet",
];
/// Kernel modules that modems share with plain adapters.
const SHARED_DRIVERS: [&str; 3] = ["cdc_ether", "cdc_ncm", "rndis_host"];
/// USB vendors that make modems, with the names people know them by.
const MODEM_VENDORS: [(u16, &str); 13] = [
    (0x12d1, "Huawei"),
    (0x19d2, "ZTE"),
    (0x1199, "Sierra Wireless"),
    (0x2c7c, "Quectel"),
    (0x1bc7, "Telit"),
    (0x1e0e, "SIMCom"),
    (0x2cb7, "Fibocom"),
    (0x1410, "Novatel"),
    (0x1bbb, "Alcatel"),
    (0x05c6, "Qualcomm"),
    (0x0e8d, "MediaTek"),
    (0x0f3d, "AirPrime"),
    (0x1546, "u-blox"),
];

/// Says what an interface is.
pub(super) fn classify(of: &Evidence<'_>) -> Classified {
    by_kind(of).or_else(|| by_hardware(of)).unwrap_or_else(|| plain(of))
}

fn certain(class: LinkClass, reason: impl Into<String>) -> Classified {
    Classified { class, certainty: Certainty::Certain, reason: reason.into() }
}

fn likely(class: LinkClass, reason: impl Into<String>) -> Classified {
    Classified { class, certainty: Certainty::Likely, reason: reason.into() }
}

fn by_kind(of: &Evidence<'_>) -> Option<Classified> {
    match of.kind? {
        "wwan" => Some(certain(LinkClass::Cellular, "the kernel's modem subsystem made it")),
        "tun" => Some(certain(LinkClass::Virtual, "a program makes up what comes in over it (TUN or TAP)")),
        "ppp" => Some(likely(LinkClass::Unknown, "a PPP connection: a modem or a DSL line")),
        kind => Some(certain(LinkClass::Virtual, format!("the kernel made it up, of the kind {kind}"))),
    }
}

fn by_hardware(of: &Evidence<'_>) -> Option<Classified> {
    let hardware = of.hardware?;
    let driver = hardware.driver.as_deref().unwrap_or("");
    if hardware.radio == Radio::Wifi || hardware.devtype.as_deref() == Some("wlan") {
        return Some(certain(LinkClass::WiFi, "the kernel says that it is 802.11"));
    }
    if hardware.devtype.as_deref() == Some("wwan") {
        return Some(certain(LinkClass::Cellular, "the kernel says that it is a modem (wwan)"));
    }
    if MODEM_DRIVERS.contains(&driver) {
        return Some(certain(LinkClass::Cellular, format!("its driver {driver} is for modems and phones only")));
    }
    if SHARED_DRIVERS.contains(&driver) {
        let vendor = hardware.usb.and_then(|(vendor, _)| MODEM_VENDORS.iter().find(|(id, _)| *id == vendor));
        if let Some((_, vendor)) = vendor {
            let reason = format!("{vendor} makes modems, and its driver {driver} is one that they use");
            return Some(likely(LinkClass::Cellular, reason));
        }
        if driver == "rndis_host" {
            return Some(likely(LinkClass::Cellular, "its driver rndis_host is mostly for phones and modems"));
        }
    }
    if hardware.device.as_deref().is_some_and(|device| device.contains("/devices/virtual/")) {
        return Some(certain(LinkClass::Virtual, "there is no hardware behind it"));
    }
    None
}

/// A cable, as far as the kernel knows.
fn plain(of: &Evidence<'_>) -> Classified {
    let driver = of.hardware.and_then(|hardware| hardware.driver.as_deref());
    let has_device = of.hardware.is_some_and(|hardware| hardware.device.is_some());
    if let Some(reason) = starlink(of).filter(|_| of.mac.is_some()) {
        return likely(LinkClass::Starlink, reason);
    }
    match (driver, has_device, of.mac) {
        (Some(driver), _, Some(_)) => certain(LinkClass::Ethernet, format!("a network card with the driver {driver}")),
        (None, true, Some(_)) => likely(LinkClass::Ethernet, "it has a device and an Ethernet address"),
        (Some(driver), _, None) => {
            certain(LinkClass::Unknown, format!("its driver {driver} says nothing, and it has no Ethernet address"))
        }
        (None, _, _) => certain(LinkClass::Unknown, "the kernel tells neither a driver nor a kind"),
    }
}

/// The signs of a dish, strongest first.
fn starlink(of: &Evidence<'_>) -> Option<String> {
    if of.dish_route {
        return Some(format!("there is a route to {DISH}, where Starlink's dishes answer"));
    }
    let in_block = |address: &&IpAddr| match address {
        IpAddr::V6(v6) => SPACEX.iter().any(|(block, length)| {
            let shift = 128 - length;
            u128::from(*v6) >> shift == u128::from(*block) >> shift
        }),
        IpAddr::V4(_) => false,
    };
    if let Some(address) = of.addresses.iter().find(in_block) {
        return Some(format!("its address {address} is of a block assigned to SpaceX"));
    }
    let shared = |address: &&IpAddr| match address {
        // RFC 6598.
        IpAddr::V4(v4) => v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64,
        IpAddr::V6(_) => false,
    };
    let address = of.addresses.iter().find(shared)?;
    // Many providers use this block; this gateway in it is Starlink's habit.
    let gateway = of.gateways.contains(&IpAddr::V4(STARLINK_GATEWAY));
    gateway.then(|| format!("its address {address} and its gateway {STARLINK_GATEWAY} are as Starlink hands them out"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CARD: Option<Mac> = Some(Mac([0, 1, 2, 3, 4, 5]));

    fn hardware(driver: &str) -> Hardware {
        let device = Some("/sys/devices/pci0000:00/0000:03:00.0".to_owned());
        Hardware { driver: Some(driver.to_owned()), device, ..Hardware::default() }
    }

    fn class(of: &Evidence<'_>) -> (LinkClass, Certainty) {
        let found = classify(of);
        assert!(!found.reason.is_empty());
        (found.class, found.certainty)
    }

    fn with(hardware: &Hardware) -> Evidence<'_> {
        Evidence { hardware: Some(hardware), mac: CARD, ..Evidence::default() }
    }

    #[test]
    fn what_the_kernel_knows_is_certain() {
        use Certainty::Certain;
        let (igc, mbim) = (hardware("igc"), hardware("cdc_mbim"));
        assert_eq!(class(&with(&igc)), (LinkClass::Ethernet, Certain));
        assert_eq!(class(&with(&mbim)), (LinkClass::Cellular, Certain));
        let wlan = Hardware { devtype: Some("wlan".into()), ..hardware("ath11k_pci") };
        assert_eq!(class(&with(&wlan)), (LinkClass::WiFi, Certain));
        let radio = Hardware { radio: Radio::Wifi, ..hardware("8821cu") };
        assert_eq!(class(&with(&radio)), (LinkClass::WiFi, Certain));
        let wwan = Hardware { devtype: Some("wwan".into()), ..hardware("cdc_ether") };
        assert_eq!(class(&with(&wwan)), (LinkClass::Cellular, Certain));
        for kind in ["veth", "bridge", "tun", "wireguard"] {
            let of = Evidence { kind: Some(kind), mac: CARD, ..Evidence::default() };
            assert_eq!(class(&of), (LinkClass::Virtual, Certain), "{kind}");
        }
    }

    #[test]
    fn a_driver_that_adapters_share_with_modems_is_judged_by_the_maker() {
        let of_vendor = |driver, vendor| Hardware { usb: Some((vendor, 1)), ..hardware(driver) };
        let (huawei, other) = (of_vendor("cdc_ether", 0x12d1), of_vendor("cdc_ether", 0x0bda));
        assert_eq!(class(&with(&huawei)), (LinkClass::Cellular, Certainty::Likely));
        assert_eq!(class(&with(&other)), (LinkClass::Ethernet, Certainty::Certain));
        assert_eq!(class(&with(&hardware("rndis_host"))), (LinkClass::Cellular, Certainty::Likely));
    }

    #[test]
    fn a_dish_is_only_ever_likely_and_a_shared_address_alone_is_no_sign_of_one() {
        let card = hardware("igc");
        let v4: [IpAddr; 1] = ["100.90.1.2".parse().unwrap()];
        let v6: [IpAddr; 1] = ["2605:59c0:1234::1".parse().unwrap()];
        let gateway: [IpAddr; 1] = ["100.64.0.1".parse().unwrap()];
        let likely = (LinkClass::Starlink, Certainty::Likely);
        assert_eq!(class(&Evidence { dish_route: true, ..with(&card) }), likely);
        assert_eq!(class(&Evidence { addresses: &v6, ..with(&card) }), likely);
        assert_eq!(class(&Evidence { addresses: &v4, gateways: &gateway, ..with(&card) }), likely);
        assert_eq!(class(&Evidence { addresses: &v4, ..with(&card) }).0, LinkClass::Ethernet);
        let modem = hardware("qmi_wwan");
        let on_a_modem = Evidence { addresses: &v4, gateways: &gateway, ..with(&modem) };
        assert_eq!(class(&on_a_modem).0, LinkClass::Cellular);
    }

    #[test]
    fn what_nobody_knows_is_unknown() {
        assert_eq!(class(&Evidence::default()).0, LinkClass::Unknown);
        assert_eq!(class(&Evidence { kind: Some("ppp"), ..Evidence::default() }).0, LinkClass::Unknown);
    }
}
