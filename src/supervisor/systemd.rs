//! Children as systemd's units, driven over D-Bus (`org.freedesktop.systemd1`).
//!
//! systemd owns the processes: it restarts them when holdfastd is down itself, gives each its own cgroup, and its watchdog
//! ends one that hangs. holdfastd starts and stops the units and takes the pid from systemd.

use std::time::Duration;

use tokio::time::timeout;
use zbus::{Connection, OwnedObjectPath, connection, proxy};

use super::lifecycle::Pid;
use super::process::Process;
use crate::events::Role;

/// A bus that takes longer to answer hangs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Waiting for a unit's main process, in steps of 50 ms.
const PID_STEPS: u32 = 100;

/// Of `org.freedesktop.systemd1.Manager`, what is used here.
#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(interface = "org.freedesktop.systemd1.Service", default_service = "org.freedesktop.systemd1")]
trait Service {
    #[zbus(property(emits_changed_signal = "false"), name = "MainPID")]
    fn main_pid(&self) -> zbus::Result<u32>;
}

/// A connection to systemd.
#[derive(Clone, Debug)]
pub struct Systemd {
    bus: Connection,
}

/// The unit that runs `role`; `None` for holdfastd itself, which does not start itself, and for a relay. A worker whose predecessor cannot
/// be killed runs in another unit, `holdfast-encode-software@`, since systemd waits for all of a unit's processes to go.
pub fn unit_name(role: &Role, software_only: bool) -> Option<String> {
    match role {
        Role::Supervisor | Role::Relay => None,
        Role::Transmit => Some("holdfast-transmit.service".to_owned()),
        Role::Encode(input) => {
            let template = if software_only { "holdfast-encode-software" } else { "holdfast-encode" };
            // Names hold a-z, 0-9, - and _; in a unit's instance only - needs escaping (systemd-escape(1)).
            Some(format!("{template}@{}.service", input.as_str().replace('-', "\\x2d")))
        }
    }
}

impl Systemd {
    /// Over the system bus.
    ///
    /// # Errors
    /// In words, with the remedy.
    pub async fn system() -> Result<Self, String> {
        Self::reach(connection::Builder::system(), ANSWERS_WITHIN).await
    }

    async fn reach(bus: connection::Builder<'_>, within: Duration) -> Result<Self, String> {
        let silent = |_| Err(zbus::Error::Failure(format!("it does not answer within {within:?}")));
        let bus = timeout(within, bus.method_timeout(within).build()).await.unwrap_or_else(silent);
        bus.map(|bus| Self { bus }).map_err(|e| format!("no system bus ({e}); use --spawner process without systemd"))
    }

    /// Over a bus that is already connected.
    pub fn on(bus: Connection) -> Self {
        Self { bus }
    }

    /// Starts the role's unit and waits for its main process. A unit that runs already (systemd restarted it) is as good.
    ///
    /// # Errors
    /// In words.
    pub async fn start(&self, role: &Role, software_only: bool) -> Result<Process, String> {
        let unit = unit_name(role, software_only).ok_or("holdfastd does not start itself")?;
        let at = |e: zbus::Error| format!("systemd does not start {unit}: {e}");
        let manager = ManagerProxy::new(&self.bus).await.map_err(at)?;
        // A unit that failed too often would be refused; when to start again is the lifecycle's to decide.
        let _ = manager.reset_failed_unit(&unit).await;
        manager.start_unit(&unit, "replace").await.map_err(at)?;
        let path = manager.load_unit(&unit).await.map_err(at)?;
        let service = ServiceProxy::builder(&self.bus).path(path).build().await.map_err(at)?;
        for _ in 0..PID_STEPS {
            let number = service.main_pid().await.map_err(at)?;
            if let Some(process) = Pid::try_from(number).ok().filter(|pid| *pid > 0).and_then(|p| Process::open(p).ok())
                // Still the unit's: so it is the unit's process that was taken hold of.
                && service.main_pid().await.map_err(at)? == number
            {
                return Ok(process);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("systemd started {unit}, but it has no process; see: journalctl -u {unit}"))
    }

    /// Stops the role's units. What goes wrong shows in that it does not end, and is then killed.
    pub async fn stop(&self, role: &Role) {
        let Ok(manager) = ManagerProxy::new(&self.bus).await else { return };
        for unit in [false, true].into_iter().filter_map(|software_only| unit_name(role, software_only)) {
            // systemd refuses to stop what is not loaded, which is as good.
            let _ = manager.stop_unit(&unit, "replace").await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_bus_that_takes_the_call_and_does_not_answer_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("bus");
        let _silent = UnixListener::bind(&socket).unwrap();
        let address = format!("unix:path={}", socket.display());
        let bus = connection::Builder::address(address.as_str());
        let reached = timeout(Duration::from_secs(30), Systemd::reach(bus, Duration::from_millis(200))).await;
        let why = reached.unwrap().err().unwrap();
        assert!(why.contains("it does not answer within 200ms") && why.contains("--spawner process"), "{why}");
    }
}
