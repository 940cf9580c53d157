//! The far end of the link: SRT comes in from boxes and other senders, over one path or many, and goes out again to
//! destinations and recordings, through the same switch, distributor and outputs as on the box.
//!
//! ```text
//!   UDP ──► ingest::srt::Hall ──payloads──► Programme: Demuxer ──units──► Timeline
//!             ▲                               │                             │
//!   sender ◄──┴───────── what we really have ─┘ outputs ◄── Feed ◄── Stage{Switch} ◄──┘
//!   HTTP ◄── status, metrics ◄── snapshot every half second
//!   probes ◄──► EchoPort, on a port of its own
//! ```
//!
//! One thread, one task for each UDP socket, one for the timers. A programme has one sender at a time; while it has none,
//! its outputs get a slate (H.264) or nothing, and stay connected.
//!
//! *Invariant:* what a caller sends can neither reach another programme nor make one wait.

mod http;
pub mod metrics;
mod programme;
mod stage;
pub mod status;
pub mod timeline;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::clock;
use crate::config::{ProgrammeSettings, RelaySettings};
use crate::events::{Event, EventKind, Role, Severity};
use crate::ingest::srt::admission::Place;
use crate::ingest::srt::hall::{Hall, Rules};
use crate::link;
use crate::link::probe::EchoPort;
use crate::link::udp::{Binding, Inbox, Port};
use crate::output::{EventSink, OutputCommand};
use crate::srt::crypto::Random;
use programme::Programme;
use status::{ProgrammeSnapshot, RelaySnapshot};

/// How often the status is made.
const STATUS_EVERY: Duration = Duration::from_millis(500);
/// Trouble of a port is told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Runs a relay on the current single-threaded runtime (inside a `LocalSet`) until it is told to end (SIGTERM, SIGINT).
/// `events` hears what happens.
///
/// # Errors
/// In words, when it cannot begin.
pub async fn run(settings: RelaySettings, events: EventSink) -> Result<(), String> {
    let events = of_the_relay(events);
    let (config, now) = (Rc::new(settings), clock::now());
    let mut random = Random::from_seed(&crate::output::srt::entropy());
    let mut ports = Vec::new();
    for address in &config.listen {
        let (socket, shortfalls) = Binding::listener(*address).open().map_err(|e| e.to_string())?;
        for shortfall in shortfalls {
            events(event(EventKind::Note, Severity::Warning, "", shortfall.to_string()));
        }
        ports.push(Rc::new(Port::new(socket)));
    }
    let mut echo = None;
    if let Some(address) = config.probe {
        let (port, shortfalls) = EchoPort::open(address).map_err(|e| e.to_string())?;
        for shortfall in shortfalls {
            events(event(EventKind::Note, Severity::Warning, "", shortfall.to_string()));
        }
        echo = Some(Rc::new(port));
    }
    let mut programmes = Vec::new();
    for settings in &config.programmes {
        let seed = u64::from(random.next_u32()) << 32 | u64::from(random.next_u32());
        programmes.push(Programme::new(settings.clone(), config.clone(), &events, seed));
    }
    let wake = Rc::new(Notify::new());
    let told = (events.clone(), wake.clone());
    let hall = Hall::new(rules(&config), ports.clone(), programmes, told, random, now);
    let hall = Rc::new(RefCell::new(hall));
    let about = About { config: config.clone(), echo: echo.clone(), began: now };
    let (status, published) = watch::channel(Arc::new(about.snapshot(&mut hall.borrow_mut())));
    if let Some(at) = config.status {
        tokio::task::spawn_local(http::serve(http::listen(at).await?, published));
    }
    if let Some(port) = echo {
        // Ends only with the runtime.
        tokio::task::spawn_local(async move { port.serve().await });
    }
    let inbox = Rc::new(RefCell::new(Inbox::new()));
    for (number, port) in ports.into_iter().enumerate() {
        let (hall, inbox) = (hall.clone(), inbox.clone());
        tokio::task::spawn_local(async move {
            let receive = || hall.borrow_mut().receive(number, &mut inbox.borrow_mut());
            // Ends only with the runtime.
            let _ = port.serve(receive).await;
        });
    }
    keep_time(&hall, &wake, (&about, &status), &events).await?;
    end(&hall).await;
    Ok(())
}

