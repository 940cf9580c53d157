//! The sender's keys, and their refresh: the next key is announced early enough to be there when it is needed, and the
//! last one stays valid for what is still on its way (draft §6.1.6; libsrt's SRTO_KMREFRESHRATE, SRTO_KMPREANNOUNCE).

use std::time::{Duration, Instant};

use super::cipher::PayloadCipher;
use super::key::Sek;
use super::km::{KeyMaterial, KmStatus};
use super::random::Random;
use crate::srt::planted::{Bug, planted};
use crate::srt::wire::{KeyFlag, SeqNo};

/// When keys change, counted in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    every: u64,
    announce: u64,
}

impl RefreshPolicy {
    /// A new key every `every` packets, announced `announce` packets before, the last one valid for as many after.
    /// None unless `announce` fits twice below `every`, as libsrt demands, or if `every` is above [`Self::MOST`].
    pub const fn new(every: u64, announce: u64) -> Option<Self> {
        let fits = every > 0 && every <= Self::MOST && announce > 0 && announce <= (every - 1) / 2;
        if fits { Some(Self { every, announce }) } else { None }
    }

    /// Most packets between two keys: even one that lives 16 times as long meets no sequence number twice.
    pub const MOST: u64 = (1 << 31) / LONGEST_LIFE;
}

impl Default for RefreshPolicy {
    /// libsrt's: 2^24 packets, announced 2^12 before. At 8 Mbit/s that is a new key every 5.9 hours.
    fn default() -> Self {
        Self { every: 1 << 24, announce: 1 << 12 }
    }
}

/// What [`SendKeys::maintain`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// There is a new message for the peers.
    Announced,
    /// The announced key is in use.
    Switched,
    /// Packets encrypted with the last key have arrived or are too late.
    Retired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Steady,
    Announced { confirmed: bool },
    Switched,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parity {
    Even,
    Odd,
}

/// A key that the peers will not replace is used so much longer. With 2^24 packets that is still far from the 2^31
/// after which sequence numbers, and with them the key stream, come again.
const LONGEST_LIFE: u64 = 16;

/// Encrypts. One for all paths of a session that this side called; one for each path that called this side.
#[derive(Clone)]
pub struct SendKeys {
    material: KeyMaterial,
    even: Option<PayloadCipher>,
    odd: Option<PayloadCipher>,
    active: Parity,
    /// Encrypted with the active key.
    packets: u64,
    stage: Stage,
    policy: RefreshPolicy,
    /// Counts messages; the first is 0.
    generation: u32,
}

impl std::fmt::Debug for SendKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SendKeys({:?}, {:?}, {} packets)", self.active, self.stage, self.packets)
    }
}

impl SendKeys {
    /// Begins with the even key, as libsrt does, or with the odd one if that is all there is.
    pub fn new(material: &KeyMaterial, policy: RefreshPolicy) -> Self {
        let cipher = |sek: &Option<Sek>| sek.as_ref().map(|sek| PayloadCipher::new(sek, &material.salt));
        Self {
            even: cipher(&material.even),
            odd: cipher(&material.odd),
            active: if material.even.is_some() { Parity::Even } else { Parity::Odd },
            packets: 0,
            stage: Stage::Steady,
            policy,
            generation: 0,
            material: material.clone(),
        }
    }

    /// Encrypts the payload of a packet that is sent for the first time. Say the answer in its header.
    pub fn encrypt(&mut self, seq: SeqNo, payload: &mut [u8]) -> KeyFlag {
        self.packets += 1;
        let (cipher, flag) = match self.active {
            Parity::Even => (&self.even, KeyFlag::Even),
            Parity::Odd => (&self.odd, KeyFlag::Odd),
        };
        if let Some(cipher) = cipher {
            cipher.apply(seq, payload);
            flag
        } else {
            // The active key is there by construction; a payload that nobody can read is better than one in clear.
            payload.fill(0);
            flag
        }
    }

    /// Encrypts a packet again as it was the first time, for a sender that keeps payloads in clear. False if that key
    /// is gone, in which case the payload is unchanged and must not be sent.
    #[must_use]
    pub fn encrypt_again(&self, flag: KeyFlag, seq: SeqNo, payload: &mut [u8]) -> bool {
        let cipher = match flag {
            KeyFlag::Clear => return false,
            KeyFlag::Even => &self.even,
            KeyFlag::Odd => &self.odd,
        };
        cipher.as_ref().inspect(|cipher| cipher.apply(seq, payload)).is_some()
    }

