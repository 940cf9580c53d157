//! A session on a socket.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::path::Path;
use std::task::{Context, Poll, ready};

use tokio::time::sleep_until;

use super::socket::{Socket, TcpState, Way, lost_how};
use crate::clock;
use crate::config::{RtmpUrl, Secret};
use crate::link::health::TcpFigures;
use crate::mux::flv::StreamFacts;
use crate::rtmp::policy::Attempt;
use crate::rtmp::session::{Publication, Session, SessionEvent};
use crate::rtmp::trouble::Trouble;

/// Most units in one batch: a second of a programme that has some catching up to do.
pub(super) const BATCH_UNITS: u64 = 32;
/// Bytes after which a batch is full, so that one that catches up does not hold more of the ring than the socket takes.
pub(super) const BATCH_BYTES: usize = 256 << 10;
/// Slices handed to one writev: a header and a payload for each unit of a batch, and then some.
const SLICES: usize = 80;
/// Servers say little.
const READ_BUFFER: usize = 4096;

/// A session, the socket it runs on, and the bytes between them.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    pub(super) session: Session,
    input: Box<[u8; READ_BUFFER]>,
    closing: Closing,
    /// Written bytes may wait in the TLS layer.
    unflushed: bool,
    /// Bytes written since [`Self::take_written`].
    written: u64,
    /// Asked to reconnect before publishing was accepted.
    pub(super) redirected_early: Option<SessionEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// Both ways are open.
    No,
    /// Once everything is written, so that the far end reads it to the end.
    WhenWritten,
    /// Our way is closed.
    Closed,
}

fn publication(url: &RtmpUrl, name: Secret, facts: StreamFacts) -> Publication {
    Publication { app: url.app.clone(), tc_url: url.to_string(), name, facts }
}

impl Connection {
    /// Connects and negotiates until publishing is accepted.
    pub(super) async fn open(
        attempt: Attempt,
        facts: StreamFacts,
        ca_file: Option<&Path>,
        way: Option<Way>,
        mut random: fastrand::Rng,
    ) -> Result<Self, Trouble> {
        let Attempt { url, name } = attempt;
        let socket = Socket::connect(&url, ca_file, way).await?;
        let session = Session::new(publication(&url, name, facts), &mut random, clock::now());
        Self::new(socket, session).until(&SessionEvent::Publishing).await
    }

    /// Connects and negotiates as far as it goes without publishing anything.
    pub(super) async fn stand_by(
        url: RtmpUrl,
        facts: StreamFacts,
        ca_file: Option<&Path>,
        way: Option<Way>,
        mut random: fastrand::Rng,
    ) -> Result<Self, Trouble> {
        let socket = Socket::connect(&url, ca_file, way).await?;
        // Nobody may know yet that somebody else publishes under the name.
        let session = Session::standby(publication(&url, Secret::default(), facts), &mut random, clock::now());
        Self::new(socket, session).until(&SessionEvent::Standby).await
    }

    /// A standby publishes.
    pub(super) async fn publish(mut self, name: Secret) -> Result<Self, Trouble> {
        self.session.publish(name, clock::now());
        self.until(&SessionEvent::Publishing).await
    }

    fn new(socket: Socket, session: Session) -> Self {
        Self {
            socket,
            session,
            input: Box::new([0; READ_BUFFER]),
            closing: Closing::No,
            unflushed: false,
            written: 0,
            redirected_early: None,
        }
    }

    async fn until(mut self, wanted: &SessionEvent) -> Result<Self, Trouble> {
        loop {
            match self.next_event().await {
                event if event == *wanted => return Ok(self),
                SessionEvent::Ended(trouble) => return Err(trouble),
                event @ SessionEvent::ReconnectRequested { .. } => self.redirected_early = Some(event),
                // A standby that is to publish has been one; nobody has asked for an end.
                SessionEvent::Standby | SessionEvent::Publishing | SessionEvent::EndedCleanly => {}
            }
        }
    }

