//! Asks a capture device what it can deliver, what it is called, and which sound card is its own.
//!
//! Only questions: nothing is set and nothing streamed, so that whoever captures from the device goes on undisturbed. The
//! structures and the ioctls' numbers are the crate `v4l`'s, which has them from the kernel's headers. Its `Device` is not
//! used: it knows no multi-planar formats, and panics at a control or a name that it does not expect.

mod controls;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use v4l::capability::Flags;
use v4l::frameinterval::{FrameInterval, FrameIntervalEnum};
use v4l::framesize::{FrameSize, FrameSizeEnum};
use v4l::v4l_sys::{
    V4L2_FMT_FLAG_COMPRESSED, v4l2_capability, v4l2_ext_controls, v4l2_fmtdesc, v4l2_format, v4l2_frmivalenum,
    v4l2_frmsizeenum, v4l2_query_ext_ctrl, v4l2_querymenu,
};
use v4l::v4l2::{ioctl, vidioc};
use v4l::{Fraction, buffer};

use super::alsa;
use super::catalogue::{Extent, Format, Lasting, Offer, Packing, Rate, Rates, Setting, Size, Sound};
use super::receiver::{Reception, is_gone};
use super::signal::{self, DeviceError};

/// Answers to one kind of question that are listened to; no driver has so many, and one that never ends must not hold us.
const MOST: u32 = 256;
/// Sound cards, likewise.
const MOST_CARDS: u32 = 32;

/// What can be found out about a capture device.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// The node: `/dev/video0`.
    pub node: PathBuf,
    /// What to call it in a configuration.
    pub path: PathBuf,
    /// Whether that stays its name.
    pub lasting: Lasting,
    /// What it says of itself.
    pub offer: Offer,
    /// What it has at its input; `None` where its driver was not able to say.
    pub reception: Option<Reception>,
    /// The sound that belongs to it.
    pub sound: Sound,
}

/// Whether what can be turned on a device is asked for: some webcams take long to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Not.
    WithoutControls,
    /// Yes.
    WithControls,
}

/// Asks the capture device `device`, a node or a link to one, on the machine whose `/sys` and `/dev` are below `root`.
///
/// # Errors
/// [`DeviceError`]: it cannot be opened, or it does not capture.
pub fn read(root: &Path, device: &Path, depth: Depth) -> Result<Device, DeviceError> {
    let node = fs::canonicalize(device).map_err(|why| DeviceError::Open { device: device.to_owned(), why })?;
    let open = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(device);
    let asked = Asked { file: open.map_err(|why| DeviceError::Open { device: device.to_owned(), why })? };
    let (capability, buffers) = asked.capability(device)?;
    let controls = match depth {
        Depth::WithoutControls => None,
        Depth::WithControls => Some(asked.controls()),
    };
    let offer = Offer {
        card: text(&capability.card),
        driver: text(&capability.driver),
        bus: text(&capability.bus_info),
        now: asked.setting(buffers),
        formats: asked.formats(buffers),
        controls,
    };
    let (path, lasting) = lasting_name(root, &node);
    let reception = signal::Device::open(device)?.reception();
    Ok(Device { sound: sound(root, &node), node, path, lasting, offer, reception })
}

/// A structure and the ioctl that fills it in.
///
/// # Safety
/// `NUMBER` is the ioctl that takes this structure and writes nothing beyond it, and a structure of zeroes is one.
unsafe trait Question: Sized {
    const NUMBER: vidioc::_IOC_TYPE;

    fn blank() -> Self {
        // SAFETY: said by whoever implements this.
        unsafe { mem::zeroed() }
    }
}

macro_rules! questions {
    ($($structure:ident: $number:ident),+ $(,)?) => {
        $(
            // SAFETY: as the kernel's API has it, and numbers, words and null pointers may be zero. What a pointer in it leads
            // to is for whoever sets the pointer.
            unsafe impl Question for $structure {
                const NUMBER: vidioc::_IOC_TYPE = vidioc::$number;
            }
        )+
    };
}

