//! A box that publishes over RTMP and loses the uplink under it: real kernel routing, a real server that records what it
//! gets, and a relay that answers probes.
//!
//! Box and servers are in network namespaces of their own; the two uplinks are TAP devices through the emulator.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command as Program;
use std::time::Duration;

use holdfast::clock;
use holdfast::events::{Command, Event, EventKind};
use holdfast::model::Media;
use holdfast::netem::{Conditions, Testbed, Uplink};

use crate::support::config::Configuration;
use crate::support::picture::{Count, Recording, count};
use crate::support::process::Process;
use crate::support::receiver::{Nginx, NginxSite};
use crate::support::results::record;
use crate::support::rig::{PATIENCE, Rig, live, repetitions, soaking};
use crate::support::tools::ip;
use crate::support::wait::wait_until;

const FPS: u32 = 30;
/// Name and one-way delay, ms.
const UPLINKS: [(&str, u64); 2] = [("eth0", 20), ("wwan0", 30)];
/// Where the server is, over either.
const SERVER: &str = "10.77.255.1";
const ECHO: u16 = 9710;
/// What nginx does to a publisher of which nothing comes any more.
const IDLE: &str = "drop_idle_publisher 2s;";

/// A box on air over one of two uplinks.
struct Show {
    // Dropped in this order: the processes before their network.
    rig: Rig,
    nginx: Nginx,
    relay: Process,
    bed: Testbed,
}

/// What one fault did.
#[derive(Debug)]
struct Fault {
    /// From the fault to the verdict, ms.
    detected: i64,
    /// From the fault to publishing over the other uplink, ms.
    publishing: i64,
}

impl Show {
    /// `None` where there are no namespaces.
    fn begin(name: &'static str, takeover: &str) -> Option<Self> {
        Self::begin_with(name, takeover, &format!("[probe]\ntargets = [\"echo://{SERVER}:{ECHO}\"]"))
    }

    /// With these sections, probes among them, and a standby before the show if there are any.
    fn begin_with(name: &'static str, takeover: &str, probe: &str) -> Option<Self> {
        Self::begin_over(name, "interfaces = [\"eth0\", \"wwan0\"]", takeover, probe)
    }

    fn begin_over(name: &'static str, over: &str, takeover: &str, probe: &str) -> Option<Self> {
        let uplinks = UPLINKS.map(|(name, delay)| Uplink {
            name: name.to_owned(),
            conditions: Conditions::delayed(Duration::from_millis(delay)),
        });
        let bed = match Testbed::with_namespaces(&uplinks, 1) {
            Ok(bed) => bed,
            Err(why) => {
                println!("skipped: there are no namespaces with devices here ({why})");
                return None;
            }
        };
        let mut rig = Rig::new(name);
        let (guard, dir) = (&rig.guard, rig.dir().to_owned());
        let site = NginxSite { address: "0.0.0.0", applications: &["live", "backup"], extra: IDLE };
        let nginx = bed.at_relay(|| Ok(Nginx::serve(guard, &dir, "nginx", &site))).expect("nginx starts");
        let mut command = echo(&rig);
        let relay = bed.at_relay(|| Ok(guard.spawn("relay", &mut command))).expect("the relay starts");
        wait_until("the relay to answer probes", PATIENCE, || {
            bed.at_relay(|| Ok(std::net::UdpSocket::bind(("0.0.0.0", ECHO)).is_err())).unwrap_or(false)
        });
        let server = |application: &str| format!("rtmp://{SERVER}:{}/{application}", nginx.port);
        let takeover = takeover.replace("BACKUP", &server("backup"));
        rig.configure(
            &Configuration::new(FPS)
                .section(probe)
                .pattern("pattern")
                .rendition("main", "h264", "640x360", "1500k", "aac")
                .destination_with("youtube", "main", &server("live"), "key", &format!("{over}\n{takeover}")),
        );
        let mut command = rig.daemon_command();
        let guard = &rig.guard;
        let daemon = bed.at_box(|| Ok(guard.spawn("holdfastd", &mut command))).expect("holdfastd starts");
        rig.adopt_daemon(daemon);
        rig.wait_delivering();
        rig.order(Command::Start);
        rig.wait_for_source(&live("pattern"));
        rig.wait_publishing(&["youtube"]);
        let show = Self { rig, nginx, relay, bed };
        if !probe.is_empty() && over.contains("interfaces") {
            show.wait_standby();
        }
        show.rig.let_pass(3);
        Some(show)
    }

