//! `holdfast devices`.

mod page;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use holdfast::capture::catalogue::{Lasting, Offer, Sound, Span, block, name_for};
use holdfast::capture::devices::{self, Depth, Device};
use holdfast::capture::receiver::Standing;
use holdfast::capture::signal::DeviceError;
use holdfast::config::profile::{CaptureDevice, HardwareProfile, UsbId};
use holdfast::config::{HardwareSettings, InputSettings, Source};
use holdfast::model::PixelFormat;
use holdfast::supervisor::hardware::{self, VideoDevice};
use serde::Serialize;

use crate::profile::configured;
use crate::signal::Signal;
use crate::terminal::{complain, say_json, style, write};
use crate::{DONE, REFUSED};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this one, and the reason if it cannot be shown: `/dev/video0`, or its name under /dev/v4l.
    #[arg(value_name = "DEVICE")]
    device: Option<PathBuf>,
    /// Every format, size and rate.
    #[arg(long, short)]
    all: bool,
    /// What can be turned on it as well (brightness, exposure …), what that is set to, and what it may be.
    #[arg(long, short)]
    controls: bool,
    /// As JSON, a list in one line, with every format, size and rate.
    #[arg(long)]
    json: bool,
    /// The configuration, which says what is in use already, and whose `[box]` may name a hardware profile; it need not be
    /// there.
    #[arg(long, default_value = "/etc/holdfast/holdfast.toml", value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (hardware, inputs) = configured(&arguments.config)
        .map_or_else(|| (HardwareSettings::default(), Vec::new()), |settings| (settings.hardware, settings.inputs));
    let Some(in_force) = hardware::in_force(&hardware, Path::new("/")) else {
        complain(
            "there is no hardware profile at all, not even an embedded one; this is a defect in Holdfast, please report it",
        );
        return ExitCode::from(REFUSED);
    };
    in_force.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    let all = hardware::look(Path::new("/"), &in_force.profile).video;
    let (asked, passed_over) = match &arguments.device {
        Some(device) => match one(device, &all, arguments) {
            Ok(asked) => (vec![asked], Vec::new()),
            Err(refused) => {
                complain(&refused);
                return ExitCode::from(REFUSED);
            }
        },
        None => every(all, arguments),
    };
    let shown = known(asked, &in_force.profile, &inputs);
    if arguments.json {
        if let Err(code) = say_json(&shown.iter().map(Listed::of).collect::<Vec<_>>()) {
            return code;
        }
    } else if shown.is_empty() {
        write(&page::none(&passed_over, style()));
    } else {
        let span = if arguments.all { Span::All } else { Span::Short };
        write(&page::page(&shown, &in_force.profile, span, style()));
    }
    if shown.iter().any(|shown| shown.found.is_ok()) { DONE } else { ExitCode::from(REFUSED) }
}

/// A device that was asked, and what `/sys` says of it, if it is on the list of those that capture.
type Asked = (Option<VideoDevice>, PathBuf, Result<Device, DeviceError>);

fn ask(device: &Path, arguments: &Arguments) -> Result<Device, DeviceError> {
    let depth = if arguments.controls { Depth::WithControls } else { Depth::WithoutControls };
    devices::read(Path::new("/"), device, depth)
}

fn one(device: &Path, all: &[VideoDevice], arguments: &Arguments) -> Result<Asked, String> {
    let found = ask(device, arguments).map_err(|e| match remedy(&e) {
        Some(remedy) => format!("{e}; {remedy}"),
        None => format!("{e}; `holdfast devices` lists those that capture"),
    })?;
    let video = all.iter().find(|video| Path::new(&video.node) == found.node);
    Ok((video.cloned(), device.to_owned(), Ok(found)))
}

/// All that capture, or could not be asked; and those that do not capture.
fn every(all: Vec<VideoDevice>, arguments: &Arguments) -> (Vec<Asked>, Vec<VideoDevice>) {
    let (mut asked, mut passed_over) = (Vec::new(), Vec::new());
    for video in all {
        let node = PathBuf::from(&video.node);
        match ask(&node, arguments) {
            Err(DeviceError::NotCapture(_)) => passed_over.push(video),
            found => asked.push((Some(video), node, found)),
        }
    }
    (asked, passed_over)
}

/// What to do where a device cannot be opened.
fn remedy(error: &DeviceError) -> Option<&'static str> {
    let DeviceError::Open { why, .. } = error else { return None };
    match why.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            Some("be root, or in its group: sudo usermod -aG video USER, and log in again")
        }
        Some(libc::EBUSY) => Some("another program has it for itself"),
        Some(_) | None => None,
    }
}

/// One device, with what the profile and the configuration know of it.
struct Shown<'a> {
    /// What `/sys` says.
    video: Option<VideoDevice>,
    /// As it was looked for.
    node: PathBuf,
    found: Result<Device, DeviceError>,
    /// What the profile says.
    entry: Option<&'a CaptureDevice>,
    place: Place<'a>,
}

