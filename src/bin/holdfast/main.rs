//! `holdfast`, the operator's command: asks holdfastd, shows what it answers.

mod bitrate;
mod check;
mod demo;
mod desk;
#[cfg(feature = "encode")]
mod devices;
mod events;
mod inputs;
mod links;
mod networkd;
mod picture;
mod profile;
mod signal;
mod status;
mod task;
mod terminal;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use holdfast::config::Paths;
use holdfast::events::Command;

use task::Task;

/// Everything went as asked.
pub(crate) const DONE: ExitCode = ExitCode::SUCCESS;
/// Refused, or wrong.
pub(crate) const REFUSED: u8 = 1;
/// Nobody there to ask (2 is a mistake in the command line).
pub(crate) const NOT_RUNNING: u8 = 3;

/// Looks at and steers a Holdfast box.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Examples:
  holdfast status --watch        the box, live in this terminal
  holdfast start                 go on air, and stay there through crashes and reboots
  holdfast stop                  end all destinations and recordings cleanly
  holdfast links --watch         its network interfaces, and what goes over each
  holdfast devices               what is plugged in, and what to write into the configuration for it
  holdfast inputs --watch        its sources, and what is wrong with them
  holdfast choose camera2        this input on air; holdfast choose auto: the best one
  holdfast retry youtube         do not wait, try this destination now
  holdfast check-config /etc/holdfast/holdfast.toml && holdfast reload
  holdfast events --last 50      what happened and why

Exit codes: 0 done, 1 refused or wrong, 2 a mistake in the command line, 3 holdfastd does not run."
)]
struct Arguments {
    /// Where holdfastd's sockets are.
    #[arg(long, global = true, default_value = "/run/holdfast", env = "HOLDFAST_RUNTIME", value_name = "DIR")]
    runtime: PathBuf,
    /// Where holdfastd keeps what survives a reboot.
    #[arg(long, global = true, default_value = "/data/holdfast", env = "HOLDFAST_STATE", value_name = "DIR")]
    state: PathBuf,
    #[command(subcommand)]
    task: Task,
}

fn main() -> ExitCode {
    let Arguments { runtime, state, task } = Arguments::parse();
    let paths = Paths::new(runtime, state);
    match task {
        Task::Status(arguments) => status::run(&paths, &arguments),
        Task::Inputs(arguments) => inputs::run(&paths, &arguments),
        Task::Picture(arguments) => picture::run(&paths, &arguments),
        Task::Links(arguments) => links::run(&paths, &arguments),
        Task::Networkd(arguments) => networkd::run(&arguments),
        #[cfg(feature = "encode")]
        Task::Devices(arguments) => devices::run(&arguments),
        Task::Signal(arguments) => signal::run(&arguments),
        Task::Events(arguments) => events::run(&paths, &arguments),
        Task::Start => desk::order(&paths, Command::Start),
        Task::Stop => desk::order(&paths, Command::Stop),
        Task::Retry { name } => desk::order(&paths, Command::Retry { output: name }),
        Task::Reload => desk::order(&paths, Command::Reload),
        Task::Keyframe => desk::order(&paths, Command::Keyframe),
        Task::Choose { choice } => desk::order(&paths, Command::Choose { choice }),
        Task::Bitrate { rendition: Some(rendition), bitrate: Some(bitrate) } => {
            desk::order(&paths, Command::Bitrate { rendition, bitrate })
        }
        Task::Bitrate { rendition, .. } => bitrate::show(&paths, rendition.as_ref()),
        Task::Shutdown => desk::order(&paths, Command::Shutdown),
        Task::CheckConfig(arguments) => check::run(&arguments),
        Task::CheckProfile(arguments) => profile::run(&arguments),
        Task::Probe { arguments } => probe(&paths, &arguments),
        Task::Demo(arguments) => demo::run(&arguments),
    }
}

/// Becomes `holdfast-encode probe`, which is the program that may load codecs.
fn probe(paths: &Paths, arguments: &[std::ffi::OsString]) -> ExitCode {
    let program = std::env::current_exe().unwrap_or_default().with_file_name("holdfast-encode");
    let failed = std::process::Command::new(&program)
        .arg("probe")
        .args(arguments)
        .env("HOLDFAST_RUNTIME", &paths.runtime)
        .env("HOLDFAST_STATE", &paths.state)
        .exec();
    terminal::complain(&format!("{}: {failed}. Is Holdfast installed completely?", program.display()));
    ExitCode::from(REFUSED)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
