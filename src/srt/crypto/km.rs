//! Key material messages (draft §3.2.2): KMREQ, and KMRSP when all is well.

use ring::{digest, hmac};

use super::key::{Kek, Passphrase, SALT_LEN, Salt, Sek};
use super::random::Random;
use super::wrap::{self, WRAP_LEN};
use crate::model::KeyLength;

/// Why a key material message cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KmError {
    /// It is not one: length, version, type or signature.
    #[error("not a key material message")]
    NotKeyMaterial,
    /// A cipher other than AES-CTR; AES-GCM is 4.
    #[error("cipher {0}, only AES-CTR (2) is known")]
    Cipher(u8),
    /// A salt that is not of 16 bytes.
    #[error("salt of {0} bytes")]
    SaltLength(usize),
    /// A key that is not of 16, 24 or 32 bytes.
    #[error("key of {0} bytes")]
    KeyLength(usize),
    /// The passphrase is not the one it was wrapped with.
    #[error("passphrases differ")]
    WrongSecret,
}

/// The one word of a KMRSP when something is wrong (libsrt's SRT_KM_STATE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmStatus {
    /// The sender has no keys and needs none.
    Unsecured,
    /// Keys are being exchanged.
    Securing,
    /// All is well.
    Secured,
    /// The sender has no passphrase.
    NoSecret,
    /// The passphrases differ.
    BadSecret,
    /// The ciphers differ.
    BadCryptoMode,
    /// Another number.
    Other(u8),
}

impl KmStatus {
    /// libsrt puts the number into memory as its host has it and sends that memory: on every host of today with the
    /// lowest byte first. A host that does it the other way is understood too.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let [first, _, _, last] = *body.first_chunk::<4>()?;
        if body.len() != 4 {
            return None;
        }
        Some(match if first == 0 { last } else { first } {
            0 => Self::Unsecured,
            1 => Self::Securing,
            2 => Self::Secured,
            3 => Self::NoSecret,
            4 => Self::BadSecret,
            5 => Self::BadCryptoMode,
            other => Self::Other(other),
        })
    }

    /// As on the wire.
    pub const fn to_bytes(self) -> [u8; 4] {
        let number = match self {
            Self::Unsecured => 0,
            Self::Securing => 1,
            Self::Secured => 2,
            Self::NoSecret => 3,
            Self::BadSecret => 4,
            Self::BadCryptoMode => 5,
            Self::Other(number) => number,
        };
        [number, 0, 0, 0]
    }
}

/// Tells key material messages apart without keeping them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KmDigest([u8; 16]);

impl KmDigest {
    /// Of a message as on the wire.
    pub fn of(message: &[u8]) -> Self {
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(digest::digest(&digest::SHA256, message).as_ref()) {
            *to = *from;
        }
        Self(first)
    }
}

/// Proves that the sender of a handshake has the keys it sends, and not only a recording of the message they came in.
pub type JoinToken = [u8; 16];

/// Bytes before the salt.
const HEADER: usize = 16;
/// Version 1, packet type 2 (key material).
const VERSION_AND_TYPE: u8 = 0x12;
/// "HAI", five bits a letter.
const SIGNATURE: [u8; 2] = [0x20, 0x29];
const EVEN: u8 = 1;
const ODD: u8 = 2;
const AES_CTR: u8 = 2;
/// Stream encapsulation: MPEG-TS over SRT.
const SE_SRT: u8 = 2;

/// The keys of one direction of one connection, both or one of them, and what they came from. HSv5 uses the same ones
/// for both directions until either side refreshes its own.
#[derive(Clone)]
pub struct KeyMaterial {
    pub(super) passphrase: Passphrase,
    pub(super) kek: Kek,
    pub(super) salt: Salt,
    pub(super) even: Option<Sek>,
    pub(super) odd: Option<Sek>,
    pub(super) length: KeyLength,
    message: Vec<u8>,
}

impl std::fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyMaterial({:?}, •••)", self.length)
    }
}

impl KeyMaterial {
    /// Makes a salt and an even key.
    pub fn generate(passphrase: &Passphrase, length: KeyLength, random: &mut Random) -> Self {
        let salt: Salt = random.bytes();
        let kek = Kek::derive(passphrase, &salt, length);
        let even = Some(Sek::from_random(random.bytes(), length));
        Self::seal(passphrase.clone(), kek, salt, even, None, length)
    }

