//! A box probes an uplink: over that uplink and no other, as far as a judge that decides about it.
//!
//! Box and relay are in network namespaces of their own. The default route goes over the other uplink, so that only what is
//! bound to its interface leaves by this one.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast::link::health::{Action, Evidence, Health, Judge, LinkClass, Observation};
use holdfast::link::probe::{Assignment, ProbeCounts, run};
use holdfast::link::{Links, Options, Outlet, watch as watch_links};
use holdfast::model::{ProbeKind, ProbeTarget};
use holdfast::netem::emulator::Emulator;
use holdfast::netem::{Conditions, Testbed, Uplink, Wires};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::{sleep_until, timeout};

use crate::support::rig::{Rig, START};
use crate::support::wait::wait_until;

const PORT: u16 = 9710;
/// The relay's addresses, behind every uplink.
const RELAY: [&str; 3] = ["10.77.255.1", "10.77.255.2", "fd00:77:255::1"];
/// Beyond what is expected, for a machine that does other things as well.
const BUSY: Duration = Duration::from_millis(1500);

fn ip(arguments: &str) -> io::Result<()> {
    let done = Command::new("ip").args(arguments.split_whitespace()).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {arguments}: {}", String::from_utf8_lossy(&done.stderr))))
}

fn target(host: &str) -> ProbeTarget {
    ProbeTarget { kind: ProbeKind::Echo, host: host.to_owned(), port: PORT }
}

/// Packets that left by an interface of the calling thread's namespace.
fn left_by(interface: &str) -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix(&format!("{interface}:"))).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

/// Something that waits, where the box is.
fn at_box<T: Send>(wires: &Wires, work: impl AsyncFnOnce() -> T + Send) -> T {
    let Wires::Taps { at_box, .. } = wires else { panic!("there are namespaces") };
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(LocalSet::new().block_on(&runtime, work()))
    };
    at_box.enter(run).unwrap()
}

/// A prober, and a judge that hears nothing else.
struct Watched {
    seen: mpsc::Receiver<Observation>,
    counts: watch::Receiver<ProbeCounts>,
    judge: Judge,
}

impl Watched {
    fn new(link: &str, targets: &[ProbeTarget], links: watch::Receiver<Arc<Links>>) -> Self {
        let (observations, seen) = mpsc::channel(256);
        let (told, counts) = watch::channel(ProbeCounts::default());
        let assignment = Assignment {
            link: Arc::from(link),
            targets: watch::channel(Arc::from(targets)).1,
            links,
            lookup: Rc::new(|_, _| Box::pin(async { Vec::new() })),
            observations: Outlet::new(observations, |what| what),
            counts: told,
            seed: 1,
        };
        tokio::task::spawn_local(run(assignment));
        Self { seen, counts, judge: Judge::new(LinkClass::Ethernet, holdfast::clock::now()) }
    }

    /// Lets the judge hear everything until it says something of the kind.
    async fn until<T>(&mut self, what: &str, mut is: impl FnMut(&Judge, Option<&Action>) -> Option<T>) -> T {
        let hear = async {
            loop {
                let due = self.judge.poll_timeout().map(|(at, _)| at);
                tokio::select! {
                    biased;
                    Some(observation) = self.seen.recv() => {
                        self.judge.observe(holdfast::clock::now(), observation);
                    }
                    () = async { sleep_until(due.unwrap_or_else(Instant::now).into()).await }, if due.is_some() => {}
                }
                while let Some(action) = self.judge.poll(holdfast::clock::now()) {
                    println!("    {action}");
                    if let Some(found) = is(&self.judge, Some(&action)) {
                        return found;
                    }
                }
                if let Some(found) = is(&self.judge, None) {
                    return found;
                }
            }
        };
        timeout(START, hear).await.unwrap_or_else(|_| panic!("waited for {what} in vain"))
    }

    async fn until_counts(&mut self, what: &str, is: impl Fn(&ProbeCounts) -> bool) {
        let counts = self.counts.clone();
        self.until(what, |_, _| is(&counts.borrow()).then_some(())).await;
    }

    async fn until_up(&mut self) {
        self.until("the link to be trusted", |judge, _| matches!(judge.health(), Health::Up { .. }).then_some(()))
            .await;
    }

    async fn until_dead(&mut self) -> Evidence {
        self.until("the link to be dead", |_, action| match action {
            Some(Action::Leave(evidence)) => Some(*evidence),
            _ => None,
        })
        .await
    }

    async fn until_returned(&mut self) {
        self.until("the link to return", |_, action| matches!(action, Some(Action::Returned(_))).then_some(())).await;
    }
}

