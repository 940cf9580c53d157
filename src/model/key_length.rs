//! How long the keys are that a stream is encrypted with.

/// Length of the stream encryption key (SRTO_PBKEYLEN).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyLength {
    /// AES-128, libsrt's default.
    #[default]
    Aes128,
    /// AES-192.
    Aes192,
    /// AES-256.
    Aes256,
}

impl KeyLength {
    /// 16, 24 or 32.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// From a number of bytes.
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            16 => Some(Self::Aes128),
            24 => Some(Self::Aes192),
            32 => Some(Self::Aes256),
            _ => None,
        }
    }

    /// As a handshake's encryption field says it: bytes / 8.
    pub const fn advertised(self) -> u16 {
        match self {
            Self::Aes128 => 2,
            Self::Aes192 => 3,
            Self::Aes256 => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_what_its_bytes_say() {
        for length in [KeyLength::Aes128, KeyLength::Aes192, KeyLength::Aes256] {
            assert_eq!(KeyLength::from_bytes(length.bytes()), Some(length));
            assert_eq!(usize::from(length.advertised()) * 8, length.bytes());
        }
        assert_eq!(KeyLength::from_bytes(20), None);
    }
}
