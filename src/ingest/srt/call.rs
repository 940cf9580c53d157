//! A sender that listens: we call it, and again when it is gone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use super::inlet::Inlet;
use super::reception::{News, RECEIVE_BUFFER, Reception};
use super::{Taker, Teller, in_words, until};
use crate::clock;
use crate::config::{SrtAddress, SrtInput, SrtPath};
use crate::events::{EventKind, Severity};
use crate::ingest::arrival::Arrival;
use crate::ingest::outlet::Outlet;
use crate::ingest::pauses::Pauses;
use crate::link::udp::{Arena, Datagram, Inbox};
use crate::model::InputId;
use crate::output::srt::call::{Common, Connected, call as call_once};
use crate::output::srt::entropy;
use crate::srt::crypto::{KeyLength, KeyMaterial, Passphrase, Random};
use crate::srt::session::{FEATURES, Seed};
use crate::srt::{Offer, StreamId, random_isn};

/// How often is told how the network does.
const TELL: Duration = Duration::from_secs(1);

/// Takes what the sender at `address` brings, for ever.
pub(super) async fn call(
    input: InputId,
    address: SrtAddress,
    settings: SrtInput,
    out: mpsc::Sender<Arrival>,
    mut teller: Teller,
) {
    let mut inlet = Inlet::new(input, Outlet::new(out));
    let mut pauses = Pauses::default();
    loop {
        let path = SrtPath { interface: None, source: None, address: address.clone(), weight: 0 };
        let mut random = Random::from_seed(&entropy());
        let (common, seed) = (common(&settings, &mut random), Seed(random.bytes()));
        let delivered = match call_once(path, common, random, None).await {
            Ok(connected) => {
                teller.forget();
                inlet = take(&connected, seed, inlet, &mut teller).await;
                // One that lets us in and hangs up is as busy as one that does not let us in.
                inlet.has_delivered()
            }
            Err(failure) => {
                teller.note(Severity::Warning, &failure.in_words(&address.to_string()));
                false
            }
        };
        tokio::time::sleep(pauses.after(delivered)).await;
    }
}

fn common(settings: &SrtInput, random: &mut Random) -> Common {
    let keys = settings.encryption.as_ref().and_then(|encryption| {
        let passphrase = Passphrase::new(encryption.passphrase.reveal())?;
        let length = KeyLength::from_bytes(encryption.key_length.bytes()).unwrap_or_default();
        Some(KeyMaterial::generate(&passphrase, length, random))
    });
    let asked = settings.stream_id.as_ref().map_or("", |id| id.reveal());
    Common {
        isn: random_isn(random),
        start: clock::now(),
        // What only receives wants no room for payload of its own.
        offer: Offer {
            payload: 0,
            flow_window: RECEIVE_BUFFER,
            receive_latency: settings.latency,
            features: Some(FEATURES),
            ..Offer::default()
        },
        stream_id: StreamId::new(asked).unwrap_or_default(),
        keys,
        group: None,
        far_group: Rc::new(Cell::new(None)),
    }
}

/// What the session and those who serve it share.
struct Shared {
    reception: Reception,
    inlet: Inlet,
    life: Life,
}

/// The sender is told when nobody takes what it brings any more, however that comes: one that has room for one caller would
/// refuse the next for as long as it waits for this one.
struct Closing<'s>(&'s RefCell<Shared>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let Shared { reception, inlet, .. } = &mut *self.0.borrow_mut();
        let now = clock::now();
        reception.close(now);
        drop(reception.settle(inlet, now));
    }
}

/// How far a session has come.
#[derive(Clone, Copy)]
enum Life {
    Connected,
    /// What has arrived is still passed on.
    Lost(&'static str),
    Over(&'static str),
}

impl Life {
    const fn why(self) -> &'static str {
        match self {
            Self::Connected => "it was closed here",
            Self::Lost(why) | Self::Over(why) => why,
        }
    }
}

impl Shared {
    fn settle(&mut self) {
        for news in self.reception.settle(&mut self.inlet, clock::now()) {
            match news {
                News::PathUp { .. } => {}
                News::PathDown { why, .. } => self.life = Life::Lost(in_words(why)),
                News::Over => self.life = Life::Over(self.life.why()),
            }
        }
    }
}

/// Takes what comes until the session is over, and hands the inlet back.
async fn take(connected: &Connected, seed: Seed, mut inlet: Inlet, teller: &mut Teller) -> Inlet {
    let (port, route, negotiated) = (connected.port.clone(), connected.route, &connected.negotiated);
    let reception = Reception::new(negotiated, 0, (port.clone(), route), seed, clock::now());
    let Some(path) = reception.first_path() else { return inlet };
    let who = reception.in_words();
    inlet.begin(&who);
    teller.say(EventKind::SenderConnected, Severity::Info, who.clone());
    let shared = RefCell::new(Shared { reception, inlet, life: Life::Connected });
    let closing = Closing(&shared);
    let (wake, local) = (Notify::new(), negotiated.local.0.to_be_bytes());
    let (mut inbox, mut arena) = (Inbox::new(), Arena::new());
    let receive = || {
        let mut shared = shared.borrow_mut();
        let now = clock::now();
        let hear = |datagram: Datagram<'_>| {
            if datagram.from == route.to && datagram.bytes.get(12..16) == Some(&local[..]) {
                shared.reception.receive(path, &arena.keep(datagram.bytes), now);
            }
        };
        if let Err(error) = port.socket().receive(&mut inbox, hear) {
            port.note(error);
        }
        shared.settle();
        wake.notify_one();
    };
    tokio::select! {
        // Ends only with the runtime.
        _ = port.serve(receive) => {}
        () = keep_time(&shared, &wake) => {}
    }
    drop(closing);
    let Shared { mut inlet, life, .. } = shared.into_inner();
    let why = life.why();
    inlet.finish(why, 0);
    teller.say(EventKind::SenderGone, Severity::Alert, format!("{who}: {why}"));
    inlet
}

/// Does everything that is due, until the session has no path.
async fn keep_time(shared: &RefCell<Shared>, wake: &Notify) {
    let mut tick = interval(TELL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = shared.borrow().reception.deadline();
        tokio::select! {
            biased;
            () = wake.notified() => {}
            () = until(due) => {}
            _ = tick.tick() => {
                let mut shared = shared.borrow_mut();
                if let Some(sender) = shared.reception.snapshot(clock::now()) {
                    shared.inlet.network(&sender, TELL);
                }
            }
        }
        let mut shared = shared.borrow_mut();
        shared.settle();
        if matches!(shared.life, Life::Over(_)) {
            return;
        }
    }
}