/// The switch and the outputs are a box's data plane too, and sign as that.
fn of_the_relay(events: EventSink) -> EventSink {
    Arc::new(move |mut event| {
        event.from = Role::Relay;
        events(event);
    })
}

/// Does everything that is due, until a signal comes.
async fn keep_time(
    hall: &Rc<RefCell<Hall<Programme>>>,
    wake: &Notify,
    (about, status): (&About, &watch::Sender<Arc<RelaySnapshot>>),
    events: &EventSink,
) -> Result<(), String> {
    let cannot = |e: std::io::Error| format!("cannot listen for signals: {e}");
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut returns = link::watch_returns().unwrap_or_else(|e| {
        let text = format!("the kernel does not tell of networks that return ({e}); destinations retry by the clock");
        events(event(EventKind::Note, Severity::Warning, "", text));
        mpsc::channel(1).1
    });
    let mut tick = interval(STATUS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<Instant> = None;
    // Told only where systemd listens; elsewhere there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        let due = hall.borrow_mut().arm();
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(back) = returns.recv() => {
                events(event(EventKind::NetworkReturned, Severity::Info, &back.interface, back.why.to_owned()));
                let command = OutputCommand::NetworkReturned;
                hall.borrow_mut().takers_mut().iter().for_each(|programme| programme.tell(command));
            }
            () = wake.notified() => {}
            () = until(due) => {}
            _ = tick.tick() => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                status.send_replace(Arc::new(about.snapshot(&mut hall.borrow_mut())));
                let now = clock::now();
                if told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY) {
                    for trouble in hall.borrow().troubles() {
                        told = Some(now);
                        events(event(EventKind::Note, Severity::Warning, "", trouble));
                    }
                }
            }
        }
        hall.borrow_mut().timeout(clock::now());
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    Ok(())
}

/// Hangs up on the senders and ends all outputs cleanly.
async fn end(hall: &RefCell<Hall<Programme>>) {
    let programmes = hall.borrow_mut().close("the relay ends", clock::now());
    futures_util::future::join_all(programmes.into_iter().map(Programme::end)).await;
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn rules(config: &RelaySettings) -> Rules {
    let place = |programme: &ProgrammeSettings| Place {
        stream_id: Some(programme.stream_id.clone()),
        passphrase: programme.passphrase.clone(),
    };
    Rules {
        places: config.programmes.iter().map(place).collect(),
        min_latency: config.min_latency,
        max_latency: config.max_latency,
        role: Role::Relay,
        taker: "programme",
    }
}

fn event(kind: EventKind, severity: Severity, subject: &str, reason: String) -> Event {
    Event::new((clock::wall(), clock::media()), Role::Relay, kind, severity, subject, reason)
}

/// What the status says beside what the hall knows.
struct About {
    config: Rc<RelaySettings>,
    echo: Option<Rc<EchoPort>>,
    began: Instant,
}

impl About {
    /// For people.
    fn snapshot(&self, hall: &mut Hall<Programme>) -> RelaySnapshot {
        let now = clock::now();
        let senders = hall.senders(now);
        let programmes = hall.takers_mut().iter_mut().map(Programme::snapshot);
        let programmes = programmes.zip(senders).map(|(mut programme, (missing, sender))| {
            programme.totals.missing += missing;
            ProgrammeSnapshot { sender, ..programme }
        });
        let programmes = programmes.collect();
        RelaySnapshot {
            name: self.config.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            at: clock::wall(),
            uptime_s: now.saturating_duration_since(self.began).as_secs(),
            programmes,
            sockets: hall.sockets(),
            handshakes: hall.handshakes(),
            probes: self.echo.as_deref().map(Into::into),
        }
    }
}
