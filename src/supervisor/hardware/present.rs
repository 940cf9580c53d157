//! What of a hardware profile is there on this machine, as any user may see it. Nothing is opened and nothing changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::profile::{ButtonLine, CaptureDevice, HardwareProfile, InterfaceRole, Key, Led, LedLine, UsbId};
use crate::link::bus_path;
use crate::telemetry::machine;

/// Devices of one kind that are looked at.
const MOST: usize = 128;
/// Video devices that compute and capture nothing: codecs, scalers, image processors.
const NO_CAPTURE: [&str; 10] = [
    "bcm2835-codec",
    "bcm2835-isp",
    "rpi-hevc-dec",
    "rpivid",
    "pispbe",
    "hantro-vpu",
    "rkvdec",
    "rockchip-rga",
    "rkisp1",
    "vim2m",
];

/// Whether something is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is, under this name.
    Here(String),
    /// It is not; what was looked for.
    NotHere(String),
    /// It cannot be seen from outside; how to find out.
    CannotTell(String),
}

/// A video device that captures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoDevice {
    /// `/dev/video0`.
    pub node: String,
    /// What its driver calls it.
    pub title: String,
    /// Its driver.
    pub driver: Option<String>,
    /// What it is on USB.
    pub usb: Option<UsbId>,
    /// Where it is plugged in, as udev's ID_PATH has it.
    pub place: Option<String>,
    /// Which of the profile's capture entries it is, counted from 0.
    pub entry: Option<usize>,
    /// The sub-device that takes its EDID, where the profile says that one does.
    pub subdevice: Option<Found>,
}

/// What of a profile is there. Each list has the order of the profile's.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// What captures, whether or not the profile knows it.
    pub video: Vec<VideoDevice>,
    /// The devices of the hardware encoders that the profile names.
    pub encoders: Vec<(String, Found)>,
    /// The display's device.
    pub display: Option<Found>,
    /// Buttons.
    pub buttons: Vec<Found>,
    /// Lights.
    pub leds: Vec<Found>,
    /// Network interfaces.
    pub interfaces: Vec<Found>,
    /// Thermometers, with what they show.
    pub thermal: Vec<Found>,
}

/// Looks for what `profile` says on the machine whose `/sys` and `/dev` are below `root`.
pub fn look(root: &Path, profile: &HardwareProfile) -> Presence {
    let zones = machine::read(root, &[]).zones;
    let thermal = profile.thermal.iter().map(|thermal| {
        let fitting = zones.iter().filter(|zone| thermal.zone.fits(&zone.name));
        let shown: Vec<String> = fitting.map(|zone| format!("{} shows {:.0} °C", zone.name, zone.celsius)).collect();
        if shown.is_empty() { Found::NotHere("no such thermometer".to_owned()) } else { Found::Here(shown.join(", ")) }
    });
    let display = profile.display.as_ref().map(|display| device(root, display.kind.device()));
    Presence {
        video: video(root, &profile.capture),
        encoders: encoders(root, profile),
        display,
        buttons: profile.buttons.iter().map(|button| self::button(root, &button.wired)).collect(),
        leds: profile.leds.iter().map(|led| self::led(root, led)).collect(),
        interfaces: profile.interfaces.iter().map(|role| interface(root, role)).collect(),
        thermal: thermal.collect(),
    }
}

fn video(root: &Path, capture: &[CaptureDevice]) -> Vec<VideoDevice> {
    let class = root.join("sys/class/video4linux");
    let mut devices = Vec::new();
    for (number, folder) in numbered(&class, "video") {
        let device = fs::canonicalize(folder.join("device")).ok();
        let driver = driver(&folder);
        let is_metadata =
            driver.as_deref() == Some("uvcvideo") && word(&folder.join("index")).is_some_and(|n| n != "0");
        if is_metadata || driver.as_deref().is_some_and(|driver| NO_CAPTURE.contains(&driver)) {
            continue;
        }
        let usb = device.as_deref().and_then(usb);
        let place = device.as_deref().and_then(|device| place(root, device));
        let is = |entry: &CaptureDevice| {
            usb.is_some_and(|usb| entry.usb.contains(&usb)) || entry.known_by.fit(driver.as_deref(), place.as_deref())
        };
        let entry = capture.iter().position(is);
        let glob = entry.and_then(|entry| capture.get(entry)).and_then(|entry| entry.subdevice.as_ref());
        let subdevice = glob.map(|glob| {
            let named = |folder: &PathBuf| word(&folder.join("name")).is_some_and(|name| glob.fits(&name));
            match numbered(&class, "v4l-subdev").into_iter().find(|(_, folder)| named(folder)) {
                Some((number, _)) => Found::Here(format!("/dev/v4l-subdev{number}")),
                None => Found::NotHere(format!("no sub-device {glob}")),
            }
        });
        let title = word(&folder.join("name")).unwrap_or_else(|| "nameless".to_owned());
        devices.push(VideoDevice { node: format!("/dev/video{number}"), title, driver, usb, place, entry, subdevice });
    }
    devices
}

