//! GStreamer's list of its plugins: made here, and used here.

use std::path::PathBuf;
use std::process::ExitCode;

use holdfast::config::Paths;
use holdfast::encode::build::init;
use holdfast::encode::registry::{AS_IT_IS, Settled, USE, settle};
use holdfast::events::Severity;

/// Where things are.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Look through the plugins now, and write what there is where GST_REGISTRY says; the child's part.
    #[arg(long, hide = true)]
    scan: bool,
    /// Sockets and locks.
    #[arg(long, required_unless_present = "scan")]
    runtime: Option<PathBuf>,
    /// What survives a reboot; the list goes there.
    #[arg(long, required_unless_present = "scan")]
    state: Option<PathBuf>,
}

/// Makes the list unless there is one that fits; says so if it did.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if let (Some(runtime), Some(state)) = (&arguments.runtime, &arguments.state) {
        let settled = settled(&Paths::new(runtime, state));
        return match (settled.told(), &settled) {
            (Some(told), Settled::None { .. }) => {
                eprintln!("{told}");
                ExitCode::FAILURE
            }
            (told, _) => {
                told.iter().for_each(|told| println!("{told}"));
                ExitCode::SUCCESS
            }
        };
    }
    // Starting it is all there is to do.
    match init() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("holdfast-encode registry: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Has GStreamer in this process and its children use the list, made now if it must be; what is worth telling of that. To be
/// called by `main` before anything else. Whoever sets GST_REGISTRY chooses for himself.
#[expect(
    clippy::disallowed_methods,
    reason = "GStreamer takes it from nowhere else, and what it means is main's to say"
)]
pub(crate) fn adopt(paths: &Paths) -> Option<(Severity, String)> {
    if [USE, "GST_REGISTRY_1_0"].iter().any(|name| std::env::var_os(name).is_some()) {
        return None;
    }
    let settled = settled(paths);
    if let Some(path) = settled.path() {
        // SAFETY: `main` calls this before it starts a thread, so nobody reads the environment meanwhile.
        unsafe {
            std::env::set_var(USE, path);
            std::env::set_var(AS_IT_IS, "no");
        }
    }
    let severity = if settled.path().is_some() { Severity::Info } else { Severity::Warning };
    settled.told().map(|told| (severity, told))
}

fn settled(paths: &Paths) -> Settled {
    // This very program, even if its file has been replaced meanwhile.
    settle(&paths.plugin_registry_dir(), &PathBuf::from("/proc/self/exe"))
}
