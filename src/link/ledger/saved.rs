//! Pure. What is remembered of the links' accounts over a restart, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::meter::Reading;
use super::period::Period;
use crate::model::{Day, InterfaceName, Media};

const VERSION: u32 = 1;
/// Accounts that are remembered; a box has a handful of links.
const MOST: usize = 64;

/// Every account, of links that have a plan and of links that had one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    pub(super) links: BTreeMap<InterfaceName, SavedAccount>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedAccount {
    pub(super) used: u64,
    /// What the counters said last, and in which boot of the machine.
    pub(super) read: Option<(String, Reading)>,
    pub(super) period: Option<Period>,
}

/// Why what was remembered cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It is not what this writes.
    #[error("is damaged ({0})")]
    Damaged(#[from] serde_json::Error),
    /// It is of another version.
    #[error("is of version {0}, which this version does not know")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
struct Page {
    version: u32,
    links: BTreeMap<String, Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    used: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<Read>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    period: Option<Since>,
}

#[derive(Serialize, Deserialize)]
struct Read {
    boot: String,
    index: u32,
    received: u64,
    sent: u64,
    at: Media,
}

#[derive(Serialize, Deserialize)]
struct Since {
    starts: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewed: Option<String>,
}

impl Saved {
    /// What [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// If it is damaged, or from another version.
    pub fn parse(json: &str) -> Result<Self, SavedError> {
        let page: Page = serde_json::from_str(json)?;
        if page.version != VERSION {
            return Err(SavedError::Version(page.version));
        }
        let account = |(name, line): (String, Line)| {
            let day = |text: Option<String>| text.and_then(|text| Day::parse(&text));
            let read = line.read.map(|read| {
                let Read { boot, index, received, sent, at } = read;
                (boot, Reading { index, received, sent, at })
            });
            let period = line.period.map(|p| Period::new(p.starts.clamp(1, 31), day(p.begun), day(p.renewed)));
            Some((InterfaceName::new(&name)?, SavedAccount { used: line.used, read, period }))
        };
        Ok(Self { links: page.links.into_iter().take(MOST).filter_map(account).collect() })
    }

    /// In a form that [`Self::parse`] reads.
    pub fn to_json(&self) -> String {
        let line = |(name, account): (&InterfaceName, &SavedAccount)| {
            let read = account.read.as_ref().map(|(boot, read)| {
                let Reading { index, received, sent, at } = *read;
                Read { boot: boot.clone(), index, received, sent, at }
            });
            let day = |day: Option<Day>| day.map(|day| day.to_string());
            let period = account.period.as_ref().map(|p| Since {
                starts: p.starts,
                begun: day(p.begun),
                renewed: day(p.renewed),
            });
            (name.to_string(), Line { used: account.used, read, period })
        };
        let page = Page { version: VERSION, links: self.links.iter().take(MOST).map(line).collect() };
        serde_json::to_string(&page).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_saved_is_read_again() {
        let reading = Reading { index: 4, received: u64::MAX, sent: 7, at: Media::from_millis(5000) };
        let period = Period::new(31, Day::parse("2026-10-31"), Day::parse("2026-10-31"));
        let account = SavedAccount { used: 16_200_000_000, read: Some(("b-1".into(), reading)), period: Some(period) };
        let bare = SavedAccount { used: 0, read: None, period: None };
        let links = [("wwan0", account), ("eth0", bare)];
        let saved = Saved { links: links.map(|(name, a)| (InterfaceName::new(name).unwrap(), a)).into() };
        assert_eq!(Saved::parse(&saved.to_json()).unwrap(), saved);
    }

    #[test]
    fn what_is_torn_or_from_the_future_is_told_and_nothing_is_made_of_it() {
        for torn in ["", "{", "{\"version\":1}", "[]", "{\"version\":1,\"links\":{\"wwan0\":{\"used\":-1}}}"] {
            assert!(Saved::parse(torn).unwrap_err().to_string().starts_with("is damaged"), "{torn}");
        }
        assert!(matches!(Saved::parse("{\"version\":2,\"links\":{}}"), Err(SavedError::Version(2))));
    }
}
