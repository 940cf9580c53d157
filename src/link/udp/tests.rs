//! Sockets on loopback and in network namespaces of their own.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use tokio::time::timeout;

use super::*;

/// Longer than loopback takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(30);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(binding: &Binding) -> UdpSocket {
    binding.open().unwrap().0
}

fn listener(address: &str) -> UdpSocket {
    open(&Binding::listener(address.parse().unwrap()))
}

fn caller(address: &str) -> UdpSocket {
    open(&Binding::caller(None, address.parse().unwrap()))
}

fn at(ip: &str, socket: &UdpSocket) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), socket.local().port())
}

/// What was received: from, to, bytes.
type Got = Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)>;

async fn receive(socket: &UdpSocket, count: usize) -> Got {
    let (mut inbox, mut got) = (Inbox::new(), Got::new());
    let all = async {
        while got.len() < count {
            socket.readable().await.unwrap();
            while socket.receive(&mut inbox, |d| got.push((d.from, d.to, d.bytes.to_vec()))).unwrap() > 0 {}
        }
    };
    let in_time = timeout(PATIENCE, all).await.is_ok();
    assert!(in_time, "{} of {count} datagrams", got.len());
    got
}

fn send(socket: &UdpSocket, route: Route, datagrams: &[Vec<u8>]) -> Sent {
    let mut outbox = Outbox::new();
    for datagram in datagrams {
        assert!(outbox.push(route, datagram));
    }
    let sent = socket.send(&mut outbox);
    assert!(outbox.is_empty() || sent.is_blocked);
    sent
}

/// Of length `length`, each beginning with its number.
fn numbered(count: u8, length: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| vec![n; length]).collect()
}

/// In a network namespace of its own; `false` if this user may not have one.
fn in_a_namespace(test: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::spawn(move || {
        // SAFETY: affects only this thread, which was made for it.
        let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        if done == 0 {
            test();
        } else {
            eprintln!("skipped: this user may not make a network namespace");
        }
        done == 0
    });
    thread.join().unwrap()
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn a_train_arrives_as_the_datagrams_it_was_made_of() {
    let (here, there) = (caller("127.0.0.1:0"), listener("127.0.0.1:0"));
    let mut datagrams = numbered(40, 1332);
    datagrams.push(vec![40; 60]);
    let sent = send(&here, Route { to: there.local(), from: None }, &datagrams);
    assert_eq!((sent.datagrams, sent.lost, sent.bytes), (41, 0, 40 * 1332 + 60));
    let got = receive(&there, 41).await;
    assert_eq!(got.into_iter().map(|(_, _, bytes)| bytes).collect::<Vec<_>>(), datagrams);
}

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    for (everywhere, here, asked) in [
        ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"),
        ("[::]:0", "127.0.0.1:0", "127.0.0.2"),
        ("[::]:0", "[::1]:0", "::1"),
    ] {
        let (relay, caller) = (listener(everywhere), caller(here));
        let to = at(asked, &relay);
        send(&caller, Route { to, from: None }, &numbered(1, 100));
        let mut inbox = Inbox::new();
        timeout(PATIENCE, relay.readable()).await.unwrap().unwrap();
        let mut back = None;
        assert_eq!(relay.receive(&mut inbox, |d| back = Some(d.way_back())), Ok(1));
        let back = back.unwrap();
        assert_eq!(back.from.map(|ip| ip.to_canonical()), Some(to.ip()), "{everywhere} asked at {asked}");

        // One, a train, and a batch: three different system calls.
        let answers = [numbered(1, 44), numbered(3, 1332), vec![vec![7; 20], vec![8; 30], vec![9; 40]]];
        for datagrams in answers {
            let sent = send(&relay, back, &datagrams);
            assert_eq!((sent.datagrams as usize, &sent.trouble), (datagrams.len(), &None));
            for (from, _, _) in receive(&caller, datagrams.len()).await {
                assert_eq!(from, to, "{everywhere} asked at {asked}");
            }
        }
    }
}

