//! Pure. What kind of link it is, and how patient that kind deserves.

use std::fmt;
use std::time::Duration;

/// What a link is made of. Who classifies it gives the reason; here it only chooses a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkClass {
    /// A cable into somebody's network.
    Ethernet,
    /// Radio on the premises.
    Wifi,
    /// 4G or 5G.
    Cellular,
    /// A dish that changes its satellite every 15 s.
    Starlink,
    /// Not known: as patient as the most patient.
    Unknown,
}

impl LinkClass {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Ethernet, Self::Wifi, Self::Cellular, Self::Starlink, Self::Unknown];

    /// The row of the table.
    pub const fn thresholds(self) -> &'static Thresholds {
        match self {
            Self::Ethernet => &ETHERNET,
            Self::Wifi => &WIFI,
            Self::Cellular | Self::Starlink | Self::Unknown => &RADIO,
        }
    }
}

impl fmt::Display for LinkClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ethernet => "Ethernet",
            Self::Wifi => "Wi-Fi",
            Self::Cellular => "cellular",
            Self::Starlink => "Starlink",
            Self::Unknown => "unknown",
        })
    }
}

/// How patient one class of links deserves. The table and its reasons are in the documentation of [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Silence of both witnesses that makes a link suspect.
    pub suspect: Duration,
    /// Silence of both witnesses that makes it dead.
    pub dead: Duration,
    /// Silence of the probes that makes a link dead that carries nothing else.
    pub alone: Duration,
    /// Clean time before it is trusted again after its first failure.
    pub probation: Duration,
    /// Silence that begins a probation anew.
    pub broken: Duration,
    /// Share of probes, in per cent, that may be lost during a probation.
    pub loss: u32,
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const ETHERNET: Thresholds =
    Thresholds { suspect: ms(400), dead: ms(1000), alone: ms(2500), probation: ms(30_000), broken: ms(400), loss: 5 };
const WIFI: Thresholds =
    Thresholds { suspect: ms(400), dead: ms(1200), alone: ms(2500), probation: ms(60_000), broken: ms(1000), loss: 10 };
const RADIO: Thresholds =
    Thresholds { suspect: ms(400), dead: ms(1200), alone: ms(2500), probation: ms(60_000), broken: ms(1000), loss: 15 };

/// A carrier that is lost for so long means a dead link, whatever its class.
pub const CARRIER_DEAD: Duration = Duration::from_millis(100);
/// Hard limit: bytes wait and none has been confirmed for so long.
pub const NO_PROGRESS: Duration = Duration::from_millis(2500);
/// Without a working probe: so many retransmissions in a row, each after twice the time, mean a dead link.
pub const BACK_OFF_DEAD: u8 = 3;
/// A trusted link that has not failed for so long starts anew with the shortest probation.
pub const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// The longest probation.
pub const PROBATION_MOST: Duration = Duration::from_secs(600);
/// A link that has never failed is trusted after so much clean time.
pub const PROBATION_NEW: Duration = Duration::from_secs(2);
/// A target that is silent for so long while other traffic is answered is no witness, until it answers again.
pub(super) const NO_WITNESS_AFTER: Duration = Duration::from_secs(3);
/// Figures of a session that are older say nothing: whoever reads them is late.
pub(super) const STALE: Duration = Duration::from_millis(300);
/// Whoever asks later than this after the deadline has slept, and what was silent meanwhile may wait to be read.
pub(super) const OVERSLEPT: Duration = Duration::from_millis(200);
/// Probes must have been answered without a break for so long before a silent server is blamed.
pub(super) const UNBROKEN: Duration = Duration::from_secs(1);
/// A retransmission must be unanswered for so long, or two round trips if that is more, before a server is blamed.
pub(super) const REPEAT_UNANSWERED: Duration = Duration::from_millis(400);
/// A telemetry hint is never believed for longer.
pub const HINT_MOST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_order() {
        for class in LinkClass::ALL {
            let row = class.thresholds();
            assert!(CARRIER_DEAD < row.suspect && row.suspect < row.dead, "{class}");
            assert!(row.dead < row.alone && row.dead < NO_PROGRESS, "{class}");
            // A silence that does not kill a link may still be too long for one that is to be trusted, never the other
            // way round.
            assert!(row.suspect <= row.broken && row.broken < row.dead, "{class}");
            assert!(row.probation >= ms(30_000) && row.probation <= ms(60_000), "{class}");
            assert!(row.alone <= ms(3000), "{class}: a dead link is left within 3 s");
        }
    }
}
