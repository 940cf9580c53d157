//! A box whose uplinks have real carriers: cables are pulled on air, and an interface comes, goes and comes again.
//!
//! Box and relay are in network namespaces of their own. Two uplinks are TAP devices through the emulator, whose carriers
//! it can take away; the third is a veth pair that does not exist at the beginning.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command as Program;
use std::time::Duration;

use holdfast::events::{Command, EventKind, LinkCondition, OutputState, PathSnapshot, PathState};
use holdfast::netem::{Conditions, Testbed, Uplink};

use crate::support::config::Configuration;
use crate::support::receiver::Ffmpeg;
use crate::support::results::record;
use crate::support::rig::{PATIENCE, Rig, repetitions};
use crate::support::tools::ip;
use crate::support::wait::{has_udp_port, wait_until};

const FPS: u32 = 30;
const ROUNDING: f64 = 0.0015;
const PASSPHRASE: &str = "only-for-this-scenario";
const PORT: u16 = 9000;
/// Name and one-way delay, ms.
const UPLINKS: [(&str, u64); 2] = [("eth0", 5), ("wwan0", 25)];
/// The one that comes and goes.
const STICK: &str = "usb0";

/// Plugs the stick in: its far end is in the network namespace of the relay's process.
fn plug_in(bed: &Testbed, relay: i32) -> io::Result<()> {
    bed.at_box(|| {
        ip(&format!("link add {STICK} type veth peer name relay9 netns {relay}"))?;
        ip(&format!("addr add 10.77.9.1/24 dev {STICK}"))?;
        ip(&format!("link set {STICK} up"))
    })?;
    bed.at_relay(|| {
        ip("addr add 10.77.9.2/24 dev relay9")?;
        ip("link set relay9 up")
    })?;
    bed.at_box(|| ip(&format!("route add default via 10.77.9.2 dev {STICK} metric 9")))
}

fn pull_out(bed: &Testbed) -> io::Result<()> {
    bed.at_box(|| ip(&format!("link del {STICK}")))
}

fn paths(rig: &Rig) -> Vec<PathSnapshot> {
    rig.output("relay").srt.expect("it is SRT").paths
}

fn wait_path(rig: &Rig, label: &str, what: &str, is_so: impl Fn(&PathSnapshot) -> bool) {
    wait_until(&format!("{label} {what}"), PATIENCE, || paths(rig).iter().any(|p| p.label == label && is_so(p)));
}

