//! Takes access units from the encode workers: one task a connection, all into the plane's one inbox.
//!
//! *Invariant:* whatever a peer does, it costs its own connection and nothing else. A peer is heard only for the input
//! whose lock it holds, so that a stray process cannot take an input's place.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use holdfast::config::Paths;
use holdfast::encode::protocol::{Hello, PROTOCOL, ToWorker};
use holdfast::encode::session::{Intake, Session};
use holdfast::events::Role;
use holdfast::model::{AccessUnit, Condition, InputId};
use holdfast::supervisor::lock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// Connections at once; more are closed as they come.
const MAX_CONNECTIONS: usize = 64;
/// A peer that has not said Hello by then is closed.
const HELLO_WITHIN: Duration = Duration::from_secs(2);
/// Room for one more read; a large picture grows it.
const READ_AHEAD: usize = 64 << 10;
/// Wishes waiting for a worker, and what the sender of its input delivers. More are dropped: keyframe wishes repeat, a bit rate is
/// set again, and a decoder begins again at a keyframe.
const WISHES: usize = 4096;

/// One connection, for as long as the process lives.
pub(crate) type ConnectionId = u64;

/// What the plane hears.
pub(crate) enum FromIntake {
    /// A worker is there. An older connection of the same input is over.
    Opened {
        /// Which connection.
        connection: ConnectionId,
        /// Who.
        hello: Hello,
        /// The way back.
        wishes: mpsc::Sender<ToWorker>,
    },
    /// A stream was described.
    Described {
        /// Which encode.
        rendition: holdfast::model::RenditionId,
        /// By what it is encoded.
        encoder: String,
        /// Whose.
        input: InputId,
    },
    /// One access unit.
    Unit {
        /// Which connection.
        connection: ConnectionId,
        /// The unit, on CLOCK_MONOTONIC.
        unit: AccessUnit,
    },
    /// What is wrong with an input from here on.
    Condition {
        /// Which connection.
        connection: ConnectionId,
        /// Whose.
        input: InputId,
        /// All of it.
        condition: Condition,
    },
    /// The connection is over.
    Closed {
        /// Which connection.
        connection: ConnectionId,
        /// Whose, if it had said so.
        input: Option<InputId>,
        /// Why.
        why: String,
    },
}

/// Listens on `path`, replacing a socket that a dead process left there.
///
/// # Errors
/// Whatever the file system says.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Accepts for ever. The inbox is bounded: while it is full nothing is read, and the workers drop by themselves.
pub(crate) async fn serve(listener: UnixListener, paths: Paths, inbox: mpsc::Sender<FromIntake>) {
    let connections = std::rc::Rc::new(());
    let mut next: ConnectionId = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: the pause lets some close.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if std::rc::Rc::strong_count(&connections) > MAX_CONNECTIONS {
            continue;
        }
        next += 1;
        let (held, paths, inbox) = (connections.clone(), paths.clone(), inbox.clone());
        tokio::task::spawn_local(async move {
            connection(next, stream, &paths, &inbox).await;
            drop(held);
        });
    }
}

async fn connection(connection: ConnectionId, stream: UnixStream, paths: &Paths, inbox: &mpsc::Sender<FromIntake>) {
    let peer = stream.peer_cred().ok().and_then(|c| c.pid());
    let (reader, writer) = stream.into_split();
    let mut talk = Talk { connection, peer, reader, buffer: BytesMut::new(), session: Session::AwaitingHello };
    let (why, input) = match tokio::time::timeout(HELLO_WITHIN, talk.hello(paths)).await {
        Err(_) => ("said nothing for 2 s".to_owned(), None),
        Ok(Err(why)) => {
            refuse(writer, &why).await;
            (why, None)
        }
        Ok(Ok(hello)) => {
            let input = hello.input.clone();
            let (wishes, wished) = mpsc::channel(WISHES);
            tokio::task::spawn_local(write(writer, wished));
            if inbox.send(FromIntake::Opened { connection, hello, wishes }).await.is_err() {
                return;
            }
            (talk.units(inbox, &input).await, Some(input))
        }
    };
    let _ = inbox.send(FromIntake::Closed { connection, input, why }).await;
}

struct Talk {
    connection: ConnectionId,
    peer: Option<i32>,
    reader: OwnedReadHalf,
    buffer: BytesMut,
    session: Session,
}

impl Talk {
    /// Reads until Hello and checks that the peer is who it says.
    async fn hello(&mut self, paths: &Paths) -> Result<Hello, String> {
        loop {
            match self.session.next(&mut self.buffer).map_err(|e| e.to_string())? {
                Some(Intake::Opened(hello)) => {
                    let holder = lock::holder(&paths.lock(&Role::Encode(hello.input.clone()))).map(|p| p.as_raw());
                    return if self.peer.is_some() && holder == self.peer {
                        Ok(hello)
                    } else {
                        Err(format!("process {:?} does not hold the lock of input {}", self.peer, hello.input))
                    };
                }
                Some(_) => return Err("something before Hello".to_owned()),
                None => self.read().await?,
            }
        }
    }

    /// Hands on units until the connection ends; says why it did.
    async fn units(&mut self, inbox: &mpsc::Sender<FromIntake>, input: &InputId) -> String {
        loop {
            let message = match self.session.next(&mut self.buffer) {
                Err(e) => return e.to_string(),
                Ok(None) => match self.read().await {
                    Ok(()) => continue,
                    Err(why) => return why,
                },
                Ok(Some(Intake::Unit(unit))) => FromIntake::Unit { connection: self.connection, unit },
                Ok(Some(Intake::Described { rendition, encoder })) => {
                    FromIntake::Described { rendition, encoder, input: input.clone() }
                }
                Ok(Some(Intake::Condition(condition))) => {
                    FromIntake::Condition { connection: self.connection, input: input.clone(), condition }
                }
                Ok(Some(Intake::Ended { reason })) => return reason,
                Ok(Some(Intake::Opened(_))) => return "a second Hello".to_owned(),
            };
            if inbox.send(message).await.is_err() {
                return "the data plane is ending".to_owned();
            }
        }
    }

    async fn read(&mut self) -> Result<(), String> {
        self.buffer.reserve(READ_AHEAD);
        match self.reader.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the worker is gone".to_owned()),
            Ok(_) => Ok(()),
            Err(e) => Err(e.to_string()),
        }
    }
}

async fn write(mut writer: OwnedWriteHalf, mut wishes: mpsc::Receiver<ToWorker>) {
    let mut out = BytesMut::new();
    ToWorker::Welcome { protocol: PROTOCOL }.encode(&mut out);
    loop {
        if writer.write_all_buf(&mut out).await.is_err() {
            return;
        }
        let Some(wish) = wishes.recv().await else { return };
        wish.encode(&mut out);
    }
}

async fn refuse(mut writer: OwnedWriteHalf, why: &str) {
    let mut out = BytesMut::new();
    ToWorker::Refused { reason: why.to_owned() }.encode(&mut out);
    // One attempt; a peer that does not read learns it from the closed socket.
    let _ = tokio::time::timeout(HELLO_WITHIN, writer.write_all_buf(&mut out)).await;
}
