//! Pure. Whose answer it is: that of the page that was asked for, or a portal's.

use crate::link::health::Portal;

/// Bytes of an answer's body that are read; a page that is longer is nobody's who answers checks.
pub const MOST_BODY: usize = 16 << 10;

/// What an answer of this status, with this body or as much of it as was read, says; `None` for nothing.
///
/// | answer | means |
/// |---|---|
/// | what was expected: 204, or 200 with the text | clear |
/// | a redirection, 511 (RFC 6585 §6), 200 with anything else | captive |
/// | 200 without any content | nothing: a proxy that cannot say 204, or a portal that says nothing |
/// | any other | nothing: the server has its own trouble |
pub fn verdict(status: u16, body: &[u8], expect: Option<&str>) -> Option<Portal> {
    match (status, expect) {
        (204, None) => Some(Portal::Clear),
        (200, Some(text)) if body.starts_with(text.as_bytes()) => Some(Portal::Clear),
        (200, _) if body.is_empty() => None,
        (200 | 300..=399 | 511, _) => Some(Portal::Captive),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_expected_is_clear_and_what_answers_in_its_place_is_a_portal() {
        const LOGIN: &[u8] = b"<html><title>Welcome to the hotel</title>";
        let text = Some("it is online\n");
        for (status, body, expect, means) in [
            (204, &b""[..], None, Some(Portal::Clear)),
            (200, b"it is online\nand well", text, Some(Portal::Clear)),
            (200, LOGIN, None, Some(Portal::Captive)),
            (200, LOGIN, text, Some(Portal::Captive)),
            (200, b"it is", text, Some(Portal::Captive)),
            (302, b"", None, Some(Portal::Captive)),
            (307, b"", text, Some(Portal::Captive)),
            (511, LOGIN, None, Some(Portal::Captive)),
            (200, b"", None, None),
            (200, b"", text, None),
            (204, b"", text, None),
            (404, LOGIN, None, None),
            (503, LOGIN, text, None),
            (101, b"", None, None),
        ] {
            assert_eq!(verdict(status, body, expect), means, "{status} {}", String::from_utf8_lossy(body));
        }
    }
}
