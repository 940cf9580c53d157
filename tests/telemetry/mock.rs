//! A message bus of its own, and on it python-dbusmock in ModemManager's place.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::StreamExt;
use tokio::time::timeout;
use zbus::fdo::DBusProxy;
use zbus::{Connection, Variant, connection};

use crate::watching::PATIENCE;

pub const SERVICE: &str = "org.freedesktop.ModemManager1";
const MANAGER: &str = "/org/freedesktop/ModemManager1";
pub const MODEM: &str = "org.freedesktop.ModemManager1.Modem";
pub const GPP: &str = "org.freedesktop.ModemManager1.Modem.Modem3gpp";
pub const SIGNAL: &str = "org.freedesktop.ModemManager1.Modem.Signal";
pub const BEARER: &str = "org.freedesktop.ModemManager1.Bearer";
pub const BEARER_PATH: &str = "/org/freedesktop/ModemManager1/Bearer/1";

pub struct Bus {
    daemon: Child,
    pub address: String,
}

impl Bus {
    pub fn start() -> Self {
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

    pub async fn connect(&self) -> Connection {
        connection::Builder::address(self.address.as_str()).build().await.unwrap()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// ModemManager, until it is dropped.
pub struct Mock {
    process: Child,
    connection: Connection,
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Properties by name.
pub type Properties<'a> = HashMap<&'a str, Variant<'a>>;

impl Mock {
    pub async fn start(bus: &Bus) -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/dbusmock");
        assert!(tool.exists(), "{} is missing: run scripts/setup --test once (make test does)", tool.display());
        let connection = bus.connect().await;
        let dbus = DBusProxy::new(&connection).await.unwrap();
        let mut owners = dbus.receive_name_owner_changed_with_args(&[(0, SERVICE)]).await.unwrap();
        let process = Command::new("/usr/bin/python3")
            .args(["-m", "dbusmock", "--session", "--template", "modemmanager"])
            .env("PYTHONPATH", tool)
            .env("DBUS_SESSION_BUS_ADDRESS", &bus.address)
            .stdout(Stdio::null())
            .spawn()
            .expect("python3 starts (packages python3-dbus, python3-gi)");
        timeout(PATIENCE, owners.next()).await.expect("dbusmock takes ModemManager's name").unwrap();
        Self { process, connection }
    }

    async fn call(&self, path: &str, member: &str, body: &(impl serde::Serialize + zbus::wire::DynamicType)) {
        let interface = Some("org.freedesktop.DBus.Mock");
        let called = self.connection.call_method(Some(SERVICE), path, interface, member, body);
        called.await.unwrap_or_else(|e| panic!("{member} at {path}: {e}"));
    }

    /// The template's modem with what the template lacks: a signal, once somebody has asked for it to be measured, ports, a
    /// bearer and a registration. Gives its path.
    pub async fn add_modem(&self) -> String {
        let interface = Some("org.freedesktop.DBus.Mock");
        let answer = self.connection.call_method(Some(SERVICE), MANAGER, interface, "AddSimpleModem", &()).await;
        let (modem, _sim): (String, String) = answer.unwrap().body().deserialize().unwrap();
        let ports = vec![("cdc-wdm0", 6u32), ("wwan0", 2u32)];
        let bearers = vec![zbus::ObjectPath::try_from(BEARER_PATH).unwrap()];
        self.add(
            &modem,
            MODEM,
            [
                ("Manufacturer", "Quectel".into()),
                ("Device", "/sys/devices/usb1/1-2".into()),
                ("Ports", ports.into()),
                ("Bearers", bearers.into()),
            ],
        )
        .await;
        self.add(&modem, GPP, [("RegistrationState", 1u32.into())]).await;
        let nothing = || Variant::from(HashMap::<&str, Variant<'_>>::new());
        self.add(&modem, SIGNAL, [("Rate", 0u32.into()), ("Lte", nothing()), ("Nr5g", nothing())]).await;
        let setup = format!(
            "self.UpdateProperties('{SIGNAL}', {{'Rate': dbus.UInt32(args[0]), 'Lte': dbus.Dictionary(\
             {{'rsrp': -92.0, 'rsrq': -11.0, 'snr': 14.2, 'rssi': -61.0}}, signature='sv')}})"
        );
        self.call(&modem, "AddMethod", &(SIGNAL, "Setup", "u", "", setup.as_str())).await;
        let bearer = Properties::from([
            ("Interface", "wwan0".into()),
            ("Connected", true.into()),
            ("Suspended", false.into()),
            ("ConnectionError", ("", "").into()),
        ]);
        let methods = Vec::<(&str, &str, &str, &str)>::new();
        self.call(MANAGER, "AddObject", &(BEARER_PATH, BEARER, bearer, methods)).await;
        self.change(&modem, MODEM, [("State", 11i32.into())]).await;
        modem
    }

    pub async fn remove(&self, path: &str) {
        self.call(MANAGER, "RemoveObject", &(path,)).await;
    }

    async fn add<const N: usize>(&self, path: &str, interface: &str, of: [(&str, Variant<'_>); N]) {
        self.call(path, "AddProperties", &(interface, HashMap::from(of))).await;
    }

    /// With the signal that they have changed.
    pub async fn change<const N: usize>(&self, path: &str, interface: &str, of: [(&str, Variant<'_>); N]) {
        self.call(path, "UpdateProperties", &(interface, HashMap::from(of))).await;
    }
}

/// What a cell is like.
pub fn cell(rsrp: f64, snr: f64) -> Variant<'static> {
    Variant::from(HashMap::from([("rsrp", Variant::from(rsrp)), ("rsrq", (-12.0).into()), ("snr", snr.into())]))
}
