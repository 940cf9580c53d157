//! What can be asked of `holdfast`, with the help that teaches it.

use clap::Subcommand;
use holdfast::model::{InputId, Manual, OutputId, RenditionId};

#[cfg(feature = "encode")]
use crate::devices;
use crate::{bitrate, check, demo, events, inputs, links, networkd, picture, profile, signal, status};

#[derive(Subcommand)]
pub(crate) enum Task {
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
    /// Show the bit rates, what keeps each down and what changing it has cost; or change the most that one may have.
    ///
    /// What is said here holds until the data plane's next restart. Uplinks and heat may keep a bit rate below it.
    #[command(
        after_help = "Examples:\n  holdfast bitrate            all of them, and why\n  holdfast bitrate main 2M\n  holdfast bitrate main 1500k"
    )]
    Bitrate {
        /// Which rendition; all if not named.
        rendition: Option<RenditionId>,
        /// `2M`, `1500k`, or bits per second.
        #[arg(value_parser = bitrate::parse)]
        bitrate: Option<u32>,
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
    /// Write what an input shows, as a small JPEG that is a second old at most.
    ///
    /// Each input's worker makes one a second, whether it is on air or not. While an input has nothing to show there is none.
    #[command(
        after_help = "Examples:\n  holdfast picture camera2 --out camera2.jpg\n  holdfast picture camera2 > camera2.jpg\n  holdfast inputs --json | jq '.[] | .id, .thumbnail'    where they are, and how old"
    )]
    Picture(picture::Arguments),
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
    /// Show the capture devices: what each can deliver, which sound is its own, and what to write into the configuration.
    ///
    /// For whoever has plugged something in. Of each device it says the name that stays the same, what it is and what is odd
    /// about it, its signal where it tells one, the sound card that belongs to it, its formats with their sizes and rates, and
    /// ends with the `[[input]]` that makes it an input. Nodes that capture nothing (metadata, codecs) are left out.
    ///
    /// Nothing is changed on a device, and one that is on air is not disturbed. Works without holdfastd. Ends with 1 where
    /// there is none.
    #[cfg(feature = "encode")]
    #[command(
        after_help = "Examples:\n  holdfast devices\n  holdfast devices /dev/video0 --all --controls\n  holdfast devices --json | jq -r '.[] | .device, .card'\n  holdfast devices /dev/video0 --json | jq -r '.[0].block // empty' >> holdfast.toml"
    )]
    Devices(devices::Arguments),
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

/// No input may be called `slate` or `auto`.
fn choice(written: &str) -> Result<Manual, String> {
    match written {
        "auto" => Ok(Manual::Auto),
        "slate" => Ok(Manual::Slate),
        name => InputId::new(name).map(Manual::Input).map_err(|e| e.to_string()),
    }
}
