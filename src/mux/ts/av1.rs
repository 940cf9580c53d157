//! AV1 as AOM's *Carriage of AV1 in MPEG-2 TS* (v1.0) has it: each OBU behind a start code, its bytes kept from looking
//! like one (§3.2).

use bytes::{BufMut, Bytes, BytesMut};

use super::packet::Rope;
use crate::mux::MuxError;
use crate::mux::av1::{self, Obu};

const START_CODE: [u8; 3] = [0, 0, 1];
const EMULATION_PREVENTION: u8 = 3;

/// Appends the OBUs of `unit`, each with its size field as in the canonical form.
///
/// # Errors
/// Malformed OBUs.
pub(super) fn dress(unit: &Bytes, out: &mut Rope) -> Result<(), MuxError> {
    for obu in av1::obus(unit) {
        dress_obu(unit.slice(obu?.whole), out);
    }
    Ok(())
}

/// Appends one OBU.
pub(super) fn dress_obu(obu: Bytes, out: &mut Rope) {
    out.push(Bytes::from_static(&START_CODE));
    // Two zeros at the end and the next start code would make three.
    let ends_in_zeros = obu.ends_with(&[0, 0]);
    match next_emulation(&obu, 0) {
        None => out.push(obu),
        Some(_) => out.push(escape(&obu)),
    }
    if ends_in_zeros {
        out.push(Bytes::from_static(&[EMULATION_PREVENTION]));
    }
}

/// Where the next byte goes that needs [`EMULATION_PREVENTION`] before it: after two zeros, itself at most 3.
fn next_emulation(obu: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(&[a, b, c]) = obu.get(at..at + 3) {
        if c > 3 {
            at += 3;
        } else if a == 0 && b == 0 {
            return Some(at + 2);
        } else {
            at += 1;
        }
    }
    None
}

fn escape(obu: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(obu.len() + obu.len() / 16 + 4);
    let mut from = 0;
    while let Some(at) = next_emulation(obu, from) {
        out.put_slice(obu.get(from..at).unwrap_or_default());
        out.put_u8(EMULATION_PREVENTION);
        from = at;
    }
    out.put_slice(obu.get(from..).unwrap_or_default());
    out.freeze()
}

/// Takes start codes and emulation prevention off: OBUs with size fields, without temporal delimiters.
///
/// # Errors
/// Malformed OBUs.
pub(super) fn undress(payload: &[u8]) -> Result<Undressed, MuxError> {
    let mut found = Undressed::default();
    let mut rest = after_start_code(payload, 0);
    let mut plain = BytesMut::new();
    while let Some(begin) = rest {
        let next = after_start_code(payload, begin);
        let end = next.map_or(payload.len(), |next| next - START_CODE.len());
        plain.clear();
        unescape(payload.get(begin..end).unwrap_or_default(), &mut plain);
        found.push(&plain)?;
        rest = next;
    }
    Ok(found)
}

/// Behind the next start code at or after `from`.
fn after_start_code(payload: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(window) = payload.get(at..at + 3) {
        match window {
            [0, 0, 1] => return Some(at + 3),
            [_, _, last] if *last > 1 => at += 3,
            _ => at += 1,
        }
    }
    None
}

fn unescape(dressed: &[u8], out: &mut BytesMut) {
    let mut zeros = 0u8;
    let mut from = 0;
    for (at, byte) in dressed.iter().enumerate() {
        if zeros >= 2 && *byte == EMULATION_PREVENTION {
            out.put_slice(dressed.get(from..at).unwrap_or_default());
            from = at + 1;
            zeros = 0;
        } else {
            zeros = if *byte == 0 { zeros.saturating_add(1) } else { 0 };
        }
    }
    out.put_slice(dressed.get(from..).unwrap_or_default());
}

/// OBUs of a PES packet in the low-overhead format.
#[derive(Clone, Debug, Default)]
pub(super) struct Undressed {
    pub(super) obus: BytesMut,
    /// A frame is in it that is shown, so that the temporal unit is whole.
    pub(super) shown: bool,
}

impl Undressed {
    /// OBUs that were not dressed at all (GStreamer's mapping).
    ///
    /// # Errors
    /// Malformed OBUs.
    pub(super) fn of_plain(payload: &[u8]) -> Result<Self, MuxError> {
        let mut found = Self::default();
        for obu in av1::obus(payload) {
            found.take(payload, &obu?);
        }
        Ok(found)
    }

