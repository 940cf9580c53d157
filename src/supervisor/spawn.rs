//! Two thin ways to start, end and kill a child: as a process of our own, or as systemd's unit. Both hand back a
//! [`Process`]; from there on its pidfd tells when it is gone, whoever's child it is.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::lifecycle::Pid;
use super::process::Process;
use super::systemd::{self, Systemd};
use crate::clock;
use crate::config::Paths;
use crate::events::Role;

/// A log file that has grown beyond this is begun anew at the next start of its process, bytes.
const LOG_LIMIT: u64 = 1 << 20;
/// How much of a log's end is looked at for last words, bytes.
const LAST_WORDS: u64 = 4096;
/// The longest last words, characters.
const LONGEST_WORDS: usize = 300;
/// Between the runs of a program in its log.
const RULE: &str = "--- started ";
/// A service manager that does not answer for this long has failed to start the child.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How children are started.
#[derive(Clone, Debug)]
pub enum Spawner {
    /// As processes of holdfastd. They have their own process group and outlive it.
    Process(Processes),
    /// As systemd's units; systemd restarts what holdfastd cannot, because it is down itself.
    Systemd(Systemd),
}

impl Spawner {
    /// Starts a process of `role`.
    ///
    /// # Errors
    /// In words, with what to do.
    pub async fn start(self, role: Role, software_only: bool) -> Result<Process, String> {
        match self {
            Self::Process(processes) => {
                let pid = processes.spawn(&role, software_only)?;
                // Not reaped by anybody before its pidfd tells, so the number is still its own.
                Process::open(pid).map_err(|e| format!("lost sight of process {pid}: {e}"))
            }
            Self::Systemd(systemd) => {
                match tokio::time::timeout(ANSWER_WITHIN, systemd.start(&role, software_only)).await {
                    Ok(started) => started,
                    Err(_) => Err(format!("systemd did not answer within {} s", ANSWER_WITHIN.as_secs())),
                }
            }
        }
    }

    /// Asks it to end. What goes wrong shows in that it does not end, and is then killed.
    pub async fn end(self, role: Role, process: Process) {
        match self {
            Self::Process(_) => process.ask_to_end(),
            Self::Systemd(systemd) => {
                let _ = tokio::time::timeout(ANSWER_WITHIN, systemd.stop(&role)).await;
            }
        }
    }

    /// What the last process of `role` said before it ended, or where that can be read.
    pub fn last_words(&self, role: &Role) -> Option<String> {
        match self {
            Self::Process(processes) => processes.last_words(&log_name(role)),
            Self::Systemd(_) => systemd::unit_name(role, false).map(|unit| format!("see: journalctl -u {unit}")),
        }
    }
}

/// Starts processes from one directory.
#[derive(Clone, Debug)]
pub struct Processes {
    paths: Paths,
    programs: PathBuf,
}

impl Processes {
    /// Programs are looked for in `programs`.
    pub fn new(paths: Paths, programs: PathBuf) -> Self {
        Self { paths, programs }
    }

    /// Where the instance lives.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// A command that runs `program` on this instance, its output in a log file.
    ///
    /// # Errors
    /// When the log file cannot be opened.
    pub fn command(&self, program: &str, log: &str, arguments: &[OsString]) -> io::Result<Command> {
        let (out, err) = self.open_log(log)?;
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).arg("--runtime").arg(&self.paths.runtime).arg("--state").arg(&self.paths.state);
        command.stdin(Stdio::null()).stdout(out).stderr(err).current_dir("/");
        // What systemd gave holdfastd to talk to it is not for children: theirs would pass for its signs of life.
        for ours in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(ours);
        }
        // A group of its own: Ctrl-C in holdfastd's terminal must not end the programme.
        command.process_group(0);
        Ok(command)
    }

    /// Where `name` writes what it has to say.
    pub fn log(&self, name: &str) -> PathBuf {
        self.paths.runtime.join("log").join(format!("{name}.log"))
    }

    fn spawn(&self, role: &Role, software_only: bool) -> Result<Pid, String> {
        let (program, arguments): (_, Vec<OsString>) = match role {
            Role::Transmit => ("holdfast-transmit", Vec::new()),
            Role::Encode(input) => {
                let mut arguments = vec!["run".into(), "--input".into(), input.as_str().into()];
                if software_only {
                    arguments.push("--software-only".into());
                }
                ("holdfast-encode", arguments)
            }
            Role::Supervisor => return Err("holdfastd does not start itself".to_owned()),
            Role::Relay => return Err("holdfastd starts no relay".to_owned()),
        };
        let spawned = self.command(program, &log_name(role), &arguments).and_then(|mut command| command.spawn());
        match spawned {
            Ok(child) => Pid::try_from(child.id()).map_err(|e| e.to_string()),
            Err(e) => Err(format!("{}: {e}; is Holdfast installed completely?", self.programs.join(program).display())),
        }
    }

    fn open_log(&self, name: &str) -> io::Result<(File, File)> {
        let path = self.log(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let grown = std::fs::metadata(&path).is_ok_and(|m| m.len() > LOG_LIMIT);
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if grown {
            file.set_len(0)?;
        }
        let now = jiff::Timestamp::from_microsecond(clock::wall().0).unwrap_or_default();
        writeln!(file, "{RULE}{now}")?;
        Ok((file.try_clone()?, file))
    }

    /// The last line of the last run that `name` is the log of, if that run said anything.
    pub fn last_words(&self, name: &str) -> Option<String> {
        let mut file = File::open(self.log(name)).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS))).ok()?;
        let mut end = Vec::new();
        file.take(LAST_WORDS).read_to_end(&mut end).ok()?;
        let end = String::from_utf8_lossy(&end);
        let last = end.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        (!last.starts_with(RULE)).then(|| last.chars().take(LONGEST_WORDS).collect())
    }
}

fn log_name(role: &Role) -> String {
    match role {
        Role::Supervisor => "holdfastd".to_owned(),
        Role::Transmit => "transmit".to_owned(),
        Role::Encode(input) => format!("encode-{input}"),
        Role::Relay => "relay".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn last_words_are_those_of_the_last_run() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path(), directory.path());
        let processes = Processes::new(paths, PathBuf::from("/nowhere"));
        assert_eq!(processes.last_words("transmit"), None);

        let (mut out, _) = processes.open_log("transmit").unwrap();
        out.write_all(b"began\nthe disk is on fire\n\n").unwrap();
        assert_eq!(processes.last_words("transmit").as_deref(), Some("the disk is on fire"));

        processes.open_log("transmit").unwrap();
        assert_eq!(processes.last_words("transmit"), None, "this run said nothing");
    }

    #[test]
    fn a_log_does_not_grow_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let processes = Processes::new(Paths::new(directory.path(), directory.path()), PathBuf::from("/nowhere"));
        let (mut out, _) = processes.open_log("transmit").unwrap();
        out.write_all(&vec![b'x'; 2 << 20]).unwrap();
        processes.open_log("transmit").unwrap();
        assert!(std::fs::metadata(processes.log("transmit")).unwrap().len() < 100);
    }
}
