//! Asks a video device about its signal, on a descriptor of its own beside the one that streams.
//!
//! `v4l2src` cannot be relied on for this: without a signal some receivers go on delivering noise, at another size, and
//! one without lock is taken for recovered. What an answer means, and when it counts, is [`receiver`](super::receiver)'s
//! business; here the driver is asked, its events are waited for, and a device that goes is opened again.
//!
//! A device that comes or goes is heard of from the kernel ([`plug`](super::plug)), which is all there is for sticks without
//! events of their own. Of a receiver only events of its video node are heard. Where a bridge tells of its source at a
//! sub-device (`/dev/v4l-subdev…`), the look once a second finds it. Verified with the kernel's `vivid` driver; not verified on hardware.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::watch;

use super::board::Board;
use super::plug::{Ears, Heard};
use super::receiver::{Answer, RECHECK, Receiver, Reception, Standing, Timings, is_gone};
use crate::clock;

/// `struct v4l2_capability`: driver, card, bus_info, version, capabilities, device_caps, reserved.
type Capability = [u32; 26];
/// `struct v4l2_input`; `index` is at byte 0, `status` at byte 56.
type Input = [u64; 10];
/// `struct v4l2_event_subscription`: type, id, flags, reserved.
type Subscription = [u32; 8];
/// `struct v4l2_event` of 64-bit machines.
type Event = [u64; 17];

mod ioctl {
    #![allow(missing_docs)]
    use super::{Capability, Event, Input, Subscription, Timings};

    nix::ioctl_read!(query_capability, b'V', 0, Capability);
    nix::ioctl_readwrite!(enumerate_input, b'V', 26, Input);
    nix::ioctl_read!(current_input, b'V', 38, u32);
    nix::ioctl_readwrite!(set_dv_timings, b'V', 87, Timings);
    nix::ioctl_read!(dequeue_event, b'V', 89, Event);
    nix::ioctl_write_ptr!(subscribe_event, b'V', 90, Subscription);
    nix::ioctl_read!(query_dv_timings, b'V', 99, Timings);
}

/// V4L2_EVENT_SOURCE_CHANGE.
const SOURCE_CHANGE: u32 = 5;
/// V4L2_EVENT_SUB_FL_SEND_INITIAL: one event at once, so that nothing between the first look and the subscription is lost.
const SEND_INITIAL: u32 = 1;
/// V4L2_CAP_VIDEO_CAPTURE and V4L2_CAP_VIDEO_CAPTURE_MPLANE.
const CAPTURES: u32 = 0x1 | 0x1000;
/// V4L2_CAP_DEVICE_CAPS: `device_caps` is what this node can, and not the whole device.
const HAS_DEVICE_CAPS: u32 = 0x8000_0000;

/// Why a device cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It cannot be opened.
    #[error("{}: {why}", device.display())]
    Open {
        /// Which.
        device: PathBuf,
        /// What the kernel says.
        why: io::Error,
    },
    /// It is something else.
    #[error("{} is not a video device", .0.display())]
    NotVideo(PathBuf),
    /// It is the other node of a device that has two: metadata, an output, a codec.
    #[error("{} is a video device that does not capture; the device may have another node", .0.display())]
    NotCapture(PathBuf),
}

impl DeviceError {
    /// Whether the device is not there, and may come.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Open { why, .. } => why.raw_os_error().is_some_and(is_gone),
            Self::NotVideo(_) | Self::NotCapture(_) => false,
        }
    }
}

/// A video device, open and able to answer.
#[derive(Debug)]
pub struct Device {
    file: File,
    /// As its driver names it.
    card: String,
}

