//! The shell around [`Ledger`]: hears the counters and the clock on the wall, remembers the accounts, and passes on what
//! links may carry.
//!
//! ```text
//!   counters, once a second ──┐                  ┌──► Allowances (latest) ──► a Path per destination
//!   clock on the wall ────────┼──► Ledger (pure) ┼──► Event
//!   settings, on air ─────────┘                  └──► a file, once a minute and when something changes
//! ```
//!
//! One task on the data plane's thread; the file is written by a thread of its own. *Invariant:* nobody waits for a disk,
//! but for as long as it takes at the end; and what is written is whole, or not there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot, watch};

use super::calendar;
use super::counters::{self, Answer};
use super::ledger::{Allowances, Ledger, Saved};
use super::told;
use crate::clock;
use crate::events::{BudgetSnapshot, Event, EventKind, Role, Severity};
use crate::model::{DataPlan, InterfaceName, ShowEnd, Wall};

/// The accounts are written so often, for the sake of the flash that they are on. What the interfaces say after a crash of
/// this process makes up for what was not written; after a power cut nothing does.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How long the last write may take.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// What is wanted of it.
#[derive(Clone, Debug, Default)]
struct Wanted {
    plans: BTreeMap<InterfaceName, DataPlan>,
    show: Option<ShowEnd>,
    on_air_since: Option<Wall>,
}

/// The way to the accounts.
#[derive(Debug)]
pub struct Accounting {
    wanted: watch::Sender<Option<Wanted>>,
    /// `None` before anything is known.
    allowances: watch::Receiver<Option<Arc<Allowances>>>,
    shown: watch::Receiver<BTreeMap<InterfaceName, BudgetSnapshot>>,
    end: mpsc::Sender<oneshot::Sender<()>>,
}

impl Accounting {
    /// Keeps the accounts in the file at `path`, on the current single-threaded runtime, and tells `events` what happens.
    /// `boot` tells one boot of the machine from another. Ends when this is dropped.
    pub fn start(path: PathBuf, boot: String, events: impl Fn(Event) + 'static) -> Self {
        let (wanted, wishes) = watch::channel(None);
        let (allowances, allowed) = watch::channel(None);
        let (shown, seen) = watch::channel(BTreeMap::new());
        let (end, ended) = mpsc::channel(1);
        let saved = load(&path).unwrap_or_else(|why| {
            let text = format!("{} {why}; what links have carried is counted anew", path.display());
            events(event(EventKind::Note, Severity::Warning, text));
            Saved::default()
        });
        let (names, read) = watch::channel(BTreeSet::new());
        let mut desk = Desk {
            ledger: Ledger::new(boot, saved),
            wanted: Wanted::default(),
            names,
            allowances,
            shown,
            queue: None,
            saved_at: clock::now(),
            zone: TimeZone::system(),
            is_counting: Works::Yes,
            is_writing: Works::Yes,
            events: Box::new(events),
        };
        let mut written = mpsc::channel(1).1;
        match keep(path) {
            Ok((queue, results)) => (desk.queue, written) = (Some(queue), results),
            Err(e) => desk.written(Err(e)),
        }
        let answers = counters::read(read).unwrap_or_else(|e| {
            desk.not_counting(&e.to_string());
            mpsc::channel(1).1
        });
        tokio::task::spawn_local(desk.run(wishes, answers, written, ended));
        Self { wanted, allowances: allowed, shown: seen, end }
    }

    /// These links have plans, and the show ends then.
    pub fn apply(&self, plans: &BTreeMap<InterfaceName, DataPlan>, show: Option<ShowEnd>) {
        self.wanted.send_if_modified(|wanted| {
            let differs = wanted.as_ref().is_none_or(|w| (&w.plans, w.show) != (plans, show));
            let wanted = wanted.get_or_insert_default();
            (wanted.plans, wanted.show) = (plans.clone(), show);
            differs
        });
    }

    /// The show began then; `None` while there is none.
    pub fn on_air(&self, since: Option<Wall>) {
        // Before there are settings, nobody has to be woken.
        self.wanted.send_if_modified(|wanted| {
            let is_known = wanted.is_some();
            wanted.get_or_insert_default().on_air_since = since;
            is_known
        });
    }

    /// What links may carry; `None` before that is known.
    pub fn allowances(&self) -> watch::Receiver<Option<Arc<Allowances>>> {
        self.allowances.clone()
    }

    /// The same for people.
    pub fn shown(&self) -> BTreeMap<InterfaceName, BudgetSnapshot> {
        self.shown.borrow().clone()
    }

