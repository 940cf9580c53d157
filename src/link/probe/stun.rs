//! Pure. As much of STUN (RFC 8489) as a probe needs: a binding request, and what answers it.
//!
//! A server that refuses a request has answered it all the same, and so has one whose answer has attributes that we do
//! not know: what is asked here is whether anything comes back. RFC 8489 §6.3.3 and §6.3.4 would have both thrown away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a request, and of every message's header (§5).
pub const HEADER: usize = 20;
const COOKIE: u32 = 0x2112_A442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
/// XOR-MAPPED-ADDRESS (§14.2).
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// Which question a message is about. Whoever cannot guess it cannot forge an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionId(pub [u8; 12]);

/// A server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To which request.
    pub transaction: TransactionId,
    /// What it says.
    pub outcome: Outcome,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Where the request came from, as the server sees it: the outermost of our translated addresses.
    Mapped(SocketAddr),
    /// The server does not want to say.
    Refused,
}

/// A datagram that answers no binding request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAnswer {
    /// Shorter than its header or its length says, or longer.
    #[error("has another length than it says")]
    Length,
    /// No STUN.
    #[error("has no magic cookie")]
    Cookie,
    /// STUN, but neither a success nor an error response to a binding request.
    #[error("is a message of another type")]
    Type,
    /// An attribute does not fit.
    #[error("has an attribute that ends beyond it")]
    Attribute,
    /// A success that does not say what it found out.
    #[error("has no mapped address that can be read")]
    Address,
}

/// A request without attributes.
pub fn request(transaction: TransactionId) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
    bytes[4..8].copy_from_slice(&COOKIE.to_be_bytes());
    bytes[8..].copy_from_slice(&transaction.0);
    bytes
}

/// Reads an answer.
///
/// # Errors
/// Why it is none.
pub fn read(bytes: &[u8]) -> Result<Answer, NotAnAnswer> {
    let (header, attributes) = bytes.split_at_checked(HEADER).ok_or(NotAnAnswer::Length)?;
    let header: &[u8; HEADER] = header.try_into().map_err(|_| NotAnAnswer::Length)?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = *header;
    if u32::from_be_bytes([c0, c1, c2, c3]) != COOKIE {
        return Err(NotAnAnswer::Cookie);
    }
    let transaction = TransactionId(id);
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if length != attributes.len() || !length.is_multiple_of(4) {
        return Err(NotAnAnswer::Length);
    }
    let mapped = find(attributes, XOR_MAPPED_ADDRESS)?;
    let outcome = match u16::from_be_bytes([t0, t1]) {
        BINDING_SUCCESS => {
            let address = mapped.and_then(|value| mapped_address(value, transaction));
            Outcome::Mapped(address.ok_or(NotAnAnswer::Address)?)
        }
        BINDING_ERROR => Outcome::Refused,
        _ => return Err(NotAnAnswer::Type),
    };
    Ok(Answer { transaction, outcome })
}

/// The first attribute of this type (§14: later ones are to be ignored), once all were found to fit.
fn find(mut attributes: &[u8], wanted: u16) -> Result<Option<&[u8]>, NotAnAnswer> {
    let mut found = None;
    while let [t0, t1, l0, l1, rest @ ..] = attributes {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let (value, rest) = rest.split_at_checked(length.next_multiple_of(4)).ok_or(NotAnAnswer::Attribute)?;
        if u16::from_be_bytes([*t0, *t1]) == wanted && found.is_none() {
            found = value.get(..length);
        }
        attributes = rest;
    }
    Ok(found)
}

