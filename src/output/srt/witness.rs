//! What the paths of a destination say of the links under them, to those who judge these.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Interval;

use crate::clock;
use crate::config::SrtPath;
use crate::link::health::{Load, SrtFigures};
use crate::link::{JudgedSession, Judging};
use crate::srt::session::{Duty, PathStats};

/// How often they are heard: a judge does not listen to what is older than three of these.
const EVERY: Duration = Duration::from_millis(100);

/// The paths that are connected and bound to an interface, as their judges know them.
pub(super) struct Witnesses {
    judging: Option<Judging>,
    sessions: BTreeMap<usize, JudgedSession>,
    tick: Interval,
}

impl Witnesses {
    pub(super) fn new(judging: Option<Judging>) -> Self {
        Self { judging, sessions: BTreeMap::new(), tick: clock::in_step(EVERY) }
    }

    /// Waits until they are to be heard, for ever where nobody judges. Cancel-safe.
    pub(super) async fn due(&mut self) {
        match &self.judging {
            Some(_) => drop(self.tick.tick().await),
            None => std::future::pending().await,
        }
    }

    /// How the paths are that are connected: their places and figures.
    pub(super) fn testify(&mut self, paths: &[SrtPath], figures: impl IntoIterator<Item = (usize, PathStats)>) {
        let Some(judging) = &self.judging else { return };
        let mut before = std::mem::take(&mut self.sessions);
        for (place, stats) in figures {
            let Some(interface) = paths.get(place).and_then(|path| path.interface.as_ref()) else { continue };
            let session = before.remove(&place).unwrap_or_else(|| judging.session(interface.clone()));
            session.heard(SrtFigures {
                heard: stats.silent_for,
                load: if stats.duty == Duty::Carry { Load::Carries } else { Load::Rests },
            });
            self.sessions.insert(place, session);
        }
    }
}
