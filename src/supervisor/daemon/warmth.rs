//! The machine's heat and its encoders' strain: to people as events, and to the data plane as a ceiling for its bit rates.

use std::path::Path;

use super::Daemon;
use crate::clock;
use crate::config::Settings;
use crate::encode::bitrate::{CEILING_MOST, Ceiling, Heat, Notice, Strain, ZoneLimit};
use crate::events::{ChildCommand, MachineSnapshot, Role, WorkerReport};
use crate::supervisor::hardware;

/// What was made of it so far.
pub(super) struct Warmth {
    heat: Heat,
    strain: Strain,
}

impl Warmth {
    /// With the limits of the hardware profile in force.
    pub(super) fn new(settings: &Settings) -> Self {
        let profile = hardware::in_force(&settings.hardware, Path::new("/")).map(|in_force| in_force.profile);
        let limits = profile.iter().flat_map(|profile| &profile.thermal).map(ZoneLimit::from).collect();
        Self { heat: Heat::new(limits), strain: Strain::default() }
    }
}

impl Daemon {
    /// One look at the machine.
    pub(super) fn feel(&mut self, machine: &MachineSnapshot) {
        let now = clock::now();
        let pressure = self.warmth.strain.pressure(now);
        let notices = self.warmth.heat.see(machine, pressure, now);
        self.note(notices);
        if let Some(Ceiling { permille, because }) = self.warmth.heat.to_say() {
            let for_ms = u64::try_from(CEILING_MOST.as_millis()).unwrap_or(0);
            self.children.command(&Role::Transmit, ChildCommand::Ceiling { permille, for_ms, because });
        }
    }

    pub(super) fn hear_worker(&mut self, report: &WorkerReport) {
        let notices = self.warmth.strain.see(report, clock::now());
        self.note(notices);
    }

    fn note(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            let at = (clock::wall(), clock::media());
            self.record(notice.into_event(at, Role::Supervisor));
        }
    }
}