#[tokio::test]
async fn one_batch_goes_to_many_far_ends() {
    let here = caller("127.0.0.1:0");
    let there: Vec<_> = (0..5).map(|_| listener("127.0.0.1:0")).collect();
    let mut outbox = Outbox::new();
    for (n, socket) in there.iter().enumerate() {
        assert!(outbox.push(Route { to: socket.local(), from: None }, &[n as u8; 200]));
    }
    assert_eq!(here.send(&mut outbox).datagrams, 5);
    for (n, socket) in there.iter().enumerate() {
        assert_eq!(receive(socket, 1).await[0].2, [n as u8; 200]);
    }
}

#[tokio::test]
async fn where_nobody_listens_is_told_and_does_not_stop_the_rest() {
    let (here, there) = (caller("127.0.0.1:0"), listener("127.0.0.1:0"));
    let nobody = {
        let gone = listener("127.0.0.1:0");
        gone.local()
    };
    send(&here, Route { to: nobody, from: None }, &numbered(1, 50));
    // On loopback the answer is there when the call returns; it comes with the next call, whichever that is.
    let sent = send(&here, Route { to: there.local(), from: None }, &numbered(3, 50));
    let trouble = sent.trouble.unwrap();
    assert_eq!((sent.datagrams, sent.lost, &trouble.trouble), (3, 0, &UdpTrouble::Refused));
    assert_eq!(trouble.to_string(), format!("{}: nobody listens at that port", here.local()));
    assert_eq!(receive(&there, 3).await.len(), 3);

    send(&here, Route { to: nobody, from: None }, &numbered(1, 50));
    timeout(PATIENCE, here.readable()).await.unwrap().unwrap();
    let heard = here.receive(&mut Inbox::new(), |_| panic!("nobody sent anything"));
    assert_eq!(heard.unwrap_err().trouble, UdpTrouble::Refused);
}

#[tokio::test]
async fn a_full_kernel_buffer_keeps_the_rest_in_the_outbox() {
    let there = listener("127.0.0.1:0");
    let here = open(&Binding { send_buffer: 4096, ..Binding::caller(None, "127.0.0.1:0".parse().unwrap()) });
    let mut outbox = Outbox::new();
    let route = Route { to: there.local(), from: None };
    // A socket that nobody reads gives the sender's buffer back at once on loopback, so blocking is provoked by shutting
    // the readiness off: the outbox must be exactly what was not taken.
    let mut sent = 0;
    for _ in 0..50 {
        for datagram in numbered(20, 1200) {
            assert!(outbox.push(route, &datagram));
        }
        let waiting = outbox.len();
        let done = here.send(&mut outbox);
        assert_eq!(outbox.len() as u64, waiting as u64 - done.datagrams - done.lost);
        assert_eq!(done.is_blocked, !outbox.is_empty());
        sent += done.datagrams;
        if done.is_blocked {
            timeout(PATIENCE, here.writable()).await.unwrap().unwrap();
        }
    }
    assert!(sent > 0);
}

#[tokio::test]
async fn an_empty_datagram_from_a_stranger_is_passed_over() {
    let there = listener("127.0.0.1:0");
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(&[], there.local()).unwrap();
    stranger.send_to(&[5], there.local()).unwrap();
    assert_eq!(receive(&there, 1).await[0].2, [5]);
}

#[test]
fn refusals_say_where_and_why() {
    runtime().block_on(async {
        let taken = listener("127.0.0.1:0");
        let error = |binding: Binding| binding.open().unwrap_err();
        let again = error(Binding::listener(taken.local()));
        assert_eq!(again.to_string(), format!("{}: another process listens there already", taken.local()));
        let foreign = error(Binding::listener("192.0.2.77:0".parse().unwrap()));
        assert_eq!(foreign.trouble, UdpTrouble::NoSuchAddress);
        let nowhere = error(Binding::caller(Some("nosuch0".into()), "0.0.0.0:0".parse().unwrap()));
        assert_eq!(nowhere.to_string(), "nosuch0 (0.0.0.0:0): there is no interface of this name");
    });
}

