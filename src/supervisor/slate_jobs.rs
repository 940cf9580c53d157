//! Has the slates made: one run of `holdfast-encode slate` per rendition, one after the other. Before them, one of
//! `holdfast-encode registry`, so that neither these nor the workers look through GStreamer's plugins.
//!
//! A run that hangs is killed, one that fails costs that rendition its slate, and both are told. Nobody waits for ever:
//! after [`ENOUGH`] whoever waits goes on, and a slate that comes later is still used.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use super::spawn::Processes;
use crate::clock;
use crate::config::{RenditionSettings, Settings};
use crate::encode::slate;
use crate::events::{Event, EventKind, Role, Severity};

/// Nobody waits for slates longer than this.
pub const ENOUGH: Duration = Duration::from_secs(15);
/// A slate takes a second or two; a run that takes this long hangs.
const HANGS: Duration = Duration::from_secs(60);

/// How it goes.
#[derive(Debug)]
pub enum News {
    /// For the log.
    Told(Event),
    /// All slates of this job that can be had soon are there: go on.
    GoOn(u32),
}

/// Makes the slates that are missing. `job` comes back in [`News::GoOn`].
pub async fn run(job: u32, processes: Processes, settings: Settings, news: mpsc::Sender<News>) {
    let enough = tokio::time::Instant::from_std(clock::now() + ENOUGH);
    let mut waited_for = true;
    if let Some((severity, text)) = list_plugins(&processes).await {
        let at = (clock::wall(), clock::media());
        let event = Event::new(at, Role::Supervisor, EventKind::Note, severity, "plugins", text);
        // Fails only when holdfastd ends; so below.
        let _ = news.send(News::Told(event)).await;
    }
    let picture = slate::file::picture_bytes(&settings);
    for rendition in &settings.renditions {
        let path = slate::file::path(processes.paths(), &settings, rendition, picture.as_deref());
        if slate::file::is_there(&path) {
            continue;
        }
        let mut making = std::pin::pin!(make(&processes, rendition));
        let made = loop {
            tokio::select! {
                made = &mut making => break made,
                () = sleep_until(enough), if waited_for => {
                    waited_for = false;
                    let _ = news.send(News::GoOn(job)).await;
                }
            }
        };
        if let Err(why) = made {
            let at = (clock::wall(), clock::media());
            let reason = format!("no slate for this rendition: {why}");
            let subject = rendition.id.as_str();
            let event = Event::new(at, Role::Supervisor, EventKind::SlateChanged, Severity::Warning, subject, reason);
            let _ = news.send(News::Told(event)).await;
        }
    }
    if waited_for {
        let _ = news.send(News::GoOn(job)).await;
    }
}

/// What is worth telling of the list of plugins. Without one, all goes on, only slower.
async fn list_plugins(processes: &Processes) -> Option<(Severity, String)> {
    match once(processes, "registry", &[], ENOUGH).await {
        Ok(()) => processes.last_words("registry").map(|made| (Severity::Info, made)),
        Err(why) => Some((Severity::Warning, why)),
    }
}

async fn make(processes: &Processes, rendition: &RenditionSettings) -> Result<(), String> {
    once(processes, "slate", &["--rendition".into(), rendition.id.as_str().into()], HANGS).await
}

/// One run of `holdfast-encode task`.
async fn once(processes: &Processes, task: &str, options: &[OsString], limit: Duration) -> Result<(), String> {
    let arguments: Vec<OsString> = std::iter::once(task.into()).chain(options.iter().cloned()).collect();
    let command = processes.command("holdfast-encode", task, &arguments).map_err(|e| e.to_string())?;
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| format!("holdfast-encode cannot be started: {e}"))?;
    match timeout(limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => {
            let words = processes.last_words(task).unwrap_or_else(|| "it did not say why".to_owned());
            Err(format!("holdfast-encode {task}: {status} ({words})"))
        }
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("holdfast-encode {task} was not ready within {} s", limit.as_secs())),
    }
}
