//! Asks ModemManager, over the system bus.
//!
//! Everything is asked for again every [`ASK_EVERY`] and right after each signal, in two calls or three: what a signal says
//! is not relied on, so that none that is missed can leave a wrong picture. ModemManager only hands out what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use zbus::fdo::{DBusProxy, ManagedObjects, ObjectManagerProxy, PropertiesProxy};
use zbus::names::BusName;
use zbus::{Connection, MatchRule, MessageStream, connection, proxy};

use super::facts::{self, Interfaces};
use crate::events::ModemSnapshot;
use crate::telemetry::reading::Reading;
use crate::telemetry::sources::Bus;

const SERVICE: &str = "org.freedesktop.ModemManager1";
const MANAGER: &str = "/org/freedesktop/ModemManager1";
const BEARER: &str = "org.freedesktop.ModemManager1.Bearer";

/// Hints have to be renewed before they expire.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Signals come in bursts; they are waited for before everything is asked for.
const BURST: Duration = Duration::from_millis(50);
/// For an answer; ModemManager itself waits for no modem when it is asked for what it has.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Between two attempts to reach a bus that is not there, or a ModemManager.
const RETRY: Duration = Duration::from_secs(5);
/// How often a modem is to measure its signal, s.
const MEASURE_EVERY: u32 = 2;
/// Modems and bearers of each that are looked at.
const MOST: usize = 16;
/// Signals waiting to be noticed; that there was one is all that counts.
const SIGNALS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

#[proxy(interface = "org.freedesktop.ModemManager1.Modem.Signal", default_service = "org.freedesktop.ModemManager1")]
trait Signal {
    fn setup(&self, rate: u32) -> zbus::Result<()>;
}

/// Asks for ever. Readings for which there is no room are dropped: the next one says it all again.
pub(in crate::telemetry) async fn watch(bus: Bus, readings: mpsc::Sender<Reading>) {
    loop {
        let because = match connect(&bus).await {
            Ok(connection) => match serve(&connection, &readings).await {
                Ok(never) => match never {},
                Err(e) => in_words(&e),
            },
            Err(e) => format!("no system bus: {}", in_words(&e)),
        };
        let _ = readings.try_send(Reading::Modems(Err(because)));
        sleep(RETRY).await;
    }
}

async fn connect(bus: &Bus) -> zbus::Result<Connection> {
    let builder = match bus {
        Bus::System => connection::Builder::system(),
        Bus::At(address) => connection::Builder::address(address.as_str()),
    };
    let connected = timeout(ANSWER_WITHIN, builder.method_timeout(ANSWER_WITHIN).build());
    connected.await.unwrap_or_else(|_| Err(zbus::Error::Failure("the bus does not answer".to_owned())))
}

/// Nothing.
enum Never {}

/// Until the bus goes, or ModemManager does not answer although it is there.
async fn serve(connection: &Connection, readings: &mpsc::Sender<Reading>) -> zbus::Result<Never> {
    let bus = DBusProxy::new(connection).await?;
    let manager = ObjectManagerProxy::builder(connection).destination(SERVICE).path(MANAGER).build().await?;
    let owner = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .arg(0, SERVICE);
    let theirs = MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(SERVICE).path_namespace(MANAGER);
    let mut owner = MessageStream::for_match_rule(owner.build()?, connection, Some(SIGNALS)).await?;
    let mut theirs = MessageStream::for_match_rule(theirs.build()?, connection, Some(SIGNALS)).await?;
    let mut measuring = Measuring::default();
    let name = BusName::try_from(SERVICE)?;
    loop {
        // Asked first, since a call to it would start it where systemd may.
        let pause = if bus.name_has_owner(name.clone()).await? {
            let modems = ask(connection, &manager, &mut measuring).await?;
            let _ = readings.try_send(Reading::Modems(Ok(modems)));
            ASK_EVERY
        } else {
            measuring = Measuring::default();
            let _ = readings.try_send(Reading::Modems(Err("ModemManager does not run".to_owned())));
            RETRY
        };
        let gone = || zbus::Error::Failure("the bus has gone".to_owned());
        tokio::select! {
            () = sleep(pause) => continue,
            signal = owner.next() => drop(signal.ok_or_else(gone)??),
            signal = theirs.next() => drop(signal.ok_or_else(gone)??),
        }
        let _ = timeout(BURST, async { while let Some(Ok(_)) = theirs.next().await {} }).await;
    }
}

/// The modems that were asked to measure their signal, and how often in vain.
#[derive(Default)]
struct Measuring {
    refused: BTreeSet<String>,
}

impl Measuring {
    /// A modem that refuses (it may want polkit's leave) is left alone until ModemManager starts again.
    async fn begin(&mut self, connection: &Connection, path: &str, interfaces: &Interfaces) {
        if facts::signal_rate(interfaces) != Some(0) || self.refused.contains(path) {
            return;
        }
        let begun = async {
            let signal = SignalProxy::builder(connection).path(path.to_owned()).build().await?;
            signal.setup(MEASURE_EVERY).await
        };
        if begun.await.is_err() && self.refused.len() < MOST {
            self.refused.insert(path.to_owned());
        }
    }
}

async fn ask(
    connection: &Connection,
    manager: &ObjectManagerProxy<'_>,
    measuring: &mut Measuring,
) -> zbus::Result<Vec<ModemSnapshot>> {
    let objects = sorted(manager.get_managed_objects().await?);
    let mut modems = Vec::new();
    for (path, interfaces) in objects.iter().take(MOST) {
        let Some(mut modem) = facts::modem(interfaces) else { continue };
        measuring.begin(connection, path, interfaces).await;
        for bearer in facts::bearer_paths(interfaces).into_iter().take(MOST) {
            // Bearers go while they are asked for.
            if let Ok(properties) = bearer_properties(connection, &bearer).await {
                modem.bearers.push(facts::bearer(&properties));
            }
        }
        let carrying = modem.bearers.iter().find(|bearer| bearer.state != crate::events::BearerState::Down);
        if let Some(interface) = carrying.and_then(|bearer| bearer.interface.clone()) {
            modem.interface = Some(interface);
        }
        modems.push(modem);
    }
    Ok(modems)
}

async fn bearer_properties(connection: &Connection, path: &str) -> zbus::Result<facts::Properties> {
    let builder = PropertiesProxy::builder(connection).destination(SERVICE).path(path.to_owned());
    let interface = zbus::names::InterfaceName::try_from(BEARER)?;
    Ok(builder.build().await?.get_all(interface).await?)
}

fn sorted(objects: ManagedObjects) -> BTreeMap<String, Interfaces> {
    let interfaces = |of: std::collections::HashMap<zbus::names::OwnedInterfaceName, facts::Properties>| {
        of.into_iter().map(|(name, properties)| (name.to_string(), properties)).collect()
    };
    objects.into_iter().map(|(path, of)| (path.to_string(), interfaces(of))).collect()
}

fn in_words(error: &zbus::Error) -> String {
    let text = error.to_string();
    if text.chars().count() <= 160 { text } else { text.chars().take(160).collect() }
}
