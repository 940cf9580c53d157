//! A hall on a real socket.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep_until, timeout};

use super::Taker;
use super::admission::Place;
use super::hall::{Hall, Rules};
use crate::clock;
use crate::config::{SrtAddress, SrtCall, SrtInput, SrtPath};
use crate::events::Role;
use crate::link::udp::{Binding, Inbox, Port};
use crate::model::{InputId, Media};
use crate::output::srt::account::Account;
use crate::output::srt::call::{Common, call};
use crate::srt::crypto::Random;
use crate::srt::session::{Session, SessionConfig};
use crate::srt::wire::SeqNo;
use crate::srt::{Offer, StreamId};

/// Longer than any of this takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than that: nothing is played before the end.
const LATENCY: Duration = Duration::from_secs(65);

/// Keeps what it is given: the first byte of each payload, and why it ended.
#[derive(Default)]
struct Keeper {
    payloads: Vec<u8>,
    ends: Vec<String>,
}

impl Taker for Keeper {
    fn name(&self) -> &str {
        "keeper"
    }

    fn begin(&mut self, _from: &str) {}

    fn payload(&mut self, bytes: &[u8], _now: Instant) {
        assert!(self.ends.is_empty(), "after the end");
        self.payloads.extend(bytes.first());
    }

    fn finish(&mut self, why: &str, missing: u64) {
        assert_eq!(missing, 0);
        self.ends.push(why.to_owned());
    }

    fn account(&self, _missing: u64) -> Option<Account> {
        None
    }

    fn deadline(&self) -> Option<Media> {
        None
    }

    fn timeout(&mut self) {}
}

/// A hall with one keeper, and its port, which serves itself until the test is over.
fn hall() -> (Rc<RefCell<Hall<Keeper>>>, u16) {
    let port = Rc::new(Port::new(Binding::listener("127.0.0.1:0".parse().unwrap()).open().unwrap().0));
    let rules = Rules {
        places: vec![Place { stream_id: None, passphrase: None }],
        min_latency: LATENCY,
        max_latency: LATENCY,
        role: Role::Relay,
        taker: "programme",
    };
    let told = (Arc::new(|_| ()) as crate::output::EventSink, Rc::new(Notify::new()));
    let (random, keepers) = (Random::from_seed(&[1; 32]), vec![Keeper::default()]);
    let hall = Rc::new(RefCell::new(Hall::new(rules, vec![port.clone()], keepers, told, random, clock::now())));
    let (number, served) = (port.socket().local().port(), hall.clone());
    spawn_local(async move {
        let mut inbox = Inbox::new();
        port.serve(|| served.borrow_mut().receive(0, &mut inbox)).await
    });
    (hall, number)
}

fn address(port: u16) -> SrtAddress {
    SrtAddress { host: "127.0.0.1".to_owned(), port }
}

/// Looks again and again until `is`.
async fn until(mut is: impl FnMut() -> bool) {
    let looked = async {
        while !is() {
            sleep_until((clock::now() + Duration::from_millis(5)).into()).await;
        }
    };
    timeout(PATIENCE, looked).await.unwrap();
}

#[tokio::test]
async fn what_has_arrived_is_passed_on_before_the_hall_closes() {
    let test = async {
        let (hall, port) = hall();
        let path = SrtPath { interface: None, source: None, address: address(port), weight: 0 };
        let common = Common {
            isn: SeqNo::new(7),
            start: clock::now(),
            offer: Offer::default(),
            stream_id: StreamId::default(),
            keys: None,
            group: None,
            far_group: Rc::new(Cell::new(None)),
        };
        let connected = call(path, common, Random::from_seed(&[2; 32]), None).await.ok().unwrap();
        let now = clock::now();
        let mut sender = Session::new(SessionConfig::default(), &connected.negotiated.terms(), now);
        for n in 0..20 {
            sender.send(Bytes::from(vec![n; 188]), now, now).unwrap();
        }
        until(|| {
            while let Some(transmit) = sender.poll_transmit(clock::now()) {
                connected.port.push(connected.route, |out| transmit.write_to(out));
            }
            connected.port.flush();
            hall.borrow_mut().senders(clock::now())[0].1.as_ref().is_some_and(|sender| sender.paths[0].first == 20)
        })
        .await;

        let keepers = hall.borrow_mut().close("the relay ends", clock::now());
        assert_eq!(keepers[0].payloads, (0..20).collect::<Vec<u8>>());
        assert_eq!(keepers[0].ends, ["the relay ends"]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_far_end_that_was_called_is_told_when_its_input_is_taken_away() {
    let test = async {
        let (hall, port) = hall();
        let (out, _arrivals) = mpsc::channel(16);
        let latency = Duration::from_millis(120);
        let settings = SrtInput { call: SrtCall::To(address(port)), stream_id: None, encryption: None, latency };
        let input = spawn_local(super::take(InputId::new("camera").unwrap(), settings, out, Arc::new(|_| ())));
        until(|| hall.borrow_mut().senders(clock::now())[0].1.is_some()).await;
        // As when a changed configuration does not name it any more. That nothing comes would be noticed after seconds, by a
        // timer that nobody serves here.
        input.abort();
        until(|| hall.borrow_mut().takers_mut()[0].ends == ["it hung up"]).await;
    };
    LocalSet::new().run_until(test).await;
}
