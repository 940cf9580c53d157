use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::key::Kek;
use super::wrap::{unwrap, wrap};
use super::*;
use crate::srt::wire::{KeyFlag, SeqNo};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn random() -> Random {
    Random::from_seed(&[7; 32])
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery").unwrap()
}

fn material(length: KeyLength) -> KeyMaterial {
    KeyMaterial::generate(&passphrase(), length, &mut random())
}

const LENGTHS: [KeyLength; 3] = [KeyLength::Aes128, KeyLength::Aes192, KeyLength::Aes256];

/// RFC 3394 §4.1 to §4.6.
#[test]
fn keys_are_wrapped_as_in_the_rfc() {
    let kek = hex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
    let data = hex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
    for (kek_len, len, expected) in [
        (16, 16, "1FA68B0A8112B447 AEF34BD8FB5A7B82 9D3E862371D2CFE5"),
        (24, 16, "96778B25AE6CA435 F92B5B97C050AED2 468AB8A17AD84E5D"),
        (32, 16, "64E8C3F9CE0F5BA2 63E9777905818A2A 93C8191E7D6E8AE7"),
        (24, 24, "031D33264E15D332 68F24EC260743EDC E1C6C7DDEE725A93 6BA814915C6762D2"),
        (32, 24, "A8F9BC1612C68B3F F6E6F4FBE30E71E4 769C8B80A32CB895 8CD5D17D6B254DA1"),
        (32, 32, "28C9F404C4B810F4 CBCCB35CFB87F826 3F5786E2D80ED326 CBC7F0E71A99F43B FB988B9B7A02DD21"),
    ] {
        let kek = Kek::from_bytes(&kek[..kek_len]).unwrap();
        let mut wrapped = Vec::new();
        wrap(&kek, &data[..len], &mut wrapped);
        assert_eq!(wrapped, hex(expected), "{kek_len}/{len}");
        let (plain, n) = unwrap(&kek, &wrapped).unwrap();
        assert_eq!(&plain[..n], &data[..len]);
        wrapped[5] ^= 1;
        assert!(unwrap(&kek, &wrapped).is_none());
    }
    let kek = Kek::from_bytes(&kek[..16]).unwrap();
    for len in [0, 8, 16, 23, 80, 400] {
        assert!(unwrap(&kek, &vec![0; len]).is_none(), "{len}");
    }
}

/// PBKDF2-HMAC-SHA-1 computed with Python's hashlib; the salt that counts is its last 8 bytes.
#[test]
fn the_kek_comes_from_the_last_half_of_the_salt() {
    let salt = *b"ignored!saltsalt";
    let kek = Kek::derive(&passphrase(), &salt, KeyLength::Aes256);
    assert_eq!(kek.as_bytes(), hex(PBKDF2));
    let other = Kek::derive(&passphrase(), b"IGNORED?saltsalt", KeyLength::Aes128);
    assert_eq!(other.as_bytes(), &hex(PBKDF2)[..16]);
}

const PBKDF2: &str = "505d64df9fa3dab4cd99ab77d9018d0cc02856365e9e41fdb29ec34294425e26";

#[test]
fn a_payload_as_openssl_encrypts_it() {
    // Key 000102…0f, salt 10111213…1f, sequence number 0x01020304: the counter block by hand, the rest by OpenSSL.
    let sek = key::Sek::new(&hex("000102030405060708090a0b0c0d0e0f")).unwrap();
    let mut salt = [0; 16];
    salt.copy_from_slice(&hex("101112131415161718191a1b1c1d1e1f"));
    let cipher = cipher::PayloadCipher::new(&sek, &salt);
    let mut payload = vec![0x47; 40];
    cipher.apply(SeqNo::new(0x0102_0304), &mut payload);
    assert_eq!(payload, hex(CTR));
}

const CTR: &str = "55055f079d82c7eee33da8aec241daf32e90f054dcf85994469feb5e5c59d334abd0f44a7b2ef982";

