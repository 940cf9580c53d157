//! Which source is on air, where to cut, and what time it is: the switch decides what leaves the box at every place of
//! every stream's grid.
//!
//! ```text
//!   workers ──Unit──►┌──────────────── Switch ────────────────┐
//!   (live, on their  │ selector: which input                  │──Unit──► one Feed per rendition
//!    own latency)    │ splice:   per stream, live or slate,   │          (programme time, each place once, in order)
//!   slate ───Slate──►│           cut at a keyframe            │──ForceKeyframe──► worker
//!   clock ──Timeout─►│ epoch:    worker time + offset         │──Event──► log
//!                    └────────────────────────────────────────┘
//!
//!   each stream:
//!             ┌─────────┐ slate loaded  ┌───────┐  keyframe ahead of what was sent (sound: after the picture's cut)
//!     start ─►│ Nothing │──────────────►│ Slate │──────────────────────────┐
//!             └─────────┘               └───────┘                          ▼
//!                  ▲  │ keyframe             ▲  worker lost, or silent   ┌──────┐
//!                  │  └───────────────────── │ ──────────────────────────►│ Live │ units pass straight through
//!                  │                         └────────────────────────────└──────┘
//!                  └── the same, without a slate ────────────────────────────┘
//! ```
//!
//! *Timing.* A live unit of place `n` arrives its encoder's latency after the place's time. The slate sends place `n` that
//! much later too, plus one interval, so that a live keyframe usually lies ahead of what the slate has sent; the few places
//! up to it are filled by the slate in a burst. A keyframe that lies behind is dropped and another one asked for, while the
//! slate's pace slackens (never below half) until keyframes lie ahead. When live units stop, the places that nobody
//! filled are filled in a burst, and the first one within one interval of the decision.
//!
//! *Gaps.* A place stays empty, and is counted as `missing`, only: where a live picture has a hole (its worker overflowed);
//! where there is no slate; after the process itself stood still for more than [`Thresholds::longest_fill`]; before the
//! first unit. Sound has no holes otherwise: silence fills them.
//!
//! *Invariant:* what leaves a stream has strictly increasing places, each at most once, and changes its source only on a
//! keyframe.

mod change;
mod epoch;
mod grid;
mod latency;
mod programme;
mod rate;
mod report;
mod selector;
mod settings;
mod splice;

#[cfg(test)]
mod checker;
#[cfg(test)]
mod choices;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod world;

pub use epoch::{Epoch, How, SavedTime, SavedTimeError};
pub use programme::{SLATE, Switch};
pub use report::{Cut, Happened, Reason, SwitchSnapshot};
pub use selector::{BURST, KEPT_FOR_PROVEN, MOST_IN_A_MINUTE, ONE_IN};
pub use settings::{Input, Output, SwitchSettings, Thresholds};
pub use splice::{SlateClip, SlateError, StreamSettings};
