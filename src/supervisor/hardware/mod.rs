//! Reads what the machine is, finds its hardware profile, and looks what of it is there.
//!
//! ```text
//!   /sys, /proc ──► machine ──┐
//!   embedded, directory ──────┴► in_force: config::profile decides ──► encoders in its order
//!                                            └► present: what of it is there, for `holdfast check-profile`
//! ```
//!
//! A profile never keeps the box off air: one that cannot be read is told and left out, and one for anything is embedded.

mod machine;
mod present;

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::profile::{self, CaptureDevice, Choice, EMBEDDED, HardwareProfile, KnownFamily, Reason};
use crate::config::{EncoderChoice, HardwareSettings, RenditionSettings};
use crate::encode::table::FAMILIES;
use crate::model::{Codec, EdidName, FrameRate, PixelFormat};

use super::load::{self, LoadError};

pub use machine::machine;
pub use present::{Found, Presence, VideoDevice, look};

/// The profiles that there are.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    /// All that are right; each name once.
    pub all: Vec<HardwareProfile>,
    /// What was wrong with others, each in words for an operator.
    pub warnings: Vec<String>,
}

/// The profile in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// This one.
    pub profile: HardwareProfile,
    /// For this reason.
    pub reason: Reason,
    /// What an operator should mend.
    pub warnings: Vec<String>,
}

/// The encoder families, as a profile's reader has to know them.
pub fn families() -> Vec<KnownFamily> {
    let codecs = [Codec::H264, Codec::Hevc, Codec::Av1];
    let known = FAMILIES.iter().map(|family| KnownFamily {
        name: family.name,
        codecs: codecs.into_iter().filter(|codec| family.makes(*codec)).collect(),
    });
    known.collect()
}

/// One profile from a file.
///
/// # Errors
/// [`LoadError`]: it cannot be read, or every mistake in it.
pub fn read(file: &Path) -> Result<HardwareProfile, LoadError> {
    let text = load::text(file)?;
    Ok(profile::parse_profile(&file.display().to_string(), &text, &families())?)
}

/// The profiles that every binary carries, and those of the directory, which take the place of those of the same name.
pub fn profiles(settings: &HardwareSettings) -> Profiles {
    let families = families();
    let mut profiles = Profiles::default();
    for (file, text) in EMBEDDED {
        match profile::parse_profile(file, text, &families) {
            Ok(profile) => profiles.all.push(profile),
            Err(errors) => profiles.warnings.push(errors.to_string()),
        }
    }
    let files = match (&settings.directory, toml_files(&directory(settings))) {
        (_, Ok(files)) => files,
        // Nobody said that there is to be one.
        (None, Err(_)) => Vec::new(),
        (Some(directory), Err(e)) => {
            let path = directory.display();
            profiles
                .warnings
                .push(format!("{path}: cannot be read ({e}); only the profiles that Holdfast comes with are known"));
            Vec::new()
        }
    };
    for file in files {
        match read(&file) {
            Ok(profile) => {
                profiles.all.retain(|other| other.name != profile.name);
                profiles.all.push(profile);
            }
            Err(e) => profiles.warnings.push(e.to_string()),
        }
    }
    profiles
}

/// Where profiles are looked for.
pub fn directory(settings: &HardwareSettings) -> PathBuf {
    settings.directory.clone().unwrap_or_else(|| PathBuf::from(HardwareSettings::USUAL_DIRECTORY))
}

fn toml_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    Ok(files)
}

/// The profile in force on the machine below `root`: the one that the settings name, or the one that says most of it.
/// `None` only if not even the embedded ones can be read.
pub fn in_force(settings: &HardwareSettings, root: &Path) -> Option<InForce> {
    let Profiles { all, mut warnings } = profiles(settings);
    let detected = || profile::choose(&machine(root, std::env::consts::ARCH), &all);
    let choice = match settings.profile.as_ref().map(|name| profile::named(name.as_str(), &all)) {
        None => detected(),
        Some(Ok(choice)) => Some(choice),
        Some(Err(unknown)) => {
            warnings.push(format!("{unknown} (profile below [box]); until then the machine is looked at instead"));
            detected()
        }
    };
    let Choice { profile, reason } = choice?;
    let profile = profile.clone();
    Some(InForce { profile, reason, warnings })
}