    /// Changes keys if it is time; call after each packet, or as often as you like.
    pub fn maintain(&mut self, random: &mut Random) -> Option<KeyChange> {
        let RefreshPolicy { every, announce } = self.policy;
        match self.stage {
            Stage::Steady if self.packets > every - announce => {
                self.announce(random);
                if planted(Bug::ChangesKeysSilently) {
                    self.generation = self.generation.wrapping_sub(1);
                    self.stage = Stage::Announced { confirmed: true };
                }
                Some(KeyChange::Announced)
            }
            // Unlike libsrt, waits for the peers: what is sealed with a key that they do not have is a hole in the
            // picture, or garbage if they still have an older one of that parity.
            Stage::Announced { confirmed } if self.packets > if confirmed { every } else { every * LONGEST_LIFE } => {
                self.active = match self.active {
                    Parity::Even => Parity::Odd,
                    Parity::Odd => Parity::Even,
                };
                self.packets = 0;
                self.stage = Stage::Switched;
                Some(KeyChange::Switched)
            }
            Stage::Switched if self.packets > announce => {
                self.stage = Stage::Steady;
                Some(KeyChange::Retired)
            }
            Stage::Steady | Stage::Announced { .. } | Stage::Switched => None,
        }
    }

    /// Every path that is up has confirmed the current message.
    pub const fn confirm(&mut self) {
        if let Stage::Announced { confirmed } = &mut self.stage {
            *confirmed = true;
        }
    }

    /// The current keys, for the handshake of another path of this session.
    pub const fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// Makes the other key anew. The salt stays, so that peers need not derive the KEK again, and the message holds
    /// both keys, so that a path that joins can read what is on its way.
    fn announce(&mut self, random: &mut Random) {
        let old = &self.material;
        let next = Sek::from_random(random.bytes(), old.length);
        let cipher = Some(PayloadCipher::new(&next, &old.salt));
        let (even, odd) = match self.active {
            Parity::Even => {
                self.odd = cipher;
                (old.even.clone(), Some(next))
            }
            Parity::Odd => {
                self.even = cipher;
                (Some(next), old.odd.clone())
            }
        };
        self.material = KeyMaterial::seal(old.passphrase.clone(), old.kek.clone(), old.salt, even, odd, old.length);
        self.stage = Stage::Announced { confirmed: false };
        self.generation = self.generation.wrapping_add(1);
    }
}

/// A peer's KMRSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmAnswer {
    /// It has the current keys.
    Confirmed,
    /// It cannot use them.
    Refused(KmStatus),
    /// It answers another message: an older one, or none of ours.
    Unrelated,
}

/// Tells one path's peer of new keys until it confirms them.
#[derive(Clone, Debug)]
pub struct KeyAnnouncer {
    /// Of [`SendKeys`], as far as the peer knows.
    confirmed: u32,
    asking: Option<Asking>,
}

#[derive(Clone, Debug)]
struct Asking {
    generation: u32,
    again: Instant,
    wait: Duration,
}

/// Between two KMREQs, at least; libsrt waits 1.5 round trips, here doubled each time.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl KeyAnnouncer {
    /// For a path whose handshake carried the current message.
    pub const fn new(keys: &SendKeys) -> Self {
        Self { confirmed: keys.generation, asking: None }
    }

    /// The KMREQ to send now, if any.
    pub fn poll<'k>(&mut self, keys: &'k SendKeys, rtt: Duration, now: Instant) -> Option<&'k [u8]> {
        if self.is_confirmed(keys) {
            self.asking = None;
            return None;
        }
        let wait = match &self.asking {
            Some(asking) if asking.generation == keys.generation && now < asking.again => return None,
            Some(asking) if asking.generation == keys.generation => (asking.wait * 2).min(LONGEST_WAIT),
            Some(_) | None => (rtt * 3 / 2).clamp(SHORTEST_WAIT, LONGEST_WAIT),
        };
        self.asking = Some(Asking { generation: keys.generation, again: now + wait, wait });
        Some(keys.material.message())
    }

    /// When [`Self::poll`] has something again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.asking.as_ref().map(|asking| asking.again)
    }

    /// Whether the peer has the current keys.
    pub const fn is_confirmed(&self, keys: &SendKeys) -> bool {
        self.confirmed == keys.generation
    }

    /// Takes the peer's KMRSP.
    pub fn handle_response(&mut self, keys: &SendKeys, body: &[u8]) -> KmAnswer {
        if body == keys.material.message() {
            self.confirmed = keys.generation;
            self.asking = None;
            return KmAnswer::Confirmed;
        }
        KmStatus::decode(body).map_or(KmAnswer::Unrelated, KmAnswer::Refused)
    }
}
