//! The configuration file, parsed once into types.
//!
//! ```text
//!  holdfast.toml ─┐  file: one reader per part      every mistake, by line, with its remedy
//!                 ├─► input rendition destination ─┬─────────────────────────────► ConfigErrors
//!  secrets.toml ──┘  srt recording telemetry …     └─► Settings (all legal), hashed per process
//! ```
//!
//! `file` and the modules named after the parts of the file know TOML (`sender`: an input that comes over a network); those
//! named after a kind of value know how people write it; `settings` and its like know what a box can be, `cautions` what it had
//! better not be, `relay_settings` what a relay can, whose file is made of the same parts (`relay`); [`profile`] knows boards,
//! in files of their own. [`EXAMPLE`] and [`EXAMPLE_RELAY`] show every key. *Invariant:* a [`Settings`] or [`RelaySettings`]
//! value is always complete and consistent; there is no separate validation step, and an unknown key is an error.

mod bitrate;
mod bytes;
mod cautions;
mod destination;
mod duration;
mod file;
mod frame_rate;
mod hardware_settings;
mod hash;
mod input;
mod link;
mod name;
mod network;
mod network_input;
mod network_settings;
mod path;
mod paths;
mod ports;
mod probe;
mod probe_settings;
pub mod profile;
mod quantity;
mod recording;
mod relay;
mod relay_settings;
mod rendition;
mod report;
mod secrets;
mod section;
mod selection;
mod sender;
mod settings;
mod size;
mod srt;
mod srt_settings;
mod telemetry;
mod telemetry_settings;
mod url;
mod watch;

#[cfg(test)]
mod sender_tests;
#[cfg(test)]
mod tests;

pub use file::{MAX_BYTES, parse, with_paths_from};
pub use hardware_settings::*;
pub use network_input::*;
pub use network_settings::*;
pub use paths::Paths;
pub use probe_settings::*;
pub use relay::parse_relay;
pub use relay_settings::*;
pub use report::{ConfigError, ConfigErrors};
pub use settings::*;
pub use srt_settings::*;
pub use telemetry_settings::*;

/// An annotated configuration with every key.
pub const EXAMPLE: &str = include_str!("example.toml");
/// The secrets file that goes with [`EXAMPLE`].
pub const EXAMPLE_SECRETS: &str = include_str!("example-secrets.toml");
/// An annotated relay's configuration with every key.
pub const EXAMPLE_RELAY: &str = include_str!("relay-example.toml");
/// The secrets file that goes with [`EXAMPLE_RELAY`].
pub const EXAMPLE_RELAY_SECRETS: &str = include_str!("relay-example-secrets.toml");
