//! Our echo: what is read is exactly what would be written, a responder answers with as many bytes as it was asked with,
//! and a prober believes none of it, not having asked.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use holdfast::clock;
use holdfast::link::probe::echo::Echo;
use holdfast::link::probe::{Prober, Responder};
use holdfast::model::{ProbeKind, ProbeTarget};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (now, from) = (clock::now(), SocketAddr::from(([192, 0, 2, 1], 9710)));
    let mut responder = Responder::new(now);
    let target = ProbeTarget { kind: ProbeKind::Echo, host: "192.0.2.1".to_owned(), port: 9710 };
    let mut prober = Prober::new(1, now);
    prober.set_targets(std::slice::from_ref(&target));
    prober.set_addresses(&target, &[from], now);
    let asked = prober.poll_transmit(now).expect("it is due");
    let answered = responder.answer(from, data, now);
    match Echo::read(data) {
        Ok(echo) => {
            assert_eq!(echo.write(), data);
            assert_eq!(answered.is_some(), matches!(echo, Echo::Question(_)));
        }
        Err(_) => assert_eq!(answered, None),
    }
    assert!(answered.is_none_or(|answer| answer.len() == data.len()));
    prober.handle_datagram(from, data, now);
    assert_eq!(prober.counts().answered, 0);
    // What it did ask it believes, whatever came before.
    let good = responder.answer(from, &asked.bytes, now).expect("a question");
    prober.handle_datagram(from, &good, now + Duration::from_millis(20));
    assert_eq!(prober.counts().answered, 1);
});
