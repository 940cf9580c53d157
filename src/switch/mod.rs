//! Which source is on air, where to cut, and what time it is: the switch decides what leaves the box at every place of
//! every stream's grid.
//!
//! ```text
//!   workers ──Unit──────►┌──────────────── Switch ────────────────┐
//!   (live, on their own  │ selector: which input                  │──Unit──► one Feed per rendition
//!    latency)            │ splice:   per stream, live or slate,   │          (programme time, each place once, in order)
//!           ──Condition─►│           cut at a keyframe            │──Duty, ForceKeyframe──► worker
//!   operator ──Choose───►│ epoch:    worker time + offset         │──Event──► log
//!   slate, clock ───────►└────────────────────────────────────────┘
//!
//!   each stream:
//!             ┌─────────┐ slate loaded  ┌───────┐  keyframe ahead of what was sent (sound: after the picture's cut)
//!     start ─►│ Nothing │──────────────►│ Slate │──────────────────────────┐
//!             └─────────┘               └───────┘                          ▼
//!                  ▲  │ keyframe             ▲  worker lost, silent,    ┌──────┐
//!                  │  └───────────────────── │ ──or nothing to show────►│ Live │ units pass straight through
//!                  │                         └──────────────────────────└──────┘
//!                  └── the same, without a slate ────────────────────────────┘
//!
//!   a change between two inputs that deliver:
//!     decision ──► the new one's gate opens, a keyframe is asked for; the old picture waits, up to 0.3 s, unsent
//!              ──► keyframe in hand: what waited leaves, then the cut; no place is empty, none the slate's
//!              ──► none in time: the old picture goes on; a keyframe that comes too late is waited for once more, and then
//!                  bridged by the slate
//! ```
//!
//! *Choice.* See [`selector`]: hold-off before a fault counts, probation after it, order or points, an operator's
//! wish, and a bound on changes whatever the inputs do. A change is told with the fault that led to it and the evidence its
//! worker gave ([`Reason`]). The switch itself knows one fault, a stall: where pictures that were on air, or asked for, do not
//! come.
//!
//! *Sound* follows the picture: it is cut to the new input at its first picture, and goes on under the slate for as long as it
//! comes, since a camera without signal may still be heard; only the slate by hand mutes it. Sound that is set apart
//! ([`AudioFrom::Input`](crate::model::AudioFrom)) comes from its input whatever the picture does, and nothing that is wrong
//! with it moves the picture. Where it does not come, silence fills it: another input's microphone would put on air what
//! nobody has mixed.
//!
//! *Timing.* A live unit of place `n` arrives its encoder's latency after the place's time. The slate sends place `n` that
//! much later too, plus one interval, so that a live keyframe usually lies ahead of what the slate has sent; the few places
//! up to it are filled by the slate in a burst. A keyframe that lies behind is dropped and another one asked for, while the
//! slate's pace slackens (never below half) until keyframes lie ahead. When live units stop, the places that nobody
//! filled are filled in a burst, and the first one within one interval of the decision.
//!
//! *Held pictures.* What stands in is the last picture, repeated for up to [`Selection::still`](crate::model::Selection::still),
//! and then the slate (see [`filler`]); at once the slate where that was asked for. Below, *slate* stands for both: a stream
//! leaves either on a keyframe only. A picture is not repeated as soon as the next one is late, as a mixer in front of an encoder
//! can afford: behind the encoder a place that is filled is taken, and the late picture and all that depend on it would be lost
//! up to the next keyframe. Destinations buffer more than the patience with a worker.
//!
//! *Gaps.* A place stays empty, and is counted as `missing`, only: where a live picture has a hole (its worker overflowed);
//! where there is no slate; after the process itself stood still for more than [`Thresholds::longest_fill`]; before the
//! first unit. Sound has no holes otherwise: silence fills them.
//!
//! *Invariant:* what leaves a stream has strictly increasing places, each at most once, and changes its source only on a
//! keyframe; and a good picture is only left for a proven one, or for what an operator asked for.

mod change;
mod epoch;
mod filler;
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
pub use filler::{SlateClip, SlateError};
pub use programme::{SLATE, STILL, Switch};
pub use report::{Cut, Happened, Reason, SwitchSnapshot};
pub use selector::{BURST, KEPT_FOR_PROVEN, MOST_IN_A_MINUTE, ONE_IN};
pub use settings::{Input, Output, SwitchSettings, Thresholds};
pub use splice::StreamSettings;
