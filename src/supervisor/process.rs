//! A process held by its pidfd: what is signalled and waited for is that process and no later one with its number.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::process::{PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::lifecycle::Pid;

/// A process, whoever's child it is. Cloning shares the descriptor.
#[derive(Clone, Debug)]
pub struct Process {
    pid: Pid,
    /// Clock ticks from boot to its start; with the pid, unique in this boot.
    started: u64,
    pidfd: Arc<AsyncFd<OwnedFd>>,
}

impl Process {
    /// Takes hold of `pid`. Needs a tokio runtime.
    ///
    /// # Errors
    /// ESRCH when there is no such process, or another one got the number in between.
    pub fn open(pid: Pid) -> io::Result<Self> {
        let started = started(pid)?;
        let number = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = pidfd_open(number, PidfdFlags::NONBLOCK)?;
        if self::started(pid)? != started {
            return Err(rustix::io::Errno::SRCH.into());
        }
        // SAFETY: an OwnedFd is open and the same descriptor for as long as it exists, and the AsyncFd owns it.
        let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
        Ok(Self { pid, started, pidfd: Arc::new(pidfd) })
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// When it started, in clock ticks since boot.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// SIGTERM.
    pub fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // The one error left is that it is gone already, which `ended` tells.
        let _ = pidfd_send_signal(self.pidfd.as_fd(), signal);
    }

    /// Waits until it is gone; says how it ended, as far as its parent is us.
    pub async fn ended(&self) -> String {
        if let Err(e) = self.pidfd.readable().await {
            return format!("lost sight of it: {e}");
        }
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(0), _) => "ended by itself".to_owned(),
                (Some(code), _) => format!("ended with exit code {code}"),
                (None, Some(signal)) => format!("killed by {}", signal_name(signal)),
                (None, None) => "ended".to_owned(),
            },
            // Not our child: only its parent is told how it ended.
            Ok(None) | Err(_) => "ended".to_owned(),
        }
    }
}

fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.as_str().to_owned())
}

/// Field 22 of `/proc/PID/stat` (proc(5)). The name in field 2 may hold anything, so fields are counted from its end.
fn started(pid: Pid) -> io::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|e| if e.kind() == io::ErrorKind::NotFound { rustix::io::Errno::SRCH.into() } else { e })?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(19).and_then(|f| f.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_told_with_its_cause() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::open(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(process.started() > 0);
        process.kill();
        assert_eq!(process.ended().await, "killed by SIGKILL");
        assert!(Process::open(process.pid()).is_err(), "it has been reaped");
        // Reaped already; here and below this only shows that nobody is left behind.
        let _ = child.wait();

        let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        let process = Process::open(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(process.ended().await, "ended with exit code 3");
        let _ = child.wait();
    }

    #[test]
    fn init_started_before_us() {
        assert!(started(1).unwrap() <= started(i32::try_from(std::process::id()).unwrap()).unwrap());
        assert!(started(i32::MAX).is_err());
    }
}
