//! The films both subjects show.

use std::path::{Path, PathBuf};

use crate::support::film::{Film, Part};

pub const SIZE: (u32, u32) = (1280, 720);
/// Where their numbers begin.
pub const CAMERA: u64 = 1_800_000_000;
pub const SPARE: u64 = 3_000_000_000;
/// Longer than any run, seconds.
const LASTS: u32 = 120;

#[derive(Debug)]
pub struct Films {
    pub camera: PathBuf,
    pub spare: PathBuf,
}

pub fn prepare() -> Films {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let make = |name: &str, first: u64| {
        let film = dir.join(format!("inputs-{name}.mp4"));
        if !film.exists() {
            println!("drawing {}", film.display());
            // Under its own name only when it is whole.
            let part = film.with_extension("part.mp4");
            Film::make(&part, first, SIZE, &[(Part::Good, LASTS)]);
            std::fs::rename(&part, &film).expect("our own directory");
        }
        film
    };
    Films { camera: make("camera", CAMERA), spare: make("spare", SPARE) }
}
