//! Numbered payloads into and out of programs that carry their standard input or output.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast::clock;
use holdfast::model::Media;

use crate::endpoint::now_us;
use crate::endpoint::numbered::{self, PAYLOAD, Tally};
use crate::endpoint::peer::{Peer, words};
use crate::table::Row;

const SOON: Duration = Duration::from_secs(20);
/// Bits per second.
const RATE: f64 = 2e6;
/// Payloads of one case: two seconds.
const COUNT: u64 = 380;

/// Ends when dropped.
#[derive(Debug)]
pub struct Piped(pub Child);

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Longer than the latency of the connection: later nobody would wait for a packet anyway.
const TAIL: Media = Media::from_millis(500);

/// A port that nobody has at the moment.
pub fn free_port() -> u16 {
    std::net::UdpSocket::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("loopback").port()
}

/// Waits until a time from now has come.
pub fn wait_until(media: Media) {
    clock::sleep_until(media);
}

/// Writes `COUNT` payloads at `RATE`, and then ends the input.
fn feed(mut input: ChildStdin) -> u64 {
    let begun = clock::media();
    for number in 0..COUNT {
        wait_until(begun + Media((number as f64 * PAYLOAD as f64 * 8e9 / RATE) as i64));
        if input.write_all(&numbered::write(7, number, now_us())).is_err() {
            return number;
        }
    }
    // At the end of its input a program closes its socket, and with it goes what libsrt has not sent yet.
    wait_until(clock::media() + TAIL);
    COUNT
}

fn tally(mut output: impl Read + Send + 'static) -> JoinHandle<Tally> {
    std::thread::spawn(move || {
        let (mut tally, mut payload) = (Tally::default(), [0; PAYLOAD]);
        while output.read_exact(&mut payload).is_ok() {
            tally.count(&payload, now_us());
        }
        tally
    })
}

/// How a case is set up.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Whether the other program calls.
    pub it_calls: bool,
    /// Whether the other program sends.
    pub it_sends: bool,
    /// 0 for none.
    pub key_bytes: usize,
}

pub const PASSPHRASE: &str = "correct-horse-battery";

/// Both ways, either calling, in clear and with every length of key.
pub fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for it_calls in [false, true] {
        for it_sends in [false, true] {
            cases.extend([0, 16, 24, 32].map(|key_bytes| Case { it_calls, it_sends, key_bytes }));
        }
    }
    cases
}

impl Case {
    pub fn name(&self, program: &str) -> String {
        let (role, way) =
            (if self.it_calls { "calls" } else { "listens" }, if self.it_sends { "sends" } else { "receives" });
        let keys = if self.key_bytes == 0 { "clear".to_owned() } else { format!("AES-{}", self.key_bytes * 8) };
        format!("{program} {role}, {way}, {keys}")
    }

    fn security(&self) -> String {
        if self.key_bytes == 0 {
            return String::new();
        }
        format!("--passphrase {PASSPHRASE} --key-bytes {}", self.key_bytes)
    }

    /// Ours.
    pub fn ourselves(&self, more: &str, port: u16) -> Peer {
        let (direction, role) =
            (if self.it_calls { "listen" } else { "call" }, if self.it_sends { "receive" } else { "send" });
        let security = self.security();
        Peer::holdfast(&words(&format!(
            "{direction} {role} --type none --latency 300 {security} {more} 127.0.0.1:{port}"
        )))
    }

    /// Runs `program`, which is told the mode, the port and the keys, and carries its standard input or output.
    pub fn carry(&self, name: &str, program: impl Fn(&Case, u16) -> Command) -> Row {
        let port = free_port();
        let mut ours = None;
        if self.it_calls {
            let mut peer = self.ourselves(&format!("--rate {RATE} --seconds 2"), port);
            peer.line("READY", SOON);
            ours = Some(peer);
        }
        let mut command = program(self, port);
        command.stdin(if self.it_sends { Stdio::piped() } else { Stdio::null() });
        command.stdout(if self.it_sends { Stdio::null() } else { Stdio::piped() });
        let started = command.spawn();
        let mut child = Piped(started.unwrap_or_else(|e| panic!("{:?}: {e}: run make setup", command.get_program())));
        let output = child.0.stdout.take().map(tally);
        let mut ours = ours.unwrap_or_else(|| self.ourselves(&format!("--rate {RATE} --seconds 2"), port));
        ours.line("CONNECTED", SOON);
        let case = self.name(name);
        let Some(output) = output else {
            // It knows of the connection when it has had its turn.
            wait_until(clock::media() + Media::from_millis(400));
            let sent = feed(child.0.stdin.take().expect("piped"));
            let report = ours.report(SOON);
            let (received, corrupt) =
                (report["received"].as_u64().unwrap_or(0), report["corrupt"].as_u64().unwrap_or(9));
            return Row { case, sent, received, missing: sent - received + corrupt, remark: String::new() };
        };
        let report = ours.report(SOON);
        // It has been told that we are gone; some wait for us to come back.
        wait_until(clock::media() + Media::from_millis(500));
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(child.0.id()).expect("a pid")),
            nix::sys::signal::Signal::SIGINT,
        );
        wait_until(clock::media() + Media::from_millis(500));
        let _ = child.0.kill();
        let tally = output.join().expect("it counts");
        let sent = report["sent"].as_u64().unwrap_or(0);
        Row { case, sent, received: tally.unique, missing: sent - tally.unique + tally.corrupt, remark: String::new() }
    }
}
