//! Whether packets of one packet identifier follow each other (H.222.0 §2.4.3.3).

use crate::mux::ts::packet::Packet;

/// Counted on one packet identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidCounters {
    /// Packets.
    pub packets: u64,
    /// Times that the continuity counter was not the next one; each is at least one packet lost.
    pub errors: u64,
    /// Packets that came twice, which is allowed.
    pub duplicates: u64,
}

/// The counter of one packet identifier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Continuity {
    last: Option<u8>,
    /// The last packet has come twice.
    repeated: bool,
    /// It announced a discontinuity, and so does the same one again.
    announced: bool,
    pub(super) count: PidCounters,
}

/// What a packet is to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    Yes,
    /// It is the same one again.
    Again,
    /// Something is missing in between.
    No,
}

impl Continuity {
    pub(super) fn check(&mut self, packet: &Packet<'_>) -> Follows {
        self.count.packets += 1;
        // The counter stands still in packets without payload.
        if packet.payload.is_none() {
            return Follows::Yes;
        }
        let Some(last) = self.last.replace(packet.counter) else {
            self.announced = packet.adaptation.discontinuity;
            return Follows::Yes;
        };
        let announces = packet.adaptation.discontinuity;
        let announced = std::mem::replace(&mut self.announced, announces);
        let repeated = std::mem::take(&mut self.repeated);
        match packet.counter.wrapping_sub(last) & 15 {
            1 => Follows::Yes,
            0 if !repeated && announces == announced => {
                self.repeated = true;
                self.count.duplicates += 1;
                Follows::Again
            }
            _ if announces => Follows::No,
            _ => {
                self.count.errors += 1;
                Follows::No
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::ts::packet::Adaptation;

    fn follow(counters: &[(u8, bool, bool)]) -> (Vec<Follows>, PidCounters) {
        let mut continuity = Continuity::default();
        let verdicts = counters.iter().map(|(counter, has_payload, discontinuity)| {
            continuity.check(&Packet {
                pid: 1,
                unit_start: false,
                counter: *counter,
                adaptation: Adaptation { discontinuity: *discontinuity, ..Adaptation::default() },
                payload: has_payload.then_some(&[][..]),
            })
        });
        (verdicts.collect(), continuity.count)
    }

    #[test]
    fn counters_go_round_and_stand_still_without_payload() {
        let (verdicts, count) = follow(&[(14, true, false), (15, true, false), (15, false, false), (0, true, false)]);
        assert_eq!((verdicts, count.errors), (vec![Follows::Yes; 4], 0));
    }

    #[test]
    fn a_packet_may_come_twice_but_not_three_times() {
        let (verdicts, count) = follow(&[(3, true, false); 3]);
        assert_eq!(verdicts, [Follows::Yes, Follows::Again, Follows::No]);
        assert_eq!((count.duplicates, count.errors), (1, 1));
    }

    #[test]
    fn a_jump_is_an_error_unless_it_was_announced() {
        let (verdicts, count) = follow(&[(3, true, false), (5, true, false), (9, true, true), (10, true, false)]);
        assert_eq!(verdicts, [Follows::Yes, Follows::No, Follows::No, Follows::Yes]);
        assert_eq!(count.errors, 1);
        let (verdicts, _) = follow(&[(3, true, false), (3, true, true), (3, true, true), (4, true, false)]);
        assert_eq!(verdicts, [Follows::Yes, Follows::No, Follows::Again, Follows::Yes]);
    }
}
