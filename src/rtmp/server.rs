//! One session with a publisher, from its first byte to its last: we are the server.
//!
//! ```text
//!   C0C1 ──► C2 ──► connect ──► createStream ──► publish ──Asks──► live ──► FCUnpublish, deleteStream, gone, silent
//!    │        │        │             │              │                │            │
//!    └────────┴────────┴─ Refused ◄──┴──────────────┴────────────────┘ refuse     └──► Ended
//! ```
//!
//! Whether there is a place is for others to say: at [`ServerEvent::Asks`] the session stands still until it is told
//! [`Server::accept`] or [`Server::refuse`]. What comes before that is of a stranger: short messages, little time.

mod denial;
mod gate;
mod words;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use self::words::{Level, STREAM};
use super::acknowledgement::Acknowledgement;
use super::amf0::Value;
use super::chunk::{self, CHUNK_SIZE, Message, Route, kind};
use super::command::Command;
use super::handshake::{self, Greeting};
use super::outbox::Outbox;
use crate::model::AccessUnit;
use crate::mux::flv::TagKind;
use crate::mux::flv::read::{LeftOut, Output, Reader, Source};

pub use self::denial::{Denial, End};
pub use self::gate::Gate;

/// How long a publisher may take for the handshake as a whole, and then for each step till it publishes.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// A publisher of which nothing comes for this long is gone.
pub const SILENCE: Duration = Duration::from_secs(10);
/// Bytes to be taken in one [`Server::handle_input`].
pub const MAX_INPUT: usize = 64 << 10;
/// The longest message of a stranger.
const MAX_WORDS: usize = 64 << 10;
/// The longest message of a publisher: a picture of 500 Mbit/s at 25 a second, and some.
const MAX_PICTURE: usize = 8 << 20;
/// What we let the far end send before it is confirmed, and ask for confirmation of (RTMP 1.0 §5.4.4, §5.4.5); what is usual.
const WINDOW: u32 = 2_500_000;
/// More than this in the outbox, and the far end asks without listening.
const MAX_ANSWERS: usize = 1 << 20;

/// What a publisher has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// C0, C1 and C2.
    Handshake,
    /// `connect`.
    Connect,
    /// `createStream`.
    CreateStream,
    /// `publish`.
    Publish,
    /// Send.
    Live,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum ServerEvent {
    /// A publisher with the right key wants to begin. Tell the session [`Server::accept`] or [`Server::refuse`].
    Asks,
    /// It was told that it may.
    Publishing {
        /// What it says it is (`flashVer`), made harmless.
        encoder: Option<String>,
    },
    /// A picture or a packet of sound.
    Unit(AccessUnit),
    /// Its times are not comparable with those before.
    TimeBase,
    /// Something it sent is not passed on.
    LeftOut(LeftOut),
    /// It may not. Send what is in the outbox and close; nothing follows.
    Refused(Denial),
    /// It is over. Send what is in the outbox and close; nothing follows.
    Ended(End),
}

enum State {
    Handshake {
        received: BytesMut,
        /// S0 S1 S2 are sent, and C2 is to come.
        answered: bool,
    },
    Strange(Step),
    /// Waits to be told.
    Asking,
    Live(Box<Reader>),
    Over,
}

/// A publisher's session. Feed it what arrives and the time; send what is in its outbox.
pub struct Server {
    gate: Gate,
    source: Source,
    random: fastrand::Rng,
    state: State,
    deadline: Option<Instant>,
    encoder: Option<String>,
    reader: chunk::Reader,
    outbox: Outbox,
    events: VecDeque<ServerEvent>,
    acknowledgement: Acknowledgement,
}

/// Chunk streams; any distinct numbers between 2 (reserved for control) and 63 will do.
const CONTROL: u8 = 2;
const CONNECTION: u8 = 3;
const STATUS: u8 = 5;

