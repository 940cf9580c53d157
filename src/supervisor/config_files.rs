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
    secrets: Secrets,
    paths: Paths,
    /// When they were last read.
    seen: Seen,
    /// When they were last looked at.
    looked: Seen,
    warnings: Vec<String>,
}

/// When the files were changed, as far as their directory tells.
type Seen = (Option<SystemTime>, Option<SystemTime>);

/// Which the secrets file is.
#[derive(Debug)]
enum Secrets {
    /// Somebody said so.
    Named(PathBuf),
    /// The one that is found at the time: an operator may write it when there is something to put in.
    Found,
}

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
        let secrets = secrets.map_or(Secrets::Found, Secrets::Named);
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
            load::load(&self.main, self.secrets().as_deref()).map_err(|e| Refused(e.to_string()))?;
        let secret_text = secrets.as_ref().map_or("", |s| s.reveal());
        // Both are written before either takes its place: children that start read both, and one without the other may be wrong.
        let (config, secrets) = (self.paths.last_good_config(), self.paths.last_good_secrets());
        let failed = |place: &Path| {
            let place = place.display().to_string();
            move |e| Refused(format!("{place}: {e}; is the disk full or read-only?"))
        };
        let (new_secrets, new_config) = (
            Replacement::of(&secrets, secret_text).map_err(failed(&secrets))?,
            Replacement::of(&config, &text).map_err(failed(&config))?,
        );
        // Secrets first: a configuration never stands beside secrets older than it.
        new_secrets.take_place().map_err(failed(&secrets))?;
        new_config.take_place().map_err(failed(&config))?;
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
        (touched(&self.main), self.secrets().as_deref().and_then(touched))
    }

    fn secrets(&self) -> Option<PathBuf> {
        match &self.secrets {
            Secrets::Named(path) => Some(path.clone()),
            Secrets::Found => load::find_secrets(&self.main),
        }
    }
}

/// A file that only we may read, written beside the one whose place it is to take.
struct Replacement {
    path: PathBuf,
    /// `None` where it says what it is to say.
    part: Option<PathBuf>,
}

impl Replacement {
    fn of(path: &Path, text: &str) -> std::io::Result<Self> {
        let path = path.to_owned();
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(Self { path, part: None });
        }
        let part = path.with_extension("part");
        let _ = std::fs::remove_file(&part);
        let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        Ok(Self { path, part: Some(part) })
    }

    fn take_place(self) -> std::io::Result<()> {
        self.part.map_or(Ok(()), |part| std::fs::rename(part, self.path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::fs;

    use super::*;

    const OFFLINE: &str = "[[input]]\nname = \"pattern\"\nkind = \"pattern\"\n\n\
        [[rendition]]\nname = \"main\"\ncodec = \"h264\"\nsize = \"640x360\"\nbitrate = \"1500k\"\n";
    const DESTINATION: &str =
        "\n[[destination]]\nname = \"youtube\"\nrendition = \"main\"\nurl = \"rtmp://127.0.0.1/live\"\n";
    const KEY: &str = "[destination.youtube]\nkey = \"xxxx-xxxx\"\n";

    fn files(directory: &Path, text: &str) -> (ConfigFiles, Paths) {
        let (main, paths) = (directory.join("holdfast.toml"), Paths::new(directory, directory.join("state")));
        fs::create_dir_all(&paths.state).unwrap();
        fs::write(&main, text).unwrap();
        let (files, _, refused) = ConfigFiles::open(main, None, paths.clone()).unwrap();
        assert_eq!(refused, None);
        (files, paths)
    }

    #[test]
    fn a_secrets_file_that_is_written_later_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let (mut files, paths) = files(directory.path(), OFFLINE);
        assert!(!files.changed());
        fs::write(directory.path().join("secrets.toml"), KEY).unwrap();
        fs::write(directory.path().join("holdfast.toml"), OFFLINE.to_owned() + DESTINATION).unwrap();
        assert!(!files.changed(), "it may not be whole yet");
        assert!(files.changed());
        assert_eq!(files.load().unwrap().destinations.len(), 1);
        assert_eq!(fs::read_to_string(paths.last_good_secrets()).unwrap(), KEY);
    }

    #[test]
    fn a_configuration_that_cannot_be_kept_leaves_the_last_good_one_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (mut files, paths) = files(directory.path(), OFFLINE);
        let secrets = || fs::read_to_string(paths.last_good_secrets()).unwrap();
        let before = secrets();
        fs::write(directory.path().join("secrets.toml"), KEY).unwrap();
        fs::write(directory.path().join("holdfast.toml"), OFFLINE.to_owned() + DESTINATION).unwrap();
        // Nothing can be written where the configuration is to be written.
        fs::create_dir(paths.last_good_config().with_extension("part")).unwrap();
        let Err(Refused(why)) = files.load() else { panic!("it was kept") };
        assert!(why.contains("last-good.toml"), "{why}");
        assert_eq!(secrets(), before);
        assert!(load::load_last_good(&paths).is_ok(), "a child that starts now reads what is in force");
    }
}
