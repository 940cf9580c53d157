//! What the machine says of itself: DMI, the device tree, the PCI bus, the processor.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::config::profile::{Machine, Virtuality};

/// More than any of these files has; of `cpuinfo`, which repeats itself for each processor, the first is in it.
const MOST_BYTES: u64 = 16 << 10;
/// PCI devices that are looked at.
const MOST_DEVICES: usize = 512;

/// The machine whose `/sys` and `/proc` are below `root`. `architecture` is its processor's kind, as
/// [`std::env::consts::ARCH`] has it. What is not there or may not be read is not told.
pub fn machine(root: &Path, architecture: &str) -> Machine {
    let dmi = root.join("sys/class/dmi/id");
    Machine {
        architecture: architecture.to_owned(),
        vendor: line(&dmi.join("sys_vendor")),
        product: line(&dmi.join("product_name")),
        compatible: compatible(&root.join("proc/device-tree/compatible")),
        modaliases: modaliases(&root.join("sys/bus/pci/devices")),
        virtuality: virtuality(root),
    }
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn line(path: &Path) -> Option<String> {
    let bytes = bytes(path)?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Texts that each end with a zero byte, the most specific first (Devicetree Specification, 2.3.1).
fn compatible(path: &Path) -> Vec<String> {
    let bytes = bytes(path).unwrap_or_default();
    let texts = bytes.split(|byte| *byte == 0).filter(|text| !text.is_empty());
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn modaliases(devices: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(devices).into_iter().flatten().take(MOST_DEVICES);
    entries.filter_map(|entry| line(&entry.ok()?.path().join("modalias"))).collect()
}

/// CPUID's bit for it, as the kernel shows it on x86-64, or a hypervisor that makes itself known.
fn virtuality(root: &Path) -> Virtuality {
    let cpuinfo = bytes(&root.join("proc/cpuinfo")).unwrap_or_default();
    let cpuinfo = String::from_utf8_lossy(&cpuinfo);
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or("");
    if flags.split_whitespace().any(|flag| flag == "hypervisor") || root.join("sys/hypervisor/type").exists() {
        Virtuality::Virtual
    } else {
        Virtuality::Real
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn write(root: &Path, path: &str, content: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn a_pc_is_read_from_its_sysfs() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "sys/class/dmi/id/sys_vendor", b"AZW\n");
        write(root.path(), "sys/class/dmi/id/product_name", b"EQ12  \n");
        write(root.path(), "sys/bus/pci/devices/0000:00:02.0/modalias", b"pci:v00008086d000046D1bc03\n");
        write(root.path(), "sys/bus/pci/devices/0000:01:00.0/modalias", b"pci:v000010DEd00002684bc03\n");
        write(root.path(), "proc/cpuinfo", b"processor : 0\nflags\t\t: fpu vme sse2\n");
        let machine = machine(root.path(), "x86_64");
        assert_eq!((machine.vendor.as_deref(), machine.product.as_deref()), (Some("AZW"), Some("EQ12")));
        assert_eq!(machine.modaliases.len(), 2);
        assert_eq!((machine.virtuality, machine.architecture.as_str()), (Virtuality::Real, "x86_64"));
        assert_eq!(machine.compatible, Vec::<String>::new());
    }

    #[test]
    fn a_board_is_read_from_its_device_tree() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "proc/device-tree/compatible", b"radxa,rock-5b\0rockchip,rk3588\0");
        let machine = machine(root.path(), "aarch64");
        assert_eq!(machine.compatible, ["radxa,rock-5b", "rockchip,rk3588"]);
        assert_eq!(machine.vendor, None);
    }

    #[test]
    fn a_guest_knows_that_it_is_one() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "proc/cpuinfo", b"flags : fpu hypervisor lahf_lm\n");
        assert_eq!(machine(root.path(), "x86_64").virtuality, Virtuality::Virtual);
        let xen = tempfile::tempdir().unwrap();
        write(xen.path(), "sys/hypervisor/type", b"xen\n");
        assert_eq!(machine(xen.path(), "x86_64").virtuality, Virtuality::Virtual);
    }

    #[test]
    fn nothing_at_all_is_no_trouble() {
        let root = tempfile::tempdir().unwrap();
        let machine = machine(root.path(), "riscv64");
        assert_eq!(machine, Machine { architecture: "riscv64".to_owned(), ..Machine::default() });
    }
}
