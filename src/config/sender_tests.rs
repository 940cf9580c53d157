#![allow(clippy::unwrap_used, clippy::panic)]
use std::path::Path;
use std::time::Duration;

use super::tests::{example, told_of};
use super::*;
use crate::model::{KeyLength, NetworkLimits, SoundExpected, TruthSettings};

const REST: &str = "[[rendition]]\nname='m'\ncodec='h264'\nsize='640x360'\nbitrate='1M'\n";

/// A configuration with one input `a` of these keys, and its secrets.
fn read(keys: &str, secrets: &str) -> Result<InputSettings, ConfigErrors> {
    let main = format!("[[input]]\nname = 'a'\n{keys}\n{REST}");
    parse(Path::new("/"), ("main", &main), Some(("secrets", secrets))).map(|settings| settings.inputs[0].clone())
}

fn network(keys: &str, secrets: &str) -> NetworkInput {
    match read(keys, secrets) {
        Ok(InputSettings { source: Source::Network(network), truth, .. }) => {
            assert_eq!(truth.sound.expected, SoundExpected::OnceHeard);
            network
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_counts_as_a_fault_of_the_network_can_be_said_or_left_out() {
    let of = |keys: &str| network(&format!("kind = 'srt'\nlisten = '[::]:9100'\nopen = true\n{keys}"), "").limits;
    assert_eq!(of(""), NetworkLimits::USUAL);
    let limits = of("loss_above = 10\nrtt_above = '250ms'\nrate_below = 50");
    assert_eq!(limits, NetworkLimits { loss: Some(0.1), rtt: Some(Duration::from_millis(250)), rate: Some(0.5) });
    let never = of("loss_above = 'never'\nrtt_above = 'never'\nrate_below = 'never'");
    assert_eq!(never, NetworkLimits { loss: None, rtt: None, rate: None });
    let said = refusal("kind = 'rtsp'\nurl = 'rtsp://a/b'\nloss_above = 0", "");
    assert!(said.contains("write a whole number from 1 to 50, percent of the packets, or \"never\""), "{said}");
    let said = refusal("kind = 'pattern'\nrate_below = 30", "");
    assert!(said.contains("means nothing for kind \"pattern\""), "{said}");
}

/// What is said about a mistake.
fn refusal(keys: &str, secrets: &str) -> String {
    read(keys, secrets).unwrap_err().to_string()
}

fn of_example(at: usize) -> NetworkInput {
    let source = example().inputs[at].source.clone();
    let Source::Network(network) = source else { panic!("{source:?}") };
    network
}

#[test]
fn the_example_has_each_kind_with_its_defaults_written_out() {
    let (van, phone, door) = (of_example(1), of_example(2), of_example(3));
    let Sender::Srt(srt) = &van.sender else { panic!("{van:?}") };
    assert_eq!(srt.call, SrtCall::Listen("[::]:9100".parse().unwrap()));
    assert_eq!(srt.encryption.as_ref().unwrap().passphrase.reveal(), "what only the van knows");
    assert_eq!((srt.latency, &srt.stream_id), (Duration::from_millis(200), &None));
    let Sender::Rtmp(rtmp) = &phone.sender else { panic!("{phone:?}") };
    assert_eq!((rtmp.listen, rtmp.app.as_str()), ("[::]:1935".parse().unwrap(), "live"));
    assert_eq!(rtmp.key.as_ref().map(Secret::reveal), Some("k3-which-nobody-guesses"));
    let Sender::Rtsp(rtsp) = &door.sender else { panic!("{door:?}") };
    assert_eq!((rtsp.url.as_str(), rtsp.transport), ("rtsp://192.0.2.30/stream1", RtspTransport::Tcp));
    let login = rtsp.login.as_ref().unwrap();
    assert_eq!((login.user.as_str(), login.password.reveal()), ("viewer", "the viewer's at the camera"));
    assert_eq!(example().inputs[1].truth, TruthSettings::DECODED);

    let secrets = "[input.a]\npassphrase = 'what only the van knows'";
    assert_eq!(network("kind = 'srt'\nlisten = '[::]:9100'", secrets), van);
    let secrets = "[input.a]\nkey = 'k3-which-nobody-guesses'";
    assert_eq!(network("kind = 'rtmp'\nlisten = '[::]:1935'", secrets), phone);
    let secrets = "[input.a]\npassword = \"the viewer's at the camera\"";
    assert_eq!(network("kind = 'rtsp'\nurl = 'rtsp://192.0.2.30/stream1'\nuser = 'viewer'", secrets), door);
}

#[test]
fn what_is_not_usual_is_taken_too() {
    let secrets = "[input.a]\npassphrase = 'ten or more'\nkey = 'room-1'";
    let keys = "kind = 'srt'\nurl = 'srt://Sender.Example:9000/'\nkey_length = 256\nlatency = '1s'\ncushion = '10s'\n\
                pass_through = true\nfrozen_after = 'never'";
    let called = network(keys, secrets);
    assert_eq!((called.cushion, called.pass_through), (Duration::from_secs(10), true));
    let Sender::Srt(srt) = called.sender else { panic!() };
    assert_eq!(srt.call, SrtCall::To(SrtAddress { host: "sender.example".into(), port: 9000 }));
    assert_eq!(srt.stream_id.as_ref().map(Secret::reveal), Some("room-1"), "a secret stream id is a key");
    assert_eq!(srt.encryption.unwrap().key_length, KeyLength::Aes256);
    assert_eq!(srt.latency, Duration::from_secs(1));

    let open = network("kind = 'srt'\nlisten = '0.0.0.0:9100'\nopen = true\nstream_id = 'x'", "");
    let Sender::Srt(srt) = open.sender else { panic!() };
    assert_eq!((srt.encryption, srt.stream_id), (None, Some(Secret::new("x"))));
    let called = network("kind = 'srt'\nurl = 'srt://h:1'", "");
    assert!(matches!(called.sender, Sender::Srt(SrtInput { encryption: None, stream_id: None, .. })), "{called:?}");

    let open =
        network("kind = 'rtmp'\nlisten = '127.0.0.1:1936'\napp = 'live/room'\nopen = true\ncushion = '50ms'", "");
    let Sender::Rtmp(rtmp) = open.sender else { panic!() };
    assert_eq!((rtmp.app.as_str(), rtmp.key, open.cushion), ("live/room", None, Duration::from_millis(50)));

    let camera = network("kind = 'rtsp'\nurl = 'rtsp://[2001:db8::1]:8554/s?channel=1'\ntransport = 'udp'", "");
    let Sender::Rtsp(rtsp) = camera.sender else { panic!() };
    assert_eq!((rtsp.url.as_str(), rtsp.login), ("rtsp://[2001:db8::1]:8554/s?channel=1", None));
    assert_eq!(rtsp.transport, RtspTransport::Udp);
}

#[test]
fn inputs_listen_side_by_side_where_they_can() {
    let inputs = |second: &str, third: &str| {
        let input = |name: &str, kind: &str, listen: &str| {
            format!("[[input]]\nname='{name}'\nkind='{kind}'\nlisten='{listen}'\nopen=true\n")
        };
        let all = [input("a", "srt", "192.0.2.1:1935"), input("b", "rtmp", second), input("c", "srt", third)];
        let main = format!("{}{REST}", all.concat());
        parse(Path::new("/"), ("main", &main), None).map_err(|errors| errors.to_string())
    };
    assert!(inputs("[::]:1935", "192.0.2.1:1936").is_ok(), "TCP is not UDP");
    assert!(inputs("[::]:1935", "192.0.2.2:1935").is_ok(), "nor is one address the other");
    let refused = inputs("[::]:1935", "0.0.0.0:1935").unwrap_err();
    assert!(
        refused.contains("main:14:8: input \"c\": listen is where input \"a\" listens already, at 192.0.2.1:1935"),
        "{refused}"
    );
}

#[test]
fn a_secret_that_the_kind_does_not_have_is_refused_where_the_kind_stands() {
    let all = "[input.a]\nkey = 'k'\npassphrase = 'ten or more'\npassword = 'p'";
    let told = |keys: &str| {
        let refusal = refusal(keys, all);
        ["key", "passphrase", "password"].map(|word| refusal.contains(&format!("has a {word} in the secrets file")))
    };
    assert_eq!(told("kind = 'srt'\nlisten = '[::]:1'"), [false, false, true]);
    assert_eq!(told("kind = 'rtmp'\nlisten = '[::]:1'"), [false, true, true]);
    assert_eq!(told("kind = 'rtsp'\nurl = 'rtsp://c'\nuser = 'u'"), [true, true, false]);
    assert_eq!(told("kind = 'file'\npath = 'f'"), [true, true, true]);
    assert_eq!(told("kind = 'pattern'"), [true, true, true]);
    assert_eq!(told("kind = 'v4l2'\ndevice = '/dev/video0'"), [true, true, true]);
}

#[test]
fn who_calls_by_an_address_that_is_for_listening_is_told_to_listen() {
    for url in ["srt://:9100", "srt://0.0.0.0:9100", "srt://[::]:9100", "SRT://h:9100?mode=listener"] {
        let refusal = refusal(&format!("kind = 'srt'\nurl = '{url}'"), "");
        assert!(refusal.contains("url calls nobody; write listen = "), "{url}: {refusal}");
    }
    for url in ["rtmp://h/app", "h:9100", "srt://h", "srt://h:0", "srt://u:p@h:1"] {
        assert!(read(&format!("kind = 'srt'\nurl = '{url}'"), "").is_err(), "{url}");
    }
}

#[test]
fn every_key_that_is_another_kinds_is_refused_by_name() {
    let least = [
        ("v4l2", "device = '/dev/video0'"),
        ("srt", "url = 'srt://h:1'"),
        ("rtmp", "listen = '[::]:1'\nopen = true"),
        ("rtsp", "url = 'rtsp://c'"),
        ("file", "path = 'f'"),
        ("pattern", ""),
    ];
    let keys = "device audio path noise listen url stream_id latency key_length open mode app user transport cushion pass_through";
    for (kind, least) in least {
        assert!(read(&format!("kind = '{kind}'\n{least}"), "").is_ok(), "{kind}");
        for key in keys.split(' ').filter(|key| !least.contains(&format!("{key} ="))) {
            if let Err(errors) = read(&format!("kind = '{kind}'\n{key} = {{}}\n{least}"), "") {
                assert!(errors.to_string().contains(&format!("input \"a\": {key} ")), "{kind}: {errors}");
                assert!(!errors.to_string().contains("unknown key"), "{kind}: {errors}");
            } else {
                panic!("{kind} takes any {key}");
            }
        }
    }
}

#[test]
fn a_change_at_a_sender_is_told_to_the_data_plane_and_not_to_the_worker() {
    let change = |change: fn(&mut NetworkInput)| {
        move |settings: &mut Settings| {
            for input in &mut settings.inputs {
                if let Source::Network(network) = &mut input.source {
                    change(network);
                }
            }
        }
    };
    let srt = |change: fn(&mut SrtInput)| {
        move |settings: &mut Settings| {
            let Source::Network(NetworkInput { sender: Sender::Srt(srt), .. }) = &mut settings.inputs[1].source else {
                panic!()
            };
            change(srt);
        }
    };
    let plane = ["transmit", "supervisor"];
    assert_eq!(told_of(change(|n| n.cushion *= 2)), plane);
    assert_eq!(told_of(change(|n| n.pass_through = true)), plane);
    assert_eq!(told_of(srt(|s| s.call = SrtCall::Listen("[::]:9200".parse().unwrap()))), plane);
    assert_eq!(told_of(srt(|s| s.latency *= 2)), plane);
    let first = |s: &mut SrtInput| s.stream_id = Some(Secret::new("first"));
    assert_eq!(told_of(srt(first)), plane);
    assert_eq!(told_of(srt(|s| s.encryption.as_mut().unwrap().passphrase = Secret::new("another"))), plane);
    let rekeyed = |s: &mut Settings| {
        let Source::Network(NetworkInput { sender: Sender::Rtmp(rtmp), .. }) = &mut s.inputs[2].source else {
            panic!()
        };
        rtmp.key = Some(Secret::new("another"));
    };
    assert_eq!(told_of(rekeyed), plane);
    let new_password = |s: &mut Settings| {
        let Source::Network(NetworkInput { sender: Sender::Rtsp(rtsp), .. }) = &mut s.inputs[3].source else {
            panic!()
        };
        rtsp.login.as_mut().unwrap().password = Secret::new("another");
    };
    assert_eq!(told_of(new_password), plane);
    // What its pictures are judged by is the worker's, and so is whether it opens something itself.
    assert_eq!(told_of(|s| s.inputs[1].truth.frozen.after = None), ["van", "supervisor"]);
    let made_here = |s: &mut Settings| s.inputs[1].source = Source::Pattern { noise: false };
    assert_eq!(told_of(made_here), ["van", "transmit", "supervisor"]);
}

#[test]
fn who_lets_anybody_send_is_warned() {
    let mut settings = example();
    assert_eq!(settings.cautions(), Vec::<String>::new(), "each has its secret");
    let open = |settings: &mut Settings, at: usize| {
        let Source::Network(network) = &mut settings.inputs[at].source else { panic!() };
        match &mut network.sender {
            Sender::Srt(srt) => srt.encryption = None,
            Sender::Rtmp(rtmp) => rtmp.key = None,
            Sender::Rtsp(_) => panic!("nobody sends to it"),
        }
    };
    open(&mut settings, 1);
    open(&mut settings, 2);
    let cautions = settings.cautions();
    assert_eq!(cautions.len(), 2, "{cautions:?}");
    assert!(cautions[0].contains("\"van\" is open: whoever reaches [::]:9100") && cautions[0].contains("a passphrase"));
    assert!(cautions[1].contains("\"phone\" is open: whoever reaches [::]:1935") && cautions[1].contains("a key"));
    if let Source::Network(NetworkInput { sender: Sender::Srt(srt), .. }) = &mut settings.inputs[1].source {
        srt.call = SrtCall::To(SrtAddress { host: "h".into(), port: 1 });
    }
    if let Source::Network(NetworkInput { sender: Sender::Rtmp(rtmp), .. }) = &mut settings.inputs[2].source {
        rtmp.listen = "127.0.0.1:1935".parse().unwrap();
    }
    assert_eq!(settings.cautions(), Vec::<String>::new(), "who calls lets nobody in, and nobody else reaches loopback");
}

#[test]
fn who_passes_one_stream_through_to_two_renditions_is_warned() {
    let mut settings = example();
    if let Source::Network(network) = &mut settings.inputs[2].source {
        network.pass_through = true;
    }
    let cautions = settings.cautions();
    assert_eq!(cautions.len(), 1, "{cautions:?}");
    assert!(
        cautions[0].contains("\"phone\" has pass_through, and renditions \"main\" and \"small\" differ"),
        "{cautions:?}"
    );
    settings.renditions.truncate(1);
    assert_eq!(settings.cautions(), Vec::<String>::new());
}

/// Whatever secret stands in the main file or in the secrets file, no message repeats it.
#[test]
fn no_secret_of_a_sender_is_repeated() {
    let secret = "ZQXJ-0123-WVUT-4567";
    let in_main = [
        format!("kind = 'srt'\nlisten = 'srt://0.0.0.0:9100?passphrase={secret}'"),
        format!("kind = 'srt'\nlisten = '0.0.0.0:9100?passphrase={secret}'"),
        format!("kind = 'srt'\nurl = 'srt://h:9100?passphrase={secret}'"),
        format!("kind = 'srt'\nurl = 'srt://u:{secret}@h:9100'"),
        format!("kind = 'srt'\nurl = 'srt://h:9100'\npassphrase = '{secret}'"),
        format!("kind = 'srt'\nurl = 'srt://h:9100'\npassphrase = {secret}"),
        format!("kind = 'rtmp'\nlisten = 'rtmp://0.0.0.0:1935/live/{secret}'\nopen = true"),
        format!("kind = 'rtmp'\nlisten = '0.0.0.0:1935/{secret}'\nopen = true"),
        format!("kind = 'rtmp'\nlisten = '0.0.0.0:1935'\nopen = true\napp = 'live/{secret}'"),
        format!("kind = 'rtmp'\nlisten = '0.0.0.0:1935'\nopen = true\nkey = '{secret}'"),
        format!("kind = 'rtsp'\nurl = 'rtsp://u:{secret}@camera/s'"),
        format!("kind = 'rtsp'\nurl = 'rtsp://u:{secret}/x@camera/s'"),
        format!("kind = 'rtsp'\nurl = 'camera/s?password={secret}'"),
        format!("kind = 'rtsp'\nurl = 'rtsp://camera/s'\nuser = 'u:{secret}'"),
        format!("kind = 'rtsp'\nurl = 'rtsp://camera/s'\npassword = '{secret}'"),
        format!("kind = 'quic'\npassword = '{secret}'"),
    ];
    for keys in in_main {
        let told = refusal(&keys, "");
        assert!(!told.contains("ZQXJ"), "{keys}:\n{told}");
    }
    let in_secrets = [
        format!("[input.a]\nkey = {secret}"),
        format!("[input.a]\nkey = \"{secret} \""),
        format!("[input.a]\npassphrase = \"{secret}\"\npassword = \"{secret}\\n\""),
        format!("[input.{secret}]\nkey = \"k\""),
        format!("[input]\n\"{secret}\" = 1"),
        format!("[input.a]\n\"{secret}\" = \"\""),
        format!("[input.a]\nkey = \"rtmp://h/{secret}\""),
        format!("input = \"{secret}\""),
    ];
    for secrets in in_secrets {
        let told = refusal("kind = 'rtmp'\nlisten = '[::]:1935'", &secrets);
        assert!(!told.contains("ZQXJ"), "{secrets}:\n{told}");
    }
    let network = network("kind = 'rtmp'\nlisten = '[::]:1935'", &format!("[input.a]\nkey = '{secret}'"));
    assert!(!format!("{network:?}").contains("ZQXJ"), "{network:?}");
}
