//! The clock on the wall of the place where the box is: which day it is, and when it will be so late.
//!
//! For people and for what they agreed with a network's operator; no decision about a stream is taken by it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::health::budget::End;
use crate::model::{Day, ShowEnd, Wall};

/// Which day it is.
pub(super) fn day(at: Wall, zone: &TimeZone) -> Option<Day> {
    let date = timestamp(at)?.to_zoned(zone.clone()).date();
    let (month, day) = (u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?);
    Some(Day { year: date.year(), month, day })
}

/// When the show ends that began at `began`; `wall` and `now` are the same moment.
pub(super) fn end(show: ShowEnd, began: Wall, (wall, now): (Wall, Instant), zone: &TimeZone) -> Option<End> {
    let began = timestamp(began)?;
    let end = match show {
        ShowEnd::After(lasts) => began.checked_add(jiff::SignedDuration::try_from(lasts).ok()?).ok()?,
        ShowEnd::At { hour, minute } => {
            let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()?;
            let began = began.to_zoned(zone.clone());
            let today = began.date().to_datetime(time).to_zoned(zone.clone()).ok()?;
            let end = if today > began {
                today
            } else {
                began.date().tomorrow().ok()?.to_datetime(time).to_zoned(zone.clone()).ok()?
            };
            end.timestamp()
        }
    };
    // One that is over has no time left.
    let left = u64::try_from(end.as_microsecond().saturating_sub(wall.0)).unwrap_or(0);
    let (end, today) = (end.to_zoned(zone.clone()), timestamp(wall)?.to_zoned(zone.clone()).date());
    let called = match end.date() == today {
        true => end.strftime("%H:%M").to_string(),
        false => end.strftime("%H:%M on %-d %B").to_string(),
    };
    Some(End { at: now.checked_add(Duration::from_micros(left))?, called })
}

fn timestamp(at: Wall) -> Option<Timestamp> {
    Timestamp::from_microsecond(at.0).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    fn wall(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    /// Hours from `now` to the end, and what it is called.
    fn hours(show: ShowEnd, began: &str, at: &str) -> (f64, String) {
        let (now, zone) = (Instant::now(), TimeZone::get("Europe/Berlin").unwrap());
        let end = end(show, wall(began), (wall(at), now), &zone).unwrap();
        ((end.at - now).as_secs_f64() / 3600.0, end.called)
    }

    #[test]
    fn a_show_ends_when_it_is_so_late_for_the_first_time_after_it_began() {
        let half_past_six = ShowEnd::At { hour: 18, minute: 30 };
        // Berlin is an hour ahead in winter.
        assert_eq!(hours(half_past_six, "2026-11-28T15:00:00Z", "2026-11-28T15:30:00Z"), (2.0, "18:30".to_owned()));
        assert_eq!(hours(half_past_six, "2026-11-28T15:00:00Z", "2026-11-28T18:00:00Z"), (0.0, "18:30".to_owned()));
        let tomorrow = "18:30 on 29 November".to_owned();
        assert_eq!(hours(half_past_six, "2026-11-28T19:00:00Z", "2026-11-28T19:30:00Z"), (22.0, tomorrow));
        // The clocks go back in the night between.
        let (left, _) = hours(half_past_six, "2026-10-24T19:00:00Z", "2026-10-24T19:30:00Z");
        assert_eq!(left, 22.0);
    }

    #[test]
    fn a_show_that_lasts_so_long_ends_so_long_after_it_began() {
        let three_hours = ShowEnd::After(Duration::from_secs(3 * 3600));
        assert_eq!(hours(three_hours, "2026-11-28T15:00:00Z", "2026-11-28T16:00:00Z"), (2.0, "19:00".to_owned()));
    }

    #[test]
    fn the_day_is_that_of_the_place() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(day(wall("2026-11-30T23:30:00Z"), &zone), Day::parse("2026-12-01"));
        assert_eq!(day(Wall(0), &TimeZone::UTC), Day::parse("1970-01-01"));
        assert_eq!(day(Wall(i64::MAX), &TimeZone::UTC), None, "no clock shows that");
    }
}
