//! Pure. What an HDMI or SDI receiver says of the signal at its input, and when that is to be believed.
//!
//! ```text
//!            ┌── no signal, no lock, out of range, gone: at once ──┐
//!            │                                                     ▼
//!   Steady(Locked a) ──another mode──► Settling b ──any of them──► Steady(NoSignal …)
//!            ▲                          │      ▲                   │
//!            └───── b for SETTLE ───────┘      └─── a signal again ┘
//! ```
//!
//! Bad news needs no second look: what is delivered without a signal is noise, or nothing. Good news does, since a source
//! that changes its mode, and a plug on its way in, show several signals within some hundred milliseconds, and setting up
//! a capture for one that goes away again costs more than waiting.
//!
//! Devices that measure nothing (webcams, and sticks that look like one) are [`Reception::Unknown`], which is no fault: they
//! are judged by their pictures.

use std::fmt;
use std::time::{Duration, Instant};

use crate::model::{Fault, Finding};

/// A signal must have stayed the same for this long before a capture is set up for it. Sources take 100 to 400 ms to
/// change their mode.
pub const SETTLE: Duration = Duration::from_millis(500);
/// Between two looks when no event comes: for devices without events, and for events that are lost.
pub const RECHECK: Duration = Duration::from_secs(1);
/// Rates this near, in parts per thousand, are the same: receivers measure the pixel clock, and not twice the same. 59.94
/// and 60 are 1 apart, which no capture has to be set up anew for.
const SAME_RATE: u32 = 5;

/// `struct v4l2_dv_timings` in 32-bit words, as VIDIOC_QUERY_DV_TIMINGS fills it in.
pub type Timings = [u32; 33];

/// V4L2_DV_FL_REDUCED_FPS and V4L2_DV_FL_CAN_DETECT_REDUCED_FPS: the pixel clock is the nominal one, and the rate is not.
const REDUCED_RATE: u32 = 0x4 | 0x200;
/// V4L2_IN_ST_NO_POWER and V4L2_IN_ST_NO_SIGNAL.
const NOTHING_THERE: u32 = 0x1 | 0x2;
/// V4L2_IN_ST_NO_H_LOCK, NO_V_LOCK, NO_STD_LOCK and NO_SYNC.
const NOT_LOCKED: u32 = 0x100 | 0x400 | 0x800 | 0x1_0000;

/// Whether pictures come whole or as two fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Whole pictures.
    Progressive,
    /// Every other line, in turn.
    Interlaced,
}

/// What a receiver measures of a signal it is locked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Pixels across.
    pub width: u32,
    /// Pixels down, of a whole picture.
    pub height: u32,
    /// Whole pictures per 1000 s; 0 where the receiver does not say.
    pub rate_millihertz: u32,
    /// Whole or in fields.
    pub scan: Scan,
}

impl Mode {
    /// Of a driver's timings; `None` where they describe no picture.
    pub fn of(timings: &Timings) -> Option<Self> {
        let [_type, width, height, interlaced, _polarities, clock_a, clock_b, rest @ ..] = timings;
        let [fronth, hsync, backh, frontv, vsync, backv, il_frontv, il_vsync, il_backv, _standards, flags, ..] = rest;
        if *width == 0 || *height == 0 {
            return None;
        }
        let scan = if *interlaced == 0 { Scan::Progressive } else { Scan::Interlaced };
        // 64 bits in the machine's order at a place that is not aligned for them.
        let mut clock = [0; 8];
        clock[..4].copy_from_slice(&clock_a.to_ne_bytes());
        clock[4..].copy_from_slice(&clock_b.to_ne_bytes());
        let sum = |parts: &[&u32]| parts.iter().map(|part| u128::from(**part)).sum::<u128>();
        let across = sum(&[width, fronth, hsync, backh]);
        let down = sum(&[height, frontv, vsync, backv])
            + if scan == Scan::Interlaced { sum(&[il_frontv, il_vsync, il_backv]) } else { 0 };
        let (times, per) = if flags & REDUCED_RATE == REDUCED_RATE { (1_000_000, 1001) } else { (1000, 1) };
        let rate = u128::from(u64::from_ne_bytes(clock)) * times / (across * down * per);
        Some(Self { width: *width, height: *height, rate_millihertz: u32::try_from(rate).unwrap_or(u32::MAX), scan })
    }

