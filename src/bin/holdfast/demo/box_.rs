//! The box itself: holdfastd with a configuration of the demo's, and the way to talk to it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast::clock;
use holdfast::config::Paths;
use holdfast::events::{BoxSnapshot, Command, ControlReply, ControlRequest, Event, Role};

use tokio::signal::unix::{SignalKind, signal};

use super::Input;
use super::servers::Servers;
use super::tools::Tools;
use super::uplinks::Uplinks;
use crate::desk::Desk;

const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
const ENDS_WITHIN: Duration = Duration::from_secs(15);
/// Events asked for at a time; a demo has a few dozen.
const EVENTS: usize = 2000;

/// Where recordings go, below the output directory.
const RECORDINGS: &str = "recordings";

/// What a box is told.
#[derive(Debug)]
pub(super) struct Files {
    /// holdfast.toml.
    pub(super) configuration: String,
    /// secrets.toml.
    pub(super) secrets: String,
}

impl Files {
    /// For the servers and, over the uplinks, the relay.
    pub(super) fn new(
        tools: &Tools,
        servers: &Servers,
        uplinks: &Uplinks,
        out: &Path,
        input: Input,
    ) -> Result<Self, String> {
        Ok(Self {
            configuration: configuration(tools, servers, &uplinks.destination()?, &out.join(RECORDINGS), input),
            secrets: secrets(servers) + &uplinks.secret(),
        })
    }
}

/// A running box.
#[derive(Debug)]
pub(super) struct DemoBox {
    paths: Paths,
    config: PathBuf,
    log: PathBuf,
    /// Sockets want a short path; removed at the end.
    home: PathBuf,
    daemon: Child,
    interrupted: Arc<AtomicBool>,
}

impl DemoBox {
    /// With the recordings' directory `out`/recordings, which the configuration may name.
    pub(super) fn start(out: &Path, files: &Files) -> Result<Self, String> {
        let home = std::env::temp_dir().join(format!("holdfast-demo-{}", std::process::id()));
        for directory in [&home, &out.join(RECORDINGS)] {
            std::fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        }
        let config = home.join("holdfast.toml");
        let write =
            |path: &Path, text: &str| std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()));
        write(&config, &files.configuration)?;
        write(&home.join("secrets.toml"), &files.secrets)?;
        std::fs::set_permissions(home.join("secrets.toml"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(|e| e.to_string())?;
        let _ = std::fs::copy(&config, out.join("holdfast.toml"));

        let interrupted = Arc::new(AtomicBool::new(false));
        watch_for_interrupt(interrupted.clone())?;
        let paths = Paths::new(home.join("run"), home.join("state"));
        let log = out.join("holdfastd.log");
        let daemon = spawn(&paths, &config, &log)?;
        let demo = Self { paths, config, log, home, daemon, interrupted };
        demo.wait_for_answer()?;
        Ok(demo)
    }

    /// Whether somebody pressed Ctrl-C, or asked for the end otherwise.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// The box at this moment; `None` while holdfastd is away.
    pub(super) fn look(&self) -> Option<BoxSnapshot> {
        match self.ask(&ControlRequest::Status { watch: false })? {
            ControlReply::Status(snapshot) => Some(*snapshot),
            ControlReply::Event(_) | ControlReply::Done { .. } | ControlReply::Refused { .. } => None,
        }
    }

    /// What happened so far.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let Ok(mut desk) = Desk::open(&self.paths) else { return events };
        if desk.ask(&ControlRequest::Events { last: EVENTS, follow: false }).is_ok() {
            while let Ok(ControlReply::Event(event)) = desk.next() {
                events.push(event);
            }
        }
        events
    }

    pub(super) fn order(&self, command: Command) -> Result<(), String> {
        match self.ask(&ControlRequest::Do(command)) {
            Some(ControlReply::Done { .. }) => Ok(()),
            Some(ControlReply::Refused { text }) => Err(text),
            Some(ControlReply::Status(_) | ControlReply::Event(_)) | None => {
                Err("holdfastd does not answer".to_owned())
            }
        }
    }

    /// The process of a role.
    pub(super) fn pid(&self, is_it: impl Fn(&Role) -> bool) -> Option<i32> {
        self.look()?.children.iter().find(|c| is_it(&c.role)).and_then(|c| c.pid)
    }

    /// kill -9 for holdfastd.
    pub(super) fn kill_daemon(&mut self) -> u32 {
        let pid = self.daemon.id();
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        pid
    }

    pub(super) fn restart_daemon(&mut self) -> Result<(), String> {
        self.daemon = spawn(&self.paths, &self.config, &self.log)?;
        self.wait_for_answer()
    }

    /// Ends everything cleanly.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.order(Command::Shutdown)?;
        let begin = clock::now();
        while self.daemon.try_wait().map_err(|e| e.to_string())?.is_none() {
            if (clock::now() - begin) > ENDS_WITHIN {
                return Err("the box did not end in time and is killed".to_owned());
            }
            pause();
        }
        Ok(())
    }

    fn ask(&self, request: &ControlRequest) -> Option<ControlReply> {
        let mut desk = Desk::open(&self.paths).ok()?;
        desk.ask(request).ok()?;
        desk.next().ok()
    }

    fn wait_for_answer(&self) -> Result<(), String> {
        let begin = clock::now();
        while self.look().is_none() {
            if (clock::now() - begin) > ANSWERS_WITHIN {
                return Err(format!("holdfastd does not answer; see {}", self.log.display()));
            }
            pause();
        }
        Ok(())
    }
}

