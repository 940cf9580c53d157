//! A hall on a real socket.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep_until, timeout};

use super::Taker;
use super::admission::Place;
use super::hall::{Hall, Rules};
use crate::clock;
use crate::config::{SrtAddress, SrtPath};
use crate::events::Role;
use crate::link::udp::{Binding, Inbox, Port};
use crate::model::Media;
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

#[tokio::test]
async fn what_has_arrived_is_passed_on_before_the_hall_closes() {
    let test = async {
        let port = Rc::new(Port::new(Binding::listener("127.0.0.1:0".parse().unwrap()).open().unwrap().0));
        let rules = Rules {
            places: vec![Place { stream_id: None, passphrase: None }],
            min_latency: LATENCY,
            max_latency: LATENCY,
            role: Role::Relay,
            taker: "programme",
        };
        let told = (Arc::new(|_| ()) as crate::output::EventSink, Rc::new(Notify::new()));
        let random = Random::from_seed(&[1; 32]);
        let hall = Hall::new(rules, vec![port.clone()], vec![Keeper::default()], told, random, clock::now());
        let hall = Rc::new(RefCell::new(hall));
        let (served, here) = (port.clone(), hall.clone());
        spawn_local(async move {
            let mut inbox = Inbox::new();
            served.serve(|| here.borrow_mut().receive(0, &mut inbox)).await
        });

        let address = SrtAddress { host: "127.0.0.1".to_owned(), port: port.socket().local().port() };
        let path = SrtPath { interface: None, source: None, address, weight: 0 };
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
        let arrived = async {
            let first = || hall.borrow_mut().senders(clock::now())[0].1.as_ref().map_or(0, |s| s.paths[0].first);
            while first() < 20 {
                while let Some(transmit) = sender.poll_transmit(clock::now()) {
                    connected.port.push(connected.route, |out| transmit.write_to(out));
                }
                connected.port.flush();
                sleep_until((clock::now() + Duration::from_millis(5)).into()).await;
            }
        };
        timeout(PATIENCE, arrived).await.unwrap();

        let keepers = hall.borrow_mut().close("the relay ends", clock::now());
        assert_eq!(keepers[0].payloads, (0..20).collect::<Vec<u8>>());
        assert_eq!(keepers[0].ends, ["the relay ends"]);
    };
    LocalSet::new().run_until(test).await;
}