#[test]
fn messages_open_with_the_right_passphrase_only() {
    for length in LENGTHS {
        let sent = material(length);
        let opened = KeyMaterial::open(&passphrase(), sent.message()).unwrap();
        assert!(opened.even == sent.even && opened.odd.is_none());
        assert_eq!(opened.message(), sent.message());
        let other = Passphrase::new("wrong horse battery").unwrap();
        assert_eq!(KeyMaterial::open(&other, sent.message()).unwrap_err(), KmError::WrongSecret);
    }
}

#[test]
fn the_header_is_the_drafts() {
    let sent = material(KeyLength::Aes128);
    assert_eq!(&sent.message()[..16], hex("12202901 00000000 02000200 00000404"));
    assert_eq!(sent.message().len(), 16 + 16 + 16 + 8);
}

#[test]
fn messages_that_make_no_sense_are_refused_before_any_work() {
    let good = material(KeyLength::Aes128).message().to_vec();
    let open = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        KeyMaterial::open(&passphrase(), &bad).unwrap_err()
    };
    assert_eq!(open(0, 0x11), KmError::NotKeyMaterial);
    assert_eq!(open(1, 0), KmError::NotKeyMaterial);
    assert_eq!(open(3, 0), KmError::NotKeyMaterial);
    assert_eq!(open(3, 3), KmError::NotKeyMaterial, "two keys are longer");
    assert_eq!(open(8, 4), KmError::Cipher(4));
    assert_eq!(open(14, 2), KmError::SaltLength(8));
    assert_eq!(open(15, 7), KmError::KeyLength(28));
    for len in [0, 4, 15, 16, 31, 55, 57] {
        let mut short = good.clone();
        short.resize(len, 0);
        assert_eq!(KeyMaterial::open(&passphrase(), &short).unwrap_err(), KmError::NotKeyMaterial, "{len}");
    }
}

#[test]
fn both_directions_begin_with_the_same_key() {
    let keys = material(KeyLength::Aes256);
    let there = KeyMaterial::open(&passphrase(), keys.message()).unwrap();
    let mut payload = *b"seven transport stream packets";
    let flag = SendKeys::new(&keys, RefreshPolicy::default()).encrypt(SeqNo::new(9), &mut payload);
    assert_eq!(flag, KeyFlag::Even);
    assert_ne!(&payload, b"seven transport stream packets");
    assert_eq!(ReceiveKeys::new(&there).decrypt(flag, SeqNo::new(9), &mut payload), Ok(()));
    assert_eq!(&payload, b"seven transport stream packets");
}

/// A sender and a receiver with `lost` KMREQs in a row.
struct Pair {
    send: SendKeys,
    announcer: KeyAnnouncer,
    receive: ReceiveKeys,
    random: Random,
    now: Instant,
    lost: u32,
    changes: Vec<(u64, KeyChange)>,
    flags: Vec<KeyFlag>,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "a test begins whenever it is run")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn new(policy: RefreshPolicy, lost: u32) -> Self {
        let keys = material(KeyLength::Aes128);
        let send = SendKeys::new(&keys, policy);
        Self {
            announcer: KeyAnnouncer::new(&send),
            receive: ReceiveKeys::new(&KeyMaterial::open(&passphrase(), keys.message()).unwrap()),
            random: Random::from_seed(&[8; 32]),
            now: Self::epoch(),
            lost,
            changes: Vec::new(),
            flags: Vec::new(),
            send,
        }
    }

    /// Sends packets a millisecond apart; returns how many could not be read.
    fn run(&mut self, packets: u64) -> u64 {
        let mut unread = 0;
        for i in 0..packets {
            self.now += Duration::from_millis(1);
            if let Some(change) = self.send.maintain(&mut self.random) {
                self.changes.push((i, change));
            }
            let message = self.announcer.poll(&self.send, Duration::from_millis(10), self.now).map(<[u8]>::to_vec);
            if let Some(message) = message {
                if self.lost > 0 {
                    self.lost -= 1;
                } else {
                    assert_eq!(self.receive.handle_request(&message, self.now), KmReply::Accepted);
                    assert_eq!(self.announcer.handle_response(&self.send, &message), KmAnswer::Confirmed);
                    self.send.confirm();
                }
            }
            let mut payload = i.to_be_bytes();
            let flag = self.send.encrypt(SeqNo::from(i), &mut payload);
            self.flags.push(flag);
            let read = self.receive.decrypt(flag, SeqNo::from(i), &mut payload);
            if read.is_err() || payload != i.to_be_bytes() {
                unread += 1;
            }
        }
        unread
    }
}

