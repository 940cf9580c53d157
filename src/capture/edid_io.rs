//! Tells an HDMI receiver what it may be sent, and reads back what it was told. Not verified on hardware.
//!
//! A bridge on a camera connector forgets its EDID at each boot, and a source sends nothing to a display that it knows
//! nothing of. Some kernels take an EDID without a word and keep none, so what was loaded is read back and compared.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::model::Edid;
use crate::model::edid::{Agreement, BLOCK, EdidFault};

/// Blocks that are asked for when one is read back: more than any that is loaded here.
const MOST_BLOCKS: u32 = 8;

/// `struct v4l2_edid` (linux/v4l2-common.h).
#[repr(C)]
struct V4l2Edid {
    /// Of a video device the input's number, of a sub-device its pad's.
    pad: u32,
    start_block: u32,
    blocks: u32,
    reserved: [u32; 5],
    edid: *mut u8,
}

mod ioctl {
    #![allow(missing_docs)]
    use super::V4l2Edid;

    // The same numbers are VIDIOC_SUBDEV_G_EDID and VIDIOC_SUBDEV_S_EDID.
    nix::ioctl_readwrite!(get_edid, b'V', 40, V4l2Edid);
    nix::ioctl_readwrite!(set_edid, b'V', 41, V4l2Edid);
}

/// What became of an EDID that a receiver was to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// It had it already. It was left alone, since telling it again takes the picture away for a second or two.
    WasThere,
    /// It was told, and gives back the same; but for HDMI's physical address, if the driver puts in its own.
    Told,
}