questions! {
    v4l2_capability: VIDIOC_QUERYCAP,
    v4l2_fmtdesc: VIDIOC_ENUM_FMT,
    v4l2_format: VIDIOC_G_FMT,
    v4l2_frmsizeenum: VIDIOC_ENUM_FRAMESIZES,
    v4l2_frmivalenum: VIDIOC_ENUM_FRAMEINTERVALS,
    v4l2_query_ext_ctrl: VIDIOC_QUERY_EXT_CTRL,
    v4l2_querymenu: VIDIOC_QUERYMENU,
    v4l2_ext_controls: VIDIOC_G_EXT_CTRLS,
}

/// An open device.
struct Asked {
    file: File,
}

impl Asked {
    fn ask<Q: Question>(&self, question: &mut Q) -> io::Result<()> {
        loop {
            // SAFETY: the descriptor is open, and the structure is the one that this ioctl takes.
            match unsafe { ioctl(self.file.as_raw_fd(), Q::NUMBER, (&raw mut *question).cast()) } {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                told => return told,
            }
        }
    }

    /// The answers to a question that is numbered from 0, until there is none.
    fn each<Q: Question>(&self, at: impl Fn(u32) -> Q) -> impl Iterator<Item = Q> {
        (0..MOST).map_while(move |index| {
            let mut question = at(index);
            self.ask(&mut question).ok().map(|()| question)
        })
    }

    /// What it is, and which kind of buffers it captures into.
    fn capability(&self, device: &Path) -> Result<(v4l2_capability, buffer::Type), DeviceError> {
        let mut capability = v4l2_capability::blank();
        self.ask(&mut capability).map_err(|why| match why.raw_os_error() {
            Some(errno) if is_gone(errno) => DeviceError::Open { device: device.to_owned(), why },
            _ => DeviceError::NotVideo(device.to_owned()),
        })?;
        match captures(capability.capabilities, capability.device_caps) {
            Some(buffers) => Ok((capability, buffers)),
            None => Err(DeviceError::NotCapture(device.to_owned())),
        }
    }

    fn setting(&self, buffers: buffer::Type) -> Option<Setting> {
        let mut format = v4l2_format { type_: buffers as u32, ..v4l2_format::blank() };
        self.ask(&mut format).ok()?;
        // SAFETY: the union was zeroes before, and both kinds begin with width, height and format.
        let pix = unsafe { format.fmt.pix };
        let is_set = pix.width > 0 && pix.height > 0;
        is_set.then(|| Setting { format: fourcc(pix.pixelformat), width: pix.width, height: pix.height })
    }

    fn formats(&self, buffers: buffer::Type) -> Vec<Format> {
        let described = self.each(|index| v4l2_fmtdesc { index, type_: buffers as u32, ..v4l2_fmtdesc::blank() });
        let format = |described: v4l2_fmtdesc| Format {
            fourcc: fourcc(described.pixelformat),
            title: text(&described.description),
            packing: if described.flags & V4L2_FMT_FLAG_COMPRESSED == 0 { Packing::Raw } else { Packing::Compressed },
            sizes: self.sizes(described.pixelformat),
        };
        described.map(format).collect()
    }

    fn sizes(&self, pixel_format: u32) -> Vec<Size> {
        let told = self.each(|index| v4l2_frmsizeenum { index, pixel_format, ..v4l2_frmsizeenum::blank() });
        let told: Vec<v4l2_frmsizeenum> = told.collect();
        let extents = told.into_iter().filter_map(|told| FrameSize::try_from(told).ok()).map(|told| match told.size {
            FrameSizeEnum::Discrete(size) => Extent::Exact { width: size.width, height: size.height },
            FrameSizeEnum::Stepwise(range) => Extent::Range {
                from: [range.min_width, range.min_height],
                to: [range.max_width, range.max_height],
                step: [range.step_width, range.step_height],
            },
        });
        extents.map(|extent| Size { extent, rates: self.rates(pixel_format, extent.largest()) }).collect()
    }

    fn rates(&self, pixel_format: u32, [width, height]: [u32; 2]) -> Rates {
        let at = |index| v4l2_frmivalenum { index, pixel_format, width, height, ..v4l2_frmivalenum::blank() };
        let rate = |interval: Fraction| Rate::of_interval(interval.numerator, interval.denominator);
        let mut each = Vec::new();
        for told in self.each(at) {
            match FrameInterval::try_from(told).map(|told| told.interval) {
                Ok(FrameIntervalEnum::Discrete(interval)) => each.extend(rate(interval)),
                // The shortest interval is the highest rate. A range is the only answer.
                Ok(FrameIntervalEnum::Stepwise(range)) => {
                    if let (Some(to), Some(from)) = (rate(range.min), rate(range.max)) {
                        return Rates::Between { from, to };
                    }
                }
                Err(_) => {}
            }
        }
        Rates::Each(each)
    }
}

