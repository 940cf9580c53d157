//! A link whose data somebody pays for: counted by the kernel, warned of, and left when what was bought is used.

use std::fs;

use holdfast::events::{BudgetSnapshot, Event, EventKind, PathState, Severity};

use crate::support::results::record;
use crate::support::show::{ECHO, Plan, SERVER, Show, together};

/// What was said about data caps, in words: `warned`, `spent`, …
fn budgets(show: &Show) -> Vec<String> {
    let events = show.rig.events().into_iter();
    let about = events.filter(|e| e.kind == EventKind::BudgetChanged);
    about.filter_map(|e| e.evidence.get("budget")?.as_str().map(str::to_owned)).collect()
}

/// The account of the first uplink, as people see it.
fn account(show: &Show) -> BudgetSnapshot {
    show.rig.wait("the account of eth0", |s| {
        s.plane.as_ref()?.links.as_ref()?.iter().find(|link| link.name == "eth0")?.budget.clone()
    })
}

/// Saves a configuration in which `from` is `to`.
fn reconfigure(show: &Show, from: &str, to: &str) {
    let config = fs::read_to_string(show.rig.config_file()).expect("our own file");
    fs::write(show.rig.config_file(), config.replace(from, to)).expect("our own file");
}

/// The first uplink is paid for by the megabyte. It is counted, warned of, and left when its cap is reached, from one picture
/// to the next; and nothing goes back to it, though it works.
#[test]
fn an_uplink_whose_data_cap_is_reached_is_left_at_a_keyframe_and_not_returned_to() {
    let sections = format!(
        "[probe]\ntargets = [\"echo://{SERVER}:{ECHO}\"]\n\n[show]\nlasts = \"30m\"\n\n\
         [[link]]\ninterface = \"eth0\"\ndata_cap = \"7M\"\ncost_per_gb = \"4.50 EUR\"\nperiod_starts = 1"
    );
    let Some(show) = Show::of(&Plan { probe: sections, is_noisy: true, ..Plan::new("data-cap") }) else { return };
    show.on_air_over("the first uplink", |link| link == "eth0");
    let warned = show.rig.wait_event(0, "a warning of the cap", |e| {
        e.kind == EventKind::BudgetChanged && e.evidence.get("budget").is_some_and(|b| b == "warned")
    });
    println!("    {}: {}", warned.subject, warned.reason);
    let spent = show.rig.wait_event(0, "the cap to be reached", |e| {
        e.kind == EventKind::BudgetChanged && e.evidence.get("budget").is_some_and(|b| b == "spent")
    });
    println!("    {}: {}", spent.subject, spent.reason);
    let moved = show.rig.wait_event(0, "the stream to move", |e| {
        e.kind == EventKind::RouteChanged && e.evidence.get("to").is_some_and(|to| to == "wwan0")
    });
    println!("    {}", moved.reason);
    assert!(moved.reason.contains("at a keyframe") && moved.reason.contains("data cap"), "{}", moved.reason);
    assert_eq!((warned.subject.as_str(), spent.subject.as_str()), ("eth0", "eth0"));
    show.on_air_over("the other uplink", |link| link == "wwan0");
    let used = |event: &Event| event.evidence.get("used").and_then(serde_json::Value::as_u64).expect("bytes");
    let at_cap = used(&spent);
    let moved_after = (moved.mono - spent.mono).to_ticks(1000);

    // What people see.
    let page = String::from_utf8_lossy(&show.rig.holdfast(&["status"]).stdout).into_owned();
    assert!(page.contains("DATA") && page.contains("last resort") && page.contains("EUR"), "{page}");
    let page = String::from_utf8_lossy(&show.rig.holdfast(&["links"]).stdout).into_owned();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("its data cap is reached: used only if nothing else works"), "{page}");

    let before = show.rig.events().len();
    show.rig.let_pass(20);
    let after = account(&show);
    // What was on its way to the keyframe, and probes. No session stands by there.
    assert!(after.used >= at_cap && after.used < at_cap + 2_000_000, "{at_cap} at the cap, {} now", after.used);
    let returned = show
        .rig
        .events()
        .into_iter()
        .skip(before)
        .any(|e| e.kind == EventKind::RouteChanged && e.evidence.get("to").is_some_and(|to| to == "eth0"));
    assert!(!returned, "{:?}", show.verdicts(before));

    // More is bought: it comes first again.
    let before = show.rig.events().len();
    reconfigure(&show, "\"7M\"", "\"7G\"");
    show.rig.wait_event(before, "the cap to be raised", |e| {
        e.kind == EventKind::BudgetChanged && e.evidence.get("budget").is_some_and(|b| b == "free")
    });
    show.on_air_over("the first uplink", |link| link == "eth0");
    show.rig.let_pass(3);
    let told = budgets(&show);
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    record(
        "data-cap",
        &[
            ("cap_bytes", "7000000".to_owned()),
            ("used_when_told", at_cap.to_string()),
            ("left_after_ms", moved_after.to_string()),
            ("used_at_the_end", after.used.to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
        ],
    );
    assert!(all.is_perfect(), "{all}");
    assert_eq!(told, ["warned", "spent", "free"]);
    assert!((7_000_000..9_000_000).contains(&at_cap), "counted once a second: {at_cap}");
}

