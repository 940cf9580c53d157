//! A prober for each judged interface, kept in step with the settings.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use holdfast::link::probe::{self, Assignment, Lookup, ProbeCounts};
use holdfast::link::{Judging, Links, Outlet, Report};
use holdfast::model::{InterfaceName, ProbeTarget};
use holdfast::output::srt;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_local};

/// The running probers.
pub(crate) struct Probing {
    targets: watch::Sender<Arc<[ProbeTarget]>>,
    links: watch::Receiver<Arc<Links>>,
    judging: Judging,
    running: BTreeMap<InterfaceName, Running>,
}

/// Ends its prober when dropped.
struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Probing {
    pub(crate) fn new(links: watch::Receiver<Arc<Links>>, judging: Judging) -> Self {
        let targets = watch::channel(Arc::default()).0;
        Self { targets, links, judging, running: BTreeMap::new() }
    }

    /// These interfaces are probed from here on, and these are asked.
    pub(crate) fn apply(&mut self, links: &BTreeSet<InterfaceName>, targets: &[ProbeTarget]) {
        self.targets.send_if_modified(|known| {
            let differs = **known != *targets;
            if differs {
                *known = targets.into();
            }
            differs
        });
        self.running.retain(|link, _| links.contains(link) && !targets.is_empty());
        for link in links.iter().filter(|_| !targets.is_empty()) {
            if !self.running.contains_key(link) {
                let running = self.start(link.clone());
                self.running.insert(link.clone(), running);
            }
        }
    }

    fn start(&self, link: InterfaceName) -> Running {
        let name = link.as_str().into();
        let assignment = Assignment {
            link: name,
            targets: self.targets.subscribe(),
            links: self.links.clone(),
            lookup: by_the_system(),
            observations: Outlet::new(self.judging.reports(), move |seen| Report::Saw(link.clone(), seen)),
            counts: watch::channel(ProbeCounts::default()).0,
            seed: unguessable(),
        };
        Running(spawn_local(probe::run(assignment)).abort_handle())
    }
}

fn unguessable() -> u64 {
    let mut seed = [0; 8];
    seed.copy_from_slice(&srt::entropy()[..8]);
    u64::from_le_bytes(seed)
}

/// Looks names up as the system does, over whatever it uses.
fn by_the_system() -> Lookup {
    Rc::new(|host, port| {
        Box::pin(async move { lookup_host((host.as_str(), port)).await.map(Iterator::collect).unwrap_or_default() })
    })
}
