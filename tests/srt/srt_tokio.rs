//! The crate srt-tokio 0.4.4, as far as it goes: one link, in clear and encrypted.
//!
//! Known of it, and so not asked of it: it cannot carry group handshakes (and panics on them as a listener); as a caller it
//! takes the listener's induction timestamp for its time base, so that it releases packets too early when the listener has
//! been up for long, and says the size of its payloads where the size of datagrams belongs (MSS); it asks again and again
//! for what is lost, so the links here lose nothing; it measures no round-trip time. As a listener it is only given our
//! own well-formed handshakes, without the private extension that its parser does not know.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use srt_tokio::options::PacketSize;
use srt_tokio::{SrtListener, SrtSocket};

use crate::endpoint::now_us;
use crate::endpoint::numbered::{self, Tally};
use crate::endpoint::peer::{Peer, words};
use crate::pipes::{PASSPHRASE, free_port};
use crate::table::{Row, judge};

const SOON: Duration = Duration::from_secs(20);
/// What a payload of 1316 bytes needs with its headers.
const MSS: u64 = 1316 + 44;
const COUNT: u64 = 400;
const EVERY: Duration = Duration::from_millis(4);

fn keys(encrypted: bool) -> String {
    if encrypted { format!("--passphrase {PASSPHRASE} --key-bytes 16") } else { String::new() }
}

/// A connected socket, and the listener without which it would die.
async fn socket(it_calls: bool, encrypted: bool, port: u16) -> (SrtSocket, Option<SrtListener>) {
    let latency = Duration::from_millis(300);
    if it_calls {
        let builder = SrtSocket::builder().latency(latency);
        let builder = builder.set(|options| options.sender.max_payload_size = PacketSize(MSS));
        let builder = if encrypted { builder.encryption(16, PASSPHRASE) } else { builder };
        let socket = builder.call(format!("127.0.0.1:{port}").as_str(), None).await.expect("srt-tokio connects");
        return (socket, None);
    }
    let builder = SrtListener::builder().latency(latency);
    let builder = if encrypted { builder.encryption(16, PASSPHRASE) } else { builder };
    let (listener, mut incoming) = builder.bind(format!("127.0.0.1:{port}").as_str()).await.expect("srt-tokio listens");
    let request = incoming.incoming().next().await.expect("somebody calls");
    (request.accept(None).await.expect("srt-tokio accepts"), Some(listener))
}

fn carry(it_calls: bool, it_sends: bool, encrypted: bool) -> Row {
    let port = free_port();
    let role = if it_sends { "receive" } else { "send" };
    let direction = if it_calls { "listen" } else { "call" };
    let line = format!(
        "{direction} {role} --type none --plain-srt --latency 300 --rate 2632000 --seconds 2 {} 127.0.0.1:{port}",
        keys(encrypted)
    );
    let mut ours = Peer::holdfast(&words(&line));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tally = runtime.block_on(async {
        let (mut socket, _listener) =
            tokio::time::timeout(SOON, socket(it_calls, encrypted, port)).await.expect("in time");
        let mut tally = Tally::default();
        if it_sends {
            let mut tick = tokio::time::interval(EVERY);
            for number in 0..COUNT {
                tick.tick().await;
                let payload: Bytes = numbered::write(3, number, now_us());
                socket.send((Instant::now(), payload)).await.expect("srt-tokio sends");
            }
            socket.close_and_finish().await.expect("srt-tokio closes");
        } else {
            while let Ok(Some(Ok((_, payload)))) = tokio::time::timeout(SOON, socket.next()).await {
                tally.count(&payload, now_us());
            }
        }
        tally
    });
    let report = ours.report(SOON);
    let (sent, received, corrupt) = match it_sends {
        true => (COUNT, report["received"].as_u64().unwrap_or(0), report["corrupt"].as_u64().unwrap_or(9)),
        false => (report["sent"].as_u64().unwrap_or(0), tally.unique, tally.corrupt),
    };
    let keys = if encrypted { "AES-128" } else { "clear" };
    let case = format!(
        "srt-tokio {}, {}, {keys}",
        if it_calls { "calls" } else { "listens" },
        if it_sends { "sends" } else { "receives" }
    );
    Row { case, sent, received, missing: sent - received + corrupt, remark: String::new() }
}

#[test]
fn srt_tokio_both_ways() {
    let cases = [(false, false), (false, true), (true, false), (true, true)];
    let mut rows = Vec::new();
    for encrypted in [false, true] {
        rows.extend(crate::table::side_by_side(4, &cases, |(it_calls, it_sends)| {
            carry(*it_calls, *it_sends, encrypted)
        }));
    }
    judge("srt-tokio 0.4.4", &rows);
}
