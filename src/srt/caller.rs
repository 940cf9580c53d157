//! The calling side of a handshake: one per path.
//!
//! ```text
//!   Induction ──cookie──► Conclusion ──answer──► Connected(Negotiated)
//!       │                     │
//!       └── refused, or silent for the timeout (repeated every 250 ms) ──► Failed(Trouble)
//! ```

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::crypto::{KeyMaterial, KmStatus};
use super::negotiated::{
    Blocks, MIN_FLOW_WINDOW, MIN_MSS, Membership, Negotiated, OLDEST_VERSION, OUR_FLAGS, Offer, Role, SRT_VERSION,
    millis, payload_of, peer_start, timestamp,
};
use super::stream_id::StreamId;
use super::trouble::{Step, Trouble, Unsuitable};
use super::wire::{
    Capabilities, Control, ControlPacket, Extension, Extensions, GroupExtension, GroupId, GroupType, Handshake,
    HandshakeFlags, HandshakeKind, MAGIC, Packet, RejectReason, SeqNo, SocketId, SrtFlags, Timestamp, UDT_DGRAM,
    VERSION_4, VERSION_5, kind, put_text, wire_address,
};

/// A handshake that is not answered is repeated after this time, with a new timestamp (draft §4.3.1.1; libsrt).
pub const REPEAT: Duration = Duration::from_millis(250);
/// How long a call may take, as a rule (libsrt's SRTO_CONNTIMEO).
pub const TIMEOUT: Duration = Duration::from_secs(3);

/// The group that a call is to join.
#[derive(Clone, Copy, Debug)]
pub struct CallerGroup {
    /// Our id of it: the same for all members.
    pub id: GroupId,
    /// Its type.
    pub group_type: GroupType,
    /// The member's weight.
    pub weight: u16,
    /// The peer's id of it, once a member is connected: another one means another server.
    pub peer: Option<GroupId>,
}

/// A call.
#[derive(Clone, Debug)]
pub struct CallerConfig {
    /// The listener's address, for the handshake's field of that name.
    pub peer: IpAddr,
    /// Our socket: [`super::random_socket_id`], a new one for each call.
    pub socket_id: SocketId,
    /// The first sequence number: [`super::random_isn`], or where the group is. The same for members that call at
    /// the same time.
    pub isn: SeqNo,
    /// When our timestamps are 0: the same for all members of a group.
    pub start: Instant,
    /// What we offer.
    pub offer: Offer,
    /// What we ask for.
    pub stream_id: StreamId,
    /// Keys: those of the session, if it has some already.
    pub keys: Option<KeyMaterial>,
    /// The group to join.
    pub group: Option<CallerGroup>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum CallerEvent {
    /// There is a connection. Packets for the socket id are the session's from here on.
    Connected(Box<Negotiated>),
    /// There is none.
    Failed(Trouble),
}

/// Why [`Caller::handle_timeout`] wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerTimeout {
    /// To repeat the handshake.
    Repeat(Step),
    /// To give up.
    GiveUp(Step),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Calling { step: Step, cookie: u32 },
    Over,
}

/// A call. Feed it the datagrams that come from the listener's address; send what [`Self::poll_transmit`] has.
#[derive(Debug)]
pub struct Caller {
    config: CallerConfig,
    state: State,
    deadline: Instant,
    sent: Instant,
    repeated: bool,
    unreachable: bool,
    /// Of the answered steps, the shortest.
    rtt: Option<Duration>,
    transmit: Option<Vec<u8>>,
    events: VecDeque<CallerEvent>,
}

impl Caller {
    /// Begins: there is something to transmit.
    pub fn new(config: CallerConfig, now: Instant) -> Self {
        let mut caller = Self {
            deadline: now + config.timeout,
            config,
            state: State::Calling { step: Step::Induction, cookie: 0 },
            sent: now,
            repeated: false,
            unreachable: false,
            rtt: None,
            transmit: None,
            events: VecDeque::new(),
        };
        caller.send(now);
        caller
    }

