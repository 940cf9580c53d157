//! `holdfast signal`.

use std::io::pipe;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use holdfast::capture::receiver::{Reception, Scan, Standing};
use holdfast::capture::signal::{self, Device, DeviceError, Sight};
use holdfast::clock;
use holdfast::model::{Fault, Wall};
use serde::Serialize;

use crate::terminal::{complain, say, say_json, time_of_day};
use crate::{DONE, REFUSED};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// `/dev/video0`, or better a name that stays: `/dev/v4l/by-path/…`.
    device: PathBuf,
    /// Keep telling each change, as soon as it happens; end with Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    /// As JSON, one object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = if arguments.watch { watch(arguments) } else { once(arguments) };
    outcome.unwrap_or_else(|e| {
        complain(&e.to_string());
        ExitCode::from(REFUSED)
    })
}

fn once(arguments: &Arguments) -> Result<ExitCode, DeviceError> {
    let seen = match Device::open(&arguments.device) {
        Ok(device) => device.reception().map(|seen| (seen, format!(" ({})", device.card()))),
        Err(e) if e.is_absence() => Some((Reception::Gone, String::new())),
        Err(e) => return Err(e),
    };
    let Some((seen, card)) = seen else {
        complain(&format!("{}: its driver is not able to say at this moment", arguments.device.display()));
        return Ok(ExitCode::from(REFUSED));
    };
    let standing = Standing::Steady(seen);
    if arguments.json {
        if let Err(code) = say_json(&Line::of(arguments, standing, clock::wall())) {
            return Ok(code);
        }
    } else {
        say(&format!("{}{card}: {standing}", arguments.device.display()));
    }
    Ok(if standing.is_picture() { DONE } else { ExitCode::from(REFUSED) })
}

fn watch(arguments: &Arguments) -> Result<ExitCode, DeviceError> {
    // Nobody ends it but whoever ends this process.
    let Ok((until, _end)) = pipe() else { return Ok(ExitCode::FAILURE) };
    let mut code = DONE;
    let told = |sight| {
        let standing = match sight {
            Sight::Plugged => return ControlFlow::Continue(()),
            Sight::Trouble(why) => {
                complain(&why);
                return ControlFlow::Continue(());
            }
            Sight::Standing(standing) => standing,
        };
        let at = clock::wall();
        if !arguments.json {
            say(&format!("{} {}: {standing}", time_of_day(at, at), arguments.device.display()));
            return ControlFlow::Continue(());
        }
        match say_json(&Line::of(arguments, standing, at)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failed) => {
                code = failed;
                ControlFlow::Break(())
            }
        }
    };
    signal::watch(&arguments.device, &until, told)?;
    Ok(code)
}

/// One transition, for programs.
#[derive(Debug, Serialize)]
struct Line {
    /// As of events.
    at: Wall,
    device: String,
    #[serde(flatten)]
    signal: Signal,
    /// In the words that status and events use.
    fault: Option<Fault>,
}

/// What a receiver has at its input, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Signal {
    /// `locked`, `settling`, `no-signal`, `no-lock`, `out-of-range`, `gone` or `unknown`.
    standing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    /// Whole pictures a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interlaced: Option<bool>,
    words: String,
}

impl Signal {
    pub(crate) fn of(standing: Standing) -> Self {
        let mode = standing.mode();
        Self {
            standing: standing.code(),
            width: mode.map(|mode| mode.width),
            height: mode.map(|mode| mode.height),
            rate: mode.map(|mode| f64::from(mode.rate_millihertz) / 1000.0),
            interlaced: mode.map(|mode| mode.scan == Scan::Interlaced),
            words: standing.to_string(),
        }
    }
}

impl Line {
    fn of(arguments: &Arguments, standing: Standing, at: Wall) -> Self {
        let device = arguments.device.display().to_string();
        Self { at, device, signal: Signal::of(standing), fault: standing.fault() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use holdfast::capture::receiver::Mode;

    use super::*;

    fn arguments(device: &str) -> Arguments {
        Arguments { device: PathBuf::from(device), watch: false, json: true }
    }

    #[test]
    fn a_line_says_what_is_there_and_what_to_do() {
        let line = |standing| serde_json::to_string(&Line::of(&arguments("/dev/video0"), standing, Wall(7))).unwrap();
        assert_eq!(
            line(Standing::Steady(Reception::NoSignal)),
            r#"{"at":7,"device":"/dev/video0","standing":"no-signal","words":"no signal; check the cable and that the camera is on","fault":"no-signal"}"#
        );
        let mode = Mode { width: 640, height: 480, rate_millihertz: 59_940, scan: Scan::Progressive };
        assert_eq!(
            line(Standing::Steady(Reception::Locked(mode))),
            r#"{"at":7,"device":"/dev/video0","standing":"locked","width":640,"height":480,"rate":59.94,"interlaced":false,"words":"signal 640x480p59.94","fault":null}"#
        );
    }

    #[test]
    fn what_is_no_video_device_is_refused_and_one_that_is_absent_is_told() {
        assert!(matches!(once(&arguments("/dev/null")), Err(DeviceError::NotVideo(_))));
        assert!(matches!(watch(&arguments("/dev/null")), Err(DeviceError::NotVideo(_))));
        assert_eq!(once(&arguments("/dev/absent/video0")).unwrap(), ExitCode::from(REFUSED));
    }
}
