//! The instruments themselves: what FFmpeg publishes, every receiver must give back exactly.

use std::process::Command;
use std::time::Duration;

use holdfast::capture::blockcode;

use crate::support::picture::count;
use crate::support::process::Guard;
use crate::support::receiver::{Admission, Certificate, Ffmpeg, Nginx, NodeMediaServer, Pyav};
use crate::support::tools;

/// Numbered pictures, encoded by FFmpeg.
pub fn numbered_clip(dir: &std::path::Path, frames: u64) -> std::path::PathBuf {
    numbered(dir, frames, 0)
}

/// Those, reordered with so many pictures between two that do not look ahead.
pub fn numbered(dir: &std::path::Path, frames: u64, between: u8) -> std::path::PathBuf {
    numbered_by(dir, frames, &["libx264", "-preset", "ultrafast", "-bf", &between.to_string()])
}

/// Those, by another encoder of FFmpeg's and its options.
pub fn numbered_by(dir: &std::path::Path, frames: u64, encoder: &[&str]) -> std::path::PathBuf {
    let (w, h) = (320, 180);
    let raw = dir.join("numbered.gray");
    let mut bytes = Vec::new();
    for n in 0..frames {
        let mut luma = vec![120; w * h];
        blockcode::draw(n + 1000, &mut luma, w, w, h);
        bytes.extend(luma);
    }
    std::fs::write(&raw, bytes).unwrap();
    let clip = dir.join("numbered.mkv");
    let status = tools::ffmpeg()
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-s", &format!("{w}x{h}"), "-r", "30", "-i"])
        .arg(&raw)
        .args(["-f", "lavfi", "-i", "sine=440:sample_rate=48000", "-shortest", "-ac", "2", "-c:a", "aac"])
        .arg("-c:v")
        .args(encoder)
        .args(["-g", "30", "-pix_fmt", "yuv420p", "-y"])
        .arg(&clip)
        .status()
        .unwrap();
    assert!(status.success());
    clip
}

fn publish(clip: &std::path::Path, url: &str) {
    let mut command: Command = tools::ffmpeg();
    command.args(["-re", "-i"]).arg(clip).args(["-c", "copy", "-f", "flv", url]);
    let status = command.status().unwrap();
    assert!(status.success(), "FFmpeg could not publish to {url}");
}

#[test]
fn every_receiver_gives_back_what_ffmpeg_publishes() {
    let dir = tempfile::tempdir().unwrap();
    let guard = Guard::new(dir.path());
    let clip = numbered_clip(dir.path(), 90);
    let certificate = Certificate::for_name(dir.path(), "localhost");

    let mut ffmpeg = Ffmpeg::start(&guard, dir.path(), "ffmpeg");
    let pyav = Pyav::start(&guard, dir.path(), "pyav", 1);
    let nms = NodeMediaServer::start(&guard, dir.path(), "nms", &certificate, Admission::Open);
    let nginx = Nginx::start(&guard, dir.path(), "nginx", "");

    for url in [ffmpeg.url(), pyav.url(), nms.url(), nginx.url()] {
        publish(&clip, &format!("{url}/key"));
    }

    let recordings = [
        ("FFmpeg", ffmpeg.recording()),
        ("PyAV", pyav.recording(0)),
        ("node-media-server", nms.recording("key")),
        ("nginx", nginx.recording("key")),
    ];
    for (name, recording) in recordings {
        let count = recording.count();
        println!(
            "{name:>18}: {count}, {} keys, sound {} packets, time errors {:.4} {:.4}",
            recording.pictures.iter().filter(|p| p.key).count(),
            recording.sound.len(),
            recording.video_time_error(30.0),
            recording.sound_time_error(1024)
        );
        assert!(count.is_perfect() && count.frames == 90, "{name}: {count}\n{}", recording.complaints);
        assert_eq!(recording.pictures.iter().filter(|p| p.key).count(), 3, "{name}: keyframes");
        assert_eq!(recording.backwards(), 0, "{name}: time went back");
        assert!(recording.video_time_error(30.0) < 0.0015, "{name}: {}", recording.video_time_error(30.0));
        assert!(recording.sound_time_error(1024) < 0.0015, "{name}: {}", recording.sound_time_error(1024));
    }
}

#[test]
fn a_lost_a_repeated_and_a_swapped_frame_are_each_counted() {
    let lost = count([Some(1), Some(2), Some(4)].into_iter());
    assert_eq!((lost.lost, lost.repeated, lost.backwards), (1, 0, 0));
    let repeated = count([Some(1), Some(2), Some(2), Some(3)].into_iter());
    assert_eq!((repeated.lost, repeated.repeated, repeated.backwards), (0, 1, 0));
    let swapped = count([Some(1), Some(3), Some(2), Some(4)].into_iter());
    assert_eq!((swapped.lost, swapped.repeated, swapped.backwards), (0, 0, 1));
    let slate = count([Some(1), None, Some(2)].into_iter());
    assert_eq!(slate.unreadable, 1);
    assert!(![lost, repeated, swapped, slate].iter().any(super::support::picture::Count::is_perfect));
}

#[test]
fn nothing_of_a_run_survives_its_guard() {
    let dir = tempfile::tempdir().unwrap();
    let guard = Guard::new(dir.path());
    // A child of a child, in a session of its own: what a supervised worker is to the test.
    let parent = guard.spawn("parent", Command::new("bash").args(["-c", "setsid sleep 1000 & echo $!; wait"]));
    let grandchild = crate::support::wait::wait_for("the grandchild", Duration::from_secs(20), || {
        parent.log().trim().parse::<i32>().ok()
    });
    assert!(std::path::Path::new(&format!("/proc/{grandchild}")).exists());
    drop(guard);
    crate::support::wait::wait_until("the grandchild to be gone", Duration::from_secs(20), || {
        // Killed; a zombie until its parent takes notice.
        std::fs::read_to_string(format!("/proc/{grandchild}/stat")).map_or(true, |s| s.contains(") Z "))
    });
}
