//! Starts the sources and gathers what they say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::reading::{DishId, Reading};
use super::{dish, machine, modem};
use crate::config::{Dishes, TelemetrySettings};

/// Readings waiting to be taken in. What does not fit is dropped; the source says all of it again within seconds.
const READINGS: usize = 64;
/// Interfaces that a dish is looked for behind.
const MOST_DISHES: usize = 8;

/// Which bus ModemManager is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bus {
    /// The system's.
    System,
    /// The one at this D-Bus address.
    At(String),
}

/// Where the sources are.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the operator wants.
    pub settings: TelemetrySettings,
    /// Where recordings go.
    pub directories: Vec<PathBuf>,
    /// Where ModemManager is.
    pub bus: Bus,
    /// Where dishes answer that nobody has listed.
    pub dish: SocketAddr,
    /// What `/sys` is below.
    pub root: PathBuf,
}

/// All sources. They end when this is dropped.
#[derive(Debug)]
pub struct Sources {
    readings: mpsc::Receiver<Reading>,
    _tasks: JoinSet<()>,
    /// Its end is the thread's.
    _machine: SyncSender<()>,
}

impl Options {
    /// Where they are on a box.
    pub fn of_this_machine(settings: TelemetrySettings, directories: Vec<PathBuf>) -> Self {
        Self { settings, directories, bus: Bus::System, dish: dish::USUAL, root: "/".into() }
    }
}

impl Sources {
    /// Starts them. `starlinks` are the interfaces that look as if a Starlink dish were behind them, as they come and go;
    /// it counts where the settings name no dishes. Needs a tokio runtime.
    pub fn start(options: Options, starlinks: watch::Receiver<Vec<String>>) -> Self {
        let Options { settings, directories, bus, dish: usual, root } = options;
        let (inbox, readings) = mpsc::channel(READINGS);
        let mut tasks = JoinSet::new();
        if settings.modem {
            tasks.spawn(modem::watch(bus, inbox.clone()));
        }
        match settings.dishes {
            Dishes::Listed(dishes) => {
                for listed in dishes {
                    let interface = listed.interface.map(|interface| interface.to_string());
                    tasks.spawn(dish::watch(DishId { address: listed.address, interface }, inbox.clone()));
                }
            }
            Dishes::WhereLikely => {
                tasks.spawn(look_for_dishes(usual, starlinks, inbox.clone()));
            }
        }
        let (machine, end) = sync_channel(0);
        let thread = std::thread::Builder::new().name("machine".into());
        // Without a thread there is no news of the machine, as on a machine that has none to tell.
        let _ = thread.spawn(move || machine::watch(&root, &directories, &inbox, &end));
        Self { readings, _tasks: tasks, _machine: machine }
    }

    /// The next reading. Cancel-safe. Pends while there is nothing to hear.
    pub async fn next(&mut self) -> Reading {
        match self.readings.recv().await {
            Some(reading) => reading,
            None => std::future::pending().await,
        }
    }
}

/// Asks at the usual address behind each interface that looks like it.
async fn look_for_dishes(
    address: SocketAddr,
    mut starlinks: watch::Receiver<Vec<String>>,
    inbox: mpsc::Sender<Reading>,
) {
    let mut tasks = JoinSet::new();
    let mut asked: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let id = |interface: &String| DishId { address, interface: Some(interface.clone()) };
    loop {
        let likely = starlinks.borrow_and_update().clone();
        let gone: Vec<String> = asked.keys().filter(|interface| !likely.contains(interface)).cloned().collect();
        for interface in gone {
            if let Some(task) = asked.remove(&interface) {
                task.abort();
            }
            // Waited for, since nothing would say it again.
            let _ = inbox.send(Reading::DishForgotten(id(&interface))).await;
        }
        for interface in &likely {
            if !asked.contains_key(interface) && asked.len() < MOST_DISHES {
                asked.insert(interface.clone(), tasks.spawn(dish::watch(id(interface), inbox.clone())));
            }
        }
        if starlinks.changed().await.is_err() {
            // Nobody looks at interfaces any more; what was found is asked on.
            std::future::pending::<()>().await;
        }
    }
}
