//! Pure. Whether pictures come, and whether they come in time.
//!
//! What "in time" is, the source says itself by how it usually does: a camera that gives 15 pictures a second in the dark is
//! slow and not irregular.

use std::collections::VecDeque;

use super::latch::{Latch, Sign};
use super::view::seconds;
use crate::model::{Fault, Finding, IrregularLimits, Media, StalledLimits, TruthSettings};

/// Between two looks at how regular pictures come.
const WEIGH_EVERY: Media = Media::from_millis(500);
/// Pictures that are remembered: the window's at 240 a second. Whether faster ones are regular is not judged.
const REMEMBERED: usize = 1200;
/// No source is taken to be slower than this: one picture a second.
const SLOWEST: Media = Media::from_millis(1000);
/// Intervals by which the usual one is known.
const ENOUGH: usize = 8;
/// Intervals that are alike, to within a quarter, by which a source that gives pictures at another rate is known …
const ALIKE: usize = 20;
/// … which is another by half at least.
const ANOTHER: (i64, i64) = (3, 2);

/// How pictures come.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    stalled: StalledLimits,
    irregular: IrregularLimits,
    /// The usual time between two pictures, when it is known.
    interval: Option<Media>,
    arrivals: VecDeque<Media>,
    weighed: Media,
    /// For how long none has come.
    absent: Media,
    came: Came,
    stall: Option<Finding>,
    regularity: Latch,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Nothing,
    /// Without a stall since then.
    Since(Media),
}

impl Arrival {
    pub(super) fn new(settings: &TruthSettings) -> Self {
        let TruthSettings { stalled, irregular, .. } = settings.clone();
        Self {
            stalled,
            irregular,
            interval: None,
            arrivals: VecDeque::new(),
            weighed: Media::ZERO,
            absent: Media::ZERO,
            came: Came::Nothing,
            stall: None,
            // The window is what has to last.
            regularity: Latch::new(Fault::Irregular, Some(Media::ZERO), Media::ZERO),
        }
    }

    /// A picture came, or the last one is right for now.
    pub(super) fn picture(&mut self, now: Media) {
        self.arrivals.push_back(now);
        if self.arrivals.len() > REMEMBERED {
            self.arrivals.pop_front();
        }
        self.absent = Media::ZERO;
        let since = match self.came {
            Came::Nothing => now,
            Came::Since(since) => since,
        };
        self.came = Came::Since(since);
        if now - since >= Media::from_duration(self.stalled.ends_after) {
            self.stall = None;
        }
    }

    /// `passed` since the last look. Whether there is a stall.
    pub(super) fn look(&mut self, passed: Media, now: Media) -> bool {
        self.absent = self.absent + passed;
        let stalls = self.absent >= self.stalls_after();
        if stalls {
            if self.stall.is_none() {
                self.stall = Some(Finding { fault: Fault::Stalled, evidence: self.evidence() });
            }
            self.came = Came::Nothing;
            // Told as a stall, and so not as irregular as well.
            self.arrivals.clear();
        } else if now - self.weighed >= WEIGH_EVERY {
            self.weighed = now;
            self.weigh(now);
        }
        stalls
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.stall.iter().chain(self.regularity.finding())
    }

    /// How fast a source is, its first pictures tell.
    fn stalls_after(&self) -> Media {
        let Some(interval) = self.interval else { return Media::from_duration(self.stalled.at_start) };
        let intervals = Media(interval.0.saturating_mul(i64::from(self.stalled.intervals)));
        Media::from_duration(self.stalled.at_least).max(intervals)
    }

    fn evidence(&self) -> String {
        let silence = seconds(self.absent);
        match (self.came, self.interval) {
            (Came::Nothing, _) => format!("no picture in the first {silence:.1} s"),
            (Came::Since(_), None) => format!("no picture for {silence:.1} s after the first ones"),
            (Came::Since(_), Some(interval)) => {
                format!("no picture for {silence:.2} s (before, one every {:.0} ms)", seconds(interval) * 1e3)
            }
        }
    }

    fn intervals(&self) -> Vec<i64> {
        let longest = Media::from_duration(self.irregular.window).0;
        let next = self.arrivals.iter().skip(1);
        self.arrivals.iter().zip(next).map(|(at, next)| (*next - *at).0.clamp(0, longest)).collect()
    }

    fn weigh(&mut self, now: Media) {
        let window = Media::from_duration(self.irregular.window);
        let began = self.arrivals.front().copied();
        while self.arrivals.front().is_some_and(|at| now - *at > window) {
            self.arrivals.pop_front();
        }
        let mut in_order = self.intervals();
        if is_another_rate(&in_order) {
            self.arrivals.drain(..in_order.len() - ALIKE);
            in_order = self.intervals();
        }
        if in_order.len() >= ENOUGH {
            self.interval = Some(Media(median(&in_order).clamp(1, SLOWEST.0)));
        }
        // Not a whole window yet: what came before it is not there to be dropped.
        let is_whole = began.is_some_and(|began| now - began > window && self.arrivals.front() > Some(&began));
        let (true, Some(usual)) = (is_whole, self.interval) else { return };
        // What is off by less than three quarters of an interval is jitter, and made up for by the next.
        let usual = usual.0.max(1);
        let missing: i64 = in_order.iter().map(|interval| ((interval + usual / 4) / usual - 1).max(0)).sum();
        let places = (i64::try_from(in_order.len()).unwrap_or(i64::MAX)).saturating_add(missing).max(1);
        let share = missing as f32 / places as f32;
        let sign = if share >= self.irregular.share {
            Sign::Bad
        } else if share < self.irregular.ends_below {
            Sign::Good
        } else {
            Sign::Neither
        };
        let window = seconds(window);
        self.regularity
            .observe(sign, now, |_| format!("{missing} of {places} pictures missing or late in {window:.0} s"));
    }
}

/// Whether the last intervals are alike, and others than those before.
fn is_another_rate(intervals: &[i64]) -> bool {
    let Some((before, lately)) = intervals.split_at_checked(intervals.len().saturating_sub(ALIKE)) else {
        return false;
    };
    if before.is_empty() {
        return false;
    }
    let (then, now) = (median(before), median(lately));
    let alike = lately.iter().all(|interval| (interval - now).abs() <= now / 4);
    alike && (now * ANOTHER.1 >= then * ANOTHER.0 || then * ANOTHER.1 >= now * ANOTHER.0)
}

fn median(intervals: &[i64]) -> i64 {
    let mut sorted = intervals.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}
