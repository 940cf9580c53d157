//! The port of an input, asked for until it can be had, and what is told of those who connect.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::remark::{Matter, Remark};
use super::serve;
use crate::config::RtmpInput;
use crate::events::{EventKind, Severity};
use crate::ingest::arrival::Arrival;
use crate::ingest::teller::Teller;
use crate::model::InputId;
use crate::output::EventSink;

/// Until a port that could not be had is asked for again.
const RETRY: Duration = Duration::from_secs(2);

/// Takes what publishers send to `input`, for ever, inside a `LocalSet`. `events` hears of those who are not let in, and of what
/// is left out; who is let in is told by the arrivals.
pub async fn take(input: InputId, settings: RtmpInput, out: mpsc::Sender<Arrival>, events: EventSink) {
    let mut teller = Teller::new(&input, events);
    let address = settings.listen;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => {
                let text = format!("cannot listen for publishers on {address}: {error}; is another program there?");
                teller.note(Severity::Alert, &text);
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    teller.say(EventKind::Note, Severity::Info, format!("listens for a publisher on {address} (RTMP)"));
    let tell = move |remark: Remark| {
        let kind = match remark.what {
            Matter::Denied(_) => EventKind::CallerRefused,
            Matter::LeftOut(_) => EventKind::Note,
        };
        teller.say(kind, Severity::Warning, remark.to_string());
    };
    serve(listener, input, settings, out, tell).await;
}