impl Device {
    /// Opens it. Does not disturb whoever streams from it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn open(device: &Path) -> Result<Self, DeviceError> {
        let open =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(device);
        let file = open.map_err(|why| DeviceError::Open { device: device.to_owned(), why })?;
        let mut capability: Capability = [0; 26];
        // SAFETY: the descriptor is open and the argument is as large as `struct v4l2_capability`.
        let told = again(|| unsafe { ioctl::query_capability(file.as_raw_fd(), &raw mut capability) });
        match told {
            Ok(()) => {}
            Err(errno) if is_gone(errno as i32) => {
                return Err(DeviceError::Open { device: device.to_owned(), why: errno.into() });
            }
            Err(_) => return Err(DeviceError::NotVideo(device.to_owned())),
        }
        let [.., all, own, _, _, _] = capability;
        let can = if all & HAS_DEVICE_CAPS == 0 { all } else { own };
        if can & CAPTURES == 0 {
            return Err(DeviceError::NotCapture(device.to_owned()));
        }
        let card: Vec<u8> = capability[4..12].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let card = String::from_utf8_lossy(card.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        Ok(Self { file, card })
    }

    /// As its driver names it: "TC358743", "Cam Link 4K".
    pub fn card(&self) -> &str {
        &self.card
    }

    /// What it has at its input; `None` where the driver was not able to say.
    pub fn reception(&self) -> Option<Reception> {
        let (mut timings, fd): (Timings, RawFd) = ([0; 33], self.file.as_raw_fd());
        // SAFETY: the descriptor is open and the argument is as large as `struct v4l2_dv_timings`.
        let told = again(|| unsafe { ioctl::query_dv_timings(fd, &raw mut timings) });
        let timings = told.map(|()| timings).map_err(|errno| errno as i32);
        Reception::of(&Answer { timings, status: self.status().map_err(|errno| errno as i32) })
    }

    fn status(&self) -> Result<u32, Errno> {
        let (mut index, fd): (u32, RawFd) = (0, self.file.as_raw_fd());
        // SAFETY: the descriptor is open and the argument is an int. A device without inputs to choose from has number 0.
        let _ = again(|| unsafe { ioctl::current_input(fd, &raw mut index) });
        let mut input: Input = [0; 10];
        input[0] = u64::from_ne_bytes(pair(index, 0));
        // SAFETY: the descriptor is open and the argument is as large as `struct v4l2_input`.
        again(|| unsafe { ioctl::enumerate_input(fd, &raw mut input) })?;
        let [status, ..] = halves(input[7]);
        Ok(status)
    }

    /// Puts the timings of the signal that is there in force, which drivers leave to the application. Only while nothing
    /// streams: a driver that does answers EBUSY and keeps what is in force.
    pub fn take_timings(&self) {
        let (mut timings, fd): (Timings, RawFd) = ([0; 33], self.file.as_raw_fd());
        // SAFETY: the descriptor is open and the argument is as large as `struct v4l2_dv_timings`.
        if again(|| unsafe { ioctl::query_dv_timings(fd, &raw mut timings) }).is_ok() {
            // SAFETY: as above. Where it is refused, what streams then shows it.
            let _ = again(|| unsafe { ioctl::set_dv_timings(fd, &raw mut timings) });
        }
    }

    /// Asks to be told of changes of the source.
    fn subscribe(&self) -> Result<(), Errno> {
        let mut subscription: Subscription = [0; 8];
        (subscription[0], subscription[2]) = (SOURCE_CHANGE, SEND_INITIAL);
        // SAFETY: the descriptor is open and the argument is as large as `struct v4l2_event_subscription`.
        again(|| unsafe { ioctl::subscribe_event(self.file.as_raw_fd(), &raw const subscription) })
    }

    /// Takes the events that wait; how many.
    fn events(&self) -> usize {
        let mut event: Event = [0; 17];
        // SAFETY: the descriptor is open and does not block, and the argument is as large as `struct v4l2_event`.
        let taken = || again(|| unsafe { ioctl::dequeue_event(self.file.as_raw_fd(), &raw mut event) });
        std::iter::repeat_with(taken).take(MOST_EVENTS).take_while(Result::is_ok).count()
    }
}

/// Events that a driver keeps for a descriptor are few; a driver that never runs out of them must not hold us.
const MOST_EVENTS: usize = 64;