#[test]
fn a_pulled_cable_costs_no_frame_and_an_interface_may_come_and_go() {
    let uplinks = UPLINKS.map(|(name, delay)| Uplink {
        name: name.to_owned(),
        conditions: Conditions::delayed(Duration::from_millis(delay)),
    });
    let mut bed = match Testbed::with_namespaces(&uplinks, 1) {
        Ok(bed) => bed,
        Err(why) => return println!("skipped: there are no namespaces with devices here ({why})"),
    };
    let mut rig = Rig::new("carriers");
    let (guard, dir) = (&rig.guard, rig.dir().to_owned());
    let mut audience = bed.at_relay(|| Ok(Ffmpeg::start(guard, &dir, "audience"))).expect("FFmpeg starts");
    let mut command = relay(&rig, &audience.url());
    let relay = bed.at_relay(|| Ok(guard.spawn("relay", &mut command))).expect("the relay starts");
    wait_until("the relay to listen", PATIENCE, || bed.at_relay(|| Ok(has_udp_port(PORT))).expect("our own namespace"));

    let (far, _) = bed.way("eth0", PORT).expect("an uplink of ours");
    rig.configure(
        &Configuration::new(FPS)
            .pattern("pattern")
            .rendition("main", "h264", "640x360", "1500k", "aac")
            .srt_destination(
                "relay",
                "main",
                &format!("srt://{far}"),
                PASSPHRASE,
                "stream_id = \"show\"\nlatency = \"400ms\"\nbonding = \"backup\"\n\
                 paths = [{ interface = \"eth0\" }, { interface = \"wwan0\" }, { interface = \"usb0\" }]",
            ),
    );
    let mut command = rig.daemon_command();
    let guard = &rig.guard;
    let daemon = bed.at_box(|| Ok(guard.spawn("holdfastd", &mut command))).expect("holdfastd starts");
    rig.adopt_daemon(daemon);
    rig.order(Command::Start);
    rig.wait_for_source(&crate::support::rig::live("pattern"));
    rig.wait_publishing(&["relay"]);
    for (name, _) in UPLINKS {
        wait_path(&rig, name, "to be connected", |p| p.state.is_up());
    }
    wait_path(&rig, STICK, "to wait for its interface", |p| matches!(p.state, PathState::NoLink { .. }));
    rig.let_pass(4);

    let (mut helped, mut switched) = (Vec::new(), Vec::new());
    for _ in 0..repetitions(2, 20) {
        let before = rig.events().len();
        let in_use = rig.wait("a path that carries", |s| {
            let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "relay")?;
            output.srt.as_ref()?.paths.iter().find(|p| p.state == PathState::Carries).map(|p| p.label.clone())
        });
        let cut = i64::try_from(bed.emulator.order_at(&format!("{in_use} cut")).expect("an order it knows")).unwrap();
        let since = |event: &holdfast::events::Event| event.mono.as_nanos() / 1000 - cut;
        let doubted = rig.wait_event(before, "others to carry as well", |e| {
            e.kind == EventKind::PathDoubted && e.subject == format!("relay/{in_use}")
        });
        println!("    {}", doubted.reason);
        assert!(doubted.reason.contains("carrier"), "the carrier was to be the first sign: {}", doubted.reason);
        helped.push(since(&doubted));
        switched.push(since(&rig.wait_event(before, "another to take over", |e| e.kind == EventKind::PathSwitched)));
        rig.wait_event(before, "the interface's loss", |e| e.kind == EventKind::LinkDown && e.subject == in_use);
        wait_path(&rig, &in_use, "to wait for its carrier", |p| matches!(p.state, PathState::NoLink { .. }));
        rig.let_pass(2);
        bed.emulator.order(&format!("{in_use} heal")).expect("an order it knows");
        wait_path(&rig, &in_use, "to be connected again", |p| p.state.is_up());
        rig.let_pass(3);
    }

    let mut joined = Vec::new();
    for n in 1..=2 {
        plug_in(&bed, relay.pid()).expect("a veth pair");
        let plugged = holdfast::clock::media();
        wait_path(&rig, STICK, "to join the bond", |p| p.state.is_up() && p.connections == n);
        let up = rig.events().into_iter().rev().find(|e| e.kind == EventKind::PathUp && e.subject == "relay/usb0");
        joined.push((up.expect("an event").mono - plugged).to_ticks(1000));
        rig.let_pass(2);
        let links = rig.wait("the interface among the links", |s| s.plane.as_ref()?.links.clone());
        let stick = links.iter().find(|l| l.name == STICK).expect("it is there");
        assert_eq!(stick.condition, LinkCondition::Ready, "{stick:?}");
        assert!(stick.used_by[0].starts_with("relay"), "{stick:?}");
        pull_out(&bed).expect("it was there");
        wait_path(&rig, STICK, "to wait for its interface again", |p| matches!(p.state, PathState::NoLink { .. }));
        rig.let_pass(1);
    }
    println!("{}", String::from_utf8_lossy(&rig.holdfast(&["links"]).stdout));

    let output = rig.output("relay");
    assert_eq!(output.state, OutputState::Publishing);
    assert_eq!((output.sessions, output.lost), (1, 0), "the session was lost or units were");
    let srt = output.srt.expect("it is SRT");
    let far_end = srt.far_end.expect("the relay tells what it has");
    rig.order(Command::Stop);
    rig.wait("the session to end", |s| {
        let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "relay")?;
        (output.state == OutputState::Off).then_some(())
    });
    relay.signal(nix::sys::signal::Signal::SIGTERM);
    let mut recording = audience.recording();
    rig.shut_down();

    // As in `uplinks`: what comes after the last live picture is the relay's own slate.
    let last = recording.pictures.iter().filter_map(|p| p.code).max().expect("live pictures");
    let end = recording.pictures.iter().position(|p| p.code == Some(last)).expect("it is among them");
    recording.pictures.truncate(end + 1);
    let ended = recording.pictures[end].pts;
    recording.sound.retain(|packet| packet.pts < ended - 0.1);
    let count = recording.count();
    record(
        "carriers",
        &[
            ("cables_pulled", helped.len().to_string()),
            ("spare_carries_after_us", format!("{helped:?}")),
            ("switched_after_us", format!("{switched:?}")),
            ("interface_joins_after_ms", format!("{joined:?}")),
            ("switches", srt.switches.to_string()),
            ("missing_at_the_relay", far_end.missing.to_string()),
            ("frames", count.frames.to_string()),
            ("frames_lost", count.lost.to_string()),
        ],
    );
    // An idle machine takes 1 to 50 ms; this one may be busy with other things.
    helped.sort_unstable();
    assert!(helped[0] <= 50_000, "others carried {helped:?} µs after the cable was pulled");
    assert!(helped.iter().all(|us| *us <= 300_000), "others carried {helped:?} µs after the cable was pulled");
    assert_eq!(far_end.missing, 0, "packets did not arrive in time");
    assert!(count.is_perfect(), "{count}");
    assert_eq!(recording.backwards(), 0, "time went back");
    assert!(recording.video_time_error(FPS.into()) < ROUNDING, "pictures are off the grid");
}

fn relay(rig: &Rig, audience: &str) -> Program {
    let home = rig.dir().join("relay");
    fs::create_dir_all(&home).expect("our own directory");
    let config = format!(
        "[srt]\nlisten = [\"0.0.0.0:{PORT}\"]\n\n[[programme]]\nname = \"show\"\n\n\
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
