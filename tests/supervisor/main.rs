//! holdfastd with real processes, real signals and real sockets. Its children are stand-ins that speak the real protocol and
//! carry no picture (see `stand_in`), so that each incident is about holdfastd alone; `tests/scenarios` has the real ones.

// A test says what it expected by panicking, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub, dead_code)]

mod bench;
#[path = "../telemetry/fake_dish.rs"]
mod fake_dish;
mod freezer;
#[path = "../scenarios/support/process.rs"]
mod process;
mod stand_in;
mod systemd;
#[path = "../scenarios/support/wait.rs"]
mod wait;
mod webhook;

use holdfast::events::{ChildSnapshot, ChildState, Command, ControlReply, DishState, EventKind, Expected, Severity};
use holdfast::model::InputId;
use nix::sys::signal::Signal;

use bench::{Bench, CAMERA, PATIENCE, TRANSMIT, worker};
use process::send;
use wait::{wait_for, wait_until};

#[test]
fn what_dies_is_replaced_and_what_hangs_is_killed_first() {
    let mut bench = Bench::new("deaths");
    bench.start();
    for role in [TRANSMIT, worker(CAMERA)] {
        let first = bench.running(&role);
        let thumbnail = bench.paths.thumbnail(&InputId::new(CAMERA).unwrap());
        std::fs::create_dir_all(bench.paths.thumbnail_dir()).unwrap();
        std::fs::write(&thumbnail, "what it showed last").unwrap();
        send(first, Signal::SIGKILL);
        let second = bench.running_other_than(&role, first);
        assert_eq!(thumbnail.exists(), role == TRANSMIT, "only a worker's death takes what its input showed");
        let how = bench.child(&role).last_end.unwrap_or_default();
        assert!(how.starts_with("killed by SIGKILL"), "{role:?} ended how? {how:?}");

        send(second, Signal::SIGSTOP);
        let third = bench.running_other_than(&role, second);
        assert!(!bench::exists(second), "the hung {role:?} still exists beside its replacement {third}");
        let how = bench.child(&role).last_end.unwrap_or_default();
        assert!(how.starts_with("no sign of work for") && how.ends_with("killed by SIGKILL"), "{how:?}");
        assert_eq!(bench.starts(&role), [first, second, third], "each start of {role:?}");
    }
}

#[test]
fn a_killed_holdfastd_finds_its_children_again_and_the_wish_to_be_on_air() {
    let mut bench = Bench::new("adoption");
    bench.start();
    bench.order(&Command::Start);
    bench.wait_until_plane_on_air();
    let pids = [bench.running(&TRANSMIT), bench.running(&worker(CAMERA)), bench.running(&worker("film"))];

    bench.kill_daemon();
    for pid in pids {
        assert!(bench::exists(pid), "process {pid} did not outlive holdfastd");
    }
    // What happens meanwhile is told afterwards.
    bench.tell_children("say something");
    bench.start();

    let again = [bench.running(&TRANSMIT), bench.running(&worker(CAMERA)), bench.running(&worker("film"))];
    assert_eq!(again, pids, "the same processes go on");
    assert_eq!(bench.starts(&TRANSMIT).len(), 1, "none was started twice");
    assert_eq!(bench.starts(&worker(CAMERA)).len(), 1, "none was started twice");
    assert!(bench.status().on_air, "the wish survived");
    bench.wait_until_plane_on_air();
    assert_eq!(bench.count(EventKind::ChildAdopted), 3);
    wait_until("what was said meanwhile to be in the log", PATIENCE, || {
        bench.events().iter().any(|e| e.kind == EventKind::Note && e.reason == "something")
    });

    // The next death is noticed, although nobody here is the parent of these processes.
    send(pids[1], Signal::SIGKILL);
    bench.running_other_than(&worker(CAMERA), pids[1]);
}

#[test]
fn what_died_or_hung_while_holdfastd_was_gone_is_replaced_by_the_next() {
    let mut bench = Bench::new("meanwhile");
    bench.start();
    let (plane, camera, film) =
        (bench.running(&TRANSMIT), bench.running(&worker(CAMERA)), bench.running(&worker("film")));
    bench.kill_daemon();
    send(camera, Signal::SIGKILL);
    send(film, Signal::SIGSTOP);
    bench.start();
    bench.running_other_than(&worker(CAMERA), camera);
    bench.running_other_than(&worker("film"), film);
    assert!(!bench::exists(film), "the hung worker was killed before its replacement started");
    assert_eq!(bench.running(&TRANSMIT), plane, "the data plane went on");
    assert_eq!((bench.starts(&worker(CAMERA)).len(), bench.starts(&worker("film")).len()), (2, 2));
}

