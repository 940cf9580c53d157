//! Probers and responders on loopback.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::*;
use crate::link::health::{Observation, TargetId};
use crate::link::probe::EchoPort;
use crate::link::unknown;
use crate::model::ProbeKind;

/// Longer than loopback takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    seen: mpsc::Receiver<(Arc<str>, Observation)>,
    targets: watch::Sender<Arc<[ProbeTarget]>>,
    counts: watch::Receiver<ProbeCounts>,
    running: tokio::task::JoinHandle<()>,
}

fn echo(host: &str, port: u16) -> ProbeTarget {
    ProbeTarget { kind: ProbeKind::Echo, host: host.to_owned(), port }
}

/// Knows one name.
fn lookup() -> Lookup {
    Rc::new(|host, port| {
        Box::pin(async move {
            let known = (host == "relay.test").then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            known.into_iter().collect()
        })
    })
}

fn probe(link: &str, list: &[ProbeTarget], room: usize) -> Bench {
    let (observations, seen) = mpsc::channel(room);
    let named: Arc<str> = Arc::from(link);
    let (targets, watched) = watch::channel(Arc::from(list));
    let (told, counts) = watch::channel(ProbeCounts::default());
    let assignment = Assignment {
        link: Arc::from(link),
        targets: watched,
        links: unknown(),
        lookup: lookup(),
        observations: Outlet::new(observations, move |what| (named.clone(), what)),
        counts: told,
        seed: 5,
    };
    Bench { seen, targets, counts, running: tokio::task::spawn_local(run(assignment)) }
}

impl Bench {
    /// Waits for an answer of a target.
    async fn answered(&mut self, by: u8) -> Duration {
        let wait = async {
            loop {
                let (link, what) = self.seen.recv().await.unwrap();
                assert_eq!(&*link, "lo");
                if let Observation::ProbeAnswered { target: TargetId(target), rtt } = what
                    && target == by
                {
                    return rtt;
                }
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no answer from {by}: {:?}", *self.counts.borrow()))
    }
}

fn responder(at: &str) -> (Rc<EchoPort>, u16) {
    let (port, _) = EchoPort::open(at.parse().unwrap()).unwrap();
    let (port, number) = (Rc::new(port), port_of(at));
    let serving = port.clone();
    tokio::task::spawn_local(async move { serving.serve().await });
    let number = if number == 0 { port.local().port() } else { number };
    (port, number)
}

fn port_of(at: &str) -> u16 {
    at.parse::<SocketAddr>().unwrap().port()
}

#[tokio::test]
async fn a_relays_responder_is_a_witness_by_name_and_by_address_of_either_kind() {
    let local = LocalSet::new();
    let test = async {
        let (responder, port) = responder("[::]:0");
        let list = [echo("relay.test", port), echo("127.0.0.7", port), echo("::1", port)];
        let mut bench = probe("lo", &list, 64);
        let rtts = [bench.answered(0).await, bench.answered(1).await, bench.answered(2).await];
        println!("answers after {rtts:?}");
        // Another list while it runs: a name nobody knows, and one of those before.
        bench.targets.send_replace(Arc::from([echo("nobody.test", port), echo("127.0.0.7", port)]));
        for _ in 0..3 {
            bench.answered(1).await;
        }
        let answered = bench.counts.borrow().answered;
        assert!(responder.counts().answered >= answered && answered >= 6, "{answered}");
        assert_eq!((bench.counts.borrow().refused, bench.counts.borrow().forged), (0, 0));
        // Nobody wants to know any more.
        drop(bench.seen);
        timeout(PATIENCE, bench.running).await.unwrap().unwrap();
    };
    local.run_until(test).await;
}

#[tokio::test]
async fn a_link_that_is_not_there_is_asked_all_the_same() {
    let local = LocalSet::new();
    let test = async {
        let mut bench = probe("nowhere0", &[echo("127.0.0.1", 9)], 64);
        for _ in 0..5 {
            let (_, what) = timeout(PATIENCE, bench.seen.recv()).await.unwrap().unwrap();
            assert_eq!(what, Observation::ProbeSent(TargetId(0)));
        }
        let counts = *bench.counts.borrow();
        assert!(counts.refused >= 4 && counts.answered == 0, "{counts:?}");
    };
    local.run_until(test).await;
}

#[tokio::test]
async fn who_does_not_read_loses_observations_and_holds_up_nobody() {
    let local = LocalSet::new();
    let test = async {
        let (responder, port) = responder("127.0.0.1:0");
        let mut bench = probe("lo", &[echo("127.0.0.1", port)], 2);
        let is_full = |counts: &ProbeCounts| counts.unheard >= 5;
        let seen = timeout(PATIENCE, bench.counts.wait_for(is_full)).await.unwrap().unwrap().answered;
        assert!(seen >= 2 && responder.counts().answered >= seen);
    };
    local.run_until(test).await;
}
