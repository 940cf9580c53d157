//! Pure. Which servers could not be reached over which links, and until when they are left alone.

use std::time::{Duration, Instant};

use super::Route;

/// A server that was silent is left alone for so long, doubled each time.
const SILENT: Duration = Duration::from_secs(60);
/// One that could not be connected to, or that hung up.
const REFUSED: Duration = Duration::from_secs(5);
/// A link without a way is left alone for so long: what it lacks comes by itself, or its judge finds it dead.
const UNREACHABLE: Duration = Duration::from_secs(1);
/// The longest.
const MOST: Duration = Duration::from_secs(600);
/// A fault that is so long over is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Most routes that are remembered; the oldest fault makes room.
const MAX_FAULTS: usize = 64;

#[derive(Clone, Debug)]
struct Fault {
    route: Route,
    until: Instant,
    lasts: Duration,
}

/// How a server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Silent,
    Refused,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    all: Vec<Fault>,
}

impl Faults {
    pub(super) fn note(&mut self, route: &Route, kind: Kind, now: Instant) {
        self.all.retain(|fault| fault.until + FORGOTTEN_AFTER > now);
        let least = match kind {
            Kind::Silent => SILENT,
            Kind::Refused => REFUSED,
        };
        if let Some(fault) = self.all.iter_mut().find(|fault| fault.route == *route) {
            fault.lasts = (fault.lasts * 2).clamp(least, MOST);
            fault.until = now + fault.lasts;
            return;
        }
        if self.all.len() >= MAX_FAULTS {
            self.all.remove(0);
        }
        self.all.push(Fault { route: route.clone(), until: now + least, lasts: least });
    }

    /// No server is to blame, and none can be reached from there.
    pub(super) fn note_link(&mut self, route: &Route, ingests: usize, now: Instant) {
        for ingest in 0..ingests {
            let route = Route { link: route.link.clone(), ingest };
            let until = now + UNREACHABLE;
            if let Some(fault) = self.all.iter_mut().find(|fault| fault.route == route) {
                fault.until = fault.until.max(until);
            } else if self.all.len() < MAX_FAULTS {
                self.all.push(Fault { route, until, lasts: UNREACHABLE });
            }
        }
    }

    pub(super) fn has(&self, route: &Route, now: Instant) -> bool {
        self.all.iter().any(|fault| fault.route == *route && fault.until > now)
    }

    /// When the next one may be tried again.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.all.iter().map(|fault| fault.until).filter(|until| *until > now).min()
    }
}
