//! The far end: real RTMP servers on ports of their own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use holdfast::clock;

use super::tools::Tools;

const START_WITHIN: Duration = Duration::from_secs(30);
/// Between two pictures from one server.
const PICTURE_EVERY: Duration = Duration::from_secs(4);

/// The name of the server that takes nobody.
pub(super) const REFUSING: &str = "refusing";

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    rtmp: u16,
    http: u16,
    process: Child,
    config: PathBuf,
    pub(super) picture: PathBuf,
}

/// Those that the box publishes to.
#[derive(Debug)]
pub(super) struct Servers {
    film: Server,
    small: Server,
    refusing: Server,
}

impl Servers {
    pub(super) fn start(tools: &Tools, out: &Path) -> Result<Self, String> {
        Ok(Self {
            film: Server::start(tools, out, "film", false)?,
            small: Server::start(tools, out, "small", false)?,
            refusing: Server::start(tools, out, REFUSING, true)?,
        })
    }

    /// Those that take the programme.
    pub(super) fn taking(&self) -> [&Server; 2] {
        [&self.film, &self.small]
    }

    /// Name and address of every server, as destinations.
    pub(super) fn addresses(&self) -> [(&'static str, String); 3] {
        [&self.film, &self.small, &self.refusing].map(|s| (s.name, s.publish_url()))
    }

    pub(super) fn kill_first(&mut self) -> u32 {
        let pid = self.film.process.id();
        let _ = self.film.process.kill();
        let _ = self.film.process.wait();
        pid
    }

    pub(super) fn restart_first(&mut self, tools: &Tools) -> Result<(), String> {
        self.film.process = spawn(tools, &self.film.config, self.film.name)?;
        Ok(())
    }
}

/// Takes pictures from servers until finished.
pub(super) fn take_pictures(servers: &[&Server], tools: &Tools) -> Pictures {
    let jobs: Vec<_> = servers.iter().map(|s| (s.watch_url(), s.picture.clone())).collect();
    let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(0);
    let tools = tools.clone();
    let thread = std::thread::spawn(move || {
        loop {
            for (url, file) in &jobs {
                let part = file.with_extension("new.png");
                if tools.picture(url, &part).status().is_ok_and(|s| s.success()) {
                    let _ = std::fs::rename(&part, file);
                }
            }
            if stopped.recv_timeout(PICTURE_EVERY) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    Pictures { stop: Some(stop), thread: Some(thread) }
}

/// A thread that takes pictures from the servers.
#[derive(Debug)]
pub(super) struct Pictures {
    stop: Option<std::sync::mpsc::SyncSender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Pictures {
    /// Waits for the round under way.
    pub(super) fn finish(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Server {
    /// On loopback.
    pub(super) fn start(tools: &Tools, out: &Path, name: &'static str, refusing: bool) -> Result<Self, String> {
        let auth = serde_json::json!({ "publish": refusing, "secret": "known-to-nobody" });
        Self::start_with(tools, out, name, serde_json::json!({ "bind": "127.0.0.1", "auth": auth }))
    }

    /// On all addresses of the calling thread's network; `more` are sections of its configuration.
    pub(super) fn start_with(
        tools: &Tools,
        out: &Path,
        name: &'static str,
        mut more: serde_json::Value,
    ) -> Result<Self, String> {
        let (rtmp, http) = (free_port()?, free_port()?);
        let home = out.join("servers").join(name);
        let at = |e: std::io::Error| format!("{}: {e}", home.display());
        std::fs::create_dir_all(&home).map_err(at)?;
        let config = home.join("config.json");
        more["rtmp"] = serde_json::json!({ "port": rtmp });
        more["http"] = serde_json::json!({ "port": http });
        std::fs::write(&config, more.to_string()).map_err(at)?;
        let process = spawn(tools, &config, name)?;
        let server = Self { name, rtmp, http, process, config, picture: out.join(format!("{name}.png")) };
        let begin = clock::now();
        while TcpStream::connect(("127.0.0.1", rtmp)).is_err() || TcpStream::connect(("127.0.0.1", http)).is_err() {
            if (clock::now() - begin) > START_WITHIN {
                return Err(format!("the server {name} did not start; see {}", home.join("log").display()));
            }
            #[allow(clippy::disallowed_methods, reason = "waiting for another process to listen")]
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Where the programme is sent to.
    pub(super) fn publish_url(&self) -> String {
        self.publish_url_at("127.0.0.1", "live")
    }

    /// The same, seen from elsewhere, and with another application.
    pub(super) fn publish_url_at(&self, host: &str, application: &str) -> String {
        format!("rtmp://{host}:{}/{application}", self.rtmp)
    }

    /// The port that publishers connect to.
    pub(super) fn port(&self) -> u16 {
        self.rtmp
    }

    /// Where a player finds the picture.
    pub(super) fn watch_url(&self) -> String {
        self.watch_url_of("live")
    }

    /// The same of another application.
    pub(super) fn watch_url_of(&self, application: &str) -> String {
        format!("http://127.0.0.1:{}/{application}/{}.flv", self.http, self.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(tools: &Tools, config: &Path, name: &str) -> Result<Child, String> {
    let home = config.parent().unwrap_or(Path::new("."));
    let log = std::fs::OpenOptions::new().create(true).append(true).open(home.join("log"));
    let log = log.map_err(|e| format!("{}: {e}", home.display()))?;
    let other = log.try_clone().map_err(|e| e.to_string())?;
    let mut command = tools.server(config);
    command.current_dir(home).stdin(Stdio::null()).stdout(log).stderr(other);
    command.spawn().map_err(|e| format!("the server {name} cannot be started ({e}); is Node.js installed?"))
}

pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| format!("no free port: {e}"))?;
    listener.local_addr().map(|a| a.port()).map_err(|e| e.to_string())
}
