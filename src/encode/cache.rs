//! What trials found, kept on disk, so that a worker starts without them.
//!
//! *Invariant:* whatever is in the file, reading it costs at most a new trial.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::Name;

use super::table::VideoJob;
use super::verdict::{Lasts, Outcome};

/// Of a longer file nothing is read.
const MAX_BYTES: u64 = 1 << 20;
/// The oldest findings beyond this many are dropped.
const MAX_FINDINGS: usize = 256;
/// Other forms are not read.
const FORM: u32 = 1;

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    form: u32,
    findings: Vec<Finding>,
}

/// One trial's outcome and what it holds for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Finding {
    /// GStreamer, kernel, drivers and devices, as text.
    machine: String,
    /// Which run of the machine.
    boot: String,
    family: Name,
    job: VideoJob,
    outcome: Outcome,
}

/// The findings of one instance.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    boot: String,
}

impl Cache {
    /// Names the file; reads nothing.
    pub(super) fn new(path: &Path, boot: String) -> Self {
        Self { path: path.to_owned(), boot }
    }

    /// What is known of `family` at `job` on `machine`.
    pub(super) fn find(&self, machine: &str, family: &Name, job: &VideoJob) -> Option<Outcome> {
        let holds = |f: &Finding| match f.outcome.lasts() {
            Lasts::WhileNothingChanges => true,
            Lasts::ThisBoot => f.boot == self.boot,
            Lasts::Not => false,
        };
        let found = self.read().into_iter().find(|f| f.is_of(machine, family, job) && holds(f));
        found.map(|f| f.outcome)
    }

    /// Keeps `outcome` for as long as it holds.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn keep(&self, machine: &str, family: &Name, job: &VideoJob, outcome: &Outcome) -> io::Result<()> {
        if outcome.lasts() == Lasts::Not {
            return Ok(());
        }
        // Read again: another worker may have written meanwhile.
        let mut findings = self.read();
        findings.retain(|f| !(f.family == *family && f.job == *job));
        findings.push(Finding {
            machine: machine.to_owned(),
            boot: self.boot.clone(),
            family: family.clone(),
            job: *job,
            outcome: outcome.clone(),
        });
        let surplus = findings.len().saturating_sub(MAX_FINDINGS);
        findings.drain(..surplus);
        write_whole(&self.path, &serde_json::to_vec_pretty(&Content { form: FORM, findings })?)
    }

    fn read(&self) -> Vec<Finding> {
        let mut text = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text));
        if read.is_err() || text.len() as u64 > MAX_BYTES {
            return Vec::new();
        }
        let content = serde_json::from_slice::<Content>(&text).ok().filter(|c| c.form == FORM);
        content.map_or_else(Vec::new, |c| c.findings)
    }
}

impl Finding {
    fn is_of(&self, machine: &str, family: &Name, job: &VideoJob) -> bool {
        self.machine == machine && self.family == *family && self.job == *job
    }
}

/// Replaces `path` with `content` in one step, and does not wait for the disk: a recording may keep it busy for seconds, and
/// what is written here can be made anew. After a power cut the file may be torn, which its reader has to notice.
///
/// # Errors
/// The disk's.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = directory.join(name);
    let written = File::create(&part).and_then(|mut file| file.write_all(content));
    written.and_then(|()| fs::rename(&part, path)).inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::time::Duration;

    use super::*;
    use crate::encode::verdict::Measured;
    use crate::model::{Codec, FrameRate};

    fn job() -> VideoJob {
        VideoJob {
            codec: Codec::H264,
            width: 640,
            height: 360,
            rate: FrameRate { num: 30_000, den: 1001 },
            bitrate: 800_000,
            keyframe_interval: Duration::from_secs(2),
        }
    }

    fn works() -> Outcome {
        Outcome::Works(Measured {
            element: "x264enc".into(),
            units: 60,
            cpu_ms: 1.25,
            realtime: 20.5,
            first_ms: 5.0,
            bitrate: 790_000,
            decoded: true,
            left_out: vec!["aud".into()],
        })
    }

    fn crashed() -> Outcome {
        Outcome::Crashed { signal: Some(11), said: "assertion".into() }
    }

    fn x264() -> Name {
        Name::new("x264").unwrap()
    }

    #[test]
    fn what_works_is_remembered_until_the_machine_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/probe.json");
        Cache::new(&path, "boot 1".into()).keep("kernel 6.1", &x264(), &job(), &works()).unwrap();
        let later = Cache::new(&path, "boot 2".into());
        assert_eq!(later.find("kernel 6.1", &x264(), &job()), Some(works()));
        assert_eq!(later.find("kernel 6.2", &x264(), &job()), None);
        assert_eq!(later.find("kernel 6.1", &x264(), &VideoJob { width: 1280, ..job() }), None);
    }

    #[test]
    fn what_fails_is_remembered_until_the_next_boot_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("probe.json");
        let cache = Cache::new(&path, "boot 1".into());
        cache.keep("m", &x264(), &job(), &crashed()).unwrap();
        assert_eq!(cache.find("m", &x264(), &job()), Some(crashed()));
        assert_eq!(Cache::new(&path, "boot 2".into()).find("m", &x264(), &job()), None);
        cache.keep("m", &x264(), &job(), &works()).unwrap();
        assert_eq!(cache.find("m", &x264(), &job()), Some(works()));
    }

    #[test]
    fn any_garbage_in_the_file_costs_a_trial_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("probe.json");
        let cache = Cache::new(&path, String::new());
        for garbage in [&b""[..], b"{", b"\xff\xfe", b"{\"form\":2,\"findings\":[]}", b"[1,2]", &vec![b'x'; 2 << 20]] {
            fs::write(&path, garbage).unwrap();
            assert_eq!(cache.find("m", &x264(), &job()), None);
            cache.keep("m", &x264(), &job(), &works()).unwrap();
            assert_eq!(cache.find("m", &x264(), &job()), Some(works()));
        }
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(&dir.path().join("probe.json"), String::new());
        for bitrate in 0..MAX_FINDINGS as u32 + 3 {
            cache.keep("m", &x264(), &VideoJob { bitrate, ..job() }, &works()).unwrap();
        }
        assert_eq!(cache.read().len(), MAX_FINDINGS);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left behind");
    }
}
