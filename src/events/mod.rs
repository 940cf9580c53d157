//! Everything a human sees or asks for: [`Event`], [`Command`], [`BoxSnapshot`]; the messages that carry
//! them between the processes, one JSON object a line on every socket; and [`render`], which turns them into text.
//!
//! *Invariant:* no secret can be in any of these; the types have no place for one.

mod event;
mod links;
mod message;
pub mod render;
mod snapshot;
mod srt;
mod telemetry;

pub use event::{Event, EventKind, Severity};
pub use links::{
    BudgetSnapshot, BudgetState, Certainty, JudgedSnapshot, LinkClass, LinkCondition, LinkMoment, LinkSnapshot,
    PinSnapshot, PinTrouble, Verdict,
};
pub use message::{
    CHILD_PROTOCOL, CONTROL_PROTOCOL, ChildCommand, ChildMessage, Command, ControlReply, ControlRequest, Expected, Role,
};
pub use snapshot::{
    BoxSnapshot, ChildSnapshot, ChildState, HeatCeiling, InputSender, InputSnapshot, InputStanding, OutputSnapshot,
    OutputState, PlaneSnapshot, RecordingSnapshot, RecordingState, RenditionSnapshot, SourceOnAir, ThumbnailSnapshot,
    WorkerReport, WorkerStream,
};
pub use srt::{BondingMode, FarEndSnapshot, PathSnapshot, PathState, SrtSnapshot};
pub use telemetry::{
    BearerSnapshot, BearerState, DishFigures, DishSnapshot, DishState, DiskSnapshot, MachineSnapshot, ModemSnapshot,
    ModemState, OutageSnapshot, ProcessorSnapshot, RadioSnapshot, Registration, ServiceState, SimState, SupplyState,
    Technology, TelemetrySnapshot, ZoneSnapshot,
};