/// Why a receiver was not told.
#[derive(Debug, thiserror::Error)]
pub enum EdidIoError {
    /// The device cannot be opened.
    #[error("{}: cannot be opened ({source}); check that it is there and that the service's user may read and write it", device.display())]
    Open {
        /// Which.
        device: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It knows no EDID.
    #[error("{}: takes no EDID; a USB stick needs none, and behind a media controller the sub-device takes it (/dev/v4l-subdev*)", device.display())]
    KnowsNone {
        /// Which.
        device: PathBuf,
    },
    /// It streams.
    #[error("{}: takes no EDID while it streams; stop what captures from it", device.display())]
    Busy {
        /// Which.
        device: PathBuf,
    },
    /// It has not so much room.
    #[error("{}: has room for {room} blocks of EDID, and this one has {blocks}", device.display())]
    TooLarge {
        /// Which.
        device: PathBuf,
        /// What it says that it has.
        room: u32,
        /// What there is.
        blocks: u32,
    },
    /// The driver refuses for another reason.
    #[error("{}: the driver {what}: {errno}", device.display())]
    Driver {
        /// Which.
        device: PathBuf,
        /// What it did not do.
        what: &'static str,
        /// Its word for it.
        errno: Errno,
    },
    /// It took the EDID and has none.
    #[error("{}: took the EDID without a word and has none; this kernel's driver is broken, try another kernel", device.display())]
    NotKept {
        /// Which.
        device: PathBuf,
    },
    /// It gives back another.
    #[error("{}: took the EDID and gives back another, from byte {at} on; try another kernel", device.display())]
    KeptOther {
        /// Which.
        device: PathBuf,
        /// The first byte that differs, counted from 0.
        at: usize,
    },
    /// What it gives back is none.
    #[error("{}: gives back an EDID that is wrong: {}", device.display(), list(faults))]
    Broken {
        /// Which.
        device: PathBuf,
        /// What is wrong.
        faults: Vec<EdidFault>,
    },
}

fn list(faults: &[EdidFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Tells the receiver `edid`, unless it has it, and reads it back. `pad` is the number of a video device's input or of
/// a sub-device's pad, nearly always 0. The source notices, since its plug seems to be pulled for a moment.
///
/// # Errors
/// [`EdidIoError`], in words for an operator.
pub fn load(device: &Path, pad: u32, edid: &Edid) -> Result<Loaded, EdidIoError> {
    let receiver = Receiver::open(device, pad)?;
    // What it has may be anything, even broken: it is about to be replaced.
    let keeps = |has: Option<Edid>| has.is_some_and(|has| !matches!(edid.compare(&has), Agreement::Different { .. }));
    if receiver.get().is_ok_and(keeps) {
        return Ok(Loaded::WasThere);
    }
    receiver.set(edid)?;
    let has = receiver.get()?.ok_or_else(|| EdidIoError::NotKept { device: device.to_owned() })?;
    match edid.compare(&has) {
        Agreement::Same | Agreement::OtherAddress => Ok(Loaded::Told),
        Agreement::Different { at } => Err(EdidIoError::KeptOther { device: device.to_owned(), at }),
    }
}

/// What the receiver was told; `None` if nothing.
///
/// # Errors
/// [`EdidIoError`], in words for an operator.
pub fn read(device: &Path, pad: u32) -> Result<Option<Edid>, EdidIoError> {
    Receiver::open(device, pad)?.get()
}

struct Receiver<'d> {
    name: &'d Path,
    device: File,
    pad: u32,
}

impl<'d> Receiver<'d> {
    fn open(name: &'d Path, pad: u32) -> Result<Self, EdidIoError> {
        let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(name);
        let device = device.map_err(|source| EdidIoError::Open { device: name.to_owned(), source })?;
        Ok(Self { name, device, pad })
    }

    fn set(&self, edid: &Edid) -> Result<(), EdidIoError> {
        let mut bytes = edid.as_bytes().to_vec();
        let mut request = V4l2Edid {
            pad: self.pad,
            start_block: 0,
            blocks: edid.blocks(),
            reserved: [0; 5],
            edid: bytes.as_mut_ptr(),
        };
        // SAFETY: the descriptor is open, the argument is a `struct v4l2_edid`, and `edid` points at `blocks` times 128
        // bytes, which live until the call is over.
        match unsafe { ioctl::set_edid(self.device.as_raw_fd(), &raw mut request) } {
            Ok(_) => Ok(()),
            Err(errno) => Err(refused(self.name, errno, "does not take the EDID", (request.blocks, edid.blocks()))),
        }
    }

    fn get(&self) -> Result<Option<Edid>, EdidIoError> {
        let mut bytes = vec![0u8; MOST_BLOCKS as usize * BLOCK];
        let mut request =
            V4l2Edid { pad: self.pad, start_block: 0, blocks: MOST_BLOCKS, reserved: [0; 5], edid: bytes.as_mut_ptr() };
        // SAFETY: as in `set`; the driver writes at most `blocks` times 128 bytes and puts their number there.
        match unsafe { ioctl::get_edid(self.device.as_raw_fd(), &raw mut request) } {
            Ok(_) => {}
            // None was loaded (V4L2 API, VIDIOC_G_EDID).
            Err(Errno::ENODATA) => return Ok(None),
            Err(errno) => return Err(refused(self.name, errno, "does not say which EDID it has", (0, 0))),
        }
        bytes.truncate((request.blocks as usize).saturating_mul(BLOCK));
        if bytes.is_empty() {
            return Ok(None);
        }
        let broken = |faults| EdidIoError::Broken { device: self.name.to_owned(), faults };
        Edid::parse(&bytes).map(Some).map_err(broken)
    }
}

/// What a driver's refusal means (V4L2 API, VIDIOC_S_EDID). `blocks`: how many it has room for, and how many it was given.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "there are 130 others, and the driver's own word is all there is to them"
)]
fn refused(device: &Path, errno: Errno, what: &'static str, blocks: (u32, u32)) -> EdidIoError {
    let device = device.to_owned();
    match errno {
        // EINVAL: there is no such input or pad, or it is no HDMI or DisplayPort.
        Errno::ENOTTY | Errno::EINVAL => EdidIoError::KnowsNone { device },
        Errno::EBUSY => EdidIoError::Busy { device },
        Errno::E2BIG => EdidIoError::TooLarge { device, room: blocks.0, blocks: blocks.1 },
        errno => EdidIoError::Driver { device, what, errno },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::EdidName;

    /// A 64-bit kernel's `struct v4l2_edid`; the ioctl's number contains its size.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_request_is_laid_out_as_the_kernel_expects_it() {
        assert_eq!(size_of::<V4l2Edid>(), 40);
        assert_eq!(std::mem::offset_of!(V4l2Edid, edid), 32);
        assert_eq!(nix::request_code_readwrite!(b'V', 41, size_of::<V4l2Edid>()), 0xc028_5629);
    }

    #[test]
    fn what_is_no_receiver_is_told_from_what_is_not_there() {
        let edid = EdidName::Hd1080p60.edid();
        let null = load(Path::new("/dev/null"), 0, &edid).unwrap_err();
        assert!(matches!(null, EdidIoError::KnowsNone { .. }), "{null}");
        assert!(read(Path::new("/dev/null"), 0).is_err());
        let absent = load(Path::new("/dev/video-none"), 0, &edid).unwrap_err();
        assert!(absent.to_string().starts_with("/dev/video-none: cannot be opened (No such file"), "{absent}");
    }

    #[test]
    fn each_refusal_names_its_remedy() {
        let text = |errno| refused(Path::new("/dev/video0"), errno, "does not take the EDID", (1, 2)).to_string();
        assert!(text(Errno::EBUSY).ends_with("stop what captures from it"));
        assert!(text(Errno::EINVAL).contains("/dev/v4l-subdev*"));
        assert_eq!(text(Errno::E2BIG), "/dev/video0: has room for 1 blocks of EDID, and this one has 2");
        assert!(
            text(Errno::EIO).starts_with("/dev/video0: the driver does not take the EDID: EIO"),
            "{}",
            text(Errno::EIO)
        );
    }
}
