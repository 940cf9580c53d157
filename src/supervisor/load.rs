//! Reads the configuration's two files; what they mean is [`crate::config`]'s business.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::hardware;
use crate::config::{self, ConfigErrors, HardwareSettings, Paths, RelaySettings, Settings};

/// A configuration that was read and is right.
#[derive(Debug)]
pub struct Loaded {
    /// What it says. [`Settings::hash_for`] tells which process must know of a change.
    pub settings: Settings,
    /// The main file's text, in a form that means the same wherever it is written to (see [`config::with_paths_from`]).
    pub text: String,
    /// The secrets file's text.
    pub secrets: Option<config::Secret>,
    /// What an operator should mend although it works.
    pub warnings: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file could not be read.
    #[error("{}: cannot be read ({source}); {remedy}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A file is not text.
    #[error("{}:{line}:1: the line is not UTF-8 text; save the file as UTF-8", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
        /// The first such line.
        line: usize,
    },
    /// The text is wrong.
    #[error(transparent)]
    Wrong(#[from] ConfigErrors),
}

/// Reads and parses `main` and, if named, `secrets`. Relative paths in it start at the directory of `main`.
///
/// # Errors
/// [`LoadError`]; its text is for operators and holds no secret.
pub fn load(main: &Path, secrets: Option<&Path>) -> Result<Loaded, LoadError> {
    let absolute = std::path::absolute(main).map_err(|source| LoadError::Io {
        path: main.to_owned(),
        source,
        remedy: "name the configuration's whole path",
    })?;
    let base = absolute.parent().unwrap_or(Path::new("/"));
    let (text, _) = read(main)?;
    let mut warnings = Vec::new();
    let secret_text = match secrets {
        None => None,
        Some(path) => {
            let (text, mode) = read(path)?;
            warnings.extend(too_open(path, mode));
            Some((path.display().to_string(), config::Secret::new(text)))
        }
    };
    let named_secrets = secret_text.as_ref().map(|(name, text)| (name.as_str(), text.reveal()));
    let settings = config::parse(base, (&main.display().to_string(), &text), named_secrets)?;
    warnings.extend(absent_files(&settings));
    warnings.extend(settings.cautions());
    // What is left as it comes cannot be wrong.
    if settings.hardware != HardwareSettings::default() {
        let in_force = hardware::in_force(&settings.hardware, Path::new("/"));
        warnings.extend(in_force.map(|in_force| in_force.warnings).unwrap_or_default());
    }
    let text = config::with_paths_from(&text, base);
    Ok(Loaded { settings, text, secrets: secret_text.map(|(_, text)| text), warnings })
}

/// Reads and parses a relay's configuration, in the manner of [`load`]. Beside it what an operator should mend although
/// it works.
///
/// # Errors
/// As [`load`].
pub fn load_relay(main: &Path, secrets: Option<&Path>) -> Result<(RelaySettings, Vec<String>), LoadError> {
    let absolute = std::path::absolute(main).map_err(|source| LoadError::Io {
        path: main.to_owned(),
        source,
        remedy: "name the configuration's whole path",
    })?;
    let base = absolute.parent().unwrap_or(Path::new("/"));
    let (text, _) = read(main)?;
    let secrets = secrets.map(|path| Ok::<_, LoadError>((path, read(path)?))).transpose()?;
    let warnings = secrets.as_ref().and_then(|(path, (_, mode))| too_open(path, *mode));
    let named = secrets.as_ref().map(|(path, (text, _))| (path.display().to_string(), text));
    let named = named.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    let settings = config::parse_relay(base, (&main.display().to_string(), &text), named)?;
    Ok((settings, warnings.into_iter().collect()))
}

/// The configuration in force, as the children read it.
///
/// # Errors
/// As [`load`].
pub fn load_last_good(paths: &Paths) -> Result<Settings, LoadError> {
    let secrets = paths.last_good_secrets();
    let secrets = secrets.exists().then_some(secrets);
    load(&paths.last_good_config(), secrets.as_deref()).map(|loaded| loaded.settings)
}

/// The secrets file that goes with the configuration `main` when nobody names one: systemd's credential
/// `holdfast-secrets`, or `secrets.toml` in the same directory. `None` if there is neither.
pub fn find_secrets(main: &Path) -> Option<PathBuf> {
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| Path::new(&dir).join("holdfast-secrets"));
    let beside = main.with_file_name("secrets.toml");
    credential.into_iter().chain([beside]).find(|path| path.exists())
}

/// What to do about a file that cannot be read.
const REMEDIES: [(io::ErrorKind, &str); 3] = [
    (io::ErrorKind::NotFound, "check the name, or write one: `holdfast check-config --example` prints a beginning"),
    (io::ErrorKind::PermissionDenied, "let the service's user read it"),
    (io::ErrorKind::IsADirectory, "name a file in it"),
];

