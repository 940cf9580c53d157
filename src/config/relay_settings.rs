//! What a relay can be told to do, as types in which every value is legal.

use std::net::SocketAddr;
use std::time::Duration;

use super::settings::{DestinationSettings, RecordingSettings, Secret};
use super::srt_settings::SrtDestinationSettings;
use crate::model::RenditionId;

/// Everything a relay's configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct RelaySettings {
    /// The relay's name, for people. Free text, 1–64 characters.
    pub name: String,
    /// Where callers arrive, UDP; at least one, all different. The members of one group may arrive at different ones.
    pub listen: Vec<SocketAddr>,
    /// The shortest time for repetitions that a caller may agree on with us; a caller that asks for less gets this.
    pub min_latency: Duration,
    /// A caller that asks for more is refused; not less than `min_latency`.
    pub max_latency: Duration,
    /// Where the status is served over HTTP, TCP; `None` for nowhere.
    pub status: Option<SocketAddr>,
    /// Where probes are answered, UDP, none of `listen`; `None` for nowhere.
    pub probe: Option<SocketAddr>,
    /// What may be sent to this relay; at least one. Names are unique, and so are stream ids.
    pub programmes: Vec<ProgrammeSettings>,
    /// RTMP destinations; the rendition of each is the name of its programme.
    pub destinations: Vec<DestinationSettings>,
    /// SRT destinations, likewise.
    pub srt_destinations: Vec<SrtDestinationSettings>,
    /// Recordings, likewise.
    pub recordings: Vec<RecordingSettings>,
}

/// One programme.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgrammeSettings {
    /// Its name, which destinations and recordings refer to.
    pub id: RenditionId,
    /// What its sender asks for, as it is or as the resource `r` of the access-control syntax (`#!::r=…`).
    pub stream_id: Secret,
    /// Its sender's passphrase; `None` for a programme that was declared open.
    pub passphrase: Option<Secret>,
}

impl RelaySettings {
    /// The programme of that name.
    pub fn programme(&self, id: &RenditionId) -> Option<&ProgrammeSettings> {
        self.programmes.iter().find(|p| &p.id == id)
    }
}
