//! Wires one worker: configuration, role, holdfastd, data plane.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use holdfast::capture::board::Board;
use holdfast::capture::edid_io::{self, Loaded};
use holdfast::clock;
use holdfast::config::profile::HardwareProfile;
use holdfast::config::{EncoderChoice, Paths, RenditionSettings, Settings, Source};
use holdfast::encode::build::init;
use holdfast::encode::choose::{choose, choose_software};
use holdfast::encode::worker::{self, WorkerSetup};
use holdfast::events::{ChildCommand, ChildMessage, Event, EventKind, Role, Severity};
use holdfast::model::{InputId, PixelFormat};
use holdfast::supervisor::child_link::ChildLink;
use holdfast::supervisor::{hardware, load, lock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::registry;

/// Where things are.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The input's name in the configuration.
    #[arg(long, value_parser = InputId::new)]
    input: InputId,
    /// Sockets and locks.
    #[arg(long)]
    runtime: PathBuf,
    /// What survives a reboot; the configuration in force is in it.
    #[arg(long)]
    state: PathBuf,
    /// Touch no hardware encoder: a driver holds an earlier worker.
    #[arg(long)]
    software_only: bool,
}

/// Runs the worker; says on stderr why it ends if nobody asked it to.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let told = registry::adopt(&Paths::new(&arguments.runtime, &arguments.state));
    let outcome =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string()).and_then(
            |runtime| {
                let outcome = runtime.block_on(serve(arguments, told));
                // Threads that a driver holds must not keep the process.
                runtime.shutdown_background();
                outcome
            },
        );
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("holdfast-encode {}: {why}", arguments.input);
            ExitCode::FAILURE
        }
    }
}

/// `told`: what is worth telling of the start so far.
async fn serve(arguments: &Arguments, told: Option<(Severity, String)>) -> Result<(), String> {
    let paths = Paths::new(&arguments.runtime, &arguments.state);
    let role = Role::Encode(arguments.input.clone());
    let _lock = lock::take(&paths.lock(&role)).map_err(|e| e.to_string())?;
    let settings = settings(&paths)?;
    let hash = settings.hash_for(&role);
    let choose = if arguments.software_only { choose_software } else { choose };
    let mut setup = WorkerSetup::of(&settings, &arguments.input, &paths, choose)
        .ok_or_else(|| format!("{} has no input {}", paths.last_good_config().display(), arguments.input))?;
    if let Some(in_force) = hardware::in_force(&settings.hardware, Path::new("/")) {
        for rendition in &mut setup.renditions {
            rendition.encoder = hardware::encoder_for(rendition, settings.frame_rate, &in_force.profile);
        }
        setup.standby = in_force.profile.standby.mode;
        if let Source::V4l2 { device, .. } = &setup.input.source {
            let device = device.clone();
            setup.board = Arc::new(Profiled { input: arguments.input.clone(), device, profile: in_force.profile });
        }
    }
    init().map_err(|e| e.to_string())?;

    let link = ChildLink::start(paths.children_socket(), role.clone(), hash.clone());
    let sender = link.sender();
    if let Some((severity, told)) = told {
        let at = (clock::wall(), clock::media());
        let (kind, input) = (EventKind::Note, arguments.input.as_str());
        sender.send(ChildMessage::Event(Event::new(at, role.clone(), kind, severity, input, told)));
    }
    let (ask, asked) = mpsc::channel(4);
    let interrupted = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    // A configuration that cannot be read is not a reason to stop working by the one at hand.
    let changed = move || self::settings(&paths).is_ok_and(|settings| settings.hash_for(&role) != hash);
    let commands = tokio::spawn(pass_on(link, interrupted, ask, changed));
    let outcome = worker::run(setup, Box::new(move |message| sender.send(message)), asked).await;
    commands.abort();
    outcome.map_err(|e| e.to_string())
}

/// Passes Stop on, and SIGTERM as Stop. A configuration that means something else for this worker ends it too; whoever
/// started it starts it with the new one.
async fn pass_on(
    mut link: ChildLink,
    mut interrupted: tokio::signal::unix::Signal,
    ask: mpsc::Sender<ChildCommand>,
    settings_changed: impl Fn() -> bool,
) {
    loop {
        let stop = tokio::select! {
            _ = interrupted.recv() => true,
            command = link.next() => match command {
                ChildCommand::Stop => true,
                ChildCommand::Reload => settings_changed(),
                ChildCommand::Welcome { .. }
                | ChildCommand::SetOnAir { .. }
                | ChildCommand::RetryNow { .. }
                | ChildCommand::ForceKeyframe { .. }
                | ChildCommand::SetBitrate { .. }
                | ChildCommand::Choose { .. }
                | ChildCommand::Hint { .. }
                | ChildCommand::Ceiling { .. } => false,
            },
        };
        // The worker is already ending when it takes no more commands.
        if stop && ask.send(ChildCommand::Stop).await.is_err() {
            return;
        }
    }
}

/// The capture device of this worker's input, on a machine with this profile.
#[derive(Debug)]
struct Profiled {
    input: InputId,
    device: PathBuf,
    profile: HardwareProfile,
}

impl Board for Profiled {
    /// Tells the receiver what it may be sent, if the profile says that it must be told.
    fn plugged(&self) {
        let Some(receiver) = hardware::receiver(Path::new("/"), &self.profile, &self.device) else { return };
        match edid_io::load(&receiver.device, 0, &receiver.edid.edid()) {
            Ok(Loaded::Told) => {
                let (input, device) = (&self.input, receiver.device.display());
                eprintln!("holdfast-encode {input}: {device} was told the EDID {}", receiver.edid);
            }
            Ok(Loaded::WasThere) => {}
            // It may send a picture all the same.
            Err(e) => eprintln!("holdfast-encode {}: {e}", self.input),
        }
    }

    fn format(&self) -> Option<PixelFormat> {
        hardware::format(Path::new("/"), &self.profile, &self.device)
    }
}

/// Which encoder makes `rendition`: the one that the configuration names, or those of this machine's hardware profile.
pub(crate) fn encoder(settings: &Settings, rendition: &RenditionSettings) -> EncoderChoice {
    let in_force = hardware::in_force(&settings.hardware, Path::new("/"));
    in_force.map_or_else(
        || rendition.encoder.clone(),
        |in_force| hardware::encoder_for(rendition, settings.frame_rate, &in_force.profile),
    )
}

/// The configuration in force. A worker uses no secret, but a configuration without them is not complete.
pub(crate) fn settings(paths: &Paths) -> Result<Settings, String> {
    let secrets = Some(paths.last_good_secrets()).filter(|path| path.exists());
    let loaded = load::load(&paths.last_good_config(), secrets.as_deref());
    loaded.map(|loaded| loaded.settings).map_err(|e| e.to_string())
}