/// A device's place in the configuration.
enum Place<'a> {
    /// It is this input.
    Input(&'a str),
    /// It is none; what would make it one.
    Block(String),
    /// It cannot be one as things are.
    None,
}

fn known<'a>(asked: Vec<Asked>, profile: &'a HardwareProfile, inputs: &'a [InputSettings]) -> Vec<Shown<'a>> {
    let mut taken: BTreeSet<String> = inputs.iter().map(|input| input.id.as_str().to_owned()).collect();
    let mut shown = Vec::new();
    for (video, node, found) in asked {
        let entry = video.as_ref().and_then(|video| profile.capture.get(video.entry?));
        let place = match &found {
            Err(_) => Place::None,
            Ok(device) => match inputs.iter().find(|input| is_of(input, device)) {
                Some(input) => Place::Input(input.id.as_str()),
                None => {
                    let name = name_for(entry.map(|entry| &entry.name), &device.offer.card, &taken);
                    let path = device.path.display().to_string();
                    let block = block(&name, &path, device.lasting, &device.sound);
                    taken.insert(name);
                    Place::Block(block)
                }
            },
        };
        shown.push(Shown { video, node, found, entry, place });
    }
    shown
}

/// Whether the input captures from the device, whatever it calls it.
fn is_of(input: &InputSettings, device: &Device) -> bool {
    match &input.source {
        Source::V4l2 { device: written, .. } => {
            *written == device.path || fs::canonicalize(written).is_ok_and(|node| node == device.node)
        }
        Source::File { .. } | Source::Pattern { .. } | Source::Network(_) => false,
    }
}

fn usb(id: UsbId) -> String {
    format!("{:04x}:{:04x}", id.vendor, id.product)
}

/// A device as programs see it.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed<'a> {
    Asked(Box<Told<'a>>),
    Refused { node: String, card: Option<&'a str>, problem: String, remedy: Option<&'static str> },
}

#[derive(Serialize)]
struct Told<'a> {
    /// What to write into a configuration.
    device: String,
    /// Whether that stays: `by-path`, `by-id`, or `node`, which does not.
    lasting: Lasting,
    node: String,
    #[serde(flatten)]
    offer: &'a Offer,
    /// Where it is plugged in, as udev's ID_PATH has it.
    place: Option<&'a str>,
    /// Vendor and product.
    usb: Option<String>,
    profile: Option<Entry<'a>>,
    signal: Option<Signal>,
    sound: &'a Sound,
    /// The input that it is, if it is one.
    input: Option<&'a str>,
    /// What to write, if it is none.
    block: Option<&'a str>,
}

/// What the profile says.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    title: &'a str,
    format: Option<&'a str>,
    edid: Option<&'static str>,
    quirks: &'a [String],
}