impl Drop for DemoBox {
    /// Whatever happened, nothing stays behind.
    fn drop(&mut self) {
        let children: Vec<i32> =
            self.look().map_or_else(Vec::new, |s| s.children.iter().filter_map(|c| c.pid).collect());
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        for pid in children {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// Makes `path` an empty directory; only one that a demo made is emptied.
pub(super) fn fresh_directory(path: &Path) -> Result<PathBuf, String> {
    let path = std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mark = path.join("holdfast.toml");
    let empty = std::fs::read_dir(&path).map_or(true, |mut entries| entries.next().is_none());
    if !empty && !mark.exists() {
        return Err(format!("{} is not empty and not from a demo; name another with --out", path.display()));
    }
    let at = |e: std::io::Error| format!("{}: {e}", path.display());
    if !empty {
        std::fs::remove_dir_all(&path).map_err(at)?;
    }
    std::fs::create_dir_all(&path).map_err(at)?;
    Ok(path)
}

/// Where recordings go.
pub(super) fn recordings_directory(out: &Path) -> PathBuf {
    out.join(RECORDINGS)
}

/// The recordings in `out`.
pub(super) fn recordings(out: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(out.join(RECORDINGS));
    let mut files: Vec<_> = entries.into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    files
}

fn spawn(paths: &Paths, config: &Path, log: &Path) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("holdfastd");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
    let file = file.map_err(|e| format!("{}: {e}", log.display()))?;
    let other = file.try_clone().map_err(|e| e.to_string())?;
    let mut command = Process::new(&program);
    command.arg("--config").arg(config).arg("--runtime").arg(&paths.runtime).arg("--state").arg(&paths.state);
    command.args(["--spawner", "process"]).stdin(Stdio::null()).stdout(file).stderr(other);
    // Ctrl-C is for the demo, which ends the box cleanly.
    command.process_group(0);
    command.spawn().map_err(|e| format!("{}: {e}; build all programs (make build)", program.display()))
}

fn watch_for_interrupt(interrupted: Arc<AtomicBool>) -> Result<(), String> {
    let cannot = |e: std::io::Error| format!("cannot listen for Ctrl-C: {e}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    // A terminal that is closed, and whoever ends this politely, want nothing left behind either.
    let listening = runtime.block_on(async {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        kinds.map(signal).into_iter().collect::<std::io::Result<Vec<_>>>()
    });
    let mut signals = listening.map_err(cannot)?;
    std::thread::spawn(move || {
        runtime.block_on(std::future::poll_fn(|context| {
            let any = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        }));
        interrupted.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// The inputs for holdfast.toml.
pub(super) fn inputs(tools: &Tools, input: Input) -> String {
    let film =
        format!("[[input]]\nname = \"film\"\nkind = \"file\"\npath = {:?}\n\n", tools.film.display().to_string());
    let pattern = "[[input]]\nname = \"pattern\"\nkind = \"pattern\"\n\n".to_owned();
    match input {
        Input::Film => film,
        Input::Pattern => pattern,
        Input::Both => film + &pattern,
    }
}

/// How every demonstration's configuration begins.
pub(crate) fn main_rendition(inputs: &str) -> String {
    format!(
        r#"# Written by `holdfast demo`.
[box]
name = "Holdfast demo"

[programme]
frame_rate = 30

{inputs}[[rendition]]
name = "main"
codec = "h264"
size = "1280x720"
bitrate = "3M"
encoder = "x264"

"#
    )
}

fn configuration(tools: &Tools, servers: &Servers, over_uplinks: &str, recordings: &Path, input: Input) -> String {
    let inputs = inputs(tools, input);
    let destinations: String = servers
        .addresses()
        .iter()
        .map(|(name, url)| {
            let rendition = if *name == "small" { "small" } else { "main" };
            format!("[[destination]]\nname = \"{name}\"\nrendition = \"{rendition}\"\nurl = \"{url}\"\n\n")
        })
        .collect();
    let main = main_rendition(&inputs);
    format!(
        r#"{main}[[rendition]]
name = "small"
codec = "hevc"
size = "480x270"
bitrate = "400k"
encoder = "x265"

{destinations}{over_uplinks}[[recording]]
name = "archive"
rendition = "main"
directory = {:?}
"#,
        recordings.display().to_string()
    )
}

fn secrets(servers: &Servers) -> String {
    servers.addresses().iter().map(|(name, _)| format!("[destination.{name}]\nkey = \"{name}\"\n\n")).collect()
}

pub(super) fn pause() {
    #[allow(clippy::disallowed_methods, reason = "waiting for another process")]
    std::thread::sleep(Duration::from_millis(100));
}
