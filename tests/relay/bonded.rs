//! Holdfast's own bonded output sends over two cables, one of which is cut.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use holdfast::netem::Conditions;
use holdfast::netem::emulator::{Cable, Emulator, Wiring};

use crate::support::film::after_film;
use crate::support::rig::{Rig, START};
use crate::support::sender;
use crate::support::wait::wait_until;

#[test]
fn one_of_two_cables_is_cut_and_every_picture_arrives() {
    let rig = Rig::new().programme("church", true).recording("church");
    let film = rig.film("film", 8, "320x180");
    let mut relay = rig.start();
    let cables = rig.ports.iter().enumerate().map(|(n, port)| {
        let wiring = Wiring::Udp { listen: local(0), target: local(*port), from: None };
        Cable::new(&format!("cable{n}"), Conditions::default(), wiring)
    });
    let mut emulator = Emulator::start(cables.collect(), 1).unwrap();
    let places = ["cable0", "cable1"].map(|name| emulator.address(name).unwrap());
    let (sender, snapshot) = sender::send(sender::units_of(&fs::read(&film.file).unwrap()), &places);

    let two = rig.wait_for("both paths to bring packets", "church", |s| {
        let paths = s["sender"]["paths"].as_array();
        paths.is_some_and(|paths| paths.len() == 2 && paths.iter().all(|p| p["received"].as_u64() > Some(20)))
    });
    assert_eq!((&two["sender"]["bonding"], &two["sender"]["is_holdfast"]), (&"broadcast".into(), &true.into()));
    let verified = || snapshot.borrow().srt.as_ref().and_then(|srt| srt.far_end).is_some_and(|far| far.is_verified());
    wait_until("the sender to be told that its pictures move", START, verified);
    emulator.order("cable0 cut").unwrap();
    rig.wait_for("the cut path to be given up", "church", |s| {
        s["sender"]["paths"].as_array().is_some_and(|paths| paths.len() == 1)
    });
    sender.join().unwrap();
    let last = rig.wait_for("the sender to have gone", "church", |s| s["sender"].is_null());
    assert_eq!((&last["senders"], &last["totals"]["missing"]), (&1.into(), &0.into()), "{last}");
    assert_eq!(last["totals"]["continuity_errors"], 0);
    let far = snapshot.borrow().srt.as_ref().and_then(|srt| srt.far_end);
    if let Some(far) = far {
        assert_eq!((far.continuity_errors, far.missing), (0, 0));
        assert!(far.picture_age_ms.is_some_and(|ms| (300..5000).contains(&ms)), "{far:?}");
    }
    rig.end(&mut relay);
    let recorded = rig.recorded("church");
    after_film(&recorded[0], &film, 30);
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
