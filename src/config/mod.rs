//! The configuration file, parsed once into types.
//!
//! `file` knows TOML, `settings` knows what a box can be. *Invariant:* a [`Settings`] value is always complete and
//! consistent; there is no separate validation step, and an unknown key is an error.

mod paths;
mod settings;

pub use paths::Paths;
pub use settings::*;
