//! `holdfast check-profile`.

mod elements;
mod page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use holdfast::config::profile::{HardwareProfile, Reason, named};
use holdfast::config::{HardwareSettings, Settings};
use holdfast::supervisor::{hardware, load};

use crate::terminal::{complain, say, write};
use crate::{DONE, REFUSED};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A profile's name, or a file with one. Without it, this machine's own is found out and shown.
    #[arg(value_name = "NAME|FILE")]
    which: Option<String>,
    /// List the profiles that there are.
    #[arg(long, conflicts_with = "which")]
    list: bool,
    /// The configuration, whose `[box]` may name a profile and a directory of profiles; it need not be there.
    #[arg(long, default_value = "/etc/holdfast/holdfast.toml", value_name = "FILE")]
    config: PathBuf,
    /// A directory of profiles, in place of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.which {
        Some(which) if is_file(which) => check(Path::new(which)),
        Some(name) => show_named(&settings(arguments), name),
        None if arguments.list => list(&settings(arguments)),
        None => show_this_machines(&settings(arguments)),
    }
}

/// Names have neither slashes nor dots.
fn is_file(which: &str) -> bool {
    which.contains(['/', '.']) || Path::new(which).is_file()
}

fn settings(arguments: &Arguments) -> HardwareSettings {
    let mut settings = configured(&arguments.config).map(|settings| settings.hardware).unwrap_or_default();
    if arguments.profiles.is_some() {
        settings.directory.clone_from(&arguments.profiles);
    }
    settings
}

/// What the configuration says, if there is one and it is right.
pub(crate) fn configured(config: &Path) -> Option<Settings> {
    if !config.exists() {
        return None;
    }
    let secrets = load::find_secrets(config);
    let loaded = load::load(config, secrets.as_deref());
    if loaded.is_err() {
        let config = config.display();
        complain(&format!(
            "{config} cannot be used, so what it says is not known here; `holdfast check-config {config}` tells why"
        ));
    }
    loaded.ok().map(|loaded| loaded.settings)
}

/// Only says whether the file is right: it may be another machine's.
fn check(file: &Path) -> ExitCode {
    match hardware::read(file) {
        Ok(profile) => {
            say(&format!("{} is right: {}.", file.display(), page::content(&profile)));
            DONE
        }
        Err(e) => {
            complain(&e.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

fn show_named(settings: &HardwareSettings, name: &str) -> ExitCode {
    let profiles = hardware::profiles(settings);
    profiles.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    match named(name, &profiles.all) {
        Ok(choice) => {
            show(choice.profile, None);
            DONE
        }
        Err(unknown) => {
            complain(&unknown.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

fn show_this_machines(settings: &HardwareSettings) -> ExitCode {
    let Some(in_force) = hardware::in_force(settings, Path::new("/")) else {
        complain(
            "there is no hardware profile at all, not even an embedded one; this is a defect in Holdfast, please report it",
        );
        return ExitCode::from(REFUSED);
    };
    in_force.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    show(&in_force.profile, Some(&in_force.reason));
    DONE
}

fn show(profile: &HardwareProfile, reason: Option<&Reason>) {
    let elements = elements::registered();
    if let Err(why) = &elements {
        complain(&format!("warning: which encoders GStreamer has here is not known: {why}"));
    }
    let presence = hardware::look(Path::new("/"), profile);
    write(&page::page(profile, reason, &presence, elements.as_ref().ok()));
}

fn list(settings: &HardwareSettings) -> ExitCode {
    let profiles = hardware::profiles(settings);
    profiles.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    let mut all = profiles.all;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    for profile in &all {
        say(&format!("{:<16} {}{}", profile.name.as_str(), profile.title, page::verified(profile.verified)));
    }
    DONE
}
