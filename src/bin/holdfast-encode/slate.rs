//! Makes the slate of one rendition.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use holdfast::config::{Paths, Settings};
use holdfast::encode::slate;
use holdfast::model::RenditionId;

/// Where things are.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The rendition's name in the configuration.
    #[arg(long, value_parser = RenditionId::new)]
    rendition: RenditionId,
    /// Sockets and locks.
    #[arg(long)]
    runtime: PathBuf,
    /// What survives a reboot; the configuration in force is in it, and the slates go there.
    #[arg(long)]
    state: PathBuf,
    /// Only draw the picture, into this PNG file.
    #[arg(long)]
    png: Option<PathBuf>,
}

/// Makes it unless it is there; prints where it is.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match made(arguments) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("holdfast-encode slate {}: {why}", arguments.rendition);
            ExitCode::FAILURE
        }
    }
}

fn made(arguments: &Arguments) -> Result<PathBuf, String> {
    let paths = Paths::new(&arguments.runtime, &arguments.state);
    if let Some((_, told)) = crate::registry::adopt(&paths) {
        eprintln!("{told}");
    }
    let settings = crate::run::settings(&paths)?;
    let rendition = settings
        .rendition(&arguments.rendition)
        .ok_or_else(|| format!("{} has no such rendition", paths.last_good_config().display()))?;
    let image = slate::file::picture_bytes(&settings);
    if image.is_none()
        && let Some(path) = &settings.slate.image
    {
        eprintln!("{}: cannot be read; the slate shows the box's name instead", path.display());
    }
    if let Some(png) = &arguments.png {
        let (width, height) = (rendition.width, rendition.height);
        return draw(&settings, image.as_deref(), width, height, png).map(|()| png.clone());
    }
    let encoder = crate::run::encoder(&settings, rendition);
    slate::make(&settings, rendition, &encoder, &paths).map_err(|e| e.to_string())
}

fn draw(settings: &Settings, image: Option<&[u8]>, width: u32, height: u32, png: &Path) -> Result<(), String> {
    let (picture, complaint) = slate::picture_for(settings, image, width, height);
    if let Some(why) = complaint {
        eprintln!("the slate shows the box's name, because the configured picture is {why}");
    }
    slate::save_png(&picture, png).map_err(|e| format!("{}: {e}", png.display()))
}