/// XOR-MAPPED-ADDRESS: veiled, so that no helpful translator on the way rewrites it.
fn mapped_address(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let [_, family, p0, p1, address @ ..] = value else { return None };
    let [c0, c1, ..] = COOKIE.to_be_bytes();
    let port = u16::from_be_bytes([p0 ^ c0, p1 ^ c1]);
    let ip = match *family {
        IPV4 => {
            let veiled = u32::from_be_bytes(address.try_into().ok()?);
            IpAddr::V4(Ipv4Addr::from_bits(veiled ^ COOKIE))
        }
        IPV6 => {
            let veiled = u128::from_be_bytes(address.try_into().ok()?);
            let mut veil = [0; 16];
            veil[..4].copy_from_slice(&COOKIE.to_be_bytes());
            veil[4..].copy_from_slice(&transaction.0);
            IpAddr::V6(Ipv6Addr::from_bits(veiled ^ u128::from_be_bytes(veil)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: TransactionId = TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");

    /// RFC 5769 §2.2.
    const OVER_IPV4: &[u8] = b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x0b\x74\x65\x73\x74\x20\x76\x65\x63\x74\x6f\x72\x20\
        \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
        \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
        \x80\x28\x00\x04\xc0\x7d\x4c\x96";
    /// RFC 5769 §2.3.
    const OVER_IPV6: &[u8] = b"\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x0b\x74\x65\x73\x74\x20\x76\x65\x63\x74\x6f\x72\x20\
        \x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9\
        \x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
        \x80\x28\x00\x04\xc8\xfb\x0b\x4c";

    fn changed(bytes: &[u8], at: usize, to: u8) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes[at] = to;
        bytes
    }

    #[test]
    fn the_samples_of_rfc_5769_are_read() {
        for (bytes, address) in
            [(OVER_IPV4, "192.0.2.1:32853"), (OVER_IPV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let outcome = Outcome::Mapped(address.parse().unwrap());
            assert_eq!(read(bytes), Ok(Answer { transaction: ID, outcome }));
        }
    }

    #[test]
    fn a_request_has_the_form_of_rfc_8489() {
        let bytes = request(ID);
        assert_eq!(bytes[..8], *b"\x00\x01\x00\x00\x21\x12\xa4\x42");
        assert_eq!(bytes[8..], ID.0);
        assert_eq!(read(&bytes), Err(NotAnAnswer::Type), "a request answers nothing");
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let mut bytes = b"\x01\x11\x00\x08\x21\x12\xa4\x42".to_vec();
        bytes.extend(ID.0);
        bytes.extend(b"\x00\x09\x00\x04\x00\x00\x05\x00");
        assert_eq!(read(&bytes), Ok(Answer { transaction: ID, outcome: Outcome::Refused }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for cut in 0..OVER_IPV4.len() {
            assert_eq!(read(&OVER_IPV4[..cut]), Err(NotAnAnswer::Length), "{cut} bytes");
        }
        let longer = [OVER_IPV4, &[0; 4]].concat();
        assert_eq!(read(&longer), Err(NotAnAnswer::Length));
        assert_eq!(read(&changed(OVER_IPV4, 4, 0)), Err(NotAnAnswer::Cookie));
        assert_eq!(read(&changed(OVER_IPV4, 1, 0x12)), Err(NotAnAnswer::Type));
        assert_eq!(read(&changed(OVER_IPV4, 23, 0xff)), Err(NotAnAnswer::Attribute), "80 22 00 ff");
        assert_eq!(read(&changed(OVER_IPV4, 37, 0x21)), Err(NotAnAnswer::Address), "another attribute");
        assert_eq!(read(&changed(OVER_IPV4, 41, 2)), Err(NotAnAnswer::Address), "IPv6 in four bytes");
        assert_eq!(read(&changed(OVER_IPV4, 41, 3)), Err(NotAnAnswer::Address), "no family");
    }

    #[test]
    fn of_two_addresses_the_first_counts() {
        let other = changed(OVER_IPV4, 47, 0x44);
        let both = [&OVER_IPV4[..48], &other[36..48]].concat();
        let both = changed(&both, 3, (both.len() - HEADER) as u8);
        assert_eq!(read(&both).unwrap().outcome, Outcome::Mapped("192.0.2.1:32853".parse().unwrap()));
    }
}
