//! What a trial's outcome depends on besides the job: GStreamer, the plugin, the kernel, the drivers, the devices.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::table::Family;

/// A line of text that is the same as long as a trial of `family` would come out the same.
pub(super) fn fingerprint(family: &Family) -> String {
    let mut text = format!("{}; {}", gst::version_string(), kernel());
    for element in family.elements {
        let Some(file) = gst::ElementFactory::find(element.factory).and_then(|f| f.plugin()?.filename()) else {
            continue;
        };
        let _ = write!(text, "; {}", file_identity(&file));
        break;
    }
    if family.kind == super::table::Kind::Hardware {
        for gpu in gpus() {
            let _ = write!(text, "; {gpu}");
        }
        for driver in va_drivers() {
            let _ = write!(text, "; {driver}");
        }
    }
    text
}

/// The kernel's release.
pub(super) fn kernel() -> String {
    format!("Linux {}", first_line("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()))
}

/// Which run of the machine this is.
pub(super) fn boot() -> String {
    first_line("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// The processor's name.
pub(super) fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()));
    name.or_else(|| first_line("/proc/device-tree/model")).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Graphics devices as `card0 8086:46a6 i915`, with the driver's version where it has one of its own.
pub(super) fn gpus() -> Vec<String> {
    let mut found: Vec<_> = entries(Path::new("/sys/class/drm"))
        .into_iter()
        .filter(|name| name.strip_prefix("card").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())))
        .map(|name| {
            let device = Path::new("/sys/class/drm").join(&name).join("device");
            let id = |file: &str| first_line(device.join(file)).map(|id| id.trim_start_matches("0x").to_owned());
            let driver = fs::read_link(device.join("driver")).ok();
            let driver =
                driver.as_deref().and_then(Path::file_name).map_or("?".into(), |n| n.to_string_lossy().into_owned());
            let ids = match (id("vendor"), id("device")) {
                (Some(vendor), Some(model)) => format!(" {vendor}:{model}"),
                _ => String::new(),
            };
            let version =
                first_line(format!("/sys/module/{driver}/version")).map_or_else(String::new, |v| format!(" {v}"));
            format!("{name}{ids} {driver}{version}")
        })
        .collect();
    found.sort();
    found
}

/// VA-API drivers: their files, which say more than their own version strings do.
pub(super) fn va_drivers() -> Vec<String> {
    let roots = ["/usr/lib/x86_64-linux-gnu/dri", "/usr/lib/dri", "/usr/lib64/dri", "/usr/lib/aarch64-linux-gnu/dri"];
    let files =
        roots.iter().flat_map(|root| entries(Path::new(root)).into_iter().map(move |n| Path::new(root).join(n)));
    let mut found: Vec<_> =
        files.filter(|p| p.to_string_lossy().ends_with("_drv_video.so")).map(|p| file_identity(&p)).collect();
    found.sort();
    found
}

/// Video devices of the machine itself, which may encode and decode (V4L2 M2M), as `video11 bcm2835-codec-encode`. What is
/// plugged in by USB only captures.
pub(super) fn video_processors() -> Vec<String> {
    let class = Path::new("/sys/class/video4linux");
    let mut found: Vec<_> = entries(class)
        .into_iter()
        .filter(|name| !fs::canonicalize(class.join(name)).is_ok_and(|path| path.to_string_lossy().contains("/usb")))
        .map(|name| format!("{name} {}", first_line(class.join(&name).join("name")).unwrap_or_default()))
        .collect();
    found.sort();
    found
}

fn file_identity(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    fs::metadata(path).map_or_else(|_| name.to_string(), |m| format!("{name} {} {}", m.len(), m.mtime()))
}

fn entries(directory: &Path) -> Vec<String> {
    let read = fs::read_dir(directory).into_iter().flatten().flatten();
    read.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn first_line(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim_end_matches('\0').trim().to_owned())
}
