//! `holdfast inputs`.

use std::process::ExitCode;

use holdfast::config::Paths;
use holdfast::events::{BoxSnapshot, ControlReply, ControlRequest, render};

use crate::desk::{Desk, DeskError};
use crate::status::redraw;
use crate::terminal::{complain, is_terminal, say_json, style, write};
use crate::{DONE, REFUSED};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Keep showing them as they change; end with Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    /// As JSON, a list in one line; with --watch one line for each change.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(paths: &Paths, arguments: &Arguments) -> ExitCode {
    show(paths, arguments).unwrap_or_else(|e| {
        complain(&e.to_string());
        e.exit_code()
    })
}

fn show(paths: &Paths, arguments: &Arguments) -> Result<ExitCode, DeskError> {
    let mut desk = Desk::open(paths)?;
    desk.ask(&ControlRequest::Status { watch: arguments.watch })?;
    if arguments.watch {
        desk.wait_for_ever()?;
    }
    loop {
        match desk.next()? {
            ControlReply::Status(snapshot) => {
                if let Err(code) = one(&snapshot, arguments) {
                    return Ok(code);
                }
                if !arguments.watch {
                    return Ok(DONE);
                }
            }
            ControlReply::Refused { text } | ControlReply::Done { text } => {
                complain(&text);
                return Ok(ExitCode::from(REFUSED));
            }
            ControlReply::Event(_) => {}
        }
    }
}

fn one(snapshot: &BoxSnapshot, arguments: &Arguments) -> Result<(), ExitCode> {
    if arguments.json {
        return say_json(&snapshot.plane.as_ref().map_or(&[][..], |plane| &plane.inputs));
    }
    let page = render::inputs(snapshot, style());
    if arguments.watch && is_terminal() {
        redraw(&page);
    } else {
        write(&page);
    }
    Ok(())
}
