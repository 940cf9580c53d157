//! Pure. What a cable carried, told apart by size: what a protocol says about itself is small, what it is there for is large.

use serde::{Deserialize, Serialize};

use crate::netem::Counters;

/// Bytes from which a packet counts as large. Of SRT, RTP and TCP alike: larger than acknowledgements and keep-alives,
/// smaller than full payloads.
pub(super) const LARGE: usize = 500;

/// Times of large packets kept per direction since the last mark; later ones are only counted.
const MOST_TIMES: usize = 1 << 16;

/// What an emulator's cables carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When it was made, microseconds of CLOCK_MONOTONIC.
    pub at_us: u64,
    /// When the last mark was set, likewise.
    pub marked_at_us: u64,
    /// One per cable, in the order in which they were laid.
    pub cables: Vec<CableReport>,
}

impl Report {
    /// The cable of that name.
    pub fn cable(&self, name: &str) -> Option<&CableReport> {
        self.cables.iter().find(|cable| cable.name == name)
    }
}

/// What one cable carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CableReport {
    /// Its name.
    pub name: String,
    /// Whether it has a carrier.
    pub carrier: bool,
    /// From A to B.
    pub forward: DirectionReport,
    /// From B to A.
    pub back: DirectionReport,
}

/// What one direction carried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DirectionReport {
    /// Since the emulator's start: given to the cable.
    pub entered: u64,
    /// Delivered, copies included.
    pub delivered: u64,
    /// Bytes delivered.
    pub delivered_bytes: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Swallowed by a hole.
    pub swallowed: u64,
    /// Found the queue full.
    pub overflowed: u64,
    /// Lost for want of a carrier.
    pub cut: u64,
    /// Copies made.
    pub copied: u64,
    /// Bytes that wait at the bottleneck.
    pub waiting_bytes: usize,
    /// Since the mark: how many packets of 500 bytes and more entered.
    pub large: u64,
    /// When each of those entered, microseconds since the mark; the first 65536 of them.
    pub large_at_us: Vec<u32>,
}

/// Counts what enters one direction.
#[derive(Debug, Default)]
pub(super) struct Seen {
    large: u64,
    at_us: Vec<u32>,
}

impl Seen {
    pub(super) fn mark(&mut self) {
        *self = Self::default();
    }

    /// A packet entered so many microseconds after the mark.
    pub(super) fn entered(&mut self, bytes: usize, since_mark_us: u64) {
        if bytes < LARGE {
            return;
        }
        self.large += 1;
        if self.at_us.len() < MOST_TIMES {
            self.at_us.push(u32::try_from(since_mark_us).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn report(&self, counters: Counters, waiting_bytes: usize) -> DirectionReport {
        DirectionReport {
            entered: counters.entered,
            delivered: counters.delivered,
            delivered_bytes: counters.delivered_bytes,
            lost: counters.lost,
            swallowed: counters.swallowed,
            overflowed: counters.overflowed,
            cut: counters.cut,
            copied: counters.copied,
            waiting_bytes,
            large: self.large,
            large_at_us: self.at_us.clone(),
        }
    }
}