#[test]
fn what_not_even_sigkill_ends_is_left_alone_and_replaced() {
    let mut bench = Bench::new("unkillable");
    // Declared after the bench, so that it thaws before the bench clears up.
    let Some(freezer) = freezer::Freezer::new("holdfastd") else {
        println!("not tried: this machine has no cgroup v1 freezer for us");
        return;
    };
    bench.start();
    let wedged = bench.running(&worker(CAMERA));
    freezer.freeze(wedged);
    let replacement = bench.running_other_than(&worker(CAMERA), wedged);
    assert!(bench::exists(wedged), "the freezer let it die");
    let is_listed = |bench: &Bench| {
        let is_it = |c: &ChildSnapshot| c.state == ChildState::Abandoned && c.pid == Some(wedged);
        bench.status().children.iter().any(is_it)
    };
    assert!(is_listed(&bench));
    assert!(bench.was_given(replacement, "--software-only") && !bench.was_given(wedged, "--software-only"));

    freezer.thaw();
    wait_until("the wedged process to end", PATIENCE, || !bench::exists(wedged));
    wait_until("it to be forgotten", PATIENCE, || !is_listed(&bench));
    assert_eq!(bench.running(&worker(CAMERA)), replacement, "its replacement goes on");
}

#[test]
fn a_worker_that_nobody_wants_any_more_is_ended_by_the_next_holdfastd() {
    let mut bench = Bench::new("unwanted");
    bench.start();
    let film = bench.running(&worker("film"));
    bench.kill_daemon();
    bench.configure(&[CAMERA], "");
    bench.start();
    wait_until("the unwanted worker to end", PATIENCE, || !bench::exists(film));
    wait_until("its place to be empty", PATIENCE, || bench.status().children.len() == 2);
}

#[test]
fn a_mistake_in_the_configuration_changes_nothing() {
    let mut bench = Bench::new("mistake");
    bench.start();
    let pids = [bench.running(&TRANSMIT), bench.running(&worker(CAMERA)), bench.running(&worker("film"))];

    bench.configure(&[CAMERA, "film"], "colour = \"blue\"\n");
    let Some(ControlReply::Refused { text }) = bench.ask_to(&Command::Reload) else { panic!("a mistake was taken") };
    assert!(text.contains("colour") && text.contains("holdfast.toml:"), "{text}");
    assert!(bench.status().config_refused.is_some());

    // Not even when holdfastd itself starts again with it.
    bench.kill_daemon();
    bench.start();
    assert!(bench.status().config_refused.is_some_and(|why| why.contains("colour")));
    assert_eq!([bench.running(&TRANSMIT), bench.running(&worker(CAMERA)), bench.running(&worker("film"))], pids);

    // Mended on disk, it is taken without being asked.
    bench.configure(&[CAMERA, "second"], "");
    bench.running(&worker("second"));
    wait_until("the old input's worker to end", PATIENCE, || !bench::exists(pids[2]));
    assert_eq!(bench.running(&TRANSMIT), pids[0], "the data plane takes a configuration in as it runs");
    assert_eq!(bench.running(&worker(CAMERA)), pids[1], "what is not concerned goes on");
    assert_eq!(bench.status().config_refused, None);
}

#[test]
fn without_any_good_configuration_holdfastd_says_what_is_wrong_and_ends() {
    let bench = Bench::new("nothing-good");
    bench.configure(&[CAMERA], "colour = \"blue\"\n");
    let mut daemon = bench.spawn_daemon();
    assert_eq!(daemon.finish(PATIENCE).code(), Some(1));
    let said = daemon.log();
    assert!(said.contains("colour") && said.contains("no earlier good configuration"), "{said}");
}

#[test]
fn a_second_holdfastd_is_refused() {
    let mut bench = Bench::new("second");
    bench.start();
    let first = bench.daemon_pid();
    let mut second = bench.spawn_daemon();
    assert_eq!(second.finish(PATIENCE).code(), Some(1));
    let said = second.log();
    assert!(said.contains("another holdfastd") && said.contains(&first.to_string()), "{said}");
    bench.running(&TRANSMIT);
}

