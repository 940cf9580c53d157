//! What flows: encoded access units, the times on them, the names of things.
//!
//! Pure data. *Invariant:* nothing in this room reads a clock, a socket or a file, and it imports no other room.
//!
//! ```text
//!   worker (CLOCK_MONOTONIC)                       programme time
//!   ┌───────────────────────┐    switch adds       ┌──────────────────────┐
//!   │ AccessUnit, pts = n/f │ ── a fixed offset ──►│ same unit, pts' > 0  │──► FLV ms, MP4 ticks, 90 kHz
//!   └───────────────────────┘                      └──────────────────────┘
//! ```

mod codec;
pub mod edid;
mod fault;
mod feed;
mod grid;
mod id;
mod interface;
mod key_length;
mod pixel;
mod plan;
mod planting;
mod selection;
mod target;
mod time;
mod truth;
mod unit;

pub use codec::{AudioFormat, Codec, CodecConfig, TrackFormat, VideoFormat};
pub use edid::{Edid, EdidName};
pub use fault::{Condition, Fault, Finding, Gravity};
pub use feed::Feed;
pub use grid::{AudioGrid, FrameRate, VideoGrid};
pub use id::{InputId, Name, NameError, OutputId, RenditionId};
pub use interface::InterfaceName;
pub use key_length::KeyLength;
pub use pixel::PixelFormat;
pub use plan::{AtCap, DataPlan, Day, Price, ShowEnd};
pub(crate) use planting::plantable;
pub use selection::{AudioFrom, Duty, InputRules, Lead, Manual, Selection, SelectionMode, Silence};
pub use target::{PortalCheck, ProbeKind, ProbeTarget};
pub use time::{Media, Wall};
pub use truth::{
    BlackLimits, FrozenLimits, IrregularLimits, NetworkLimits, SoundExpected, SoundLimits, StalledLimits, TruthSettings,
};
pub use unit::{AccessUnit, Track};
