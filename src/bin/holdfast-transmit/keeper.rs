//! Remembers where programme time has got to, on its own thread: a disk that hangs must not hold up the stream.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use holdfast::switch::SavedTime;

/// Writes the newest value it was given. While a write is under way one more waits; further ones are dropped, since
/// the next second brings a newer one.
pub(crate) struct Keeper {
    queue: mpsc::SyncSender<SavedTime>,
}

impl Keeper {
    /// Starts the thread. It ends when the keeper is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(path: PathBuf) -> std::io::Result<Self> {
        let (queue, values) = mpsc::sync_channel::<SavedTime>(1);
        std::thread::Builder::new().name("programme-time".into()).spawn(move || {
            for value in values {
                // A failed write costs at most the seconds since the last good one; the next attempt is a second away.
                let _ = write(&path, &value);
            }
        })?;
        Ok(Self { queue })
    }

    /// Hands over a value; never blocks.
    pub(crate) fn save(&self, value: SavedTime) {
        let _ = self.queue.try_send(value);
    }
}

/// What was saved: nothing, before the first start.
///
/// # Errors
/// When something is there that cannot be used.
pub(crate) fn load(path: &Path) -> Result<Option<SavedTime>, String> {
    match std::fs::read_to_string(path) {
        Ok(json) => SavedTime::parse(&json).map(Some).map_err(|e| e.to_string()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("cannot be read: {e}")),
    }
}

/// The identity of this boot; another one means that CLOCK_MONOTONIC began again.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn write(path: &Path, value: &SavedTime) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(value.to_json().as_bytes())?;
    file.sync_data()?;
    std::fs::rename(part, path)
}
