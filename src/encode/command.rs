//! The commands of `holdfast-encode` that are about encoders: `probe` and, for its own use, `trial`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gstreamer as gst;

use crate::model::{Codec, FrameRate, Name};

use super::probe::Prober;
use super::report::{self, Report, Row};
use super::table::{FAMILIES, VideoJob};
use super::{build, choose, machine, trial};

/// `holdfast-encode probe`: tries every encoder the box knows.
#[derive(Clone, Debug, Args)]
pub struct ProbeArgs {
    /// Picture size, as WIDTHxHEIGHT.
    #[arg(long, default_value = "1280x720", value_parser = size)]
    pub size: (u32, u32),
    /// Frames per second.
    #[arg(long, default_value_t = 30)]
    pub fps: u32,
    /// Bit rate in kbit/s.
    #[arg(long, default_value_t = 3000)]
    pub kbit: u32,
    /// Only this codec: h264, hevc or av1.
    #[arg(long, value_parser = codec)]
    pub codec: Option<Codec>,
    /// Only this family.
    #[arg(long)]
    pub family: Option<String>,
    /// A self-contained text that can be sent to somebody.
    #[arg(long)]
    pub report: bool,
    /// JSON for a program.
    #[arg(long, conflicts_with = "report")]
    pub json: bool,
}

/// `holdfast-encode trial`: the child of a probe.
#[derive(Clone, Debug, Args)]
pub struct TrialArgs {
    /// The family.
    #[arg(long)]
    pub family: String,
    /// The job, as JSON.
    #[arg(long)]
    pub job: String,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    parsed
        .filter(|(w, h): &(u32, u32)| (128..=7680).contains(w) && (96..=4320).contains(h) && w % 2 == 0 && h % 2 == 0)
        .ok_or_else(|| "write two even numbers, such as 1280x720, from 128x96 to 7680x4320".to_owned())
}

fn codec(text: &str) -> Result<Codec, String> {
    match text {
        "h264" => Ok(Codec::H264),
        "hevc" => Ok(Codec::Hevc),
        "av1" => Ok(Codec::Av1),
        _ => Err("choose h264, hevc or av1".to_owned()),
    }
}

/// Tries every family and prints what came of it. Fails if no H.264 encoder works.
pub fn probe(args: &ProbeArgs) -> ExitCode {
    let report = match look(args) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("holdfast-encode probe: {why}");
            return ExitCode::FAILURE;
        }
    };
    let text = if args.json {
        serde_json::to_string_pretty(&report).map(|json| json + "\n").unwrap_or_default()
    } else {
        report::render(&report, args.report)
    };
    let mut out = std::io::stdout().lock();
    let any = report.rows.iter().any(|r| r.outcome.measured().is_some());
    // A closed pipe (`| head`) is no failure of the probe.
    let _ = out.write_all(text.as_bytes());
    if any { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn look(args: &ProbeArgs) -> Result<Report, String> {
    build::init().map_err(|e| e.to_string())?;
    let prober = Prober::here().map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    for codec in [Codec::H264, Codec::Hevc, Codec::Av1].into_iter().filter(|c| args.codec.is_none_or(|only| only == *c))
    {
        let job = VideoJob {
            codec,
            width: args.size.0,
            height: args.size.1,
            rate: FrameRate::whole(args.fps),
            bitrate: args.kbit.saturating_mul(1000),
            keyframe_interval: Duration::from_secs(2),
        };
        for family in FAMILIES.iter().filter(|f| f.makes(codec)) {
            if args.family.as_ref().is_some_and(|only| only != family.name) {
                continue;
            }
            let name = Name::new(family.name).map_err(|e| e.to_string())?;
            // Afresh: somebody asks because something has changed.
            rows.push(Row {
                family: family.name.to_owned(),
                job,
                outcome: choose::outcome(&job, &name, &prober, None),
            });
        }
    }
    if rows.is_empty() {
        return Err("there is no such family; leave --family out to see all".to_owned());
    }
    Ok(Report {
        holdfast: env!("CARGO_PKG_VERSION").to_owned(),
        gstreamer: gst::version_string().to_string(),
        kernel: machine::kernel(),
        processor: format!("{} x {}", build::cores(), machine::processor()),
        gpus: machine::gpus(),
        rows,
    })
}

/// Prints a line for each family and codec: `va h264 vah264enc`, or `va h264 -` where GStreamer has no such element here.
/// Tries nothing.
pub fn elements() -> ExitCode {
    if let Err(why) = build::init() {
        eprintln!("holdfast-encode elements: {why}");
        return ExitCode::FAILURE;
    }
    for (codec, name) in [(Codec::H264, "h264"), (Codec::Hevc, "hevc"), (Codec::Av1, "av1")] {
        for family in FAMILIES.iter().filter(|family| family.makes(codec)) {
            let registered = build::registered(family, codec).unwrap_or_default();
            let element = registered.first().map_or("-", |element| element.factory);
            println!("{} {name} {element}", family.name);
        }
    }
    ExitCode::SUCCESS
}

/// Makes one trial and writes its lines for the parent.
pub fn trial(args: &TrialArgs) -> ExitCode {
    let job = serde_json::from_str::<VideoJob>(&args.job).map_err(|e| e.to_string());
    let name = Name::new(&args.family).map_err(|e| e.to_string());
    match (job, name) {
        (Ok(job), Ok(name)) => {
            trial::run(&job, &name);
            ExitCode::SUCCESS
        }
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("holdfast-encode trial: {why}");
            ExitCode::FAILURE
        }
    }
}
