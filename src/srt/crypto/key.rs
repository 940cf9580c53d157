//! Passphrases and keys.

use std::fmt;
use std::num::NonZeroU32;

use aes::cipher::KeyInit;
use ring::pbkdf2;

use crate::model::KeyLength;

/// What both sides know beforehand: 10 to 79 bytes (SRTO_PASSPHRASE).
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl Passphrase {
    /// None if it is too short or too long.
    pub fn new(text: &str) -> Option<Self> {
        (10..=79).contains(&text.len()).then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passphrase(•••)")
    }
}

/// Bytes of a salt; the only length there is (draft §3.2.2).
pub(super) const SALT_LEN: usize = 16;

/// Makes keys of passphrases and packets differ between sessions. Not a secret.
pub(super) type Salt = [u8; SALT_LEN];

/// Stream encryption key: payloads are encrypted with it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sek {
    bytes: [u8; 32],
    length: KeyLength,
}

impl Sek {
    /// From as many bytes as a key has.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let length = KeyLength::from_bytes(bytes.len())?;
        let mut padded = [0; 32];
        padded[..bytes.len()].copy_from_slice(bytes);
        Some(Self { bytes: padded, length })
    }

    /// Another one of this length.
    pub(super) const fn from_random(bytes: [u8; 32], length: KeyLength) -> Self {
        let mut padded = [0; 32];
        let mut i = 0;
        while i < length.bytes() {
            padded[i] = bytes[i];
            i += 1;
        }
        Self { bytes: padded, length }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length.bytes()]
    }

    /// For encrypting only, which is all that CTR needs.
    pub(super) fn schedule(&self) -> Aes {
        let b = &self.bytes;
        let mut short = [0; 16];
        short.copy_from_slice(&b[..16]);
        let mut middle = [0; 24];
        middle.copy_from_slice(&b[..24]);
        match self.length {
            KeyLength::Aes128 => Aes::A128(aes::Aes128Enc::new(&short.into())),
            KeyLength::Aes192 => Aes::A192(aes::Aes192Enc::new(&middle.into())),
            KeyLength::Aes256 => Aes::A256(aes::Aes256Enc::new(b.into())),
        }
    }
}

/// A key schedule.
#[derive(Clone)]
pub(super) enum Aes {
    A128(aes::Aes128Enc),
    A192(aes::Aes192Enc),
    A256(aes::Aes256Enc),
}

/// Key encryption key: as long as the keys that it wraps.
#[derive(Clone)]
pub(super) struct Kek {
    bytes: [u8; 32],
    length: KeyLength,
}

/// PBKDF2's cost, which both sides have to agree on.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(2048).expect("not zero");

impl Kek {
    /// PBKDF2-HMAC-SHA-1 over the last 64 bits of the salt (draft §6.1.4). Takes some milliseconds, on purpose.
    pub(super) fn derive(passphrase: &Passphrase, salt: &Salt, length: KeyLength) -> Self {
        let mut bytes = [0; 32];
        let (last, secret) = (&salt[SALT_LEN - 8..], passphrase.0.as_bytes());
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, ITERATIONS, last, secret, &mut bytes[..length.bytes()]);
        Self { bytes, length }
    }

    /// Of given bytes, for the published vectors.
    #[cfg(test)]
    pub(super) fn from_bytes(given: &[u8]) -> Option<Self> {
        let length = KeyLength::from_bytes(given.len())?;
        let mut bytes = [0; 32];
        bytes[..given.len()].copy_from_slice(given);
        Some(Self { bytes, length })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length.bytes()]
    }
}
