//! Destinations that are pinned to an interface.

use std::io;
use std::net::SocketAddr;

use super::*;
use crate::config::InterfaceName;
use crate::netem::{Conditions, Testbed, Uplink};

fn pinned(url: RtmpUrl, interface: &str, feed: &Feed) -> Out {
    destination_on(url, None, Some(InterfaceName::new(interface).unwrap()), feed)
}

#[test]
fn an_interface_that_is_not_there_is_told_by_name() {
    on_one_thread(async {
        let server = server(Manner::Accept).await;
        let feed = Feed::new(Duration::from_secs(10), 8 << 20);
        let out = pinned(to(server.port), "nosuch0", &feed);
        let events = out.events.clone();
        assert_eq!(out.trouble().await, "no-interface");
        let told = events.lock().unwrap()[0].reason.clone();
        assert!(told.contains("there is no interface nosuch0"), "{told}");
    });
}

/// What the interfaces of the calling thread's namespace have sent: name and bytes (proc(5), `/proc/net/dev`).
fn sent() -> io::Result<Vec<(String, u64)>> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    let row = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        Some((name.trim().to_owned(), numbers.split_whitespace().nth(8)?.parse().ok()?))
    };
    Ok(table.lines().filter_map(row).collect())
}

#[test]
fn a_pinned_destination_leaves_by_its_interface_wherever_the_default_route_points() {
    let uplinks = ["eth0", "wwan0"]
        .map(|name| Uplink { name: name.to_owned(), conditions: Conditions::delayed(Duration::from_millis(2)) });
    let bed = match Testbed::with_namespaces(&uplinks, 1) {
        Ok(bed) => bed,
        Err(why) => return println!("not shown, for want of namespaces: {why}"),
    };
    // The server and its side of all connections stay in the namespace that the listener was opened in.
    let listener = bed.at_relay(|| std::net::TcpListener::bind("0.0.0.0:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (far_end, _) = bed.way("wwan0", port).unwrap();
    let (peers, counted) = bed
        .at_box(|| {
            let mut peers = Vec::new();
            on_one_thread(async {
                listener.set_nonblocking(true).unwrap();
                let mut server = serve_at(TcpListener::from_std(listener).unwrap(), Manner::Accept);
                let feed = Feed::new(Duration::from_secs(10), 8 << 20);
                for n in 0..20 {
                    feed.push(unit(n, 10_000));
                }
                for interface in [None, Some("wwan0")] {
                    let url = RtmpUrl { host: far_end.ip().to_string(), ..to(port) };
                    let interface = interface.map(|name| InterfaceName::new(name).unwrap());
                    let mut out = destination_on(url, None, interface, &feed);
                    out.until(|s| s.acknowledged > 50_000).await;
                    peers.push(server.peers.recv().await.unwrap());
                }
            });
            Ok((peers, sent()?))
        })
        .unwrap();
    println!("    came from {peers:?}; sent {counted:?}");
    let from = |n: u8| move |peer: &SocketAddr| peer.ip().to_string() == format!("10.77.{n}.1");
    assert!(from(1)(&peers[0]), "unpinned it follows the default route: {peers:?}");
    assert!(from(2)(&peers[1]), "pinned to wwan0 it came from {}", peers[1]);
    let bytes = |name: &str| counted.iter().find(|(n, _)| n == name).map_or(0, |(_, bytes)| *bytes);
    assert!(bytes("wwan0") > 50_000, "{counted:?}");
}
