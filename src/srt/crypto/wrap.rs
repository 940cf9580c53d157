//! AES key wrap (RFC 3394), for one key or two.

use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use super::key::Kek;

/// What wrapping adds, bytes.
pub(super) const WRAP_LEN: usize = 8;
/// The most that is wrapped: two AES-256 keys.
pub(super) const MAX_PLAIN: usize = 64;

/// RFC 3394 §2.2.3.1: comes out of unwrapping again, unless the key is wrong.
const INITIAL: [u8; 8] = [0xa6; 8];

/// Appends `plain`, wrapped. `plain` is 16 to 64 bytes in steps of 8, as keys are.
pub(super) fn wrap(kek: &Kek, plain: &[u8], out: &mut Vec<u8>) {
    let mut a = INITIAL;
    let mut r = [[0; 8]; MAX_PLAIN / 8];
    let chunks = plain.as_chunks::<8>().0;
    let n = chunks.len().min(r.len());
    r[..n].copy_from_slice(&chunks[..n]);
    with_cipher(kek, |cipher| {
        for j in 0..6 {
            for (i, register) in r[..n].iter_mut().enumerate() {
                let (high, low) = cipher.encrypt(a, *register);
                a = step(high, n * j + i + 1);
                *register = low;
            }
        }
    });
    out.extend_from_slice(&a);
    out.extend_from_slice(r[..n].as_flattened());
}

/// The inverse: how many bytes it was, and the bytes. None if the key is wrong, or the length is none that
/// [`wrap`] makes.
pub(super) fn unwrap(kek: &Kek, wrapped: &[u8]) -> Option<([u8; MAX_PLAIN], usize)> {
    let (chunks, rest) = wrapped.as_chunks::<8>();
    let (first, chunks) = chunks.split_first()?;
    let n = chunks.len();
    let mut r = [[0; 8]; MAX_PLAIN / 8];
    if !rest.is_empty() || n < 2 || n > r.len() {
        return None;
    }
    r[..n].copy_from_slice(chunks);
    let mut a = *first;
    with_cipher(kek, |cipher| {
        for j in (0..6).rev() {
            for (i, register) in r[..n].iter_mut().enumerate().rev() {
                (a, *register) = cipher.decrypt(step(a, n * j + i + 1), *register);
            }
        }
    });
    let mut plain = [0; MAX_PLAIN];
    plain.copy_from_slice(r.as_flattened());
    (a == INITIAL).then_some((plain, n * 8))
}

/// The number of the step goes into the last bytes.
fn step(a: [u8; 8], t: usize) -> [u8; 8] {
    (u64::from_be_bytes(a) ^ t as u64).to_be_bytes()
}

/// One AES block as two registers.
trait TwoRegisters {
    fn encrypt(&self, a: [u8; 8], r: [u8; 8]) -> ([u8; 8], [u8; 8]);
    fn decrypt(&self, a: [u8; 8], r: [u8; 8]) -> ([u8; 8], [u8; 8]);
}

macro_rules! two_registers {
    ($($cipher:ty),*) => {$(
        impl TwoRegisters for $cipher {
            fn encrypt(&self, a: [u8; 8], r: [u8; 8]) -> ([u8; 8], [u8; 8]) {
                let mut block: Block<Self> = joined(a, r).into();
                self.encrypt_block(&mut block);
                split(block.into())
            }

            fn decrypt(&self, a: [u8; 8], r: [u8; 8]) -> ([u8; 8], [u8; 8]) {
                let mut block: Block<Self> = joined(a, r).into();
                self.decrypt_block(&mut block);
                split(block.into())
            }
        }
    )*};
}

two_registers!(aes::Aes128, aes::Aes192, aes::Aes256);

fn joined(a: [u8; 8], r: [u8; 8]) -> [u8; 16] {
    (u128::from(u64::from_be_bytes(a)) << 64 | u128::from(u64::from_be_bytes(r))).to_be_bytes()
}

fn split(block: [u8; 16]) -> ([u8; 8], [u8; 8]) {
    let both = u128::from_be_bytes(block);
    (((both >> 64) as u64).to_be_bytes(), (both as u64).to_be_bytes())
}

fn with_cipher(kek: &Kek, work: impl FnOnce(&dyn TwoRegisters)) {
    let key = kek.as_bytes();
    if let Ok(cipher) = aes::Aes128::new_from_slice(key) {
        work(&cipher);
    } else if let Ok(cipher) = aes::Aes192::new_from_slice(key) {
        work(&cipher);
    } else if let Ok(cipher) = aes::Aes256::new_from_slice(key) {
        work(&cipher);
    }
}