impl<'a> Listed<'a> {
    fn of(shown: &'a Shown<'_>) -> Self {
        let video = shown.video.as_ref();
        let device = match &shown.found {
            Ok(device) => device,
            Err(e) => {
                let (node, card) = (shown.node.display().to_string(), video.map(|video| video.title.as_str()));
                return Self::Refused { node, card, problem: e.to_string(), remedy: remedy(e) };
            }
        };
        let entry = shown.entry.map(|entry| Entry {
            name: entry.name.as_str(),
            title: &entry.title,
            format: entry.format.map(PixelFormat::fourcc),
            edid: entry.edid.map(|edid| edid.as_str()),
            quirks: &entry.quirks,
        });
        let (input, block) = match &shown.place {
            Place::Input(input) => (Some(*input), None),
            Place::Block(block) => (None, Some(block.as_str())),
            Place::None => (None, None),
        };
        Self::Asked(Box::new(Told {
            device: device.path.display().to_string(),
            lasting: device.lasting,
            node: device.node.display().to_string(),
            offer: &device.offer,
            place: video.and_then(|video| video.place.as_deref()),
            usb: video.and_then(|video| video.usb).map(usb),
            profile: entry,
            signal: device.reception.map(|reception| Signal::of(Standing::Steady(reception))),
            sound: &device.sound,
            input,
            block,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use holdfast::capture::catalogue::{Extent, Format, Packing, Rate, Rates, Setting, Size};
    use holdfast::capture::receiver::Reception;
    use holdfast::config;

    use super::*;

    /// A stick that is plugged into a PC.
    pub(super) fn stick() -> Asked {
        let path = "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0";
        let rates = Rates::Each(vec![Rate::of_interval(1001, 60_000).unwrap(), Rate::of_interval(1, 50).unwrap()]);
        let sizes = vec![Size { extent: Extent::Exact { width: 1920, height: 1080 }, rates }];
        let format = |fourcc: &str| Format {
            fourcc: fourcc.to_owned(),
            title: "Planar".to_owned(),
            packing: Packing::Raw,
            sizes: sizes.clone(),
        };
        let offer = Offer {
            card: "Cam Link 4K: Cam Link 4K".to_owned(),
            driver: "uvcvideo".to_owned(),
            bus: "usb-0000:00:14.0-2".to_owned(),
            now: Some(Setting { format: "NV12".to_owned(), width: 1920, height: 1080 }),
            formats: vec![format("NV12"), format("YU12")],
            controls: None,
        };
        let device = Device {
            node: PathBuf::from("/dev/video0"),
            path: PathBuf::from(path),
            lasting: Lasting::ByPath,
            offer,
            reception: Some(Reception::Unknown),
            sound: Sound::Paired { alsa: "hw:2,0".to_owned(), title: "C4K".to_owned() },
        };
        (Some(video(Some(0))), device.node.clone(), Ok(device))
    }

    fn video(entry: Option<usize>) -> VideoDevice {
        VideoDevice {
            node: "/dev/video0".to_owned(),
            title: "Cam Link 4K: Cam Link 4K".to_owned(),
            driver: Some("uvcvideo".to_owned()),
            usb: Some(UsbId { vendor: 0x0fd9, product: 0x0066 }),
            place: Some("pci-0000:00:14.0-usb-0:2:1.0".to_owned()),
            entry,
            subdevice: None,
        }
    }

    pub(super) fn refused() -> Asked {
        let why = std::io::Error::from_raw_os_error(libc::EACCES);
        let node = PathBuf::from("/dev/video0");
        (Some(video(None)), node.clone(), Err(DeviceError::Open { device: node, why }))
    }

    pub(super) fn generic() -> HardwareProfile {
        let nowhere = HardwareSettings { directory: Some("/nowhere".into()), ..HardwareSettings::default() };
        let profiles = hardware::profiles(&nowhere).all;
        profiles.into_iter().find(|profile| profile.name.as_str() == "generic").unwrap()
    }

    pub(super) fn example() -> Vec<InputSettings> {
        let secrets = Some(("s", config::EXAMPLE_SECRETS));
        config::parse(Path::new("/"), ("c", config::EXAMPLE), secrets).unwrap().inputs
    }

    fn json(asked: Vec<Asked>, inputs: &[InputSettings]) -> serde_json::Value {
        let profile = generic();
        let shown = known(asked, &profile, inputs);
        serde_json::to_value(shown.iter().map(Listed::of).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn programs_see_what_it_is_what_it_delivers_and_what_to_write() {
        let listed = json(vec![stick(), stick()], &[]);
        let first = &listed[0];
        assert_eq!(first["device"], "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0");
        assert_eq!((&first["lasting"], &first["node"]), (&"by-path".into(), &"/dev/video0".into()));
        assert_eq!((&first["usb"], &first["profile"]["name"]), (&"0fd9:0066".into(), &"cam-link-4k".into()));
        assert_eq!(first["profile"]["quirks"][0], "announces YU12 and delivers NV12: NV12 is forced");
        assert_eq!(first["signal"]["standing"], "unknown");
        assert_eq!(first["formats"][1]["fourcc"], "YU12");
        assert_eq!(first["formats"][0]["sizes"][0]["rates"], serde_json::json!([59.94, 50]));
        assert_eq!(first["sound"], serde_json::json!({"is": "paired", "alsa": "hw:2,0", "title": "C4K"}));
        assert_eq!(first["input"], serde_json::Value::Null);
        let block = |n: usize| listed[n]["block"].as_str().unwrap();
        assert!(block(0).contains("name = \"cam-link-4k\"\n"), "{listed}");
        assert!(block(1).contains("name = \"cam-link-4k-2\"\n"), "{listed}");
    }

    #[test]
    fn what_is_an_input_already_is_not_offered_again() {
        let listed = json(vec![stick()], &example());
        assert_eq!((&listed[0]["input"], &listed[0]["block"]), (&"camera".into(), &serde_json::Value::Null));
    }

    #[test]
    fn what_cannot_be_opened_is_listed_with_the_reason_and_what_to_do() {
        let listed = json(vec![refused()], &[]);
        assert_eq!(
            (&listed[0]["node"], &listed[0]["card"]),
            (&"/dev/video0".into(), &"Cam Link 4K: Cam Link 4K".into())
        );
        assert!(listed[0]["problem"].as_str().unwrap().contains("Permission denied"), "{listed}");
        assert!(listed[0]["remedy"].as_str().unwrap().contains("usermod -aG video"), "{listed}");
    }

    #[test]
    fn what_is_no_capture_device_is_refused_with_a_hint() {
        let arguments = Arguments {
            device: None,
            all: false,
            controls: false,
            json: false,
            config: PathBuf::from("/nowhere/holdfast.toml"),
        };
        let refused = one(Path::new("/dev/null"), &[], &arguments).err().unwrap();
        assert_eq!(refused, "/dev/null is not a video device; `holdfast devices` lists those that capture");
    }
}
