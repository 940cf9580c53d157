//! One publishing session, from the first byte to the last.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::acknowledgement::Acknowledgement;
use super::chunk::{self, Message, Route, kind, leading_u32};
use super::command::{self, Command, transaction};
use super::handshake::{self, Progress};
use super::trouble::{self, Refusal, Step, Trouble};
use super::{Outbox, chunk::CHUNK_SIZE};
use crate::config::Secret;
use crate::model::{AccessUnit, Media};
use crate::mux::flv::{Muxer, StreamFacts, Tag, TagKind, Taken};

/// How long a server may take for each step.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a clean end may take.
pub const END_TIMEOUT: Duration = Duration::from_secs(1);
/// A server that accepts and hangs up within this time has refused (node-media-server does so for a key in use).
pub const DROPPED_AT_ONCE: Duration = Duration::from_secs(2);
/// No server says more than this in one message.
const MAX_MESSAGE: usize = 64 << 10;
/// More than this in the outbox, far more than any picture is, and a server that asks does not read the answers.
const MAX_WAITING: usize = 16 << 20;
/// Bytes taken in one [`Session::handle_input`], hence the most that waits to be parsed beside one message.
pub const MAX_INPUT: usize = 16 << 10;

/// What to publish, and where it is called so.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Application.
    pub app: String,
    /// The address as the server expects to see it.
    pub tc_url: String,
    /// Stream name: the key with whatever query the destination needs.
    pub name: Secret,
    /// For `onMetaData` and the codecs the server must take.
    pub facts: StreamFacts,
}

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// A standby is connected and has a stream; nothing was published. It stays so until [`Session::publish`].
    Standby,
    /// Publishing was accepted; units are taken from here on, beginning with a keyframe.
    Publishing,
    /// The server asks us to go elsewhere soon; `tc_url` as it sent it.
    ReconnectRequested {
        /// Absolute, relative or absent.
        tc_url: Option<String>,
    },
    /// The session is over. Nothing follows.
    Ended(Trouble),
    /// The session was ended by [`Session::end`] and the server has hung up.
    EndedCleanly,
}

enum State {
    Handshake {
        received: BytesMut,
    },
    /// Waiting for the answer to a command.
    Asking {
        step: Step,
        stream: u32,
    },
    /// Ready to publish, when it is told to.
    Standby {
        stream: u32,
    },
    Publishing {
        stream: u32,
        since: Instant,
        muxer: Muxer,
    },
    Ending,
    Ended,
}

/// When the name is announced and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    /// As soon as may be.
    Publish,
    /// When the session is told to. Until then the server does not learn the name, since some end another session that
    /// publishes under it at the mere announcement (releaseStream).
    StandBy,
}

/// A publishing client (RTMP 1.0, Enhanced RTMP v2). Feed it what arrives and the time; send what is in its outbox.
pub struct Session {
    publication: Publication,
    intent: Intent,
    /// Whether releaseStream and FCPublish have been sent.
    announced: bool,
    state: State,
    deadline: Option<Instant>,
    reader: chunk::Reader,
    outbox: Outbox,
    events: VecDeque<SessionEvent>,
    acknowledgement: Acknowledgement,
}

/// Chunk streams; any distinct numbers between 2 (reserved for control) and 63 will do.
const CONTROL: u8 = 2;
const CONNECTION: u8 = 3;
const AUDIO: u8 = 4;
const DATA: u8 = 5;
const VIDEO: u8 = 6;
const STREAM: u8 = 8;

impl Session {
    /// Begins: C0 and C1 are in the outbox.
    pub fn new(publication: Publication, random: &mut fastrand::Rng, now: Instant) -> Self {
        Self::begin(publication, Intent::Publish, random, now)
    }

    /// Likewise, but goes only as far as [`SessionEvent::Standby`]; one round trip after [`Self::publish`] it is publishing.
    pub fn standby(publication: Publication, random: &mut fastrand::Rng, now: Instant) -> Self {
        Self::begin(publication, Intent::StandBy, random, now)
    }

    fn begin(publication: Publication, intent: Intent, random: &mut fastrand::Rng, now: Instant) -> Self {
        let mut outbox = Outbox::new();
        outbox.push_shared(handshake::hello(random));
        Self {
            publication,
            intent,
            announced: false,
            state: State::Handshake { received: BytesMut::new() },
            deadline: Some(now + STEP_TIMEOUT),
            reader: chunk::Reader::new(MAX_MESSAGE),
            outbox,
            events: VecDeque::new(),
            acknowledgement: Acknowledgement::default(),
        }
    }

