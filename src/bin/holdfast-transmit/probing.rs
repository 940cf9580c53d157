//! A prober and a check for captive portals for each judged interface, kept in step with the settings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast::config::ProbeSettings;
use holdfast::link::portal::{self, CheckAssignment};
use holdfast::link::probe::{self, Assignment, ProbeCounts};
use holdfast::link::resolve::{Places, Resolver};
use holdfast::link::{Judging, Links, Outlet, Report};
use holdfast::model::{InterfaceName, PortalCheck, ProbeTarget};
use holdfast::output::srt;
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_local};

/// The running probers.
pub(crate) struct Probing {
    targets: watch::Sender<Arc<[ProbeTarget]>>,
    check: watch::Sender<Option<PortalCheck>>,
    resolver: Resolver,
    links: watch::Receiver<Arc<Links>>,
    judging: Judging,
    running: BTreeMap<InterfaceName, Running>,
}

/// Ends its tasks when dropped.
struct Running([AbortHandle; 2]);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Probing {
    pub(crate) fn new(links: watch::Receiver<Arc<Links>>, judging: Judging) -> Self {
        let (targets, check) = (watch::channel(Arc::default()).0, watch::channel(None).0);
        let resolver = Resolver::new(Places::default());
        Self { targets, check, resolver, links, judging, running: BTreeMap::new() }
    }

    /// Looks names up over each interface.
    pub(crate) const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// These interfaces are probed from here on, as `settings` say.
    pub(crate) fn apply(&mut self, links: &BTreeSet<InterfaceName>, settings: &ProbeSettings) {
        let targets = &settings.targets[..];
        self.check.send_if_modified(|known| {
            let differs = *known != settings.portal_check;
            known.clone_from(&settings.portal_check);
            differs
        });
        self.targets.send_if_modified(|known| {
            let differs = **known != *targets;
            if differs {
                *known = targets.into();
            }
            differs
        });
        self.running.retain(|link, _| links.contains(link));
        for link in links {
            if !self.running.contains_key(link) {
                let running = self.start(link);
                self.running.insert(link.clone(), running);
            }
        }
    }

    fn start(&self, link: &InterfaceName) -> Running {
        let name: Arc<str> = link.as_str().into();
        let lookup = self.resolver.lookup(name.clone());
        let outlet = || {
            let link = link.clone();
            Outlet::new(self.judging.reports(), move |seen| Report::Saw(link.clone(), seen))
        };
        let prober = probe::run(Assignment {
            link: name.clone(),
            targets: self.targets.subscribe(),
            links: self.links.clone(),
            lookup: lookup.clone(),
            observations: outlet(),
            counts: watch::channel(ProbeCounts::default()).0,
            seed: unguessable(),
        });
        let check = portal::run(CheckAssignment {
            link: name,
            check: self.check.subscribe(),
            links: self.links.clone(),
            lookup,
            observations: outlet(),
        });
        Running([spawn_local(prober).abort_handle(), spawn_local(check).abort_handle()])
    }
}

fn unguessable() -> u64 {
    let mut seed = [0; 8];
    seed.copy_from_slice(&srt::entropy()[..8]);
    u64::from_le_bytes(seed)
}