#[test]
fn keys_are_refreshed_without_a_hole() {
    let mut pair = Pair::new(RefreshPolicy::new(1000, 100).unwrap(), 0);
    assert_eq!(pair.run(3003), 0);
    use KeyChange::{Announced, Retired, Switched};
    let expected = [
        (901, Announced),
        (1001, Switched),
        (1102, Retired),
        (1902, Announced),
        (2002, Switched),
        (2103, Retired),
        (2903, Announced),
    ];
    assert_eq!(pair.changes, expected);
    assert_eq!([pair.flags[1000], pair.flags[1001], pair.flags[2002]], [KeyFlag::Even, KeyFlag::Odd, KeyFlag::Even]);
}

#[test]
fn a_lost_announcement_delays_the_switch_but_never_for_long() {
    // Asked at 0, 20, 60, 140 ms: the fourth arrives.
    let mut pair = Pair::new(RefreshPolicy::new(1000, 100).unwrap(), 3);
    assert_eq!(pair.run(1500), 0);
    assert_eq!(pair.changes[1], (901 + 141, KeyChange::Switched));

    let mut deaf = Pair::new(RefreshPolicy::new(1000, 100).unwrap(), u32::MAX);
    let unread = deaf.run(17_000);
    assert_eq!(deaf.changes[1], (16_001, KeyChange::Switched), "a key is not used for ever");
    assert_eq!(unread, 17_000 - 16_001);
}

#[test]
fn an_old_message_does_not_bring_old_keys_back() {
    let mut pair = Pair::new(RefreshPolicy::new(1000, 100).unwrap(), 0);
    let first = pair.send.material().message().to_vec();
    pair.run(2500);
    assert_eq!(pair.receive.handle_request(&first, pair.now), KmReply::Repeated);
    assert_eq!(pair.run(100), 0);
}

#[test]
fn a_peer_cannot_make_us_derive_keys_all_day() {
    let mut pair = Pair::new(RefreshPolicy::default(), 0);
    let mut salted = || KeyMaterial::generate(&passphrase(), KeyLength::Aes128, &mut pair.random).message().to_vec();
    let (one, two) = (salted(), salted());
    assert_eq!(pair.receive.handle_request(&one, pair.now), KmReply::Accepted);
    assert_eq!(pair.receive.handle_request(&two, pair.now), KmReply::Ignored);
    assert_eq!(pair.receive.handle_request(&one, pair.now), KmReply::Repeated);
    assert_eq!(pair.receive.handle_request(&two, pair.now + Duration::from_secs(1)), KmReply::Accepted);
    let mut forged = two.clone();
    forged[40] ^= 1;
    assert_eq!(pair.receive.handle_request(&forged, pair.now), KmReply::Refused(KmStatus::BadSecret));
}

#[test]
fn statuses_come_in_either_byte_order() {
    assert_eq!(KmStatus::decode(&[4, 0, 0, 0]), Some(KmStatus::BadSecret));
    assert_eq!(KmStatus::decode(&[0, 0, 0, 3]), Some(KmStatus::NoSecret));
    assert_eq!(KmStatus::decode(&[0, 0, 0, 0]), Some(KmStatus::Unsecured));
    assert_eq!(KmStatus::decode(&[0, 0, 0]), None);
    assert_eq!(KmStatus::decode(&[0; 8]), None);
    assert_eq!(KmStatus::BadSecret.to_bytes(), [4, 0, 0, 0]);
}

