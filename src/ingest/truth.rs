//! Pure. What is wrong with the network between a sender and us: loss, round trip, a bit rate that has collapsed.
//!
//! *Invariant:* what is told stays as it is until the fault is over, which needs a better value than the one it began with.

use std::collections::VecDeque;
use std::time::Duration;

use super::arrival::Network;
use crate::model::{Fault, Finding, NetworkLimits};

/// See the module.
#[derive(Clone, Debug)]
pub struct NetworkJudge {
    limits: NetworkLimits,
    /// The latest last.
    reports: VecDeque<Network>,
    loss: Option<Finding>,
    rtt: Option<Finding>,
    rate: Option<Finding>,
}

/// What was counted over some of the reports.
#[derive(Clone, Copy, Default)]
struct Sum {
    reports: usize,
    over: Duration,
    packets: u64,
    lost: u64,
    bytes: u64,
    /// The shortest round trip.
    rtt: Option<Duration>,
}

impl Sum {
    fn of<'r>(reports: impl Iterator<Item = &'r Network>, at_most: Duration) -> Self {
        let mut sum = Self::default();
        for report in reports {
            if sum.over >= at_most {
                break;
            }
            sum.reports += 1;
            sum.over += report.over;
            sum.packets += report.packets;
            sum.lost += report.lost;
            sum.bytes += report.bytes;
            sum.rtt = [sum.rtt, report.rtt].into_iter().flatten().min();
        }
        sum
    }

    fn rate(&self) -> f64 {
        if self.over.is_zero() { 0.0 } else { self.bytes as f64 * 8.0 / self.over.as_secs_f64() }
    }
}

impl NetworkJudge {
    /// Nothing is known of the network.
    pub fn new(limits: NetworkLimits) -> Self {
        Self { limits, reports: VecDeque::new(), loss: None, rtt: None, rate: None }
    }

    /// Another sender: nothing is known again.
    pub fn restart(&mut self) {
        *self = Self::new(self.limits.clone());
    }

    /// The next report.
    pub fn hear(&mut self, report: Network) {
        self.reports.push_back(report);
        let all: Duration = self.reports.iter().map(|r| r.over).sum();
        let keep = NetworkLimits::RATE_BEFORE + NetworkLimits::RATE_OVER;
        if all > keep + report.over {
            self.reports.pop_front();
        }
        self.judge_loss();
        self.judge_rate();
    }

    /// The latest reports in one, as far as loss is counted over.
    pub fn recent(&self) -> Network {
        let sum = Sum::of(self.reports.iter().rev(), NetworkLimits::LOSS_OVER);
        Network { over: sum.over, rtt: sum.rtt, packets: sum.packets, lost: sum.lost, bytes: sum.bytes }
    }

    /// What is wrong, the worst first.
    pub fn finding(&self) -> Option<&Finding> {
        [&self.rate, &self.loss, &self.rtt].into_iter().find_map(Option::as_ref)
    }

    fn judge_loss(&mut self) {
        let sum = Sum::of(self.reports.iter().rev(), NetworkLimits::LOSS_OVER);
        if sum.over < NetworkLimits::LOSS_OVER {
            return;
        }
        let seconds = sum.over.as_secs();
        let share = if sum.packets == 0 { 0.0 } else { sum.lost as f32 / sum.packets as f32 };
        latch(&mut self.loss, self.limits.loss.map(|limit| Level::above(share, limit)), || {
            format!("{:.1} % of {} packets did not come in {seconds} s", share * 100.0, sum.packets)
        });
        let limit = self.limits.rtt.zip(sum.rtt);
        latch(&mut self.rtt, limit.map(|(limit, rtt)| Level::above(rtt.as_secs_f32(), limit.as_secs_f32())), || {
            let rtt = sum.rtt.unwrap_or_default().as_millis();
            format!("a round trip takes {rtt} ms at the least, for {seconds} s")
        });
    }

    fn judge_rate(&mut self) {
        let now = Sum::of(self.reports.iter().rev(), NetworkLimits::RATE_OVER);
        let before = Sum::of(self.reports.iter().rev().skip(now.reports), NetworkLimits::RATE_BEFORE);
        // While it is low, what it was before is what it was before that.
        if self.rate.is_none() && before.over < NetworkLimits::RATE_BEFORE / 3 {
            return;
        }
        let (rate, usual) = (now.rate(), before.rate());
        if self.rate.is_some() && usual <= 0.0 {
            self.rate = None;
            return;
        }
        let share = (rate / usual.max(1.0)) as f32;
        latch(&mut self.rate, self.limits.rate.map(|limit| Level::below(share, limit)), || {
            format!("its bit rate fell to {:.0} kbit/s, and was {:.0}", rate / 1e3, usual / 1e3)
        });
    }
}

