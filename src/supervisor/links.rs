//! holdfastd's side of the children's links: one task a connection, all into one inbox.
//!
//! *Invariant:* a peer is who the kernel says it is (SO_PEERCRED), and is heard only for the role whose lock it holds. Its
//! pidfd is taken before the lock is looked at, so that both speak of the same process.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::child_link::MAX_LINE;
use super::lifecycle::Pid;
use super::lock;
use super::process::Process;
use crate::config::Paths;
use crate::events::{CHILD_PROTOCOL, ChildCommand, ChildMessage, Role};

/// Commands waiting for a child that does not read; more are dropped, since the state they ask for is told again at each
/// Hello.
const COMMANDS: usize = 64;

/// What holdfastd hears from its children.
#[derive(Debug)]
pub enum FromChild {
    /// A process said which child it is.
    Hello {
        /// Which child.
        role: Role,
        /// Which process, by the kernel's word.
        process: Process,
        /// Whether its protocol is ours.
        speaks: bool,
        /// Hash of the settings it runs with.
        settings: String,
        /// The way to it.
        commands: mpsc::Sender<ChildCommand>,
    },
    /// It said something.
    Said {
        /// Which child.
        role: Role,
        /// Which process.
        pid: Pid,
        /// What.
        message: ChildMessage,
    },
}

/// Accepts for ever.
pub async fn serve(listener: UnixListener, paths: Paths, inbox: mpsc::Sender<FromChild>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, paths.clone(), inbox.clone()));
        } else {
            // Out of descriptors: the pause lets some close.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

/// Ends when the peer goes, or says something that is not in the protocol; a child that means well connects again.
async fn connection(stream: UnixStream, paths: Paths, inbox: mpsc::Sender<FromChild>) -> Option<()> {
    let pid = stream.peer_cred().ok()?.pid()?;
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    let ChildMessage::Hello { protocol, role, settings } = next(&mut reader, &mut line).await? else { return None };
    // Looking at a lock of our own would let go of it.
    if role == Role::Supervisor {
        return None;
    }
    let process = Process::open(pid).ok()?;
    if lock::holder(&paths.lock(&role)).map(nix::unistd::Pid::as_raw) != Some(pid) {
        return None;
    }
    let (commands, queue) = mpsc::channel(COMMANDS);
    tokio::spawn(write(writer, queue));
    let speaks = protocol == CHILD_PROTOCOL;
    inbox.send(FromChild::Hello { role: role.clone(), process, speaks, settings, commands }).await.ok()?;
    loop {
        let message = next(&mut reader, &mut line).await?;
        inbox.send(FromChild::Said { role: role.clone(), pid, message }).await.ok()?;
    }
}

async fn next(reader: &mut (impl AsyncBufReadExt + Unpin), line: &mut String) -> Option<ChildMessage> {
    line.clear();
    reader.take(MAX_LINE).read_line(line).await.ok()?;
    serde_json::from_str(line).ok()
}

async fn write(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<ChildCommand>) {
    while let Some(command) = queue.recv().await {
        let Ok(mut line) = serde_json::to_vec(&command) else { continue };
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}
