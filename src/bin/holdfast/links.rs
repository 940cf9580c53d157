//! `holdfast links`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use holdfast::clock;
use holdfast::config::Paths;
use holdfast::events::{ControlReply, ControlRequest, LinkClass, LinkSnapshot, TelemetrySnapshot, render};
use holdfast::link::pinning::{self, Grounds, PinCheck};
use holdfast::link::{self, Knowledge, Links};

use crate::desk::{Desk, DeskError, each_snapshot};
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
    /// Ask the kernel whether what is bound to these interfaces leaves by them, and say what to do where it does not; ends
    /// with 1 if it does not. Without a name, those that a destination is bound to, or all that are not virtual while
    /// holdfastd does not run. Nothing is sent or changed.
    #[arg(long, value_name = "INTERFACE", num_args = 0.., conflicts_with = "watch")]
    check: Option<Vec<String>>,
}

pub(crate) fn run(paths: &Paths, arguments: &Arguments) -> ExitCode {
    if let Some(names) = &arguments.check {
        let checked = link::look().and_then(|links| {
            let names = if names.is_empty() { to_check(paths, &links) } else { names.iter().cloned().collect() };
            Ok((pinning::look(&names, &links)?, links))
        });
        return match checked {
            Ok((grounds, links)) => check(&grounds, &links, arguments),
            Err(e) => {
                complain(&format!("the kernel does not say which way it would take: {e}"));
                ExitCode::from(REFUSED)
            }
        };
    }
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

/// Those that something is bound to, as holdfastd says; all that have hardware if it does not.
fn to_check(paths: &Paths, links: &Links) -> BTreeSet<String> {
    let snapshot = || {
        let mut desk = Desk::open(paths).ok()?;
        desk.ask(&ControlRequest::Status { watch: false }).ok()?;
        let ControlReply::Status(snapshot) = desk.next().ok()? else { return None };
        snapshot.plane?.links
    };
    let pinned = snapshot().into_iter().flatten().filter(|link| link.pin.is_some()).map(|link| link.name);
    let pinned: BTreeSet<String> = pinned.collect();
    let real = links.links.iter().filter(|link| link.class.class != LinkClass::Virtual).map(|link| link.name.clone());
    if pinned.is_empty() { real.collect() } else { pinned }
}

/// Shows what was found; 1 if nothing leaves by one of them.
fn check(grounds: &[Grounds], links: &Links, arguments: &Arguments) -> ExitCode {
    let found: Vec<PinCheck> = grounds.iter().map(pinning::check).collect();
    let mut page = shown(links);
    page.retain(|link| found.iter().any(|check| check.interface == link.name));
    for link in &mut page {
        link.pin = found.iter().find(|check| check.interface == link.name).map(PinCheck::shown);
    }
    if (arguments.json || !page.is_empty())
        && let Err(code) = show(&page, &TelemetrySnapshot::default(), arguments)
    {
        return code;
    }
    for absent in found.iter().filter(|check| !page.iter().any(|link| link.name == check.interface)) {
        for finding in &absent.findings {
            complain(&format!("{}: {}", finding.what(&absent.interface), finding.remedy(&absent.interface)));
        }
    }
    if found.is_empty() {
        complain(
            "there is nothing to check: no destination names an interface, and this machine has none but virtual ones",
        );
    }
    if found.iter().all(PinCheck::leaves) { DONE } else { ExitCode::from(REFUSED) }
}

/// From holdfastd; `None` if it knows nothing either.
fn ask(paths: &Paths, arguments: &Arguments) -> Result<Option<ExitCode>, DeskError> {
    let mut knows = true;
    let code = each_snapshot(paths, arguments.watch, |snapshot| {
        let Some(links) = snapshot.plane.and_then(|plane| plane.links) else {
            knows = false;
            return ControlFlow::Break(DONE);
        };
        match show(&links, &snapshot.telemetry, arguments) {
            Ok(()) => ControlFlow::Continue(()),
            Err(code) => ControlFlow::Break(code),
        }
    })?;
    Ok(knows.then_some(code))
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
