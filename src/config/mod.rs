//! The configuration file, parsed once into types.
//!
//! ```text
//!  holdfast.toml ─┐  file: one reader per part      every mistake, by line, with its remedy
//!                 ├─► input rendition destination ─┬─────────────────────────────► ConfigErrors
//!  secrets.toml ──┘  recording secrets             └─► Settings (all legal), hashed per process
//! ```
//!
//! `file` and the modules named after the parts of the file know TOML; those named after a kind of value know how people
//! write it; `settings` knows what a box can be. [`EXAMPLE`] shows every key. *Invariant:* a [`Settings`] value is always
//! complete and consistent; there is no separate validation step, and an unknown key is an error.

mod bitrate;
mod bytes;
mod destination;
mod duration;
mod file;
mod frame_rate;
mod hash;
mod input;
mod name;
mod path;
mod paths;
mod quantity;
mod recording;
mod rendition;
mod report;
mod secrets;
mod section;
mod settings;
mod size;
mod url;

#[cfg(test)]
mod tests;

pub use file::{MAX_BYTES, parse, with_paths_from};
pub use paths::Paths;
pub use report::{ConfigError, ConfigErrors};
pub use settings::*;

/// An annotated configuration with every key.
pub const EXAMPLE: &str = include_str!("example.toml");
/// The secrets file that goes with [`EXAMPLE`].
pub const EXAMPLE_SECRETS: &str = include_str!("example-secrets.toml");
