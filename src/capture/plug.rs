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
use std::time::{Duration, Instant};

use nix::errno::Errno;
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

    /// Takes what waits, when something does.
    ///
    /// # Errors
    /// The kernel's, and [`io::ErrorKind::UnexpectedEof`] where nothing waits: a socket that calls and has nothing to say would
    /// do so for ever.
    pub fn hear(&self) -> io::Result<Heard> {
        let mut heard = None;
        let mut message = [0; LONGEST];
        for _ in 0..MOST {
            let one = match recv(self.0.as_raw_fd(), &mut message, MsgFlags::empty()) {
                Ok(length) if Uevent::parse(&message[..length]).is_some_and(|event| event.is_capture()) => {
                    Heard::Capture
                }
                Ok(_) => Heard::Others,
                // Too many for the socket's buffer: one of them may have been ours.
                Err(Errno::ENOBUFS) => Heard::Capture,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return heard.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
                Err(errno) => return Err(errno.into()),
            };
            heard = heard.max(Some(one));
        }
        heard.ok_or_else(|| io::ErrorKind::Interrupted.into())
    }
}

/// What came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// Nothing that captures.
    Others,
    /// Something that captures, maybe.
    Capture,
}

/// Between two attempts to listen again, after a socket that failed; doubled up to the last.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// One that heard for so long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// An [`Ear`] for as long as somebody watches: one that fails is left, and another is opened after a while. Looks once a second
/// do meanwhile.
#[derive(Debug)]
pub struct Ears {
    state: Listening,
    pause: Duration,
}

#[derive(Debug)]
enum Listening {
    Hears {
        ear: Ear,
        since: Instant,
    },
    /// It has failed.
    Deaf {
        until: Instant,
    },
    /// There is no such socket to be had.
    Never,
}

impl Ears {
    /// Listens from now on, where there is such a socket.
    pub fn open(now: Instant) -> Self {
        Self::of(Ear::open(), now)
    }

    /// Hears nothing.
    pub const fn never() -> Self {
        Self { state: Listening::Never, pause: PAUSES[0] }
    }

    #[cfg(test)]
    pub(super) fn with(socket: OwnedFd, now: Instant) -> Self {
        Self::of(Ok(Ear(socket)), now)
    }

    fn of(ear: io::Result<Ear>, now: Instant) -> Self {
        let state = ear.map_or(Listening::Never, |ear| Listening::Hears { ear, since: now });
        Self { state, pause: PAUSES[0] }
    }

    /// What wakes, if anything does. Listens again when that is due.
    pub fn ear(&mut self, now: Instant) -> Option<&Ear> {
        if let Listening::Deaf { until } = self.state
            && now >= until
        {
            match Ear::open() {
                Ok(ear) => self.state = Listening::Hears { ear, since: now },
                Err(_) => self.fails(now),
            }
        }
        self.listening()
    }

    fn listening(&self) -> Option<&Ear> {
        match &self.state {
            Listening::Hears { ear, .. } => Some(ear),
            Listening::Deaf { .. } | Listening::Never => None,
        }
    }

    /// Takes what waits, once it has woken somebody.
    ///
    /// # Errors
    /// In words, when it has failed, and is left for a while.
    pub fn hear(&mut self, now: Instant) -> Result<Heard, String> {
        let Some(ear) = self.listening() else { return Ok(Heard::Others) };
        ear.hear().map_err(|e| {
            self.fails(now);
            format!("the kernel's news of devices cannot be heard ({e}); they are looked for once a second instead")
        })
    }

    fn fails(&mut self, now: Instant) {
        if let Listening::Hears { since, .. } = self.state
            && now.saturating_duration_since(since) >= GOOD_AFTER
        {
            self.pause = PAUSES[0];
        }
        self.state = Listening::Deaf { until: now + self.pause };
        self.pause = (self.pause * 2).min(PAUSES[1]);
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

    #[test]
    fn a_socket_that_fails_is_opened_again_and_less_often_if_it_fails_again() {
        if Ear::open().is_err() {
            eprintln!("skipped: there are no such sockets here");
            return;
        }
        let broken = || io::pipe().unwrap().0.into();
        let (second, mut now) = (Duration::from_secs(1), crate::clock::now());
        let mut ears = Ears::with(broken(), now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(ears.hear(now).is_err());
            let failed = now;
            while ears.ear(now).is_none() {
                now += second;
            }
            pauses.push((now - failed).as_secs());
            let Listening::Hears { ear, .. } = &mut ears.state else { break };
            *ear = Ear(broken());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        now += GOOD_AFTER;
        assert!(ears.hear(now).is_err());
        assert!(ears.ear(now + second).is_some(), "one that was well for long is missed at once");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), udev in any::<bool>()) {
            let message = if udev { [UDEV.as_slice(), &bytes].concat() } else { bytes };
            let _ = Uevent::parse(&message);
        }
    }
}
