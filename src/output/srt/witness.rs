//! What the paths of a destination say of the links under them, to those who judge these.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Interval;

use crate::clock;
use crate::config::SrtPath;
use crate::link::health::SrtFigures;
use crate::link::{JudgedSession, Judging};

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
    pub(super) fn testify(&mut self, paths: &[SrtPath], figures: impl IntoIterator<Item = (usize, SrtFigures)>) {
        let Some(judging) = &self.judging else { return };
        let mut before = std::mem::take(&mut self.sessions);
        for (place, figures) in figures {
            let Some(interface) = paths.get(place).and_then(|path| path.interface.as_ref()) else { continue };
            let session = before.remove(&place).unwrap_or_else(|| judging.session(interface.clone()));
            session.heard(figures);
            self.sessions.insert(place, session);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::sync::watch;

    use super::*;
    use crate::config::SrtAddress;
    use crate::events::Verdict;
    use crate::link::health::Load;
    use crate::link::unknown;
    use crate::model::InterfaceName;

    #[tokio::test]
    async fn a_path_that_is_heard_makes_its_link_a_trusted_one() {
        let test = async {
            let eth0 = InterfaceName::new("eth0").unwrap();
            let (_names, names) = watch::channel([eth0.clone()].into());
            let judging = Judging::start(unknown(), names, |_| {});
            let address = SrtAddress { host: "relay.example".to_owned(), port: 9000 };
            let paths = [SrtPath { interface: Some(eth0.clone()), source: None, address, weight: 0 }];
            let mut witnesses = Witnesses::new(Some(judging.clone()));
            let heard = SrtFigures { heard: Duration::from_millis(10), load: Load::Carries };
            let mut verdicts = Vec::new();
            // Two seconds of trust, and time on a busy machine.
            for _ in 0..300 {
                witnesses.due().await;
                // One that no path is at says nothing.
                witnesses.testify(&paths, [(0, heard), (1, heard)]);
                verdicts.extend(judging.shown().get(&eth0).map(|judged| judged.verdict));
                if verdicts.last() == Some(&Verdict::Up) {
                    break;
                }
            }
            assert_eq!(verdicts.last(), Some(&Verdict::Up), "{verdicts:?}");
            assert_eq!(witnesses.sessions.len(), 1);
            witnesses.testify(&paths, []);
            assert!(witnesses.sessions.is_empty(), "a path that is gone says nothing any more");
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }
}