/// Into which kind of buffers a node captures; `None` if it does not: metadata, an output, or a codec, which takes pictures
/// in as well as giving them out. `all` is what the device can, `own` what this node can, where it says that.
fn captures(all: u32, own: u32) -> Option<buffer::Type> {
    let all = Flags::from(all);
    let can = if all.contains(Flags::DEVICE_CAPS) { Flags::from(own) } else { all };
    let gives_back = Flags::VIDEO_M2M | Flags::VIDEO_M2M_MPLANE | Flags::VIDEO_OUTPUT | Flags::VIDEO_OUTPUT_MPLANE;
    if can.intersects(gives_back) {
        None
    } else if can.contains(Flags::VIDEO_CAPTURE) {
        Some(buffer::Type::VideoCapture)
    } else if can.contains(Flags::VIDEO_CAPTURE_MPLANE) {
        Some(buffer::Type::VideoCaptureMplane)
    } else {
        None
    }
}

/// What to call the node in a configuration: by its place, else by what it is, else as the kernel numbers it.
fn lasting_name(root: &Path, node: &Path) -> (PathBuf, Lasting) {
    for (folder, lasting) in [("by-path", Lasting::ByPath), ("by-id", Lasting::ById)] {
        let folder = Path::new("dev/v4l").join(folder);
        let names = fs::read_dir(root.join(&folder)).into_iter().flatten();
        let names = names.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let ours = names.filter(|name| fs::canonicalize(name).is_ok_and(|leads_to| leads_to == node));
        // Newer udevs have two for a USB device; the shorter is the one that older ones have too.
        if let Some(name) = ours.min_by_key(|name| (name.as_os_str().len(), name.clone()))
            && let Some(name) = name.file_name()
        {
            return (Path::new("/").join(folder).join(name), lasting);
        }
    }
    (node.to_owned(), Lasting::Node)
}

fn sound(root: &Path, node: &Path) -> Sound {
    let sys = root.join("sys");
    let class = sys.join("class/sound");
    let records = |card: u32| class.join(format!("pcmC{card}D0c")).exists();
    let title = |card: u32| {
        let id = fs::read_to_string(class.join(format!("card{card}/id"))).unwrap_or_default();
        if id.trim().is_empty() { format!("card {card}") } else { text(id.trim().as_bytes()) }
    };
    let alsa = |card: u32| format!("hw:{card},0");
    match alsa::paired_card(&sys, node) {
        Some(paired) => match (0..MOST_CARDS).find(|card| alsa(*card) == paired) {
            Some(card) if records(card) => Sound::Paired { alsa: paired, title: title(card) },
            _ => Sound::PlaysOnly { alsa: paired },
        },
        None => {
            let others = (0..MOST_CARDS).filter(|card| records(*card));
            Sound::Absent { others: others.map(|card| (alsa(card), title(card))).collect() }
        }
    }
}

