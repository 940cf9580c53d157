//! `holdfast inputs`.

use std::ops::ControlFlow;
use std::process::ExitCode;

use holdfast::config::Paths;
use holdfast::events::{BoxSnapshot, InputSnapshot, render};
use serde::Serialize;

use crate::desk::each_snapshot;
use crate::status::redraw;
use crate::terminal::{complain, is_terminal, say_json, style, write};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Keep showing them as they change; end with Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    /// As JSON, a list in one line; with --watch one line for each change.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(paths: &Paths, arguments: &Arguments) -> ExitCode {
    let shown = each_snapshot(paths, arguments.watch, |snapshot| match show(&snapshot, arguments) {
        Ok(()) => ControlFlow::Continue(()),
        Err(code) => ControlFlow::Break(code),
    });
    shown.unwrap_or_else(|e| {
        complain(&e.to_string());
        e.exit_code()
    })
}

fn show(snapshot: &BoxSnapshot, arguments: &Arguments) -> Result<(), ExitCode> {
    if arguments.json {
        return say_json(&listed(snapshot));
    }
    let page = render::inputs(snapshot, style());
    if arguments.watch && is_terminal() {
        redraw(&page);
    } else {
        write(&page);
    }
    Ok(())
}

/// An input as scripts see it.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    input: &'a InputSnapshot,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail: Option<Thumbnail<'a>>,
}

/// What it shows.
#[derive(Serialize)]
struct Thumbnail<'a> {
    path: &'a str,
    age_ms: u64,
}

fn listed(snapshot: &BoxSnapshot) -> Vec<Listed<'_>> {
    let thumbnail = |input: &InputSnapshot| {
        let worker = snapshot.workers.iter().find(|worker| worker.input == input.id)?;
        let newest = worker.thumbnail.as_ref()?;
        Some(Thumbnail { path: &newest.path, age_ms: newest.age_ms(snapshot.at) })
    };
    let inputs = snapshot.plane.iter().flat_map(|plane| &plane.inputs);
    inputs.map(|input| Listed { input, thumbnail: thumbnail(input) }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scripts_see_where_the_thumbnail_is_and_how_old() {
        let text = r#"{"protocol":1,"at":5000000,"box_name":"b","version":"0","on_air":false,"on_air_since":null,
            "children":[],"config_refused":null,
            "plane":{"on_air":false,"programme_time":0,"source":"slate","source_reason":"","renditions":[],"outputs":[],
                     "recordings":[],"inputs":[{"id":"film","connected":true,"last_unit_ms":7},
                                               {"id":"cam","connected":false,"last_unit_ms":null}]},
            "workers":[{"input":"film","signal":"","has_picture":true,"repeated":0,"dropped":0,"drift_ppm":0,"streams":[],
                        "thumbnail":{"path":"/run/holdfast/thumbnails/film.jpg","taken":4250000}}]}"#;
        let snapshot: BoxSnapshot = serde_json::from_str(text).unwrap();
        let shown = serde_json::to_value(listed(&snapshot)).unwrap();
        assert_eq!(shown[0]["id"], "film");
        assert_eq!(shown[0]["thumbnail"]["path"], "/run/holdfast/thumbnails/film.jpg");
        assert_eq!(shown[0]["thumbnail"]["age_ms"], 750);
        assert_eq!((&shown[1]["id"], shown[1].get("thumbnail")), (&"cam".into(), None));
    }
}