/// The device of each hardware encoder that the profile's orders name, once.
fn encoders(root: &Path, profile: &HardwareProfile) -> Vec<(String, Found)> {
    let mut found: Vec<(String, Found)> = Vec::new();
    for family in profile.encoders.order.iter().flat_map(|(_, families)| families) {
        let Some(device) = encoder_device(root, family.as_str()) else { continue };
        if !found.iter().any(|(name, _)| name == family.as_str()) {
            found.push((family.as_str().to_owned(), device));
        }
    }
    found
}

/// Without it, the family cannot work. `None` for those that need none.
fn encoder_device(root: &Path, family: &str) -> Option<Found> {
    match family {
        "va" | "va-lp" | "qsv" => {
            let nodes = numbered(&root.join("dev/dri"), "renderD");
            let node = nodes.first().map(|(number, _)| Found::Here(format!("/dev/dri/renderD{number}")));
            Some(
                node.unwrap_or_else(|| Found::NotHere("no /dev/dri/renderD*: no graphics driver is loaded".to_owned())),
            )
        }
        "nvenc" => Some(device(root, Path::new("/dev/nvidiactl"))),
        "rkmpp" => Some(device(root, Path::new("/dev/mpp_service"))),
        "v4l2m2m" => {
            let encodes = |folder: &PathBuf| word(&folder.join("name")).is_some_and(|name| name.contains("enc"));
            let devices = numbered(&root.join("sys/class/video4linux"), "video");
            let device = devices.into_iter().find(|(_, folder)| encodes(folder));
            let here = device.map(|(number, _)| Found::Here(format!("/dev/video{number}")));
            Some(here.unwrap_or_else(|| Found::NotHere("no video device that encodes".to_owned())))
        }
        _ => None,
    }
}

fn device(root: &Path, device: &Path) -> Found {
    let name = device.display().to_string();
    let there = device.strip_prefix("/").is_ok_and(|below| root.join(below).exists());
    if there { Found::Here(name) } else { Found::NotHere(format!("no {name}")) }
}

fn button(root: &Path, wired: &ButtonLine) -> Found {
    match wired {
        ButtonLine::Gpio { line, .. } => gpio(root, line),
        ButtonLine::Key(key) => {
            let inputs = numbered(&root.join("sys/class/input"), "event");
            let has = |folder: &PathBuf| {
                word(&folder.join("device/capabilities/key")).is_some_and(|bits| reports(&bits, *key))
            };
            match inputs.into_iter().find(|(_, folder)| has(folder)) {
                Some((number, _)) => Found::Here(format!("/dev/input/event{number}")),
                None => Found::NotHere(format!("no input device that has {}", key.name)),
            }
        }
    }
}

/// Whether the bits of `capabilities/key` have the key's: hexadecimal words of 64 bits, the last the lowest.
fn reports(bits: &str, key: Key) -> bool {
    let word = bits.split_whitespace().rev().nth(usize::from(key.code / 64));
    word.and_then(|word| u64::from_str_radix(word, 16).ok()).is_some_and(|word| word >> (key.code % 64) & 1 == 1)
}

fn gpio(root: &Path, line: &str) -> Found {
    if numbered(&root.join("dev"), "gpiochip").is_empty() {
        return Found::NotHere("no /dev/gpiochip*".to_owned());
    }
    Found::CannotTell(format!(
        "the line {line} does not say what is wired to it; `gpioinfo` lists it if the board has it"
    ))
}

fn led(root: &Path, led: &Led) -> Found {
    match &led.wired {
        LedLine::Gpio(line) => gpio(root, line),
        LedLine::Kernel(name) if root.join("sys/class/leds").join(name).exists() => {
            Found::Here(format!("/sys/class/leds/{name}"))
        }
        LedLine::Kernel(name) => Found::NotHere(format!("no /sys/class/leds/{name}")),
    }
}