/// A receiver that must be told an EDID before a source sends anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The device that takes it: the video device, or the sub-device that knows the plug.
    pub device: PathBuf,
    /// Which EDID.
    pub edid: EdidName,
}

/// What takes the EDID of the capture device `device` on the machine below `root`; `None` if it needs none, or if what
/// takes it is not there.
pub fn receiver(root: &Path, profile: &HardwareProfile, device: &Path) -> Option<Receiver> {
    let (found, entry) = capture(root, profile, device)?;
    let edid = entry.edid?;
    match found.subdevice {
        None => Some(Receiver { device: device.to_owned(), edid }),
        Some(Found::Here(subdevice)) => Some(Receiver { device: PathBuf::from(subdevice), edid }),
        Some(Found::NotHere(_) | Found::CannotTell(_)) => None,
    }
}

/// The pixel format to ask the capture device `device` for, if the profile names one.
pub fn format(root: &Path, profile: &HardwareProfile, device: &Path) -> Option<PixelFormat> {
    capture(root, profile, device)?.1.format
}

/// A capture device that is there, and what the profile says of it.
fn capture<'p>(root: &Path, profile: &'p HardwareProfile, device: &Path) -> Option<(VideoDevice, &'p CaptureDevice)> {
    // `/dev/v4l/by-path/…` is a link to the node.
    let node = fs::canonicalize(device).unwrap_or_else(|_| device.to_owned());
    let found = look(root, profile).video.into_iter().find(|video| Path::new(&video.node) == node)?;
    let entry = profile.capture.get(found.entry?)?;
    Some((found, entry))
}

