//! `holdfast inputs`.

use std::ops::ControlFlow;
use std::process::ExitCode;

use holdfast::config::Paths;
use holdfast::events::{BoxSnapshot, render};

use crate::desk::each_snapshot;
use crate::status::redraw;
use crate::terminal::{complain, is_terminal, say_json, style, write};

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
    let shown = each_snapshot(paths, arguments.watch, |snapshot| match show(&snapshot, arguments) {
        Ok(()) => ControlFlow::Continue(()),
        Err(code) => ControlFlow::Break(code),
    });
    shown.unwrap_or_else(|e| {
        complain(&e.to_string());
        e.exit_code()
    })
}

fn show(snapshot: &BoxSnapshot, arguments: &Arguments) -> Result<(), ExitCode> {
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
