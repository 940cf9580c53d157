//! `holdfast-encode`: captures one input, encodes every rendition once, hands the units to the data plane. Also tries
//! encoders, and makes the slate.

mod registry;
mod run;
mod slate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast::encode::command;

/// The encode worker of a Holdfast box. holdfastd starts it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Capture and encode one input until told to stop.
    Run(run::Arguments),
    /// Make the slate of one rendition, unless it is there.
    Slate(slate::Arguments),
    /// Make the list of GStreamer's plugins that workers start with, unless there is one that fits.
    Registry(registry::Arguments),
    /// Try every encoder the box knows, and say which work here.
    Probe(command::ProbeArgs),
    /// List which of the encoders' elements GStreamer has here, without trying any; `holdfast check-profile` asks.
    #[command(hide = true)]
    Elements,
    /// One trial of one encoder; the probe's child.
    #[command(hide = true)]
    Trial(command::TrialArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Run(arguments) => run::run(&arguments),
        Task::Slate(arguments) => slate::run(&arguments),
        Task::Registry(arguments) => registry::run(&arguments),
        Task::Probe(arguments) => command::probe(&arguments),
        Task::Elements => command::elements(),
        Task::Trial(arguments) => command::trial(&arguments),
    }
}