    /// Whether a capture for one takes the other as it is.
    pub fn is_like(self, other: Self) -> bool {
        let rate = u64::from(self.rate_millihertz);
        let apart = rate.abs_diff(u64::from(other.rate_millihertz));
        (self.width, self.height, self.scan) == (other.width, other.height, other.scan)
            && apart * 1000 <= rate * u64::from(SAME_RATE)
    }
}

impl fmt::Display for Mode {
    /// As the trade writes it: `1920x1080p59.94`, and `1920x1080i50` with the rate of the fields.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, fields) = match self.scan {
            Scan::Progressive => ('p', 1),
            Scan::Interlaced => ('i', 2),
        };
        write!(f, "{}x{}{letter}", self.width, self.height)?;
        let hundredths = (u64::from(self.rate_millihertz) * fields + 5) / 10;
        match (hundredths / 100, hundredths % 100) {
            (0, 0) => Ok(()),
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// What a receiver has at its input, at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// A signal that it can take.
    Locked(Mode),
    /// Nothing.
    NoSignal,
    /// Something that it cannot make out.
    NoLock,
    /// A signal that it cannot take.
    OutOfRange,
    /// There is no device.
    Gone,
    /// The device knows no such thing.
    Unknown,
}

/// What a driver answered at one look. The errors are errnos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To VIDIOC_QUERY_DV_TIMINGS.
    pub timings: Result<Timings, i32>,
    /// To VIDIOC_ENUMINPUT of the input in use: `status`.
    pub status: Result<u32, i32>,
}

impl Reception {
    /// What an answer means; `None` where the driver was not able to say (V4L2 API, "VIDIOC_QUERY_DV_TIMINGS" and "Input
    /// status flags"). The measurement counts before the status, which some drivers set wrongly.
    pub fn of(answer: &Answer) -> Option<Self> {
        match answer.timings {
            Ok(timings) => Mode::of(&timings).map(Self::Locked),
            Err(libc::ENOLINK) => Some(Self::NoSignal),
            Err(libc::ENOLCK) => Some(Self::NoLock),
            Err(libc::ERANGE) => Some(Self::OutOfRange),
            Err(errno) if is_gone(errno) => Some(Self::Gone),
            // Not this kind of device, or not this kind of input.
            Err(libc::ENOTTY | libc::EINVAL | libc::ENODATA) => Some(match answer.status {
                Err(errno) if is_gone(errno) => Self::Gone,
                Ok(status) if status & NOTHING_THERE != 0 => Self::NoSignal,
                Ok(status) if status & NOT_LOCKED != 0 => Self::NoLock,
                Ok(_) | Err(_) => Self::Unknown,
            }),
            Err(_) => None,
        }
    }

    /// What is wrong with it.
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Locked(_) | Self::Unknown => None,
            Self::NoSignal => Some(Fault::NoSignal),
            Self::NoLock => Some(Fault::NoLock),
            Self::OutOfRange => Some(Fault::OutOfRange),
            Self::Gone => Some(Fault::DeviceGone),
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Locked(_) | Self::Unknown => None,
            Self::NoSignal => Some("check the cable and that the camera is on"),
            Self::NoLock => Some("try another cable, a shorter one, or a smaller format at the camera"),
            Self::OutOfRange => Some("set the camera to 1080p60 or lower"),
            Self::Gone => Some("plug it in again"),
        }
    }
}

impl fmt::Display for Reception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(mode) => write!(f, "signal {mode}"),
            Self::NoSignal => f.write_str("no signal"),
            Self::NoLock => f.write_str("a signal that cannot be locked to"),
            Self::OutOfRange => f.write_str("a signal format that this device cannot take"),
            Self::Gone => f.write_str("the device is not there"),
            Self::Unknown => f.write_str("this device does not tell whether it has a signal"),
        }
    }
}

/// Whether an errno means that the device, or its node, is not there.
pub const fn is_gone(errno: i32) -> bool {
    matches!(errno, libc::ENODEV | libc::ENXIO | libc::ENOENT)
}

/// What holds of a receiver, over more than one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This, until further notice.
    Steady(Reception),
    /// A signal that is to prove itself first.
    Settling {
        /// What held before.
        was: Reception,
        /// What is there.
        mode: Mode,
    },
}

