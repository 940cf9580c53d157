//! The handshake (RTMP 1.0 §5.2), simple form: C0 C1 → S0 S1 S2 → C2.

use bytes::{Bytes, BytesMut};

/// Length of C1, S1, C2 and S2.
pub const BLOCK: usize = 1536;
/// RTMP 1.0. A server answers with it whatever it was asked for (§5.2.2), so that another first byte is another
/// protocol: a text, a TLS alert.
const VERSION: u8 = 3;

/// C0 and C1. `random` fills the 1528 bytes the peer has to echo; it need not be unpredictable.
pub fn hello(random: &mut fastrand::Rng) -> Bytes {
    let mut bytes = vec![0; 1 + BLOCK];
    bytes[0] = VERSION;
    // Time and zero stay 0: the simple handshake.
    random.fill(&mut bytes[9..]);
    bytes.into()
}

/// What the bytes received so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// S0 S1 S2 are not complete.
    More,
    /// The peer does not speak RTMP.
    NotRtmp,
    /// C2, to be sent. S0 S1 S2 have been taken off the received bytes.
    Done(Bytes),
}

/// Looks at the server's side. S2 is not compared with C1: several servers do not echo it faithfully.
pub fn answer(received: &mut BytesMut) -> Progress {
    if received.first().is_some_and(|version| *version != VERSION) {
        return Progress::NotRtmp;
    }
    if received.len() < 1 + 2 * BLOCK {
        return Progress::More;
    }
    let mut hello = received.split_to(1 + 2 * BLOCK);
    Progress::Done(hello.split_to(1 + BLOCK).split_off(1).freeze())
}
