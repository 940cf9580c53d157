//! A process that not even SIGKILL ends, as one that a driver does not let go: a cgroup v1 freezer holds it in
//! uninterruptible sleep (`D`), with the signal pending, until it is thawed.

use std::fs;
use std::path::PathBuf;

use crate::bench::PATIENCE;
use crate::wait::wait_until;

pub struct Freezer(PathBuf);

impl Freezer {
    /// `None` where there is no such freezer, or it is not ours to use.
    pub fn new(name: &str) -> Option<Self> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/freezer/{name}-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        // On an ordinary file system this would have made an ordinary directory.
        let freezer = Self(path);
        freezer.0.join("freezer.state").exists().then_some(freezer)
    }

    pub fn freeze(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(self.0.join("freezer.state"), "FROZEN").unwrap();
    }

    pub fn thaw(&self) {
        fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("freezer.state"), "THAWED");
        // A cgroup can go when its last process has.
        wait_until("the freezer to be empty", PATIENCE, || fs::remove_dir(&self.0).is_ok());
    }
}
