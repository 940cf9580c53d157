//! `holdfast status`.

use std::process::ExitCode;
use std::time::Duration;

use holdfast::config::Paths;
use holdfast::events::{BoxSnapshot, ControlReply, ControlRequest, Event, render};

use crate::DONE;
use crate::desk::{Desk, DeskError};
use crate::terminal::{complain, is_terminal, rows, say_json, style, time_of_day, write};

/// Events at the foot of the page.
const RECENT: usize = 8;
/// Between two attempts to find holdfastd again.
const RETRY: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Keep showing it as it changes; end with Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    /// The whole snapshot as JSON; with --watch one line for each change.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(paths: &Paths, arguments: &Arguments) -> ExitCode {
    let mut seen = false;
    loop {
        let error = match show(paths, arguments, &mut seen) {
            Ok(code) => return code,
            Err(e) => e,
        };
        // A watcher outlives holdfastd: the box goes on without it, and so does the eye on the box.
        if !arguments.watch || !seen {
            complain(&error.to_string());
            return error.exit_code();
        }
        if is_terminal() && !arguments.json {
            redraw(" holdfastd does not answer; the programme goes on without it. Waiting for it to come back.\n");
        }
        #[allow(clippy::disallowed_methods, reason = "a person waits for a process that does not tell when it comes")]
        std::thread::sleep(RETRY);
    }
}

fn show(paths: &Paths, arguments: &Arguments, seen: &mut bool) -> Result<ExitCode, DeskError> {
    let mut desk = Desk::open(paths)?;
    let mut events = Desk::open(paths)?;
    desk.ask(&ControlRequest::Status { watch: arguments.watch })?;
    if arguments.watch {
        desk.wait_for_ever()?;
    }
    loop {
        let snapshot = match desk.next()? {
            ControlReply::Status(snapshot) => snapshot,
            ControlReply::Refused { text } | ControlReply::Done { text } => {
                complain(&text);
                return Ok(ExitCode::from(crate::REFUSED));
            }
            ControlReply::Event(_) => continue,
        };
        if arguments.json {
            if let Err(code) = say_json(&snapshot) {
                return Ok(code);
            }
        } else {
            let page = page(&snapshot, &recent(&mut events)?);
            if arguments.watch && is_terminal() { redraw(&page) } else { write(&page) }
        }
        *seen = true;
        if !arguments.watch {
            return Ok(DONE);
        }
    }
}

fn recent(desk: &mut Desk) -> Result<Vec<Event>, DeskError> {
    desk.ask(&ControlRequest::Events { last: RECENT, follow: false })?;
    let mut events = Vec::new();
    loop {
        match desk.next()? {
            ControlReply::Event(event) => events.push(event),
            ControlReply::Done { .. } | ControlReply::Refused { .. } => return Ok(events),
            ControlReply::Status(_) => {}
        }
    }
}

fn page(snapshot: &BoxSnapshot, recent: &[Event]) -> String {
    let times: Vec<String> = recent.iter().map(|e| time_of_day(e.at, snapshot.at)).collect();
    let timed: Vec<_> = times.iter().map(String::as_str).zip(recent).collect();
    render::status(snapshot, &timed, style())
}

/// Over the old page, line by line, so that nothing flickers; what the terminal has no room for is left out.
pub(crate) fn redraw(page: &str) {
    let mut screen = String::from("\x1b[H");
    let rows = rows();
    let lines: Vec<&str> = page.lines().collect();
    let (shown, more) = if lines.len() < rows { (lines.len(), "") } else { (rows.saturating_sub(2), " …") };
    for line in lines.iter().take(shown).chain((!more.is_empty()).then_some(&more)) {
        screen.push_str(line);
        screen.push_str("\x1b[K\n");
    }
    screen.push_str("\x1b[J");
    write(&screen);
}