    fn wait_standby(&self) {
        self.rig.wait("a session that stands by", |s| {
            let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "youtube")?;
            output.standby.clone()
        });
    }

    /// Waits until what people see says so; that is brought up to date twice a second.
    fn on_air_over(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        self.rig.wait(&format!("{what} to carry"), |s| {
            let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "youtube")?;
            output.route.as_deref().filter(|link| is_it(link)).map(|_| ())
        });
    }

    fn order(&mut self, order: &str) {
        self.bed.emulator.order(order).expect("an order it knows");
    }

    /// Does `order` to the uplink in use, and waits until the stream has gone to the other one and plays there.
    fn lose(&mut self, order: &str) -> Fault {
        let before = self.rig.events().len();
        let in_use = self.rig.output("youtube").route.expect("a link in use");
        let begun = self.bed.emulator.order_at(&format!("{in_use} {order}")).expect("an order it knows");
        let begun = i64::try_from(begun).expect("microseconds");
        let since = |event: &Event| (event.mono.as_nanos() / 1000 - begun) / 1000;
        let dead = self.rig.wait_event(before, "the link to be found dead", |e| {
            e.kind == EventKind::LinkJudged
                && e.subject == in_use
                && e.evidence.get("verdict").is_some_and(|v| v == "dead")
        });
        println!("    {in_use} {order}: {}", dead.reason);
        let moved = self.rig.wait_event(before, "the stream to move", |e| e.kind == EventKind::RouteChanged);
        println!("    {}", moved.reason);
        let up = self.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
        self.rig.let_pass(3);
        self.order(&format!("{in_use} heal"));
        self.wait_standby();
        self.rig.let_pass(1);
        Fault { detected: since(&dead), publishing: since(&up) }
    }

    /// What has been found or decided since the first `after` events, in words.
    fn verdicts(&self, after: usize) -> Vec<String> {
        let events = self.rig.events().into_iter().skip(after);
        let matters = events.filter(|e| {
            let is_bad = e.evidence.get("verdict").is_some_and(|v| v == "dead" || v == "server");
            matches!(e.kind, EventKind::RouteChanged | EventKind::OutputDown)
                || (e.kind == EventKind::LinkJudged && is_bad)
        });
        matters.map(|e| e.reason).collect()
    }

    /// Ends the show; what the server has of every session, in the order in which they began.
    fn end(mut self) -> Vec<Recording> {
        println!("{}", String::from_utf8_lossy(&self.rig.holdfast(&["status"]).stdout));
        println!("{}", String::from_utf8_lossy(&self.rig.holdfast(&["links"]).stdout));
        self.rig.shut_down();
        self.relay.signal(nix::sys::signal::Signal::SIGTERM);
        self.nginx.recordings()
    }
}

/// A relay without programmes worth the name, which answers probes.
fn echo(rig: &Rig) -> Program {
    let home = rig.dir().join("relay");
    fs::create_dir_all(&home).expect("our own directory");
    let config = format!(
        "[srt]\nlisten = [\"0.0.0.0:9000\"]\n\n[probe]\nlisten = \"0.0.0.0:{ECHO}\"\n\n[[programme]]\nname = \"show\"\nopen = true\n"
    );
    fs::write(home.join("relay.toml"), config).expect("our own directory");
    let mut command = Program::new(env!("CARGO_BIN_EXE_holdfast-relay"));
    command.arg("--config").arg(home.join("relay.toml"));
    command
}

/// All sessions together: which frames nobody got, and how many were sent again.
fn together(recordings: &[Recording]) -> (Count, usize) {
    let mut times = BTreeMap::new();
    for code in recordings.iter().flat_map(|r| &r.pictures).filter_map(|p| p.code) {
        *times.entry(code).or_insert(0_usize) += 1;
    }
    let twice = times.values().map(|n| n - 1).sum();
    (count(times.into_keys().map(Some)), twice)
}

