//! Pure. What the machine's heat leaves of the bit rates, for as long as that is to be believed.

use std::time::{Duration, Instant};

/// A ceiling is believed for so long at most after it was said: three looks at the machine. Whoever falls silent takes nothing
/// away from the picture for longer.
pub const CEILING_MOST: Duration = Duration::from_secs(15);
/// All of it.
const WHOLE: u32 = 1000;
/// Heat leaves at least so much, in thousandths.
pub(super) const LEAST_PERMILLE: u32 = 500;
/// Of an explanation that is kept, characters.
const LONGEST_REASON: usize = 200;

/// What is left of every bit rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// In thousandths of what was configured.
    pub permille: u32,
    /// Why, in words.
    pub because: String,
}

impl Ceiling {
    /// Of `configured` bit/s.
    pub fn of(&self, configured: u32) -> u32 {
        let bits = u64::from(configured) * u64::from(self.permille.min(WHOLE)) / u64::from(WHOLE);
        u32::try_from(bits).unwrap_or(configured)
    }
}

/// The latest ceiling that was said.
#[derive(Clone, Debug, Default)]
pub struct Ceilings {
    standing: Option<(Ceiling, Instant)>,
}

impl Ceilings {
    /// Takes in what is said at `now`, to be believed for `time`, though no longer than [`CEILING_MOST`] and no lower than half.
    pub fn take(&mut self, Ceiling { permille, because }: Ceiling, time: Duration, now: Instant) {
        let permille = permille.max(LEAST_PERMILLE);
        let because = because.chars().take(LONGEST_REASON).collect();
        let until = now + time.min(CEILING_MOST);
        self.standing = (permille < WHOLE).then_some((Ceiling { permille, because }, until));
    }

    /// The one that is in force at `now`.
    pub fn at(&self, now: Instant) -> Option<&Ceiling> {
        self.standing.as_ref().filter(|(_, until)| *until > now).map(|(ceiling, _)| ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(permille: u32) -> Ceiling {
        Ceiling { permille, because: "cpu-thermal has 77 °C".to_owned() }
    }

    #[test]
    fn a_ceiling_is_believed_until_it_expires_or_is_taken_back() {
        let (mut ceilings, start) = (Ceilings::default(), crate::clock::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(ceilings.at(start), None);
        ceilings.take(of(800), Duration::from_secs(10), start);
        assert_eq!(ceilings.at(at(9999)), Some(&of(800)));
        assert_eq!(ceilings.at(at(10_000)), None);
        ceilings.take(of(700), Duration::from_secs(10), at(11_000));
        ceilings.take(of(1000), Duration::from_secs(10), at(12_000));
        assert_eq!(ceilings.at(at(12_001)), None, "all of it is no ceiling");
        ceilings.take(of(700), Duration::MAX, at(20_000));
        assert_eq!((ceilings.at(at(34_999)), ceilings.at(at(35_000))), (Some(&of(700)), None));
    }

    #[test]
    fn whatever_is_said_half_is_left() {
        let (mut ceilings, start) = (Ceilings::default(), crate::clock::now());
        ceilings.take(of(0), Duration::from_secs(10), start);
        assert_eq!(ceilings.at(start).map(|ceiling| ceiling.of(4_000_000)), Some(2_000_000));
        assert_eq!(of(u32::MAX).of(u32::MAX), u32::MAX);
    }
}
