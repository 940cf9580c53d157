//! Pure. Whether what is seen is frozen or black.

use super::latch::{Latch, Sign};
use super::picture::{Change, Measure};
use crate::model::{BlackLimits, Fault, Finding, FrozenLimits, Media, TruthSettings};

/// Changes that are beyond the limits, but not far, count together when they are within this time of each other …
const TOGETHER: Media = Media::from_millis(1000);
/// … and so many of them end what is frozen: a pointer that moves, not a keyframe once in a while.
const SMALL_CHANGES: u32 = 4;

/// What is seen.
#[derive(Clone, Debug)]
pub(super) struct View {
    frozen: FrozenLimits,
    black: BlackLimits,
    still: Option<Still>,
    told: Option<Finding>,
    darkness: Latch,
    /// Small changes lately, and the last one.
    small: (u32, Media),
}

/// A picture and those after it that were the same.
#[derive(Clone, Copy, Debug)]
struct Still {
    since: Media,
    /// The most that any of them differed.
    most: Change,
    black: bool,
}

impl View {
    pub(super) fn new(settings: &TruthSettings) -> Self {
        let TruthSettings { frozen, black, .. } = settings.clone();
        let ends = Media::from_duration(black.ends_after);
        let darkness = Latch::new(Fault::Black, black.after.map(Media::from_duration), ends);
        Self { frozen, black, still: None, told: None, darkness, small: (0, Media::ZERO) }
    }

    /// A picture came; `None` when it could not be measured.
    pub(super) fn picture(&mut self, measure: Option<Measure>, now: Media) {
        let Some(measure) = measure else { return };
        let black = self.blackness(&measure);
        self.darkness.observe(black, now, |lasted| {
            format!(
                "black for {:.1} s ({:.1} % of the pixels, mean level {:.0})",
                seconds(lasted),
                measure.black * 100.0,
                measure.level
            )
        });
        let unchanged = measure.change.filter(|change| !change.exceeds(&self.frozen, 1.0));
        match (&mut self.still, unchanged) {
            (Some(still), Some(change)) => {
                still.most.mean = still.most.mean.max(change.mean);
                still.most.block = still.most.block.max(change.block);
                still.black = black == Sign::Bad;
            }
            (still, _) => {
                *still = Some(Still { since: now, most: Change::default(), black: black == Sign::Bad });
                self.changed(measure.change, now);
            }
        }
        self.weigh(now);
    }

    /// The source says that the last picture is the right one for now.
    pub(super) fn held(&mut self, now: Media) {
        self.weigh(now);
    }

    /// No pictures have come for a while, so that nothing is known of what they would be.
    pub(super) fn interrupt(&mut self) {
        self.still = None;
        self.darkness.interrupt();
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.told.iter().chain(self.darkness.finding())
    }

    fn blackness(&self, measure: &Measure) -> Sign {
        let lit = measure.brightest.is_none_or(|level| level > self.black.lit);
        if measure.black >= self.black.share && !lit {
            Sign::Bad
        } else if measure.black < self.black.ends_below || lit {
            Sign::Good
        } else {
            Sign::Neither
        }
    }

    fn changed(&mut self, change: Option<Change>, now: Media) {
        let (count, last) = self.small;
        self.small = (if now - last <= TOGETHER { count + 1 } else { 1 }, now);
        let clearly = change.is_none_or(|change| change.exceeds(&self.frozen, self.frozen.ends_at));
        if clearly || self.small.0 >= SMALL_CHANGES {
            self.told = None;
        }
    }

    fn weigh(&mut self, now: Media) {
        let (None, Some(after), Some(still)) = (&self.told, self.frozen.after, self.still) else { return };
        // Black pictures are alike; that they are black says it.
        if still.black || now - still.since < Media::from_duration(after) {
            return;
        }
        let evidence = format!(
            "unchanged for {:.1} s (mean difference {:.4}, largest block {:.1})",
            seconds(now - still.since),
            still.most.mean,
            still.most.block
        );
        self.told = Some(Finding { fault: Fault::Frozen, evidence });
    }
}

/// For people.
pub(super) fn seconds(time: Media) -> f64 {
    time.as_nanos() as f64 / 1e9
}