#[test]
fn an_alert_and_its_end_reach_the_webhook() {
    let webhook = webhook::Webhook::start();
    let mut bench = Bench::new("webhook");
    bench.set_webhook(&webhook.address());
    bench.start();
    let plane = bench.running(&TRANSMIT);
    send(plane, Signal::SIGKILL);
    let alert = webhook.next();
    assert_eq!(alert["box"], "Bench");
    assert_eq!(alert["event"]["severity"], "alert");
    assert!(alert["text"].as_str().is_some_and(|t| t.contains("data plane: killed by SIGKILL")), "{alert}");
    let end = webhook.next();
    assert_eq!(end["event"]["kind"], "child-ready", "{end}");

    let logs = std::fs::read_to_string(bench.paths.event_log()).unwrap() + &bench.daemon_log();
    assert!(!logs.contains(webhook::TOKEN), "the webhook's address is a secret");
}

#[test]
fn a_webhook_that_refuses_is_told_without_its_address() {
    let webhook = webhook::Webhook::refusing();
    let mut bench = Bench::new("no-webhook");
    bench.set_webhook(&webhook.address());
    bench.start();
    send(bench.running(&TRANSMIT), Signal::SIGKILL);
    let told = wait_for("the refusal to be in the log", PATIENCE, || {
        bench.events().into_iter().find(|e| e.subject == "webhook")
    });
    assert!(told.reason.contains("answered 404") && told.reason.contains("not valid any more"), "{}", told.reason);
    let logs = std::fs::read_to_string(bench.paths.event_log()).unwrap() + &bench.daemon_log();
    assert!(!logs.contains(webhook::TOKEN), "the webhook's address is a secret");
}

#[test]
fn systemd_hears_that_holdfastd_is_ready_alive_and_how_the_box_is() {
    let mut bench = Bench::new("notify");
    let manager = bench.listen_as_systemd();
    bench.start();
    bench::hear(&manager, "READY=1");
    bench::hear(&manager, "WATCHDOG=1");
    bench.order(&Command::Start);
    bench::hear(&manager, "STATUS=ON AIR with camera");
    // Children have no socket of their own to systemd: with holdfastd stopped, nobody may say that it is alive.
    bench.stop_daemon();
    bench::hear_nothing(&manager);
}

#[test]
fn a_child_that_cannot_work_is_tried_less_and_less_often_and_its_last_words_are_told() {
    let mut bench = Bench::new("broken");
    bench.break_role(&worker(CAMERA), "there is no camera at /dev/video0");
    bench.start();
    let state = |bench: &Bench| bench.child(&worker(CAMERA));
    wait_until("the third start", PATIENCE, || state(&bench).starts >= 3);
    let why = state(&bench).last_end.unwrap_or_default();
    assert!(why.contains("exit code 1") && why.contains("there is no camera at /dev/video0"), "{why:?}");
    let waits: Vec<_> = bench
        .events()
        .iter()
        .filter(|e| e.kind == EventKind::ChildEnded && e.subject == "worker camera")
        .filter_map(|e| e.evidence.get("again_in_ms")?.as_u64())
        .take(3)
        .collect();
    assert_eq!(waits, [0, 500, 1000]);
    bench.running(&TRANSMIT);
    bench.running(&worker("film"));

    bench.mend_role(&worker(CAMERA));
    bench.running(&worker(CAMERA));
}

#[test]
fn sigterm_leaves_the_programme_running_and_shutdown_ends_it() {
    let mut bench = Bench::new("ends");
    bench.start();
    bench.order(&Command::Start);
    bench.wait_until_plane_on_air();
    let pids = [bench.running(&TRANSMIT), bench.running(&worker(CAMERA)), bench.running(&worker("film"))];
    bench.terminate_daemon();
    assert!(pids.into_iter().all(bench::exists), "SIGTERM is for holdfastd alone");

    bench.start();
    bench.running(&TRANSMIT);
    bench.order(&Command::Shutdown);
    assert!(bench.daemon_ends().success());
    assert!(!pids.into_iter().any(bench::exists), "everything has ended");
    assert_eq!(bench.stops().first(), Some(&pids[0]), "the data plane first, while it still has a picture");
    assert!(bench.paths.on_air_wish().exists(), "a shutdown is not a stop: on air again at the next start");
}

