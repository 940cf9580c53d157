//! The configuration on disk and the last good one: which is in force.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::load::{self, Loaded};
use crate::config::{Paths, Settings};

/// Why the files on disk are not in force: every mistake with its place and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// The two files an operator edits.
#[derive(Debug)]
pub struct ConfigFiles {
    main: PathBuf,
    secrets: Option<PathBuf>,
    paths: Paths,
    /// When they were last read.
    seen: Seen,
    /// When they were last looked at.
    looked: Seen,
    warnings: Vec<String>,
}

/// When the files were changed, as far as their directory tells.
type Seen = (Option<SystemTime>, Option<SystemTime>);

impl ConfigFiles {
    /// Reads the files; falls back to the last good configuration when they are wrong.
    ///
    /// # Errors
    /// When there is neither; the text tells what is wrong with the files.
    pub fn open(
        main: PathBuf,
        secrets: Option<PathBuf>,
        paths: Paths,
    ) -> Result<(Self, Settings, Option<Refused>), String> {
        let secrets = secrets.or_else(|| load::find_secrets(&main));
        let mut files = Self { main, secrets, paths, seen: (None, None), looked: (None, None), warnings: Vec::new() };
        match files.load() {
            Ok(settings) => Ok((files, settings, None)),
            Err(Refused(why)) => match load::load_last_good(&files.paths) {
                Ok(settings) => Ok((files, settings, Some(Refused(why)))),
                Err(_) => Err(format!("{why}\nThere is no earlier good configuration to go on with.")),
            },
        }
    }

    /// Reads the files and, when they are right, makes them the last good ones, which the children read.
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn load(&mut self) -> Result<Settings, Refused> {
        self.seen = self.look();
        let Loaded { settings, text, secrets, warnings } =
            load::load(&self.main, self.secrets.as_deref()).map_err(|e| Refused(e.to_string()))?;
        // Secrets first: a configuration never stands beside secrets older than it.
        let secret_text = secrets.as_ref().map_or("", |s| s.reveal());
        let place = self.paths.last_good_secrets();
        replace(&place, secret_text).map_err(|e| Refused(format!("{}: {e}", place.display())))?;
        let place = self.paths.last_good_config();
        replace(&place, &text).map_err(|e| Refused(format!("{}: {e}", place.display())))?;
        self.warnings = warnings;
        Ok(settings)
    }

    /// Whether a file was touched since it was last read, and not since the last call: one that is being written is given
    /// the time to become whole.
    pub fn changed(&mut self) -> bool {
        let looked = self.look();
        let settled = std::mem::replace(&mut self.looked, looked) == looked;
        settled && looked != self.seen
    }

    /// What an operator should mend although it works; each time it was read, once.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The main file's name.
    pub fn name(&self) -> String {
        self.main.display().to_string()
    }

    fn look(&self) -> Seen {
        let touched = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
        (touched(&self.main), self.secrets.as_deref().and_then(touched))
    }
}

/// Writes a file that only we may read, in one step.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let part = path.with_extension("part");
    let _ = std::fs::remove_file(&part);
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    std::fs::rename(part, path)
}
