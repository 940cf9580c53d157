//! What an interface is made of: sysfs (`/sys/class/net/…`), and where that is silent the driver.

use std::fs;
use std::path::{Path, PathBuf};

use super::ethtool::Ethtool;
use super::fact::{Hardware, Mac, Radio};

/// Where sysfs lists the interfaces.
pub(super) const CLASS_NET: &str = "/sys/class/net";

/// Looks an interface up. sysfs shows the network namespace it was mounted in, which need not be ours: what it says only
/// counts if number and address agree.
pub(super) fn look_up(class_net: &Path, ethtool: &Ethtool, name: &str, index: u32, mac: Option<Mac>) -> Hardware {
    let folder = class_net.join(name);
    let mut hardware = if is_ours(&folder, index, mac) { read(&folder) } else { Hardware::default() };
    hardware.driver = hardware.driver.or_else(|| ethtool.driver(name));
    hardware.permanent = ethtool.permanent(name);
    hardware
}

fn is_ours(folder: &Path, index: u32, mac: Option<Mac>) -> bool {
    let same_index = text(folder, "ifindex").and_then(|text| text.parse().ok()) == Some(index);
    let same_mac = mac.is_none_or(|mac| text(folder, "address").is_some_and(|text| text == mac.to_string()));
    same_index && same_mac
}

/// All that sysfs says in an interface's folder.
fn read(folder: &Path) -> Hardware {
    let device = fs::canonicalize(folder.join("device")).ok();
    let own = fs::canonicalize(folder).ok();
    let driver = fs::read_link(folder.join("device/driver")).ok();
    let uevent = text(folder, "uevent").unwrap_or_default();
    let has = |name: &str| folder.join(name).exists();
    // A device without hardware is its own device: /sys/devices/virtual/net/….
    let device = device.or_else(|| own.filter(|own| own.components().any(|part| part.as_os_str() == "virtual")));
    Hardware {
        driver: driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
        devtype: uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=").map(str::to_owned)),
        usb: device.as_deref().and_then(usb),
        device: device.map(|device| device.to_string_lossy().into_owned()),
        radio: if has("phy80211") || has("wireless") { Radio::Wifi } else { Radio::Absent },
        permanent: None,
    }
}

/// Vendor and product of the USB device that an interface is a function of.
fn usb(device: &Path) -> Option<(u16, u16)> {
    let id = |folder: &Path, name| u16::from_str_radix(&text(folder, name)?, 16).ok();
    let ids = |folder: &Path| Some((id(folder, "idVendor")?, id(folder, "idProduct")?));
    device.ancestors().take(4).find_map(ids)
}

fn text(folder: &Path, name: &str) -> Option<String> {
    let path: PathBuf = folder.join(name);
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;
    use crate::events::LinkClass;
    use crate::link::class::{Evidence, classify};
    use crate::link::identity::bus_path;

    const MAC: Mac = Mac([0, 0xe0, 0x4c, 0x68, 1, 2]);

    /// A sysfs with one interface in it.
    struct Tree {
        root: tempfile::TempDir,
    }

    impl Tree {
        fn new(device: &str, name: &str, driver: Option<&str>, uevent: &str) -> Self {
            let root = tempfile::tempdir().unwrap();
            let device = root.path().join("devices").join(device);
            let net = device.join("net").join(name);
            fs::create_dir_all(&net).unwrap();
            fs::create_dir_all(root.path().join("class/net")).unwrap();
            symlink(&net, root.path().join("class/net").join(name)).unwrap();
            symlink(&device, net.join("device")).unwrap();
            if let Some(driver) = driver {
                let driver = root.path().join("bus/drivers").join(driver);
                fs::create_dir_all(&driver).unwrap();
                symlink(&driver, device.join("driver")).unwrap();
            }
            fs::write(net.join("ifindex"), "7\n").unwrap();
            fs::write(net.join("address"), format!("{MAC}\n")).unwrap();
            fs::write(net.join("uevent"), uevent).unwrap();
            Self { root }
        }

        fn look_up(&self, name: &str, index: u32) -> Hardware {
            look_up(&self.root.path().join("class/net"), &Ethtool::open().unwrap(), name, index, Some(MAC))
        }
    }

    #[test]
    fn a_modem_on_usb_is_found_with_its_place_and_its_maker() {
        let usb_device = "pci0000:00/0000:00:14.0/usb2/2-1/2-1.4";
        let tree =
            Tree::new(&format!("{usb_device}/2-1.4:1.0"), "hf-none0", Some("cdc_ether"), "DEVTYPE=wwan\nIFINDEX=7\n");
        let folder = tree.root.path().join("devices").join(usb_device);
        fs::write(folder.join("idVendor"), "12d1\n").unwrap();
        fs::write(folder.join("idProduct"), "14dc\n").unwrap();
        let hardware = tree.look_up("hf-none0", 7);
        assert_eq!(hardware.driver.as_deref(), Some("cdc_ether"));
        assert_eq!(hardware.usb, Some((0x12d1, 0x14dc)));
        assert_eq!(bus_path(hardware.device.as_deref().unwrap()).as_deref(), Some("pci-0000:00:14.0-usb-0:1.4:1.0"));
        let of = Evidence { hardware: Some(&hardware), mac: Some(MAC), ..Evidence::default() };
        assert_eq!(classify(&of).class, LinkClass::Cellular);
    }

    #[test]
    fn wifi_is_known_by_its_radio() {
        let tree = Tree::new("pci0000:00/0000:02:00.0", "hf-none1", Some("ath11k_pci"), "");
        fs::create_dir_all(tree.root.path().join("class/net/hf-none1/phy80211")).unwrap();
        assert_eq!(tree.look_up("hf-none1", 7).radio, Radio::Wifi);
    }

    #[test]
    fn another_namespaces_interface_of_the_same_name_is_not_taken_for_ours() {
        let tree = Tree::new("pci0000:00/0000:02:00.0", "hf-none2", Some("igc"), "");
        assert_eq!(tree.look_up("hf-none2", 8), Hardware::default(), "another number");
        let other = tree.root.path().join("class/net/hf-none2/address");
        fs::write(other, "02:00:00:00:00:01\n").unwrap();
        assert_eq!(tree.look_up("hf-none2", 7), Hardware::default(), "another address");
    }
}
