//! Where the processes meet and what they remember.

use std::path::{Path, PathBuf};

use crate::events::Role;
use crate::model::InputId;

/// The two directories of an instance. `runtime` is emptied at boot (`/run/holdfast`), `state` is kept (`/data/holdfast`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Sockets and locks.
    pub runtime: PathBuf,
    /// What survives a reboot.
    pub state: PathBuf,
}

impl Paths {
    /// Names the two directories; creates nothing.
    pub fn new(runtime: impl AsRef<Path>, state: impl AsRef<Path>) -> Self {
        Self { runtime: runtime.as_ref().to_owned(), state: state.as_ref().to_owned() }
    }

    /// Workers hand their access units to the data plane here; the data plane listens.
    pub fn media_socket(&self) -> PathBuf {
        self.runtime.join("media.sock")
    }

    /// Children report to holdfastd here; holdfastd listens.
    pub fn children_socket(&self) -> PathBuf {
        self.runtime.join("children.sock")
    }

    /// The command line talks to holdfastd here; holdfastd listens.
    pub fn control_socket(&self) -> PathBuf {
        self.runtime.join("control.sock")
    }

    /// What each input shows, one JPEG an input.
    pub fn thumbnail_dir(&self) -> PathBuf {
        self.runtime.join("thumbnails")
    }

    /// What `input` shows; its worker renews it each second and removes it when there is nothing to show.
    pub fn thumbnail(&self, input: &InputId) -> PathBuf {
        self.thumbnail_dir().join(format!("{input}.jpg"))
    }

    /// Held by a POSIX record lock as long as the process lives, so that the kernel can tell who holds the role.
    pub fn lock(&self, role: &Role) -> PathBuf {
        self.runtime.join(match role {
            Role::Supervisor => "holdfastd.lock".to_owned(),
            Role::Transmit => "transmit.lock".to_owned(),
            Role::Encode(input) => format!("encode-{input}.lock"),
            Role::Relay => "relay.lock".to_owned(),
        })
    }

    /// Present while there may be routing tables of ours; a reboot takes both away.
    pub fn routing_tables(&self) -> PathBuf {
        self.runtime.join("routing-tables")
    }

    /// The configuration in force; children read this one.
    pub fn last_good_config(&self) -> PathBuf {
        self.state.join("last-good.toml")
    }

    /// The secrets in force, mode 0600.
    pub fn last_good_secrets(&self) -> PathBuf {
        self.state.join("last-good-secrets.toml")
    }

    /// Present while the operator wants the box on air; survives a power cut.
    pub fn on_air_wish(&self) -> PathBuf {
        self.state.join("on-air")
    }

    /// Where programme time has got to.
    pub fn programme_time(&self) -> PathBuf {
        self.state.join("programme-time.json")
    }

    /// What links with a data plan have carried.
    pub fn link_accounts(&self) -> PathBuf {
        self.state.join("link-accounts.json")
    }

    /// The event log, one JSON object a line, rotated.
    pub fn event_log(&self) -> PathBuf {
        self.state.join("events.jsonl")
    }

    /// Encoded slates, one file per encoder configuration.
    pub fn slate_dir(&self) -> PathBuf {
        self.state.join("slate")
    }

    /// GStreamer's list of its plugins.
    pub fn plugin_registry_dir(&self) -> PathBuf {
        self.state.join("gstreamer")
    }

    /// Results of trial encodes.
    pub fn probe_cache(&self) -> PathBuf {
        self.state.join("probe.json")
    }
}
