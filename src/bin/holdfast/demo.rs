//! `holdfast demo`.

use std::process::ExitCode;

use crate::REFUSED;
use crate::terminal::complain;

#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: &Arguments) -> ExitCode {
    complain("the demonstration is not part of this build");
    ExitCode::from(REFUSED)
}
