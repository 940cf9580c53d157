//! Pure. What a trial encode found, and which family that speaks for.
//!
//! A registered encoder is not a working one: drivers lie, sessions run out, libraries abort. So every family is tried
//! at the job's real size, rate and bit rate before it is chosen. *Works* and *is fast enough* are two findings: a busy
//! machine slows a trial, but cannot make a working encoder a broken one.

use serde::{Deserialize, Serialize};

use crate::config::EncoderChoice;
use crate::model::{Codec, Name};

use super::error::EncoderError;
use super::table::{self, Kind, VideoJob};

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that was asked of it was right.
    Works(Measured),
    /// GStreamer has no such element here.
    NotRegistered {
        /// What is missing, with the remedy.
        why: String,
    },
    /// The element is there and does not start.
    Refused {
        /// In GStreamer's words.
        why: String,
    },
    /// The driver has no further session: something else is encoding.
    NoSession {
        /// In GStreamer's words.
        why: String,
    },
    /// It encodes, and the result is wrong.
    Wrong {
        /// What was wrong.
        why: String,
    },
    /// The trial's process died.
    Crashed {
        /// The signal, if it was one.
        signal: Option<i32>,
        /// The last thing it said.
        said: String,
    },
    /// The trial's process stopped making progress and was killed.
    Hung {
        /// Seconds without progress.
        seconds: u32,
        /// Access units that had come by then.
        units: u32,
        /// It did not even die: a driver holds it.
        stuck: bool,
    },
    /// The trial itself could not be made.
    NotTried {
        /// Why.
        why: String,
    },
}

/// What was measured of an encoder that works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The element.
    pub element: String,
    /// Access units, of [`FRAMES`].
    pub units: u32,
    /// Processor time per frame, ms, all threads.
    pub cpu_ms: f64,
    /// Times real time: how much faster than the programme it can go.
    pub realtime: f64,
    /// From opening to the first access unit, ms.
    pub first_ms: f64,
    /// What it made, bit/s, against what it was asked for.
    pub bitrate: u32,
    /// What it was fed came back from a decoder. False when no decoder for it is installed.
    pub decoded: bool,
    /// Settings of the table that the element has not got and can do without.
    pub left_out: Vec<String>,
}

/// Frames in a trial.
pub const FRAMES: u32 = 60;
/// Access units that must come of them.
pub const ENOUGH: u32 = 55;
/// Below this many times real time an encoder has no room for a hard picture.
pub const FAST_ENOUGH: f64 = 1.3;

impl Outcome {
    /// What was measured, if it works.
    pub fn measured(&self) -> Option<&Measured> {
        match self {
            Self::Works(measured) => Some(measured),
            Self::NotRegistered { .. }
            | Self::Refused { .. }
            | Self::NoSession { .. }
            | Self::Wrong { .. }
            | Self::Crashed { .. }
            | Self::Hung { .. }
            | Self::NotTried { .. } => None,
        }
    }

    /// One or two words for a table's column.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Works(measured) if measured.realtime < FAST_ENOUGH => "too slow",
            Self::Works(_) => "works",
            Self::NotRegistered { .. } => "not here",
            Self::Refused { .. } => "refuses",
            Self::NoSession { .. } => "no session",
            Self::Wrong { .. } => "wrong output",
            Self::Crashed { .. } => "crashes",
            Self::Hung { .. } => "hangs",
            Self::NotTried { .. } => "not tried",
        }
    }

    /// Why it should not be chosen, or how well it does, in a sentence.
    pub fn why(&self) -> String {
        match self {
            Self::Works(Measured { realtime, .. }) if *realtime < FAST_ENOUGH => {
                format!("works, but at {realtime:.1} times real time (needs {FAST_ENOUGH})")
            }
            Self::Works(Measured { realtime, cpu_ms, .. }) => {
                format!("works at {realtime:.1} times real time, {cpu_ms:.1} ms of processor a frame")
            }
            Self::NotRegistered { why } | Self::Refused { why } | Self::Wrong { why } => why.clone(),
            Self::NoSession { why } => format!("the driver has no session left; close what else is encoding ({why})"),
            Self::Crashed { signal, said } => {
                let how = match signal {
                    Some(signal) => format!("the trial was killed by signal {signal}{}", signal_name(*signal)),
                    None => "the trial ended without a result".to_owned(),
                };
                if said.is_empty() { how } else { format!("{how}; it said: {said}") }
            }
            Self::Hung { seconds, units, stuck } => {
                let held =
                    if *stuck { "; the driver does not even let it die, a restart of the box may help" } else { "" };
                format!("no progress for {seconds} s after {units} access units{held}")
            }
            Self::NotTried { why } => format!("could not be tried: {why}"),
        }
    }

    /// Whether the finding outlives this run of the machine. What works will; what does not may have been in a bad state.
    pub fn lasts(&self) -> Lasts {
        match self {
            Self::Works(_) => Lasts::WhileNothingChanges,
            Self::Refused { .. } | Self::Wrong { .. } | Self::Crashed { .. } | Self::Hung { .. } => Lasts::ThisBoot,
            // Cheap to find again, and hardware may turn up late at boot.
            Self::NotRegistered { .. } | Self::NoSession { .. } | Self::NotTried { .. } => Lasts::Not,
        }
    }
}

