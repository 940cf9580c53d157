//! Senders that call us: a port of the input's own, where one at a time is let in.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use super::admission::Place;
use super::hall::{Hall, Rules};
use super::inlet::Inlet;
use super::{Teller, until};
use crate::clock;
use crate::config::SrtInput;
use crate::events::{EventKind, Role, Severity};
use crate::ingest::arrival::Arrival;
use crate::ingest::outlet::Outlet;
use crate::link::udp::{Binding, Inbox, Port};
use crate::model::InputId;
use crate::output::srt::entropy;
use crate::srt::crypto::Random;

/// A caller that asks for more latency than this is refused: nobody calls that live.
const MAX_LATENCY: Duration = Duration::from_secs(30);
/// Until a port that could not be had is asked for again.
const RETRY: Duration = Duration::from_secs(2);
/// How often is told how the network does.
const TELL: Duration = Duration::from_secs(1);

/// Takes what senders bring to `address`, for ever.
pub(super) async fn listen(
    input: InputId,
    address: SocketAddr,
    settings: SrtInput,
    out: mpsc::Sender<Arrival>,
    mut teller: Teller,
) {
    let socket = loop {
        match Binding::listener(address).open() {
            Ok((socket, shortfalls)) => {
                shortfalls.iter().for_each(|shortfall| teller.note(Severity::Warning, &shortfall.to_string()));
                break socket;
            }
            Err(error) => teller.note(Severity::Alert, &format!("cannot listen: {error}")),
        }
        tokio::time::sleep(RETRY).await;
    };
    let port = Rc::new(Port::new(socket));
    let rules = Rules {
        places: vec![Place {
            stream_id: settings.stream_id.clone(),
            passphrase: settings.encryption.as_ref().map(|encryption| encryption.passphrase.clone()),
        }],
        min_latency: settings.latency,
        max_latency: MAX_LATENCY,
        role: Role::Transmit,
        taker: "input",
    };
    let (wake, random) = (Rc::new(Notify::new()), Random::from_seed(&entropy()));
    let inlet = Inlet::new(input, Outlet::new(out));
    let told = (teller.events(), wake.clone());
    let hall = Hall::new(rules, vec![port.clone()], vec![inlet], told, random, clock::now());
    let hall = Closing(Rc::new(RefCell::new(hall)));
    teller.say(EventKind::Note, Severity::Info, format!("listens for a sender on {address} (SRT)"));
    let mut inbox = Inbox::new();
    let receive = || hall.0.borrow_mut().receive(0, &mut inbox);
    tokio::select! {
        // Ends only with the runtime.
        _ = port.serve(receive) => {}
        () = keep_time(&hall.0, &wake, &mut teller) => {}
    }
}

/// Whoever is connected is told when this input is no more.
struct Closing(Rc<RefCell<Hall<Inlet>>>);

impl Drop for Closing {
    fn drop(&mut self) {
        drop(self.0.borrow_mut().close("this input is closed here", clock::now()));
    }
}

/// Does everything that is due, for ever.
async fn keep_time(hall: &RefCell<Hall<Inlet>>, wake: &Notify, teller: &mut Teller) {
    let mut tick = interval(TELL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = hall.borrow_mut().arm();
        tokio::select! {
            biased;
            () = wake.notified() => {}
            () = until(due) => {}
            _ = tick.tick() => {
                let mut hall = hall.borrow_mut();
                let senders = hall.senders(clock::now());
                for (inlet, (_, sender)) in hall.takers_mut().iter_mut().zip(&senders) {
                    if let Some(sender) = sender {
                        inlet.network(sender, TELL);
                    }
                }
                hall.troubles().iter().for_each(|trouble| teller.note(Severity::Warning, trouble));
            }
        }
        hall.borrow_mut().timeout(clock::now());
    }
}
