//! A box with several uplinks to a relay, which publishes to a real server; uplinks are lost on air.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::Command as Program;
use std::time::Duration;

use holdfast::events::{Command, EventKind, OutputState, PathState};
use holdfast::netem::{Conditions, Testbed, Uplink};

use crate::support::config::Configuration;
use crate::support::receiver::Ffmpeg;
use crate::support::results::record;
use crate::support::rig::{PATIENCE, Rig, repetitions};
use crate::support::wait::{has_udp_port, wait_until};

const FPS: u32 = 30;
const ROUNDING: f64 = 0.0015;
const PASSPHRASE: &str = "only-for-this-scenario";
/// Name and one-way delay, ms.
const UPLINKS: [(&str, u64); 3] = [("eth0", 5), ("wwan0", 25), ("starlink0", 20)];

/// Loses the first uplink again and again; the audience behind the relay must not see it.
fn an_uplink_is_lost(name: &'static str, bonding: &str) {
    let mut rig = Rig::new(name);
    let mut audience = Ffmpeg::start(&rig.guard, rig.dir(), "audience");
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("loopback").port();
    let uplinks = UPLINKS.map(|(name, delay)| Uplink {
        name: name.to_owned(),
        conditions: Conditions::delayed(Duration::from_millis(delay)),
    });
    let mut bed = Testbed::with_proxies(&uplinks, port, 1, "a scenario looks into the servers".to_owned())
        .expect("loopback has free ports");
    let relay = rig.guard.spawn("relay", &mut relay(&rig, port, &audience.url()));
    wait_until("the relay to listen", PATIENCE, || has_udp_port(port));

    let ways: Vec<String> =
        UPLINKS.iter().map(|(name, _)| bed.way(name, port).expect("an uplink of ours").0.to_string()).collect();
    let paths: Vec<String> = ways.iter().map(|way| format!("{{ address = \"{way}\" }}")).collect();
    rig.configure(
        &Configuration::new(FPS)
            .pattern("pattern")
            .rendition("main", "h264", "640x360", "1500k", "aac")
            .srt_destination(
                "relay",
                "main",
                &format!("srt://{}", ways[0]),
                PASSPHRASE,
                &format!(
                    "stream_id = \"show\"\nlatency = \"400ms\"\nbonding = \"{bonding}\"\npaths = [{}]",
                    paths.join(", ")
                ),
            ),
    );
    rig.go_on_air("pattern");
    rig.wait_publishing(&["relay"]);
    rig.wait("all paths to be connected", |s| {
        let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "relay")?;
        let paths = &output.srt.as_ref()?.paths;
        (paths.len() == UPLINKS.len() && paths.iter().all(|p| p.state.is_up())).then_some(())
    });
    rig.let_pass(6);

    let mut reactions = Vec::new();
    for _ in 0..repetitions(2, 20) {
        let before = rig.events().len();
        // Under main and backup the one that carries; all of them do under broadcast.
        let in_use = rig.wait("a path that carries", |s| {
            let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "relay")?;
            output.srt.as_ref()?.paths.iter().position(|p| p.state == PathState::Carries)
        });
        let uplink = UPLINKS[in_use].0;
        let hole = bed.emulator.order(&format!("{uplink} hole")).expect("an order it knows");
        if bonding == "backup" {
            let doubted = rig.wait_event(before, "the uplink to be doubted", |e| {
                e.kind == EventKind::PathDoubted && e.subject == format!("relay/{}", ways[in_use])
            });
            println!("    {}", doubted.reason);
            reactions.push(doubted.mono.as_nanos() / 1000 - hole.parse::<i64>().expect("microseconds"));
            rig.wait_event(before, "another uplink to take over", |e| e.kind == EventKind::PathSwitched);
        }
        rig.let_pass(3);
        bed.emulator.order(&format!("{uplink} heal")).expect("an order it knows");
        rig.wait("the uplink to be connected again", |s| {
            let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "relay")?;
            output.srt.as_ref()?.paths.iter().all(|p| p.state.is_up()).then_some(())
        });
        rig.let_pass(2);
    }
    let output = rig.output("relay");
    assert_eq!(output.state, OutputState::Publishing);
    assert_eq!((output.sessions, output.lost), (1, 0), "the session was lost or units were");
    let srt = output.srt.expect("it is SRT");
    let far_end = srt.far_end.expect("the relay tells what it has");
    assert!(far_end.is_verified(), "the relay has no moving picture: {far_end:?}");
    let status = String::from_utf8_lossy(&rig.holdfast(&["status"]).stdout).into_owned();
    println!("{status}");
    assert!(!status.contains(PASSPHRASE), "the passphrase is told");
    rig.order(Command::Stop);
    rig.wait("the session to end", |s| {
        let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "relay")?;
        (output.state == OutputState::Off).then_some(())
    });
    relay.signal(nix::sys::signal::Signal::SIGTERM);
    let mut recording = audience.recording();
    rig.shut_down();

    // When its sender has ended, the relay goes on with its slate until it is told to end too: other parameter sets, which
    // the audience's file has no place for.
    let last = recording.pictures.iter().filter_map(|p| p.code).max().expect("live pictures");
    let end = recording.pictures.iter().position(|p| p.code == Some(last)).expect("it is among them");
    recording.pictures.truncate(end + 1);
    let ended = recording.pictures[end].pts;
    // The sound that belongs to the last pictures had not been sent yet when the box was told to stop.
    recording.sound.retain(|packet| packet.pts < ended - 0.1);
    let count = recording.count();
    record(
        name,
        &[
            ("bonding", bonding.to_owned()),
            ("uplink_lost_times", repetitions(2, 20).to_string()),
            ("doubted_after_us", format!("{reactions:?}")),
            ("switches", srt.switches.to_string()),
            ("retransmitted", srt.retransmitted.to_string()),
            ("missing_at_the_relay", far_end.missing.to_string()),
            ("sound_ms_off_grid", format!("{:.1}", recording.sound_time_error(1024) * 1e3)),
            ("frames", count.frames.to_string()),
            ("frames_lost", count.lost.to_string()),
        ],
    );
    assert_eq!(far_end.missing, 0, "packets did not arrive in time");
    assert!(count.is_perfect(), "{count}");
    assert_eq!(recording.backwards(), 0, "time went back");
    assert!(recording.video_time_error(FPS.into()) < ROUNDING, "pictures are off the grid");
    assert!(recording.sound_time_error(1024) < ROUNDING, "sound is off the grid");
}