/// Where a value lies with regard to a limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Bad,
    Between,
    Good,
}

impl Level {
    fn above(value: f32, limit: f32) -> Self {
        if value > limit {
            Self::Bad
        } else if value > limit * NetworkLimits::ENDS_AT {
            Self::Between
        } else {
            Self::Good
        }
    }

    fn below(value: f32, limit: f32) -> Self {
        if value < limit {
            Self::Bad
        } else if value < limit / NetworkLimits::ENDS_AT {
            Self::Between
        } else {
            Self::Good
        }
    }
}

fn latch(finding: &mut Option<Finding>, level: Option<Level>, evidence: impl FnOnce() -> String) {
    match level {
        Some(Level::Bad) if finding.is_none() => {
            *finding = Some(Finding { fault: Fault::Network, evidence: evidence() });
        }
        Some(Level::Bad | Level::Between) => {}
        Some(Level::Good) | None => *finding = None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(packets: u64, lost: u64, bytes: u64, rtt_ms: u64) -> Network {
        Network { over: Duration::from_secs(1), rtt: Some(Duration::from_millis(rtt_ms)), packets, lost, bytes }
    }

    fn hear(judge: &mut NetworkJudge, seconds: u32, report: Network) -> Vec<Option<String>> {
        (0..seconds)
            .map(|_| {
                judge.hear(report);
                judge.finding().map(|f| f.evidence.clone())
            })
            .collect()
    }

    #[test]
    fn loss_is_told_over_its_limit_and_is_over_at_half_of_it() {
        let mut judge = NetworkJudge::new(NetworkLimits::USUAL);
        assert!(hear(&mut judge, 30, second(1000, 15, 500_000, 40)).iter().all(Option::is_none), "1.5 %");
        let told = hear(&mut judge, 6, second(1000, 40, 500_000, 40));
        assert_eq!(told[0], None, "one bad second is none of five");
        assert_eq!(told[1].as_deref(), Some("2.5 % of 5000 packets did not come in 5 s"));
        assert_eq!(told[5], told[1], "what is told stays");
        let over = hear(&mut judge, 10, second(1000, 15, 500_000, 40));
        assert!(over.iter().all(Option::is_some), "1.5 % is no end");
        let over = hear(&mut judge, 6, second(1000, 5, 500_000, 40));
        assert_eq!(over.last(), Some(&None));
    }

    #[test]
    fn a_bit_rate_that_collapses_is_told_and_a_sender_that_begins_low_is_not() {
        let mut judge = NetworkJudge::new(NetworkLimits::USUAL);
        assert!(hear(&mut judge, 40, second(100, 0, 50_000, 40)).iter().all(Option::is_none));
        assert!(hear(&mut judge, 40, second(1000, 0, 500_000, 40)).iter().all(Option::is_none), "it rose");
        let told = hear(&mut judge, 3, second(100, 0, 50_000, 40));
        assert_eq!(told[0], None);
        assert_eq!(told[1].as_deref(), Some("its bit rate fell to 400 kbit/s, and was 4000"));
        let back = hear(&mut judge, 4, second(1000, 0, 500_000, 40));
        assert_eq!(back.last(), Some(&None));
        // One that stays low is what it is from then on.
        hear(&mut judge, 20, second(1000, 0, 500_000, 40));
        let told = hear(&mut judge, 40, second(100, 0, 50_000, 40));
        assert!(told[5].is_some() && told[39].is_none());
    }

    #[test]
    fn a_long_way_is_told_and_what_is_never_to_be_told_is_not() {
        let mut judge = NetworkJudge::new(NetworkLimits::USUAL);
        let told = hear(&mut judge, 10, second(1000, 0, 500_000, 1400));
        assert_eq!(told[4].as_deref(), Some("a round trip takes 1400 ms at the least, for 5 s"));
        let never = NetworkLimits { loss: None, rtt: None, rate: None };
        let mut judge = NetworkJudge::new(never);
        assert!(hear(&mut judge, 40, second(1000, 900, 500_000, 9000)).iter().all(Option::is_none));
        assert!(hear(&mut judge, 40, second(0, 0, 0, 9000)).iter().all(Option::is_none));
    }

    #[test]
    fn another_sender_begins_anew() {
        let mut judge = NetworkJudge::new(NetworkLimits::USUAL);
        hear(&mut judge, 10, second(1000, 200, 500_000, 40));
        assert!(judge.finding().is_some());
        judge.restart();
        assert_eq!((judge.finding(), judge.recent()), (None, Network::default()));
    }
}
