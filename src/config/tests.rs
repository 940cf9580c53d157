#![allow(clippy::unwrap_used, clippy::panic)]
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::events::Role;
use crate::model::{AtCap, Codec, DataPlan, FrameRate, InputId, InterfaceName, ShowEnd, SoundExpected, TruthSettings};

pub(super) fn example() -> Settings {
    let base = Path::new("/etc/holdfast");
    match parse(base, ("example.toml", EXAMPLE), Some(("example-secrets.toml", EXAMPLE_SECRETS))) {
        Ok(settings) => settings,
        Err(errors) => panic!("the example is refused:\n{errors}"),
    }
}

#[test]
fn the_example_says_what_its_comments_say() {
    let settings = example();
    assert_eq!(settings.frame_rate, FrameRate::whole(30));
    assert_eq!(settings.inputs.len(), 6);
    assert_eq!(settings.inputs[4].source, Source::File { path: PathBuf::from("/etc/holdfast/film.mp4") });
    assert_eq!(settings.inputs[0].truth, TruthSettings::CAPTURED, "the example shows the defaults");
    assert_eq!(settings.inputs[4].truth, TruthSettings::DECODED);
    assert_eq!(settings.slate.image, Some(PathBuf::from("/etc/holdfast/slate.png")));
    let main = &settings.renditions[0];
    assert_eq!((main.codec, main.width, main.height, main.bitrate), (Codec::H264, 1280, 720, 4_000_000));
    assert_eq!(main.keyframe_interval, Duration::from_secs(2));
    assert_eq!(settings.audio_renditions().len(), 1, "equal sounds are encoded once");
    let youtube = &settings.destinations[0];
    assert_eq!(youtube.key.reveal(), "abcd-1234-efgh-5678-ijkl");
    assert!(matches!(&youtube.takeover, Takeover::BackupUrl(url) if url.app == "live2?backup=1"), "{youtube:?}");
    assert!(!settings.destinations[1].enabled);
    assert_eq!(settings.destinations[1].via, Via::Pinned(InterfaceName::new("eth0").unwrap()));
    let named = ["eth0", "wwan0"].map(|name| InterfaceName::new(name).unwrap());
    assert_eq!(youtube.via, Via::Failover(named.to_vec()));
    assert_eq!(youtube.backup_key.as_ref().map(Secret::reveal), Some("mnop-1234-qrst-5678-uvwx"));
    let archive = &settings.recordings[0];
    assert_eq!((archive.max_bytes, archive.min_free_bytes), (Some(50_000_000_000), 1_000_000_000));
    assert!(settings.alerts.webhook.is_some());
    let targets: Vec<_> = settings.probe.targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["echo://relay.example.org:9710", "stun://stun.example.net:3478"]);
    let page = settings.probe.portal_check.as_ref().unwrap();
    assert_eq!(
        (page.to_string().as_str(), page.port, &page.expect),
        ("http://check.example.org/generate_204", 80, &None)
    );
    let plan = &settings.plans[&InterfaceName::new("wwan0").unwrap()];
    assert_eq!((plan.cap, plan.at_cap, plan.period_starts), (Some(20_000_000_000), AtCap::LastResort, Some(1)));
    assert_eq!(plan.price.as_ref().map(|price| price.of(2_000_000_000)), Some("9.00 EUR".to_owned()));
    assert_eq!(settings.show, Some(ShowEnd::At { hour: 18, minute: 30 }));
    let relay = &settings.srt_destinations[0];
    assert_eq!(relay.address.to_string(), "srt://relay.example.org:9000");
    assert_eq!(relay.stream_id.as_ref().unwrap().reveal(), "st-marys");
    assert_eq!(relay.encryption.as_ref().unwrap().passphrase.reveal(), "what only the relay knows");
    assert_eq!((relay.latency, relay.overhead_percent), (Duration::from_millis(500), 25));
    let Links::Backup(paths) = &relay.links else { panic!("{:?}", relay.links) };
    let labels: Vec<_> = paths.iter().map(|p| (p.label(), p.weight, p.address.host.as_str())).collect();
    let host = "relay.example.org";
    assert_eq!(
        labels,
        [("eth0".into(), 3, host), ("wwan0".into(), 2, host), ("starlink0".into(), 1, "relay2.example.org")]
    );
}

