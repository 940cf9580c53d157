//! A child's side of the link to holdfastd: reconnects for ever, never blocks the child, loses no event while holdfastd is
//! away (up to [`EVENTS_KEPT`]).
//!
//! ```text
//!   send() ──► queue (events in order; only the newest beat and reports) ──► socket ──► holdfastd
//!   next() ◄── commands (bounded) ◄──────────────────────────────────────── socket ◄──
//! ```

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};

use crate::events::{CHILD_PROTOCOL, ChildCommand, ChildMessage, Event, EventKind, Role, Severity};

/// Events kept while holdfastd is away; beyond that the oldest go, and holdfastd is told how many.
pub const EVENTS_KEPT: usize = 1000;
/// Longest line, bytes.
pub const MAX_LINE: u64 = 1 << 20;
const RECONNECT: Duration = Duration::from_millis(100);
const COMMANDS: usize = 64;

/// The link; owned by the child's main loop.
#[derive(Debug)]
pub struct ChildLink {
    sender: ChildSender,
    commands: mpsc::Receiver<ChildCommand>,
}

/// Puts messages on the link, from any thread.
#[derive(Clone, Debug)]
pub struct ChildSender(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    role: Role,
    /// A few lines pushed or popped: the one lock that capture threads, recorders and the main loop meet at.
    queue: Mutex<Queue>,
    waiting: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    settings: String,
    events: VecDeque<Event>,
    dropped: u64,
    beat: bool,
    worker: Option<ChildMessage>,
    plane: Option<ChildMessage>,
}

impl ChildLink {
    /// Connects to `path`, and again whenever the connection is lost. Needs a tokio runtime.
    pub fn start(path: PathBuf, role: Role, settings: String) -> Self {
        let queue = Mutex::new(Queue { settings, ..Queue::default() });
        let sender = ChildSender(Arc::new(Shared { role, queue, waiting: Notify::new() }));
        let (inbox, commands) = mpsc::channel(COMMANDS);
        tokio::spawn(keep_connected(path, sender.clone(), inbox));
        Self { sender, commands }
    }

    /// A handle for sending.
    pub fn sender(&self) -> ChildSender {
        self.sender.clone()
    }

    /// The next command. Cancel-safe. Pends while holdfastd is away.
    pub async fn next(&mut self) -> ChildCommand {
        match self.commands.recv().await {
            Some(command) => command,
            None => std::future::pending().await,
        }
    }
}

impl ChildSender {
    /// Queues a message; never blocks on holdfastd.
    pub fn send(&self, message: ChildMessage) {
        let mut queue = self.queue();
        match message {
            ChildMessage::Event(event) => {
                if queue.events.len() >= EVENTS_KEPT {
                    queue.events.pop_front();
                    queue.dropped += 1;
                }
                queue.events.push_back(event);
            }
            ChildMessage::Beat => queue.beat = true,
            report @ ChildMessage::Worker(_) => queue.worker = Some(report),
            report @ ChildMessage::Plane(_) => queue.plane = Some(report),
            ChildMessage::Hello { settings, .. } => queue.settings = settings,
        }
        drop(queue);
        self.0.waiting.notify_one();
    }

    /// What the next Hello says about the settings in force.
    pub fn settings(&self, hash: String) {
        self.queue().settings = hash;
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        // Nothing that holds it can panic half-way.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hello(&self) -> ChildMessage {
        ChildMessage::Hello {
            protocol: CHILD_PROTOCOL,
            role: self.0.role.clone(),
            settings: self.queue().settings.clone(),
        }
    }

    /// The oldest thing to say, taken off the queue.
    fn take(&self) -> Option<ChildMessage> {
        let mut queue = self.queue();
        if std::mem::take(&mut queue.beat) {
            return Some(ChildMessage::Beat);
        }
        if queue.dropped > 0 {
            let dropped = std::mem::take(&mut queue.dropped);
            let at = (crate::clock::wall(), crate::clock::media());
            let text = format!("{dropped} older events were dropped while holdfastd was away");
            let event = Event::new(at, self.0.role.clone(), EventKind::Note, Severity::Warning, "", text);
            return Some(ChildMessage::Event(event));
        }
        if let Some(event) = queue.events.pop_front() {
            return Some(ChildMessage::Event(event));
        }
        queue.worker.take().or_else(|| queue.plane.take())
    }
}