    /// Wraps what is known into a message.
    pub(super) fn seal(
        passphrase: Passphrase,
        kek: Kek,
        salt: Salt,
        even: Option<Sek>,
        odd: Option<Sek>,
        length: KeyLength,
    ) -> Self {
        let which = if even.is_some() { EVEN } else { 0 } | if odd.is_some() { ODD } else { 0 };
        let mut message = vec![VERSION_AND_TYPE, SIGNATURE[0], SIGNATURE[1], which];
        // The identity of the KEK: 0, the passphrase.
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&[AES_CTR, 0, SE_SRT, 0, 0, 0]);
        message.extend_from_slice(&[(SALT_LEN / 4) as u8, (length.bytes() / 4) as u8]);
        message.extend_from_slice(&salt);
        let keys: Vec<u8> = even.iter().chain(&odd).flat_map(|sek| sek.as_bytes().iter().copied()).collect();
        wrap::wrap(&kek, &keys, &mut message);
        Self { passphrase, kek, salt, even, odd, length, message }
    }

    /// Opens a peer's message. Costs some milliseconds (PBKDF2) unless the message is malformed.
    pub fn open(passphrase: &Passphrase, message: &[u8]) -> Result<Self, KmError> {
        let parsed = Parsed::of(message)?;
        let kek = Kek::derive(passphrase, &parsed.salt, parsed.length);
        parsed.open(passphrase.clone(), kek, message)
    }

    /// As [`Self::open`], with the KEK of this one if the salt is the same, which it is in a refresh.
    pub(super) fn open_next(&self, message: &[u8]) -> Result<Self, KmError> {
        let parsed = Parsed::of(message)?;
        let kek = if self.has_kek_of(&parsed) {
            self.kek.clone()
        } else {
            Kek::derive(&self.passphrase, &parsed.salt, parsed.length)
        };
        parsed.open(self.passphrase.clone(), kek, message)
    }

    /// Whether [`Self::open_next`] is cheap.
    pub(super) fn is_cheap(&self, message: &[u8]) -> bool {
        Parsed::of(message).is_ok_and(|parsed| self.has_kek_of(&parsed))
    }

    fn has_kek_of(&self, parsed: &Parsed) -> bool {
        parsed.salt == self.salt && parsed.length == self.length
    }

    /// The message, for KMREQ, and back again for KMRSP.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Of the message.
    pub fn digest(&self) -> KmDigest {
        KmDigest::of(&self.message)
    }

    /// Length of the keys.
    pub const fn length(&self) -> KeyLength {
        self.length
    }

    /// What proves possession of these keys to the listener that gave out `cookie`: nobody else's cookie, nobody
    /// else's socket.
    pub fn join_token(&self, cookie: u32, socket_id: u32) -> JoinToken {
        let keys: Vec<u8> = [&self.even, &self.odd].into_iter().flatten().flat_map(Sek::as_bytes).copied().collect();
        let mut signed = *b"holdfast join 1\0--------";
        signed[16..20].copy_from_slice(&cookie.to_be_bytes());
        signed[20..].copy_from_slice(&socket_id.to_be_bytes());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys), &signed);
        let mut token = [0; 16];
        for (to, from) in token.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        token
    }
}

/// What of a message can be read without the passphrase.
struct Parsed<'a> {
    which: u8,
    length: KeyLength,
    salt: Salt,
    wrapped: &'a [u8],
}

impl<'a> Parsed<'a> {
    fn of(message: &'a [u8]) -> Result<Self, KmError> {
        let Some((header, rest)) = message.split_first_chunk::<HEADER>() else { return Err(KmError::NotKeyMaterial) };
        let which = header[3] & (EVEN | ODD);
        if header[0] != VERSION_AND_TYPE || header[1..3] != SIGNATURE || which == 0 || header[10] != SE_SRT {
            return Err(KmError::NotKeyMaterial);
        }
        if header[8] != AES_CTR {
            return Err(KmError::Cipher(header[8]));
        }
        let (salt_len, key_len) = (usize::from(header[14]) * 4, usize::from(header[15]) * 4);
        let Some(length) = KeyLength::from_bytes(key_len) else { return Err(KmError::KeyLength(key_len)) };
        if salt_len != SALT_LEN {
            return Err(KmError::SaltLength(salt_len));
        }
        let Some((salt, wrapped)) = rest.split_first_chunk::<SALT_LEN>() else { return Err(KmError::NotKeyMaterial) };
        let keys = if which == EVEN | ODD { 2 } else { 1 };
        if wrapped.len() != keys * length.bytes() + WRAP_LEN {
            return Err(KmError::NotKeyMaterial);
        }
        Ok(Self { which, length, salt: *salt, wrapped })
    }

    fn open(&self, passphrase: Passphrase, kek: Kek, message: &[u8]) -> Result<KeyMaterial, KmError> {
        let (keys, len) = wrap::unwrap(&kek, self.wrapped).ok_or(KmError::WrongSecret)?;
        // The even one comes first if there are both.
        let mut keys = keys[..len].chunks_exact(self.length.bytes()).map(Sek::new);
        let mut key_if = |flag: u8| if self.which & flag == 0 { None } else { keys.next().flatten() };
        let (even, odd) = (key_if(EVEN), key_if(ODD));
        let (salt, length) = (self.salt, self.length);
        Ok(KeyMaterial { passphrase, kek, salt, even, odd, length, message: message.to_vec() })
    }
}
