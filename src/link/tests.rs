//! The monitor against a real kernel, in network namespaces of its own.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use super::*;
use crate::clock;
use crate::events::LinkClass;

/// Longer than any of this takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

/// In a network namespace of its own, with what follows on a runtime; says so if this user may not have one.
fn in_a_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let done = std::thread::spawn(move || {
        // SAFETY: affects only this thread, which was made for it.
        let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        if done == 0 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test());
        }
        done == 0
    })
    .join()
    .unwrap();
    if !done {
        eprintln!("skipped: this user may not make a network namespace");
    }
}

/// `here` with an address, and what it is plugged into.
fn pair(here: &str, there: &str, address: &str) {
    ip(&format!("link add {here} type veth peer name {there}"));
    ip(&format!("link set {there} up"));
    ip(&format!("addr add {address} dev {here}"));
    ip(&format!("link set {here} up"));
}

async fn until(monitor: &mut Monitor, what: &str, mut is_so: impl FnMut(&Links) -> bool) -> Arc<Links> {
    let seen = timeout(PATIENCE, monitor.links.wait_for(|links| is_so(links))).await;
    seen.unwrap_or_else(|_| panic!("waited for {what} in vain")).unwrap().clone()
}

async fn heard(monitor: &mut Monitor, name: &str, is_it: impl Fn(&What) -> bool) -> Change {
    let hear = async {
        loop {
            let change = monitor.changes.recv().await.unwrap();
            if change.name == name && is_it(&change.what) {
                return change;
            }
        }
    };
    timeout(PATIENCE, hear).await.unwrap_or_else(|_| panic!("nothing of the kind was told of {name}"))
}

fn is_up(links: &Links, name: &str) -> bool {
    links.named(name).is_some_and(|link| link.state == LinkState::Up)
}

#[test]
fn a_flapping_carrier_is_seen_each_time_within_a_tenth_of_a_second() {
    in_a_namespace(|| async {
        pair("here", "there", "192.0.2.1/24");
        let mut monitor = watch(Options::default()).unwrap();
        until(&mut monitor, "carrier", |links| is_up(links, "here")).await;
        let (mut downs, mut ups) = (Vec::new(), Vec::new());
        // The kernel itself tells of such a carrier up to a second late, and not each time.
        for n in 0..16u64 {
            let pause = Duration::from_millis(300 + n * 37 % 400);
            let began = clock::media();
            ip("link set there down");
            let lost = heard(&mut monitor, "here", |what| *what == What::CarrierLost).await;
            downs.push((lost.at - began).to_ticks(1000));
            sleep_until((clock::now() + pause / 2).into()).await;
            let began = clock::media();
            ip("link set there up");
            let back = heard(&mut monitor, "here", |what| *what == What::CarrierReturned).await;
            ups.push((back.at - began).to_ticks(1000));
            sleep_until((clock::now() + pause / 2).into()).await;
        }
        println!("carrier flapping every 0.3 to 0.7 s: lost seen after {downs:?} ms, back after {ups:?} ms");
        let mut all: Vec<i64> = downs.iter().chain(&ups).copied().collect();
        all.sort_unstable();
        // From before `ip` is started to when it is noticed. The bound has room for a busy machine; half of them keep it.
        assert!(all[all.len() / 2] <= 100, "the median is {} ms", all[all.len() / 2]);
        assert!(all[all.len() - 1] <= 600, "{all:?}");
        let links = monitor.links.borrow().clone();
        let here = links.named("here").unwrap();
        assert!(here.carrier_changes.unwrap() >= 32, "{here:?}");
        assert_eq!(here.class.class, LinkClass::Virtual, "{:?}", here.class);
    });
}

