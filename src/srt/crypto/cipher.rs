//! Payloads, encrypted and decrypted in place: with AES-CTR the two are the same.

use aes::cipher::{BlockCipherEncrypt, InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use aes::cipher::{array::sizes::U16, common::BlockSizeUser};
use ctr::{CtrCore, flavors};

use super::key::{Aes, SALT_LEN, Salt, Sek};
use crate::srt::wire::SeqNo;

/// A key ready for use.
#[derive(Clone)]
pub(super) struct PayloadCipher {
    aes: Aes,
    salt: Salt,
}

impl PayloadCipher {
    pub(super) fn new(sek: &Sek, salt: &Salt) -> Self {
        Self { aes: sek.schedule(), salt: *salt }
    }

    /// Encrypts or decrypts the payload of packet `seq`.
    pub(super) fn apply(&self, seq: SeqNo, payload: &mut [u8]) {
        let iv = counter(&self.salt, seq);
        match &self.aes {
            Aes::A128(aes) => apply(aes, iv, payload),
            Aes::A192(aes) => apply(aes, iv, payload),
            Aes::A256(aes) => apply(aes, iv, payload),
        }
    }
}

/// The first counter block: the sequence number in bytes 10 to 13, the first 112 bits of the salt over it, and the
/// number of the block, counted from 0, in the last two bytes (draft §6.1.2, hcrypt_SetCtrIV).
fn counter(salt: &Salt, seq: SeqNo) -> [u8; 16] {
    let mut iv = *salt;
    iv[SALT_LEN - 2..].fill(0);
    for (byte, number) in iv[10..14].iter_mut().zip(seq.get().to_be_bytes()) {
        *byte ^= number;
    }
    iv
}

fn apply<C>(aes: &C, iv: [u8; 16], payload: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let core = CtrCore::<&C, flavors::Ctr128BE>::inner_iv_init(aes, &iv.into());
    // Fails after 2^128 blocks.
    let _ = StreamCipherCoreWrapper::from_core(core).try_apply_keystream(payload);
}
