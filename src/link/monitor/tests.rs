#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::events::LinkClass;
use crate::link::fact::{LinkFact, LinkState, Mac};

/// The number of an interface that this machine is not likely to have.
const INDEX: u32 = 7_654_321;
const BEFORE: Mac = Mac([0x02, 0, 0, 0, 0, 1]);
const AFTER: Mac = Mac([0x02, 0, 0, 0, 0, 2]);

/// A modem on USB as sysfs has it below this name and address.
fn plug(root: &Path, name: &str, mac: Mac) {
    let device = root.join("devices/usb2/2-1/2-1:1.0");
    let net = device.join("net").join(name);
    fs::create_dir_all(&net).unwrap();
    fs::create_dir_all(root.join("class/net")).unwrap();
    symlink(&net, root.join("class/net").join(name)).unwrap();
    symlink(&device, net.join("device")).unwrap();
    fs::write(net.join("ifindex"), format!("{INDEX}\n")).unwrap();
    fs::write(net.join("address"), format!("{mac}\n")).unwrap();
    fs::write(net.join("uevent"), "DEVTYPE=wwan\n").unwrap();
}

fn watcher(root: &Path) -> Watcher {
    Watcher {
        network: Network::default(),
        ethtool: Ethtool::open().unwrap(),
        options: Options { class_net: root.join("class/net"), ..Options::default() },
        links: watch::channel(Arc::default()).0,
        changes: mpsc::channel(1).0,
        asking: BTreeMap::new(),
        overruns: 0,
    }
}

fn told(name: &str, mac: Mac) -> Fact {
    let fact =
        LinkFact { index: INDEX, name: name.into(), state: LinkState::Up, mac: Some(mac), ..LinkFact::default() };
    Fact::Link(fact)
}

fn class(watcher: &Watcher) -> LinkClass {
    watcher.network.links().links[0].class.class
}

#[test]
fn a_modem_that_udev_renames_while_it_is_looked_up_is_known_by_what_it_is() {
    let root = tempfile::tempdir().unwrap();
    // When the kernel's first word of it is read, sysfs has it under the next name.
    plug(root.path(), "hf-wwx0", BEFORE);
    let mut watcher = watcher(root.path());
    watcher.take(told("hf-usb0", BEFORE));
    assert_eq!(class(&watcher), LinkClass::Unknown);
    watcher.take(told("hf-wwx0", BEFORE));
    assert_eq!(class(&watcher), LinkClass::Cellular);
    // Another name that sysfs does not have yet takes nothing away.
    watcher.take(told("hf-wwx1", BEFORE));
    assert_eq!(class(&watcher), LinkClass::Cellular);
}

#[test]
fn a_modem_that_is_given_another_address_while_it_is_looked_up_is_known_by_what_it_is() {
    let root = tempfile::tempdir().unwrap();
    plug(root.path(), "hf-usb0", AFTER);
    let mut watcher = watcher(root.path());
    watcher.take(told("hf-usb0", BEFORE));
    assert_eq!(class(&watcher), LinkClass::Unknown);
    watcher.take(told("hf-usb0", AFTER));
    assert_eq!(class(&watcher), LinkClass::Cellular);
}

#[test]
fn a_driver_that_does_not_answer_for_a_moment_is_asked_again_soon() {
    let root = tempfile::tempdir().unwrap();
    let mut watcher = watcher(root.path());
    // As of one that resets its device, or of a name that was another's until now, the kernel says that there is none.
    watcher.take(told("hf-none0", BEFORE));
    watcher.ask_carriers();
    let again = watcher.asking[&INDEX].saturating_duration_since(clock::now());
    assert!((CARRIER_POLL..=RETRY).contains(&again), "{again:?}");
}
