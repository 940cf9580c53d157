//! Who may use the machine: scenarios are real time, and share its cores with the encoders and servers of others.
//!
//! What a scenario needs is named by itself, and given in the order of asking, so that one that needs all of it is not kept
//! waiting for ever by small ones. How many threads the test runner has does not matter.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Quarter,
    Half,
    All,
}

impl Need {
    const fn quarters(self) -> u32 {
        match self {
            Self::Quarter => 1,
            Self::Half => 2,
            Self::All => 4,
        }
    }
}

struct Machine {
    free: u32,
    /// The next number to draw.
    next: u64,
    /// Whose turn it is.
    serving: u64,
}

static MACHINE: Mutex<Machine> = Mutex::new(Machine { free: Need::All.quarters(), next: 0, serving: 0 });
static CHANGED: Condvar = Condvar::new();

/// A scenario's right to its part of the machine, until it is dropped.
#[derive(Debug)]
pub struct Turn(Need);

impl Turn {
    pub fn wait_for(need: Need) -> Self {
        let mut machine = lock();
        let number = machine.next;
        machine.next += 1;
        while machine.serving != number || machine.free < need.quarters() {
            machine = CHANGED.wait(machine).unwrap_or_else(PoisonError::into_inner);
        }
        machine.free -= need.quarters();
        machine.serving += 1;
        CHANGED.notify_all();
        Self(need)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock().free += self.0.quarters();
        CHANGED.notify_all();
    }
}

/// A scenario that has failed gives its part back like any other.
fn lock() -> MutexGuard<'static, Machine> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
