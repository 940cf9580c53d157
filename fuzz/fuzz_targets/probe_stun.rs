//! STUN answers: any bytes, and with the right transaction in them any answer; a prober that asked believes what is read as
//! an answer to its question, and nothing else.
#![no_main]

use std::net::SocketAddr;

use holdfast::clock;
use holdfast::link::probe::{Prober, stun};
use holdfast::model::{ProbeKind, ProbeTarget};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (now, from) = (clock::now(), SocketAddr::from(([192, 0, 2, 1], 3478)));
    let target = ProbeTarget { kind: ProbeKind::Stun, host: "192.0.2.1".to_owned(), port: 3478 };
    let mut prober = Prober::new(1, now);
    prober.set_targets(std::slice::from_ref(&target));
    prober.set_addresses(&target, &[from], now);
    let asked = prober.poll_transmit(now).expect("it is due");
    prober.handle_datagram(from, data, now);
    assert_eq!(prober.counts().answered, 0);
    // The same as if it came from somebody who was asked.
    let mut answer = data.to_vec();
    if let Some(id) = answer.get_mut(8..20) {
        id.copy_from_slice(&asked.bytes[8..20]);
    }
    let read = stun::read(&answer);
    prober.handle_datagram(from, &answer, now);
    assert_eq!(prober.counts().answered, u64::from(read.is_ok()));
    if let Ok(stun::Answer { outcome: stun::Outcome::Mapped(address), .. }) = read {
        assert_eq!(prober.mapped(), Some(address));
        assert!(answer.len() >= stun::HEADER + 12);
    }
});