#[test]
fn the_operators_command_shows_and_steers() {
    let mut bench = Bench::new("command");
    let (code, _, error) = bench.holdfast(&["status"]);
    assert_eq!(code, Some(3), "holdfastd is not running");
    assert!(error.contains("holdfastd does not run here") && error.contains("Start it:"), "{error}");

    bench.start();
    bench.running(&TRANSMIT);
    let (code, page, _) = bench.holdfast(&["status"]);
    assert_eq!(code, Some(0));
    assert!(page.contains("OFF AIR") && page.contains("holdfast start"), "{page}");
    assert_eq!(bench.holdfast(&["start"]).0, Some(0));
    bench.wait_until_plane_on_air();
    assert!(bench.holdfast(&["status"]).1.contains("ON AIR with camera"));
    let (_, json, _) = bench.holdfast(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["on_air"], true);

    let (code, _, error) = bench.holdfast(&["retry", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("there is no destination or recording nobody"), "{error}");
    let (code, _, error) = bench.holdfast(&["bitrate", "main", "20M"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("main may have 50k to 1000k"), "{error}");
    assert_eq!(bench.holdfast(&["bitrate", "main", "500k"]).0, Some(0));
    assert!(bench.holdfast(&["events", "--last", "5"]).1.contains("main at 500 kbit/s"));
    assert_eq!(bench.holdfast(&["stop"]).0, Some(0));

    bench.kill_daemon();
    let (code, events, error) = bench.holdfast(&["events"]);
    assert_eq!(code, Some(3));
    assert!(events.contains("go off air") && error.contains("holdfastd does not run"), "{events}{error}");
}

#[test]
fn workers_do_not_wait_for_a_slate_that_hangs() {
    let mut bench = Bench::new("slate");
    bench.break_slates("hang");
    bench.start();
    bench.running(&TRANSMIT);
    wait_for("the workers to start without a slate", PATIENCE, || {
        let children = bench.status().children;
        children.iter().all(|c| c.state == ChildState::Running).then_some(())
    });
}

#[test]
fn a_slate_that_fails_is_told_and_holds_nobody_up() {
    let mut bench = Bench::new("no-slate");
    bench.break_slates("fail");
    bench.start();
    bench.running(&worker(CAMERA));
    let told = bench.events().into_iter().find(|e| e.kind == EventKind::SlateChanged).expect("a failed slate is told");
    assert_eq!((told.severity, told.subject.as_str()), (Severity::Warning, "main"));
    assert!(told.reason.contains("no encoder works"), "{}", told.reason);
}

#[test]
fn what_a_dish_says_is_shown_told_and_passed_on_to_the_data_plane() {
    let clear = fake_dish::clear_sky();
    let dish = fake_dish::FakeDish::start("127.0.0.1:0".parse().unwrap(), fake_dish::Mood::Says(clear));
    let mut bench = Bench::new("telemetry");
    let listed =
        format!("[telemetry]\nmodem = false\ndish = [{{ address = \"{}\", interface = \"lo\" }}]\n", dish.address);
    bench.configure(&[CAMERA], &listed);
    bench.start();
    bench.running(&TRANSMIT);
    wait_until("the dish to answer", PATIENCE, || {
        bench.status().telemetry.dishes.iter().any(|dish| matches!(dish.state, DishState::Answers(_)))
    });
    let page = bench.holdfast(&["status"]).1;
    assert!(page.contains("Starlink dish") && page.contains("34 ms, obstructed 0.3 % of the sky, no outage"), "{page}");
    assert_eq!(stand_in::hint(&bench.paths, "lo"), None);

    dish.says(|status| status.outage = Some(fake_dish::Outage { cause: 7, start: 0, duration: 1, did_switch: false }));
    let expected = wait_for("the data plane to hear of it", PATIENCE, || stand_in::hint(&bench.paths, "lo"));
    let Expected::Trouble { for_ms, because } = expected else { panic!("nothing is expected") };
    assert!((1..=5000).contains(&for_ms) && because.contains("it receives nothing"), "{for_ms} ms: {because}");
    wait_until("it to be told", PATIENCE, || bench.count(EventKind::DishChanged) == 2);
    dish.turns(fake_dish::Mood::Says(fake_dish::clear_sky()));
    wait_until("the hint to be taken back", PATIENCE, || stand_in::hint(&bench.paths, "lo") == Some(Expected::Nothing));

    bench.configure(&[CAMERA], "[telemetry]\nmodem = false\ndish = []\n");
    wait_until("the dish to be left alone", PATIENCE, || bench.status().telemetry.dishes.is_empty());
}
