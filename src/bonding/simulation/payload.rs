//! Payloads that say which they are and cannot be mistaken.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};

/// What follows the number: cut out of this, at a place that depends on the number.
static FILLER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| random.u8(..)).take(4096).collect()
});

fn filler(number: u64, length: usize) -> &'static [u8] {
    let from = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 53) as usize;
    &FILLER[from..from + length]
}

/// Payload `number`, of `length` bytes (8 to 1500).
pub(super) fn write(number: u64, length: usize) -> Bytes {
    let mut payload = BytesMut::with_capacity(length);
    payload.extend_from_slice(&number.to_be_bytes());
    payload.extend_from_slice(filler(number, length - 8));
    payload.freeze()
}

/// Its number.
///
/// # Panics
/// If it is not what was written.
pub(super) fn read(payload: &Bytes) -> u64 {
    let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
    assert!(payload[8..] == *filler(number, payload.len() - 8), "payload {number} is not what was sent");
    number
}
