//! Each mistake in a profile is refused with exactly its message.

use super::*;

/// A profile that is right.
const RIGHT: &str = r#"name = "board"
title = "Board"
verified = false

[match]
compatible = ["maker,board"]

[encoders]
h264 = ["rkmpp", "x264"]

[[encoder_limit]]
family = "rkmpp"
codec = "h264"
size = "1920x1080"
frame_rate = 30

[standby]
mode = "warm"
hardware_sessions = 2

[[capture]]
name = "hdmi"
title = "HDMI"
drivers = ["rk_hdmirx"]
usb = ["0fd9:0066"]
planes = "multi"
format = "NV12"
edid = "hd-1080p60"

[display]
kind = "ssd1306"
size = "128x64"
bus = "/dev/i2c-1"
address = 0x3c

[[button]]
name = "show"
gpio = "GPIO17"

[[led]]
name = "on-air"
kernel = "ACT"

[[interface]]
name = "eth0"
role = "ethernet"
drivers = ["igc"]

[[thermal]]
zone = "cpu-thermal"
warn = "75C"
slows = "80C"
"#;

/// What to put in place of what, and what is then said.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("name = \"board\"\n", "", "p.toml:1:1: the profile has no name; add name = \"my-board\""),
    (
        "name = \"board\"",
        "name = \"My Board\"",
        "p.toml:1:8: the profile: name \"My Board\" contains 'M'; did you mean \"my-board\"?",
    ),
    ("verified = false\n", "", "p.toml:1:1: the profile has no verified; add verified = false"),
    (
        "verified = false\n",
        "verified = \"no\"\n",
        "p.toml:3:12: the profile: verified is neither true nor false; write true only for what was seen on the hardware itself, otherwise false",
    ),
    (
        "[standby]",
        "colour = \"red\"\n[standby]",
        "p.toml:17:1: [[encoder_limit]]: unknown key \"colour\"; remove it, or choose from codec, family, size, frame_rate",
    ),
    ("[match]", "[matches]", "p.toml:5:2: the profile: unknown key \"matches\"; did you mean match?"),
    (
        "compatible = [\"maker,board\"]\n",
        "",
        "p.toml:5:1: [match] says nothing; add one of compatible, dmi, modalias, hypervisor, architecture or anything",
    ),
    (
        "[\"maker,board\"]",
        "\"maker,board\"",
        "p.toml:6:14: [match]: compatible is text, not a list; write [\"maker,board\"]",
    ),
    (
        "maker,board",
        "Raspberry Pi 5",
        "p.toml:6:14: [match]: compatible has \"Raspberry Pi 5\", which no device tree says; write maker and board as /proc/device-tree/compatible has them: \"radxa,rock-5b\"",
    ),
    (
        "compatible = [\"maker,board\"]",
        "modalias = [\"*\"]",
        "p.toml:6:12: [match]: modalias has \"*\", which would fit anything or nothing; write what it has to be; * stands for any text, ? for any one character",
    ),
    (
        "compatible = [\"maker,board\"]",
        "dmi = [{ product = \"EQ12\" }]",
        "p.toml:6:8: [match], dmi 1 has no vendor; add vendor = \"…\" as /sys/class/dmi/id/sys_vendor has it",
    ),
    (
        "compatible = [\"maker,board\"]",
        "architecture = [\"arm64\"]",
        "p.toml:6:16: [match]: architecture is \"arm64\", which is not known here; did you mean \"aarch64\"?",
    ),
    (
        "[\"rkmpp\", \"x264\"]",
        "[\"rkmp\", \"x264\"]",
        "p.toml:9:8: [encoders]: h264 has \"rkmp\", no encoder family that makes H.264; did you mean \"rkmpp\"?",
    ),
    (
        "[\"rkmpp\", \"x264\"]",
        "[\"x265\"]",
        "p.toml:9:8: [encoders]: h264 has \"x265\", no encoder family that makes H.264; did you mean \"x264\"?",
    ),
    (
        "[\"rkmpp\", \"x264\"]",
        "[\"x264\", \"x264\"]",
        "p.toml:9:8: [encoders]: h264 names a family twice; keep the one that comes first",
    ),
    (
        "[\"rkmpp\", \"x264\"]",
        "[]",
        "p.toml:9:8: [encoders]: h264 is an empty list; write [\"va\", \"x264\"], or remove it",
    ),
    ("h264 = [\"rkmpp\"", "h265 = [\"rkmpp\"", "p.toml:9:1: [encoders]: unknown key \"h265\"; did you mean h264?"),
    ("family = \"rkmpp\"\n", "", "p.toml:11:1: [[encoder_limit]] has no family; add family = \"v4l2m2m\""),
    (
        "size = \"1920x1080\"",
        "size = \"1080p\"",
        "p.toml:14:8: [[encoder_limit]]: size is \"1080p\", not a picture size; did you mean \"1920x1080\"?",
    ),
    (
        "mode = \"warm\"",
        "mode = \"hot\"",
        "p.toml:18:8: [standby]: mode is \"hot\", which is not known here; did you mean \"warm\"?",
    ),
    (
        "hardware_sessions = 2",
        "hardware_sessions = 0",
        "p.toml:19:21: [standby]: hardware_sessions is 0; write 1 to 64 without quotes, or leave it out where nobody knows",
    ),
    (
        "[standby]\nmode = \"warm\"\nhardware_sessions = 2\n",
        "",
        "p.toml:1:1: the profile has no [standby]; add one with mode = \"warm\", or \"cold\" where the hardware has too few sessions",
    ),
    (
        "drivers = [\"rk_hdmirx\"]\nusb = [\"0fd9:0066\"]\n",
        "",
        "p.toml:21:1: capture \"hdmi\" says nothing to know it by; add drivers, paths or usb",
    ),
    (
        "0fd9:0066",
        "0x0fd9:0x66",
        "p.toml:25:7: capture \"hdmi\": usb has \"0x0fd9:0x66\", not the vendor and product of a USB device; write both in four hexadecimal digits as lsusb prints them, such as \"0fd9:0066\"",
    ),
    (
        "\"multi\"",
        "\"mplane\"",
        "p.toml:26:10: capture \"hdmi\": planes is \"mplane\", which is not known here; did you mean \"multi\"?",
    ),
    (
        "\"NV12\"",
        "\"nv12\"",
        "p.toml:27:10: capture \"hdmi\": format is \"nv12\", not a pixel format that is known here; write its four characters as `v4l2-ctl --list-formats` does: one of NV12, NM12, NV16, NV21, NV24, YU12, YV12, YUYV, UYVY, BGR3, RGB3, MJPG, JPEG, H264",
    ),
    (
        "hd-1080p60",
        "hd-1080i60",
        "p.toml:28:8: capture \"hdmi\": edid is \"hd-1080i60\", which is not known here; did you mean \"hd-1080p60\"?",
    ),
    (
        "[[capture]]",
        "[capture]",
        "p.toml:21:1: capture is a single table; write [[capture]] with two brackets, one for each capture",
    ),
    (
        "kind = \"ssd1306\"",
        "kind = \"oled\"",
        "p.toml:31:8: [display]: kind is \"oled\", which is not known here; did you mean \"ssd1306\"?",
    ),
    (
        "bus = \"/dev/i2c-1\"",
        "bus = \"i2c-1\"",
        "p.toml:33:7: [display]: bus is \"i2c-1\", not a whole path; write it as \"/dev/i2c-1\"",
    ),
    (
        "bus = \"/dev/i2c-1\"",
        "bus = \"/sys/i2c-1\"",
        "p.toml:33:7: [display]: bus is \"/sys/i2c-1\", not a device; write it as \"/dev/i2c-1\"",
    ),
    (
        "0x3c",
        "0x3c7",
        "p.toml:34:11: [display]: address is not an I²C address; write 0x08 to 0x77 without quotes; usually 0x3c or 0x3d",
    ),
    (
        "size = \"128x64\"",
        "size = \"128\"",
        "p.toml:32:8: [display]: size is \"128\", not a display's size; write width x height in pixels, 16 to 1024 each, such as \"128x64\"",
    ),
    (
        "gpio = \"GPIO17\"",
        "gpio = 17",
        "p.toml:38:8: button \"show\": gpio is a number, not text; write the line's name in quotes as `gpioinfo` prints it, such as \"GPIO17\"",
    ),
    (
        "gpio = \"GPIO17\"",
        "key = \"KEY_PLAY\"",
        "p.toml:38:7: button \"show\": key is \"KEY_PLAY\", which is not known here; did you mean \"KEY_PLAYPAUSE\"?",
    ),
    (
        "gpio = \"GPIO17\"",
        "gpio = \"GPIO17\"\nkey = \"KEY_UP\"",
        "p.toml:39:7: button \"show\": key stands beside gpio; keep one: the kernel makes a key of it, or nobody does",
    ),
    (
        "gpio = \"GPIO17\"\n",
        "",
        "p.toml:36:1: button \"show\" has neither gpio nor key; add gpio = \"GPIO17\" or key = \"KEY_PLAYPAUSE\"",
    ),
    (
        "kernel = \"ACT\"",
        "kernel = \"leds/ACT\"",
        "p.toml:42:10: led \"on-air\": kernel is \"leds/ACT\", which no light is called; write its name in /sys/class/leds, such as \"ACT\"",
    ),
    (
        "role = \"ethernet\"",
        "role = \"lte\"",
        "p.toml:46:8: interface \"eth0\": role is \"lte\", which is not known here; did you mean \"5g\"?",
    ),
    ("drivers = [\"igc\"]\n", "", "p.toml:44:1: interface \"eth0\" says nothing to know it by; add drivers or paths"),
    (
        "warn = \"75C\"",
        "warn = \"90C\"",
        "p.toml:51:8: thermal zone \"cpu-thermal\": warn is above slows; warn before the board slows down",
    ),
    (
        "warn = \"75C\"",
        "warn = 75",
        "p.toml:51:8: thermal zone \"cpu-thermal\": warn is a number, not text; write it in quotes with its unit, such as \"85C\"",
    ),
    (
        "[[led]]",
        "[[led]]\nfitted = \"sometimes\"",
        "p.toml:41:10: led \"on-air\": fitted is \"sometimes\", which is not known here; choose from \"always\", \"optional\"",
    ),
    ("[[led]]", "[[led]", "p.toml:40:7: the list is not closed; close it with ]"),
];

