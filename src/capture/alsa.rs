//! Which sound card belongs to a video device: the one on the same USB or PCI device, as sysfs tells.

use std::path::{Path, PathBuf};

/// The ALSA name (`hw:2,0`) of the card that shares its device with `video`, e.g. `/dev/v4l/by-path/…`. `sys` is
/// `/sys`.
pub(super) fn paired_card(sys: &Path, video: &Path) -> Option<String> {
    let node = std::fs::canonicalize(video).unwrap_or_else(|_| video.to_owned());
    let ours = parent_device(&sys.join("class/video4linux").join(node.file_name()?).join("device"))?;
    let mut cards: Vec<u32> = std::fs::read_dir(sys.join("class/sound"))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("card")?.parse().ok())
        .collect();
    cards.sort_unstable();
    cards
        .into_iter()
        .find(|card| parent_device(&sys.join(format!("class/sound/card{card}/device"))).as_ref() == Some(&ours))
        .map(|card| format!("hw:{card},0"))
}

/// The physical device behind a class device: a USB interface (`1-2:1.0`) belongs to the device above it.
fn parent_device(link: &Path) -> Option<PathBuf> {
    let device = std::fs::canonicalize(link).ok()?;
    let name = device.file_name()?.to_str()?;
    let is_interface = name.split_once(':').is_some_and(|(port, rest)| {
        port.contains('-') && rest.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    });
    if is_interface { device.parent().map(Path::to_owned) } else { Some(device) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn class(sys: &Path, class: &str, name: &str, device: &str) {
        fs::create_dir_all(sys.join(device)).unwrap();
        fs::create_dir_all(sys.join("class").join(class).join(name)).unwrap();
        symlink(sys.join(device), sys.join("class").join(class).join(name).join("device")).unwrap();
    }

    #[test]
    fn the_card_on_the_same_usb_or_pci_device_is_found() {
        let sys = tempfile::tempdir().unwrap();
        let sys = sys.path();
        let usb = "devices/pci0000:00/0000:00:14.0/usb1/1-2";
        class(sys, "sound", "card0", "devices/pci0000:00/0000:00:1f.3");
        class(sys, "sound", "card1", "devices/pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.2");
        class(sys, "sound", "card2", &format!("{usb}/1-2:1.2"));
        class(sys, "sound", "card3", "devices/pci0000:00/0000:03:00.0");
        class(sys, "video4linux", "video0", &format!("{usb}/1-2:1.0"));
        class(sys, "video4linux", "video4", "devices/pci0000:00/0000:03:00.0");
        class(sys, "video4linux", "video9", "devices/platform/csi");

        assert_eq!(paired_card(sys, Path::new("/dev/video0")).as_deref(), Some("hw:2,0"));
        assert_eq!(paired_card(sys, Path::new("/dev/video4")).as_deref(), Some("hw:3,0"));
        assert_eq!(paired_card(sys, Path::new("/dev/video9")), None);
        assert_eq!(paired_card(sys, Path::new("/dev/video77")), None);
    }
}