#[test]
fn a_hole_in_one_uplink_is_found_by_probes_that_go_over_no_other() {
    let uplinks = ["eth0", "wwan0"]
        .map(|name| Uplink { name: name.to_owned(), conditions: Conditions::delayed(Duration::from_millis(15)) });
    let mut bed = match Testbed::with_namespaces(&uplinks, 1) {
        Ok(bed) => bed,
        Err(why) => return println!("skipped: there are no namespaces with devices here ({why})"),
    };
    bed.at_relay(|| {
        ip("address add 10.77.255.2/32 dev lo")?;
        ip("-6 address add fd00:77:255::1/128 dev lo")?;
        ip("-6 address add fd00:77:2::2/64 dev relay2 nodad")
    })
    .unwrap();
    bed.at_box(|| {
        ip("-6 address add fd00:77:2::1/64 dev wwan0 nodad")?;
        ip("-6 route add default via fd00:77:2::2 dev wwan0 metric 2")
    })
    .unwrap();
    let rig = Rig::new().programme("church", true).probes(&format!("[::]:{PORT}"));
    let relay = bed.at_relay(|| Ok(rig.start())).unwrap();

    let (wires, emulator) = (&bed.wires, &mut bed.emulator);
    let (asked, eth, wwan) = at_box(wires, async move || a_hole(emulator).await);

    let status: Value = bed.at_relay(|| Ok(serde_json::from_str(&rig.get("/status")).unwrap())).unwrap();
    println!("    {asked} questions, {wwan} packets left by wwan0, {eth} by eth0; {}", status["probes"]);
    assert!(wwan >= asked, "{wwan} packets for {asked} questions");
    assert!(eth < 50, "{eth} packets left by the other uplink");
    // As of the last half second.
    assert!(status["probes"]["answered"].as_u64().unwrap() >= 45, "{status}");
    let metric = bed.at_relay(|| Ok(rig.metric("holdfast_relay_probes_total{fate=\"malformed\"}"))).unwrap();
    assert_eq!(metric, 0.0);
    // Whoever sends something else hears nothing, and is counted.
    bed.at_relay(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        for noise in [&b"GET / HTTP/1.1\r\n"[..], &[0; 32], &[0xff; 1400]] {
            socket.send_to(noise, (Ipv4Addr::LOCALHOST, PORT))?;
        }
        wait_until("noise to be counted", START, || {
            rig.metric("holdfast_relay_probes_total{fate=\"malformed\"}") == 3.0
        });
        socket.set_nonblocking(true)?;
        let heard = socket.recv(&mut [0; 64]).map_err(|e| e.kind());
        assert_eq!(heard, Err(io::ErrorKind::WouldBlock));
        Ok(())
    })
    .unwrap();
    drop(relay);
}

/// Questions that were sent, and what left by either interface meanwhile.
async fn a_hole(emulator: &mut Emulator) -> (u64, u64, u64) {
    let monitor = watch_links(Options::default()).unwrap();
    let before = (left_by("eth0"), left_by("wwan0"));
    let mut watched = Watched::new("wwan0", &RELAY.map(target), monitor.links.clone());
    watched.until_up().await;
    let counts = *watched.counts.borrow();
    println!("    up: {counts:?}, round trip {:?}", watched.judge.rtt());
    // Addresses of both kinds, and one that is not the relay's first: it answers from the one that was asked.
    assert!(counts.answered >= 3 * 15, "all three have to answer: {counts:?}");
    assert_eq!((counts.forged, counts.refused, counts.malformed), (0, 0, 0), "{counts:?}");

    let alone = LinkClass::Ethernet.thresholds().alone;
    emulator.order("wwan0 hole").unwrap();
    let cut = Instant::now();
    let evidence = watched.until_dead().await;
    let after = cut.elapsed();
    assert!(matches!(evidence, Evidence::ProbesSilent { .. }), "{evidence}");
    println!("    dead {after:?} after the hole: {evidence}");
    assert!(after >= alone - Duration::from_millis(200) && after <= alone + BUSY, "dead after {after:?}");

    emulator.order("wwan0 hole off").unwrap();
    let healed = Instant::now();
    watched.until_returned().await;
    let after = healed.elapsed();
    println!("    returned {after:?} after it was filled");
    assert!(after <= BUSY, "returned after {after:?}");
    let sent = watched.counts.borrow().sent;
    (sent, left_by("eth0") - before.0, left_by("wwan0") - before.1)
}

#[test]
fn an_interface_that_is_taken_out_comes_back_as_another_and_is_probed_again() {
    let bed = match Testbed::with_namespaces(&[], 1) {
        Ok(bed) => bed,
        Err(why) => return println!("skipped: there are no namespaces with devices here ({why})"),
    };
    let rig = Rig::new().programme("church", true).probes(&format!("0.0.0.0:{PORT}"));
    let relay = bed.at_relay(|| Ok(rig.start())).unwrap();
    let plug_in = |address: &str| {
        ip(&format!("link add usb0 type veth peer name relay9 netns {}", relay.pid())).unwrap();
        ip(&format!("addr add {address}/24 dev usb0")).unwrap();
        ip("link set usb0 up").unwrap();
        bed.at_relay(|| {
            ip("addr add 10.77.9.2/24 dev relay9")?;
            ip("link set relay9 up")
        })
        .unwrap();
        ip("route add default via 10.77.9.2 dev usb0").unwrap();
    };
    let (plug_in, wires) = (&plug_in, &bed.wires);
    at_box(wires, async move || {
        let monitor = watch_links(Options::default()).unwrap();
        let mut watched = Watched::new("usb0", &[target(RELAY[0])], monitor.links.clone());
        watched.until_counts("questions that cannot leave", |counts| counts.refused >= 5).await;
        plug_in("10.77.9.1");
        watched.until_up().await;
        for address in ["10.77.9.7", "10.77.9.8"] {
            ip("link del usb0").unwrap();
            let evidence = watched.until_dead().await;
            assert!(matches!(evidence, Evidence::ProbesSilent { .. }), "{evidence}");
            plug_in(address);
            let plugged = Instant::now();
            watched.until_returned().await;
            println!("    returned {:?} after it was plugged in", plugged.elapsed());
        }
        let counts = *watched.counts.borrow();
        assert_eq!((counts.forged, counts.malformed), (0, 0), "{counts:?}");
    });
    drop(relay);
}