fn told(text: &str) -> String {
    parse_profile("p.toml", text, &families()).map_or_else(|errors| errors.to_string(), |_| "accepted".to_owned())
}

#[test]
fn each_mistake_is_refused_with_exactly_its_message() {
    assert_eq!(told(RIGHT), "accepted");
    let mut wrong = String::new();
    for (right, mistake, expected) in MISTAKES {
        assert!(RIGHT.contains(right), "{right}");
        let told = told(&RIGHT.replacen(right, mistake, 1));
        if told != *expected {
            wrong.push_str(&format!("\n{right:?} -> {mistake:?}\n  - {expected}\n  + {told}\n"));
        }
    }
    assert!(wrong.is_empty(), "- expected, + told:{wrong}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = RIGHT.replace("\"warm\"", "\"hot\"").replace("\"NV12\"", "\"?\"").replace("\"75C\"", "\"warm\"");
    assert_eq!(told(&text).lines().count(), 3, "{}", told(&text));
}

#[test]
fn a_file_that_is_something_else_is_refused_soon() {
    assert!(told(&"x".repeat(3 << 20)).contains("larger than 1024 KiB"));
    assert!(told("\u{0}\u{1}").starts_with("p.toml:1:"));
    let deep = format!("a = {}{}", "[".repeat(2000), "]".repeat(2000));
    assert!(told(&deep).starts_with("p.toml:1:"));
}

/// Bytes of a right one exchanged, left out and repeated: each is taken, or refused with a place that there is.
#[test]
fn whatever_is_written_is_taken_or_refused_with_a_reason() {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut refused = 0;
    for _ in 0..1500 {
        let mut bytes = RIGHT.as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..bytes.len());
            match rng.u8(0..3) {
                0 => bytes[at] = *rng.choice(b"\"[]{}=\n#x0\\").unwrap(),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Err(errors) = parse_profile("p", &text, &families()) {
            refused += 1;
            for error in &errors.errors {
                assert!(!error.message.contains("defect in Holdfast"), "{error}\n{text}");
                assert!(error.line >= 1 && error.line <= text.split('\n').count(), "{error}");
            }
        }
    }
    assert!(refused > 800, "{refused}");
}
