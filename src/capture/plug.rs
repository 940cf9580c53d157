//! Hears devices come and go: the kernel's uevents, and udev's.
//!
//! Receivers without events of their own (UVC) say nothing when they are pulled out, and nothing that is not there says that it
//! has come. The kernel multicasts both over netlink, in its own form (group 1) as soon as there is a node, and udev repeats it
//! in its form (group 2) when the node has its permissions and its names below `/dev/v4l`. Both are listened to.
//!
//! A message leads to a look at the device and to nothing else, so that whoever makes one up achieves nothing. Where there are
//! none (a container, a system without udev), looks once a second have to do.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};

/// The kernel's messages and udev's.
const GROUPS: u32 = 1 | 2;
/// A kernel's message has at most 2048 bytes (`UEVENT_BUFFER_SIZE`) and its first line; udev's are longer by what rules add.
const LONGEST: usize = 16 * 1024;
/// Messages that are taken at once: a storm of them must not hold us.
const MOST: usize = 256;
/// What udev's messages begin with (systemd, `device-monitor.c`).
const UDEV: &[u8; 8] = b"libudev\0";
/// Where in those the place of the properties is written, and how long they are: after the prefix, a magic number and the length
/// of this head.
const PROPERTIES_AT: usize = 16;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uevent<'m> {
    /// `add`, `remove`, `change`, `bind` …
    pub action: &'m str,
    /// `video4linux`, `sound`, `usb` …
    pub subsystem: &'m str,
    /// The node below `/dev`, without the `/dev/` that udev puts before it; empty if it has none.
    pub name: &'m str,
}

impl<'m> Uevent<'m> {
    /// Reads a message of either form; `None` if it is neither.
    pub fn parse(message: &'m [u8]) -> Option<Self> {
        let properties = if message.starts_with(UDEV) {
            let number = |at: usize| {
                let bytes = message.get(at..at + 4)?.try_into().ok()?;
                usize::try_from(u32::from_ne_bytes(bytes)).ok()
            };
            let (at, length) = (number(PROPERTIES_AT)?, number(PROPERTIES_AT + 4)?);
            message.get(at..at.checked_add(length)?)?
        } else {
            let head = message.iter().position(|byte| *byte == 0)?;
            message[..head].contains(&b'@').then(|| &message[head + 1..])?
        };
        let value = |key: &str| {
            let mut lines = properties.split(|byte| *byte == 0);
            lines.find_map(|line| std::str::from_utf8(line).ok()?.strip_prefix(key)?.strip_prefix('='))
        };
        let name = value("DEVNAME").unwrap_or_default();
        Some(Self {
            action: value("ACTION")?,
            subsystem: value("SUBSYSTEM")?,
            name: name.strip_prefix("/dev/").unwrap_or(name),
        })
    }

    /// Whether something that captures pictures or sound came or went.
    pub fn is_capture(&self) -> bool {
        matches!(self.subsystem, "video4linux" | "sound")
    }
}

/// A socket that hears them.
#[derive(Debug)]
pub struct Ear(OwnedFd);

impl Ear {
    /// Listens from now on.
    ///
    /// # Errors
    /// The kernel's, where there is no such socket to be had.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkKObjectUEvent)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(Self(socket))
    }

    /// Takes what waits. Whether something that captures came or went; also where messages were lost.
    pub fn hears_capture(&self) -> bool {
        let mut heard = false;
        let mut message = [0; LONGEST];
        for _ in 0..MOST {
            match recv(self.0.as_raw_fd(), &mut message, MsgFlags::empty()) {
                Ok(length) => heard |= Uevent::parse(&message[..length]).is_some_and(|event| event.is_capture()),
                // Too many for the socket's buffer: one of them may have been ours.
                Err(nix::errno::Errno::ENOBUFS) => heard = true,
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        heard
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const KERNEL: &[u8] = b"remove@/devices/platform/vivid.0/video4linux/video0\0ACTION=remove\0\
        DEVPATH=/devices/platform/vivid.0/video4linux/video0\0SUBSYSTEM=video4linux\0MAJOR=81\0MINOR=0\0DEVNAME=video0\0SEQNUM=1812\0";

    /// As systemd's `device_monitor_send` puts it together.
    fn udev(properties: &[u8]) -> Vec<u8> {
        let length = u32::try_from(properties.len()).unwrap();
        let mut message = UDEV.to_vec();
        message.extend(0xfeed_cafe_u32.to_be_bytes());
        for number in [40, 40, length, 0, 0, 0, 0] {
            message.extend(number.to_ne_bytes());
        }
        message.extend(properties);
        message
    }

    #[test]
    fn both_forms_say_what_came_and_went() {
        let event = Uevent::parse(KERNEL).unwrap();
        assert_eq!(event, Uevent { action: "remove", subsystem: "video4linux", name: "video0" });
        assert!(event.is_capture());
        let message = udev(b"ACTION=add\0SUBSYSTEM=sound\0DEVNAME=/dev/snd/pcmC1D0c\0ID_V4L_PRODUCT=x\0");
        let event = Uevent::parse(&message).unwrap();
        assert_eq!(event, Uevent { action: "add", subsystem: "sound", name: "snd/pcmC1D0c" });
        assert!(event.is_capture());
        let message = udev(b"ACTION=add\0SUBSYSTEM=net\0INTERFACE=eth0\0");
        let event = Uevent::parse(&message).unwrap();
        assert_eq!((event.name, event.is_capture()), ("", false));
    }

    #[test]
    fn what_is_cut_off_or_points_elsewhere_is_none() {
        let whole = udev(b"ACTION=add\0SUBSYSTEM=sound\0");
        for end in 0..whole.len() {
            assert_eq!(Uevent::parse(&whole[..end]), None, "{end} bytes");
        }
        let mut far = whole.clone();
        far[PROPERTIES_AT..PROPERTIES_AT + 8].fill(0xff);
        assert_eq!(Uevent::parse(&far), None);
        assert_eq!(Uevent::parse(b"add\0ACTION=add\0SUBSYSTEM=sound\0"), None, "no path");
        assert_eq!(Uevent::parse(b"add@/x\0ACTION=add\0"), None, "no subsystem");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), udev in any::<bool>()) {
            let message = if udev { [UDEV.as_slice(), &bytes].concat() } else { bytes };
            let _ = Uevent::parse(&message);
        }
    }
}
