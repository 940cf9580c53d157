//! Pure. What one direction of a link is like at the moment.

use std::time::Duration;

/// One direction's conditions. The default is a perfect link: no delay, no loss, no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// From the end of the wire's work to arrival, for every packet.
    pub delay: Duration,
    /// At random on top of the delay.
    pub jitter: Jitter,
    /// Packets that vanish in transit.
    pub loss: Loss,
    /// How many packets arrive a second time, 0 to 1. The copy has a jitter of its own.
    pub duplicate: f64,
    /// Where the rate is limited; `None` is a link without a limit or a queue.
    pub bottleneck: Option<Bottleneck>,
    /// A black hole: everything that is sent from now on vanishes. What has left already still arrives.
    pub hole: bool,
}

impl Conditions {
    /// A perfect link that is `delay` long.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

/// Delay at random, even between nothing and `most`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jitter {
    /// The most that is added to the delay.
    pub most: Duration,
    /// Whether a packet may overtake one that was sent before it. Radio links mostly keep the order, since they
    /// retransmit below IP; routes over several carriers do not.
    pub reorders: bool,
}

/// Which packets vanish.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None does.
    #[default]
    None,
    /// Each with this probability, 0 to 1, whatever became of the others.
    Random(f64),
    /// Now and then several in a row.
    Bursts(Bursts),
}

/// The Gilbert-Elliott model (Gilbert 1960, Elliott 1963): a good and a bad state that change from packet to packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// The probability that the packet after a good state's finds the bad state.
    pub turns_bad: f64,
    /// The probability that the packet after a bad state's finds the good state; 1 / the mean length of a bad spell.
    pub turns_good: f64,
    /// The probability of losing a packet in the good state.
    pub loss_in_good: f64,
    /// The probability of losing a packet in the bad state.
    pub loss_in_bad: f64,
}

impl Bursts {
    /// Loses all packets of a bad spell and none of a good one, so that `share` (0 to 1) are lost altogether, in spells
    /// of `length` packets (at least 1) on average.
    pub fn new(share: f64, length: f64) -> Self {
        let share = share.clamp(0.0, 0.99);
        let turns_good = 1.0 / length.max(1.0);
        // In the long run the bad state has the share turns_bad / (turns_bad + turns_good).
        Self { turns_bad: turns_good * share / (1.0 - share), turns_good, loss_in_good: 0.0, loss_in_bad: 1.0 }
    }
}

/// A rate with a queue before it. What finds the queue full is dropped (tail drop).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bottleneck {
    /// Bits per second, of the packets as they are given; at least 1.
    pub rate: u64,
    /// How much may wait.
    pub queue: Queue,
}

impl Bottleneck {
    /// How long a packet of so many bytes takes to be sent.
    pub fn time(&self, bytes: usize) -> Duration {
        let bits = u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(8);
        let nanoseconds = bits.saturating_mul(1_000_000_000) / u128::from(self.rate.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// A queue's bound. A packet that finds it empty always fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Queue {
    /// So many bytes.
    Bytes(usize),
    /// So much time at the present rate.
    Time(Duration),
}
