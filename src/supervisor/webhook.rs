//! Posts alerts to the operator's webhook, from its own thread. The address is a secret: it appears nowhere.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use crate::config::Secret;
use crate::events::Event;

/// Alerts waiting to be posted; more are dropped, since whoever is not reached by a hundred is not reached.
const QUEUE: usize = 100;
/// Pauses before the second, third and fourth attempt.
const RETRY: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
const TIMEOUT: Duration = Duration::from_secs(10);

/// The sending end. Dropping it ends the thread after what is queued.
#[derive(Debug)]
pub struct Webhook {
    queue: mpsc::SyncSender<Event>,
}

impl Webhook {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(address: Secret, box_name: String) -> std::io::Result<Self> {
        let (queue, events) = mpsc::sync_channel::<Event>(QUEUE);
        std::thread::Builder::new().name("webhook".into()).spawn(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into();
            for event in events {
                let body = body(&box_name, &event).to_string();
                for pause in RETRY.into_iter().map(Some).chain([None]) {
                    let post = agent.post(address.reveal()).header("Content-Type", "application/json");
                    if post.send(&body).is_ok() {
                        break;
                    }
                    let Some(pause) = pause else { break };
                    #[allow(clippy::disallowed_methods, reason = "this thread does nothing but post and wait")]
                    std::thread::sleep(pause);
                }
            }
        })?;
        Ok(Self { queue })
    }

    /// Hands an event over; never blocks.
    pub fn send(&self, event: &Event) {
        let _ = self.queue.try_send(event.clone());
    }
}

/// `text` is what chat services show; the rest is for programs.
fn body(box_name: &str, event: &Event) -> serde_json::Value {
    let about = if event.subject.is_empty() { String::new() } else { format!("{}: ", event.subject) };
    json!({
        "text": format!("{box_name} – {about}{}", event.reason),
        "box": box_name,
        "event": event,
    })
}