/// How long a finding is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// Until GStreamer, the kernel, the driver or the hardware change.
    WhileNothingChanges,
    /// Until the next boot.
    ThisBoot,
    /// Not at all.
    Not,
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => " (segmentation fault)",
        libc::SIGABRT => " (abort)",
        libc::SIGBUS => " (bus error)",
        libc::SIGILL => " (illegal instruction)",
        libc::SIGFPE => " (arithmetic error)",
        libc::SIGKILL => " (killed; out of memory?)",
        _ => "",
    }
}

/// Whether a driver's words say that it has no session left.
pub fn means_no_session(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    [
        "out of memory (10)",
        "no free session",
        "too many sessions",
        "openencodesession",
        "session limit",
        "resource busy",
    ]
    .iter()
    .any(|sign| words.contains(sign))
}

/// Which families may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// All, hardware first.
    All,
    /// Only those on the processor, whatever the configuration names: a driver holds a process that nothing can end.
    Software,
}

/// Chooses the family for `job`: the one that is named, or the first that works fast enough, hardware first, or else
/// the fastest that works at all. `try_family` is asked for each in turn until one will do.
///
/// # Errors
/// [`EncoderError`] names each family with what is wrong with it.
pub fn pick(
    job: &VideoJob,
    choice: &EncoderChoice,
    allowed: Allowed,
    mut try_family: impl FnMut(&Name) -> Outcome,
) -> Result<Name, EncoderError> {
    let mut tried = Vec::new();
    let mut best: Option<(f64, Name)> = None;
    for family in candidates(job.codec, choice, allowed)? {
        let outcome = try_family(&family);
        if let Some(measured) = outcome.measured() {
            if measured.realtime >= FAST_ENOUGH || matches!(choice, EncoderChoice::Family(_)) {
                return Ok(family);
            }
            if best.as_ref().is_none_or(|(realtime, _)| measured.realtime > *realtime) {
                best = Some((measured.realtime, family.clone()));
            }
        }
        tried.push((family.as_str().to_owned(), outcome.why()));
    }
    best.map(|(_, family)| family).ok_or(EncoderError::NoneWorks {
        codec: job.codec,
        width: job.width,
        height: job.height,
        tried,
    })
}

fn candidates(codec: Codec, choice: &EncoderChoice, allowed: Allowed) -> Result<Vec<Name>, EncoderError> {
    let may = |family: &table::Family| allowed == Allowed::All || family.kind == Kind::Software;
    if let EncoderChoice::Family(name) = choice {
        let text = name.as_str();
        let family = table::family(text).ok_or_else(|| EncoderError::UnknownFamily(text.to_owned()))?;
        if !family.makes(codec) {
            return Err(EncoderError::WrongCodec { family: text.to_owned(), codec });
        }
        if may(family) {
            return Ok(vec![name.clone()]);
        }
    }
    if let EncoderChoice::Ranked(order) = choice {
        let listed = order.iter().filter_map(|name| table::family(name.as_str()));
        // Whatever a profile leaves out, the processor is what keeps the box on air.
        let rest = table::candidates(codec)
            .filter(|f| f.kind == Kind::Software && !order.iter().any(|name| name.as_str() == f.name));
        let families = listed.filter(|f| f.makes(codec) && may(f)).chain(rest);
        return Ok(families.filter_map(|f| Name::new(f.name).ok()).collect());
    }
    Ok(table::candidates(codec).filter(|f| may(f)).filter_map(|f| Name::new(f.name).ok()).collect())
}

