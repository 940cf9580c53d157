//! A publisher's session with somebody who says anything at all, at any time, in pieces of any size.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use holdfast::config::{RtmpInput, Secret};
use holdfast::model::{InputId, RenditionId};
use holdfast::mux::flv::read::Source;
use holdfast::rtmp::server::{Denial, Gate, MAX_INPUT, Server, ServerEvent};
use libfuzzer_sys::fuzz_target;

/// No chance finds it by itself; the corpus holds it.
const KEY: &str = "s3cr3t";
/// As much as one call can make the server say.
const MAX_SAID: usize = 2 << 20;

/// Takes what the session has to say. Whether it is over.
fn drain(session: &mut Server, accepts: bool, now: Instant) -> bool {
    let mut over = false;
    loop {
        let waiting: usize = session.outbox().slices().map(<[u8]>::len).sum();
        assert!(waiting <= MAX_SAID, "{waiting} bytes of answers");
        session.outbox().advance(waiting);
        let Some(event) = session.poll_event() else { return over };
        assert!(!over, "{event:?} after the end");
        match event {
            ServerEvent::Asks if accepts => session.accept(now),
            ServerEvent::Asks => session.refuse(Denial::Taken),
            ServerEvent::Refused(why) => {
                assert!(!format!("{why:?} {why}").contains(KEY), "the stream key is in {why:?}");
                over = true;
            }
            ServerEvent::Ended(_) => over = true,
            ServerEvent::Publishing { .. }
            | ServerEvent::Unit(_)
            | ServerEvent::TimeBase
            | ServerEvent::LeftOut(_) => {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut random = fastrand::Rng::with_seed(1);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 1935));
    let settings = RtmpInput { listen, app: "live".to_owned(), key: Some(Secret::new(KEY)) };
    let gate = Gate::new(&settings, &mut random);
    let source = Source {
        input: InputId::new("phone").expect("a name"),
        rendition: RenditionId::new("main").expect("a name"),
    };
    let mut session = Server::new(gate, source, random, now);
    let (&mode, mut data) = data.split_first().unwrap_or((&0, &[]));
    // Two thirds of the inputs begin after the handshake, which chance alone would seldom get through.
    if mode % 3 != 0 {
        let mut hello = vec![3];
        hello.resize(1 + 2 * 1536, 0);
        session.handle_input(&hello, now);
    }
    let accepts = mode & 0x40 == 0;
    while let Some((&length, rest)) = data.split_first() {
        let (piece, rest) = rest.split_at(rest.len().min(usize::from(length) + 1).min(MAX_INPUT));
        session.handle_input(piece, now);
        let mut over = drain(&mut session, accepts, now);
        if length == 254 {
            session.displace();
            over |= drain(&mut session, accepts, now);
        }
        now += Duration::from_millis(u64::from(length));
        if session.poll_timeout().is_some_and(|(deadline, _)| deadline <= now) {
            session.handle_timeout(now);
            assert!(session.poll_timeout().is_none_or(|(deadline, _)| deadline > now), "a timer that does not move on");
            over |= drain(&mut session, accepts, now);
        }
        assert_eq!(session.is_over(), over, "an end without a word");
        if over {
            break;
        }
        data = rest;
    }
    session.handle_closed("the input ended");
    drain(&mut session, accepts, now);
    assert!(session.is_over());
});
