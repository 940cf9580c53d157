//! A box whose uplink is alive and bears too little: the picture gets fewer bits, and the stream stays where it is.

use holdfast::clock;
use holdfast::events::{BoxSnapshot, EventKind};
use holdfast::model::Media;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::results::record;
use crate::support::show::{Plan, Show, together};

/// kbit/s.
const CEILING: u32 = 1500;
const FLOOR: u32 = 300;

/// Over one uplink, with a picture that needs all it may have.
fn plan(name: &'static str) -> Plan {
    Plan {
        takeover: "",
        interfaces: "\"eth0\"",
        is_noisy: true,
        bitrate: "1500k",
        rendition: "bitrate_floor = \"300k\"",
        has_standby: false,
        ..Plan::new(name)
    }
}

/// What the encoder is asked for, kbit/s, and how much of the programme waits, ms.
fn now(snapshot: &BoxSnapshot) -> Option<(u32, u64)> {
    let plane = snapshot.plane.as_ref()?;
    let rendition = plane.renditions.iter().find(|r| r.id.as_str() == "main")?;
    let output = plane.outputs.iter().find(|o| o.id.as_str() == "youtube")?;
    Some((rendition.lowered.map_or(CEILING, |bits| bits / 1000), output.behind_ms))
}

impl Show {
    /// The bit rate asked for and the programme that waits, of each second of so many.
    fn seconds(&self, count: u32) -> Vec<(u32, u64)> {
        (0..count)
            .map(|_| {
                self.rig.let_pass(1);
                self.rig.wait("a rendition and a destination", now)
            })
            .collect()
    }
}

#[test]
fn a_narrow_uplink_lowers_the_bit_rate_to_what_it_bears_and_costs_no_frame() {
    let Some(mut show) = Show::of(&plan("narrow")) else { return };
    let before = show.rig.events().len();
    let full = show.seconds(8);
    assert!(full.iter().all(|(bitrate, _)| *bitrate == CEILING), "{full:?}");

    let narrowed = clock::media();
    show.order("eth0 rate 800k queue 300ms forward");
    let lowered = show.rig.wait_event(before, "the bit rate to go down", |e| e.kind == EventKind::BitrateChanged);
    println!("    {}", lowered.reason);
    let after = (lowered.mono - narrowed).to_ticks(1000);
    let narrow = show.seconds(30);
    let (lowest, longest) = (narrow.iter().map(|s| s.0).min(), narrow.iter().map(|s| s.1).max());

    let widened = clock::media();
    show.order("eth0 rate off forward");
    let free = show.rig.wait_event(before, "it to have all again", |e| {
        e.kind == EventKind::BitrateChanged && e.reason.contains("again")
    });
    println!("    {}", free.reason);
    let again = (free.mono - widened).to_ticks(1000);
    let (output, verdicts) = (show.rig.output("youtube"), show.verdicts(before));
    let (all, _) = together(&show.end());
    record(
        "narrow",
        &[
            ("lowered_after_ms", after.to_string()),
            ("kbit_and_ms_waiting", format!("{narrow:?}")),
            ("whole_again_after_ms", again.to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
        ],
    );
    assert_eq!(verdicts, Vec::<String>::new(), "congestion is not death");
    assert_eq!((output.sessions, output.lost), (1, 0));
    assert!(all.is_perfect(), "{all}");
    assert!(lowest.is_some_and(|kbit| (FLOOR..800).contains(&kbit)), "{narrow:?}");
    assert!(longest.is_some_and(|ms| ms < 10_000), "{narrow:?}");
    let settled = narrow.iter().rev().take(5).map(|s| s.1).min();
    assert!(settled.is_some_and(|ms| ms < 2000), "it has caught up: {narrow:?}");
}

#[test]
fn below_the_floor_whole_groups_are_left_out_and_counted() {
    let Some(mut show) = Show::of(&plan("narrow-floor")) else { return };
    let before = show.rig.events().len();
    show.order("eth0 rate 250k queue 300ms forward");
    let left_out = show.rig.wait_event(before, "groups to be left out", |e| e.kind == EventKind::OutputLagged);
    println!("    {}", left_out.reason);
    let narrow = show.seconds(10);
    assert!(narrow.iter().all(|(bitrate, _)| *bitrate == FLOOR), "{narrow:?}");
    show.order("eth0 rate off forward");
    let widened = clock::media();
    show.rig.wait("it to catch up", |s| now(s).filter(|(_, waits)| *waits < 1000));
    let caught_up: Media = clock::media() - widened;
    show.rig.let_pass(5);
    let output = show.rig.output("youtube");
    let (all, twice) = together(&show.end());
    record(
        "narrow-floor",
        &[
            ("kbit_and_ms_waiting", format!("{narrow:?}")),
            ("caught_up_after_ms", caught_up.to_ticks(1000).to_string()),
            ("units_left_out", output.lost.to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
        ],
    );
    assert!(left_out.reason.contains("left out whole groups"), "{}", left_out.reason);
    assert_eq!((output.sessions, all.repeated, twice), (1, 0, 0), "the session stays");
    // Pictures are not all of what is left out: their sound goes with them.
    assert!(output.lost > all.lost && all.lost > 0, "{} units, {all}", output.lost);
}

/// What the encoder makes, kbit/s over the last second.
fn made(snapshot: &BoxSnapshot) -> Option<u32> {
    let rendition = snapshot.plane.as_ref()?.renditions.iter().find(|r| r.id.as_str() == "main")?;
    Some(rendition.bitrate / 1000)
}

/// A new worker begins with the bit rate that its uplinks bear, and a new data plane, which knows nothing of that, does not
/// leave the encoder with less than it may have.
#[test]
fn a_new_worker_and_a_new_data_plane_get_the_bit_rate_right() {
    let Some(mut show) = Show::of(&plan("narrow-killed")) else { return };
    show.order("eth0 rate 800k queue 300ms forward");
    show.rig.wait("a lower bit rate", |s| now(s).filter(|(kbit, _)| *kbit < 700));
    let before = show.rig.events().len();
    kill(Pid::from_raw(show.rig.worker_pid("pattern")), Signal::SIGKILL).expect("it runs");
    show.rig.wait_switched(before, "slate");
    show.rig.wait_switched(before, "pattern");
    let after_worker: Vec<u32> = (0..6)
        .map(|_| {
            show.rig.let_pass(1);
            show.rig.wait("a rendition", made)
        })
        .collect();
    show.order("eth0 rate off forward");
    kill(Pid::from_raw(show.rig.transmit_pid()), Signal::SIGKILL).expect("it runs");
    let plane =
        show.rig.wait("a data plane that publishes the whole bit rate", |s| made(s).filter(|kbit| *kbit > 1200));
    show.end();
    record(
        "narrow-killed",
        &[("kbit_of_the_new_worker", format!("{after_worker:?}")), ("kbit_for_the_new_plane", plane.to_string())],
    );
    assert!(after_worker.iter().all(|kbit| *kbit < 900), "{after_worker:?}");
}
