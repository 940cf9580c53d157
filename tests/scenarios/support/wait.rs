//! Waiting for conditions, never for time alone.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// Waits until `condition` yields something and prints how long that took.
///
/// # Panics
/// When `bound` passes first. Bounds are far above what is expected, so that a busy machine does not reach them.
pub fn wait_for<T>(what: &str, bound: Duration, condition: impl FnMut() -> Option<T>) -> T {
    let (value, took) = wait(what, bound, condition);
    println!("    {:>7.3} s  {what}", took.as_secs_f64());
    value
}

/// [`wait_for`] something not worth a line.
pub fn wait_quietly<T>(what: &str, bound: Duration, condition: impl FnMut() -> Option<T>) -> T {
    wait(what, bound, condition).0
}

fn wait<T>(what: &str, bound: Duration, mut condition: impl FnMut() -> Option<T>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return (value, began.elapsed());
        }
        assert!(began.elapsed() < bound, "waited {:.1} s for {what}", began.elapsed().as_secs_f64());
        thread::sleep(LOOK);
    }
}

/// [`wait_for`] a plain yes.
pub fn wait_until(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, bound, || condition().then_some(()));
}

/// Whether somebody in this thread's network namespace has this UDP port, over IPv4. The kernel is asked: who tried to bind
/// the port would now and then take it from the one that is waited for.
pub fn has_udp_port(port: u16) -> bool {
    let sockets = fs::read_to_string("/proc/thread-self/net/udp").expect("the kernel lists its sockets");
    let local = format!(":{port:04X}");
    sockets.lines().skip(1).any(|line| line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&local)))
}