    /// The datagram to send, if any; a newer one takes the place of one that was not fetched.
    pub const fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.take()
    }

    /// How it ended, once.
    pub fn poll_event(&mut self) -> Option<CallerEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called, and what for. None once it is over.
    pub fn poll_timeout(&self) -> Option<(Instant, CallerTimeout)> {
        let State::Calling { step, .. } = self.state else { return None };
        let repeat = self.sent + REPEAT;
        Some(if repeat < self.deadline {
            (repeat, CallerTimeout::Repeat(step))
        } else {
            (self.deadline, CallerTimeout::GiveUp(step))
        })
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let State::Calling { step, .. } = self.state else { return };
        if now >= self.deadline {
            self.fail(Trouble::NoAnswer { step, unreachable: self.unreachable });
        } else if now >= self.sent + REPEAT {
            self.repeated = true;
            self.send(now);
        }
    }

    /// The system says that nothing listens there. It may be about to, so the call goes on.
    pub const fn handle_unreachable(&mut self) {
        self.unreachable = true;
    }

    /// Another member of the group is connected: the listener has to answer for the same group.
    pub const fn expect_group(&mut self, peer: GroupId) {
        if let Some(group) = &mut self.config.group {
            group.peer = Some(peer);
        }
    }

    /// Gives up.
    pub fn abandon(&mut self) {
        self.state = State::Over;
        self.transmit = None;
    }

    /// Takes a datagram from the listener's address; what is no answer to this call is ignored.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        let Ok(Packet::Control(packet)) = Packet::decode(datagram) else { return };
        let State::Calling { step, .. } = self.state else { return };
        if packet.dest != self.config.socket_id {
            return;
        }
        match packet.control {
            Control::Handshake(answer) => self.handle_answer(step, &answer, packet.timestamp, now),
            Control::Shutdown if step == Step::Conclusion => self.fail(Trouble::Closed),
            // From a listener whose answer was lost or is late: the session will take them when it is there.
            Control::KeepAlive
            | Control::Ack(_)
            | Control::Nak(_)
            | Control::CongestionWarning
            | Control::Shutdown
            | Control::AckAck { .. }
            | Control::DropRequest { .. }
            | Control::PeerError { .. }
            | Control::Extended { .. }
            | Control::Unknown { .. } => {}
        }
    }

    fn handle_answer(&mut self, step: Step, answer: &Handshake, stamp: Timestamp, now: Instant) {
        match (step, answer.kind) {
            (_, HandshakeKind::Rejected(reason)) => {
                self.fail(Trouble::Refused { reason, encrypted: self.config.keys.is_some() });
            }
            (Step::Induction, HandshakeKind::Induction) => {
                if answer.version < VERSION_5 {
                    return self.fail(Trouble::Unsuitable(Unsuitable::TooOld));
                }
                if answer.extension != MAGIC {
                    return self.fail(Trouble::Unsuitable(Unsuitable::Nonsense("no magic number")));
                }
                self.measure(now);
                self.state = State::Calling { step: Step::Conclusion, cookie: answer.cookie };
                self.repeated = false;
                self.send(now);
            }
            (Step::Conclusion, HandshakeKind::Conclusion) => {
                self.measure(now);
                match self.conclude(answer, stamp, now) {
                    Ok(negotiated) => {
                        self.abandon();
                        self.events.push_back(CallerEvent::Connected(Box::new(negotiated)));
                    }
                    Err(trouble) => {
                        self.fail(trouble);
                        // It believes that there is a connection.
                        let shutdown = ControlPacket {
                            timestamp: timestamp(self.config.start, now),
                            dest: answer.socket_id,
                            control: Control::Shutdown,
                        };
                        let mut datagram = Vec::new();
                        shutdown.encode(&mut datagram);
                        self.transmit = Some(datagram);
                    }
                }
            }
            // A repeated answer to the first step, or nothing for a caller.
            (
                Step::Induction | Step::Conclusion,
                HandshakeKind::Induction
                | HandshakeKind::Conclusion
                | HandshakeKind::WaveAHand
                | HandshakeKind::Agreement
                | HandshakeKind::Unknown(_),
            ) => {}
        }
    }

    /// Reads the listener's yes.
    fn conclude(&self, answer: &Handshake, stamp: Timestamp, now: Instant) -> Result<Negotiated, Trouble> {
        let nonsense = |what| Trouble::Unsuitable(Unsuitable::Nonsense(what));
        let config = &self.config;
        if answer.version != VERSION_5 {
            return Err(Trouble::Unsuitable(Unsuitable::TooOld));
        }
        // The one thing that a third party which sees none of our packets cannot know, besides the socket's id.
        if answer.isn != config.isn {
            return Err(nonsense("sequence number"));
        }
        if answer.mss < MIN_MSS || answer.flow_window < MIN_FLOW_WINDOW || answer.socket_id == SocketId::LISTENER {
            return Err(nonsense("MSS, window or socket"));
        }
        let blocks = Blocks::read(answer.extensions).map_err(|_| nonsense("extensions"))?;
        let Some(theirs) = blocks.hsrsp else { return Err(nonsense("no HSRSP")) };
        if theirs.version < OLDEST_VERSION {
            return Err(Trouble::Unsuitable(Unsuitable::TooOld));
        }
        if !blocks.is_live() {
            return Err(Trouble::Unsuitable(Unsuitable::NotLive));
        }
        if blocks.filter.is_some() {
            return Err(Trouble::Unsuitable(Unsuitable::Filter));
        }
        let most = payload_of(answer.mss);
        if most < config.offer.payload {
            return Err(Trouble::Unsuitable(Unsuitable::SmallPackets { most, needed: config.offer.payload }));
        }
        self.check_keys(blocks.kmrsp)?;
        let group = match (config.group, blocks.group) {
            (None, _) => None,
            (Some(_), None) => return Err(Trouble::Unsuitable(Unsuitable::NoGroup)),
            (Some(ours), Some(theirs)) if ours.peer.is_some_and(|peer| peer != theirs.id) => {
                return Err(Trouble::Unsuitable(Unsuitable::OtherGroup));
            }
            (Some(CallerGroup { id: local, group_type, weight, .. }), Some(GroupExtension { id: peer, .. })) => {
                Some(Membership { local, peer, group_type, weight })
            }
        };
        // The listener has taken the larger of each; if it leaves one out, ours stays.
        let latency = |flag, ms: u16, ours: Duration| {
            if theirs.flags.has(flag) { Duration::from_millis(ms.into()) } else { ours }
        };
        let offer = &config.offer;
        Ok(Negotiated {
            role: Role::Caller,
            local: config.socket_id,
            peer: answer.socket_id,
            isn: config.isn,
            peer_version: theirs.version,
            peer_flags: theirs.flags,
            receive_latency: latency(SrtFlags::TSBPD_SEND, theirs.send_latency_ms, offer.receive_latency),
            send_latency: latency(SrtFlags::TSBPD_RECEIVE, theirs.receive_latency_ms, offer.send_latency),
            flow_window: answer.flow_window,
            mss: answer.mss.min(offer.mss()),
            start: config.start,
            peer_start: peer_start(now, stamp),
            rtt: self.rtt,
            keys: config.keys.clone(),
            group,
            stream_id: config.stream_id.clone(),
            private: offer.common(blocks.private),
        })
    }

    /// The listener must send our key material back, and nothing if there is none.
    fn check_keys(&self, answer: Option<&[u8]>) -> Result<(), Trouble> {
        let encrypted = self.config.keys.is_some();
        let refused = |reason| Trouble::Refused { reason, encrypted };
        match (&self.config.keys, answer) {
            (None, None) => Ok(()),
            (Some(keys), Some(same)) if same == keys.message() => Ok(()),
            (Some(_), Some(other)) => Err(match KmStatus::decode(other) {
                Some(KmStatus::BadSecret) => refused(RejectReason::BadSecret),
                Some(KmStatus::BadCryptoMode) => refused(RejectReason::Crypto),
                Some(KmStatus::Unsecured | KmStatus::Securing | KmStatus::NoSecret) => refused(RejectReason::Unsecure),
                Some(KmStatus::Secured | KmStatus::Other(_)) | None => {
                    Trouble::Unsuitable(Unsuitable::Nonsense("key material"))
                }
            }),
            // A listener that lets us in nevertheless would send what we cannot read, or read what we cannot hide.
            (Some(_), None) | (None, Some(_)) => Err(refused(RejectReason::Unsecure)),
        }
    }

    /// A repeated packet's answer may be to either.
    fn measure(&mut self, now: Instant) {
        let sample = now.saturating_duration_since(self.sent);
        if !self.repeated && self.rtt.is_none_or(|rtt| sample < rtt) {
            self.rtt = Some(sample);
        }
    }

    fn fail(&mut self, trouble: Trouble) {
        self.abandon();
        self.events.push_back(CallerEvent::Failed(trouble));
    }

    fn send(&mut self, now: Instant) {
        let State::Calling { step, cookie } = self.state else { return };
        let mut blocks = Vec::new();
        let (version, kind, encryption, extension) = match step {
            Step::Induction => (VERSION_4, HandshakeKind::Induction, 0, UDT_DGRAM),
            Step::Conclusion => {
                let flags = self.write_blocks(cookie, &mut blocks);
                let encryption = self.config.keys.as_ref().map_or(0, |keys| keys.length().advertised());
                (VERSION_5, HandshakeKind::Conclusion, encryption, flags)
            }
        };
        let handshake = Handshake {
            version,
            encryption,
            extension,
            isn: self.config.isn,
            mss: self.config.offer.mss(),
            flow_window: self.config.offer.flow_window,
            kind,
            socket_id: self.config.socket_id,
            cookie,
            peer_ip: wire_address(self.config.peer),
            extensions: Extensions::new(&blocks),
        };
        let packet = ControlPacket {
            timestamp: timestamp(self.config.start, now),
            dest: SocketId::LISTENER,
            control: Control::Handshake(handshake),
        };
        let mut datagram = Vec::new();
        packet.encode(&mut datagram);
        self.transmit = Some(datagram);
        self.sent = now;
    }

    /// Writes the conclusion's extensions in libsrt's order; returns the flags that announce them.
    fn write_blocks(&self, cookie: u32, out: &mut Vec<u8>) -> u16 {
        let CallerConfig { offer, stream_id, keys, group, socket_id, .. } = &self.config;
        let mut flags = HandshakeFlags::HSREQ;
        let ours = Capabilities {
            version: SRT_VERSION,
            flags: OUR_FLAGS,
            receive_latency_ms: millis(offer.receive_latency),
            send_latency_ms: millis(offer.send_latency),
        };
        Extension::HsReq(ours).encode(out);
        if !stream_id.as_str().is_empty() {
            flags |= HandshakeFlags::CONFIG;
            put_text(kind::SID, stream_id.as_str(), out);
        }
        if let Some(CallerGroup { id, group_type, weight, .. }) = *group {
            flags |= HandshakeFlags::CONFIG;
            Extension::Group(GroupExtension { id, group_type, flags: 0, weight }).encode(out);
        }
        if let Some(keys) = keys {
            flags |= HandshakeFlags::KMREQ;
            Extension::KmReq(keys.message()).encode(out);
        }
        let token = keys.as_ref().map(|keys| keys.join_token(cookie, socket_id.0));
        if let Some(private) = offer.private(token) {
            Extension::Private(private).encode(out);
        }
        flags
    }
}

#[cfg(test)]
mod tests;
