//! `holdfast-encode`: captures one input, encodes every rendition once, hands the units to the data plane.

mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Run(arguments) => run::run(&arguments),
    }
}
