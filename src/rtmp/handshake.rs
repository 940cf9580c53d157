//! The handshake (RTMP 1.0 §5.2), simple form: C0 C1 → S0 S1 S2 → C2. From both ends.

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

/// What a client's bytes amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Greeting {
    /// C0 C1 are not complete.
    More,
    /// Another protocol; its first byte.
    NotRtmp(u8),
    /// S0 S1 S2, to be sent. C0 C1 have been taken off the received bytes; C2 is to come, [`BLOCK`] bytes.
    Done(Bytes),
}

/// Looks at the client's side. A client that signs its C1 sees from S1's version, which stays 0, that it has nothing to verify.
pub fn greet(received: &mut BytesMut, random: &mut fastrand::Rng) -> Greeting {
    if let Some(version) = received.first().filter(|version| **version != VERSION) {
        return Greeting::NotRtmp(*version);
    }
    if received.len() < 1 + BLOCK {
        return Greeting::More;
    }
    let c1 = received.split_to(1 + BLOCK).split_off(1);
    let mut bytes = BytesMut::with_capacity(1 + 2 * BLOCK);
    bytes.extend_from_slice(&hello(random));
    bytes.extend_from_slice(&c1);
    Greeting::Done(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_agree_however_their_bytes_come() {
        let mut random = fastrand::Rng::with_seed(1);
        let c0c1 = hello(&mut random);
        let mut at_server = BytesMut::from(&c0c1[..700]);
        assert_eq!(greet(&mut at_server, &mut random), Greeting::More);
        at_server.extend_from_slice(&c0c1[700..]);
        at_server.extend_from_slice(b"C2");
        let Greeting::Done(answered) = greet(&mut at_server, &mut random) else { unreachable!("all of it is there") };
        assert_eq!((&at_server[..], &answered[1 + BLOCK..]), (&b"C2"[..], &c0c1[1..]));
        let mut at_client = BytesMut::from(&answered[..]);
        assert_eq!(answer(&mut at_client), Progress::Done(answered.slice(1..=BLOCK)));
        assert_eq!(greet(&mut BytesMut::from("GET / HTTP/1.1"), &mut random), Greeting::NotRtmp(b'G'));
    }
}
