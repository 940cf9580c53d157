//! `control.sock`: what the operator's command asks and gets. One task a connection; a client that does not read loses its
//! connection, nothing else.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Duration, MissedTickBehavior};

use super::child_link::MAX_LINE;
use crate::events::{BoxSnapshot, Command, ControlReply, ControlRequest, Event};

/// Between two snapshots to one watcher.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// A client that does not take a line for this long is gone.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// What only holdfastd's main loop can answer.
#[derive(Debug)]
pub enum Asked {
    /// The last so many events.
    Events(usize, oneshot::Sender<Vec<Event>>),
    /// Do something.
    Do(Command, oneshot::Sender<ControlReply>),
}

/// What connections need.
#[derive(Clone, Debug)]
pub struct Desk {
    /// To the main loop.
    pub asked: mpsc::Sender<Asked>,
    /// The latest snapshot.
    pub snapshot: watch::Receiver<Option<BoxSnapshot>>,
    /// Events as they happen.
    pub events: broadcast::Sender<Event>,
}

/// Accepts for ever.
pub async fn serve(listener: UnixListener, desk: Desk) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, desk.clone()));
        } else {
            // Out of descriptors: the pause lets some close.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn connection(stream: UnixStream, desk: Desk) -> Option<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE).read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let request = match serde_json::from_str(&line) {
            Ok(request) => request,
            Err(e) => {
                let text = format!("not a request of this version: {e}");
                write(&mut writer, &ControlReply::Refused { text }).await?;
                continue;
            }
        };
        match request {
            ControlRequest::Status { watch } => status(&mut writer, desk.snapshot.clone(), watch).await?,
            ControlRequest::Events { last, follow } => events(&mut writer, &desk, last, follow).await?,
            ControlRequest::Do(command) => {
                let (reply, answer) = oneshot::channel();
                desk.asked.send(Asked::Do(command, reply)).await.ok()?;
                write(&mut writer, &answer.await.ok()?).await?;
            }
        }
    }
}

async fn status(
    writer: &mut OwnedWriteHalf,
    mut snapshot: watch::Receiver<Option<BoxSnapshot>>,
    again: bool,
) -> Option<()> {
    let mut pace = tokio::time::interval(WATCH_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    snapshot.mark_changed();
    loop {
        pace.tick().await;
        let latest = snapshot.wait_for(Option::is_some).await.ok()?.clone()?;
        write(writer, &ControlReply::Status(Box::new(latest))).await?;
        if !again {
            return Some(());
        }
        snapshot.changed().await.ok()?;
    }
}

async fn events(writer: &mut OwnedWriteHalf, desk: &Desk, last: usize, follow: bool) -> Option<()> {
    let mut coming = desk.events.subscribe();
    let (reply, answer) = oneshot::channel();
    desk.asked.send(Asked::Events(last, reply)).await.ok()?;
    for event in answer.await.ok()? {
        write(writer, &ControlReply::Event(event)).await?;
    }
    if !follow {
        return write(writer, &ControlReply::Done { text: String::new() }).await;
    }
    loop {
        match coming.recv().await {
            Ok(event) => write(writer, &ControlReply::Event(event)).await?,
            // The log on disk has what this reader was too slow for.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

async fn write(writer: &mut OwnedWriteHalf, reply: &ControlReply) -> Option<()> {
    let mut line = serde_json::to_vec(reply).ok()?;
    line.push(b'\n');
    tokio::time::timeout(WRITE_WITHIN, writer.write_all(&line)).await.ok()?.ok()
}
