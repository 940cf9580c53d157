//! Has the slates made: one run of `holdfast-encode slate` per rendition, one after the other. A run that hangs is killed;
//! one that fails costs that rendition its slate, and is told.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use tokio::sync::mpsc;

use super::spawn::Processes;
use crate::clock;
use crate::config::{Paths, RenditionSettings, Settings};
use crate::encode::slate;
use crate::events::{Event, EventKind, Role, Severity};

/// A slate takes a second or two; this is for slow machines under load.
const WITHIN: Duration = Duration::from_secs(20);

/// Makes what is missing, then sends what happened.
pub async fn run(paths: Paths, settings: Settings, done: mpsc::Sender<Vec<Event>>) {
    let mut events = Vec::new();
    let picture = slate::file::picture_bytes(&settings);
    for rendition in &settings.renditions {
        if slate::file::path(&paths, &settings, rendition, picture.as_deref()).exists() {
            continue;
        }
        let (severity, reason) = match make(&paths, rendition).await {
            Ok(()) => continue,
            Err(why) => (Severity::Warning, format!("no encoded slate: {why}")),
        };
        let at = (clock::wall(), clock::media());
        let subject = rendition.id.as_str();
        events.push(Event::new(at, Role::Supervisor, EventKind::SlateChanged, severity, subject, reason));
    }
    // holdfastd may be ending.
    let _ = done.send(events).await;
}

async fn make(paths: &Paths, rendition: &RenditionSettings) -> Result<(), String> {
    let arguments: [OsString; 3] = ["slate".into(), "--rendition".into(), rendition.id.as_str().into()];
    let command = Processes::new(paths.clone()).and_then(|p| p.command("holdfast-encode", "slate", &arguments));
    let mut command = tokio::process::Command::from(command.map_err(|e| e.to_string())?);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| format!("holdfast-encode cannot be started: {e}"))?;
    match tokio::time::timeout(WITHIN, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("holdfast-encode slate: {status}; see log/slate.log in the runtime directory")),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("not ready within {} s", WITHIN.as_secs())),
    }
}
