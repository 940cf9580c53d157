//! Pure. What people are told of a bit rate that goes up and down.

use std::time::{Duration, Instant};

use super::{Because, Bound, Bounds};
use crate::events::Severity;

/// One that goes on going up and down is told at most this often; the ends of its way are always told.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configured => f.write_str("all of it is due as soon as the encoder may be told"),
            Self::Link(output) => write!(f, "{output} bears no more"),
            Self::Operator => f.write_str("an operator says so"),
            Self::Heat(because) => f.write_str(because),
        }
    }
}

/// What is said where a running encoder takes no other bit rate.
pub fn cannot_change(encoder: &str, wish: &str) -> String {
    format!("{encoder} takes no other bit rate while it runs, so that {wish}; set bitrate in the configuration")
}

/// What was told of one rendition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling {
    told: Option<Instant>,
    /// Since when it has been lower than configured.
    lowered: Option<Instant>,
}

impl Telling {
    /// That it is `bitrate` now and `was` something else, in words; `None` on its way, if people have heard of that lately.
    pub fn tell(
        &mut self,
        bounds: Bounds,
        (was, bitrate): (u32, u32),
        because: &Because,
        now: Instant,
    ) -> Option<(Severity, String)> {
        let Bounds { floor, ceiling, .. } = bounds;
        let lowered = *self.lowered.get_or_insert(now);
        if bitrate == ceiling {
            self.lowered = None;
        }
        let lately = self.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY);
        let is_end = bitrate == ceiling || bitrate == floor || was == ceiling;
        if lately && !is_end && !matches!(because, Because::Operator) {
            return None;
        }
        self.told = Some(now);
        let (before, kilobits) = (was / 1000, bitrate / 1000);
        Some(match because {
            Because::Tight { output, delivers, waiting } => {
                let end = if bitrate == floor { ", its floor" } else { "" };
                let (delivers, waits) = (delivers / 1000, waiting.as_millis());
                let why = format!("{output} gets {delivers} kbit/s through, and {waits} ms of programme wait for it");
                (Severity::Warning, format!("from {before} to {kilobits} kbit/s{end}: {why}"))
            }
            Because::Eased(output) => {
                (Severity::Info, format!("from {before} to {kilobits} kbit/s: {output} bears more"))
            }
            Because::Free => {
                let after = now.saturating_duration_since(lowered).as_secs();
                (Severity::Info, format!("has its {kilobits} kbit/s again, after {after} s"))
            }
            Because::Heat(because) => (Severity::Warning, format!("from {before} to {kilobits} kbit/s: {because}")),
            Because::Cooler => {
                (Severity::Info, format!("from {before} to {kilobits} kbit/s: the machine has cooled down"))
            }
            Because::Operator => (Severity::Info, format!("from {before} to {kilobits} kbit/s: an operator says so")),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock;
    use crate::model::OutputId;

    const BOUNDS: Bounds = Bounds { floor: 500_000, ceiling: 4_000_000, beside: 0 };

    #[test]
    fn the_ends_of_the_way_are_told_and_not_every_step() {
        let (mut telling, begin) = (Telling::default(), clock::now());
        let output = OutputId::new("tube").unwrap();
        let tight = Because::Tight { output: output.clone(), delivers: 900_000, waiting: Duration::from_millis(1600) };
        let mut tell = |seconds, from_to, because: &Because| {
            telling.tell(BOUNDS, from_to, because, begin + Duration::from_secs(seconds)).map(|(_, text)| text)
        };
        assert_eq!(
            tell(0, (4_000_000, 800_000), &tight).unwrap(),
            "from 4000 to 800 kbit/s: tube gets 900 kbit/s through, and 1600 ms of programme wait for it"
        );
        assert_eq!(tell(2, (800_000, 700_000), &tight), None, "on its way");
        assert!(tell(4, (700_000, 500_000), &tight).unwrap().contains("500 kbit/s, its floor"));
        assert_eq!(tell(9, (500_000, 600_000), &Because::Eased(output.clone())), None);
        assert!(tell(15, (600_000, 700_000), &Because::Eased(output)).is_some(), "not silent for ever");
        assert!(tell(16, (700_000, 650_000), &Because::Operator).is_some(), "whoever asked is told");
        assert_eq!(tell(42, (3_800_000, 4_000_000), &Because::Free).unwrap(), "has its 4000 kbit/s again, after 42 s");
        let warm = Because::Heat("cpu-thermal has 77 °C and slows the machine down from 80".to_owned());
        assert!(
            tell(60, (4_000_000, 3_600_000), &warm)
                .unwrap()
                .starts_with("from 4000 to 3600 kbit/s: cpu-thermal has 77")
        );
        assert_eq!(tell(61, (3_600_000, 3_800_000), &Because::Cooler), None);
        assert!(tell(80, (3_800_000, 4_000_000), &Because::Free).unwrap().ends_with("after 20 s"));
        // The next time counts from anew.
        tell(100, (4_000_000, 3_000_000), &tight);
        assert!(tell(107, (3_000_000, 4_000_000), &Because::Free).unwrap().ends_with("after 7 s"));
    }
}
