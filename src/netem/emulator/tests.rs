//! With real sockets on loopback. Timing bounds are generous: other work shares the machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::super::{Namespace, Testbed, Uplink};
use super::*;
use crate::clock;

const PATIENCE: Duration = Duration::from_secs(10);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(loopback()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A server, a client and a cable between them.
fn bench(conditions: Conditions) -> (Emulator, UdpSocket, UdpSocket) {
    let (client, server) = (socket(), socket());
    let wiring = Wiring::Udp { listen: loopback(), target: server.local_addr().unwrap(), from: None };
    let emulator = Emulator::start(vec![Cable::new("main", conditions, wiring)], 1).unwrap();
    client.connect(emulator.address("main").unwrap()).unwrap();
    (emulator, client, server)
}

/// Waits until so many packets from A have met their fate.
fn wait_for_entries(emulator: &mut Emulator, count: u64) {
    let begin = clock::now();
    while emulator.report().unwrap().cables[0].forward.entered < count {
        assert!(clock::now() - begin < PATIENCE, "{:?}", emulator.report());
    }
}

#[test]
fn datagrams_go_both_ways_and_take_their_time() {
    let (_emulator, client, server) = bench(Conditions::delayed(ms(30)));
    let begin = clock::now();
    client.send(b"there").unwrap();
    let mut buffer = [0; 100];
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    let there = clock::now() - begin;
    server.send_to(b"and back", from).unwrap();
    assert_eq!(&buffer[..length], b"there");
    assert_eq!(client.recv(&mut buffer).unwrap(), 8);
    let and_back = clock::now() - begin;
    assert!(there >= ms(30) && and_back >= ms(60), "{there:?}, {and_back:?}");
    assert!(and_back < ms(500), "{and_back:?}");
}

#[test]
fn orders_take_effect_at_once_and_are_refused_in_words() {
    let (mut emulator, client, server) = bench(Conditions::default());
    let mut buffer = [0; 100];
    emulator.order("main hole forward").unwrap();
    client.send(b"lost").unwrap();
    wait_for_entries(&mut emulator, 1);
    emulator.order("* heal").unwrap();
    client.send(b"there").unwrap();
    assert_eq!(server.recv(&mut buffer).unwrap(), 5, "the one in the hole does not come");
    assert_eq!(emulator.report().unwrap().cables[0].forward.swallowed, 1);
    for (order, why) in [("spare cut", "no such cable"), ("main explode", "explode"), ("what", "not CABLE CHANGE")] {
        let error = emulator.order(order).unwrap_err().to_string();
        assert!(error.contains(why), "{order}: {error}");
    }
}

#[test]
fn a_report_says_when_large_packets_entered_since_the_mark() {
    let (mut emulator, client, _server) = bench(Conditions::default());
    client.send(&[0; 1316]).unwrap();
    wait_for_entries(&mut emulator, 1);
    let marked = emulator.order_at("mark").unwrap();
    client.send(&[0; 44]).unwrap();
    client.send(&[0; 1316]).unwrap();
    wait_for_entries(&mut emulator, 3);
    let report = emulator.report().unwrap();
    let forward = &report.cable("main").unwrap().forward;
    assert_eq!((report.marked_at_us, forward.large, forward.large_at_us.len()), (marked, 1, 1));
    assert_eq!((forward.delivered, forward.delivered_bytes), (3, 1316 * 2 + 44));
}

#[test]
fn a_rebound_mapping_has_another_address_and_still_answers() {
    let (mut emulator, client, server) = bench(Conditions::default());
    let mut buffer = [0; 100];
    client.send(b"one").unwrap();
    let (_, first) = server.recv_from(&mut buffer).unwrap();
    emulator.order("main rebind").unwrap();
    client.send(b"two").unwrap();
    let (_, second) = server.recv_from(&mut buffer).unwrap();
    assert_ne!(first, second);
    server.send_to(b"back", second).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 4);
}

#[test]
fn clients_do_not_get_each_others_answers() {
    let (emulator, first, server) = bench(Conditions::default());
    let second = socket();
    second.connect(emulator.address("main").unwrap()).unwrap();
    let mut buffer = [0; 100];
    for (client, said) in [(&first, b"first"), (&second, b"other")] {
        client.send(said).unwrap();
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], from).unwrap();
    }
    for (client, said) in [(&first, b"first"), (&second, b"other")] {
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], said);
    }
}

#[test]
fn a_connection_is_carried_whole_stands_still_in_a_hole_and_goes_on() {
    let server = TcpListener::bind(loopback()).unwrap();
    let wiring = Wiring::Tcp { listen: loopback(), target: server.local_addr().unwrap() };
    let mut emulator = Emulator::start(vec![Cable::new("main", Conditions::delayed(ms(5)), wiring)], 1).unwrap();
    let mut client = TcpStream::connect(emulator.address("main").unwrap()).unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    for stream in [&client, &accepted] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    let sent: Vec<u8> = (0..30_000_000u32).map(|n| (n % 251) as u8).collect();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            client.write_all(&sent).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = vec![0; 1_000_000];
        accepted.read_exact(&mut received).unwrap();
        emulator.order("main hole").unwrap();
        accepted.set_read_timeout(Some(ms(200))).unwrap();
        // What was under way still comes, then nothing does.
        let mut piece = [0; 65_536];
        while let Ok(length) = accepted.read(&mut piece) {
            assert_ne!(length, 0, "a hole is no end");
            received.extend_from_slice(&piece[..length]);
        }
        emulator.order("main heal").unwrap();
        accepted.set_read_timeout(Some(PATIENCE)).unwrap();
        accepted.read_to_end(&mut received).unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
        sender.join().unwrap();
    });
}

/// With root only: the device's own word on its carrier, and real packets through it.
#[test]
fn taps_carry_packets_and_really_lose_their_carrier() {
    let uplinks =
        ["main", "spare"].map(|name| Uplink { name: name.to_owned(), conditions: Conditions::delayed(ms(10)) });
    let mut testbed = match Testbed::with_namespaces(&uplinks, 1) {
        Ok(testbed) => testbed,
        Err(why) => {
            println!("not tried: {why}");
            return;
        }
    };
    let server = testbed.at_relay(|| UdpSocket::bind(("0.0.0.0", 7000))).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 100];
    for name in ["main", "spare"] {
        let (relay, device) = testbed.way(name, 7000).unwrap();
        let client = testbed.at_box(|| UdpSocket::bind(("0.0.0.0", 0))).unwrap();
        socket2::SockRef::from(&client).bind_device(device.as_ref().map(String::as_bytes)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send_to(name.as_bytes(), relay).unwrap();
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], name.as_bytes());
        server.send_to(b"back", from).unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), 4);
    }
    let carrier = |testbed: &Testbed| {
        testbed.at_box(|| {
            let said = std::process::Command::new("ip").args(["-o", "link", "show", "main"]).output()?;
            Ok(!String::from_utf8_lossy(&said.stdout).contains("NO-CARRIER"))
        })
    };
    assert!(carrier(&testbed).unwrap());
    testbed.emulator.order("main cut").unwrap();
    assert!(!carrier(&testbed).unwrap());
    testbed.emulator.order("main heal").unwrap();
    assert!(carrier(&testbed).unwrap());
    println!("{}", testbed.told());
}

#[test]
fn a_namespace_has_its_own_network() {
    let Ok(namespace) = Namespace::new() else {
        println!("not tried: no right to make namespaces");
        return;
    };
    let here = socket();
    // The same port is free there, since it is another loopback.
    namespace.enter(|| UdpSocket::bind(here.local_addr()?)).unwrap();
}
