//! Hardware profiles: what a board has and what it can do, as facts in a file of their own.
//!
//! ```text
//!  hw-profiles/*.toml ── parse ──► HardwareProfile ─┐
//!                                                   ├─ detect ──► Choice: which one, and why
//!  DMI, device tree, PCI ── (supervisor) ► Machine ─┘
//! ```
//!
//! A profile decides nothing: it says in which order encoders are worth a trial, what a receiver must be told before a
//! source sends anything, where a display and a button are. What was not seen on hardware says so ([`Verified`]). *Invariant:*
//! a [`HardwareProfile`] is complete and consistent; a file with an unknown key is no profile.

mod detect;
mod embedded;
mod glob;
mod parse;
mod parts;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;

use crate::events::LinkClass;
use crate::model::{Codec, EdidName, FrameRate, InterfaceName, Name, PixelFormat};

pub use detect::{Choice, Machine, Reason, Sign, UnknownProfile, Virtuality, choose, named};
pub use embedded::EMBEDDED;
pub use glob::Glob;
pub use parse::{KnownFamily, parse_profile};

/// What a board has and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareProfile {
    /// What the configuration calls it.
    pub name: Name,
    /// What people call it.
    pub title: String,
    /// What an operator should know of it, in a few sentences.
    pub about: String,
    /// Whether it was tried as a whole.
    pub verified: Verified,
    /// By what the board is known; one is enough. At least one.
    pub signs: Vec<Sign>,
    /// Capture devices that it has or that are often plugged into it. Of several entries that fit a device the first counts.
    pub capture: Vec<CaptureDevice>,
    /// Encoders.
    pub encoders: Encoders,
    /// What a worker does that is not on air.
    pub standby: Standby,
    /// Its display, if it is to have one.
    pub display: Option<Display>,
    /// Its buttons.
    pub buttons: Vec<Button>,
    /// Its lights.
    pub leds: Vec<Led>,
    /// What its network interfaces are for.
    pub interfaces: Vec<InterfaceRole>,
    /// How hot it may become.
    pub thermal: Vec<ThermalZone>,
}

/// How far a fact was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Seen to be so, on this board.
    OnHardware,
    /// From documents, sources and other people's reports.
    FromDocuments,
}

/// Whether a part belongs to the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitted {
    /// It is soldered on: where it is not found, something is wrong.
    Always,
    /// Somebody may have plugged it in.
    Optional,
}

/// A capture device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureDevice {
    /// Its name, for messages.
    pub name: Name,
    /// What people call it.
    pub title: String,
    /// By what it is known.
    pub known_by: DeviceSigns,
    /// USB devices by vendor and product.
    pub usb: Vec<UsbId>,
    /// Which of V4L2's two ways to describe buffers it speaks.
    pub planes: Planes,
    /// The pixel format to ask for, whatever else it offers, as V4L2 spells it (`NV12`).
    pub format: Option<PixelFormat>,
    /// What the receiver must be told at each boot before a source sends anything; `None` if it knows by itself.
    pub edid: Option<EdidName>,
    /// The sub-device that takes the EDID and knows the signal, where the video device does not.
    pub subdevice: Option<Glob>,
    /// What is odd about it, a sentence each.
    pub quirks: Vec<String>,
    /// Whether the board always has it.
    pub fitted: Fitted,
    /// Whether it was tried.
    pub verified: Verified,
}

/// By what a device of the kernel's is known; one is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceSigns {
    /// The kernel driver's name, as `/sys/…/device/driver` has it.
    pub drivers: Vec<Glob>,
    /// Where it is plugged in, as udev's ID_PATH has it.
    pub paths: Vec<Glob>,
}

impl DeviceSigns {
    /// Whether a device with this driver at this place is meant.
    pub fn fit(&self, driver: Option<&str>, path: Option<&str>) -> bool {
        let any = |globs: &[Glob], text: Option<&str>| text.is_some_and(|text| globs.iter().any(|g| g.fits(text)));
        any(&self.drivers, driver) || any(&self.paths, path)
    }
}

/// Vendor and product of a USB device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsbId {
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
}

/// V4L2's two ways to describe a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planes {
    /// V4L2_BUF_TYPE_VIDEO_CAPTURE.
    Single,
    /// V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE.
    Multi,
}

/// Which encoders are worth a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoders {
    /// For each codec the families, best first; a codec that is not there has the encoder table's order.
    pub order: Vec<(Codec, Vec<Name>)>,
    /// What a family cannot do although its driver may say so.
    pub limits: Vec<EncoderLimit>,
    /// Whether the order was tried.
    pub verified: Option<Verified>,
}

/// What an encoder can do at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderLimit {
    /// The family.
    pub family: Name,
    /// Which codec of it.
    pub codec: Codec,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second of pictures of that size.
    pub rate: FrameRate,
}

impl EncoderLimit {
    /// Whether pictures of this size and rate are within it: neither larger nor more pixels in a second.
    pub fn allows(&self, width: u32, height: u32, rate: FrameRate) -> bool {
        let pixels = |width: u32, height: u32, rate: FrameRate| f64::from(width) * f64::from(height) * rate.as_f64();
        width <= self.width
            && height <= self.height
            && pixels(width, height, rate) <= pixels(self.width, self.height, self.rate)
    }
}

