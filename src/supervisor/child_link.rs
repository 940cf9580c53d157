//! A child's side of the link to holdfastd: reconnects for ever, never blocks the child, keeps events while holdfastd is
//! away (up to [`EVENTS_KEPT`]).
//!
//! ```text
//!   send() ──► queue ──► outbox (events in order; only the newest beat and reports) ──► socket ──► holdfastd
//!   next() ◄── commands (bounded) ◄──────────────────────────────────────────────────── socket ◄──
//! ```

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::events::{CHILD_PROTOCOL, ChildCommand, ChildMessage, Event, EventKind, Role, Severity};

/// Events kept while holdfastd is away; beyond that the oldest go, and holdfastd is told how many.
pub const EVENTS_KEPT: usize = 1000;
/// Longest line, bytes.
pub const MAX_LINE: u64 = 1 << 20;
const RECONNECT: Duration = Duration::from_millis(100);
/// Commands waiting for the child's main loop; beyond that holdfastd waits, which is ready for that.
const COMMANDS: usize = 64;
/// Messages waiting for the link's task, which is busy only as long as the child's own loop is; beyond that the newest are
/// dropped, events among them counted.
const SAID: usize = 4096;

/// The link; owned by the child's main loop.
#[derive(Debug)]
pub struct ChildLink {
    sender: ChildSender,
    commands: mpsc::Receiver<ChildCommand>,
}

