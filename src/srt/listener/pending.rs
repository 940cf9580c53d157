//! A caller with a good cookie, read and waiting for a decision.

use std::time::{Duration, Instant};

use super::refusal::Refusal;
use super::{Request, RequestId, Route};
use crate::srt::crypto::{KeyMaterial, KmError, Passphrase};
use crate::srt::negotiated::{Blocks, MIN_FLOW_WINDOW, MIN_MSS, OLDEST_VERSION};
use crate::srt::stream_id::StreamId;
use crate::srt::wire::{
    Capabilities, GroupExtension, GroupType, Handshake, MAX_TEXT, PrivateExtension, SeqNo, SocketId, SrtFlags,
    Timestamp, VERSION_5,
};

/// Longest key material message: salt and two AES-256 keys.
const MAX_KM: usize = 16 + 16 + 64 + 8;

/// What its conclusion says.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub id: RequestId,
    pub route: Route,
    pub socket: SocketId,
    pub isn: SeqNo,
    pub mss: u32,
    pub flow_window: u32,
    pub cookie: u32,
    pub capabilities: Capabilities,
    pub km: Option<Vec<u8>>,
    pub stream_id: StreamId,
    pub group: Option<GroupExtension>,
    pub private: Option<PrivateExtension>,
    pub arrival: Instant,
    pub timestamp: Timestamp,
    pub expires: Instant,
}

/// Where a conclusion came from, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub id: RequestId,
    pub route: Route,
    pub timestamp: Timestamp,
    pub now: Instant,
    pub expires: Instant,
}

impl Pending {
    /// Reads a conclusion. On an error, the stream id is what was read of it.
    pub(super) fn read(handshake: &Handshake, arrival: Arrival) -> Result<Self, (Refusal, StreamId)> {
        let nameless = |refusal| (refusal, StreamId::default());
        if handshake.version != VERSION_5 {
            return Err(nameless(Refusal::OldVersion));
        }
        let blocks = Blocks::read(handshake.extensions).map_err(|_| nameless(Refusal::Malformed))?;
        let stream_id = match blocks.stream_id {
            None => StreamId::default(),
            Some(text) => {
                let text = text.read(MAX_TEXT).ok_or(nameless(Refusal::Malformed))?;
                StreamId::new(&text).ok_or(nameless(Refusal::Malformed))?
            }
        };
        let refuse = |refusal| Err((refusal, stream_id.clone()));
        if handshake.mss < MIN_MSS
            || handshake.flow_window < MIN_FLOW_WINDOW
            // Any other number will do: not everybody keeps to libsrt's range.
            || handshake.socket_id == SocketId::LISTENER
        {
            return refuse(Refusal::Malformed);
        }
        let Some(capabilities) = blocks.hsreq else { return refuse(Refusal::Malformed) };
        if capabilities.version < OLDEST_VERSION {
            return refuse(Refusal::OldVersion);
        }
        if capabilities.flags.has(SrtFlags::STREAM) || !blocks.is_live() {
            return refuse(Refusal::NotLive);
        }
        if blocks.filter.is_some() {
            return refuse(Refusal::Filter);
        }
        if blocks.kmreq.is_some_and(|km| km.len() > MAX_KM) {
            return refuse(Refusal::Malformed);
        }
        if let Some(group) = blocks.group
            && (matches!(group.group_type, GroupType::Other(_)) || group.flags != 0)
        {
            return refuse(Refusal::Group);
        }
        Ok(Self {
            id: arrival.id,
            route: arrival.route,
            socket: handshake.socket_id,
            isn: handshake.isn,
            mss: handshake.mss,
            flow_window: handshake.flow_window,
            cookie: handshake.cookie,
            capabilities,
            km: blocks.kmreq.map(<[u8]>::to_vec),
            stream_id,
            group: blocks.group,
            private: blocks.private,
            arrival: arrival.now,
            timestamp: arrival.timestamp,
            expires: arrival.expires,
        })
    }

    pub(super) fn request(&self) -> Request {
        Request {
            id: self.id,
            route: self.route,
            stream_id: self.stream_id.clone(),
            encrypted: self.km.is_some(),
            group: self.group.map(|group| group.group_type),
            peer_version: self.capabilities.version,
            latency: Duration::from_millis(self.capabilities.send_latency_ms.into()),
        }
    }

    /// Opens its keys, if both sides want to have some. Costs some milliseconds.
    pub(super) fn open_keys(&self, passphrase: Option<&Passphrase>) -> Result<Option<KeyMaterial>, Refusal> {
        match (passphrase, &self.km) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(Refusal::PassphraseMissing),
            (None, Some(_)) => Err(Refusal::PassphraseUnexpected),
            (Some(passphrase), Some(km)) => match KeyMaterial::open(passphrase, km) {
                Ok(keys) => Ok(Some(keys)),
                Err(KmError::WrongSecret) => Err(Refusal::WrongPassphrase),
                Err(KmError::Cipher(_)) => Err(Refusal::Cipher),
                Err(KmError::NotKeyMaterial | KmError::SaltLength(_) | KmError::KeyLength(_)) => {
                    Err(Refusal::Malformed)
                }
            },
        }
    }

    /// Whether it proves that it has these keys, not only the message they came in.
    pub(super) fn has_proof(&self, keys: &KeyMaterial) -> bool {
        let token = self.private.and_then(|private| private.token);
        token.is_some_and(|token| same(&token, &keys.join_token(self.cookie, self.socket.0)))
    }
}

/// Compares without saying, by the time it takes, where they differ.
fn same(a: &[u8; 16], b: &[u8; 16]) -> bool {
    u128::from_be_bytes(*a) ^ u128::from_be_bytes(*b) == 0
}