/// The encoder to use for `rendition` where the profile has an order of its own and nobody has named a family.
pub fn encoder_for(rendition: &RenditionSettings, rate: FrameRate, profile: &HardwareProfile) -> EncoderChoice {
    let order = profile.encoders.order_for(rendition.codec, rendition.width, rendition.height, rate);
    match (&rendition.encoder, order) {
        (EncoderChoice::Auto, Some(order)) => EncoderChoice::Ranked(order),
        (chosen, _) => chosen.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::config::{self, Settings};
    use crate::model::Name;

    const OWN: &str = "name = \"rk3588\"\ntitle = \"Mine\"\nverified = true\n[match]\ncompatible = [\"a,b\"]\n[standby]\nmode = \"cold\"\n";

    fn settings(profile: Option<&str>, directory: Option<&Path>) -> HardwareSettings {
        let profile = profile.map(|name| Name::new(name).unwrap());
        HardwareSettings { profile, directory: directory.map(Path::to_owned) }
    }

    #[test]
    fn the_embedded_profiles_fit_the_encoder_table() {
        let nowhere = tempfile::tempdir().unwrap();
        let profiles = profiles(&settings(None, Some(nowhere.path())));
        assert_eq!(profiles.warnings, Vec::<String>::new());
        assert_eq!(profiles.all.len(), EMBEDDED.len());
    }

    #[test]
    fn a_directory_replaces_and_adds_and_a_broken_file_in_it_is_told_and_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rk3588.toml"), OWN).unwrap();
        fs::write(dir.path().join("box.toml"), OWN.replace("\"rk3588\"", "\"my-box\"")).unwrap();
        fs::write(dir.path().join("broken.toml"), OWN.replace("cold", "lukewarm")).unwrap();
        fs::write(dir.path().join("notes.txt"), "not a profile").unwrap();
        let profiles = profiles(&settings(None, Some(dir.path())));
        let title = |name: &str| profiles.all.iter().find(|p| p.name.as_str() == name).map(|p| p.title.clone());
        assert_eq!((title("rk3588"), title("my-box")), (Some("Mine".to_owned()), Some("Mine".to_owned())));
        assert_eq!(profiles.all.len(), EMBEDDED.len() + 1);
        let [warning] = &profiles.warnings[..] else { panic!("{:?}", profiles.warnings) };
        assert!(warning.contains("broken.toml:7:8: [standby]: mode is \"lukewarm\""), "{warning}");

        let absent = super::profiles(&settings(None, Some(&dir.path().join("absent"))));
        assert_eq!(absent.all.len(), EMBEDDED.len());
        assert!(absent.warnings[0].contains("cannot be read"), "{:?}", absent.warnings);
    }

    #[test]
    fn a_name_that_there_is_not_is_told_and_the_machine_looked_at() {
        let (empty, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tree = root.path().join("proc/device-tree");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("compatible"), b"raspberrypi,5-model-b\0brcm,bcm2712\0").unwrap();
        let of = |name| in_force(&settings(name, Some(empty.path())), root.path()).unwrap();
        assert_eq!(of(None).profile.name.as_str(), "raspberry-pi-5");
        assert_eq!((of(Some("nvidia")).profile.name.as_str(), of(Some("nvidia")).reason), ("nvidia", Reason::Named));
        let unknown = of(Some("raspberry-pi-6"));
        assert_eq!(unknown.profile.name.as_str(), "raspberry-pi-5");
        assert!(
            unknown.warnings[0].starts_with("there is no hardware profile \"raspberry-pi-6\"; did you mean"),
            "{:?}",
            unknown.warnings
        );
    }

    #[test]
    fn the_device_that_takes_the_edid_is_the_one_that_the_profile_says() {
        let root = tempfile::tempdir().unwrap();
        let video = |node: &str, driver: &str, name: &str| {
            let device = root.path().join("sys/devices").join(node);
            let folder = root.path().join("sys/class/video4linux").join(node);
            let driver = root.path().join("sys/bus/drivers").join(driver);
            for path in [&device, &folder, &driver] {
                fs::create_dir_all(path).unwrap();
            }
            std::os::unix::fs::symlink(&driver, device.join("driver")).unwrap();
            std::os::unix::fs::symlink(&device, folder.join("device")).unwrap();
            fs::write(folder.join("name"), name).unwrap();
        };
        video("video7000", "rp1-cfe", "rp1-cfe-csi2_ch0\n");
        video("video7001", "uvcvideo", "USB Video\n");
        let profiles = profiles(&settings(None, Some(&root.path().join("none")))).all;
        let pi5 = profiles.iter().find(|p| p.name.as_str() == "raspberry-pi-5").unwrap();
        let of = |node: &str| receiver(root.path(), pi5, Path::new(node));
        assert_eq!(of("/dev/video7000"), None, "the sub-device is not there");
        video("v4l-subdev3", "tc358743", "tc358743 11-000f\n");
        let told = Receiver { device: PathBuf::from("/dev/v4l-subdev3"), edid: EdidName::Hd1080p60 };
        assert_eq!(of("/dev/video7000"), Some(told));
        assert_eq!(of("/dev/video7001"), None, "a stick needs none");
        assert_eq!(of("/dev/video7002"), None, "there is no such device");
        let format = |node: &str| format(root.path(), pi5, Path::new(node));
        assert_eq!(format("/dev/video7001"), None, "what no profile says is left to the device");
        let usb = root.path().join("sys/devices/video7001");
        fs::write(usb.join("idVendor"), "0fd9\n").unwrap();
        fs::write(usb.join("idProduct"), "0066\n").unwrap();
        assert_eq!(format("/dev/video7001"), PixelFormat::named("NV12"), "a Cam Link");
    }

    fn example() -> Settings {
        let secrets = Some(("s", config::EXAMPLE_SECRETS));
        config::parse(Path::new("/"), ("c", config::EXAMPLE), secrets).unwrap()
    }

    #[test]
    fn the_profiles_order_counts_where_nobody_names_an_encoder() {
        let empty = tempfile::tempdir().unwrap();
        let profiles = profiles(&settings(None, Some(empty.path()))).all;
        let pi4 = profiles.iter().find(|p| p.name.as_str() == "raspberry-pi-4").unwrap();
        let generic = profiles.iter().find(|p| p.name.as_str() == "generic").unwrap();
        let mut rendition = example().renditions[0].clone();
        let (fast, slow) = (FrameRate::whole(120), FrameRate::whole(30));
        let ranked =
            |names: &[&str]| EncoderChoice::Ranked(names.iter().map(|name| Name::new(name).unwrap()).collect());
        assert_eq!(encoder_for(&rendition, slow, pi4), ranked(&["v4l2m2m", "x264", "openh264"]));
        assert_eq!(encoder_for(&rendition, fast, pi4), ranked(&["x264", "openh264"]));
        assert_eq!(encoder_for(&rendition, slow, generic), EncoderChoice::Auto);
        rendition.encoder = EncoderChoice::Family(Name::new("openh264").unwrap());
        assert_eq!(encoder_for(&rendition, slow, pi4), rendition.encoder);
    }
}