#[test]
fn a_hardware_profile_may_be_named_and_a_change_of_it_concerns_the_workers() {
    let with = |line: &str| {
        let text = EXAMPLE.replacen("[box]\n", &format!("[box]\n{line}\n"), 1).replacen("profile = \"auto\"", "# ", 1);
        parse(Path::new("/etc/holdfast"), ("c", &text), Some(("s", EXAMPLE_SECRETS))).unwrap()
    };
    assert_eq!(example().hardware, HardwareSettings::default(), "auto is what is left out");
    let named = with("profile = \"rk3588\"\nprofiles = \"boards\"");
    assert_eq!(named.hardware.profile.as_ref().map(|name| name.as_str()), Some("rk3588"));
    assert_eq!(named.hardware.directory.as_deref(), Some(Path::new("/etc/holdfast/boards")));
    let camera = Role::Encode(InputId::new("camera").unwrap());
    let differs = |role: &Role| example().hash_for(role) != named.hash_for(role);
    assert!(differs(&camera) && differs(&Role::Supervisor) && !differs(&Role::Transmit));
}

fn relay_example() -> RelaySettings {
    let secrets = Some(("secrets.toml", EXAMPLE_RELAY_SECRETS));
    match parse_relay(Path::new("/etc/holdfast"), ("relay.toml", EXAMPLE_RELAY), secrets) {
        Ok(settings) => settings,
        Err(errors) => panic!("the example is refused:\n{errors}"),
    }
}

#[test]
fn the_relays_example_says_what_its_comments_say() {
    let settings = relay_example();
    assert_eq!(settings.listen, ["[::]:9000".parse().unwrap()]);
    assert_eq!(settings.status, Some("127.0.0.1:9180".parse().unwrap()));
    assert_eq!(settings.probe, Some("[::]:9710".parse().unwrap()));
    assert_eq!((settings.min_latency, settings.max_latency), (Duration::from_millis(120), Duration::from_secs(8)));
    let [church, guest] = &settings.programmes[..] else { panic!("{:?}", settings.programmes) };
    assert_eq!(
        (church.stream_id.reveal(), guest.stream_id.reveal()),
        ("st-marys", "guest"),
        "the name is the usual id"
    );
    assert_eq!(church.passphrase.as_ref().unwrap().reveal(), "what the box at St Mary's knows");
    assert_eq!(guest.passphrase, None);
    assert_eq!(settings.destinations[0].rendition, church.id);
    assert_eq!(settings.srt_destinations[0].rendition, church.id);
    assert!(settings.srt_destinations[0].encryption.is_some());
    assert_eq!(settings.recordings[0].rendition, church.id);
}

