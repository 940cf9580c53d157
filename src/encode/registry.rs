//! GStreamer's list of what its plugins can do, made ahead, so that no worker looks through the plugins.
//!
//! Without such a *registry* each process that starts GStreamer loads all plugins: 0.4 to 1.5 s for some 260 of them (measured
//! with 1.22), instead of 20 ms. GStreamer keeps one in the user's cache directory, which on a box may not be writable, and
//! checks at each start whether every plugin is still the same. Ours is made by a child of its own and says in its name
//! what it was made of and what is in it:
//!
//! ```text
//!   registry-<GStreamer, its plugins, the machine's devices>-<SHA-256 of the content>.bin
//! ```
//!
//! What 1.22 makes of the variables (read in its source, and tried): with `GST_REGISTRY_UPDATE=no` a registry that can be read
//! is taken as it is; one that is missing, cut short or not a registry is made anew all the same, and written. It has no
//! checksum, so we have one. `GST_REGISTRY_FORK=no` changes nothing where nothing is looked through; where something is, a
//! plugin that crashes takes the worker along. So it is not set.
//!
//! *Invariant:* a registry that does not fit what is installed, or is not what was written, is not used.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::machine;
use crate::clock;
use crate::model::Media;

/// The variables by which GStreamer is told which registry to use, and that it is right.
pub const USE: &str = "GST_REGISTRY";
/// See [`USE`].
pub const AS_IT_IS: &str = "GST_REGISTRY_UPDATE";
/// What else would change what is made; each also has a form with `_1_0` behind it, which comes first.
const OTHERS: [&str; 5] = [
    "GST_REGISTRY_1_0",
    "GST_REGISTRY_FORK",
    "GST_REGISTRY_UPDATE",
    "GST_REGISTRY_DISABLE",
    "GST_REGISTRY_REUSE_PLUGIN_SCANNER",
];
/// Where plugins may be besides GStreamer's own directory.
const PATHS: [&str; 4] =
    ["GST_PLUGIN_PATH_1_0", "GST_PLUGIN_PATH", "GST_PLUGIN_SYSTEM_PATH_1_0", "GST_PLUGIN_SYSTEM_PATH"];
/// Of a longer registry nothing is read; one of 260 plugins has 1.2 MB.
const MAX_BYTES: u64 = 64 << 20;
/// A child that looks through the plugins for longer hangs: one of them does. Well below what holdfastd waits for a Hello.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at whether it has ended.
const LOOK: Media = Media::from_millis(5);

/// Why there is none to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There was never one.
    Missing,
    /// Made of other plugins, of another GStreamer, or for other devices.
    Outdated,
    /// Not what was written.
    Damaged,
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "there was none",
            Self::Outdated => "the plugins, GStreamer or the devices are not those it was made of",
            Self::Damaged => "it was damaged",
        })
    }
}

/// What came of [`settle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was there.
    Found(PathBuf),
    /// It had to be made.
    Made {
        /// Where it is.
        path: PathBuf,
        /// Why.
        because: Unfit,
        /// How long that took, milliseconds.
        took_ms: u64,
    },
    /// It could not be made; GStreamer keeps its own.
    None {
        /// Why none was there.
        because: Unfit,
        /// Why none could be made.
        why: String,
    },
}

impl Settled {
    /// The registry to be used as it is.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Found(path) | Self::Made { path, .. } => Some(path),
            Self::None { .. } => None,
        }
    }

    /// What is worth telling.
    pub fn told(&self) -> Option<String> {
        match self {
            Self::Found(_) => None,
            Self::Made { because, took_ms, .. } => {
                Some(format!("the list of GStreamer's plugins was made anew in {took_ms} ms: {because}"))
            }
            Self::None { because, why } => Some(format!(
                "there is no list of GStreamer's plugins ({because}) and none could be made: {why}; GStreamer looks \
                 through them by itself, which may take a second at each start"
            )),
        }
    }
}

/// The registry in `directory` that fits this machine; if there is none, `program registry --scan` makes it.
pub fn settle(directory: &Path, program: &Path) -> Settled {
    settle_for(directory, program, &fingerprint(&inputs()), PATIENCE)
}

fn settle_for(directory: &Path, program: &Path, fingerprint: &str, patience: Duration) -> Settled {
    let because = match find(directory, fingerprint) {
        Ok(path) => return Settled::Found(path),
        Err(because) => because,
    };
    let began = clock::media();
    match make(directory, program, fingerprint, patience) {
        Ok(path) => {
            let took_ms = u64::try_from((clock::media() - began).as_nanos() / 1_000_000).unwrap_or(0);
            Settled::Made { path, because, took_ms }
        }
        Err(e) => Settled::None { because, why: e.to_string() },
    }
}

