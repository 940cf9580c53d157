//! Lays the tables, and again whenever the network has changed. A thread of its own, since the kernel may take its time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::kernel::{Kernel, Refused};
use super::patience::{Patience, Turn};
use super::plan::{self, State, Step, Wanted};
use crate::clock;
use crate::link::monitor::{Ask, Options, watch as watch_links};

/// Routes come after addresses.
const SETTLES: Duration = Duration::from_millis(500);
/// Changes of what the tables depend on and of which nobody tells: seldom.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
/// Things waiting to be told; more are dropped, since the next one says how it is then.
const TOLD: usize = 16;

/// Something to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something was laid or taken away; this is there now.
    Changed {
        /// The interfaces that have a table of ours, and which.
        tables: BTreeMap<String, u32>,
        /// Routes and rules that were added.
        added: usize,
        /// Routes and rules that were removed.
        removed: usize,
    },
    /// The kernel does not let this process: nothing was changed, and it is not asked again.
    NotAllowed,
    /// Something could not be done; it is tried again when the network changes.
    Failed(String),
    /// Somebody takes away what was laid: it is laid again a few times a minute, and no more.
    Fought,
}

/// The thread that keeps the tables. When this is dropped they stay as they are.
#[derive(Debug)]
pub struct Keeping {
    names: watch::Sender<BTreeSet<String>>,
    end: Option<oneshot::Sender<()>>,
    /// What there is to tell.
    pub told: mpsc::Receiver<Told>,
}

impl Keeping {
    /// These interfaces have tables from here on, and no others.
    pub fn apply(&self, names: BTreeSet<String>) {
        self.names.send_if_modified(|known| {
            let differs = *known != names;
            *known = names;
            differs
        });
    }

    /// Whether the thread goes on; it ends where it is not allowed to lay anything.
    pub fn is_alive(&self) -> bool {
        !self.names.is_closed()
    }

    /// Takes everything away that is ours. The channel of what is told ends when that is done.
    pub fn withdraw(&mut self) {
        if let Some(end) = self.end.take() {
            // It has ended already, and says so by the other channel.
            let _ = end.send(());
        }
    }
}

/// Gives the interfaces of these names tables of their own, in the network namespace of the calling thread.
///
/// # Errors
/// If this process may not have a thread, or not open a netlink socket.
pub fn keep(names: BTreeSet<String>) -> io::Result<Keeping> {
    let (names, wanted) = watch::channel(names);
    let (tell, told) = mpsc::channel(TOLD);
    let (end, ended) = oneshot::channel();
    let (answer, opened) = std::sync::mpsc::sync_channel(1);
    // The thread is in the namespace of the one that makes it.
    std::thread::Builder::new().name("tables".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => return drop(answer.send(Err(e))),
        };
        runtime.block_on(async {
            match Kernel::open() {
                Ok(kernel) => {
                    drop(answer.send(Ok(())));
                    Keeper { kernel, tell, patience: Patience::default(), is_fought: false, last_failure: None }
                        .run(wanted, ended)
                        .await;
                }
                Err(e) => drop(answer.send(Err(e))),
            }
        });
    })?;
    opened.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that keeps the tables ended at once")))?;
    Ok(Keeping { names, end: Some(end), told })
}

struct Keeper {
    kernel: Kernel,
    tell: mpsc::Sender<Told>,
    patience: Patience,
    /// It has been said that somebody takes away what was laid.
    is_fought: bool,
    /// Said once, until something succeeds.
    last_failure: Option<String>,
}

impl Keeper {
    /// Until nobody wants it any more: then the tables stay, unless `end` says otherwise.
    async fn run(mut self, mut wanted: watch::Receiver<BTreeSet<String>>, mut end: oneshot::Receiver<()>) {
        let Ok(mut monitor) = watch_links(Options { ask: Ask::Nobody, ..Options::default() }) else { return };
        let mut look = Instant::from_std(clock::now());
        loop {
            tokio::select! {
                biased;
                ended = &mut end => {
                    if ended.is_ok() {
                        self.withdraw().await;
                    }
                    return;
                }
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    look = Instant::from_std(clock::now());
                }
                changed = monitor.links.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    look = look.min(Instant::from_std(clock::now() + SETTLES));
                }
                () = sleep_until(look) => {
                    let names = wanted.borrow_and_update().clone();
                    match self.look(&names).await {
                        Ok(next) => look = next,
                        Err(Refused::NotAllowed) => {
                            let _ = self.tell.try_send(Told::NotAllowed);
                            // Nothing was laid, so nothing is to be taken away.
                            return;
                        }
                        Err(Refused::Failed(why)) => {
                            self.failed(why);
                            look = Instant::from_std(clock::now() + LOOK_ANYWAY);
                        }
                    }
                }
            }
        }
    }

    /// Brings about what is wanted; says when to look again.
    async fn look(&mut self, names: &BTreeSet<String>) -> Result<Instant, Refused> {
        let anyway = Instant::from_std(clock::now() + LOOK_ANYWAY);
        let (state, wanted) = self.plan(names).await?;
        let steps = plan::steps(&state, &wanted);
        if steps.is_empty() {
            return Ok(anyway);
        }
        if let Turn::Wait(until) = self.patience.turn(clock::now()) {
            if !std::mem::replace(&mut self.is_fought, true) {
                let _ = self.tell.try_send(Told::Fought);
            }
            return Ok(Instant::from_std(until));
        }
        self.take(&steps, wanted).await?;
        Ok(anyway)
    }

    async fn plan(&self, names: &BTreeSet<String>) -> Result<(State, Wanted), Refused> {
        let silent = || Refused::Failed("the kernel does not list its routes".to_owned());
        let state = self.kernel.read().await.ok_or_else(silent)?;
        let wanted = plan::wanted(&state, names);
        Ok((state, wanted))
    }

    /// All steps, whatever becomes of each: one that fails may concern another interface than the next.
    async fn take(&mut self, steps: &[Step], wanted: Wanted) -> Result<(), Refused> {
        let (mut added, mut removed, mut trouble) = (0, 0, None);
        for step in steps {
            match (self.kernel.take(step).await, step) {
                (Ok(()), Step::AddRoute(_) | Step::AddRule(_)) => added += 1,
                (Ok(()), Step::RemoveRoute(_) | Step::RemoveRule(_)) => removed += 1,
                (Err(Refused::NotAllowed), _) => return Err(Refused::NotAllowed),
                (Err(failed @ Refused::Failed(_)), _) => trouble = trouble.or(Some(failed)),
            }
        }
        if added + removed > 0 {
            let _ = self.tell.try_send(Told::Changed { tables: wanted.tables, added, removed });
        }
        match trouble {
            Some(trouble) => Err(trouble),
            None => {
                self.last_failure = None;
                Ok(())
            }
        }
    }

    fn failed(&mut self, why: String) {
        if self.last_failure.as_ref() != Some(&why) {
            let _ = self.tell.try_send(Told::Failed(why.clone()));
            self.last_failure = Some(why);
        }
    }

    async fn withdraw(&mut self) {
        const WITHIN: Duration = Duration::from_secs(3);
        let all = async {
            if let Ok((state, nothing)) = self.plan(&BTreeSet::new()).await {
                let steps = plan::steps(&state, &nothing);
                if !steps.is_empty() {
                    // What cannot be taken away now goes with the next boot.
                    let _ = self.take(&steps, nothing).await;
                }
            }
        };
        let _ = timeout(WITHIN, all).await;
    }
}
