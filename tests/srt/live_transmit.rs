//! Debian's srt-live-transmit: libsrt 1.5.1 as everybody has it.

use std::process::Command;

use crate::endpoint::peer::installed;
use crate::pipes::{self, Case, PASSPHRASE};
use crate::table::{judge, side_by_side};

fn program(case: &Case, port: u16) -> Command {
    let mode = if case.it_calls { "caller" } else { "listener" };
    let keys = match case.key_bytes {
        0 => String::new(),
        bytes => format!("&passphrase={PASSPHRASE}&pbkeylen={bytes}"),
    };
    let url = format!("srt://127.0.0.1:{port}?mode={mode}&latency=300&transtype=live{keys}");
    let mut command = Command::new(installed("srt-live-transmit"));
    command.args(["-q", "-a", "no", "-chunk", "1316", "-loglevel", "fatal"]);
    if case.it_sends {
        command.args(["file://con", &url])
    } else {
        command.args([&url, "file://con"])
    };
    command
}

#[test]
fn srt_live_transmit_both_ways() {
    let rows = side_by_side(4, &pipes::all_cases(), |case| case.carry("srt-live-transmit", program));
    judge("srt-live-transmit (Debian's libsrt)", &rows);
}