fn find(directory: &Path, fingerprint: &str) -> Result<PathBuf, Unfit> {
    let mut unfit = Unfit::Missing;
    for file in registries(directory) {
        let Some((made_of, content)) = file.file_name().and_then(OsStr::to_str).and_then(parts) else { continue };
        if made_of != fingerprint {
            unfit = Unfit::Outdated;
        } else if read(&file).is_ok_and(|bytes| hash(&bytes) == content) {
            return Ok(file);
        } else {
            return Err(Unfit::Damaged);
        }
    }
    Err(unfit)
}

/// Has the child look through the plugins and write what it finds, and gives that its name.
fn make(directory: &Path, program: &Path, fingerprint: &str, patience: Duration) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let part = directory.join(format!("registry.{}.part", std::process::id()));
    let _ = fs::remove_file(&part);
    let made = scan(program, &part, patience).and_then(|()| {
        let content = hash(&read(&part)?);
        let path = directory.join(format!("registry-{fingerprint}-{content}.bin"));
        fs::rename(&part, &path)?;
        Ok(path)
    });
    let keep = match &made {
        Ok(path) => path,
        Err(_) => &part,
    };
    // Those of other plugins are of no use any more, and a damaged one never was.
    registries(directory).iter().filter(|file| *file != keep).for_each(|file| {
        let _ = fs::remove_file(file);
    });
    if made.is_err() {
        let _ = fs::remove_file(&part);
    }
    made
}

fn scan(program: &Path, part: &Path, patience: Duration) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(["registry", "--scan"]).stdin(Stdio::null()).stdout(Stdio::null());
    OTHERS.iter().for_each(|name| {
        command.env_remove(name);
    });
    let mut child = command.env(USE, part).spawn()?;
    let end = clock::media() + Media::from_duration(patience);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if clock::media() > end {
            // It may have ended meanwhile.
            let _ = child.kill();
            child.wait()?;
            return Err(io::Error::other(format!("not done within {} s", patience.as_secs())));
        }
        clock::sleep_until(clock::media() + LOOK);
    };
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{}: {status}", program.display()))) }
}

fn registries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries
        .filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(|name| parts(name).is_some()))
        .collect();
    files.sort();
    files
}

/// What the file of that name was made of, and the hash of its content.
fn parts(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("registry-")?.strip_suffix(".bin")?.split_once('-')
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.is_empty() || bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("{} has {} bytes", path.display(), bytes.len())));
    }
    Ok(bytes)
}

/// 16 hexadecimal digits.
fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn fingerprint(inputs: &[String]) -> String {
    hash(inputs.join("\n").as_bytes())
}

/// All that a registry depends on, a line each.
fn inputs() -> Vec<String> {
    let library = loaded("libgstreamer-1.0.so");
    let mut lines = vec![format!("form 1, {}", env!("CARGO_PKG_VERSION"))];
    lines.extend(library.iter().map(|library| identity(library)));
    // Plugins are where the library was loaded from (gst_private.h: relocated).
    let own = library.as_deref().and_then(Path::parent).map(|directory| directory.join("gstreamer-1.0"));
    let home = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".local/share")));
    let users = home.map(|home| home.join("gstreamer-1.0/plugins"));
    let named = PATHS.iter().filter_map(std::env::var_os);
    let named: Vec<PathBuf> = named.flat_map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>()).collect();
    for directory in own.into_iter().chain(users).chain(named) {
        lines.extend(plugins(&directory));
    }
    // Which elements the plugins for hardware register is what they find of it.
    lines.extend(machine::gpus());
    lines.extend(machine::va_drivers());
    lines.extend(machine::video_processors());
    let drivers = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LIBVA_"));
    lines.extend(drivers.map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy())));
    lines
}

/// The plugins in `directory`, in order.
fn plugins(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<String> =
        entries.filter(|path| path.extension() == Some(OsStr::new("so"))).map(|path| identity(&path)).collect();
    found.sort();
    found
}

/// Its name, size and times. The inode's own time too: a package manager sets the other one back.
fn identity(path: &Path) -> String {
    let about = fs::metadata(path).map_or_else(
        |_| "cannot be read".to_owned(),
        |m| format!("{} {} {} {}", m.len(), m.mtime(), m.ctime(), m.ctime_nsec()),
    );
    format!("{} {about}", path.display())
}

