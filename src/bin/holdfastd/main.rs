//! `holdfastd`, the supervisor: configuration, processes, operators, events. The picture does not pass through it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use holdfast::config::Paths;
use holdfast::supervisor::daemon::{self, Ended, Options, SpawnerChoice};

/// Keeps a Holdfast box running: starts the encoders and the data plane, replaces what dies, obeys `holdfast`.
///
/// Killing holdfastd does not touch the programme: the next one takes over what runs. To end everything use
/// `holdfast shutdown` (or Ctrl-C in its terminal).
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file. `holdfast check-config` tells whether it is right.
    #[arg(long, default_value = "/etc/holdfast/holdfast.toml")]
    config: PathBuf,
    /// The file with stream keys; by default the systemd credential holdfast-secrets, or secrets.toml beside the
    /// configuration.
    #[arg(long)]
    secrets: Option<PathBuf>,
    /// Directory of sockets and locks, emptied at boot.
    #[arg(long, default_value = "/run/holdfast", env = "HOLDFAST_RUNTIME")]
    runtime: PathBuf,
    /// Directory of what survives a reboot.
    #[arg(long, default_value = "/data/holdfast", env = "HOLDFAST_STATE")]
    state: PathBuf,
    /// How processes are started.
    #[arg(long, value_enum, default_value = "auto")]
    spawner: Spawner,
    /// Directory of holdfast-encode and holdfast-transmit; by default holdfastd's own.
    #[arg(long)]
    programs: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Spawner {
    /// As systemd's units when systemd started holdfastd, else as processes.
    Auto,
    /// As processes.
    Process,
    /// As systemd's units holdfast-transmit.service and holdfast-encode@INPUT.service.
    Systemd,
}

/// As it is where holdfastd was started. What has no absolute form is left to fail where it is used, with its name.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn main() -> ExitCode {
    let Arguments { config, secrets, runtime, state, spawner, programs } = Arguments::parse();
    let spawner = match spawner {
        Spawner::Auto => SpawnerChoice::Auto,
        Spawner::Process => SpawnerChoice::Process,
        Spawner::Systemd => SpawnerChoice::Systemd,
    };
    // Children run in directories of their own and are given these.
    let options = Options {
        config: absolute(config),
        secrets: secrets.map(absolute),
        paths: Paths::new(absolute(runtime), absolute(state)),
        spawner,
        programs: programs.map(absolute),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(daemon::run(options)),
        Err(e) => Err(format!("cannot start: {e}")),
    };
    match ended {
        Ok(Ended::Whole) => ExitCode::SUCCESS,
        Ok(alone @ Ended::Alone { .. }) => {
            eprintln!("{alone}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("holdfastd: {why}");
            ExitCode::FAILURE
        }
    }
}