    /// Writes what is known, and ends.
    pub async fn finish(&self) {
        let (done, written) = oneshot::channel();
        if self.end.send(done).await.is_ok() {
            // A disk that hangs does not keep the process.
            let _ = tokio::time::timeout(LAST_WRITE, written).await;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Works {
    Yes,
    /// It does not, and that was told.
    No,
}

struct Desk {
    ledger: Ledger,
    wanted: Wanted,
    names: watch::Sender<BTreeSet<InterfaceName>>,
    allowances: watch::Sender<Option<Arc<Allowances>>>,
    shown: watch::Sender<BTreeMap<InterfaceName, BudgetSnapshot>>,
    /// To the thread that writes.
    queue: Option<std::sync::mpsc::SyncSender<String>>,
    saved_at: Instant,
    zone: TimeZone,
    is_counting: Works,
    is_writing: Works,
    events: Box<dyn Fn(Event)>,
}

impl Desk {
    async fn run(
        mut self,
        mut wishes: watch::Receiver<Option<Wanted>>,
        mut answers: mpsc::Receiver<Answer>,
        mut written: mpsc::Receiver<std::io::Result<()>>,
        mut ended: mpsc::Receiver<oneshot::Sender<()>>,
    ) {
        // What was wished for before this ran is news, too.
        wishes.mark_changed();
        loop {
            tokio::select! {
                biased;
                Some(done) = ended.recv() => {
                    self.save(clock::now());
                    self.queue = None;
                    while written.recv().await.is_some() {}
                    let _ = done.send(());
                    return;
                }
                changed = wishes.changed() => match changed {
                    Ok(()) => {
                        let wanted = wishes.borrow_and_update().clone();
                        wanted.into_iter().for_each(|wanted| self.apply(wanted));
                    }
                    Err(_) => return,
                },
                Some(answer) = answers.recv() => self.hear(answer),
                Some(result) = written.recv() => self.written(result),
            }
        }
    }

    fn apply(&mut self, wanted: Wanted) {
        let now = clock::now();
        self.wanted = wanted;
        self.ledger.plans(&self.wanted.plans, now);
        let names: BTreeSet<InterfaceName> = self.ledger.links().cloned().collect();
        self.names.send_if_modified(|known| {
            let differs = *known != names;
            *known = names;
            differs
        });
        self.look_at_the_clock(now);
        self.pass_on(now);
    }

    fn hear(&mut self, answer: Answer) {
        let now = clock::now();
        match answer {
            Ok(look) => {
                self.is_counting = Works::Yes;
                self.zone = look.zone;
                self.look_at_the_clock(now);
                self.ledger.read(&look.there, now);
                self.pass_on(now);
                if now.saturating_duration_since(self.saved_at) >= SAVE_EVERY {
                    self.save(now);
                }
            }
            Err(why) => self.not_counting(&why),
        }
    }

    fn look_at_the_clock(&mut self, now: Instant) {
        let wall = clock::wall();
        if let Some(day) = calendar::day(wall, &self.zone) {
            self.ledger.today(day, now);
        }
        let show = self.wanted.show.zip(self.wanted.on_air_since);
        let end = show.and_then(|(show, began)| calendar::end(show, began, (wall, now), &self.zone));
        self.ledger.show_ends(end.as_ref(), now);
    }

    fn pass_on(&mut self, now: Instant) {
        let mut is_news = false;
        while let Some((link, news)) = self.ledger.poll(now) {
            is_news = true;
            (self.events)(told::budget(&link, &news, (clock::wall(), clock::media()), Role::Transmit));
        }
        if let Some(allowances) = self.ledger.news() {
            self.allowances.send_replace(Some(allowances));
        }
        self.shown.send_replace(self.ledger.shown(now));
        if is_news {
            self.save(now);
        }
    }

    fn save(&mut self, now: Instant) {
        self.saved_at = now;
        if let Some(queue) = &self.queue {
            // One that is not taken has a successor a minute later.
            let _ = queue.try_send(self.ledger.to_save().to_json());
        }
    }

    fn written(&mut self, result: std::io::Result<()>) {
        match result {
            Ok(()) => self.is_writing = Works::Yes,
            Err(e) if self.is_writing == Works::Yes => {
                self.is_writing = Works::No;
                let text =
                    format!("what links have carried cannot be remembered ({e}): a restart may forget some of it");
                (self.events)(event(EventKind::Note, Severity::Warning, text));
            }
            Err(_) => {}
        }
    }

    fn not_counting(&mut self, why: &str) {
        if self.is_counting == Works::Yes {
            self.is_counting = Works::No;
            let text = format!("what links carry cannot be counted ({why}): no data cap is kept until it can");
            (self.events)(event(EventKind::Note, Severity::Warning, text));
        }
    }
}

fn event(kind: EventKind, severity: Severity, text: String) -> Event {
    Event::new((clock::wall(), clock::media()), Role::Transmit, kind, severity, "", text)
}

/// What is in the file: nothing, before the first start.
fn load(path: &Path) -> Result<Saved, String> {
    match std::fs::read_to_string(path) {
        Ok(json) => Saved::parse(&json).map_err(|e| e.to_string()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Saved::default()),
        Err(e) => Err(format!("cannot be read ({e})")),
    }
}

type Keeper = (std::sync::mpsc::SyncSender<String>, mpsc::Receiver<std::io::Result<()>>);

/// A thread that writes the newest text it was given, and says how that went; ends when nobody gives it any.
fn keep(path: PathBuf) -> std::io::Result<Keeper> {
    let (queue, texts) = std::sync::mpsc::sync_channel::<String>(1);
    let (results, written) = mpsc::channel(4);
    std::thread::Builder::new().name("link-accounts".into()).spawn(move || {
        for text in texts {
            let _ = results.try_send(write(&path, &text));
        }
    })?;
    Ok((queue, written))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    std::fs::rename(part, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;
    use crate::link::health::budget::Allowance;
    use crate::model::AtCap;

    type Told = Rc<RefCell<Vec<Event>>>;

    fn begin(path: &Path) -> (Accounting, Told) {
        let told = Told::default();
        let events = told.clone();
        (Accounting::start(path.to_owned(), "boot".into(), move |event| events.borrow_mut().push(event)), told)
    }

    fn loopback(cap: u64) -> BTreeMap<InterfaceName, DataPlan> {
        let plan = DataPlan { cap: Some(cap), at_cap: AtCap::Bar, ..DataPlan::default() };
        [(InterfaceName::new("lo").unwrap(), plan)].into()
    }

    /// Sends over loopback until the account has so much.
    async fn carry(accounting: &Accounting, bytes: u64) -> u64 {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        loop {
            let used = accounting.shown().values().next().map_or(0, |shown| shown.used);
            if used >= bytes {
                return used;
            }
            socket.send_to(&[0; 8000], socket.local_addr().unwrap()).unwrap();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn accounts_outlive_the_process_and_count_what_passed_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("accounts.json");
        LocalSet::new()
            .run_until(async {
                let (first, told) = begin(&path);
                assert_eq!(*first.allowances().borrow(), None, "nobody has said anything yet");
                first.apply(&loopback(2_000_000), None);
                let used = carry(&first, 2_000_000).await;
                let allowed = first.allowances().borrow().clone().unwrap();
                assert_eq!(allowed.values().collect::<Vec<_>>(), [&Allowance::Barred]);
                first.finish().await;
                let told: Vec<_> = told.borrow().iter().map(|event| (event.kind, event.severity)).collect();
                assert_eq!(told.last(), Some(&(EventKind::BudgetChanged, Severity::Alert)), "{told:?}");

                let (second, _) = begin(&path);
                let mut allowances = second.allowances();
                second.apply(&loopback(1_000_000_000), None);
                allowances.changed().await.unwrap();
                assert!(second.shown().values().all(|shown| shown.used >= used));
            })
            .await;
    }

    #[tokio::test]
    async fn a_torn_file_is_told_and_counting_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("accounts.json");
        std::fs::write(&path, "{\"version\":1,\"li").unwrap();
        LocalSet::new()
            .run_until(async {
                let (accounting, told) = begin(&path);
                let reason = told.borrow()[0].reason.clone();
                assert!(reason.contains("accounts.json is damaged") && reason.contains("counted anew"), "{reason}");
                accounting.apply(&loopback(1_000_000_000), None);
                carry(&accounting, 10_000).await;
                accounting.finish().await;
                assert!(load(&path).unwrap() != Saved::default());
            })
            .await;
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        LocalSet::new()
            .run_until(async {
                let (accounting, told) = begin(&directory.path().join("absent/accounts.json"));
                accounting.apply(&loopback(1_000_000), None);
                carry(&accounting, 1_000_000).await;
                let has_told = || told.borrow().iter().filter(|e| e.reason.contains("cannot be remembered")).count();
                while has_told() == 0 {
                    tokio::task::yield_now().await;
                }
                accounting.finish().await;
                assert_eq!(has_told(), 1);
            })
            .await;
    }
}
