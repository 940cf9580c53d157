//! What Holdfast may do to the machine's network, as types in which every value is legal.

use super::settings::Settings;
use crate::model::InterfaceName;

/// What Holdfast does to the machine's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Who lays a routing table for each interface that a destination names.
    pub tables: Tables,
}

/// Who lays routing tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tables {
    /// Nobody, or somebody else: the machine's routing is as it is. What the default is, since a machine whose routing
    /// changes unasked is a machine that somebody cannot reach any more.
    #[default]
    Off,
    /// holdfastd, and takes them away when it is shut down.
    Apply,
}

impl Settings {
    /// Every interface that a destination names, once, in the order of the file: the first choices first.
    pub fn pinned_interfaces(&self) -> Vec<InterfaceName> {
        let rtmp = self.destinations.iter().flat_map(|destination| destination.via.interfaces());
        let srt = self.srt_destinations.iter().flat_map(|destination| destination.links.paths());
        let mut names: Vec<InterfaceName> = Vec::new();
        for name in rtmp.chain(srt.filter_map(|path| path.interface.as_ref())) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}
