//! Capture from a real driver: the kernel's `vivid`, an HDMI receiver made of software whose cable can be pulled.
//!
//! The distribution's kernel is booted in QEMU with this system's own files beneath, so that our own programs run on it as they
//! were built. What is asserted is what happens and in which order, not how fast: an emulated machine is slow. How long things
//! took is printed.
//!
//! vivid goes on delivering noise without a signal, as many receivers do.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[cfg(feature = "encode")]
mod capture;
#[cfg(feature = "encode")]
mod devices;
mod guest;
mod signal;

/// The HDMI input of `guest/init.sh`'s devices.
const HDMI: &str = "/dev/video0";
/// Its webcam.
const WEBCAM: &str = "/dev/video1";

/// Sets controls of the HDMI input's driver, by which its source does things.
fn source(controls: &str) -> String {
    format!("v4l2-ctl -d {HDMI} --set-ctrl {controls}")
}

/// `dv_timings_signal_mode`: nothing on the cable.
const NO_SIGNAL: &str = "dv_timings_signal_mode=1";
/// Something, which the receiver cannot lock to.
const NO_LOCK: &str = "dv_timings_signal_mode=2";
/// A signal that the receiver cannot take.
const OUT_OF_RANGE: &str = "dv_timings_signal_mode=3";
/// The signal that `dv_timings` chooses.
const SIGNAL: &str = "dv_timings_signal_mode=4";
/// 640x480p59.94, as numbered in vivid's menu.
const VGA: &str = "dv_timings=0";
/// 1280x720p60.
const HD: &str = "dv_timings=9";
