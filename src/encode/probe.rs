//! The parent's side of a trial: runs it in a child process, because what it tries may crash or hang.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::clock;
use crate::model::Name;

use super::table::VideoJob;
use super::trial::Line;
use super::verdict::{FRAMES, Outcome};

/// A child that says nothing for this long on an idle machine hangs.
const SILENCE: Duration = Duration::from_secs(5);
/// A whole trial takes no longer than this many silences.
const TOTAL: u32 = 6;
/// A killed child is gone by then, or a driver holds it.
const DYING: Duration = Duration::from_secs(2);
/// Of what the child says on standard error, at most this much is read.
const STDERR_BYTES: u64 = 256 << 10;

/// Runs trials.
#[derive(Clone, Debug)]
pub struct Prober {
    /// The program that takes `trial`: this one.
    pub program: PathBuf,
    /// How much longer than on an idle machine everything may take, 1 and up.
    pub allowance: f64,
}

/// What the threads that watch the child report.
enum News {
    Line(Line),
    Said(String),
    Ended(Option<ExitStatus>),
}

impl Prober {
    /// One that runs this very program, and is as patient as the machine is busy.
    ///
    /// # Errors
    /// The kernel does not say which program this is.
    pub fn here() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, allowance: allowance() })
    }

    /// Tries `family` at `job`. Takes as long as a trial does, and no longer than its limits.
    pub fn attempt(&self, job: &VideoJob, family: &Name) -> Outcome {
        let job = match serde_json::to_string(job) {
            Ok(job) => job,
            Err(e) => return Outcome::NotTried { why: e.to_string() },
        };
        match self.command(family, &job).spawn() {
            Ok(child) => self.watch(child),
            Err(e) => Outcome::NotTried { why: format!("{}: {e}", self.program.display()) },
        }
    }

    fn command(&self, family: &Name, job: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["trial", "--family", family.as_str(), "--job", job]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // Whoever tries may be killed, or told to end, while a driver holds what it tries: the next one finds the hardware free.
        // SAFETY: between fork and exec this is one system call, prctl(2), and no memory.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        command
    }

    fn watch(&self, mut child: Child) -> Outcome {
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        // Bounded: a child that floods its pipe waits for the reader, which waits here.
        let (tell, news) = mpsc::sync_channel(64);
        if let Some(stdout) = child.stdout.take() {
            read_lines(stdout, tell.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read_complaints(stderr, tell.clone());
        }
        std::thread::spawn(move || tell.send(News::Ended(child.wait().ok())));
        let silence = SILENCE.mul_f64(self.allowance.max(1.0));
        let end = clock::now() + silence * TOTAL;
        let (mut units, mut said) = (0, String::new());
        let found = loop {
            let left = end.saturating_duration_since(clock::now());
            match news.recv_timeout(left.min(silence)) {
                Ok(News::Line(Line::Units(n))) => units = n,
                Ok(News::Line(Line::Outcome(outcome))) => break Some(outcome),
                Ok(News::Said(line)) => said = line,
                Ok(News::Ended(status)) => {
                    let _ = killpg(group, Signal::SIGKILL);
                    let last = last_words(&news);
                    let said = last.said.unwrap_or(said);
                    return last.outcome.unwrap_or(Outcome::Crashed { signal: status.and_then(|s| s.signal()), said });
                }
                Err(RecvTimeoutError::Timeout) if left <= silence => {
                    let seconds = (silence * TOTAL).as_secs();
                    let why = format!("only {units} of {FRAMES} frames in {seconds} s");
                    break Some(Outcome::Wrong { why });
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break None,
            }
        };
        // Its helpers (the plugin scanner) go with it. What has its result may end as it likes: drivers crash at exit.
        let _ = killpg(group, Signal::SIGKILL);
        found.unwrap_or_else(|| Outcome::Hung {
            seconds: u32::try_from(silence.as_secs()).unwrap_or(u32::MAX),
            units,
            stuck: !ends(&news),
        })
    }
}

/// What was still in the pipes of a child that has ended.
#[derive(Default)]
struct LastWords {
    outcome: Option<Outcome>,
    said: Option<String>,
}

fn last_words(news: &Receiver<News>) -> LastWords {
    let mut last = LastWords::default();
    // Ends when both readers have, which is at once unless something outside of the group holds the pipes.
    while let Ok(heard) = news.recv_timeout(DYING) {
        match heard {
            News::Line(Line::Outcome(outcome)) => last.outcome = Some(outcome),
            News::Said(line) => last.said = Some(line),
            News::Line(Line::Units(_)) | News::Ended(_) => {}
        }
    }
    last
}

/// Whether the killed child ends in time.
fn ends(news: &Receiver<News>) -> bool {
    let end = clock::now() + DYING;
    loop {
        match news.recv_timeout(end.saturating_duration_since(clock::now())) {
            Ok(News::Ended(_)) => return true,
            Ok(News::Line(_) | News::Said(_)) => {}
            Err(_) => return false,
        }
    }
}

fn read_lines(stdout: impl Read + Send + 'static, tell: SyncSender<News>) {
    std::thread::spawn(move || {
        // A plugin may print to standard output too; what is not ours is passed over.
        for line in BufReader::new(stdout.take(STDERR_BYTES)).lines().map_while(Result::ok) {
            if let Ok(line) = serde_json::from_str(&line)
                && tell.send(News::Line(line)).is_err()
            {
                return;
            }
        }
    });
}

fn read_complaints(stderr: impl Read + Send + 'static, tell: SyncSender<News>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr.take(STDERR_BYTES)).lines().map_while(Result::ok) {
            let line: String = line.trim().chars().filter(|c| !c.is_control()).take(300).collect();
            if !line.is_empty() && tell.send(News::Said(line)).is_err() {
                return;
            }
        }
    });
}

/// 1 on an idle machine, more when more processes want to run than there are processors; at most 6.
fn allowance() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|text| text.split(' ').next()?.parse::<f64>().ok()).unwrap_or(1.0);
    (load / f64::from(super::build::cores())).clamp(1.0, 6.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_trial_does_not_outlive_whoever_makes_it() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("hangs");
        fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let prober = Prober { program, allowance: 1.0 };
        // To the kernel, the one who makes it is the thread that starts it.
        let maker = std::thread::spawn(move || prober.command(&Name::new("x264").unwrap(), "{}").spawn().unwrap());
        let mut child = maker.join().unwrap();
        let end = clock::now() + Duration::from_secs(10);
        let status = loop {
            match child.try_wait().unwrap() {
                None if clock::now() < end => clock::sleep_until(clock::media() + crate::model::Media::from_millis(10)),
                ended => break ended,
            }
        };
        let _ = child.kill();
        assert_eq!(status.and_then(|status| status.signal()), Some(libc::SIGKILL), "{status:?}");
    }
}