/// Its operator has said that the only uplink is not to be used beyond its cap: it is not, and the operator is told what to do.
#[test]
fn where_the_only_uplink_is_barred_at_its_cap_nothing_is_sent_until_more_is_bought() {
    let sections = format!(
        "[probe]\ntargets = [\"echo://{SERVER}:{ECHO}\"]\n\n\
         [[link]]\ninterface = \"eth0\"\ndata_cap = \"6M\"\nat_cap = \"bar\""
    );
    let plan = Plan {
        interfaces: "\"eth0\"",
        takeover: "takeover = \"retry-until-free\"",
        probe: sections,
        is_noisy: true,
        has_standby: false,
        ..Plan::new("data-bar")
    };
    let Some(show) = Show::of(&plan) else { return };
    let barred = show.rig.wait_event(0, "the cap to be reached", |e| {
        e.kind == EventKind::BudgetChanged && e.evidence.get("budget").is_some_and(|b| b == "barred")
    });
    println!("    {}: {}", barred.subject, barred.reason);
    let down = show.rig.wait_event(0, "the destination to be told of", |e| {
        e.kind == EventKind::OutputDown && e.evidence.get("trouble").is_some_and(|t| t == "data-cap")
    });
    println!("    {}: {}", down.subject, down.reason);
    assert_eq!(down.severity, Severity::Alert);
    assert!(down.reason.contains("raise data_cap"), "{}", down.reason);
    let account = || account(&show);
    show.rig.let_pass(3);
    let stopped = account().used;
    show.rig.let_pass(10);
    let later = account().used;
    // Ten questions of some 100 bytes a second, and what ARP has to ask.
    assert!(later - stopped < 100_000, "{stopped} bytes when nothing was to be sent, {later} ten seconds later");

    // The account is not forgotten when the process that sends dies, nor does it count anything twice.
    let before = show.rig.events().len();
    let pid = nix::unistd::Pid::from_raw(show.rig.transmit_pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    show.rig.wait_event(before, "the cap to be known again", |e| {
        e.kind == EventKind::BudgetChanged && e.evidence.get("budget").is_some_and(|b| b == "barred")
    });
    show.rig.wait_event(before, "the destination to be told of", |e| {
        e.kind == EventKind::OutputDown && e.evidence.get("trouble").is_some_and(|t| t == "data-cap")
    });
    show.rig.let_pass(5);
    let known_again = account().used;
    assert!(
        known_again >= later && known_again - later < 100_000,
        "{later} before the restart, {known_again} after it"
    );
    assert_eq!(show.rig.output("youtube").sessions, 0, "nothing is begun over what is barred");

    let before = show.rig.events().len();
    reconfigure(&show, "\"6M\"", "\"6G\"");
    show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
    show.rig.let_pass(3);
    record(
        "data-bar",
        &[
            ("used_when_barred", stopped.to_string()),
            ("more_ten_seconds_later", (later - stopped).to_string()),
            ("more_after_a_restart", (known_again - later).to_string()),
        ],
    );
    show.end();
}

/// Waits until the paths of the SRT destination are so, first one first.
fn wait_paths(show: &Show, what: &str, are_so: impl Fn(&PathState, &PathState) -> bool) {
    show.rig.wait(what, |s| {
        let output = s.plane.as_ref()?.outputs.iter().find(|output| output.id.as_str() == "relay")?;
        let [first, second] = &output.srt.as_ref()?.paths[..] else { return None };
        are_so(&first.state, &second.state).then_some(())
    });
}

/// The same for a bond of both uplinks: the one that is used up rests while the other carries, and is not even connected once
/// its operator bars it.
#[test]
fn a_bond_keeps_an_uplink_whose_data_cap_is_reached_for_the_last_and_leaves_one_out_that_is_barred() {
    let sections = format!(
        "[probe]\ntargets = [\"echo://{SERVER}:{ECHO}\"]\n\n[[link]]\ninterface = \"eth0\"\ndata_cap = \"12M\""
    );
    let Some(show) = Show::of(&Plan { probe: sections, is_noisy: true, ..Plan::new("data-bond") }) else { return };
    let config = fs::read_to_string(show.rig.config_file()).expect("our own file");
    let bond = format!(
        "{config}\n[[destination]]\nname = \"relay\"\nrendition = \"main\"\nurl = \"srt://{SERVER}:9000\"\n\
         stream_id = \"show\"\nlatency = \"400ms\"\nbonding = \"backup\"\n\
         paths = [{{ interface = \"eth0\" }}, {{ interface = \"wwan0\" }}]\n"
    );
    fs::write(show.rig.config_file(), bond).expect("our own file");
    wait_paths(&show, "the first path to carry and the second to be ready", |first, second| {
        *first == PathState::Carries && *second == PathState::Ready
    });
    let spent = show.rig.wait_event(0, "the cap to be reached", |e| {
        e.kind == EventKind::BudgetChanged && e.evidence.get("budget").is_some_and(|b| b == "spent")
    });
    println!("    {}: {}", spent.subject, spent.reason);
    wait_paths(&show, "the second path to carry and the first to rest", |first, second| {
        *first == PathState::Ready && *second == PathState::Carries
    });
    show.on_air_over("the other uplink", |link| link == "wwan0");
    show.rig.let_pass(2);
    let rests = account(&show).used;
    show.rig.let_pass(10);
    let more = account(&show).used - rests;
    assert!(more < 500_000, "{more} bytes in ten seconds over an uplink that is used up");

    reconfigure(&show, "data_cap = \"12M\"", "data_cap = \"12M\"\nat_cap = \"bar\"");
    wait_paths(&show, "the first path to be left out", |first, second| {
        matches!(first, PathState::NoLink { because } if because.contains("data cap")) && *second == PathState::Carries
    });
    reconfigure(&show, "data_cap = \"12M\"", "data_cap = \"12G\"");
    wait_paths(&show, "the first path to carry again", |first, second| {
        *first == PathState::Carries && *second == PathState::Ready
    });
    show.rig.let_pass(2);
    let output = show.rig.output("relay");
    let missing = output.srt.and_then(|srt| srt.far_end).map(|far_end| far_end.missing);
    record(
        "data-bond",
        &[
            ("bytes_in_ten_seconds_of_rest", more.to_string()),
            ("sessions", output.sessions.to_string()),
            ("units_lost", output.lost.to_string()),
            ("missing_at_the_relay", format!("{missing:?}")),
        ],
    );
    let (all, _) = together(&show.end());
    assert_eq!((output.sessions, output.lost, missing), (1, 0, Some(0)));
    assert!(all.is_perfect(), "{all}");
}
