//! One process a role, and the kernel's word for which one it is.
//!
//! A POSIX record lock on a file in the runtime directory: it goes when the process goes, however that happens, and the
//! kernel names its holder. So nobody has to believe a pid written in a file.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::Pid;

/// A held role. Keep it as long as the process lives: closing *any* descriptor of the file in this process lets go.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a role cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("process {0} already has this role; stop it first, or use another runtime directory")]
    Held(Pid),
    /// The file system says no.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Takes the role of `path`, making the file if needed.
///
/// # Errors
/// [`LockError::Held`] names the process that has it.
pub fn take(path: &Path) -> Result<Lock, LockError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match fcntl(&file, FcntlArg::F_SETLK(&whole_file())) {
        Ok(_) => Ok(Lock { _file: file }),
        Err(Errno::EACCES | Errno::EAGAIN) => match holder(path) {
            Some(pid) => Err(LockError::Held(pid)),
            // It let go in between.
            None => take(path),
        },
        Err(e) => Err(LockError::Io(e.into())),
    }
}

/// The process that has the role of `path`, if one has; `None` also when this process itself has it.
pub fn holder(path: &Path) -> Option<Pid> {
    let file = OpenOptions::new().write(true).open(path).ok()?;
    let mut lock = whole_file();
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (lock.l_type != unlocked()).then(|| Pid::from_raw(lock.l_pid))
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).expect("1"),
        l_whence: i16::try_from(libc::SEEK_SET).expect("0"),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn unlocked() -> i16 {
    i16::try_from(libc::F_UNLCK).expect("2")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_kernel_names_the_holder_and_frees_the_role_when_it_dies() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let script = "import fcntl,sys\nf=open(sys.argv[1],'w')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint(flush=True)\nsys.stdin.read()";
        let mut other = Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let pid = Pid::from_raw(i32::try_from(other.id()).unwrap());

        assert_eq!(holder(&path), Some(pid));
        assert!(matches!(take(&path), Err(LockError::Held(by)) if by == pid));

        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(holder(&path), None);
        assert!(take(&path).is_ok());
    }
}