async fn keep_connected(path: PathBuf, sender: ChildSender, inbox: mpsc::Sender<ChildCommand>) {
    loop {
        // A link that breaks is nothing to report: holdfastd knows why it went, and events wait for it.
        let _ = connection(&path, &sender, &inbox).await;
        if inbox.is_closed() {
            return;
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn connection(path: &Path, sender: &ChildSender, inbox: &mpsc::Sender<ChildCommand>) -> io::Result<()> {
    let (reader, mut writer) = UnixStream::connect(path).await?.into_split();
    let mut reader = BufReader::new(reader);
    write(&mut writer, &sender.hello()).await?;
    let read = async {
        let mut line = String::new();
        loop {
            line.clear();
            if (&mut reader).take(MAX_LINE).read_line(&mut line).await? == 0 || !line.ends_with('\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // A command this version does not know is not for it.
            if let Ok(command) = serde_json::from_str(&line) {
                let _ = inbox.send(command).await;
            }
        }
    };
    let speak = async {
        loop {
            while let Some(message) = sender.take() {
                if let Err(e) = write(&mut writer, &message).await {
                    give_back(sender, message);
                    return Err::<(), io::Error>(e);
                }
            }
            sender.0.waiting.notified().await;
        }
    };
    tokio::select! { end = read => end, end = speak => end }
}

/// An event that could not be written is the oldest again.
fn give_back(sender: &ChildSender, message: ChildMessage) {
    if let ChildMessage::Event(event) = message {
        sender.queue().events.push_front(event);
    }
}

async fn write(writer: &mut (impl tokio::io::AsyncWrite + Unpin), message: &ChildMessage) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use tokio::net::UnixListener;

    use super::*;
    use crate::model::{Media, Wall};

    fn note(n: usize) -> ChildMessage {
        let event = Event::new((Wall(0), Media(0)), Role::Transmit, EventKind::Note, Severity::Info, "", n.to_string());
        ChildMessage::Event(event)
    }

    async fn lines(listener: &UnixListener, count: usize) -> Vec<ChildMessage> {
        let (stream, _) = listener.accept().await.unwrap();
        let mut reader = BufReader::new(stream).lines();
        let mut heard = Vec::new();
        while heard.len() < count {
            heard.push(serde_json::from_str(&reader.next_line().await.unwrap().unwrap()).unwrap());
        }
        heard
    }

    #[tokio::test]
    async fn events_wait_for_holdfastd_and_arrive_in_order_after_hello() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("children.sock");
        let link = ChildLink::start(path.clone(), Role::Transmit, "abc".into());
        for n in 0..EVENTS_KEPT + 5 {
            link.sender().send(note(n));
        }
        let listener = UnixListener::bind(&path).unwrap();

        let heard = lines(&listener, 3).await;
        assert!(matches!(&heard[0], ChildMessage::Hello { settings, .. } if settings == "abc"));
        assert!(
            matches!(&heard[1], ChildMessage::Event(e) if e.reason.starts_with("5 older events")),
            "{:?}",
            heard[1]
        );
        assert!(matches!(&heard[2], ChildMessage::Event(e) if e.reason == "5"), "{:?}", heard[2]);
    }

    #[tokio::test]
    async fn a_restarted_holdfastd_is_greeted_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("children.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let link = ChildLink::start(path, Role::Transmit, String::new());
        assert!(matches!(lines(&listener, 1).await[0], ChildMessage::Hello { .. }));
        link.sender().send(ChildMessage::Beat);
        assert!(matches!(lines(&listener, 1).await[0], ChildMessage::Hello { .. }));
    }
}