impl Server {
    /// Somebody has connected.
    pub fn new(gate: Gate, source: Source, random: fastrand::Rng, now: Instant) -> Self {
        Self {
            gate,
            source,
            random,
            state: State::Handshake { received: BytesMut::new(), answered: false },
            deadline: Some(now + STEP_TIMEOUT),
            encoder: None,
            reader: chunk::Reader::new(MAX_WORDS),
            outbox: Outbox::new(),
            events: VecDeque::new(),
            acknowledgement: Acknowledgement::every(WINDOW),
        }
    }

    /// What is to be sent; take bytes off as they are written. Read no more before it is empty.
    pub const fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called, and what is waited for.
    pub fn poll_timeout(&self) -> Option<(Instant, Step)> {
        self.deadline.map(|deadline| (deadline, self.step()))
    }

    /// Whether the session is over: what is in the outbox is its last word.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes bytes from the far end, at most [`MAX_INPUT`] at once.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        match &mut self.state {
            State::Over => {}
            State::Handshake { received, .. } => {
                received.extend_from_slice(bytes);
                self.handshake(now);
            }
            State::Strange(_) | State::Asking | State::Live(_) => self.take(bytes, now),
        }
    }

    /// The far end closed the connection, or it broke; `how` in a few words.
    pub fn handle_closed(&mut self, how: &'static str) {
        if !self.is_over() {
            self.ended(End::Closed(how));
        }
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.deadline {
            Some(deadline) if deadline <= now => {}
            Some(_) | None => return,
        }
        match &self.state {
            State::Handshake { .. } | State::Strange(_) => self.refused(Denial::Late(self.step())),
            State::Live(_) => self.ended(End::Silent),
            State::Asking | State::Over => self.deadline = None,
        }
    }

    /// There is a place for it.
    pub fn accept(&mut self, now: Instant) {
        if !matches!(self.state, State::Asking) {
            return;
        }
        let [s3, s2, s1, s0] = STREAM.to_be_bytes();
        // §7.1.7: StreamBegin.
        self.control(kind::USER_CONTROL, &[0, 0, s3, s2, s1, s0]);
        self.status(Level::Status, "NetStream.Publish.Start", "Publishing.");
        self.state = State::Live(Box::new(Reader::new(self.source.clone())));
        self.deadline = Some(now + SILENCE);
        self.events.push_back(ServerEvent::Publishing { encoder: self.encoder.take() });
        // Some do not wait for the answer.
        self.messages(now);
    }

    /// There is none for it.
    pub fn refuse(&mut self, why: Denial) {
        if !self.is_over() {
            self.refused(why);
        }
    }

    /// Another one has its place.
    pub fn displace(&mut self) {
        if !self.is_over() {
            self.status(Level::Error, "NetStream.Publish.BadName", &End::Displaced.to_string());
            self.ended(End::Displaced);
        }
    }

    const fn step(&self) -> Step {
        match &self.state {
            State::Handshake { .. } => Step::Handshake,
            State::Strange(step) => *step,
            State::Asking => Step::Publish,
            State::Live(_) | State::Over => Step::Live,
        }
    }

    fn next(&mut self, step: Step, now: Instant) {
        self.state = State::Strange(step);
        self.deadline = Some(now + STEP_TIMEOUT);
    }

    fn handshake(&mut self, now: Instant) {
        let State::Handshake { received, answered } = &mut self.state else { return };
        if !*answered {
            match handshake::greet(received, &mut self.random) {
                Greeting::More => return,
                // The content type of a handshake record (RFC 8446 §5.1).
                Greeting::NotRtmp(22) => return self.refused(Denial::Tls),
                Greeting::NotRtmp(_) => return self.refused(Denial::NotRtmp),
                Greeting::Done(answer) => {
                    *answered = true;
                    self.outbox.push_shared(answer);
                }
            }
        }
        // C2 is not compared with S1, as S2 is not by many a client.
        if received.len() >= handshake::BLOCK {
            let rest = received.split_off(handshake::BLOCK);
            self.next(Step::Connect, now);
            self.take(&rest, now);
        }
    }

    fn take(&mut self, bytes: &[u8], now: Instant) {
        self.acknowledgement.received(bytes.len());
        self.reader.feed(bytes);
        self.messages(now);
    }

    fn messages(&mut self, now: Instant) {
        while !matches!(self.state, State::Asking | State::Over) {
            match self.reader.next_message() {
                Ok(Some(message)) => self.message(message, now),
                Ok(None) => break,
                Err(error) => return self.broken(error.to_string()),
            }
        }
        if self.is_over() {
            return;
        }
        if let State::Live(_) = self.state {
            self.deadline = Some(now + SILENCE);
        }
        if let Some(total) = self.acknowledgement.due() {
            self.control(kind::ACKNOWLEDGEMENT, &total.to_be_bytes());
        }
        if self.outbox.len() > MAX_ANSWERS {
            self.broken("it asks without reading the answers".to_owned());
        }
    }

    fn message(&mut self, message: Message, now: Instant) {
        match message.kind {
            kind::WINDOW_SIZE => self.acknowledgement.wanted_every(&message.payload),
            kind::USER_CONTROL => self.user_control(&message.payload),
            kind::COMMAND => self.received_command(&message.payload, now),
            // AMF3 commands are AMF0 behind one more byte, as every implementation has it; data likewise.
            kind::COMMAND_AMF3 => self.received_command(message.payload.get(1..).unwrap_or_default(), now),
            kind::DATA => self.data(&message.payload),
            kind::DATA_AMF3 => self.data(message.payload.get(1..).unwrap_or_default()),
            kind::VIDEO => self.media(TagKind::Video, message, now),
            kind::AUDIO => self.media(TagKind::Audio, message, now),
            // Acknowledgements and bandwidth limits are about what we send, which is next to nothing.
            _ => {}
        }
    }

    /// §7.1.7: a ping (6) is answered (7) with its own time.
    fn user_control(&mut self, payload: &[u8]) {
        if let Some([0, 6, t3, t2, t1, t0]) = payload.first_chunk() {
            self.control(kind::USER_CONTROL, &[0, 7, *t3, *t2, *t1, *t0]);
        }
    }

    fn media(&mut self, kind: TagKind, message: Message, now: Instant) {
        let State::Live(reader) = &mut self.state else { return };
        let events = &mut self.events;
        reader.push(kind, message.timestamp_ms, message.payload, now, |output| events.push_back(event(output)));
    }

    fn data(&mut self, payload: &[u8]) {
        if let (State::Live(reader), Some(announced)) = (&mut self.state, words::announced(payload)) {
            reader.announce(announced);
        }
    }

    fn received_command(&mut self, payload: &[u8], now: Instant) {
        // A command that cannot be read at all is none we are waiting for; the deadline covers the rest.
        let Ok(command) = Command::parse(payload) else { return };
        let transaction = command.transaction;
        match (command.name.as_str(), &self.state) {
            ("connect", State::Strange(Step::Connect)) => self.connect(&command, now),
            // Nothing else is listened to before.
            (_, State::Handshake { .. } | State::Strange(Step::Connect) | State::Asking | State::Over) => {}
            ("releaseStream", _) => self.say(words::done(transaction)),
            ("FCPublish", _) => {
                self.say(words::done(transaction));
                self.say(words::on_fc_publish());
            }
            ("createStream", _) => {
                self.say(words::stream_created(transaction));
                if let State::Strange(Step::CreateStream) = self.state {
                    self.next(Step::Publish, now);
                }
            }
            ("publish", State::Strange(_)) => self.publish(&command),
            ("play" | "play2", State::Strange(_)) => self.refused(Denial::Player),
            ("FCUnpublish" | "deleteStream" | "closeStream" | "close", State::Live(_)) => {
                self.status(Level::Status, "NetStream.Unpublish.Success", "Stream is now unpublished.");
                self.ended(End::Unpublished);
            }
            // Answers need none, and neither does what has no transaction.
            ("_result" | "_error" | "onStatus", _) => {}
            _ if transaction > 0.0 => {
                self.say(words::error(transaction, "NetConnection.Call.Failed", "Method not found."));
            }
            _ => {}
        }
    }

    fn connect(&mut self, command: &Command, now: Instant) {
        if !self.gate.has_app(command.text("app").unwrap_or_default()) {
            let denial = Denial::WrongApp;
            self.announce();
            let advice = denial.advice(self.gate.app());
            self.say(words::error(command.transaction, "NetConnection.Connect.Rejected", &advice));
            return self.refused(denial);
        }
        self.encoder = command.text("flashVer").and_then(words::harmless);
        self.announce();
        self.say(words::connected(command.transaction));
        self.next(Step::CreateStream, now);
    }

    /// §5.4: how long our chunks are, what we want confirmed, and how much may be on its way, enforced dynamically (2).
    fn announce(&mut self) {
        let [w3, w2, w1, w0] = WINDOW.to_be_bytes();
        self.control(kind::WINDOW_SIZE, &[w3, w2, w1, w0]);
        self.control(kind::PEER_BANDWIDTH, &[w3, w2, w1, w0, 2]);
        self.control(kind::SET_CHUNK_SIZE, &(CHUNK_SIZE as u32).to_be_bytes());
    }

    fn publish(&mut self, command: &Command) {
        let name = command.arguments.iter().find_map(Value::as_str).unwrap_or_default();
        if let Some(pause) = self.gate.pause() {
            return self.refused(Denial::Guesses(pause));
        }
        if !self.gate.admits(name) {
            return self.refused(Denial::WrongKey);
        }
        self.reader.allow(MAX_PICTURE);
        self.state = State::Asking;
        self.deadline = None;
        self.events.push_back(ServerEvent::Asks);
    }

    fn refused(&mut self, why: Denial) {
        let code = match &why {
            Denial::WrongKey | Denial::Guesses(_) => Some("NetStream.Publish.Denied"),
            Denial::Taken => Some("NetStream.Publish.BadName"),
            Denial::Player => Some("NetStream.Play.StreamNotFound"),
            // To these it was said already, or they would not understand it.
            Denial::Tls
            | Denial::NotRtmp
            | Denial::WrongApp
            | Denial::Late(_)
            | Denial::Protocol { .. }
            | Denial::Crowded => None,
        };
        if let Some(code) = code {
            let advice = why.advice(self.gate.app());
            self.status(Level::Error, code, &advice);
        }
        self.close();
        self.events.push_back(ServerEvent::Refused(why));
    }

    fn ended(&mut self, end: End) {
        if let State::Live(reader) = &mut self.state {
            let events = &mut self.events;
            reader.flush(|output| events.push_back(event(output)));
        }
        self.close();
        self.events.push_back(ServerEvent::Ended(end));
    }

    fn broken(&mut self, detail: String) {
        match self.state {
            State::Live(_) => self.ended(End::Protocol { detail }),
            State::Handshake { .. } | State::Strange(_) | State::Asking | State::Over => {
                self.refused(Denial::Protocol { detail });
            }
        }
    }

    fn close(&mut self) {
        self.state = State::Over;
        self.deadline = None;
    }

    fn control(&mut self, kind: u8, payload: &[u8]) {
        let route = Route { chunk_stream: CONTROL, kind, stream: 0, timestamp_ms: 0 };
        chunk::write(&mut self.outbox, route, payload, Bytes::new());
    }

    fn say(&mut self, payload: Vec<u8>) {
        let route = Route { chunk_stream: CONNECTION, kind: kind::COMMAND, stream: 0, timestamp_ms: 0 };
        chunk::write(&mut self.outbox, route, &[], payload.into());
    }

    fn status(&mut self, level: Level, code: &'static str, description: &str) {
        let route = Route { chunk_stream: STATUS, kind: kind::COMMAND, stream: STREAM, timestamp_ms: 0 };
        chunk::write(&mut self.outbox, route, &[], words::status(level, code, description).into());
    }
}

fn event(output: Output) -> ServerEvent {
    match output {
        Output::Unit(unit) => ServerEvent::Unit(unit),
        Output::TimeBase => ServerEvent::TimeBase,
        Output::LeftOut(why) => ServerEvent::LeftOut(why),
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("step", &self.step()).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