/// How many times real time an encoder goes. Hardware is judged by the clock on the wall. A library is judged by the
/// lesser of wall and processor time, since a busy machine stretches the one and a threaded library the other.
pub fn realtime(kind: Kind, media_s: f64, wall_s: f64, cpu_s: f64) -> f64 {
    let took = match kind {
        Kind::Hardware => wall_s,
        Kind::Software => wall_s.min(cpu_s),
    };
    media_s / took.max(1e-6)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::time::Duration;

    use super::*;
    use crate::model::FrameRate;

    fn job(codec: Codec) -> VideoJob {
        VideoJob {
            codec,
            width: 1280,
            height: 720,
            rate: FrameRate::whole(30),
            bitrate: 3_000_000,
            keyframe_interval: Duration::from_secs(2),
        }
    }

    fn works(realtime: f64) -> Outcome {
        Outcome::Works(Measured {
            element: "e".into(),
            units: 60,
            cpu_ms: 1.0,
            realtime,
            first_ms: 5.0,
            bitrate: 1,
            decoded: true,
            left_out: Vec::new(),
        })
    }

    fn broken() -> Outcome {
        Outcome::Crashed { signal: Some(libc::SIGSEGV), said: String::new() }
    }

    #[test]
    fn the_first_that_works_is_taken_and_the_rest_is_not_tried() {
        let mut asked = Vec::new();
        let family = pick(&job(Codec::H264), &EncoderChoice::Auto, Allowed::All, |family| {
            asked.push(family.to_string());
            if family.as_str() == "qsv" { works(4.0) } else { broken() }
        });
        assert_eq!(family.unwrap().as_str(), "qsv");
        assert_eq!(asked, ["va", "va-lp", "nvenc", "qsv"]);
    }

    #[test]
    fn a_slow_encoder_is_passed_over_for_a_faster_one_but_better_than_none() {
        let of = |x264: f64, openh264: f64| {
            pick(&job(Codec::H264), &EncoderChoice::Auto, Allowed::All, |family| match family.as_str() {
                "x264" => works(x264),
                "openh264" => works(openh264),
                _ => broken(),
            })
            .unwrap()
        };
        assert_eq!(of(0.9, 2.0).as_str(), "openh264");
        assert_eq!(of(0.9, 1.1).as_str(), "openh264");
        assert_eq!(of(1.2, 1.1).as_str(), "x264");
    }

    #[test]
    fn a_named_family_is_taken_even_if_slow_and_never_replaced() {
        let x265 = EncoderChoice::Family(Name::new("x265").unwrap());
        assert_eq!(pick(&job(Codec::Hevc), &x265, Allowed::All, |_| works(0.5)).unwrap().as_str(), "x265");
        assert!(pick(&job(Codec::Hevc), &x265, Allowed::All, |_| broken()).is_err());
        let wrong = pick(&job(Codec::H264), &x265, Allowed::All, |_| works(9.0)).unwrap_err();
        assert_eq!(wrong.to_string(), "x265 does not make H.264");
    }

    #[test]
    fn without_hardware_even_a_named_one_gives_way_to_software() {
        let mut asked = Vec::new();
        let va = EncoderChoice::Family(Name::new("va").unwrap());
        let family = pick(&job(Codec::H264), &va, Allowed::Software, |family| {
            asked.push(family.to_string());
            works(3.0)
        });
        assert_eq!(family.unwrap().as_str(), "x264");
        assert_eq!(asked, ["x264"]);
    }

    #[test]
    fn a_profiles_order_is_kept_and_the_processor_stands_behind_it() {
        let order = |names: &[&str]| EncoderChoice::Ranked(names.iter().map(|name| Name::new(name).unwrap()).collect());
        let asked = |choice: &EncoderChoice, allowed| {
            let mut asked = Vec::new();
            let _ = pick(&job(Codec::H264), choice, allowed, |family| {
                asked.push(family.as_str().to_owned());
                broken()
            });
            asked
        };
        let ranked = order(&["qsv", "x265", "nonsense", "va", "openh264"]);
        assert_eq!(asked(&ranked, Allowed::All), ["qsv", "va", "openh264", "x264"], "x265 makes no H.264");
        assert_eq!(asked(&ranked, Allowed::Software), ["openh264", "x264"]);
        assert_eq!(asked(&order(&[]), Allowed::All), ["x264", "openh264"]);
        let first = pick(&job(Codec::H264), &ranked, Allowed::All, |_| works(5.0)).unwrap();
        assert_eq!(first.as_str(), "qsv");
    }

    #[test]
    fn when_nothing_works_each_family_is_listed_with_its_reason() {
        let error = pick(&job(Codec::Av1), &EncoderChoice::Auto, Allowed::All, |family| match family.as_str() {
            "aom" => broken(),
            _ => Outcome::NotRegistered { why: "not registered".into() },
        });
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("no encoder for AV1 1280x720 works here:\n  va: not registered\n"), "{text}");
        assert!(text.ends_with("\n  aom: the trial was killed by signal 11 (segmentation fault)"), "{text}");
    }

    #[test]
    fn a_busy_machine_does_not_slow_a_library_down() {
        // 2 s of programme took 4 s on the wall, of which the encoder ran for 0.5 s.
        assert!(realtime(Kind::Software, 2.0, 4.0, 0.5) > FAST_ENOUGH);
        assert!(realtime(Kind::Hardware, 2.0, 4.0, 0.01) < FAST_ENOUGH);
        // Four threads on an idle machine.
        assert!(realtime(Kind::Software, 2.0, 1.0, 4.0) > FAST_ENOUGH);
    }

    #[test]
    fn a_full_nvenc_card_is_told_from_a_broken_one() {
        assert!(means_no_session("Failed to open session: NV_ENC_ERR_OUT_OF_MEMORY, out of memory (10)"));
        assert!(!means_no_session("could not map frame"));
    }
}
