//! The D-Bus spawner on a real message bus. What answers there is a mock of systemd, written here from its documentation
//! (org.freedesktop.systemd1(5)); it proves the conversation and the pidfds, not systemd itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use holdfast::events::Role;
use holdfast::model::InputId;
use holdfast::supervisor::systemd::{Systemd, unit_name};

use zbus::{Connection, ObjectServer, OwnedObjectPath, connection, interface};

struct Bus {
    daemon: Child,
    address: String,
}

impl Bus {
    fn start() -> Self {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            // It says that it may not raise its limit of descriptors, which nobody needs here.
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon starts (package dbus)");
        let mut address = String::new();
        BufReader::new(daemon.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        Self { daemon, address: address.trim().to_owned() }
    }

    fn builder(&self) -> connection::Builder<'_> {
        connection::Builder::address(self.address.as_str())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A unit's main process, and how often it is asked for before it is there.
#[derive(Default)]
struct Unit {
    process: Option<Child>,
    activating: u32,
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

type Units = Arc<Mutex<BTreeMap<String, Unit>>>;

struct Manager {
    units: Units,
    starts: Arc<Mutex<Vec<String>>>,
}

fn job() -> OwnedObjectPath {
    OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1").unwrap()
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn start_unit(&self, name: &str, mode: &str) -> zbus::fdo::Result<OwnedObjectPath> {
        assert_eq!(mode, "replace");
        if name.contains("refused") {
            return Err(zbus::fdo::Error::Failed(format!("Unit {name} not found.")));
        }
        self.starts.lock().unwrap().push(name.to_owned());
        let mut units = self.units.lock().unwrap();
        let unit = units.entry(name.to_owned()).or_default();
        let running = unit.process.as_mut().is_some_and(|p| p.try_wait().unwrap().is_none());
        if !running {
            unit.process = Some(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
            unit.activating = 2;
        }
        Ok(job())
    }

    fn stop_unit(&self, name: &str, _mode: &str) -> zbus::fdo::Result<OwnedObjectPath> {
        match self.units.lock().unwrap().remove(name) {
            Some(_) => Ok(job()),
            None => Err(zbus::fdo::Error::Failed(format!("Unit {name} not loaded."))),
        }
    }

    fn reset_failed_unit(&self, name: &str) -> zbus::fdo::Result<()> {
        Err(zbus::fdo::Error::Failed(format!("Unit {name} not loaded.")))
    }

    async fn load_unit(
        &self,
        name: &str,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let path = format!("/org/freedesktop/systemd1/unit/{safe}");
        server.at(path.as_str(), Service { name: name.to_owned(), units: Arc::clone(&self.units) }).await?;
        Ok(OwnedObjectPath::try_from(path).unwrap())
    }
}

struct Service {
    name: String,
    units: Units,
}

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property, name = "MainPID")]
    fn main_pid(&self) -> u32 {
        let mut units = self.units.lock().unwrap();
        let Some(unit) = units.get_mut(&self.name) else { return 0 };
        if unit.activating > 0 {
            unit.activating -= 1;
            return 0;
        }
        unit.process.as_ref().map_or(0, Child::id)
    }
}

struct Mock {
    units: Units,
    starts: Arc<Mutex<Vec<String>>>,
    _connection: Connection,
}

impl Mock {
    async fn serve(bus: &Bus) -> Self {
        let (units, starts) = (Units::default(), Arc::default());
        let manager = Manager { units: Arc::clone(&units), starts: Arc::clone(&starts) };
        let connection = bus
            .builder()
            .name("org.freedesktop.systemd1")
            .serve_at("/org/freedesktop/systemd1", manager)
            .build()
            .await
            .unwrap();
        Self { units, starts, _connection: connection }
    }

    fn pid(&self, unit: &str) -> i32 {
        let units = self.units.lock().unwrap();
        i32::try_from(units[unit].process.as_ref().unwrap().id()).unwrap()
    }
}

fn camera() -> Role {
    Role::Encode(InputId::new("front-camera").unwrap())
}

#[tokio::test]
async fn units_are_started_watched_and_stopped_over_the_bus() {
    let bus = Bus::start();
    let mock = Mock::serve(&bus).await;
    let systemd = Systemd::on(bus.builder().build().await.unwrap());

    let process = systemd.start(&camera(), false).await.unwrap();
    let unit = "holdfast-encode@front\\x2dcamera.service";
    assert_eq!(process.pid(), mock.pid(unit));
    let again = systemd.start(&camera(), false).await.unwrap();
    assert_eq!(again.pid(), process.pid(), "one that runs already is as good");
    assert_eq!(*mock.starts.lock().unwrap(), [unit, unit]);

    systemd.stop(&camera()).await;
    process.ended().await;
    assert!(mock.units.lock().unwrap().is_empty());
}

#[tokio::test]
async fn beside_a_worker_that_cannot_be_killed_another_unit_is_started() {
    let bus = Bus::start();
    let mock = Mock::serve(&bus).await;
    let systemd = Systemd::on(bus.builder().build().await.unwrap());
    let wedged = systemd.start(&camera(), false).await.unwrap();
    let replacement = systemd.start(&camera(), true).await.unwrap();
    assert_ne!(wedged.pid(), replacement.pid());
    assert_eq!(mock.units.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_systemd_refuses_is_told_in_its_words() {
    let bus = Bus::start();
    let _mock = Mock::serve(&bus).await;
    let systemd = Systemd::on(bus.builder().build().await.unwrap());
    let refused = Role::Encode(InputId::new("refused").unwrap());
    let why = systemd.start(&refused, false).await.unwrap_err();
    let unit = unit_name(&refused, false).unwrap();
    assert!(why.contains(&format!("systemd does not start {unit}")) && why.contains("not found"), "{why}");
}
