//! `holdfast links`.

use std::process::ExitCode;
use std::time::Duration;

use holdfast::clock;
use holdfast::config::Paths;
use holdfast::events::{ControlReply, ControlRequest, LinkSnapshot, TelemetrySnapshot, render};
use holdfast::link::{self, Knowledge, Links};

use crate::desk::{Desk, DeskError};
use crate::status::redraw;
use crate::terminal::{complain, is_terminal, say_json, style, write};
use crate::{DONE, REFUSED};

/// While nothing changes, times still pass.
const REFRESH: Duration = Duration::from_secs(1);

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
    match ask(paths, arguments) {
        Ok(Some(code)) => code,
        // The kernel can be asked without anybody's help; only what uses each interface is not known then.
        Ok(None) | Err(DeskError::NotRunning { .. }) => {
            if !(arguments.json || arguments.watch && is_terminal()) {
                complain("holdfastd's data plane does not run; this is what the kernel says, without what uses each");
            }
            by_ourselves(arguments)
        }
        Err(e) => {
            complain(&e.to_string());
            e.exit_code()
        }
    }
}

/// From holdfastd; `None` if it knows nothing either.
fn ask(paths: &Paths, arguments: &Arguments) -> Result<Option<ExitCode>, DeskError> {
    let mut desk = Desk::open(paths)?;
    desk.ask(&ControlRequest::Status { watch: arguments.watch })?;
    if arguments.watch {
        desk.wait_for_ever()?;
    }
    loop {
        match desk.next()? {
            ControlReply::Status(snapshot) => {
                let Some(links) = snapshot.plane.and_then(|plane| plane.links) else { return Ok(None) };
                if let Err(code) = show(&links, &snapshot.telemetry, arguments) {
                    return Ok(Some(code));
                }
                if !arguments.watch {
                    return Ok(Some(DONE));
                }
            }
            ControlReply::Refused { text } | ControlReply::Done { text } => {
                complain(&text);
                return Ok(Some(ExitCode::from(REFUSED)));
            }
            ControlReply::Event(_) => {}
        }
    }
}

fn by_ourselves(arguments: &Arguments) -> ExitCode {
    let done = if arguments.watch {
        watch(arguments)
    } else {
        link::look().map(|links| show(&shown(&links), &TelemetrySnapshot::default(), arguments))
    };
    match done {
        Ok(Ok(())) => DONE,
        Ok(Err(code)) => code,
        Err(e) => {
            complain(&format!("the kernel does not list its interfaces: {e}"));
            ExitCode::from(REFUSED)
        }
    }
}

fn watch(arguments: &Arguments) -> std::io::Result<Result<(), ExitCode>> {
    let mut monitor = link::watch(link::Options::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        loop {
            let links = monitor.links.borrow_and_update().clone();
            if links.knowledge == Knowledge::Kernel
                && let Err(code) = show(&shown(&links), &TelemetrySnapshot::default(), arguments)
            {
                return Ok(Err(code));
            }
            // Only a page that is drawn over shows how time passes.
            let redrawn = is_terminal() && !arguments.json;
            tokio::select! {
                told = monitor.links.changed() => told.map_err(std::io::Error::other)?,
                () = tokio::time::sleep(REFRESH), if redrawn => {}
            }
        }
    })
}

fn shown(links: &Links) -> Vec<LinkSnapshot> {
    let now = clock::media();
    links.links.iter().map(|link| link.shown(Vec::new(), now)).collect()
}

fn show(links: &[LinkSnapshot], telemetry: &TelemetrySnapshot, arguments: &Arguments) -> Result<(), ExitCode> {
    if arguments.json {
        return say_json(&links);
    }
    let page = render::links(links, telemetry, style());
    if arguments.watch && is_terminal() {
        redraw(&page);
    } else {
        write(&page);
    }
    Ok(())
}