#[test]
fn a_buffer_smaller_than_asked_for_is_told_with_its_remedy() {
    let told = std::thread::spawn(|| {
        // Root is given whatever it asks for.
        // SAFETY: the raw system call changes this thread only, which was made for it.
        unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        runtime().block_on(async {
            let binding =
                Binding { receive_buffer: 1 << 29, ..Binding::listener(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) };
            binding.open().unwrap().1
        })
    });
    let told = told.join().unwrap();
    let shortfall = told.iter().find(|s| s.buffer == Buffer::Receive).unwrap();
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse::<usize>().unwrap();
    assert_eq!((shortfall.asked, shortfall.given), (1 << 29, limit));
    let text = shortfall.to_string();
    assert!(text.ends_with("allow more with sysctl -w net.core.rmem_max=536870912"), "{text}");
}

#[test]
fn a_refused_train_is_sent_as_datagrams_from_then_on() {
    in_a_namespace(|| {
        // Datagrams longer than the MTU cannot be segments, but the kernel may cut them.
        ip("link set lo mtu 1000 up");
        runtime().block_on(async {
            let (here, there) = (caller("127.0.0.1:0"), listener("127.0.0.1:0"));
            if !here.sends_trains() {
                eprintln!("skipped: this kernel has no UDP segmentation offload");
                return;
            }
            let datagrams = numbered(10, 1332);
            let sent = send(&here, Route { to: there.local(), from: None }, &datagrams);
            assert_eq!((sent.datagrams, sent.lost, &sent.trouble), (10, 0, &None));
            assert!(!here.sends_trains(), "still tries what was refused");
            let got = receive(&there, 10).await;
            assert_eq!(got.into_iter().map(|(_, _, bytes)| bytes).collect::<Vec<_>>(), datagrams);
        });
    });
}

/// Bytes that `interface` has sent, from the namespace of this thread.
fn bytes_sent(interface: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{interface}:"))).unwrap().to_owned();
    line.split_whitespace().nth(8).unwrap().parse().unwrap()
}

#[test]
fn a_bound_socket_leaves_by_its_interface_whatever_the_routes_prefer() {
    in_a_namespace(|| {
        for (here, there, address) in [("wired", "w", "10.0.0.1/24"), ("radio", "r", "10.0.1.1/24")] {
            ip(&format!("link add {here} type veth peer name {there}"));
            ip(&format!("link set {there} up"));
            ip(&format!("addr add {address} dev {here}"));
            ip(&format!("link set {here} up"));
        }
        ip("neigh add 10.0.0.254 lladdr 02:00:00:00:00:01 dev wired nud permanent");
        ip("neigh add 10.0.1.254 lladdr 02:00:00:00:00:02 dev radio nud permanent");
        ip("route add default via 10.0.0.254 dev wired metric 10");
        ip("route add default via 10.0.1.254 dev radio metric 1000");
        runtime().block_on(async {
            let route = Route { to: "192.0.2.1:9000".parse().unwrap(), from: None };
            let free = Binding::caller(None, "0.0.0.0:0".parse().unwrap());
            let bound = Binding::caller(Some("radio".into()), "10.0.1.1:0".parse().unwrap());
            let count = || (bytes_sent("wired"), bytes_sent("radio"));
            let before = count();
            assert_eq!(send(&open(&free), route, &numbered(20, 100)).datagrams, 20);
            let between = count();
            assert!(between.0 >= before.0 + 2000 && between.1 < before.1 + 2000, "{before:?} {between:?}");
            let socket = open(&bound);
            assert_eq!(send(&socket, route, &numbered(20, 100)).datagrams, 20);
            let after = count();
            assert!(after.1 >= between.1 + 2000 && after.0 < between.0 + 2000, "{between:?} {after:?}");

            ip("link set radio down");
            let sent = send(&socket, route, &numbered(2, 100));
            assert_eq!(sent.lost, 2);
            assert!(matches!(sent.trouble.unwrap().trouble, UdpTrouble::Unreachable | UdpTrouble::Down));
        });
    });
}
