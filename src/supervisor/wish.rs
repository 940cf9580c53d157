//! The operator's wish to be on air, in a file: it outlives crashes, reboots and power cuts.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::model::Wall;

/// Where the wish is kept, and what it is.
#[derive(Debug)]
pub struct Wish {
    path: PathBuf,
    since: Option<Wall>,
}

impl Wish {
    /// Reads the wish at `path` ([`crate::config::Paths::on_air_wish`]). That the file is there is the wish; what is in it
    /// only tells since when, and may be damaged.
    pub fn open(path: PathBuf) -> Self {
        let since = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().parse().map_or_else(|_| clock::wall(), Wall)),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            // There, though it cannot be read: better on air unasked than off air unasked.
            Err(_) => Some(clock::wall()),
        };
        Self { path, since }
    }

    /// Since when the box is wanted on air; `None` if it is not.
    pub fn since(&self) -> Option<Wall> {
        self.since
    }

    /// Remembers a wish. On disk when it returns.
    ///
    /// # Errors
    /// In words with the remedy; the wish is then what it was before.
    pub fn set(&mut self, on: bool) -> Result<(), String> {
        let failed = |e: std::io::Error| {
            format!("cannot remember it in {}: {e}; is the disk full or read-only?", self.path.display())
        };
        if on && self.since.is_none() {
            let now = clock::wall();
            write(&self.path, now).map_err(failed)?;
            self.since = Some(now);
        } else if !on && self.since.is_some() {
            remove(&self.path).map_err(failed)?;
            self.since = None;
        }
        Ok(())
    }
}

fn write(path: &Path, since: Wall) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "{}", since.0)?;
    file.sync_all()?;
    sync_directory(path)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => sync_directory(path),
    }
}

/// A file's name is on disk when its directory is.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_wish_is_there_after_a_restart_and_gone_after_a_stop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("on-air");
        let mut wish = Wish::open(path.clone());
        assert_eq!(wish.since(), None);
        wish.set(true).unwrap();
        assert!(wish.since().is_some());
        assert_eq!(Wish::open(path.clone()).since(), wish.since());
        wish.set(false).unwrap();
        assert_eq!(Wish::open(path).since(), None);
    }

    #[test]
    fn a_wish_torn_by_a_power_cut_is_still_a_wish() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("on-air");
        std::fs::write(&path, "").unwrap();
        assert!(Wish::open(path).since().is_some());
    }
}
