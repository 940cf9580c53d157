//! Waiting for conditions, never for time alone.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// Waits until `condition` yields something and prints how long that took.
///
/// # Panics
/// When `bound` passes first. Bounds are far above what is expected, so that a busy machine does not reach them.
pub fn wait_for<T>(what: &str, bound: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            println!("    {:>7.3} s  {what}", began.elapsed().as_secs_f64());
            return value;
        }
        assert!(began.elapsed() < bound, "waited {:.1} s for {what}", began.elapsed().as_secs_f64());
        thread::sleep(LOOK);
    }
}

/// [`wait_for`] a plain yes.
pub fn wait_until(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, bound, || condition().then_some(()));
}
