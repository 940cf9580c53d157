//! GStreamer's srtsrc and srtsink.

use std::process::Command;

use crate::endpoint::peer::installed;
use crate::pipes::{self, Case, PASSPHRASE};
use crate::table::{judge, side_by_side};

fn program(case: &Case, port: u16) -> Command {
    let mode = if case.it_calls { "caller" } else { "listener" };
    let keys = match case.key_bytes {
        0 => String::new(),
        bytes => format!("passphrase={PASSPHRASE} pbkeylen={bytes}"),
    };
    let place = format!("uri=srt://127.0.0.1:{port}?mode={mode} latency=300 {keys}");
    let pipeline = match case.it_sends {
        true => format!("fdsrc fd=0 blocksize=1316 ! srtsink {place} sync=false"),
        false => format!("srtsrc {place} ! fdsink fd=1 sync=false"),
    };
    let mut command = Command::new(installed("gst-launch-1.0"));
    command.arg("-q").args(pipeline.split_whitespace());
    command
}

#[test]
fn gstreamer_both_ways() {
    let rows = side_by_side(4, &pipes::all_cases(), |case| case.carry("GStreamer", program));
    judge("GStreamer srtsrc and srtsink", &rows);
}
