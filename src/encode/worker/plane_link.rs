//! The connection to the data plane: written to as far as it takes, made again for ever when it is gone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::outbox::{Outbox, Outgoing};
use crate::clock;
use crate::encode::protocol::ToWorker;

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(100);
/// After a refusal, which another attempt is not likely to change.
const RETRY_REFUSED: Duration = Duration::from_secs(1);

/// The worker's end of `media.sock`.
#[derive(Debug)]
pub(super) struct PlaneLink {
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Down { retry_at: Instant },
    Up { stream: UnixStream, inbox: BytesMut, outgoing: Option<Outgoing> },
}

/// What happened on the connection.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// It is up; every stream should begin with a keyframe.
    Connected,
    /// The data plane wants something.
    Wish(ToWorker),
    /// It is down.
    Lost(String),
}

impl PlaneLink {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: State::Down { retry_at: clock::now() } }
    }

    /// Moves what waits in `outbox` until something happens. May be dropped at any await without losing bytes.
    pub(super) async fn next(&mut self, outbox: &mut Outbox) -> LinkEvent {
        match &mut self.state {
            State::Down { retry_at } => {
                tokio::time::sleep_until((*retry_at).into()).await;
                match connect(&self.path) {
                    Ok(stream) => {
                        outbox.connected();
                        self.state = State::Up { stream, inbox: BytesMut::new(), outgoing: None };
                        LinkEvent::Connected
                    }
                    Err(e) => {
                        *retry_at = clock::now() + RETRY;
                        LinkEvent::Lost(e.to_string())
                    }
                }
            }
            State::Up { stream, inbox, outgoing } => match exchange(stream, inbox, outgoing, outbox).await {
                Ok(wish) => LinkEvent::Wish(wish),
                Err(why) => {
                    self.down(outbox, RETRY);
                    LinkEvent::Lost(why)
                }
            },
        }
    }

    /// The data plane refused this worker.
    pub(super) fn refused(&mut self, outbox: &mut Outbox) {
        self.down(outbox, RETRY_REFUSED);
    }

    fn down(&mut self, outbox: &mut Outbox, pause: Duration) {
        outbox.disconnected();
        self.state = State::Down { retry_at: clock::now() + pause };
    }
}

/// Connects at once or not at all, so that nobody gives up on it half-way and leaves the data plane a dead connection. A
/// stalled data plane with a full backlog is an error, not a wait.
fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    UnixStream::from_std(socket.into())
}

/// Writes and reads until a message is in.
async fn exchange(
    stream: &mut UnixStream,
    inbox: &mut BytesMut,
    outgoing: &mut Option<Outgoing>,
    outbox: &mut Outbox,
) -> Result<ToWorker, String> {
    let (mut reader, mut writer) = stream.split();
    loop {
        if let Some(wish) = ToWorker::decode(inbox).map_err(|e| e.to_string())? {
            return Ok(wish);
        }
        if outgoing.as_ref().is_none_or(|bytes| !bytes.has_remaining()) {
            *outgoing = outbox.next_outgoing();
        }
        tokio::select! {
            read = reader.read_buf(inbox) => match read {
                Ok(0) => return Err("the data plane closed the connection".to_owned()),
                Ok(_) => {}
                Err(e) => return Err(e.to_string()),
            },
            // Nothing to write leaves only reading; a unit that comes in meanwhile is found at the next call.
            Some(written) = async {
                match outgoing {
                    Some(bytes) => Some(writer.write_buf(bytes).await),
                    None => None,
                }
            } => {
                written.map_err(|e| e.to_string())?;
            }
        }
    }
}
