//! Pure. What is wrong with an input's picture and sound, told from themselves.
//!
//! ```text
//!   luma ─► picture::Meter ─► Measure ─┐
//!   sound ─► sound::Meter ──► Level ───┼─► Judge ─► Condition: each fault with its evidence
//!   the source's own words ────────────┤     each fault has limits and times at which it begins and ends
//!   now, at least every 100 ms ────────┘     (crate::model::TruthSettings)
//! ```
//!
//! The meters belong where pictures and sound come in, whatever thread that is; the judge is one per input. The one who asks
//! for pictures at the places of a grid gets repetitions, and these are not measured: a picture that is shown twice is not
//! frozen, and a source that gives none is stalled.
//!
//! *Invariant:* nothing here holds a picture's own buffer, and nothing is told without the numbers that it was told from.

mod arrival;
mod judge;
mod latch;
pub mod picture;
mod quiet;
pub mod sound;
mod view;

pub use judge::{Input, Judge};
