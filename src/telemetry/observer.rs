//! Pure. Readings in; hints, news and the latest state out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::dish::DishWatch;
use super::machine::MachineWatch;
use super::modem::ModemWatch;
use super::news::{LinkHint, News};
use super::reading::{DishId, Reading};
use crate::events::{DishSnapshot, DishState, EventKind, ModemSnapshot, ServiceState, Severity, TelemetrySnapshot};

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Above this something is too hot, °C.
    pub hot_celsius: f64,
    /// Below this a disk is nearly full, bytes.
    pub disk_low_bytes: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Tell the data plane.
    Hint(LinkHint),
    /// Tell people.
    News(News),
}

/// Makes sense of readings. Holds one state for each modem and dish that there is, and nothing of those that are gone.
#[derive(Clone, Debug)]
pub struct Observer {
    limits: Limits,
    state: TelemetrySnapshot,
    modems: BTreeMap<String, ModemWatch>,
    dishes: BTreeMap<DishId, DishWatch>,
    machine: MachineWatch,
    outputs: VecDeque<Output>,
}

/// A modem whose name is known has been here before.
const MOST_MODEMS: usize = 64;

impl Observer {
    /// Nothing is known yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: TelemetrySnapshot::default(),
            modems: BTreeMap::new(),
            dishes: BTreeMap::new(),
            machine: MachineWatch::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes in a reading of `now`; ask [`Self::poll`] until there is nothing more.
    pub fn observe(&mut self, reading: Reading, now: Instant) {
        match reading {
            Reading::Modems(Ok(modems)) => self.modems(modems, now),
            Reading::Modems(Err(because)) => self.no_modems(because),
            Reading::Dish(id, state) => self.dish(id, state, now),
            Reading::DishForgotten(id) => {
                self.dishes.remove(&id);
                self.state.dishes.retain(|dish| !is(dish, &id));
            }
            Reading::Machine(machine) => {
                let news = self.machine.see(&machine, &self.limits, now);
                self.outputs.extend(news.into_iter().map(Output::News));
                self.state.machine = Some(machine);
            }
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// All that is known.
    pub fn snapshot(&self) -> &TelemetrySnapshot {
        &self.state
    }

    fn modems(&mut self, modems: Vec<ModemSnapshot>, now: Instant) {
        for modem in &modems {
            if !self.modems.contains_key(&modem.id) {
                if self.modems.len() >= MOST_MODEMS {
                    continue;
                }
                let (watch, news) = ModemWatch::new(modem);
                self.modems.insert(modem.id.clone(), watch);
                self.outputs.push_back(Output::News(news));
            }
            let Some(watch) = self.modems.get_mut(&modem.id) else { continue };
            let (news, hint) = watch.see(modem, now);
            self.outputs.extend(news.into_iter().map(Output::News));
            self.outputs.extend(hint.map(Output::Hint));
        }
        let outputs = &mut self.outputs;
        self.modems.retain(|id, watch| {
            if modems.iter().any(|modem| modem.id == *id) {
                return true;
            }
            let gone = watch.missing(now);
            let stays = gone.is_none();
            outputs.extend(gone.map(Output::News));
            stays
        });
        self.state.modem_service = ServiceState::Answers;
        self.state.modems = modems;
    }

    /// Nothing is known of the modems, which says nothing about them: their connections go on without ModemManager.
    fn no_modems(&mut self, because: String) {
        if self.state.modem_service == ServiceState::Answers && !self.state.modems.is_empty() {
            let reason = format!("nothing is known of the modems for now: {because}");
            self.outputs.push_back(Output::News(News::new(EventKind::ModemChanged, Severity::Info, "modems", reason)));
        }
        self.state.modem_service = ServiceState::Silent { because };
        self.state.modems.clear();
    }

    fn dish(&mut self, id: DishId, state: DishState, now: Instant) {
        let watch = self.dishes.entry(id.clone()).or_insert_with(|| DishWatch::new(&id));
        let (news, hint) = watch.see(&state, now);
        self.outputs.extend(news.into_iter().map(Output::News));
        self.outputs.extend(hint.map(Output::Hint));
        let dishes = &mut self.state.dishes;
        match dishes.iter_mut().find(|dish| is(dish, &id)) {
            Some(dish) => dish.state = state,
            None => {
                dishes.push(DishSnapshot { address: id.address.to_string(), interface: id.interface, state });
                dishes.sort_by(|a, b| (&a.interface, &a.address).cmp(&(&b.interface, &b.address)));
            }
        }
    }
}

fn is(dish: &DishSnapshot, id: &DishId) -> bool {
    dish.interface == id.interface && dish.address == id.address.to_string()
}