/// As often as a signal to the process interrupts it.
fn again(mut ask: impl FnMut() -> nix::Result<libc::c_int>) -> Result<(), Errno> {
    loop {
        match ask() {
            Err(Errno::EINTR) => {}
            told => return told.map(|_| ()),
        }
    }
}

fn pair(low: u32, high: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&low.to_ne_bytes());
    bytes[4..].copy_from_slice(&high.to_ne_bytes());
    bytes
}

/// The 32-bit words of a 64-bit one, in the order of memory.
fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

/// What happens while a device is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A device was found; it has not been asked for its signal yet.
    Plugged,
    /// What holds, first what does at once and then each change.
    Standing(Standing),
    /// The watch itself is not as it should be, in words.
    Trouble(String),
}

/// Watches `device` and tells, until `tell` breaks or the writing end of `end` is closed. Holds the thread.
///
/// # Errors
/// [`DeviceError`] if it can be told at the start that there is nothing to watch. A device that is absent, or goes, is
/// waited for.
pub fn watch(
    device: &Path,
    end: &PipeReader,
    mut tell: impl FnMut(Sight) -> ControlFlow<()>,
) -> Result<(), DeviceError> {
    let (mut eyes, mut receiver, mut first) = (None, Receiver::default(), true);
    let mut ears = Ears::open(clock::now());
    loop {
        // Whether to hear on is asked when there is something to say of the signal.
        let plugged = || {
            let _ = tell(Sight::Plugged);
        };
        let seen = look(device, &mut eyes, plugged);
        let now = clock::now();
        match seen {
            Err(e) if first => return Err(e),
            // Something else has taken its place, or it may not be opened for a while.
            Err(_) => {}
            Ok(seen) => {
                if let Some(standing) = receiver.look(seen, now)
                    && tell(Sight::Standing(standing)).is_break()
                {
                    return Ok(());
                }
            }
        }
        first = false;
        let trouble = |why| {
            let _ = tell(Sight::Trouble(why));
        };
        if wait(eyes.as_mut(), &mut ears, end.as_fd(), receiver.look_again(now), trouble).is_break() {
            return Ok(());
        }
    }
}

/// An open device, and whether its events wake us.
struct Eyes {
    device: Device,
    hearing: Hearing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Events,
    /// The driver has none, or says that there are when there are none: then time alone wakes us.
    Deaf,
}

/// One look, at a device that is opened for it if need be. One that is gone is closed, so that its driver can let go.
fn look(device: &Path, eyes: &mut Option<Eyes>, plugged: impl FnOnce()) -> Result<Option<Reception>, DeviceError> {
    if eyes.is_none() {
        match Device::open(device) {
            Ok(opened) => {
                plugged();
                let hearing = if opened.subscribe().is_ok() { Hearing::Events } else { Hearing::Deaf };
                *eyes = Some(Eyes { device: opened, hearing });
            }
            Err(e) if e.is_absence() => return Ok(Some(Reception::Gone)),
            Err(e) => return Err(e),
        }
    }
    let seen = eyes.as_ref().and_then(|eyes| eyes.device.reception());
    if seen == Some(Reception::Gone) {
        *eyes = None;
    }
    Ok(seen)
}