/// What stands before the first zero. Makers write what they like.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text: String = String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// A format as V4L2 spells it. The last bit says that the most significant byte comes first.
fn fourcc(format: u32) -> String {
    let (name, order) = (format & !(1 << 31), if format >> 31 == 0 { "" } else { "-BE" });
    format!("{}{order}", text(&name.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    const CAPTURE: u32 = 0x0420_0001;
    const CAPTURE_MPLANE: u32 = 0x0420_1000;
    const METADATA: u32 = 0x0480_0000;
    const CODEC: u32 = 0x0420_4000;
    const OLD_CODEC: u32 = 0x0400_3000;
    const SAYS_OWN: u32 = 0x8000_0000;

    #[test]
    fn only_nodes_that_capture_are_taken() {
        let kind = |all, own| captures(all, own).map(|kind| kind as u32);
        assert_eq!(kind(SAYS_OWN | CAPTURE | METADATA, CAPTURE), Some(1));
        assert_eq!(kind(SAYS_OWN | CAPTURE | METADATA, METADATA), None);
        assert_eq!(kind(SAYS_OWN | CAPTURE_MPLANE, CAPTURE_MPLANE), Some(9));
        assert_eq!(kind(CAPTURE, 0), Some(1), "old drivers do not say what each node can");
        assert_eq!(kind(SAYS_OWN | CODEC, CODEC), None);
        assert_eq!(kind(OLD_CODEC, 0), None);
    }

    #[test]
    fn a_device_is_called_by_its_place_or_by_what_it_is_or_by_its_number() {
        let root = tempfile::tempdir().unwrap();
        let dev = fs::canonicalize(root.path()).unwrap().join("dev");
        for folder in ["v4l/by-path", "v4l/by-id"] {
            fs::create_dir_all(dev.join(folder)).unwrap();
        }
        let place = "pci-0000:00:14.0-usb-0:2:1.0-video-index0";
        for (node, links) in [
            ("video0", vec![format!("by-path/{}", place.replace("usb", "usbv2")), format!("by-path/{place}")]),
            ("video1", vec!["by-path/other-index1".to_owned()]),
            ("video2", vec!["by-id/usb-Elgato_Cam_Link_4K_1-video-index0".to_owned()]),
            ("video3", vec![]),
        ] {
            fs::write(dev.join(node), "").unwrap();
            links.iter().for_each(|link| symlink(dev.join(node), dev.join("v4l").join(link)).unwrap());
        }
        let called = |node: &str| lasting_name(root.path(), &dev.join(node));
        assert_eq!(called("video0"), (Path::new("/dev/v4l/by-path").join(place), Lasting::ByPath));
        let by_id = PathBuf::from("/dev/v4l/by-id/usb-Elgato_Cam_Link_4K_1-video-index0");
        assert_eq!(called("video2"), (by_id, Lasting::ById));
        assert_eq!(called("video3"), (dev.join("video3"), Lasting::Node));
    }

    #[test]
    fn the_sound_is_of_the_same_device_and_records_or_others_are_named() {
        let root = tempfile::tempdir().unwrap();
        let (class, devices) = (root.path().join("sys/class"), root.path().join("sys/devices"));
        let put = |folder: &str, device: &str| {
            fs::create_dir_all(devices.join(device)).unwrap();
            fs::create_dir_all(class.join(folder)).unwrap();
            symlink(devices.join(device), class.join(folder).join("device")).unwrap();
        };
        put("video4linux/video0", "usb1/1-2/1-2:1.0");
        put("video4linux/video1", "usb1/1-3/1-3:1.0");
        put("video4linux/video2", "platform/csi");
        put("sound/card1", "usb1/1-2/1-2:1.2");
        put("sound/card2", "usb1/1-3/1-3:1.2");
        fs::write(class.join("sound/card1/id"), "C4K\n").unwrap();
        let of = |node: &str| sound(root.path(), &Path::new("/dev").join(node));
        assert_eq!(of("video2"), Sound::Absent { others: Vec::new() });
        fs::create_dir_all(class.join("sound/pcmC1D0c")).unwrap();
        fs::create_dir_all(class.join("sound/pcmC2D0p")).unwrap();
        let card = ("hw:1,0".to_owned(), "C4K".to_owned());
        assert_eq!(of("video0"), Sound::Paired { alsa: card.0.clone(), title: card.1.clone() });
        assert_eq!(of("video1"), Sound::PlaysOnly { alsa: "hw:2,0".to_owned() });
        assert_eq!(of("video2"), Sound::Absent { others: vec![card] });
    }

    #[test]
    fn what_makers_write_does_no_harm() {
        assert_eq!(text(b"Cam\x1b[2J\xc3\0rest"), "Cam [2J\u{fffd}");
        assert_eq!(fourcc(u32::from_le_bytes(*b"NV12")), "NV12");
        assert_eq!(fourcc(u32::from_le_bytes(*b"Y16 ") | 1 << 31), "Y16-BE");
    }

    #[test]
    fn what_is_no_capture_device_is_refused() {
        let read = |path: &str| read(Path::new("/"), Path::new(path), Depth::WithoutControls);
        assert!(matches!(read("/dev/null"), Err(DeviceError::NotVideo(_))));
        assert!(read("/dev/absent/video0").is_err_and(|e| e.is_absence()));
    }
}