    /// What is to be sent; take bytes off as they are written.
    pub const fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called, and what is waited for.
    pub fn poll_timeout(&self) -> Option<(Instant, Step)> {
        self.deadline.map(|deadline| (deadline, self.step()))
    }

    /// A standby is to publish, under this name, at once or as soon as it is connected.
    pub fn publish(&mut self, name: Secret, now: Instant) {
        if self.intent == Intent::Publish {
            return;
        }
        self.intent = Intent::Publish;
        self.publication.name = name;
        if let State::Standby { stream } = self.state {
            self.ask_to_publish(stream, now);
        }
    }

    /// Whether units are taken.
    pub const fn is_publishing(&self) -> bool {
        matches!(self.state, State::Publishing { .. })
    }

    /// Takes bytes from the server, at most [`MAX_INPUT`] at once.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        let bytes = if let State::Handshake { received } = &mut self.state {
            received.extend_from_slice(bytes);
            match handshake::answer(received) {
                Progress::More => return,
                Progress::NotRtmp => return self.ended(Trouble::NotRtmp),
                Progress::Done(c2) => {
                    let rest = std::mem::take(received);
                    self.outbox.push_shared(c2);
                    self.control(kind::SET_CHUNK_SIZE, &(CHUNK_SIZE as u32).to_be_bytes());
                    let connect = command::connect(&self.publication.app, &self.publication.tc_url);
                    self.command(CONNECTION, 0, connect);
                    self.ask(Step::Connect, 0, now);
                    rest.freeze()
                }
            }
        } else {
            Bytes::copy_from_slice(bytes)
        };
        self.acknowledgement.received(bytes.len());
        self.reader.feed(&bytes);
        loop {
            match self.reader.next_message() {
                Ok(Some(message)) => self.message(&message, now),
                Ok(None) => break,
                Err(error) => return self.ended(Trouble::Protocol { detail: error.to_string() }),
            }
            if matches!(self.state, State::Ended) {
                return;
            }
        }
        self.confirm_received();
    }

    /// The server closed the connection, or it broke; `how` in a word or two.
    pub fn handle_closed(&mut self, how: &'static str, now: Instant) {
        match &self.state {
            State::Handshake { .. } | State::Asking { .. } | State::Standby { .. } => {
                self.ended(Trouble::ClosedDuring(self.step()));
            }
            State::Publishing { since, .. } if now.saturating_duration_since(*since) < DROPPED_AT_ONCE => {
                self.ended(Trouble::Refused(Refusal::DroppedAtOnce));
            }
            State::Publishing { .. } => self.ended(Trouble::ConnectionLost { how }),
            State::Ending => {
                self.close();
                self.events.push_back(SessionEvent::EndedCleanly);
            }
            State::Ended => {}
        }
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.deadline {
            Some(deadline) if deadline <= now => {}
            Some(_) | None => return,
        }
        match &self.state {
            State::Ending => {
                self.close();
                self.events.push_back(SessionEvent::EndedCleanly);
            }
            State::Handshake { .. } | State::Asking { .. } => self.ended(Trouble::NoAnswer(self.step())),
            State::Standby { .. } | State::Publishing { .. } | State::Ended => self.deadline = None,
        }
    }

    /// Puts one unit into the outbox: headers inline, payload by reference. Before publishing it is not taken.
    pub fn send(&mut self, unit: &AccessUnit) -> Taken {
        let State::Publishing { stream, muxer, .. } = &mut self.state else { return Taken::Undecodable };
        let (stream, outbox) = (*stream, &mut self.outbox);
        muxer.push(unit, |tag| write_tag(outbox, stream, tag))
    }

    /// Ends the broadcast, as distinct from losing it: the server may tear everything down. `at` is programme time.
    /// Send what is in the outbox and wait for [`SessionEvent::EndedCleanly`].
    pub fn end(&mut self, at: Media, now: Instant) {
        if let State::Publishing { stream, muxer, .. } = &mut self.state {
            let (stream, outbox) = (*stream, &mut self.outbox);
            muxer.end(at, |tag| write_tag(outbox, stream, tag));
            self.command(CONNECTION, 0, command::fc_unpublish(self.publication.name.reveal()));
            self.command(CONNECTION, 0, command::delete_stream(stream));
            self.state = State::Ending;
            self.deadline = Some(now + END_TIMEOUT);
        } else if !matches!(self.state, State::Ending | State::Ended) {
            // Nothing has been published: there is nothing to take back.
            self.close();
            self.events.push_back(SessionEvent::EndedCleanly);
        }
    }

    fn step(&self) -> Step {
        match &self.state {
            State::Handshake { .. } => Step::Handshake,
            State::Asking { step, .. } => *step,
            State::Standby { .. } => Step::Standby,
            State::Publishing { .. } | State::Ending | State::Ended => Step::Ending,
        }
    }

    fn ask(&mut self, step: Step, stream: u32, now: Instant) {
        self.state = State::Asking { step, stream };
        self.deadline = Some(now + STEP_TIMEOUT);
    }

    fn close(&mut self) {
        self.state = State::Ended;
        self.deadline = None;
    }

    fn ended(&mut self, trouble: Trouble) {
        self.close();
        self.events.push_back(SessionEvent::Ended(trouble));
    }

    fn message(&mut self, message: &Message, now: Instant) {
        match message.kind {
            kind::WINDOW_SIZE => self.acknowledgement.wanted_every(&message.payload),
            // §5.4.5: the answer to a bandwidth limit is the same number as our window. It makes the server confirm
            // what it has read.
            kind::PEER_BANDWIDTH => {
                if let Some(window) = leading_u32(&message.payload).filter(|w| *w > 0) {
                    self.answer(kind::WINDOW_SIZE, &window.to_be_bytes());
                }
            }
            kind::USER_CONTROL => self.user_control(&message.payload),
            kind::COMMAND => self.received_command(&message.payload, now),
            // AMF3 commands are AMF0 behind one more byte, as every implementation has it.
            kind::COMMAND_AMF3 => self.received_command(message.payload.get(1..).unwrap_or_default(), now),
            // Acknowledgements say what the server has read, but in steps of megabytes, which is too coarse to go by; servers
            // send no media to a publisher.
            _ => {}
        }
    }

    /// §7.1.7: a ping (6) is answered (7) with its own time.
    fn user_control(&mut self, payload: &[u8]) {
        if let Some([0, 6, t3, t2, t1, t0]) = payload.first_chunk() {
            self.answer(kind::USER_CONTROL, &[0, 7, *t3, *t2, *t1, *t0]);
        }
    }

    /// To what the server asks as often as it likes.
    fn answer(&mut self, kind: u8, payload: &[u8]) {
        if self.outbox.len() > MAX_WAITING {
            return self.ended(Trouble::Protocol { detail: "it asks without reading the answers".to_owned() });
        }
        self.control(kind, payload);
    }

    fn received_command(&mut self, payload: &[u8], now: Instant) {
        // A command that cannot be read at all is none we are waiting for; the deadline covers the rest.
        let Ok(command) = Command::parse(payload) else { return };
        let transaction = command.transaction;
        match (command.name.as_str(), &self.state) {
            ("_result", State::Asking { step: Step::Connect, .. }) if transaction == transaction::CONNECT => {
                self.connected(&command, now);
            }
            ("_result", State::Asking { step: Step::CreateStream, .. })
                if transaction == transaction::CREATE_STREAM =>
            {
                self.stream_created(&command, now);
            }
            ("_error", State::Asking { step, .. }) if transaction == expected_transaction(*step) => {
                self.refused(&command);
            }
            ("onStatus", _) => self.status(&command, now),
            (
                "close",
                State::Handshake { .. } | State::Asking { .. } | State::Standby { .. } | State::Publishing { .. },
            ) => {
                self.handle_closed("closed by the server", now);
            }
            // Answers to releaseStream and FCPublish, errors among them, are without consequence, as is onBWDone.
            _ => {}
        }
    }

    fn connected(&mut self, answer: &Command, now: Instant) {
        let facts = &self.publication.facts;
        if let Some(codec) = [facts.video, facts.audio].into_iter().find(|c| command::is_left_out(answer, *c)) {
            return self.ended(Trouble::Refused(Refusal::CodecNotAccepted(codec)));
        }
        if self.intent == Intent::Publish {
            self.announce();
        }
        self.command(CONNECTION, 0, command::create_stream());
        self.ask(Step::CreateStream, 0, now);
    }

    fn stream_created(&mut self, answer: &Command, now: Instant) {
        let stream = answer.arguments.iter().find_map(super::amf0::Value::as_number);
        let Some(stream) = stream.filter(|id| (0.0..=f64::from(u32::MAX)).contains(id)) else {
            return self.ended(Trouble::Protocol { detail: "createStream without a stream id".to_owned() });
        };
        let stream = stream as u32;
        match self.intent {
            Intent::Publish => self.ask_to_publish(stream, now),
            Intent::StandBy => {
                self.state = State::Standby { stream };
                self.deadline = None;
                self.events.push_back(SessionEvent::Standby);
            }
        }
    }

    fn announce(&mut self) {
        self.announced = true;
        let name = self.publication.name.clone();
        self.command(CONNECTION, 0, command::release_stream(name.reveal()));
        self.command(CONNECTION, 0, command::fc_publish(name.reveal()));
    }

    fn ask_to_publish(&mut self, stream: u32, now: Instant) {
        if !self.announced {
            self.announce();
        }
        let publish = command::publish(self.publication.name.reveal());
        self.command(STREAM, stream, publish);
        self.ask(Step::Publish, stream, now);
    }

    fn status(&mut self, command: &Command, now: Instant) {
        let code = command.text("code").unwrap_or_default();
        let is_error = command.text("level") == Some("error");
        match (code, &self.state) {
            ("NetConnection.Connect.ReconnectRequest", _) => {
                let tc_url = command.text("tcUrl").map(str::to_owned);
                self.events.push_back(SessionEvent::ReconnectRequested { tc_url });
            }
            ("NetStream.Publish.Start", State::Asking { step: Step::Publish, stream }) => {
                let stream = *stream;
                let metadata = Bytes::from(command::metadata(&self.publication.facts));
                let route = Route { chunk_stream: DATA, kind: kind::DATA, stream, timestamp_ms: 0 };
                chunk::write(&mut self.outbox, route, &[], metadata);
                self.state = State::Publishing { stream, since: now, muxer: Muxer::new() };
                self.deadline = None;
                self.events.push_back(SessionEvent::Publishing);
            }
            // While ending, whatever it says is agreement.
            (_, State::Ending | State::Ended) => {}
            ("NetConnection.Connect.Closed" | "NetConnection.Connect.AppShutdown", _) => {
                self.handle_closed("closed by the server", now);
            }
            _ if is_error => self.refused(command),
            _ => {}
        }
    }

    fn refused(&mut self, command: &Command) {
        let code = command.text("code").unwrap_or_default();
        let Publication { app, facts, name, .. } = &self.publication;
        let description = trouble::without_query(command.text("description").unwrap_or_default(), app);
        self.ended(Trouble::Refused(trouble::classify(code, &description, facts.video, name.reveal())));
    }

    fn control(&mut self, kind: u8, payload: &[u8]) {
        let route = Route { chunk_stream: CONTROL, kind, stream: 0, timestamp_ms: 0 };
        chunk::write(&mut self.outbox, route, payload, Bytes::new());
    }

    fn command(&mut self, chunk_stream: u8, stream: u32, payload: Vec<u8>) {
        let route = Route { chunk_stream, kind: kind::COMMAND, stream, timestamp_ms: 0 };
        chunk::write(&mut self.outbox, route, &[], payload.into());
    }

    fn confirm_received(&mut self) {
        if let Some(total) = self.acknowledgement.due() {
            self.control(kind::ACKNOWLEDGEMENT, &total.to_be_bytes());
        }
    }
}

fn expected_transaction(step: Step) -> f64 {
    match step {
        Step::Connect => transaction::CONNECT,
        Step::CreateStream => transaction::CREATE_STREAM,
        Step::Publish => transaction::PUBLISH,
        Step::Handshake | Step::Standby | Step::Ending => f64::NAN,
    }
}

fn write_tag(outbox: &mut Outbox, stream: u32, tag: Tag) {
    let chunk_stream = match tag.kind {
        TagKind::Audio => AUDIO,
        TagKind::Video => VIDEO,
        TagKind::Data => DATA,
    };
    let route = Route { chunk_stream, kind: tag.kind as u8, stream, timestamp_ms: tag.timestamp_ms };
    chunk::write(outbox, route, tag.head.as_slice(), tag.body);
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("step", &self.step()).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