impl Encoders {
    /// The families to try for such pictures, best first, without those that are known not to manage them. `None` where
    /// the encoder table's own order is to be kept.
    pub fn order_for(&self, codec: Codec, width: u32, height: u32, rate: FrameRate) -> Option<Vec<Name>> {
        let (_, families) = self.order.iter().find(|(of, _)| *of == codec)?;
        let manages = |family: &&Name| {
            let limits = self.limits.iter().filter(|limit| &limit.family == *family && limit.codec == codec);
            limits.into_iter().all(|limit| limit.allows(width, height, rate))
        };
        Some(families.iter().filter(manages).cloned().collect())
    }
}

/// What a worker does that is not on air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standby {
    /// Whether its encoder is open.
    pub mode: StandbyMode,
    /// Encodes that the hardware makes at once; `None` where nobody knows a limit or there is no such hardware.
    pub hardware_sessions: Option<u32>,
    /// Whether that was tried.
    pub verified: Verified,
}

/// Whether the encoder of an input on standby is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandbyMode {
    /// Open, and fed now and then: on air at once.
    Warm,
    /// Opened when it is needed, since there are not sessions enough; the slate stands in until then.
    Cold,
}

/// A display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    /// What it is, and where.
    pub kind: DisplayKind,
    /// Pixels across; 0 where the device says it.
    pub width: u32,
    /// Pixels down; 0 where the device says it.
    pub height: u32,
    /// Whether the board always has it.
    pub fitted: Fitted,
    /// Whether it was tried.
    pub verified: Verified,
}

/// Kinds of display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisplayKind {
    /// A monochrome OLED on I²C.
    Ssd1306 {
        /// The bus, `/dev/i2c-1`.
        bus: PathBuf,
        /// 7-bit address.
        address: u8,
    },
    /// A colour TFT on SPI.
    St7789 {
        /// The bus and chip select, `/dev/spidev0.0`.
        bus: PathBuf,
        /// The line that tells data from commands.
        data_command: String,
        /// The reset line, if it is wired.
        reset: Option<String>,
        /// The backlight's line, if it is wired.
        backlight: Option<String>,
    },
    /// Whatever the kernel has made a framebuffer of.
    Framebuffer {
        /// `/dev/fb0`.
        device: PathBuf,
    },
}

impl DisplayKind {
    /// The device file that it is spoken to by.
    pub fn device(&self) -> &PathBuf {
        match self {
            Self::Ssd1306 { bus, .. } | Self::St7789 { bus, .. } => bus,
            Self::Framebuffer { device } => device,
        }
    }

    /// What people call it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Ssd1306 { .. } => "SSD1306",
            Self::St7789 { .. } => "ST7789",
            Self::Framebuffer { .. } => "framebuffer",
        }
    }
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// What it is for.
    pub name: Name,
    /// Where it is wired.
    pub wired: ButtonLine,
    /// Whether the board always has it.
    pub fitted: Fitted,
    /// Whether it was tried.
    pub verified: Verified,
}

/// Where a button is wired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ButtonLine {
    /// A GPIO line, by the name that the device tree gives it.
    Gpio {
        /// `GPIO17`.
        line: String,
        /// What it reads while it is pressed.
        active: Active,
    },
    /// A key that the kernel makes of it (evdev).
    Key(Key),
}

/// The level that means yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// 0 V: the button pulls the line down.
    Low,
    /// The supply's voltage.
    High,
}

/// A key of Linux's input layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// `KEY_PLAYPAUSE`.
    pub name: &'static str,
    /// Its number in `linux/input-event-codes.h`.
    pub code: u16,
}

/// A light.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Led {
    /// What it shows.
    pub name: Name,
    /// Where it is wired.
    pub wired: LedLine,
    /// Whether the board always has it.
    pub fitted: Fitted,
    /// Whether it was tried.
    pub verified: Verified,
}

/// Where a light is wired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedLine {
    /// One that the kernel drives, by its name in `/sys/class/leds`.
    Kernel(String),
    /// A GPIO line, by the name that the device tree gives it.
    Gpio(String),
}

/// What a network interface is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceRole {
    /// A name that lasts, whatever the kernel calls it.
    pub name: InterfaceName,
    /// What kind of uplink it is.
    pub role: LinkClass,
    /// By what it is known.
    pub known_by: DeviceSigns,
    /// Whether the board always has it.
    pub fitted: Fitted,
    /// Whether it was tried.
    pub verified: Verified,
}

/// A thermometer, and what its readings mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThermalZone {
    /// The zone's type, as `/sys/class/thermal/…/type` has it.
    pub zone: Glob,
    /// From here on somebody should look, °C.
    pub warn_celsius: u32,
    /// From here on the board slows down, °C.
    pub slows_celsius: u32,
    /// Whether that was tried.
    pub verified: Verified,
}