    /// Reads, writes and waits until something happens.
    pub(super) async fn next_event(&mut self) -> SessionEvent {
        loop {
            if let Some(event) = self.session.poll_event() {
                return event;
            }
            match self.session.poll_timeout() {
                Some((deadline, _)) => tokio::select! {
                    biased;
                    () = self.turn() => {}
                    () = sleep_until(deadline.into()) => self.session.handle_timeout(clock::now()),
                },
                None => self.turn().await,
            }
        }
    }

    /// Ends the session after what is in the outbox, then closes.
    pub(super) fn close_when_written(&mut self) {
        self.closing = Closing::WhenWritten;
    }

    /// Whether everything is written, so that the outbox may be filled again.
    pub(super) fn is_drained(&mut self) -> bool {
        self.session.outbox().is_empty()
    }

    /// Bytes written since the last call.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// What the kernel knows.
    pub(super) fn state(&mut self) -> TcpState {
        let state = self.socket.state();
        // What waits in the TLS layer has been written by us and has not reached the kernel.
        let unconfirmed = if self.unflushed { u64::MAX } else { state.unconfirmed };
        let waiting: usize = self.session.outbox().len();
        let figures = TcpFigures { queued: state.figures.queued + waiting as u64, ..state.figures };
        TcpState { outstanding: state.outstanding || waiting > 0, unconfirmed, figures, ..state }
    }

    /// Ours, which the connection is bound to for good; `None` where the system does not say.
    pub(super) fn own_address(&self) -> Option<IpAddr> {
        self.socket.own_address()
    }

    /// Leaves without a word, and without what has not been sent.
    pub(super) fn reset_on_close(&self) {
        self.socket.reset_on_close();
    }

    /// Moves bytes both ways; returns when the outbox has been emptied or the session was told something. A broken
    /// connection is told to the session.
    pub(super) async fn turn(&mut self) {
        if let Err(error) = poll_fn(|context| self.poll_turn(context)).await {
            self.session.handle_closed(lost_how(&error), clock::now());
        }
    }

    /// Hands the outbox to the kernel as far as it takes it, without waiting.
    pub(super) async fn write_now(&mut self) {
        let written = poll_fn(|context| Poll::Ready(self.poll_outbox(context))).await;
        if let Poll::Ready(Err(error)) = written {
            self.session.handle_closed(lost_how(&error), clock::now());
        }
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_drained()
            && let Poll::Ready(written) = self.poll_outbox(context)
        {
            return Poll::Ready(written);
        }
        if self.unflushed && self.socket.poll_flush(context)?.is_ready() {
            self.unflushed = false;
        }
        if self.closing == Closing::WhenWritten
            && !self.unflushed
            && self.is_drained()
            && self.socket.poll_shutdown(context)?.is_ready()
        {
            self.closing = Closing::Closed;
        }
        self.poll_read(context)
    }

    /// Ready when the outbox is empty, or the connection broken.
    fn poll_outbox(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = ready!(self.poll_write(context));
        if written.is_err() {
            // What the server said before it closed says more than a broken pipe.
            let _ = self.poll_read(context);
        }
        Poll::Ready(written)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let outbox = self.session.outbox();
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (place, slice) in slices.iter_mut().zip(outbox.slices()) {
                *place = IoSlice::new(slice);
                count += 1;
            }
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            let written = ready!(self.socket.poll_write(context, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written as u64;
            self.unflushed = self.socket.buffers();
            self.session.outbox().advance(written);
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let count = ready!(self.socket.poll_read(context, &mut self.input[..]))?;
        let now = clock::now();
        match self.input.get(..count) {
            Some([]) | None => self.session.handle_closed("closed by the server", now),
            Some(bytes) => self.session.handle_input(bytes, now),
        }
        Poll::Ready(Ok(()))
    }
}
