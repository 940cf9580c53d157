//! `holdfast events`.

use std::process::ExitCode;

use holdfast::clock;
use holdfast::config::Paths;
use holdfast::events::{ControlReply, ControlRequest, Event, render};
use holdfast::supervisor::event_log;

use crate::DONE;
use crate::desk::{Desk, DeskError};
use crate::terminal::{complain, say_json, style, time_of_day, write};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many of the past.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    last: usize,
    /// Keep showing them as they happen; end with Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// As JSON, one a line, with the evidence each was decided on.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(paths: &Paths, arguments: &Arguments) -> ExitCode {
    match ask(paths, arguments) {
        Ok(code) => code,
        // The log is a file: what happened before holdfastd went can be read without it.
        Err(e @ DeskError::NotRunning { .. }) if !arguments.follow && paths.event_log().exists() => {
            let log = paths.event_log();
            for event in event_log::tail(&log, arguments.last) {
                if let Err(code) = show(&event, arguments) {
                    return code;
                }
            }
            complain(&format!("holdfastd does not run; these are from {}", log.display()));
            e.exit_code()
        }
        Err(e) => {
            complain(&e.to_string());
            e.exit_code()
        }
    }
}

fn ask(paths: &Paths, arguments: &Arguments) -> Result<ExitCode, DeskError> {
    let mut desk = Desk::open(paths)?;
    desk.ask(&ControlRequest::Events { last: arguments.last, follow: arguments.follow })?;
    if arguments.follow {
        desk.wait_for_ever()?;
    }
    loop {
        match desk.next()? {
            ControlReply::Event(event) => {
                if let Err(code) = show(&event, arguments) {
                    return Ok(code);
                }
            }
            ControlReply::Done { .. } => return Ok(DONE),
            ControlReply::Refused { text } => {
                complain(&text);
                return Ok(ExitCode::from(crate::REFUSED));
            }
            ControlReply::Status(_) => {}
        }
    }
}

fn show(event: &Event, arguments: &Arguments) -> Result<(), ExitCode> {
    if arguments.json {
        return say_json(event);
    }
    write(&render::event((&time_of_day(event.at, clock::wall()), event), style()));
    Ok(())
}