fn interface(root: &Path, role: &InterfaceRole) -> Found {
    let mut names: Vec<String> = entries(&root.join("sys/class/net"))
        .into_iter()
        .filter(|folder| {
            let place = fs::canonicalize(folder.join("device")).ok().and_then(|device| place(root, &device));
            role.known_by.fit(driver(folder).as_deref(), place.as_deref())
        })
        .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    if names.is_empty() { Found::NotHere("no such interface".to_owned()) } else { Found::Here(names.join(", ")) }
}

/// The driver of a class device's device.
fn driver(folder: &Path) -> Option<String> {
    let driver = fs::canonicalize(folder.join("device/driver")).ok()?;
    Some(driver.file_name()?.to_string_lossy().into_owned())
}

/// Where a device sits. `root` may be a tree of a test's, whose own path says nothing.
fn place(root: &Path, device: &Path) -> Option<String> {
    let root = fs::canonicalize(root).ok()?;
    bus_path(&device.strip_prefix(root).ok()?.to_string_lossy())
}

/// Vendor and product of the USB device that `device` is a function of.
fn usb(device: &Path) -> Option<UsbId> {
    let id = |folder: &Path, name| u16::from_str_radix(&word(&folder.join(name))?, 16).ok();
    let ids = |folder: &Path| Some(UsbId { vendor: id(folder, "idVendor")?, product: id(folder, "idProduct")? });
    device.ancestors().take(3).find_map(ids)
}

fn word(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().chars().take(256).collect()).filter(|word: &String| !word.is_empty())
}

