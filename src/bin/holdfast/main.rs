//! `holdfast`, the operator's command: asks holdfastd, shows what it answers.

mod bitrate;
mod check;
mod demo;
mod desk;
mod events;
mod inputs;
mod links;
mod networkd;
mod profile;
mod signal;
mod status;
mod terminal;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast::config::Paths;
use holdfast::events::Command;
use holdfast::model::{InputId, Manual, OutputId, RenditionId};

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

#[derive(Subcommand)]
enum Task {
    /// Show what is on air and why, and how everything is.
    ///
    /// Three words about destinations are never mixed: connected is a session, publishing is a session that takes media,
    /// acknowledged is what the far end confirmed.
    #[command(
        after_help = "Examples:\n  holdfast status\n  holdfast status --watch\n  holdfast status --json | jq .plane.source"
    )]
    Status(status::Arguments),
    /// Go on air. Survives crashes, reboots and power cuts, until `holdfast stop`.
    Start,
    /// Go off air: destinations are ended cleanly, recordings closed.
    Stop,
    /// Try a waiting destination or recording at once instead of waiting.
    #[command(
        after_help = "Examples:\n  holdfast retry            all that wait\n  holdfast retry youtube    this one"
    )]
    Retry {
        /// Which; all if not named.
        name: Option<OutputId>,
    },
    /// Read the configuration again. When it is wrong, the last good one stays in force.
    ///
    /// holdfastd also looks by itself, about once a second; this says at once whether the configuration was taken.
    Reload,
    /// Ask for a keyframe on every rendition.
    Keyframe,
    /// Put an input or the slate on air, or let the rules choose again.
    ///
    /// A choice holds until the next one, whatever the picture is like. An input that has nothing to show at all is left for
    /// what the rules choose, and returned to when it has proved itself.
    #[command(
        after_help = "Examples:\n  holdfast choose camera2    this input\n  holdfast choose slate      the still picture, and silence\n  holdfast choose auto       whatever the rules choose"
    )]
    Choose {
        /// An input's name, `slate`, or `auto`.
        #[arg(value_name = "INPUT", value_parser = choice)]
        choice: Manual,
    },
    /// Change the bit rate of a running encoder, until its next restart.
    #[command(after_help = "Examples:\n  holdfast bitrate main 2M\n  holdfast bitrate main 1500k")]
    Bitrate {
        /// Which rendition.
        rendition: RenditionId,
        /// `2M`, `1500k`, or bits per second.
        #[arg(value_parser = bitrate::parse)]
        bitrate: u32,
    },
    /// Show the inputs: which is on air and why, what is wrong with the others, and when they are trusted again.
    ///
    /// An input is ready when nothing is wrong with it, on probation when nothing is wrong any more and it has to stay like that
    /// for a while, impaired when it can be shown and something is wrong (frozen, black, late pictures), and unusable when
    /// there is nothing to show.
    #[command(
        after_help = "Examples:\n  holdfast inputs\n  holdfast inputs --watch     pull its cable and look\n  holdfast inputs --json | jq '.[] | .id, .standing.is'"
    )]
    Inputs(inputs::Arguments),
    /// Show the network interfaces: what each is, can do, did, and what goes over it.
    ///
    /// An interface is ready when it has a carrier (something is plugged in and on), an address (somebody answered, such as
    /// DHCP) and a default route (a way beyond its own network). What lacks is said, with what to do. Its class is what the
    /// kernel knows, or a guess that is called likely; both come with the reason. It is known by where it is plugged in or
    /// by its maker's MAC address, whatever the kernel names it today.
    ///
    /// Works without holdfastd too; then it is not known what uses each.
    #[command(
        after_help = "Examples:\n  holdfast links\n  holdfast links --watch     pull a cable and look\n  holdfast links --check     does what is bound to each get out? What to do if not\n  holdfast links --json | jq '.[] | select(.condition != \"ready\") | .name'"
    )]
    Links(links::Arguments),
    /// Write what systemd-networkd needs so that each uplink has a routing table of its own.
    ///
    /// One .network file for each: DHCP and router advertisements go into the interface's own table, and a rule sends what is
    /// bound to the interface there. For an image, or a machine whose network systemd-networkd keeps.
    #[command(
        after_help = "Examples:\n  holdfast networkd                                   show them\n  holdfast networkd --out /etc/systemd/network       write them\n  holdfast networkd --out rootfs/etc/systemd/network eth0 wwan0"
    )]
    Networkd(networkd::Arguments),
    /// Say whether a capture device has a signal, which, and what to do where not.
    ///
    /// Asks the receiver itself, beside whoever captures from it, and changes nothing. Devices that do not measure, such as
    /// webcams and many USB sticks, say so. Without --watch it ends with 1 where there is nothing to capture.
    #[command(
        after_help = "Examples:\n  holdfast signal /dev/video0\n  holdfast signal /dev/video0 --watch    pull the cable and look\n  holdfast signal /dev/video0 --json | jq -r .standing"
    )]
    Signal(signal::Arguments),
    /// Show what happened, with reasons.
    #[command(
        after_help = "Examples:\n  holdfast events --last 50\n  holdfast events --follow\n  holdfast events --json | jq 'select(.severity == \"alert\")'"
    )]
    Events(events::Arguments),
    /// Say what is wrong with a configuration file, line by line, without touching the running box.
    #[command(after_help = "Examples:\n  holdfast check-config my.toml\n  holdfast check-config --example > my.toml")]
    CheckConfig(check::Arguments),
    /// Say what this machine is, what its hardware profile says of it, and what of that is found here and what is missing.
    ///
    /// A hardware profile says what a board has: its capture inputs and their oddities, which encoders are worth a trial,
    /// display, buttons, lights, sockets and temperatures. Holdfast comes with some; `[box]` in the configuration may name one
    /// and a directory of one's own. With a file it only says what is wrong in it, line by line.
    #[command(
        after_help = "Examples:\n  holdfast check-profile                  this machine's\n  holdfast check-profile --list           all that there are\n  holdfast check-profile raspberry-pi-5   this one, whatever the machine is\n  holdfast check-profile my-board.toml    is it right?"
    )]
    CheckProfile(profile::Arguments),
    /// Try the encoders of this machine and say what works, what does not and why.
    #[command(disable_help_flag = true)]
    Probe {
        /// Passed on to `holdfast-encode probe`; `holdfast probe --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// End the programme cleanly and all of Holdfast's processes. On air again at the next start, if it was.
    Shutdown,
    /// Send a film to real servers on this machine, without any hardware, and break things while it runs.
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let Arguments { runtime, state, task } = Arguments::parse();
    let paths = Paths::new(runtime, state);
    match task {
        Task::Status(arguments) => status::run(&paths, &arguments),
        Task::Inputs(arguments) => inputs::run(&paths, &arguments),
        Task::Links(arguments) => links::run(&paths, &arguments),
        Task::Networkd(arguments) => networkd::run(&arguments),
        Task::Signal(arguments) => signal::run(&arguments),
        Task::Events(arguments) => events::run(&paths, &arguments),
        Task::Start => desk::order(&paths, Command::Start),
        Task::Stop => desk::order(&paths, Command::Stop),
        Task::Retry { name } => desk::order(&paths, Command::Retry { output: name }),
        Task::Reload => desk::order(&paths, Command::Reload),
        Task::Keyframe => desk::order(&paths, Command::Keyframe),
        Task::Choose { choice } => desk::order(&paths, Command::Choose { choice }),
        Task::Bitrate { rendition, bitrate } => desk::order(&paths, Command::Bitrate { rendition, bitrate }),
        Task::Shutdown => desk::order(&paths, Command::Shutdown),
        Task::CheckConfig(arguments) => check::run(&arguments),
        Task::CheckProfile(arguments) => profile::run(&arguments),
        Task::Probe { arguments } => probe(&paths, &arguments),
        Task::Demo(arguments) => demo::run(&arguments),
    }
}

/// No input may be called `slate` or `auto`.
fn choice(written: &str) -> Result<Manual, String> {
    match written {
        "auto" => Ok(Manual::Auto),
        "slate" => Ok(Manual::Slate),
        name => InputId::new(name).map(Manual::Input).map_err(|e| e.to_string()),
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