/// Waits for an event of the device, or for one that comes or goes, until `deadline` at the latest; breaks when the watch is to
/// end.
fn wait(
    eyes: Option<&mut Eyes>,
    ears: &mut Ears,
    end: BorrowedFd<'_>,
    deadline: Instant,
    mut trouble: impl FnMut(String),
) -> ControlFlow<()> {
    let mut heard = eyes.filter(|eyes| eyes.hearing == Hearing::Events);
    loop {
        let left = deadline.saturating_duration_since(clock::now()) + Duration::from_millis(1);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![PollFd::new(end, PollFlags::POLLIN)];
        let (mut of_eyes, mut of_ear) = (None, None);
        if let Some(eyes) = &heard {
            of_eyes = Some(fds.len());
            fds.push(PollFd::new(eyes.device.file.as_fd(), PollFlags::POLLPRI));
        }
        if let Some(ear) = ears.ear(clock::now()) {
            of_ear = Some(fds.len());
            fds.push(PollFd::new(ear.as_fd(), PollFlags::POLLIN));
        }
        let woken = poll(&mut fds, timeout).is_ok_and(|count| count > 0);
        let has = |at: Option<usize>| at.is_some_and(|at| fds[at].revents().is_some_and(|events| !events.is_empty()));
        let (ended, called, rung) = (has(Some(0)), has(of_eyes), has(of_ear));
        drop(fds);
        if ended {
            return ControlFlow::Break(());
        }
        // A driver that calls and has nothing to say would do so for ever.
        if called
            && let Some(eyes) = &mut heard
            && eyes.device.events() == 0
        {
            eyes.hearing = Hearing::Deaf;
        }
        let news = if rung { ears.hear(clock::now()).map_err(&mut trouble).ok() } else { None };
        // Most of what comes and goes in a machine is neither camera nor sound card.
        let another_matter = rung && !called && news != Some(Heard::Capture);
        // And however much of it there is, the device is looked at in time.
        if !another_matter || !woken || clock::now() >= deadline {
            return ControlFlow::Continue(());
        }
    }
}

/// A watch in a thread of its own; it ends with this.
#[derive(Debug)]
pub struct Watch {
    standing: watch::Receiver<Option<Standing>>,
    pass: Pass,
    _end: Option<PipeWriter>,
}

impl Watch {
    /// Begins to watch `device`. What cannot be watched is unknown, and may still deliver: whoever captures from it hears
    /// what is wrong. `trouble` hears what is wrong with the watch.
    pub fn start(device: &Path, board: Arc<dyn Board>, trouble: impl Fn(String) + Send + 'static) -> Self {
        let (tell, standing) = watch::channel(None);
        let pass = Pass::default();
        let spawned = io::pipe().and_then(|(until, end)| {
            let (device, teller) = (device.to_owned(), Teller { tell: tell.clone(), pass: pass.clone() });
            let thread = std::thread::Builder::new().name("signal".to_owned());
            thread.spawn(move || teller.run(&device, &*board, &until, trouble)).map(|_| end)
        });
        if spawned.is_err() {
            Teller { tell, pass: pass.clone() }.tell(UNKNOWN);
        }
        Self { standing, pass, _end: spawned.ok() }
    }

    /// What holds; `None` before the first look.
    pub fn standing(&self) -> Option<Standing> {
        *self.standing.borrow()
    }

    /// Whether what the device delivers at this moment is a picture.
    pub fn is_picture(&self) -> bool {
        self.ticket().is_valid()
    }

    /// What lets pictures pass for as long as nothing changes.
    pub fn ticket(&self) -> Ticket {
        Ticket { pass: self.pass.clone(), number: self.pass.0.load(Ordering::Acquire) }
    }
}

const UNKNOWN: Standing = Standing::Steady(Reception::Unknown);

/// The side of a watch that is in its thread.
struct Teller {
    tell: watch::Sender<Option<Standing>>,
    pass: Pass,
}

impl Teller {
    fn run(self, device: &Path, board: &dyn Board, until: &PipeReader, trouble: impl Fn(String)) {
        let told = |sight| {
            match sight {
                Sight::Plugged => board.plugged(),
                Sight::Standing(standing) => self.tell(standing),
                Sight::Trouble(why) => trouble(why),
            }
            ControlFlow::Continue(())
        };
        let mut none = Ears::never();
        // It may become what it should be: permissions come late, and another program may have it for itself.
        while watch(device, until, told).is_err() {
            self.tell(UNKNOWN);
            if wait(None, &mut none, until.as_fd(), clock::now() + RECHECK, &trouble).is_break() {
                return;
            }
        }
    }

    fn tell(&self, standing: Standing) {
        // First the pass, so that nobody who reads the standing finds it as it was before.
        self.pass.turn(standing.is_picture());
        // Nobody reads any more when the source is on its way out.
        let _ = self.tell.send(Some(standing));
    }
}

