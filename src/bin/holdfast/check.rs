//! `holdfast check-config`.

use std::path::PathBuf;
use std::process::ExitCode;

use holdfast::config::{EXAMPLE, EXAMPLE_SECRETS, Settings};
use holdfast::supervisor::load;

use crate::terminal::{complain, say, write};
use crate::{DONE, REFUSED};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration.
    #[arg(default_value = "/etc/holdfast/holdfast.toml")]
    file: PathBuf,
    /// The file with stream keys; by default secrets.toml beside the configuration, if there is one.
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Print a configuration with every key explained, to begin with.
    #[arg(long, conflicts_with_all = ["secrets", "example_secrets"])]
    example: bool,
    /// Print the secrets file that goes with it.
    #[arg(long, conflicts_with = "secrets")]
    example_secrets: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.example || arguments.example_secrets {
        write(if arguments.example { EXAMPLE } else { EXAMPLE_SECRETS });
        return DONE;
    }
    let secrets = arguments.secrets.clone().or_else(|| load::find_secrets(&arguments.file));
    match load::load(&arguments.file, secrets.as_deref()) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(&format!("warning: {warning}"));
            }
            say(&format!("{} is right: {}.", arguments.file.display(), content(&loaded.settings)));
            DONE
        }
        Err(e) => {
            complain(&e.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

fn content(settings: &Settings) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let rtmp = settings.destinations.iter().map(|d| d.enabled);
    let destinations: Vec<bool> = rtmp.chain(settings.srt_destinations.iter().map(|d| d.enabled)).collect();
    let off = destinations.iter().filter(|enabled| !**enabled).count();
    let off = if off == 0 { String::new() } else { format!(" ({off} disabled)") };
    format!(
        "{}, {}, {}{off}, {}",
        count(settings.inputs.len(), "input"),
        count(settings.renditions.len(), "rendition"),
        count(destinations.len(), "destination"),
        count(settings.recordings.len(), "recording"),
    )
}
