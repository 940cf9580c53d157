use super::*;
use crate::events::{
    CONTROL_PROTOCOL, EventKind, HeatCeiling, InputSnapshot, InputStanding, RenditionSnapshot, Role, TelemetrySnapshot,
    WorkerReport, WorkerStream,
};
use crate::model::{Codec, Condition, Fault, Finding, InputId, Manual, Media, OutputId, RenditionId, Wall};

const PLAIN: Style = Style { colour: false, width: 92 };

fn input() -> InputId {
    InputId::new("camera").expect("a name")
}

fn rendition(name: &str) -> RenditionId {
    RenditionId::new(name).expect("a name")
}

fn output(name: &str, state: OutputState, sessions: u32) -> OutputSnapshot {
    OutputSnapshot {
        id: OutputId::new(name).expect("a name"),
        rendition: rendition("main"),
        url: format!("rtmps://{name}.example/live"),
        state,
        sessions,
        sent: 1000,
        lost: 0,
        bytes: 12_345_678,
        acknowledged: 12_300_000,
        behind_ms: 40,
        route: None,
        standby: None,
        srt: None,
    }
}

fn plane() -> PlaneSnapshot {
    let because = "the server refuses the stream key; copy it again from the service's page into secrets.toml, then: \
                   holdfast reload";
    let waiting = OutputState::Waiting { retry_in_ms: 3200, because: because.to_owned() };
    PlaneSnapshot {
        on_air: true,
        programme_time: Media::from_millis(7_987_300),
        source: SourceOnAir::Input(input()),
        source_reason: "the first input in order delivers".to_owned(),
        choice: Manual::Auto,
        inputs: vec![InputSnapshot {
            sender: None,
            id: input(),
            connected: true,
            last_unit_ms: Some(12),
            condition: Condition::GOOD,
            standing: InputStanding::Ready,
            score: None,
        }],
        renditions: vec![RenditionSnapshot {
            id: rendition("main"),
            codec: Codec::H264,
            live: 239_400,
            slate: 12,
            held: 9,
            holds: false,
            missing: 0,
            late: 3,
            bitrate: 3_912_000,
            lowered: None,
            lowered_because: None,
            heat: None,
        }],
        outputs: vec![output("youtube", OutputState::Publishing, 1), output("twitch", waiting, 7)],
        recordings: vec![RecordingSnapshot {
            id: OutputId::new("archive").expect("a name"),
            rendition: rendition("main"),
            state: RecordingState::Recording,
            file: Some("/data/recordings/archive-2026-11-21T14-00-00.mp4.part".to_owned()),
            bytes: 1_234_567_890,
            lost: 0,
            free_bytes: Some(45_600_000_000),
        }],
        links: None,
    }
}

fn snapshot() -> BoxSnapshot {
    let child = |role, pid, starts, last_end: Option<&str>| ChildSnapshot {
        role,
        state: ChildState::Running,
        pid: Some(pid),
        starts,
        last_end: last_end.map(str::to_owned),
    };
    BoxSnapshot {
        protocol: CONTROL_PROTOCOL,
        at: Wall(8_000_000_000),
        box_name: "St Mary's".to_owned(),
        version: "0.1.0".to_owned(),
        on_air: true,
        on_air_since: Some(Wall(0)),
        children: vec![
            child(Role::Transmit, 1234, 1, None),
            child(Role::Encode(input()), 1301, 2, Some("killed by SIGKILL")),
        ],
        plane: Some(plane()),
        workers: vec![WorkerReport {
            input: input(),
            signal: "1920x1080 30 fps, HDMI".to_owned(),
            has_picture: true,
            repeated: 2,
            dropped: 0,
            drift_ppm: -12,
            streams: vec![WorkerStream {
                rendition: rendition("main"),
                encoder: "x264enc".to_owned(),
                encoded: 239_412,
                stood_by: 12,
                overflowed: 0,
                latency_ms: 23,
                waiting_ms: 33,
                left_out: 0,
                bitrate_changes: 0,
                keyframes_by_bitrate: 0,
            }],
            thumbnail: None,
        }],
        config_refused: None,
        telemetry: TelemetrySnapshot::default(),
    }
}

fn killed() -> Event {
    let at = (Wall(0), Media(0));
    let text = "killed by SIGKILL; starting another at once";
    Event::new(at, Role::Supervisor, EventKind::ChildEnded, Severity::Warning, "worker camera", text)
}

