//! `[[link]]` and `[show]`: what each interface may carry, and until when.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::quantity::{thousandths, whole};
use super::report::{Absent, Complaint, Report, Reported, quote};
use super::section::{Section, choice, text_like};
use super::srt::interface;
use super::{bytes, duration};
use crate::model::{AtCap, DataPlan, InterfaceName, Price, ShowEnd};

const MOST: usize = 32;
const LEAST_CAP: u64 = 1_000_000;
const DAYS: RangeInclusive<u32> = 1..=31;
const LASTS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 86_400);
const LONGEST_CURRENCY: usize = 8;

const AT_CAP: [(&str, AtCap); 2] = [("last-resort", AtCap::LastResort), ("bar", AtCap::Bar)];
const AT_CAP_ALIASES: [(&str, &str); 6] = [
    ("last_resort", "last-resort"),
    ("lastresort", "last-resort"),
    ("demote", "last-resort"),
    ("stop", "bar"),
    ("block", "bar"),
    ("barred", "bar"),
];

pub(super) fn read_all(
    root: &mut Section<'_>,
    report: &mut Report<'_>,
) -> Result<BTreeMap<InterfaceName, DataPlan>, Reported> {
    let sections = root.tables("link");
    if sections.len() > MOST {
        let complaint = Complaint::new(format!("has {} links", sections.len()), format!("keep at most {MOST}"));
        return Err(root.complain("link", &complaint));
    }
    let mut plans = BTreeMap::new();
    let mut wrong = None;
    for mut section in sections {
        let one = read(&mut section).and_then(|(interface, plan)| {
            if plans.contains_key(&interface) {
                let complaint =
                    Complaint::new("has a second [[link]]", "keep one for each interface, with all that it has");
                return Err(section.lacks(Absent::Other, &complaint));
            }
            plans.insert(interface, plan);
            Ok(())
        });
        wrong = wrong.or(one.err());
        section.finish(report);
    }
    wrong.map_or(Ok(plans), Err)
}

fn read(section: &mut Section<'_>) -> Result<(InterfaceName, DataPlan), Reported> {
    let interface = section.required("interface", "interface = \"wwan0\"", interface);
    if let Ok(interface) = &interface {
        section.call(format!("link \"{interface}\""));
    }
    let cap = section.optional("data_cap", |v| bytes::data(v, LEAST_CAP));
    let at_cap = section.optional("at_cap", |v| choice(v, &AT_CAP, &AT_CAP_ALIASES));
    let price = section.optional("cost_per_gb", price);
    let period_starts = section.optional("period_starts", |v| whole(v, &DAYS, "the day of the month"));
    if (&cap, &price) == (&Ok(None), &Ok(None)) {
        let complaint = Complaint::new("has neither data_cap nor cost_per_gb", "add data_cap = \"20G\"");
        return Err(section.lacks(Absent::AnyOf(&["data_cap", "cost_per_gb"]), &complaint));
    }
    if let (Ok(None), Ok(Some(_))) = (&cap, &at_cap) {
        let complaint = Complaint::new("has no effect without data_cap", "add data_cap = \"20G\", or remove it");
        return Err(section.complain("at_cap", &complaint));
    }
    let period_starts = period_starts?.and_then(|day| u8::try_from(day).ok());
    Ok((interface?, DataPlan { cap: cap?, at_cap: at_cap?.unwrap_or_default(), price: price?, period_starts }))
}

/// A number and a currency: `"4.50 EUR"`.
fn price(value: &DeValue<'_>) -> Result<Price, Complaint> {
    const REMEDY: &str = "write a number and a currency, such as \"4.50 EUR\"";
    let written = text_like(value, "write it in quotes with its currency, such as \"4.50 EUR\"")?;
    let complaint = || Complaint::new(format!("is {}, not a sum of money", quote(written)), REMEDY);
    let (thousandths, currency) = thousandths(written.trim()).ok_or_else(complaint)?;
    let currency = currency.trim_start();
    let is_one = |c: char| c.is_alphabetic() || ('\u{20a0}'..='\u{20cf}').contains(&c) || "$£¥.".contains(c);
    let length = currency.chars().count();
    if !(1..=LONGEST_CURRENCY).contains(&length) || !currency.chars().all(is_one) {
        return Err(complaint());
    }
    Ok(Price { thousandths, currency: currency.to_owned() })
}

pub(super) fn read_show(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<Option<ShowEnd>, Reported> {
    let Some(mut section) = root.table("show", "write [show] with one bracket, once")? else { return Ok(None) };
    let ends = section.optional("ends", time_of_day);
    let lasts = section.optional("lasts", |v| duration::read(v, &LASTS));
    let end = match (ends, lasts) {
        (Ok(Some(_)), Ok(Some(_))) => {
            let complaint =
                Complaint::new("stands beside ends, which says the same in another way", "remove one of them");
            Err(section.complain("lasts", &complaint))
        }
        (Ok(ends), Ok(lasts)) => Ok(ends.or(lasts.map(ShowEnd::After))),
        (Err(Reported), _) | (_, Err(Reported)) => Err(Reported),
    };
    section.finish(report);
    end
}

/// `"18:30"`.
fn time_of_day(value: &DeValue<'_>) -> Result<ShowEnd, Complaint> {
    const REMEDY: &str = "write a time of day from \"00:00\" to \"23:59\"";
    let written = text_like(value, "write it in quotes, such as \"18:30\"")?;
    let complaint = || Complaint::new(format!("is {}, not a time of day", quote(written)), REMEDY);
    let (hour, minute) = written.split_once(':').ok_or_else(complaint)?;
    let number = |text: &str, least: usize, below: u8| {
        let digits = (least..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u8>().ok().filter(|number| digits && *number < below)
    };
    match (number(hour, 1, 24), number(minute, 2, 60)) {
        (Some(hour), Some(minute)) => Ok(ShowEnd::At { hour, minute }),
        (None, _) | (_, None) => Err(complaint()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(text: &str) -> DeValue<'_> {
        DeValue::String(text.into())
    }

    #[test]
    fn prices_are_read_as_people_write_them() {
        let read = |text: &str| price(&value(text)).map(|price| (price.thousandths, price.currency));
        assert_eq!(read("4.50 EUR").unwrap(), (4500, "EUR".to_owned()));
        assert_eq!(read("4€").unwrap(), (4000, "€".to_owned()));
        assert_eq!(read("0.8 CHF").unwrap(), (800, "CHF".to_owned()));
        for wrong in ["", "EUR", "4.50", "EUR 4", "4,50 EUR", "-4 EUR", "4 \u{1b}[2J", "4 doubloonsofgold"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_of_day_have_two_numbers() {
        assert_eq!(time_of_day(&value("18:30")), Ok(ShowEnd::At { hour: 18, minute: 30 }));
        assert_eq!(time_of_day(&value("9:05")), Ok(ShowEnd::At { hour: 9, minute: 5 }));
        for wrong in ["", "18", "24:00", "18:60", "18:3", "18:30:00", "+8:30", "6pm"] {
            assert!(time_of_day(&value(wrong)).is_err(), "{wrong:?}");
        }
    }
}
