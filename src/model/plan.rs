//! What an operator has bought for a link, when the month of it begins, and when the show ends.

use std::fmt;
use std::time::Duration;

/// What a link may carry, and what that costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataPlan {
    /// Bytes in all, both ways; `None` where only what it costs is of interest.
    pub cap: Option<u64>,
    /// What happens when they are used.
    pub at_cap: AtCap,
    /// What a gigabyte costs, if that is to be shown.
    pub price: Option<Price>,
    /// The day of the month on which what was used counts no more, 1–31, the last one in months that are shorter; `None` if
    /// that never happens.
    pub period_starts: Option<u8>,
}

/// What becomes of a link whose cap is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtCap {
    /// It is used if nothing else works.
    #[default]
    LastResort,
    /// It is not used, though the stream ends by it.
    Bar,
}

/// What a gigabyte (10⁹ bytes) costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Thousandths of the currency's unit.
    pub thousandths: u64,
    /// As the operator writes it: `EUR`, `€`.
    pub currency: String,
}

impl Price {
    /// What so many bytes cost, in words.
    pub fn of(&self, bytes: u64) -> String {
        let thousandths = u128::from(bytes) * u128::from(self.thousandths) / 1_000_000_000;
        let hundredths = (thousandths + 5) / 10;
        format!("{}.{:02} {}", hundredths / 100, hundredths % 100, self.currency)
    }
}

/// When the show ends, as its operator knows it beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowEnd {
    /// The first time after going on air that the clock on the wall shows this, in the box's time zone.
    At {
        /// 0–23.
        hour: u8,
        /// 0–59.
        minute: u8,
    },
    /// So long after going on air.
    After(Duration),
}

/// A day of the civil calendar. Later days are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// Of our era.
    pub year: i16,
    /// 1–12.
    pub month: u8,
    /// 1–31.
    pub day: u8,
}

impl Day {
    /// The last day on or before this one that is number `starts` of its month, or the last one of a month that is shorter.
    #[must_use]
    pub fn period(self, starts: u8) -> Self {
        let first = Self { day: starts.clamp(1, days(self.year, self.month)), ..self };
        if first <= self {
            return first;
        }
        let (year, month) = if self.month <= 1 { (self.year - 1, 12) } else { (self.year, self.month - 1) };
        Self { year, month, day: starts.clamp(1, days(year, month)) }
    }

    /// As [`fmt::Display`] writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let day = Self { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
        let legal = (1..=12).contains(&day.month) && (1..=days(day.year, day.month)).contains(&day.day);
        (legal && parts.next().is_none()).then_some(day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Of the Gregorian calendar.
const fn days(year: i16, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_period_begins_on_its_day_or_at_the_end_of_a_shorter_month() {
        let period = |text: &str, starts| Day::parse(text).unwrap().period(starts).to_string();
        assert_eq!(period("2026-11-28", 1), "2026-11-01");
        assert_eq!(period("2026-11-28", 28), "2026-11-28");
        assert_eq!(period("2026-11-27", 28), "2026-10-28");
        assert_eq!(period("2026-03-30", 31), "2026-02-28");
        assert_eq!(period("2026-03-31", 31), "2026-03-31");
        assert_eq!(period("2028-03-01", 31), "2028-02-29");
        assert_eq!(period("2027-01-02", 15), "2026-12-15");
    }

    #[test]
    fn a_day_survives_being_written_and_what_is_none_is_refused() {
        for text in ["2026-11-01", "2028-02-29", "1970-01-01"] {
            assert_eq!(Day::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "2026-13-01", "2026-02-29", "2026-11-00", "2026-11-1-1", "today"] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_bytes_cost_is_rounded_to_hundredths() {
        let price = Price { thousandths: 4500, currency: "EUR".to_owned() };
        assert_eq!(price.of(16_200_000_000), "72.90 EUR");
        assert_eq!(price.of(1_000_000), "0.00 EUR");
        assert_eq!(price.of(1_200_000), "0.01 EUR");
        assert!(price.of(u64::MAX).ends_with(" EUR"));
    }
}
