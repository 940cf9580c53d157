//! Posts alerts to the operator's webhook, from its own thread. The address is a secret: it appears nowhere.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use crate::config::Secret;
use crate::events::Event;

/// Alerts waiting to be posted; more are dropped, and how many is told in the next one that is posted.
const QUEUE: usize = 100;
/// Pauses before the second, third and fourth attempt.
const RETRY: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
const TIMEOUT: Duration = Duration::from_secs(10);

/// The sending end. Dropping it ends the thread after what is queued.
#[derive(Debug)]
pub struct Webhook {
    queue: mpsc::SyncSender<(Event, u64)>,
    /// Dropped since the last one that was queued.
    dropped: u64,
}

impl Webhook {
    /// Starts the thread. Why an alert could not be delivered comes through `troubles`, in words without the address.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        address: Secret,
        box_name: String,
        troubles: tokio::sync::mpsc::Sender<String>,
    ) -> std::io::Result<Self> {
        let (queue, events) = mpsc::sync_channel(QUEUE);
        std::thread::Builder::new().name("webhook".into()).spawn(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into();
            for (event, dropped) in events {
                if let Err(why) = post(&agent, &address, &body(&box_name, &event, dropped).to_string()) {
                    // When the main loop is that far behind, it has worse to tell.
                    let _ = troubles.try_send(why);
                }
            }
        })?;
        Ok(Self { queue, dropped: 0 })
    }

    /// Hands an event over; never blocks.
    pub fn send(&mut self, event: &Event) {
        match self.queue.try_send((event.clone(), self.dropped)) {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += 1,
        }
    }
}

/// Posts `body`, with pauses between attempts; the last failure in words.
fn post(agent: &ureq::Agent, address: &Secret, body: &str) -> Result<(), String> {
    let mut pauses = RETRY.into_iter();
    loop {
        let failure = match agent.post(address.reveal()).header("Content-Type", "application/json").send(body) {
            Ok(_) => return Ok(()),
            Err(e) => words(&e),
        };
        let Some(pause) = pauses.next() else { return Err(failure) };
        #[allow(clippy::disallowed_methods, reason = "this thread does nothing but post and wait")]
        std::thread::sleep(pause);
    }
}

/// Never the error's own text, which may hold the address.
fn words(error: &ureq::Error) -> String {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the rest are many, and all mean that it cannot be used")]
    match error {
        ureq::Error::StatusCode(code @ (401 | 403 | 404 | 410)) => {
            format!("the far end answered {code}: the address is not valid any more")
        }
        ureq::Error::StatusCode(code) => format!("the far end answered {code}"),
        ureq::Error::HostNotFound => "its host name is not known; is the network up, and the name right?".to_owned(),
        ureq::Error::Timeout(_) => "the far end does not answer in time".to_owned(),
        ureq::Error::Io(e) => format!("it cannot be reached ({})", e.kind()),
        ureq::Error::ConnectionFailed => "it cannot be reached".to_owned(),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "the far end's certificate is not accepted".to_owned(),
        _ => "the address cannot be used".to_owned(),
    }
}

/// `text` and `content` are what chat services show (one or the other); the rest is for programs.
fn body(box_name: &str, event: &Event, dropped: u64) -> serde_json::Value {
    let about = if event.subject.is_empty() { String::new() } else { format!("{}: ", event.subject) };
    let before = if dropped > 0 { format!(" ({dropped} earlier alerts were dropped)") } else { String::new() };
    let text = format!("{box_name} – {about}{}{before}", event.reason);
    json!({ "text": text, "content": text, "box": box_name, "dropped_before": dropped, "event": event })
}
