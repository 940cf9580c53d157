//! The receiver's keys.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::cipher::PayloadCipher;
use super::km::{KeyMaterial, KmDigest, KmError, KmStatus};
use crate::srt::wire::{KeyFlag, SeqNo};

/// The packet is encrypted with a key that has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingKey;

/// What to do with a KMREQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmReply {
    /// Send it back as KMRSP: its keys are in use from here on.
    Accepted,
    /// Send it back as KMRSP, as the first answer may be lost; it changes nothing.
    Repeated,
    /// Send this as KMRSP.
    Refused(KmStatus),
    /// Send nothing.
    Ignored,
}

/// Decrypts what comes on one path.
#[derive(Clone)]
pub struct ReceiveKeys {
    material: KeyMaterial,
    even: Option<PayloadCipher>,
    odd: Option<PayloadCipher>,
    /// Messages that were taken, the newest last. An old one that comes again, late or replayed, must not bring old
    /// keys back.
    taken: VecDeque<KmDigest>,
    last_derivation: Option<Instant>,
}

/// How many messages are remembered.
const REMEMBERED: usize = 32;
/// A peer that changes its salt costs some milliseconds of work each time, so it may do that this often.
const DERIVATION_INTERVAL: Duration = Duration::from_secs(1);

impl std::fmt::Debug for ReceiveKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiveKeys(even: {}, odd: {})", self.even.is_some(), self.odd.is_some())
    }
}

impl ReceiveKeys {
    /// With the keys of the handshake.
    pub fn new(material: &KeyMaterial) -> Self {
        let mut keys =
            Self { even: None, odd: None, taken: VecDeque::new(), last_derivation: None, material: material.clone() };
        keys.take(material.clone());
        keys
    }

    /// Decrypts a payload. On an error it is unchanged.
    pub fn decrypt(&self, flag: KeyFlag, seq: SeqNo, payload: &mut [u8]) -> Result<(), MissingKey> {
        let cipher = match flag {
            KeyFlag::Clear => return Err(MissingKey),
            KeyFlag::Even => &self.even,
            KeyFlag::Odd => &self.odd,
        };
        cipher.as_ref().ok_or(MissingKey)?.apply(seq, payload);
        Ok(())
    }

    /// Takes a KMREQ of a running connection.
    pub fn handle_request(&mut self, message: &[u8], now: Instant) -> KmReply {
        if self.taken.contains(&KmDigest::of(message)) {
            return KmReply::Repeated;
        }
        if !self.material.is_cheap(message) {
            let last = self.last_derivation;
            if last.is_some_and(|last| now.saturating_duration_since(last) < DERIVATION_INTERVAL) {
                return KmReply::Ignored;
            }
            self.last_derivation = Some(now);
        }
        match self.material.open_next(message) {
            Ok(material) => {
                self.take(material);
                KmReply::Accepted
            }
            Err(KmError::WrongSecret) => KmReply::Refused(KmStatus::BadSecret),
            Err(KmError::Cipher(_)) => KmReply::Refused(KmStatus::BadCryptoMode),
            Err(KmError::NotKeyMaterial | KmError::SaltLength(_) | KmError::KeyLength(_)) => KmReply::Ignored,
        }
    }

    /// Keys that are not in the message stay valid.
    fn take(&mut self, material: KeyMaterial) {
        if let Some(sek) = &material.even {
            self.even = Some(PayloadCipher::new(sek, &material.salt));
        }
        if let Some(sek) = &material.odd {
            self.odd = Some(PayloadCipher::new(sek, &material.salt));
        }
        if self.taken.len() == REMEMBERED {
            self.taken.pop_front();
        }
        self.taken.push_back(material.digest());
        self.material = material;
    }
}