fn judge(name: &'static str, order: &str, faults: &[Fault], recordings: &[Recording]) -> Count {
    let (all, twice) = together(recordings);
    let publishing: Vec<i64> = faults.iter().map(|fault| fault.publishing).collect();
    let detected: Vec<i64> = faults.iter().map(|fault| fault.detected).collect();
    record(
        name,
        &[
            ("fault", order.to_owned()),
            ("detected_ms", format!("{detected:?}")),
            ("publishing_ms", format!("{publishing:?}")),
            ("sessions", recordings.len().to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
        ],
    );
    assert!(publishing.iter().all(|ms| *ms <= 3000), "publishing again after {publishing:?} ms");
    all
}

#[test]
fn a_black_hole_is_left_for_the_other_uplink_and_no_frame_is_lost() {
    let Some(mut show) = Show::begin("failover-hole", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let faults: Vec<Fault> = (0..repetitions(3, 20)).map(|_| show.lose("hole")).collect();
    let recordings = show.end();
    let all = judge("failover-hole", "hole", &faults, &recordings);
    assert!(all.is_perfect(), "{all}");
}

#[test]
fn a_hole_of_one_way_and_a_pulled_cable_lose_no_frame_either() {
    let Some(mut show) = Show::begin("failover-cut", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let mut faults = Vec::new();
    for _ in 0..repetitions(1, 10) {
        for order in ["hole forward", "hole back", "cut"] {
            faults.push(show.lose(order));
        }
    }
    let recordings = show.end();
    let all = judge("failover-cut", "hole forward, hole back, cut", &faults, &recordings);
    assert!(all.is_perfect(), "{all}");
}

/// Holes of 80 to 600 ms, as a dish has them when it changes its satellite, and queues of 700 ms, as a cell has them. Neither
/// is death: the stream stays where it is, and nothing of it is lost.
#[test]
fn holes_and_queues_as_radio_has_them_move_nothing() {
    let Some(mut show) = Show::begin("failover-radio", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    // The pattern's 15 s are a matter of how long it takes to see many.
    let (holes, apart) = if soaking() { (40, Media::from_millis(15_000)) } else { (6, Media::from_millis(3000)) };
    let mut random = fastrand::Rng::with_seed(15);
    let before = show.rig.events().len();
    let in_use = show.rig.output("youtube").route.expect("a link in use");
    let mut lengths = Vec::new();
    for n in 0..holes {
        let begun = clock::media();
        if n % 3 == 2 {
            show.order(&format!("{in_use} rate 1200k queue 700ms forward"));
            clock::sleep_until(begun + Media::from_millis(2000));
            show.order(&format!("{in_use} rate off forward"));
        } else {
            let length = random.i64(80..=600);
            lengths.push(length);
            show.order(&format!("{in_use} hole"));
            clock::sleep_until(begun + Media::from_millis(length));
            show.order(&format!("{in_use} hole off"));
        }
        clock::sleep_until(begun + apart);
    }
    let (verdicts, output) = (show.verdicts(before), show.rig.output("youtube"));
    let recordings = show.end();
    let (all, _) = together(&recordings);
    record(
        "failover-radio",
        &[
            ("holes_ms", format!("{lengths:?}")),
            ("false_deaths", verdicts.len().to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
        ],
    );
    assert_eq!(verdicts, Vec::<String>::new());
    assert_eq!((output.sessions, output.lost), (1, 0));
    assert!(all.is_perfect(), "{all}");
}

/// The link answers, the server does not: the other address, over the same link.
#[test]
fn a_server_that_hangs_behind_a_good_link_is_left_for_the_other_address() {
    let Some(show) = Show::begin("failover-server", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let before = show.rig.events().len();
    let (in_use, hung) = (show.rig.output("youtube").route, clock::media());
    show.nginx.hang();
    let moved = show.rig.wait_event(before, "the stream to move", |e| e.kind == EventKind::RouteChanged);
    println!("    {}", moved.reason);
    let after = (moved.mono - hung).to_ticks(1000);
    record("failover-server", &[("left_after_ms", after.to_string())]);
    // The kernel of a server that hangs goes on to confirm until its buffer is full.
    let verdicts = show.verdicts(before);
    assert!(verdicts.iter().any(|v| v.contains("while probes have been answered")), "{verdicts:?}");
    assert_eq!(show.rig.output("youtube").route, in_use, "the link is not to blame");
    show.nginx.go_on();
    show.rig.wait_publishing(&["youtube"]);
    show.rig.let_pass(3);
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    println!("    {} frames, {} lost, {twice} sent again", all.frames, all.lost);
    assert!(all.is_perfect(), "{all}");
}

/// DHCP gives the interface in use another address: whatever is bound to the old one is over.
#[test]
fn another_address_on_the_interface_in_use_costs_no_frame() {
    let Some(show) = Show::begin("failover-address", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let (mut again, mut hosts) = (Vec::new(), [1; UPLINKS.len()]);
    for n in 1..=repetitions(2, 10) {
        let (before, route) = (show.rig.events().len(), show.rig.output("youtube").route.expect("a link in use"));
        let place = 1 + UPLINKS.iter().position(|(name, _)| *name == route).expect("an uplink of ours");
        let renewed = clock::media();
        let (old, new) = (std::mem::replace(&mut hosts[place - 1], n + 9), n + 9);
        show.bed
            .at_box(|| {
                ip(&format!("addr del 10.77.{place}.{old}/24 dev {route}"))?;
                ip(&format!("addr add 10.77.{place}.{new}/24 dev {route}"))?;
                ip(&format!("route replace default via 10.77.{place}.2 dev {route} metric {place}"))
            })
            .expect("an address");
        let up = show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
        again.push((up.mono - renewed).to_ticks(1000));
        println!("    {:?}", show.verdicts(before));
        show.rig.let_pass(3);
        show.wait_standby();
    }
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    record(
        "failover-address",
        &[
            ("publishing_ms", format!("{again:?}")),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
        ],
    );
    assert!(all.is_perfect(), "{all}");
}

/// A link that has failed is returned to when it has been clean for its probation, from one picture to the next.
#[test]
fn the_first_uplink_is_returned_to_at_a_keyframe_when_it_has_proved_itself() {
    let Some(mut show) = Show::begin("failover-return", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let first = show.rig.output("youtube").route.expect("a link in use");
    show.lose("cut");
    let before = show.rig.events().len();
    show.rig.let_pass(50);
    assert_eq!(show.verdicts(before), Vec::<String>::new(), "not before it has proved itself");
    let back = show.rig.wait_event(before, "the stream to return", |e| e.kind == EventKind::RouteChanged);
    println!("    {}", back.reason);
    assert!(back.reason.contains("at a keyframe"), "{}", back.reason);
    show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing && e.mono > back.mono);
    show.on_air_over("the first uplink", |link| link == first);
    show.rig.let_pass(3);
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    println!("    {} frames, {} lost, {twice} sent again", all.frames, all.lost);
    assert!(all.is_perfect(), "{all}");
}

/// Nobody is asked: then only what TCP repeats in vain tells of a dead link, later, and no session stands by.
#[test]
fn without_probes_a_black_hole_is_left_all_the_same() {
    let takeover = "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"";
    let Some(mut show) = Show::begin_with("failover-unprobed", takeover, "") else { return };
    let before = show.rig.events().len();
    let in_use = show.rig.output("youtube").route.expect("a link in use");
    show.order(&format!("{in_use} hole"));
    let hole = clock::media();
    let up = show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
    println!("    {:?}", show.verdicts(before));
    record("failover-unprobed", &[("publishing_ms", (up.mono - hole).to_ticks(1000).to_string())]);
    show.on_air_over("the other uplink", |link| link != in_use);
    show.rig.let_pass(3);
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    println!("    {} frames, {} lost, {twice} sent again", all.frames, all.lost);
    assert!(all.is_perfect(), "{all}");
}

#[test]
fn where_the_server_holds_the_key_the_stream_waits_for_it_and_says_what_that_cost() {
    let Some(mut show) = Show::begin("failover-held", "takeover = \"retry-until-free\"") else { return };
    let faults: Vec<Fault> = (0..repetitions(2, 20)).map(|_| show.lose("hole")).collect();
    let lost = show.rig.output("youtube").lost;
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    let publishing: Vec<i64> = faults.iter().map(|fault| fault.publishing).collect();
    record(
        "failover-held",
        &[
            ("publishing_ms", format!("{publishing:?}")),
            ("sessions", recordings.len().to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
            ("units_beyond_the_ring", lost.to_string()),
        ],
    );
    // It lets go after 2 s of silence, and is asked again every second at least; the ring holds more than that.
    assert!(all.is_perfect() && lost == 0, "{all}; {lost} units beyond the ring");
    assert!(publishing.iter().all(|ms| *ms <= 6000), "publishing again after {publishing:?} ms");
}

/// What `holdfastd` has said about the data cap of `link` since the first `after` events: `warned`, `spent`, …
fn budgets(show: &Show, after: usize) -> Vec<String> {
    let events = show.rig.events().into_iter().skip(after);
    let about = events.filter(|e| e.kind == EventKind::BudgetChanged);
    about.filter_map(|e| e.evidence.get("budget")?.as_str().map(str::to_owned)).collect()
}

/// The first uplink is paid for by the megabyte. It is counted, warned of, and left when its cap is reached, from one picture
/// to the next; and nothing goes back to it, though it works.
#[test]
fn an_uplink_whose_data_cap_is_reached_is_left_at_a_keyframe_and_not_returned_to() {
    let sections = format!(
        "[probe]\ntargets = [\"echo://{SERVER}:{ECHO}\"]\n\n[show]\nlasts = \"30m\"\n\n\
         [[link]]\ninterface = \"eth0\"\ndata_cap = \"16M\"\ncost_per_gb = \"4.50 EUR\"\nperiod_starts = 1"
    );
    let takeover = "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"";
    let Some(mut show) = Show::begin_with("failover-cap", takeover, &sections) else { return };
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
    assert!(page.contains("its data cap is reached: used only if nothing else works"), "{page}");

    let before = show.rig.events().len();
    show.rig.let_pass(20);
    let after = show.rig.wait("the account of eth0", |s| {
        s.plane.as_ref()?.links.as_ref()?.iter().find(|link| link.name == "eth0")?.budget.clone()
    });
    // A session stands by there, and probes go on.
    assert!(after.used >= at_cap && after.used < at_cap + 4_000_000, "{at_cap} at the cap, {} now", after.used);
    let returned = show
        .rig
        .events()
        .into_iter()
        .skip(before)
        .any(|e| e.kind == EventKind::RouteChanged && e.evidence.get("to").is_some_and(|to| to == "eth0"));
    assert!(!returned, "{:?}", show.verdicts(before));

    // More is bought: it comes first again.
    let before = show.rig.events().len();
    let config = fs::read_to_string(show.rig.config_file()).expect("our own file");
    fs::write(show.rig.config_file(), config.replace("\"16M\"", "\"16G\"")).expect("our own file");
    show.rig.wait_event(before, "the cap to be raised", |e| {
        e.kind == EventKind::BudgetChanged && e.evidence.get("budget").is_some_and(|b| b == "free")
    });
    show.on_air_over("the first uplink", |link| link == "eth0");
    show.rig.let_pass(3);
    let told = budgets(&show, 0);
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    record(
        "failover-cap",
        &[
            ("cap_bytes", "16000000".to_owned()),
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
    assert!(at_cap >= 16_000_000 && at_cap < 18_000_000, "counted once a second: {at_cap}");
}

/// Its operator has said that the only uplink is not to be used beyond its cap: it is not, and the operator is told what to do.
#[test]
fn where_the_only_uplink_is_barred_at_its_cap_nothing_is_sent_until_more_is_bought() {
    let sections = format!(
        "[probe]\ntargets = [\"echo://{SERVER}:{ECHO}\"]\n\n\
         [[link]]\ninterface = \"eth0\"\ndata_cap = \"6M\"\nat_cap = \"bar\""
    );
    let over = "interface = \"eth0\"";
    let Some(show) = Show::begin_over("failover-bar", over, "takeover = \"retry-until-free\"", &sections) else {
        return;
    };
    let barred = show.rig.wait_event(0, "the cap to be reached", |e| {
        e.kind == EventKind::BudgetChanged && e.evidence.get("budget").is_some_and(|b| b == "barred")
    });
    println!("    {}: {}", barred.subject, barred.reason);
    let down = show.rig.wait_event(0, "the destination to be told of", |e| {
        e.kind == EventKind::OutputDown && e.evidence.get("trouble").is_some_and(|t| t == "data-cap")
    });
    println!("    {}: {}", down.subject, down.reason);
    assert_eq!(down.severity, holdfast::events::Severity::Alert);
    assert!(down.reason.contains("raise data_cap"), "{}", down.reason);
    let account = || {
        show.rig.wait("the account of eth0", |s| {
            s.plane.as_ref()?.links.as_ref()?.iter().find(|link| link.name == "eth0")?.budget.clone()
        })
    };
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
    let config = fs::read_to_string(show.rig.config_file()).expect("our own file");
    fs::write(show.rig.config_file(), config.replace("\"6M\"", "\"6G\"")).expect("our own file");
    show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
    show.rig.let_pass(3);
    record(
        "failover-bar",
        &[
            ("used_when_barred", stopped.to_string()),
            ("more_ten_seconds_later", (later - stopped).to_string()),
            ("more_after_a_restart", (known_again - later).to_string()),
        ],
    );
    show.end();
}