#[test]
fn without_weights_the_order_counts_and_with_them_it_does_not() {
    let with = |paths: &str| {
        let (main, _) = EXAMPLE.split_once("paths = [ ").unwrap();
        let text = format!("{main}paths = [{paths}]\n");
        let settings = parse(Path::new("/"), ("c", &text), Some(("s", EXAMPLE_SECRETS))).unwrap();
        let paths = settings.srt_destinations[0].links.paths().to_vec();
        paths.iter().map(|p| format!("{} {}", p.label(), p.weight)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(with("{ interface = 'b' }, { interface = 'a' }"), "b 2, a 1");
    assert_eq!(with("{ interface = 'b', weight = 7 }, { interface = 'a', weight = 900 }"), "a 900, b 7");
}

#[test]
fn a_service_may_take_its_stream_key_as_the_stream_id() {
    let text = EXAMPLE.replace("stream_id = \"st-marys\" ", "# ");
    let secrets = EXAMPLE_SECRETS.replace("[destination.relay]", "[destination.relay]\nkey = \"publish:abcd\"");
    let settings = parse(Path::new("/"), ("c", &text), Some(("s", &secrets))).unwrap();
    let relay = &settings.srt_destinations[0];
    assert_eq!(relay.stream_id.as_ref().unwrap().reveal(), "publish:abcd");
    assert!(!format!("{settings:?}").contains("abcd") && !format!("{settings:?}").contains("only the relay"));
}

#[test]
fn the_least_configuration_gets_the_documented_defaults() {
    let text =
        "[[input]]\nname='t'\nkind='pattern'\n[[rendition]]\nname='m'\ncodec='av1'\nsize='640x360'\nbitrate='1M'\n";
    let settings = parse(Path::new("/"), ("c", text), None).unwrap();
    assert_eq!(settings.box_name, "Holdfast");
    assert_eq!(settings.frame_rate, FrameRate::whole(30));
    assert_eq!(settings.renditions[0].keyframe_interval, Duration::from_secs(2));
    assert_eq!(settings.renditions[0].encoder, EncoderChoice::Auto);
    assert_eq!(settings.renditions[0].audio, AudioSettings { codec: Codec::Opus, bitrate: 96_000 });
    assert_eq!(settings.slate, SlateSettings::default());
    assert_eq!(settings.telemetry, TelemetrySettings::default());
    assert_eq!(settings.probe, ProbeSettings::default(), "nobody is asked unasked");
    assert_eq!(example().telemetry, TelemetrySettings::default(), "the example shows the defaults");
    assert_eq!(settings.network.tables, Tables::Off, "nobody's routing is changed unasked");
    assert_eq!(example().network, settings.network, "nor by whoever begins with the example");
}

#[test]
fn who_fails_over_and_asks_hardly_anybody_is_warned() {
    let mut settings = example();
    assert_eq!(settings.cautions(), Vec::<String>::new(), "two are asked");
    settings.probe.targets.truncate(1);
    assert!(settings.cautions()[0].contains("\"youtube\"") && settings.cautions()[0].contains("only one"));
    settings.probe.targets.clear();
    assert!(settings.cautions()[0].contains("nobody is asked"), "{:?}", settings.cautions());
    settings.destinations[0].enabled = false;
    assert_eq!(settings.cautions(), Vec::<String>::new(), "nothing fails over");
}

#[test]
fn a_cap_that_nothing_keeps_is_warned_of() {
    let mut settings = example();
    let plan = settings.plans.values().next().unwrap().clone();
    settings.plans.insert(InterfaceName::new("starlink0").unwrap(), plan.clone());
    assert_eq!(settings.cautions(), Vec::<String>::new(), "a path of an SRT destination is bound to it");
    settings.plans.insert(InterfaceName::new("wwan7").unwrap(), DataPlan { cap: None, ..plan.clone() });
    assert_eq!(settings.cautions(), Vec::<String>::new(), "it has no cap");
    settings.plans.insert(InterfaceName::new("wwan7").unwrap(), plan);
    assert!(
        settings.cautions()[0].contains("\"wwan7\" has a data_cap, and no destination names"),
        "{:?}",
        settings.cautions()
    );
}

#[test]
fn what_is_wrong_with_an_input_is_a_matter_of_taste() {
    let read = |keys: &str| {
        let (before, after) = EXAMPLE.split_once("audio = \"paired\"").unwrap();
        let (_, after) = after.split_once("silence_below = -60").unwrap();
        let text = format!("{before}{keys}\n#{after}");
        parse(Path::new("/"), ("c", &text), Some(("s", EXAMPLE_SECRETS))).unwrap().inputs[0].truth.clone()
    };
    let usual = read("");
    assert_eq!(usual, TruthSettings::CAPTURED);
    let never = read("frozen_after = 'never'\nblack_after = 'never'\nsilent_after = 'never'");
    assert_eq!((never.frozen.after, never.black.after, never.sound.silent_after), (None, None, None));
    assert_eq!(never.frozen.block, usual.frozen.block, "and the rest stays");
    let other = read("frozen_after = '1m 30s'\nblack_after = '500ms'\nsilent_after = '1h'\nsilence_below = -45");
    assert_eq!(other.frozen.after, Some(Duration::from_secs(90)));
    assert_eq!(other.black.after, Some(Duration::from_millis(500)));
    assert_eq!((other.sound.silent_after, other.sound.silence_below), (Some(Duration::from_secs(3600)), -45));
    assert_eq!(read("audio = 'none'").sound.expected, SoundExpected::Never);
    assert_eq!(read("audio = 'hw:2,0'").sound.expected, SoundExpected::Always, "whoever names it means it");
    assert_eq!(usual.sound.expected, SoundExpected::OnceHeard, "a webcam may have no microphone");
}

#[test]
fn dishes_may_be_listed_and_a_temperature_has_its_unit() {
    let read = |keys: &str| {
        let text =
            EXAMPLE.replace("[telemetry]\nmodem = true", &format!("[telemetry]\n{keys}")).replace("hot = \"85C\"", "");
        parse(Path::new("/"), ("c", &text), Some(("s", EXAMPLE_SECRETS))).unwrap().telemetry
    };
    let listed =
        read("dish = [{ interface = 'eth1' }, { address = '[fd00::1]:9201' }]\nhot = '70.5 °C'\nmodem = false");
    let eth1 = InterfaceName::new("eth1");
    let wanted = [("192.168.100.1:9200", eth1), ("[fd00::1]:9201", None)]
        .map(|(address, interface)| DishSettings { address: address.parse().unwrap(), interface });
    assert_eq!(listed.dishes, Dishes::Listed(wanted.to_vec()));
    assert_eq!((listed.modem, listed.hot_celsius), (false, 70));
    assert_eq!(read("dish = []").dishes, Dishes::Listed(Vec::new()));
}

/// The roles whose hash changes when `change` is made to the example.
pub(super) fn told_of(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
    let roles = [
        ("camera", Role::Encode(InputId::new("camera").unwrap())),
        ("film", Role::Encode(InputId::new("film").unwrap())),
        ("van", Role::Encode(InputId::new("van").unwrap())),
        ("transmit", Role::Transmit),
        ("supervisor", Role::Supervisor),
    ];
    let (before, mut after) = (example(), example());
    change(&mut after);
    roles.iter().filter(|(_, role)| before.hash_for(role) != after.hash_for(role)).map(|(name, _)| *name).collect()
}

#[test]
fn every_interface_that_a_destination_names_is_known_once() {
    let names: Vec<String> = example().pinned_interfaces().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["eth0", "wwan0", "starlink0"]);
}

#[test]
fn a_change_is_told_to_the_processes_that_depend_on_it_and_to_no_other() {
    assert_eq!(told_of(|_| ()), [""; 0]);
    assert_eq!(told_of(|s| s.frame_rate = FrameRate::whole(25)), ["camera", "film", "van", "transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.renditions[1].bitrate += 1), ["camera", "film", "van", "transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.inputs[4].source = Source::Pattern { noise: false }), ["film", "supervisor"]);
    assert_eq!(told_of(|s| s.inputs[0].truth.frozen.after = None), ["camera", "supervisor"]);
    assert_eq!(told_of(|s| s.inputs[4].truth.sound.silence_below -= 1), ["film", "supervisor"]);
    assert_eq!(told_of(|s| s.inputs.swap(1, 2)), ["transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.slate.image = None), ["transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.destinations[0].key = Secret::new("another")), ["transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.recordings.clear()), ["transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.srt_destinations[0].overhead_percent = 30), ["transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.srt_destinations[0].stream_id = Some(Secret::new("x"))), ["transmit", "supervisor"]);
    let rekey = |s: &mut Settings| {
        let key_length = KeyLength::Aes128;
        s.srt_destinations[0].encryption = Some(Encryption { passphrase: Secret::new("another one"), key_length });
    };
    assert_eq!(told_of(rekey), ["transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.probe.targets.truncate(1)), ["transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.probe.portal_check = None), ["transmit", "supervisor"]);
    assert_eq!(told_of(|s| s.alerts.webhook = None), ["supervisor"]);
    assert_eq!(told_of(|s| s.telemetry.hot_celsius += 1), ["supervisor"]);
    assert_eq!(told_of(|s| s.network.tables = Tables::Apply), ["supervisor"]);
}

#[test]
fn a_key_moved_from_one_destination_to_another_is_a_change() {
    let keys = |a: &str, b: &str| {
        let (a, b) = (Secret::new(a), Secret::new(b));
        move |s: &mut Settings| (s.destinations[0].key, s.destinations[1].key) = (a, b)
    };
    let (mut one, mut other) = (example(), example());
    keys("ab", "c")(&mut one);
    keys("a", "bc")(&mut other);
    assert_ne!(one.hash_for(&Role::Transmit), other.hash_for(&Role::Transmit));
}

#[test]
fn text_that_nests_deeply_is_refused_on_a_small_stack() {
    let deep_keys = |n: usize| vec!["a"; n].join(".");
    let mut inline = String::new();
    for _ in 0..79 {
        inline.push_str(&format!("{{{} =\n", deep_keys(79)));
    }
    let texts = [
        format!("a = {}", "[".repeat(4000)),
        format!("a = {}", "[\n".repeat(400_000)),
        format!("a = {}", "{a=\n".repeat(200_000)),
        format!("[{}]\n{} = 1", deep_keys(2000), deep_keys(2000)),
        format!("a = {inline}1{}", "\n}".repeat(79)),
    ];
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        for text in &texts {
            assert!(parse(Path::new("/"), ("c", text), Some(("s", text))).is_err());
        }
    });
    thread.unwrap().join().unwrap();
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    /// Pieces that get further into the reader than noise would.
    fn pieces() -> impl Strategy<Value = String> {
        let words =
            EXAMPLE.split_inclusive(char::is_whitespace).chain(EXAMPLE_SECRETS.split_inclusive(char::is_whitespace));
        let words: Vec<String> = words.map(str::to_owned).collect();
        let piece =
            prop_oneof![8 => prop::sample::select(words), 1 => any::<String>(), 1 => "[\\[\\]{}=\"'.,\n0-9a-z-]{0,8}"];
        prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
    }

    /// An example with one line replaced.
    fn mutants_of(example: &'static str) -> impl Strategy<Value = String> {
        let lines: Vec<&str> = example.lines().collect();
        (0..lines.len(), prop_oneof![pieces(), prop::sample::select(lines.clone()).prop_map(str::to_owned)]).prop_map(
            move |(at, instead)| {
                let line = |(i, line): (usize, &&str)| if i == at { instead.clone() } else { (*line).to_owned() };
                lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
            },
        )
    }

    fn check(main: &str, secrets: &str) {
        if let Err(errors) = parse(Path::new("/etc"), ("main", main), Some(("secrets", secrets))) {
            check_words(&errors, main, secrets);
        }
    }

    fn check_words(errors: &ConfigErrors, main: &str, secrets: &str) {
        assert!(!errors.errors.is_empty());
        for error in &errors.errors {
            assert!(!error.message.contains("defect in Holdfast"), "a refusal without a reason");
            assert!(!error.message.chars().any(char::is_control), "{error}");
            let text = if error.file == "main" { main } else { secrets };
            assert!(error.line >= 1 && error.line <= text.split('\n').count(), "{error}: no such line");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
        #[test]
        fn is_refused_in_words_or_accepted(main in prop_oneof![pieces(), mutants_of(EXAMPLE)], secrets in pieces()) {
            check(&main, &secrets);
        }

        #[test]
        fn of_noise_is_refused_in_words(main in any::<String>(), secrets in any::<String>()) {
            check(&main, &secrets);
        }

        #[test]
        fn of_a_relay_is_refused_in_words_or_accepted(main in mutants_of(EXAMPLE_RELAY), secrets in mutants_of(EXAMPLE_RELAY_SECRETS)) {
            if let Err(errors) = parse_relay(Path::new("/etc"), ("main", &main), Some(("secrets", &secrets))) {
                check_words(&errors, &main, &secrets);
            }
        }

        /// Whatever stands in the secrets file, no message repeats it.
        #[test]
        fn of_secrets_is_never_repeated(shape in 0usize..9) {
            let secret = "ZQXJ-0123-WVUT-4567";
            let secrets = [
                format!("[destination.youtube]\nkey = {secret}\n"),
                format!("[destination.youtube]\nkey = \"{secret} \"\n"),
                format!("[destination.{secret}]\nkey = \"a\"\n"),
                format!("[destination]\n\"{secret}\" = 1\n"),
                format!("\"{secret}\" = 1\n"),
                format!("[destination.youtube]\n\"{secret}\" = \"\"\n"),
                format!("[alerts]\nwebhook = \"{secret}\"\n"),
                format!("destination = \"{secret}\"\n"),
                format!("{secret}\n"),
            ];
            let errors = parse(Path::new("/etc"), ("main", EXAMPLE), Some(("secrets", &secrets[shape]))).unwrap_err();
            prop_assert!(!errors.to_string().contains("ZQXJ"), "{errors}");
        }
    }
}
