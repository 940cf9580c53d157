//! Key material that comes in while a session runs: KMREQ at the receiver, KMRSP at the sender.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use holdfast::srt::crypto::{
    KeyAnnouncer, KeyLength, KeyMaterial, KmAnswer, KmReply, Passphrase, Random, ReceiveKeys, RefreshPolicy, SendKeys,
};
use holdfast::srt::wire::{KeyFlag, SeqNo};
use libfuzzer_sys::fuzz_target;

/// Keys, and when a salt was changed last: no further key derivation is due, which would take most of the time.
static KEYS: LazyLock<(KeyMaterial, ReceiveKeys, Instant)> = LazyLock::new(|| {
    let passphrase = Passphrase::new("correct horse battery").expect("long enough");
    let mut random = Random::from_seed(&[7; 32]);
    let keys = KeyMaterial::generate(&passphrase, KeyLength::Aes128, &mut random);
    let other = KeyMaterial::generate(&passphrase, KeyLength::Aes128, &mut random);
    let now = Instant::now();
    let mut receive = ReceiveKeys::new(&other);
    assert_eq!(receive.handle_request(keys.message(), now), KmReply::Accepted);
    (keys, receive, now)
});

fuzz_target!(|data: &[u8]| {
    let (keys, receive, now) = &*KEYS;
    let mut receive = receive.clone();
    let now = *now + Duration::from_millis(500);
    let known = data == keys.message();
    match receive.handle_request(data, now) {
        KmReply::Repeated => assert!(known),
        KmReply::Accepted => {
            // Whoever wraps keys in that KEK has the passphrase; the sender's key may be gone now, but nothing else is.
            assert_eq!(receive.handle_request(data, now), KmReply::Repeated);
        }
        KmReply::Refused(_) | KmReply::Ignored => {
            let mut payload = *b"payload";
            let mut sender = SendKeys::new(keys, RefreshPolicy::default());
            let flag = sender.encrypt(SeqNo::new(1), &mut payload);
            assert_eq!(flag, KeyFlag::Even);
            assert_eq!(receive.decrypt(flag, SeqNo::new(1), &mut payload), Ok(()));
            assert_eq!(&payload, b"payload", "a message that is refused changes no key");
        }
    }
    let send = SendKeys::new(keys, RefreshPolicy::default());
    let answer = KeyAnnouncer::new(&send).handle_response(&send, data);
    assert_eq!(answer == KmAnswer::Confirmed, known);
});