/// Counts the times between which pictures are what they should be. Even: they are.
#[derive(Clone, Debug, Default)]
struct Pass(Arc<AtomicU32>);

impl Pass {
    /// Opens or closes.
    fn turn(&self, open: bool) {
        let number = self.0.load(Ordering::Acquire);
        if open != number.is_multiple_of(2) {
            self.0.store(number.wrapping_add(1), Ordering::Release);
        }
    }
}

/// Whether a picture of a capture that was set up when this was drawn may be shown. The thread that hears the driver's
/// event makes it void, so that no noise passes while the capture is on its way to be told.
#[derive(Clone, Debug)]
pub struct Ticket {
    pass: Pass,
    number: u32,
}

impl Ticket {
    /// Whether it holds.
    pub fn is_valid(&self) -> bool {
        self.number.is_multiple_of(2) && self.pass.0.load(Ordering::Acquire) == self.number
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use nix::time::{ClockId, clock_gettime};

    use super::*;

    #[test]
    fn what_is_no_video_device_is_named_and_one_that_is_absent_is_waited_for() {
        assert!(matches!(Device::open(Path::new("/dev/null")), Err(DeviceError::NotVideo(_))));
        let absent = Path::new("/dev/absent/video0");
        let e = Device::open(absent).unwrap_err();
        assert!(e.is_absence(), "{e}");
        assert!(e.to_string().starts_with("/dev/absent/video0: "), "{e}");

        let (until, _end) = io::pipe().unwrap();
        assert!(watch(Path::new("/dev/null"), &until, |_| ControlFlow::Continue(())).is_err());
        let mut told = Vec::new();
        let outcome = watch(absent, &until, |sight| {
            told.push(sight);
            ControlFlow::Break(())
        });
        assert!(outcome.is_ok());
        assert_eq!(told, [Sight::Standing(Standing::Steady(Reception::Gone))]);
    }

    #[test]
    fn a_watch_ends_with_the_closing_of_its_pipe() {
        let (until, end) = io::pipe().unwrap();
        let mut end = Some(end);
        let outcome = watch(Path::new("/dev/absent/video0"), &until, |_| {
            // As a source does that is dropped while its device is away.
            end = None;
            ControlFlow::Continue(())
        });
        assert!(outcome.is_ok());
    }

    #[test]
    fn a_socket_that_calls_for_ever_and_has_nothing_to_say_is_left_and_told_of() {
        // The reading end of a pipe that nobody writes to any more calls as well, and is no socket.
        let (broken, _) = io::pipe().unwrap();
        let mut ears = Ears::with(broken.into(), clock::now());
        let (until, _end) = io::pipe().unwrap();
        #[expect(clippy::disallowed_methods, reason = "what this thread has worked is no time of day")]
        let used = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
        let (mut told, before) = (Vec::new(), used());
        for _ in 0..2 {
            let deadline = clock::now() + Duration::from_millis(400);
            assert!(wait(None, &mut ears, until.as_fd(), deadline, |why| told.push(why)).is_continue());
            assert!(clock::now() >= deadline, "the device is looked at as often as before");
        }
        assert!(used() - before < Duration::from_millis(100), "it turned round and round: {:?}", used() - before);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("once a second"), "{told:?}");
    }

    #[test]
    fn a_ticket_is_void_from_the_first_change_on_and_for_ever() {
        let pass = Pass::default();
        let draw = || Ticket { pass: pass.clone(), number: pass.0.load(Ordering::Acquire) };
        let first = draw();
        pass.turn(true);
        assert!(first.is_valid(), "nothing changed");
        pass.turn(false);
        assert!(!first.is_valid());
        assert!(!draw().is_valid(), "a capture that is set up without a signal shows nothing");
        pass.turn(false);
        pass.turn(true);
        assert!(!first.is_valid(), "what an old capture still has is of the old signal");
        assert!(draw().is_valid());
    }

    #[test]
    fn words_of_the_kernel_are_found_where_they_are() {
        assert_eq!(halves(u64::from_ne_bytes(pair(7, 9))), [7, 9]);
    }
}