fn relay(rig: &Rig, port: u16, audience: &str) -> Program {
    let home = rig.dir().join("relay");
    fs::create_dir_all(&home).expect("our own directory");
    let config = format!(
        "[srt]\nlisten = [\"127.0.0.1:{port}\"]\n\n[[programme]]\nname = \"show\"\n\n\
         [[destination]]\nname = \"audience\"\nprogramme = \"show\"\nurl = \"{audience}\"\n"
    );
    let secrets = format!("[programme.show]\npassphrase = \"{PASSPHRASE}\"\n\n[destination.audience]\nkey = \"key\"\n");
    fs::write(home.join("relay.toml"), config).expect("our own directory");
    fs::write(home.join("secrets.toml"), secrets).expect("our own directory");
    fs::set_permissions(home.join("secrets.toml"), fs::Permissions::from_mode(0o600)).expect("our own file");
    let mut command = Program::new(env!("CARGO_BIN_EXE_holdfast-relay"));
    command.arg("--config").arg(home.join("relay.toml"));
    command
}

#[test]
fn with_main_and_backup_a_lost_uplink_costs_no_frame_behind_the_relay() {
    an_uplink_is_lost("uplink-backup", "backup");
}

#[test]
fn with_broadcast_a_lost_uplink_costs_no_frame_behind_the_relay() {
    an_uplink_is_lost("uplink-broadcast", "broadcast");
}
