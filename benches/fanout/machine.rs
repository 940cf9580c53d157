//! What a process costs, as the kernel counts it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Over one window.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Milliseconds of user CPU per second.
    pub user: f64,
    /// Milliseconds of system CPU per second.
    pub system: f64,
    /// Resident memory at the window's end, MiB.
    pub resident_mib: f64,
}

/// Watches processes for `window`, and adds up what they cost.
pub fn watch(pids: &[u32], window: Duration) -> Cost {
    let ticks = || pids.iter().map(|pid| ticks(*pid)).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    let (began, before) = (Instant::now(), ticks());
    thread::sleep(window);
    let (seconds, after) = (began.elapsed().as_secs_f64(), ticks());
    // SAFETY: sysconf only reads a constant.
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let per_second = |ticks: u64| ticks as f64 / hz * 1000.0 / seconds;
    Cost {
        user: per_second(after.0 - before.0),
        system: per_second(after.1 - before.1),
        resident_mib: pids.iter().map(|pid| resident_kib(*pid)).sum::<u64>() as f64 / 1024.0,
    }
}

/// utime and stime of all threads (proc(5), `/proc/pid/stat`, fields 14 and 15).
fn ticks(pid: u32) -> (u64, u64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the subject is running");
    let fields: Vec<_> = stat.rsplit(") ").next().expect("the name is in parentheses").split(' ').collect();
    let number = |i: usize| fields[i].parse().expect("a number");
    (number(11), number(12))
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the subject is running");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("a live process has memory");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("VmRSS: n kB")
}
