//! `holdfast networkd`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use holdfast::link::networkd;
use holdfast::model::InterfaceName;
use holdfast::supervisor::load;

use crate::terminal::{complain, say, write};
use crate::{DONE, REFUSED};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The uplinks, the first choice first; without any, those that the configuration's destinations name, in its order.
    #[arg(value_parser = interface)]
    interfaces: Vec<InterfaceName>,
    /// The configuration.
    #[arg(long, default_value = "/etc/holdfast/holdfast.toml", value_name = "FILE")]
    config: PathBuf,
    /// The file with stream keys; by default secrets.toml beside the configuration, if there is one.
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Where to write them: /etc/systemd/network, or there below the root of an image. Without it they are shown.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn interface(name: &str) -> Result<InterfaceName, String> {
    InterfaceName::new(name).ok_or_else(|| "no interface can be called that".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match interfaces(arguments).and_then(|interfaces| output(arguments, &interfaces)) {
        Ok(()) => DONE,
        Err(why) => {
            complain(&why);
            ExitCode::from(REFUSED)
        }
    }
}

fn interfaces(arguments: &Arguments) -> Result<Vec<InterfaceName>, String> {
    if !arguments.interfaces.is_empty() {
        return Ok(arguments.interfaces.clone());
    }
    let secrets = arguments.secrets.clone().or_else(|| load::find_secrets(&arguments.config));
    let loaded = load::load(&arguments.config, secrets.as_deref()).map_err(|e| e.to_string())?;
    let interfaces = loaded.settings.pinned_interfaces();
    if interfaces.is_empty() {
        return Err(format!("no destination in {} names an interface; name them here", arguments.config.display()));
    }
    Ok(interfaces)
}

fn output(arguments: &Arguments, interfaces: &[InterfaceName]) -> Result<(), String> {
    let files = networkd::files(interfaces);
    let Some(out) = &arguments.out else {
        for file in &files {
            write(&format!("# {}\n{}\n", file.name, file.text));
        }
        return Ok(());
    };
    fs::create_dir_all(out).map_err(|e| format!("{}: {e}", out.display()))?;
    for file in &files {
        let path = out.join(&file.name);
        fs::write(&path, &file.text).map_err(|e| format!("{}: {e}", path.display()))?;
        say(&path.display().to_string());
    }
    // Of an uplink that is not one any more; perhaps somebody has changed it since.
    for stale in stale(out, &files) {
        complain(&format!("{} is of an earlier time; remove it if that is no uplink any more", stale.display()));
    }
    say("In force with: networkctl reload && networkctl reconfigure INTERFACE, or at the next start");
    Ok(())
}

fn stale(out: &Path, files: &[networkd::NetworkFile]) -> Vec<PathBuf> {
    let there = fs::read_dir(out).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("10-holdfast-") && !files.iter().any(|file| file.name == name)
    };
    let mut stale: Vec<PathBuf> = there.filter(is_ours).collect();
    stale.sort();
    stale
}