    /// `bytes` hold one OBU; what is behind its size is left out, for there are muxers with zeros before a start code.
    fn push(&mut self, bytes: &[u8]) -> Result<(), MuxError> {
        if let Some(obu) = av1::obus(bytes).next() {
            self.take(bytes, &obu?);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], obu: &Obu) {
        if obu.obu_type == av1::TEMPORAL_DELIMITER {
            return;
        }
        self.shown |= av1::is_shown_frame(obu.obu_type, bytes.get(obu.payload.clone()).unwrap_or_default());
        av1::put_with_size(&mut self.obus, bytes, obu);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::model::Codec;
    use crate::mux::fixtures::canonical;

    fn dressed(unit: &Bytes) -> BytesMut {
        let (mut rope, mut out) = (Rope::default(), BytesMut::new());
        dress(unit, &mut rope).unwrap();
        let length = rope.len();
        rope.move_to(&mut out, length);
        out
    }

    fn sized_obu(payload: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        let bare = [&[0x30], payload].concat();
        for obu in av1::obus(&bare) {
            av1::put_with_size(&mut out, &bare, &obu.unwrap());
        }
        out.freeze()
    }

    #[test]
    fn real_units_survive_the_trip_and_hold_no_false_start_code() {
        for unit in canonical(Codec::Av1) {
            let bytes = dressed(&unit.payload);
            let count = av1::obus(&unit.payload).count();
            assert_eq!(bytes.windows(3).filter(|w| *w == START_CODE).count(), count);
            let back = undress(&bytes).unwrap();
            assert_eq!((&back.obus[..], back.shown), (&unit.payload[..], true));
        }
    }

    #[test]
    fn the_escapes_are_those_of_the_specification() {
        let cases: [(&[u8], &[u8]); 6] = [
            (&[0, 0, 0, 9], &[0, 0, 3, 0, 9]),
            (&[0, 0, 1, 9], &[0, 0, 3, 1, 9]),
            (&[0, 0, 2, 9], &[0, 0, 3, 2, 9]),
            (&[0, 0, 3, 9], &[0, 0, 3, 3, 9]),
            (&[0, 0, 4, 9], &[0, 0, 4, 9]),
            (&[0, 0, 0, 0, 0, 9], &[0, 0, 3, 0, 0, 3, 0, 9]),
        ];
        for (plain, escaped) in cases {
            assert_eq!(escape(plain)[..], *escaped, "{plain:?}");
            let mut back = BytesMut::new();
            unescape(escaped, &mut back);
            assert_eq!(back[..], *plain);
        }
    }

    #[test]
    fn a_unit_without_sizes_behind_long_start_codes_gets_them() {
        // Delimiter without a size; a frame without one, its start code with a zero before it.
        let back = undress(&[0, 0, 1, 0x10, 0, 0, 0, 1, 0x30, 0x10, 7]).unwrap();
        assert_eq!((&back.obus[..], back.shown), (&[0x32, 2, 0x10, 7][..], true));
    }

    #[test]
    fn a_frame_that_is_not_shown_does_not_end_a_unit() {
        assert!(!undress(&[0, 0, 1, 0x30, 0x20, 7]).unwrap().shown);
        assert!(undress(&[0, 0, 1, 0x18, 0x80]).unwrap().shown, "show_existing_frame");
        assert!(undress(&[9, 9, 9]).unwrap().obus.is_empty());
    }

    proptest! {
        #[test]
        fn any_obus_survive_the_trip(payloads in prop::collection::vec(prop::collection::vec(0u8..5, 0..60), 1..5)) {
            let unit: Bytes = payloads.iter().flat_map(|payload| sized_obu(payload)).collect();
            let bytes = dressed(&unit);
            prop_assert_eq!(bytes.windows(3).filter(|w| *w == START_CODE).count(), payloads.len());
            let back = undress(&bytes).unwrap();
            prop_assert_eq!(&back.obus[..], &unit[..]);
            for payload in payloads {
                let one = dressed(&sized_obu(&payload)).split_off(START_CODE.len());
                let forbidden = |bytes: &[u8]| matches!(bytes, [0, 0, 0..=2]);
                prop_assert!(!one.windows(3).any(forbidden) && !one.ends_with(&[0, 0]), "{:?}", one);
            }
        }

        #[test]
        fn any_bytes_are_undressed_or_refused(
            data in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(3), any::<u8>()], 0..300),
        ) {
            if let Ok(found) = undress(&data) {
                prop_assert!(found.obus.len() <= 4 * data.len());
            }
            let _ = Undressed::of_plain(&data);
        }
    }
}