#[test]
fn addresses_routes_and_interfaces_that_come_and_go_are_told() {
    in_a_namespace(|| async {
        pair("here", "there", "192.0.2.1/24");
        let mut monitor = watch(Options::default()).unwrap();
        until(&mut monitor, "the first look", |links| is_up(links, "here")).await;
        ip("route add default via 192.0.2.254 dev here");
        heard(&mut monitor, "here", |what| *what == What::RouteGained).await;

        // Renewed: the old one goes, another one comes.
        ip("addr del 192.0.2.1/24 dev here");
        ip("addr add 192.0.2.77/24 dev here");
        heard(&mut monitor, "here", |what| *what == What::AddressLost("192.0.2.1".parse().unwrap())).await;
        heard(&mut monitor, "here", |what| *what == What::AddressGained("192.0.2.77".parse().unwrap())).await;
        // The kernel took the route with the address, and may have said nothing.
        until(&mut monitor, "the route to be gone", |links| {
            links.named("here").is_some_and(|here| here.gateways.is_empty())
        })
        .await;

        let before = monitor.links.borrow().named("here").unwrap().index;
        ip("link del here");
        heard(&mut monitor, "here", |what| *what == What::Gone).await;
        pair("here", "there", "192.0.2.1/24");
        heard(&mut monitor, "here", |what| matches!(what, What::Returned(_))).await;
        let after = monitor.links.borrow().named("here").unwrap().index;
        assert_ne!(before, after, "another interface under the old name");

        ip("link set here down");
        ip("link set here name renamed");
        heard(&mut monitor, "renamed", |what| *what == What::Renamed { from: "here".into() }).await;
        ip("rule add oif renamed table 201 priority 1000");
        ip("link set renamed up");
        until(&mut monitor, "the rule", |links| {
            links.rules.iter().any(|rule| rule.oif.as_deref() == Some("renamed") && rule.table == 201)
        })
        .await;
    });
}

#[test]
fn what_is_lost_in_an_overrun_is_found_again() {
    in_a_namespace(|| async {
        pair("here", "there", "192.0.2.1/24");
        // Room for hardly a message.
        let mut monitor = watch(Options { receive_buffer: 2048, ..Options::default() }).unwrap();
        until(&mut monitor, "the first look", |links| is_up(links, "here")).await;
        let churning = Arc::new(AtomicBool::new(true));
        let go_on = churning.clone();
        // A thread made here is in this namespace.
        let churn = std::thread::spawn(move || {
            let mut rounds = 0u32;
            while go_on.load(Ordering::Relaxed) || rounds == 0 {
                let batch: String = (0..200)
                    .map(|n| format!("addr add 198.51.{n}.1/32 dev here\naddr del 198.51.{n}.1/32 dev here\n"))
                    .collect();
                let mut ip =
                    Command::new("ip").args(["-batch", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
                std::io::Write::write_all(ip.stdin.as_mut().unwrap(), batch.as_bytes()).unwrap();
                assert!(ip.wait().unwrap().success());
                rounds += 1;
            }
            rounds
        });
        sleep_until((clock::now() + Duration::from_secs(2)).into()).await;
        // In the midst of it something happens that must not be missed.
        ip("addr add 203.0.113.5/24 dev here");
        ip("link add late type veth peer name other");
        churning.store(false, Ordering::Relaxed);
        let rounds = tokio::task::spawn_blocking(move || churn.join().unwrap()).await.unwrap();
        let began: Instant = clock::now();
        let expected = "203.0.113.5".parse().unwrap();
        let links = until(&mut monitor, "what happened in the overrun", |links| {
            let here = links.named("here").unwrap();
            links.named("late").is_some()
                && here.has(expected)
                && here.addresses.iter().filter(|(a, _)| a.is_ipv4()).count() == 2
        })
        .await;
        println!("{} address changes; all known {:?} after the last", rounds * 400, clock::now() - began);
        println!("{} overruns", links.overruns);
        assert!(links.overruns > 0, "the kernel had room enough; this showed nothing");
    });
}

#[test]
fn the_kernel_says_when_a_network_comes_back() {
    in_a_namespace(|| async {
        ip("link add here type veth peer name there");
        ip("link set there up");
        ip("addr add 192.0.2.1/24 dev here");
        let mut returns = watch_returns().unwrap();
        let mut next = async || {
            let back = timeout(PATIENCE, returns.recv()).await.expect("the kernel said nothing").unwrap();
            (back.interface, back.why)
        };
        ip("link set here up");
        // It may have been up before the first look; a second interface settles where we are.
        pair("second", "far", "198.51.100.1/24");
        while next().await.0 != "second" {}
        ip("route add default via 192.0.2.254 dev here");
        assert_eq!(next().await, ("here".to_owned(), "it has a default route again"));
        ip("link set here down");
        ip("link set here up");
        assert_eq!(next().await, ("here".to_owned(), "it has carrier and an address again"));
    });
}

#[test]
fn one_look_is_enough_to_list_them() {
    in_a_namespace(|| async {
        pair("here", "there", "192.0.2.1/24");
        ip("route add default via 192.0.2.254 dev here metric 7");
        // On a thread without a runtime, in this namespace.
        let links = std::thread::spawn(|| look().unwrap()).join().unwrap();
        let here = links.named("here").unwrap();
        assert_eq!(links.knowledge, Knowledge::Kernel);
        assert_eq!(here.gateways, ["192.0.2.254".parse().ok()]);
        assert!(links.named("lo").is_none(), "loopback is no uplink");
    });
}