impl Standing {
    /// Whether what the device delivers is a picture.
    pub const fn is_picture(self) -> bool {
        matches!(self, Self::Steady(Reception::Locked(_) | Reception::Unknown))
    }

    /// The signal that is there, proved or not.
    pub const fn mode(self) -> Option<Mode> {
        match self {
            Self::Steady(Reception::Locked(mode)) | Self::Settling { mode, .. } => Some(mode),
            Self::Steady(_) => None,
        }
    }

    /// For programs: stays as it is, whatever becomes of the words.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Steady(Reception::Locked(_)) => "locked",
            Self::Steady(Reception::NoSignal) => "no-signal",
            Self::Steady(Reception::NoLock) => "no-lock",
            Self::Steady(Reception::OutOfRange) => "out-of-range",
            Self::Steady(Reception::Gone) => "gone",
            Self::Steady(Reception::Unknown) => "unknown",
            Self::Settling { .. } => "settling",
        }
    }

    /// What is wrong. A signal that comes after none has to stay before it counts.
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Steady(reception) => reception.fault(),
            Self::Settling { was: Reception::Locked(_) | Reception::Unknown, .. } => Some(Fault::ModeChange),
            Self::Settling { was, .. } => was.fault(),
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Steady(reception) => reception.remedy(),
            Self::Settling { .. } => None,
        }
    }

    /// What is wrong, with its evidence.
    pub fn finding(self) -> Option<Finding> {
        Some(Finding { fault: self.fault()?, evidence: self.to_string() })
    }
}

impl fmt::Display for Standing {
    /// In words, with what to do: "no signal; check the cable and that the camera is on".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steady(reception) => write!(f, "{reception}")?,
            Self::Settling { was: Reception::Locked(was), mode } => {
                write!(f, "the signal changed from {was} to {mode}; waiting until it is steady")?;
            }
            Self::Settling { mode, .. } => write!(f, "a signal again, {mode}; waiting until it is steady")?,
        }
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

/// Believes what a receiver says, bad news at once and good news when they last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Receiver(State);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Not looked at yet.
    #[default]
    Fresh,
    Steady(Reception),
    Settling {
        was: Reception,
        mode: Mode,
        until: Instant,
    },
}

impl Receiver {
    /// What holds.
    pub const fn standing(&self) -> Standing {
        match self.0 {
            State::Fresh => Standing::Steady(Reception::Unknown),
            State::Steady(reception) => Standing::Steady(reception),
            State::Settling { was, mode, .. } => Standing::Settling { was, mode },
        }
    }

    /// Takes what was seen at `now`, `None` where the driver was not able to say; returns what holds if that is another
    /// thing than before, and after the first look in any case.
    pub fn look(&mut self, seen: Option<Reception>, now: Instant) -> Option<Standing> {
        let (before, first) = (self.standing(), matches!(self.0, State::Fresh));
        self.0 = next(self.0, seen, now);
        let standing = self.standing();
        (standing != before || first && seen.is_some()).then_some(standing)
    }

    /// When to look again at the latest, whatever does not happen; after `now`.
    pub fn look_again(&self, now: Instant) -> Instant {
        match self.0 {
            State::Fresh | State::Steady(_) => now + RECHECK,
            State::Settling { until, .. } if until > now => until.min(now + RECHECK),
            // It was due and the driver was not able to say.
            State::Settling { .. } => now + SETTLE,
        }
    }
}

fn next(state: State, seen: Option<Reception>, now: Instant) -> State {
    let Some(seen) = seen else { return state };
    let Reception::Locked(mode) = seen else { return State::Steady(seen) };
    match state {
        // At the start nothing is known that could have changed.
        State::Fresh | State::Steady(Reception::Unknown) => State::Steady(seen),
        State::Steady(Reception::Locked(held)) if held.is_like(mode) => state,
        State::Steady(was) => State::Settling { was, mode, until: now + SETTLE },
        State::Settling { mode: held, until, .. } if held.is_like(mode) => {
            if now >= until {
                State::Steady(Reception::Locked(held))
            } else {
                state
            }
        }
        State::Settling { was, .. } => State::Settling { was, mode, until: now + SETTLE },
    }
}

#[cfg(test)]
mod tests;
