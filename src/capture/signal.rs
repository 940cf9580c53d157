//! Whether an HDMI or SDI receiver has a signal, asked on a second descriptor beside the one that streams. Not verified
//! on hardware.
//!
//! `v4l2src` cannot be relied on for this: without a signal some receivers go on delivering noise, at another size.
//! Webcams know no such thing and answer ENOTTY; they are judged by their pictures.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// `struct v4l2_event_subscription`: type, id, flags, reserved.
type Subscription = [u32; 8];
/// `struct v4l2_event`; `u` is at byte 8.
type Event = [u64; 17];
/// `struct v4l2_dv_timings`: type, then `bt.width`, `bt.height`.
type Timings = [u32; 33];

mod ioctl {
    #![allow(missing_docs)]
    use super::{Event, Subscription, Timings};

    nix::ioctl_write_ptr!(subscribe_event, b'V', 90, Subscription);
    nix::ioctl_read!(dequeue_event, b'V', 89, Event);
    nix::ioctl_read!(query_dv_timings, b'V', 99, Timings);
    nix::ioctl_readwrite!(set_dv_timings, b'V', 87, Timings);
}

/// V4L2_EVENT_SOURCE_CHANGE.
const SOURCE_CHANGE: u32 = 5;

/// What a receiver says of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// A signal of this size.
    Locked {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// None that can be used; in words.
    None(&'static str),
    /// The device knows no such thing.
    Unknown,
}

/// A second descriptor on a video device.
#[derive(Debug)]
pub(super) struct SignalWatch {
    device: File,
}

impl SignalWatch {
    /// Opens the device and subscribes to changes of its source.
    ///
    /// # Errors
    /// The device cannot be opened.
    pub(super) fn open(device: &Path) -> std::io::Result<Self> {
        let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(device)?;
        let mut subscription: Subscription = [0; 8];
        subscription[0] = SOURCE_CHANGE;
        // SAFETY: the descriptor is open and the argument is as large as `struct v4l2_event_subscription`.
        // A device without such events refuses; then there is nothing to watch.
        let _ = unsafe { ioctl::subscribe_event(device.as_raw_fd(), &raw const subscription) };
        Ok(Self { device })
    }

    /// What the receiver sees. A locked signal's timings are put in force, which drivers leave to the application.
    pub(super) fn signal(&mut self) -> Signal {
        let mut timings: Timings = [0; 33];
        // SAFETY: the descriptor is open and the argument is as large as `struct v4l2_dv_timings`.
        match unsafe { ioctl::query_dv_timings(self.device.as_raw_fd(), &raw mut timings) } {
            Ok(_) => {
                let (width, height) = (timings[1], timings[2]);
                // SAFETY: as above. A driver that is streaming answers EBUSY and keeps what is in force.
                let _ = unsafe { ioctl::set_dv_timings(self.device.as_raw_fd(), &raw mut timings) };
                Signal::Locked { width, height }
            }
            Err(errno) => signal_of(errno),
        }
    }

    /// Whether the source changed since the last call.
    pub(super) fn changed(&mut self) -> bool {
        let mut changed = false;
        while self.pending() {
            let mut event: Event = [0; 17];
            // SAFETY: the descriptor is open and the argument is as large as `struct v4l2_event`.
            if unsafe { ioctl::dequeue_event(self.device.as_raw_fd(), &raw mut event) }.is_err() {
                break;
            }
            changed = true;
        }
        changed
    }

    fn pending(&self) -> bool {
        let mut poll_fd = [PollFd::new(self.device.as_fd(), PollFlags::POLLPRI)];
        poll(&mut poll_fd, PollTimeout::ZERO).is_ok()
            && poll_fd[0].revents().is_some_and(|events| events.contains(PollFlags::POLLPRI))
    }
}

/// What an error of VIDIOC_QUERY_DV_TIMINGS means (V4L2 API, "DV timings").
#[allow(clippy::wildcard_enum_match_arm, reason = "there are 130 others and none says anything about the signal")]
fn signal_of(errno: Errno) -> Signal {
    match errno {
        Errno::ENOLINK => Signal::None("no signal; check the cable and that the camera is on"),
        Errno::ENOLCK => Signal::None("a signal that cannot be locked to; try another cable"),
        Errno::ERANGE => Signal::None("a signal format this device cannot take; set the camera to 1080p60 or lower"),
        Errno::ENODEV => Signal::None("the device is gone; plug it in again"),
        _ => Signal::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_capture_device_has_an_unknown_signal_and_no_changes() {
        let Ok(mut watch) = SignalWatch::open(Path::new("/dev/null")) else { return };
        assert_eq!(watch.signal(), Signal::Unknown);
        assert!(!watch.changed());
    }

    #[test]
    fn each_way_to_have_no_signal_names_its_remedy() {
        for errno in [Errno::ENOLINK, Errno::ENOLCK, Errno::ERANGE, Errno::ENODEV] {
            assert!(matches!(signal_of(errno), Signal::None(_)), "{errno}");
        }
        assert_eq!(signal_of(Errno::ENOTTY), Signal::Unknown, "a webcam");
    }
}
