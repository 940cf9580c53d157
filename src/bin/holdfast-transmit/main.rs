//! `holdfast-transmit`, the data plane: takes access units from the encode workers, decides what is on air, and owns
//! every media socket and every recording. One thread (recordings and the saved programme time write on their own).

mod bitrates;
mod conditions;
mod inlets;
mod intake;
mod keeper;
mod plane;
mod probing;
mod slates;
mod uplinks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use holdfast::config::Paths;
use holdfast::events::Role;
use holdfast::supervisor::{load, lock};
use tokio::runtime::{Builder, LocalOptions};

/// The data plane of a Holdfast box. holdfastd (or systemd) starts it; there is seldom a reason to do so by hand.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Directory of sockets and locks.
    #[arg(long, default_value = "/run/holdfast", env = "HOLDFAST_RUNTIME")]
    runtime: PathBuf,
    /// Directory of what survives a reboot.
    #[arg(long, default_value = "/data/holdfast", env = "HOLDFAST_STATE")]
    state: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { runtime, state } = Arguments::parse();
    match run(&Paths::new(runtime, state)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("holdfast-transmit: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(paths: &Paths) -> Result<(), String> {
    let lock_file = paths.lock(&Role::Transmit);
    let _lock = lock::take(&lock_file).map_err(|e| format!("{}: {e}", lock_file.display()))?;
    let settings = load::load_last_good(paths).map_err(|e| e.to_string())?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(|e| format!("cannot start: {e}"))?;
    // A task among the others: what `block_on` itself polls costs a question to the kernel whenever a task wakes it, which
    // is at each access unit.
    let plane = runtime.spawn_local(plane::run(paths.clone(), settings));
    runtime.block_on(plane).map_err(|e| e.to_string())?
}
