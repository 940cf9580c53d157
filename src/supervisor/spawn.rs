//! Two thin ways to start, end and kill a child: as a process of our own, or as systemd's unit. Both hand back a pid;
//! from there on a pidfd tells when it is gone, whoever's child it is.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::lifecycle::Pid;
use super::systemd::Systemd;
use crate::config::Paths;
use crate::events::Role;

/// A log file that has grown beyond this is begun anew at the next start of its process, bytes.
const LOG_LIMIT: u64 = 1 << 20;

/// How children are started.
#[derive(Debug)]
pub enum Spawner {
    /// As processes of holdfastd. They have their own session and outlive it.
    Process(Processes),
    /// As systemd's units; systemd restarts what holdfastd cannot, because it is down itself.
    Systemd(Systemd),
}

/// Starts processes from the directory of this program.
#[derive(Clone, Debug)]
pub struct Processes {
    paths: Paths,
    programs: PathBuf,
}

impl Spawner {
    /// Starts a process of `role`.
    ///
    /// # Errors
    /// In words, with what to do.
    pub async fn spawn(&self, role: &Role, software_only: bool) -> Result<Pid, String> {
        match self {
            Self::Process(processes) => processes.spawn(role, software_only),
            Self::Systemd(systemd) => systemd.start(role).await,
        }
    }

    /// Asks it to end.
    pub async fn end(&self, role: &Role, pid: Pid) {
        match self {
            Self::Process(_) => signal(pid, Signal::SIGTERM),
            Self::Systemd(systemd) => systemd.stop(role).await,
        }
    }

    /// SIGKILL. Gone by itself is as good.
    pub fn kill(&self, pid: Pid) {
        signal(pid, Signal::SIGKILL);
    }
}

fn signal(pid: Pid, signal: Signal) {
    // The only error that can come is ESRCH: it is gone already, and its pidfd says so.
    let _ = kill(unistd::Pid::from_raw(pid), signal);
}

impl Processes {
    /// Programs are looked for beside the running one.
    ///
    /// # Errors
    /// When the running program's own place cannot be told.
    pub fn new(paths: Paths) -> io::Result<Self> {
        let here = std::env::current_exe()?;
        let programs = here.parent().map_or_else(PathBuf::new, std::path::Path::to_owned);
        Ok(Self { paths, programs })
    }

    /// A command that runs `program` on this instance, its output in a log file.
    ///
    /// # Errors
    /// When the log file cannot be opened.
    pub fn command(&self, program: &str, log: &str, arguments: &[OsString]) -> io::Result<Command> {
        let (out, err) = self.log(log)?;
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).arg("--runtime").arg(&self.paths.runtime).arg("--state").arg(&self.paths.state);
        command.stdin(Stdio::null()).stdout(out).stderr(err).current_dir("/");
        // A session of its own: what ends holdfastd's terminal or process group must not end the programme.
        command.process_group(0);
        Ok(command)
    }

    fn spawn(&self, role: &Role, software_only: bool) -> Result<Pid, String> {
        let (program, log, arguments) = match role {
            Role::Transmit => ("holdfast-transmit", "transmit".to_owned(), Vec::new()),
            Role::Encode(input) => {
                let mut arguments: Vec<OsString> = vec!["run".into(), "--input".into(), input.as_str().into()];
                if software_only {
                    arguments.push("--software-only".into());
                }
                ("holdfast-encode", format!("encode-{input}"), arguments)
            }
            Role::Supervisor => return Err("holdfastd does not start itself".to_owned()),
        };
        let spawned = self.command(program, &log, &arguments).and_then(|mut command| command.spawn());
        match spawned {
            Ok(child) => Pid::try_from(child.id()).map_err(|e| e.to_string()),
            Err(e) => Err(format!("{}: {e}; is Holdfast installed completely?", self.programs.join(program).display())),
        }
    }

    fn log(&self, name: &str) -> io::Result<(File, File)> {
        let directory = self.paths.runtime.join("log");
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{name}.log"));
        let grown = std::fs::metadata(&path).is_ok_and(|m| m.len() > LOG_LIMIT);
        let file = OpenOptions::new().create(true).append(!grown).write(true).truncate(grown).open(path)?;
        Ok((file.try_clone()?, file))
    }
}

/// A process that is watched for its end.
#[derive(Debug)]
pub struct Watched {
    pidfd: AsyncFd<OwnedFd>,
}

impl Watched {
    /// Watches `pid`, whoever's child it is.
    ///
    /// # Errors
    /// ESRCH when it is gone already.
    pub fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two integers and returns a descriptor or an error; the descriptor is ours alone.
        let fd = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?)
        };
        // SAFETY: `AsyncFd` owns the descriptor from here on and nothing else closes it.
        let pidfd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(Self { pidfd: pidfd.map_err(io::Error::from)? })
    }

    /// Waits until it is gone; says how it ended, as far as its parent is us.
    pub async fn ended(&self) -> String {
        if let Err(e) = self.pidfd.readable().await {
            return format!("lost sight of it: {e}");
        }
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        // SAFETY: the descriptor is open for as long as `self` is.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(self.pidfd.as_raw_fd()) };
        match waitid(Id::PIDFd(fd), flags) {
            Ok(WaitStatus::Exited(_, 0)) => "ended by itself".to_owned(),
            Ok(WaitStatus::Exited(_, code)) => format!("ended with exit code {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {}", signal.as_str()),
            Ok(other) => format!("ended: {other:?}"),
            Err(Errno::ECHILD) => "ended".to_owned(),
            Err(e) => format!("ended ({e})"),
        }
    }
}