#[test]
fn a_box_on_air_with_one_destination_in_trouble() {
    let page = status(&snapshot(), &[("14:03:01", &killed())], PLAIN);
    assert_eq!(page.replace('\u{a0}', " "), include_str!("on-air.txt"), "\n{page}");
}

#[test]
fn a_bit_rate_below_what_was_configured_stands_there_with_what_keeps_it_down() {
    let mut now = snapshot();
    let main = &mut now.plane.as_mut().unwrap().renditions[0];
    main.lowered = Some(1_400_000);
    main.lowered_because = Some("youtube bears no more".to_owned());
    main.heat = Some(HeatCeiling { bitrate: 3_200_000, because: "cpu-thermal has 77 °C".to_owned() });
    let stream = &mut now.workers[0].streams[0];
    (stream.bitrate_changes, stream.keyframes_by_bitrate, stream.left_out) = (12, 11, 3);
    for page in [status(&now, &[], PLAIN), bitrates(&now, None, PLAIN)] {
        assert!(page.contains("     no more than 1.4 Mbit/s asked for: youtube bears no more\n"), "{page}");
        assert!(page.contains("     heat leaves 3.2 Mbit/s of it: cpu-thermal has 77 °C\n"), "{page}");
        assert!(page.replace("\n    ", "").contains("12 changes of bit rate, which cost 11 keyframes"), "{page}");
    }
    assert_eq!(bitrates(&now, Some(&rendition("other")), PLAIN), "");
    let main = &mut now.plane.as_mut().unwrap().renditions[0];
    (main.lowered, main.lowered_because) = (Some(3_200_000), Some("cpu-thermal has 77 °C".to_owned()));
    let page = bitrates(&now, Some(&rendition("main")), PLAIN);
    assert!(page.contains("no more than 3.2 Mbit/s asked for: cpu-thermal has 77 °C"), "{page}");
    assert_eq!(page.matches("77 °C").count(), 1, "once is enough: {page}");
    let page = bitrates(&snapshot(), None, PLAIN);
    assert!(page.contains("all that was configured") && page.contains("no change of bit rate so far"), "{page}");
}

#[test]
fn what_is_wrong_with_an_input_stands_below_it_with_what_follows() {
    let mut now = snapshot();
    let input = &mut now.plane.as_mut().unwrap().inputs[0];
    let finding = Finding { fault: Fault::Frozen, evidence: "unchanged for 8.0 s".to_owned() };
    (input.condition, input.standing) = (Condition::new(vec![finding]), InputStanding::Impaired);
    let page = status(&now, &[], PLAIN);
    assert!(page.contains("     frozen: unchanged for 8.0 s\n"), "{page}");
}

#[test]
fn colour_changes_no_word() {
    let style = Style { colour: true, ..PLAIN };
    let coloured = status(&snapshot(), &[("14:03:01", &killed())], style);
    let mut bare = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        bare.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    bare.push_str(rest);
    assert_eq!(bare, status(&snapshot(), &[("14:03:01", &killed())], PLAIN));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut now = snapshot();
    now.config_refused = Some("holdfast.toml:3:1: unknown key `biterate`; did you mean `bitrate`? ".repeat(5));
    for width in 40..120 {
        let page = status(&now, &[("14:03:01", &killed())], Style { colour: false, width });
        let widest = page.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{widest:?} in {width} columns:\n{page}");
    }
}

#[test]
fn the_first_line_about_the_programme_says_what_viewers_see() {
    let headline = |change: &dyn Fn(&mut BoxSnapshot)| {
        let mut now = snapshot();
        change(&mut now);
        summary(&now)
    };
    assert_eq!(headline(&|_| {}), "ON AIR with camera; 1 of 2 destinations publishing");
    assert_eq!(headline(&|now| now.on_air = false), "OFF AIR; 1 of 2 destinations publishing");
    assert_eq!(headline(&|now| now.plane = None), "ON AIR is wanted, but nothing is being sent");
    let slate = |now: &mut BoxSnapshot| now.plane = Some(PlaneSnapshot { source: SourceOnAir::Slate, ..plane() });
    assert_eq!(headline(&slate), "ON AIR with the slate; 1 of 2 destinations publishing");
    let held = |now: &mut BoxSnapshot| {
        let mut plane = PlaneSnapshot { source: SourceOnAir::Slate, ..plane() };
        plane.renditions[0].holds = true;
        now.plane = Some(plane);
    };
    assert_eq!(headline(&held), "ON AIR with the last picture, held; 1 of 2 destinations publishing");
}