/// The entries called `name` and a number, by number.
fn numbered(directory: &Path, name: &str) -> Vec<(u32, PathBuf)> {
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(name)?.parse().ok();
    let mut found: Vec<(u32, PathBuf)> =
        entries(directory).into_iter().filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    found.truncate(MOST);
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::HardwareSettings;
    use crate::supervisor::hardware::profiles;

    /// A machine's `/sys` and `/dev`.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        /// A class device with its device and driver.
        fn class(&self, class: &str, name: &str, device: &str, driver: &str) {
            let root = self.0.path();
            let (device, driver) = (root.join("sys/devices").join(device), root.join("sys/bus/drivers").join(driver));
            fs::create_dir_all(&device).unwrap();
            fs::create_dir_all(&driver).unwrap();
            let _ = symlink(&driver, device.join("driver"));
            let folder = root.join("sys/class").join(class).join(name);
            fs::create_dir_all(&folder).unwrap();
            symlink(&device, folder.join("device")).unwrap();
        }

        fn look(&self, name: &str) -> (HardwareProfile, Presence) {
            let nowhere = self.0.path().join("none");
            let settings = HardwareSettings { directory: Some(nowhere), ..HardwareSettings::default() };
            let profile = profiles(&settings).all.into_iter().find(|p| p.name.as_str() == name).unwrap();
            let presence = look(self.0.path(), &profile);
            (profile, presence)
        }
    }

    fn here(name: &str) -> Found {
        Found::Here(name.to_owned())
    }

    #[test]
    fn a_pi_5_with_a_bridge_a_stick_and_a_modem_is_recognised_part_by_part() {
        let tree = Tree::new();
        let csi = "platform/axi/1000120000.pcie/1f00110000.csi";
        tree.class("video4linux", "video0", csi, "rp1-cfe");
        tree.write("sys/class/video4linux/video0/name", "rp1-cfe-csi2_ch0\n");
        tree.class("video4linux", "v4l-subdev2", "platform/i2c/11-000f", "tc358743");
        tree.write("sys/class/video4linux/v4l-subdev2/name", "tc358743 11-000f\n");
        let usb = "platform/axi/1000120000.pcie/1f00200000.usb/xhci-hcd.0/usb1/1-2";
        tree.class("video4linux", "video8", &format!("{usb}/1-2:1.0"), "uvcvideo");
        tree.write("sys/class/video4linux/video8/index", "0\n");
        tree.class("video4linux", "video9", &format!("{usb}/1-2:1.0"), "uvcvideo");
        tree.write("sys/class/video4linux/video9/index", "1\n");
        tree.write(&format!("sys/devices/{usb}/idVendor"), "0fd9\n");
        tree.write(&format!("sys/devices/{usb}/idProduct"), "0066\n");
        tree.class("video4linux", "video19", "platform/axi/hevc", "rpi-hevc-dec");
        tree.class("net", "end0", "platform/axi/1000120000.pcie/1f00100000.ethernet", "macb");
        tree.class("net", "wwan3", "platform/usb/2-1:1.4", "cdc_mbim");
        tree.write("sys/class/leds/ACT/brightness", "0\n");
        tree.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
        tree.write("sys/class/thermal/thermal_zone0/temp", "61234\n");
        tree.write("dev/i2c-1", "");
        tree.write("dev/gpiochip4", "");
        let (profile, presence) = tree.look("raspberry-pi-5");

        let nodes: Vec<_> = presence
            .video
            .iter()
            .map(|v| (v.node.as_str(), v.entry.map(|n| profile.capture[n].name.as_str())))
            .collect();
        assert_eq!(nodes, [("/dev/video0", Some("tc358743")), ("/dev/video8", Some("cam-link-4k"))]);
        assert_eq!(presence.video[0].subdevice, Some(here("/dev/v4l-subdev2")));
        assert_eq!(presence.video[0].place.as_deref(), Some("platform-1f00110000.csi"));
        assert_eq!(presence.video[1].usb, Some(UsbId { vendor: 0x0fd9, product: 0x0066 }));
        assert_eq!(presence.encoders, [], "it has no encoder in hardware");
        assert_eq!(presence.display, Some(here("/dev/i2c-1")));
        assert!(matches!(&presence.buttons[..], [Found::CannotTell(_)]), "{:?}", presence.buttons);
        assert_eq!(presence.leds, [here("/sys/class/leds/ACT")]);
        assert_eq!(presence.thermal, [here("cpu-thermal shows 61 °C")]);
        let no = Found::NotHere("no such interface".to_owned());
        assert_eq!(presence.interfaces, [here("end0"), no, here("wwan3")]);
    }

    #[test]
    fn an_empty_machine_has_nothing_and_says_what_was_looked_for() {
        let (_, presence) = Tree::new().look("rk3588");
        assert_eq!(presence.video, []);
        assert_eq!(presence.encoders, [("rkmpp".to_owned(), Found::NotHere("no /dev/mpp_service".to_owned()))]);
        assert_eq!(presence.leds, [Found::NotHere("no /sys/class/leds/blue:status".to_owned())]);
        assert!(presence.thermal.iter().all(|found| matches!(found, Found::NotHere(_))), "{:?}", presence.thermal);
    }

    #[test]
    fn an_encoders_device_is_found_by_what_it_is_and_a_sub_device_by_its_name() {
        let tree = Tree::new();
        tree.class("video4linux", "video10", "platform/bcm2835-codec", "bcm2835-codec");
        tree.write("sys/class/video4linux/video10/name", "bcm2835-codec-decode\n");
        tree.class("video4linux", "video11", "platform/bcm2835-codec.1", "bcm2835-codec");
        tree.write("sys/class/video4linux/video11/name", "bcm2835-codec-encode\n");
        let (_, presence) = tree.look("raspberry-pi-4");
        assert_eq!(presence.encoders, [("v4l2m2m".to_owned(), here("/dev/video11"))]);
        assert_eq!(presence.video, [], "a codec captures nothing");
        assert_eq!(presence.display, Some(Found::NotHere("no /dev/i2c-1".to_owned())));

        let pc = Tree::new();
        pc.write("dev/dri/renderD129", "");
        pc.write("dev/dri/renderD128", "");
        let (_, presence) = pc.look("generic-x86-64");
        assert_eq!(presence.encoders[0], ("va".to_owned(), here("/dev/dri/renderD128")));
    }

    #[test]
    fn a_key_is_looked_for_in_the_bits_of_each_input_device() {
        let tree = Tree::new();
        // A power button: KEY_POWER, 116, is bit 52 of the second word. The keyboard has KEY_ENTER, bit 28 of the first.
        tree.write("sys/class/input/event0/device/capabilities/key", "10000000000000 0\n");
        tree.write(
            "sys/class/input/event3/device/capabilities/key",
            "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe\n",
        );
        let (_, presence) = tree.look("virtual");
        assert_eq!(presence.buttons, [here("/dev/input/event3")]);
        assert!(reports("10000000000000 0", Key { name: "KEY_POWER", code: 116 }));
        assert!(!reports("10000000000000 0", Key { name: "KEY_ENTER", code: 28 }));
        assert!(
            !reports("f", Key { name: "KEY_SELECT", code: 353 }) && !reports("zzz", Key { name: "KEY_ESC", code: 1 })
        );
    }
}