/// The text of `file`, which is no larger than a parser would look at.
///
/// # Errors
/// [`LoadError`], but for mistakes in what it says.
pub(super) fn text(file: &Path) -> Result<String, LoadError> {
    read(file).map(|(text, _)| text)
}

/// The text of a file and its permission bits. Reads no more than the parser would look at, whatever stands there.
fn read(path: &Path) -> Result<(String, u32), LoadError> {
    let failed = |source: io::Error| {
        let remedy = REMEDIES.iter().find(|(kind, _)| *kind == source.kind()).map_or("check the disk", |(_, r)| r);
        LoadError::Io { path: path.to_owned(), source, remedy }
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte over the limit is enough for the parser to refuse the rest.
    file.take(config::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        LoadError::NotText { path: path.to_owned(), line: before.filter(|b| **b == b'\n').count() + 1 }
    })?;
    Ok((text, metadata.permissions().mode()))
}

fn too_open(path: &Path, mode: u32) -> Option<String> {
    let who = match (mode & 0o040 != 0, mode & 0o004 != 0) {
        (_, true) => "every user of this machine",
        (true, false) => "its whole group",
        (false, false) => return None,
    };
    let path = path.display();
    Some(format!("{path}: {who} can read the stream keys in it; run: chmod 600 {path}"))
}

/// Files that the settings name and that are not there. Not errors: the box can go on air without them.
fn absent_files(settings: &Settings) -> Vec<String> {
    let slate = settings.slate.image.iter().map(|path| (path, "the slate shows the box's name instead"));
    let authorities = settings.destinations.iter().filter_map(|d| d.ca_file.as_ref());
    let authorities = authorities.map(|path| (path, "servers whose certificate needs it will be refused"));
    let absent = slate.chain(authorities).filter(|(path, _)| !path.exists());
    absent.map(|(path, effect)| format!("{}: there is no such file; {effect}", path.display())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    const MAIN: &str = "[[input]]\nname = \"test\"\nkind = \"pattern\"\n[slate]\nimage = \"slate.png\"\n[[rendition]]\n\
        name = \"main\"\ncodec = \"h264\"\nsize = \"640x360\"\nbitrate = \"1M\"\n";

    fn directory(main: &[u8], secrets: &str, mode: u32) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (main_path, secrets_path) = (dir.path().join("holdfast.toml"), dir.path().join("secrets.toml"));
        fs::write(&main_path, main).unwrap();
        fs::write(&secrets_path, secrets).unwrap();
        fs::set_permissions(&secrets_path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, main_path, secrets_path)
    }

    #[test]
    fn the_text_means_the_same_when_copied_elsewhere() {
        let (dir, main, secrets) = directory(MAIN.as_bytes(), "", 0o600);
        let loaded = load(&main, Some(&secrets)).unwrap();
        assert_eq!(loaded.settings.slate.image, Some(dir.path().join("slate.png")));
        assert_eq!(find_secrets(&main), Some(secrets));

        let elsewhere = tempfile::tempdir().unwrap();
        let copy = elsewhere.path().join("last-good.toml");
        fs::write(&copy, &loaded.text).unwrap();
        let again = load(&copy, None).unwrap();
        assert_eq!(again.settings, loaded.settings, "relative paths still start at the original's directory");
        assert_eq!(again.text, loaded.text, "copying a copy changes nothing");
    }

    #[test]
    fn open_secrets_and_absent_files_are_warned_of() {
        let (_dir, main, secrets) = directory(MAIN.as_bytes(), "", 0o640);
        let warnings = load(&main, Some(&secrets)).unwrap().warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("its whole group can read") && warnings[0].contains("chmod 600"), "{warnings:?}");
        assert!(warnings[1].contains("slate.png: there is no such file"), "{warnings:?}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_the_remedy() {
        let (dir, main, _) = directory(b"# fine\nname = \xff\n", "", 0o600);
        let not_text = load(&main, None).unwrap_err().to_string();
        assert!(
            not_text.ends_with("holdfast.toml:2:1: the line is not UTF-8 text; save the file as UTF-8"),
            "{not_text}"
        );
        let absent = load(&dir.path().join("absent.toml"), None).unwrap_err().to_string();
        assert!(
            absent.contains("absent.toml: cannot be read") && absent.contains("check-config --example"),
            "{absent}"
        );
        let folder = load(dir.path(), None).unwrap_err().to_string();
        assert!(folder.contains("name a file in it"), "{folder}");
    }

    #[test]
    fn a_huge_file_is_refused_without_being_read_whole() {
        let (_dir, main, _) = directory(&vec![b'#'; 3 << 20], "", 0o600);
        let error = load(&main, None).unwrap_err().to_string();
        assert!(error.contains("larger than 1024 KiB"), "{error}");
    }
}
