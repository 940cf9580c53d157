//! Pure. What the sources hand over.

use std::net::SocketAddr;

use crate::events::{DishState, MachineSnapshot, ModemSnapshot};

/// Which dish: where it is asked, and through which interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DishId {
    /// Where it answers.
    pub address: SocketAddr,
    /// The interface that it is behind; `None` where the routing table knows.
    pub interface: Option<String>,
}

/// All that one source says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// All modems; or why ModemManager does not say.
    Modems(Result<Vec<ModemSnapshot>, String>),
    /// One dish.
    Dish(DishId, DishState),
    /// A dish that is not asked any more: its interface is gone, or not thought to lead to one.
    DishForgotten(DishId),
    /// The machine.
    Machine(MachineSnapshot),
}