#[test]
fn policies_that_leave_no_room_are_refused() {
    assert!(RefreshPolicy::new(1001, 500).is_some());
    assert!(RefreshPolicy::new(1 << 27, 1).is_some());
    for (every, announce) in [(1000, 500), (0, 0), (10, 0), (u64::MAX, u64::MAX), ((1 << 27) + 1, 1)] {
        assert_eq!(RefreshPolicy::new(every, announce), None, "{every} {announce}");
    }
}

#[test]
fn a_path_that_joins_after_a_refresh_can_read_at_once() {
    let mut pair = Pair::new(RefreshPolicy::new(1000, 100).unwrap(), 0);
    pair.run(1050);
    let joined = KeyMaterial::open(&passphrase(), pair.send.material().message()).unwrap();
    let receive = ReceiveKeys::new(&joined);
    let mut payload = *b"new";
    let flag = pair.send.encrypt(SeqNo::new(5), &mut payload);
    assert_eq!(flag, KeyFlag::Odd);
    receive.decrypt(flag, SeqNo::new(5), &mut payload).unwrap();
    assert_eq!(&payload, b"new");
    let mut again = *b"new";
    assert!(pair.send.encrypt_again(KeyFlag::Odd, SeqNo::new(5), &mut again));
    assert!(!pair.send.encrypt_again(KeyFlag::Clear, SeqNo::new(5), &mut again));
}

#[test]
fn a_token_is_good_for_one_cookie_and_one_socket() {
    let (keys, other) = (material(KeyLength::Aes128), material(KeyLength::Aes256));
    let token = keys.join_token(1, 2);
    let opened = KeyMaterial::open(&passphrase(), keys.message()).unwrap();
    assert_eq!(opened.join_token(1, 2), token);
    for wrong in [keys.join_token(2, 2), keys.join_token(1, 1), other.join_token(1, 2)] {
        assert_ne!(wrong, token);
    }
}

#[test]
fn secrets_are_not_printed() {
    let keys = material(KeyLength::Aes128);
    let printed = format!(
        "{:?} {keys:?} {:?} {:?} {:?}",
        passphrase(),
        random(),
        SendKeys::new(&keys, RefreshPolicy::default()),
        ReceiveKeys::new(&keys)
    );
    assert!(!printed.contains("horse"), "{printed}");
    assert!(!printed.contains('['), "{printed}");
}

#[test]
fn the_same_seed_gives_the_same_keys() {
    assert_eq!(material(KeyLength::Aes128).message(), material(KeyLength::Aes128).message());
    assert_ne!(Random::from_seed(&[1; 32]).bytes::<16>(), Random::from_seed(&[2; 32]).bytes::<16>());
    let mut random = random();
    assert_ne!(random.next_u32(), random.next_u32());
}

/// Deriving a key takes long in a debug build.
static KEYS: LazyLock<KeyMaterial> = LazyLock::new(|| material(KeyLength::Aes128));

proptest! {
    #[test]
    fn any_message_is_opened_or_refused(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut receive = ReceiveKeys::new(&KEYS);
        let now = Pair::epoch();
        prop_assert!(!matches!(receive.handle_request(&message, now), KmReply::Accepted | KmReply::Repeated));
        let send = SendKeys::new(&KEYS, RefreshPolicy::default());
        prop_assert_ne!(KeyAnnouncer::new(&send).handle_response(&send, &message), KmAnswer::Confirmed);
    }

    #[test]
    fn a_message_with_one_bit_changed_is_refused(bit in 0usize..56 * 8) {
        let mut message = KEYS.message().to_vec();
        message[bit / 8] ^= 1 << (bit % 8);
        // Bytes that mean nothing: the KEK's identity, authentication, reserved bits.
        if matches!(bit / 8, 4..=7 | 9 | 11..=13) || (bit / 8 == 3 && bit % 8 > 1) {
            return Ok(());
        }
        // Another salt would need the KEK anew; that it differs is what PBKDF2 is for.
        if !(16..32).contains(&(bit / 8)) {
            prop_assert!(KEYS.open_next(&message).is_err() || bit / 8 == 3, "bit {}", bit);
        }
    }
}
