//! `holdfast picture`: what an input shows, as the JPEG that its worker renews each second.

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use holdfast::clock;
use holdfast::config::Paths;
use holdfast::encode::thumbnail::BELIEVED;
use holdfast::events::{BoxSnapshot, ChildState, Role};
use holdfast::model::{InputId, Wall};

use crate::desk::{DeskError, each_snapshot};
use crate::terminal::{complain, is_terminal, say};
use crate::{DONE, REFUSED};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which.
    input: InputId,
    /// Into this file, which is replaced; left out or `-`: to standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(paths: &Paths, arguments: &Arguments) -> ExitCode {
    let out = arguments.out.as_deref().filter(|out| *out != Path::new("-"));
    if out.is_none() && arguments.out.is_none() && is_terminal() {
        complain("a JPEG is nothing for a terminal; name a file with --out");
        return ExitCode::from(REFUSED);
    }
    // The workers outlive holdfastd, so it is asked only for the reason why there is none.
    let (jpeg, age) = match newest(&paths.thumbnail(&arguments.input), clock::wall()) {
        Ok(found) => found,
        Err(why) => return none(paths, &arguments.input, &why),
    };
    let written = match out {
        Some(file) => fs::write(file, &jpeg).map_err(|e| format!("{}: {e}", file.display())),
        None => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&jpeg).and_then(|()| stdout.flush()).map_err(|e| format!("standard output: {e}"))
        }
    };
    match (written, out) {
        (Err(why), _) => {
            complain(&why);
            ExitCode::from(REFUSED)
        }
        (Ok(()), Some(file)) => {
            say(&format!("{}: {} as it was {:.1} s ago", file.display(), arguments.input, age.as_secs_f64()));
            DONE
        }
        (Ok(()), None) => DONE,
    }
}

/// The bytes of the thumbnail at `path` and its age, unless it is so old that its worker is gone.
fn newest(path: &Path, now: Wall) -> Result<(Vec<u8>, Duration), String> {
    let read = fs::File::open(path).and_then(|mut file| {
        let written = file.metadata()?.modified()?;
        let mut jpeg = Vec::new();
        io::Read::read_to_end(&mut file, &mut jpeg)?;
        Ok((jpeg, written))
    });
    let (jpeg, written) = match read {
        Ok(read) => read,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err("there is none".to_owned()),
        Err(e) => return Err(format!("{}: {e}", path.display())),
    };
    let written = written.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros();
    // Either way: the clock may have been set meanwhile.
    let age = Duration::from_micros(i64::try_from(written).unwrap_or(i64::MAX).abs_diff(now.0));
    if age > BELIEVED {
        return Err(format!("the last one is {} s old", age.as_secs()));
    }
    Ok((jpeg, age))
}

fn none(paths: &Paths, input: &InputId, why: &str) -> ExitCode {
    let mut reason = None;
    let asked = each_snapshot(paths, false, |snapshot| {
        reason = Some(because(&snapshot, input));
        ControlFlow::Continue(())
    });
    match (asked, reason) {
        (_, Some(reason)) => {
            complain(&format!("no picture of {input} ({why}): {reason}"));
            ExitCode::from(REFUSED)
        }
        (Err(e @ DeskError::NotRunning { .. }), None) => {
            complain(&format!("no picture of {input} ({why}), and {e}"));
            e.exit_code()
        }
        (Err(e), None) => {
            complain(&e.to_string());
            e.exit_code()
        }
        (Ok(code), None) => code,
    }
}

/// Why there is no picture of `input`.
fn because(now: &BoxSnapshot, input: &InputId) -> String {
    let workers: Vec<_> = now
        .children
        .iter()
        .filter_map(|child| match &child.role {
            Role::Encode(of) => Some((of, child.state)),
            Role::Supervisor | Role::Transmit | Role::Relay => None,
        })
        .collect();
    let Some((_, state)) = workers.iter().find(|(of, _)| *of == input) else {
        let names: Vec<&str> = workers.iter().map(|(of, _)| of.as_str()).collect();
        return format!("there is no such input; there are: {}", names.join(", "));
    };
    match now.workers.iter().find(|worker| worker.input == *input) {
        _ if *state != ChildState::Running => "its worker does not run; see: holdfast status".to_owned(),
        Some(worker) if worker.has_picture => format!("it is just coming; {}", worker.signal),
        Some(worker) => format!("it has nothing to show; {}", worker.signal),
        None => "its worker has only just begun".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_fresh_picture_is_what_an_input_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film.jpg");
        assert_eq!(newest(&path, Wall(0)).unwrap_err(), "there is none");
        fs::write(&path, "jpeg").unwrap();
        let written = fs::metadata(&path).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        let at = |seconds: i64| Wall(i64::try_from(written.as_micros()).unwrap() + seconds * 1_000_000);
        assert_eq!(newest(&path, at(0)).unwrap(), (b"jpeg".to_vec(), Duration::ZERO));
        assert_eq!(newest(&path, at(4)).unwrap(), (b"jpeg".to_vec(), Duration::from_secs(4)));
        assert_eq!(newest(&path, at(12)).unwrap_err(), "the last one is 12 s old");
        assert_eq!(newest(&path, at(-3600)).unwrap_err(), "the last one is 3600 s old", "the clock was set");
    }

    #[test]
    fn a_box_says_why_there_is_none() {
        let text = r#"{"protocol":1,"at":0,"box_name":"b","version":"0","on_air":false,"on_air_since":null,
            "children":[{"role":{"encode":"film"},"state":"running","pid":7,"starts":1,"last_end":null},
                        {"role":{"encode":"cam"},"state":"backing-off","pid":null,"starts":3,"last_end":"killed"},
                        {"role":{"encode":"new"},"state":"running","pid":8,"starts":1,"last_end":null}],
            "plane":null,"config_refused":null,
            "workers":[{"input":"film","signal":"file film.mp4: not found","has_picture":false,"repeated":0,"dropped":0,
                        "drift_ppm":0,"streams":[]}]}"#;
        let now: BoxSnapshot = serde_json::from_str(text).unwrap();
        let of = |input: &str| because(&now, &InputId::new(input).unwrap());
        assert_eq!(of("film"), "it has nothing to show; file film.mp4: not found");
        assert_eq!(of("cam"), "its worker does not run; see: holdfast status");
        assert_eq!(of("new"), "its worker has only just begun");
        assert_eq!(of("flim"), "there is no such input; there are: film, cam, new");
    }
}
