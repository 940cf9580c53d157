//! What `holdfast devices` says of an HDMI input and a webcam, beside one that streams, and where there is none.

use std::fs;

use serde_json::{Value, json};

use crate::guest::Guest;
use crate::{HDMI, NO_SIGNAL, SIGNAL, VGA, WEBCAM, source};

const HOLDFAST: &str = env!("CARGO_BIN_EXE_holdfast");

fn listed(guest: &mut Guest, arguments: &str) -> Value {
    let said = guest.run(&format!("{HOLDFAST} devices {arguments} --json"));
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// The highest rate of each format that has the size.
fn highest_rates(device: &Value, width: u32, height: u32) -> Vec<f64> {
    let sizes = device["formats"].as_array().unwrap().iter().flat_map(|format| format["sizes"].as_array().unwrap());
    let of_it = sizes.filter(|size| size["width"] == width && size["height"] == height);
    of_it.map(|size| size["rates"].as_array().unwrap().iter().filter_map(Value::as_f64).fold(0.0, f64::max)).collect()
}

/// All that could be set on both. The gain changes by itself: the driver makes it of the time; and so do numbers that can only be
/// read.
fn state(guest: &mut Guest) -> String {
    let of = |device| format!("v4l2-ctl -d {device} --get-fmt-video --get-parm --get-input --list-ctrls");
    guest.run(&format!("({}; {}) | grep -v ' gain \\|read-only'", of(HDMI), of(WEBCAM)))
}

#[test]
fn what_is_plugged_in_is_told_with_what_to_write_for_it_and_nothing_is_changed_on_it() {
    let mut guest = Guest::boot();
    guest.run(&source(&format!("{VGA},{SIGNAL}")));
    let before = state(&mut guest);
    let all = listed(&mut guest, "");
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");

    let hdmi = &all[0];
    assert_eq!((&hdmi["node"], &hdmi["device"], &hdmi["lasting"]), (&HDMI.into(), &HDMI.into(), &"node".into()));
    assert_eq!(
        (&hdmi["card"], &hdmi["driver"], &hdmi["bus"]),
        (&"vivid".into(), &"vivid".into(), &"platform:vivid-000".into())
    );
    assert_eq!((&hdmi["profile"]["name"], &hdmi["profile"]["edid"]), (&"vivid".into(), &"hd-1080p60".into()));
    assert_eq!(hdmi["profile"]["quirks"][0], "goes on delivering pictures without a signal, at another size");
    let signal = &hdmi["signal"];
    assert_eq!(
        (&signal["standing"], &signal["width"], &signal["height"]),
        (&"locked".into(), &640.into(), &480.into())
    );
    assert_eq!(hdmi["sound"], json!({"is": "absent", "others": []}));
    assert_eq!(highest_rates(hdmi, 640, 480), Vec::<f64>::new(), "its size is the signal's");
    assert!(hdmi["now"]["width"].is_u64() && hdmi.get("controls").is_none(), "{hdmi}");

    let webcam = &all[1];
    assert_eq!((&webcam["node"], &webcam["signal"]["standing"]), (&WEBCAM.into(), &"unknown".into()));
    let formats = webcam["formats"].as_array().unwrap();
    assert!(formats.iter().any(|format| format["fourcc"] == "YUYV" && format["packing"] == "raw"), "{webcam}");
    let (small, large) = (highest_rates(webcam, 320, 180), highest_rates(webcam, 1920, 1080));
    println!("{} formats; 320x180 at up to {}, 1920x1080 at up to {}", formats.len(), small[0], large[0]);
    assert_eq!((small.len(), large.len()), (formats.len(), formats.len()));
    assert!(small.iter().zip(&large).all(|(small, large)| small > large && *large > 0.0));

    for_people(&mut guest);
    assert_eq!(state(&mut guest), before);
    a_stream_goes_on(&mut guest);
    the_block_makes_an_input(&mut guest, hdmi["block"].as_str().unwrap());

    guest.run(&source(NO_SIGNAL));
    let said = listed(&mut guest, HDMI);
    assert_eq!((said.as_array().unwrap().len(), &said[0]["signal"]["standing"]), (1, &"no-signal".into()));

    let (code, said) = guest.outcome(&format!("{HOLDFAST} devices /dev/null"));
    assert_eq!(
        (code, said.as_str()),
        (1, "holdfast: /dev/null is not a video device; `holdfast devices` lists those that capture")
    );
    guest.run("echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind");
    assert_eq!(guest.outcome(&format!("{HOLDFAST} devices --json")), (1, "[]".to_owned()));
    let (code, said) = guest.outcome(&format!("{HOLDFAST} devices"));
    assert!(code == 1 && said.contains("No capture device is here.") && said.contains("dmesg"), "{code}: {said}");
}

fn for_people(guest: &mut Guest) {
    let page = guest.run(&format!("{HOLDFAST} devices"));
    println!("{page}");
    for line in [
        "   is        the kernel's virtual HDMI receiver (vivid)",
        "   signal    640x480p59.94",
        "   signal    this device does not tell whether it has a signal",
        "   sound     none of the same device",
        "               in the size and at the rate of its signal",
        "   oddities  goes on delivering pictures without a signal, at another size",
        "device = \"/dev/video1\"   # may be another device's after a replug or a start",
        "name = \"vivid-2\"",
    ] {
        assert!(page.lines().any(|said| said == line), "lacks {line:?}:\n{page}");
    }
    let sizes = page.lines().position(|line| line.trim_start().starts_with("3840x2160 at "));
    let smaller = page.lines().position(|line| line.trim_start().starts_with("1920x1080 at "));
    assert!(sizes.is_some() && sizes < smaller, "{page}");
    assert!(page.contains("(--all)") && page.lines().count() < 80, "{page}");
    let controls = guest.run(&format!("{HOLDFAST} devices {WEBCAM} --controls --all"));
    assert!(controls.lines().any(|line| line.contains("Brightness") && line.contains("0 to 255")), "{controls}");
    assert!(!controls.contains("(--all)"), "{controls}");
}

/// Whoever captures hears nothing of being asked about, twice, with everything.
fn a_stream_goes_on(guest: &mut Guest) {
    // A line for each picture.
    let stream = format!("v4l2-ctl -d {HDMI} --stream-mmap --stream-to=/dev/null --verbose >/tmp/stream 2>&1");
    let running = guest.start(&format!("{stream} & echo $! >/tmp/pid; wait $!; echo ended"));
    let pictures = |guest: &mut Guest, more_than: usize| -> usize {
        let count = "$(grep -c 'dqbuf' /tmp/stream)";
        guest
            .run(&format!("while test {count} -le {more_than}; do kill -0 $(cat /tmp/pid) || exit 1; sleep 0.1; done"));
        guest.run(&format!("echo {count}")).parse().unwrap()
    };
    guest.run("while ! test -s /tmp/pid || ! test -s /tmp/stream; do sleep 0.1; done");
    let mut seen = vec![pictures(guest, 0)];
    let before = state(guest);
    for _ in 0..2 {
        let said = listed(guest, &format!("{HDMI} --controls"));
        assert!(said[0]["controls"].as_array().unwrap().len() > 10, "{said}");
        seen.push(pictures(guest, seen[seen.len() - 1]));
    }
    // Still the same process, and it still gets pictures.
    seen.push(pictures(guest, seen[2] + 5));
    println!("pictures that were captured before, between and after: {seen:?}");
    assert_eq!(state(guest), before);
    guest.run("kill $(cat /tmp/pid)");
    // The shell may say that it was terminated.
    while guest.next(running) != "ended" {}
}

fn the_block_makes_an_input(guest: &mut Guest, block: &str) {
    let rendition = "[[rendition]]\nname = \"main\"\ncodec = \"h264\"\nsize = \"1280x720\"\nbitrate = \"2M\"\n";
    let file = guest.files().join("holdfast.toml");
    fs::write(&file, format!("[box]\nname = \"Holdfast\"\n\n{block}\n{rendition}")).unwrap();
    let file = file.display();
    let (code, said) = guest.outcome(&format!("{HOLDFAST} check-config {file}"));
    assert_eq!(code, 0, "{said}");
    let all = listed(guest, &format!("--config {file}"));
    assert_eq!((&all[0]["input"], &all[0]["block"]), (&"vivid".into(), &Value::Null));
    assert!(all[1]["block"].as_str().unwrap().contains("name = \"vivid-2\""), "{all}");
}
