//! What is said about the machine itself, as types in which every value is legal.

use std::path::PathBuf;

use crate::model::Name;

/// Which hardware profile is in force, and where such are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HardwareSettings {
    /// This one; `None` finds out which.
    pub profile: Option<Name>,
    /// A directory whose profiles take the place of those that Holdfast comes with; `None` looks in the usual one.
    pub directory: Option<PathBuf>,
}

impl HardwareSettings {
    /// Where an image keeps its profiles.
    pub const USUAL_DIRECTORY: &str = "/usr/share/holdfast/hw-profiles";
}