/// Puts messages on the link, from any thread, without waiting.
#[derive(Clone, Debug)]
pub struct ChildSender {
    said: mpsc::Sender<Said>,
    /// Events that did not fit.
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Said {
    Message(Box<ChildMessage>),
    /// What the next Hello says about the settings in force.
    Settings(String),
    /// Answer when all of the above is written.
    Finish(oneshot::Sender<()>),
}

impl ChildLink {
    /// Connects to `path`, and again whenever the connection is lost. Needs a tokio runtime.
    pub fn start(path: PathBuf, role: Role, settings: String) -> Self {
        let (said, queue) = mpsc::channel(SAID);
        let (inbox, commands) = mpsc::channel(COMMANDS);
        let lost = Arc::new(AtomicU64::new(0));
        let outbox = Outbox::new(role, settings, Arc::clone(&lost));
        tokio::spawn(keep_connected(path, outbox, queue, inbox));
        Self { sender: ChildSender { said, lost }, commands }
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

    /// Waits until everything said is on its way, but no longer than `patience`: for a child about to end.
    pub async fn finish(self, patience: Duration) {
        let (written, all) = oneshot::channel();
        if self.sender.said.send(Said::Finish(written)).await.is_ok() {
            // Whatever is not written by then would have been written to nobody.
            let _ = timeout(patience, all).await;
        }
    }
}

impl ChildSender {
    /// Hands a message to the link; never blocks.
    pub fn send(&self, message: ChildMessage) {
        let event = matches!(message, ChildMessage::Event(_));
        if self.said.try_send(Said::Message(Box::new(message))).is_err() && event {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What the next Hello says about the settings in force.
    pub fn settings(&self, hash: String) {
        // Does not fit only when this thread has sent thousands of messages without a pause.
        let _ = self.said.try_send(Said::Settings(hash));
    }
}

/// What there is to say; owned by the link's task.
#[derive(Debug)]
struct Outbox {
    role: Role,
    settings: String,
    events: VecDeque<Event>,
    lost: Arc<AtomicU64>,
    beat: bool,
    worker: Option<ChildMessage>,
    plane: Option<ChildMessage>,
    /// Taken, but not known to be written whole.
    writing: Option<ChildMessage>,
    finish: Vec<oneshot::Sender<()>>,
}

impl Outbox {
    fn new(role: Role, settings: String, lost: Arc<AtomicU64>) -> Self {
        let events = VecDeque::new();
        let (worker, plane, writing) = (None, None, None);
        Self { role, settings, events, lost, beat: false, worker, plane, writing, finish: Vec::new() }
    }

    fn put(&mut self, said: Said) {
        match said {
            Said::Settings(hash) => self.settings = hash,
            Said::Finish(written) => self.finish.push(written),
            Said::Message(message) => match *message {
                ChildMessage::Event(event) => {
                    if self.events.len() >= EVENTS_KEPT {
                        self.events.pop_front();
                        self.lost.fetch_add(1, Ordering::Relaxed);
                    }
                    self.events.push_back(event);
                }
                ChildMessage::Beat => self.beat = true,
                report @ ChildMessage::Worker(_) => self.worker = Some(report),
                report @ ChildMessage::Plane(_) => self.plane = Some(report),
                ChildMessage::Hello { settings, .. } => self.settings = settings,
            },
        }
    }

    /// The first thing to say on a connection.
    fn hello(&mut self) -> ChildMessage {
        // A beat from before says nothing about now; an event that was cut off is the oldest again.
        self.beat = false;
        if let Some(ChildMessage::Event(event)) = self.writing.take() {
            self.events.push_front(event);
        }
        ChildMessage::Hello { protocol: CHILD_PROTOCOL, role: self.role.clone(), settings: self.settings.clone() }
    }

    /// The most urgent thing to say.
    fn take(&mut self) -> Option<ChildMessage> {
        if std::mem::take(&mut self.beat) {
            return Some(ChildMessage::Beat);
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let at = (clock::wall(), clock::media());
            let text = format!("{lost} older events were dropped while holdfastd was away");
            let event = Event::new(at, self.role.clone(), EventKind::Note, Severity::Warning, "", text);
            return Some(ChildMessage::Event(event));
        }
        let next = self.events.pop_front().map(ChildMessage::Event);
        let next = next.or_else(|| self.worker.take()).or_else(|| self.plane.take());
        if next.is_none() {
            for written in self.finish.drain(..) {
                // Whoever waited may have lost patience.
                let _ = written.send(());
            }
        }
        next
    }
}

/// Connects again and again, keeping what is said meanwhile. Ends when nobody is left who could say anything.
async fn keep_connected(
    path: PathBuf,
    mut outbox: Outbox,
    mut queue: mpsc::Receiver<Said>,
    inbox: mpsc::Sender<ChildCommand>,
) {
    loop {
        // A link that breaks is nothing to report: holdfastd knows why it went, and events wait for it.
        if let Ok(stream) = UnixStream::connect(&path).await {
            let (reader, writer) = stream.into_split();
            tokio::select! {
                () = read(BufReader::new(reader), &inbox) => {}
                end = speak(writer, &mut outbox, &mut queue) => if end.is_none() { return },
            }
        }
        let mut pause = pin!(sleep(RECONNECT));
        loop {
            tokio::select! {
                () = &mut pause => break,
                said = queue.recv() => match said {
                    Some(said) => outbox.put(said),
                    None => return,
                },
            }
        }
    }
}

/// Says what there is to say; ends with an error when the connection does, and with `None` when nobody is left to speak.
async fn speak(
    mut writer: impl AsyncWrite + Unpin,
    outbox: &mut Outbox,
    queue: &mut mpsc::Receiver<Said>,
) -> Option<io::Error> {
    let mut message = Some(outbox.hello());
    loop {
        let mut line = match &message {
            Some(message) => serde_json::to_vec(message).unwrap_or_default(),
            None => Vec::new(),
        };
        if !line.is_empty() {
            line.push(b'\n');
        }
        outbox.writing = message;
        let mut written = 0;
        loop {
            tokio::select! {
                // First what was said, so that a connection that takes nothing does not fill the queue.
                biased;
                said = queue.recv() => outbox.put(said?),
                taken = writer.write(&line[written..]), if written < line.len() => match taken {
                    Ok(0) => return Some(io::ErrorKind::WriteZero.into()),
                    Ok(bytes) => written += bytes,
                    Err(e) => return Some(e),
                },
            }
            if written == line.len() {
                break;
            }
        }
        outbox.writing = None;
        message = outbox.take();
    }
}

/// Passes commands on until the connection ends or is out of step.
async fn read(mut reader: impl AsyncBufRead + Unpin, inbox: &mpsc::Sender<ChildCommand>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await;
        if read.is_err() || line.last() != Some(&b'\n') {
            return;
        }
        // A command this version does not know is not for it.
        if let Ok(command) = serde_json::from_slice(&line) {
            // Fails when the child's loop has ended, which needs no commands.
            let _ = inbox.send(command).await;
        }
    }
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

    #[tokio::test]
    async fn what_was_said_last_is_heard_before_the_child_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("children.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let link = ChildLink::start(path, Role::Transmit, String::new());
        for n in 0..500 {
            link.sender().send(note(n));
        }
        let (heard, ()) = tokio::join!(lines(&listener, 501), link.finish(Duration::from_secs(60)));
        assert!(matches!(heard.last(), Some(ChildMessage::Event(e)) if e.reason == "499"));
    }

    #[tokio::test]
    async fn a_holdfastd_that_does_not_read_costs_the_oldest_events_and_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("children.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let link = ChildLink::start(path, Role::Transmit, String::new());
        let (stopped, _) = listener.accept().await.unwrap();
        for n in 0..20_000 {
            link.sender().send(note(n));
            tokio::task::yield_now().await;
        }
        drop(stopped);

        let (again, _) = listener.accept().await.unwrap();
        tokio::spawn(link.finish(Duration::from_secs(60)));
        let mut reader = BufReader::new(again).lines();
        let mut reasons = Vec::new();
        // Ends with an error or without one, as the child's end finds the connection.
        while let Ok(Some(line)) = reader.next_line().await {
            if let Ok(ChildMessage::Event(event)) = serde_json::from_str(&line) {
                reasons.push(event.reason);
            }
        }
        assert!(reasons.len() <= EVENTS_KEPT + 2, "{} events were kept", reasons.len());
        assert!(reasons.iter().any(|r| r.contains("older events were dropped")), "{:?}", &reasons[..3]);
        assert_eq!(reasons.last().map(String::as_str), Some("19999"));
    }

    #[tokio::test]
    async fn a_hostile_holdfastd_is_left_and_looked_for_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("children.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let mut link = ChildLink::start(path, Role::Transmit, String::new());
        let (mut hostile, _) = listener.accept().await.unwrap();
        let endless = vec![b'x'; usize::try_from(MAX_LINE).unwrap() + 1];
        // Fails when the child hangs up before the end, which is what it is to do.
        let _ = hostile.write_all(&endless).await;

        let (mut sane, _) = listener.accept().await.unwrap();
        sane.write_all(b"{}\n\n{\"do\":\"dance\"}\n{\"do\":\"reload\"}\n").await.unwrap();
        assert_eq!(link.next().await, ChildCommand::Reload);
    }
}
