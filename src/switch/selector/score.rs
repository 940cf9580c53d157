//! How much of an input's worth is left when something is wrong with it.

use crate::model::Fault;

/// What a fault leaves of an input's worth, per cent. Several multiply.
pub(super) const fn per_cent_left(fault: Fault) -> u32 {
    match fault {
        Fault::DeviceGone
        | Fault::NoSignal
        | Fault::NoLock
        | Fault::OutOfRange
        | Fault::ModeChange
        | Fault::Encoder
        | Fault::Stalled
        | Fault::Worker => 0,
        // Nothing to see, but the viewer sees where the show was.
        Fault::Frozen | Fault::Black => 10,
        Fault::Network => 50,
        Fault::Irregular => 60,
        Fault::NoSound | Fault::Silent => 80,
    }
}

/// Points of 100 of an input of some worth with these faults. Whoever can be shown has one at least.
pub(super) fn points(worth: u8, faults: impl Iterator<Item = Fault>) -> u8 {
    let points = faults.fold(u32::from(worth), |points, fault| points * per_cent_left(fault) / 100);
    u8::try_from(points.clamp(1, 100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gravity, Lead};

    #[test]
    fn several_faults_multiply_and_something_is_left_of_whatever_can_be_shown() {
        assert_eq!(points(80, [].into_iter()), 80);
        assert_eq!(points(100, [Fault::Irregular, Fault::Silent].into_iter()), 48);
        assert_eq!(points(100, [Fault::Frozen].into_iter()), 10);
        assert_eq!(points(30, [Fault::Frozen, Fault::Black].into_iter()), 1);
    }

    #[test]
    fn each_fault_of_the_picture_takes_more_than_the_usual_lead() {
        let lead = u32::from(Lead::default().points);
        for fault in Fault::ALL.into_iter().filter(|f| f.gravity() == Gravity::Soft && !f.is_of_sound()) {
            assert!(100 - per_cent_left(fault) > lead, "{fault}");
        }
        for fault in Fault::ALL.into_iter().filter(|f| f.gravity() == Gravity::Hard) {
            assert_eq!(per_cent_left(fault), 0, "{fault}");
        }
    }
}