/// The file of a library that this process has loaded.
fn loaded(name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]))
        .find(|path| Path::new(path).file_name().and_then(OsStr::to_str).is_some_and(|file| file.starts_with(name)))?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A stand-in for the program that looks through the plugins.
    fn program(directory: &Path, script: &str) -> PathBuf {
        let path = directory.join("scanner");
        let part = directory.join("scanner.part");
        fs::write(&part, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(part, &path).unwrap();
        path
    }

    fn because(settled: &Settled) -> Option<Unfit> {
        match settled {
            Settled::Found(_) => None,
            Settled::Made { because, .. } | Settled::None { because, .. } => Some(*because),
        }
    }

    #[test]
    fn it_is_made_once_and_again_when_it_does_not_fit_or_is_damaged() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state/gstreamer");
        let count = home.path().join("count");
        let script = format!("echo $1 $2 $GST_REGISTRY_FORK >> {}; echo a list > $GST_REGISTRY", count.display());
        let scanner = program(home.path(), &script);
        let settled = |fingerprint: &str| settle_for(&dir, &scanner, fingerprint, PATIENCE);

        let first = settled("0123");
        assert_eq!(because(&first), Some(Unfit::Missing), "{first:?}");
        assert!(first.told().unwrap().ends_with("ms: there was none"), "{first:?}");
        let path = first.path().unwrap().to_owned();
        assert_eq!(settled("0123"), Settled::Found(path.clone()));
        assert_eq!((settled("0123").told(), fs::read_to_string(&path).unwrap().as_str()), (None, "a list\n"));

        let other = settled("4567");
        assert_eq!(because(&other), Some(Unfit::Outdated), "{other:?}");
        assert!(!path.exists(), "the outdated one is kept");
        for damage in ["", "a lisp\n", "a li"] {
            fs::write(other.path().unwrap(), damage).unwrap();
            let again = settled("4567");
            assert_eq!((because(&again), again.path()), (Some(Unfit::Damaged), other.path()), "{damage:?}");
            assert_eq!(because(&settled("4567")), None);
        }
        let scans = fs::read_to_string(count).unwrap();
        assert_eq!(scans.lines().collect::<Vec<_>>(), ["registry --scan"; 5]);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "something was left behind");
    }

    #[test]
    fn where_none_can_be_made_it_is_said_and_nothing_is_left_behind() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state");
        for (script, why) in [
            ("echo half > $GST_REGISTRY; exit 3", "exit status: 3"),
            ("exit 0", "No such file"),
            ("kill -SEGV $$", "signal: 11"),
            ("exec sleep 100", "not done within 0 s"),
        ] {
            let scanner = program(home.path(), script);
            let patience = if script.contains("sleep") { Duration::from_millis(100) } else { PATIENCE };
            let settled = settle_for(&dir, &scanner, "0123", patience);
            let told = settled.told().unwrap();
            assert!(settled.path().is_none() && told.contains(why), "{script}: {told}");
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "{script}");
        }
        let nowhere = settle_for(Path::new("/proc/nowhere"), Path::new("/bin/true"), "0123", PATIENCE);
        assert!(nowhere.told().unwrap().contains("(there was none) and none could be made: "), "{nowhere:?}");
    }

    #[test]
    fn another_plugin_or_another_file_of_one_is_another_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let of = || fingerprint(&plugins(dir.path()));
        fs::write(dir.path().join("libgsta.so"), "a").unwrap();
        fs::write(dir.path().join("libgstb.so"), "b").unwrap();
        let first = of();
        fs::write(dir.path().join("README"), "not a plugin").unwrap();
        assert_eq!(of(), first);
        fs::rename(dir.path().join("libgstb.so"), dir.path().join("b")).unwrap();
        let without = of();
        assert_ne!(without, first);
        // Of the same size, put in place as a package manager does.
        fs::write(dir.path().join("new"), "c").unwrap();
        fs::rename(dir.path().join("new"), dir.path().join("libgstb.so")).unwrap();
        assert!(of() != first && of() != without);
    }

    #[test]
    fn this_machines_gstreamer_and_plugins_are_in_it() {
        super::super::build::init().unwrap();
        let began = clock::media();
        let lines = inputs();
        println!("    {} lines in {} us", lines.len(), (clock::media() - began).as_nanos() / 1000);
        for wanted in ["libgstreamer-1.0.so", "libgstcoreelements.so", "libgstx264.so"] {
            assert!(lines.iter().any(|line| line.contains(wanted) && !line.contains("cannot")), "{wanted}: {lines:#?}");
        }
        assert_eq!(inputs(), lines, "not the same twice");
    }
}
