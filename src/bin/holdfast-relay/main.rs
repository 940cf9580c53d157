//! `holdfast-relay`: takes programmes over SRT, from boxes and others, and passes each on to its destinations and
//! recordings. One thread, besides those that write to disks. What happens is told on standard output, one JSON object
//! a line.
//!
//! It needs no library but the C library: `cargo build --release --no-default-features --bin holdfast-relay`. `make relay`
//! makes it static, with musl where the toolchain can, and makes sure of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use clap::Parser;
use holdfast::config::{EXAMPLE_RELAY, EXAMPLE_RELAY_SECRETS, RelaySettings};
use holdfast::events::Event;
use holdfast::output::EventSink;
use holdfast::relay;
use holdfast::supervisor::load;

/// The configuration or the arguments are wrong (sysexits' EX_CONFIG).
const REFUSED: u8 = 78;
/// Events that wait to be written.
const EVENTS: usize = 1024;

/// Takes programmes over SRT, single or bonded, and passes them on to RTMP, SRT and recordings.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/holdfast-relay/relay.toml")]
    config: PathBuf,
    /// The file with passphrases and stream keys; by default secrets.toml beside the configuration, if there is one.
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Say whether the configuration is right, and end.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    check_config: Option<Option<PathBuf>>,
    /// Print a configuration with every key explained, to begin with.
    #[arg(long, conflicts_with_all = ["check_config", "example_secrets"])]
    example: bool,
    /// Print the secrets file that goes with it.
    #[arg(long, conflicts_with = "check_config")]
    example_secrets: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.example || arguments.example_secrets {
        say(if arguments.example { EXAMPLE_RELAY } else { EXAMPLE_RELAY_SECRETS });
        return ExitCode::SUCCESS;
    }
    let file = arguments.check_config.iter().flatten().next().unwrap_or(&arguments.config);
    let settings = match read(file, arguments.secrets.as_deref()) {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(REFUSED);
        }
    };
    if arguments.check_config.is_some() {
        say(&format!("{} is right: {}.\n", file.display(), content(&settings)));
        return ExitCode::SUCCESS;
    }
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("holdfast-relay: {why}");
            ExitCode::FAILURE
        }
    }
}

fn read(file: &Path, secrets: Option<&Path>) -> Result<RelaySettings, String> {
    let secrets = secrets.map(Path::to_owned).or_else(|| load::find_secrets(file));
    let (settings, warnings) = load::load_relay(file, secrets.as_deref()).map_err(|e| e.to_string())?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    Ok(settings)
}

fn run(settings: RelaySettings) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| format!("cannot start: {e}"))?;
    let (queue, writer) = log().map_err(|e| format!("cannot start a thread: {e}"))?;
    let events: EventSink = Arc::new(move |event| drop(queue.try_send(event)));
    let local = tokio::task::LocalSet::new();
    let outcome = local.block_on(&runtime, relay::run(settings, events));
    // With the last of the relay's tasks the last sender is dropped, and the writer ends.
    drop(local);
    let _ = writer.join();
    outcome
}

/// Writes events by a thread of its own: whoever reads them must not hold up the programmes. What does not fit into the
/// queue is lost.
fn log() -> std::io::Result<(mpsc::SyncSender<Event>, JoinHandle<()>)> {
    let (queue, events) = mpsc::sync_channel::<Event>(EVENTS);
    let writer = std::thread::Builder::new().name("events".into()).spawn(move || {
        for event in events {
            if let Ok(line) = serde_json::to_string(&event) {
                say(&(line + "\n"));
            }
        }
    })?;
    Ok((queue, writer))
}

/// Nobody may be reading, which is no reason to end.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn content(settings: &RelaySettings) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let destinations = settings.destinations.len() + settings.srt_destinations.len();
    format!(
        "{}, {}, {}, {}",
        count(settings.listen.len(), "UDP socket"),
        count(settings.programmes.len(), "programme"),
        count(destinations, "destination"),
        count(settings.recordings.len(), "recording"),
    )
}
