//! The capture devices, as a page of text.

use holdfast::capture::catalogue::{Control, Span, control_lines, entries};
use holdfast::capture::devices::Device;
use holdfast::capture::receiver::{Reception, Standing};
use holdfast::config::profile::{HardwareProfile, Verified};
use holdfast::events::render::Style;
use holdfast::supervisor::hardware::VideoDevice;

use super::{Place, Shown, remedy, usb};

/// Columns of what a line is about.
const LABEL: usize = 10;
/// Columns at least, so that broken lines can be read.
const NARROWEST: usize = 60;
/// Columns of a control's name and of what it is set to.
const NAME: usize = 24;
const VALUE: usize = 10;

/// The page.
pub(super) fn page(shown: &[Shown<'_>], profile: &HardwareProfile, span: Span, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    for (n, shown) in shown.iter().enumerate() {
        if n > 0 {
            page.text.push('\n');
        }
        match &shown.found {
            Ok(device) => one(&mut page, shown, device, profile, span),
            Err(e) => {
                let title = shown.video.as_ref().map_or("a video device", |video| video.title.as_str());
                page.title(title);
                page.row("problem", &e.to_string());
                page.row("", remedy(e).unwrap_or_default());
            }
        }
    }
    page.text
}

fn one(page: &mut Page, shown: &Shown<'_>, device: &Device, profile: &HardwareProfile, span: Span) {
    let offer = &device.offer;
    page.title(&offer.card);
    match shown.entry {
        Some(entry) => {
            let verified = match entry.verified {
                Verified::OnHardware => "",
                Verified::FromDocuments => " (not verified on hardware)",
            };
            page.row("is", &format!("{}{verified}", entry.title));
        }
        None => page.row("is", &format!("nothing that the hardware profile \"{}\" knows", profile.name)),
    }
    page.row("device", &device.path.display().to_string());
    page.row("", device.lasting.words());
    let mut node = format!("{}, driver {}, bus {}", device.node.display(), offer.driver, offer.bus);
    if let Some(id) = shown.video.as_ref().and_then(|video| video.usb) {
        node = format!("{node}, USB {}", usb(id));
    }
    page.row("node", &node);
    let signal = device.reception.map(|reception| Standing::Steady(reception).to_string());
    let signal = signal.as_deref().unwrap_or("its driver is not able to say at this moment");
    page.row("signal", signal.strip_prefix("signal ").unwrap_or(signal));
    page.row("sound", &device.sound.words());
    if let Some(entry) = shown.entry {
        if let Some(edid) = entry.edid {
            page.row("edid", &format!("{edid}, which Holdfast tells it, since it forgets it at each boot"));
        }
        for (n, quirk) in entry.quirks.iter().enumerate() {
            page.row(if n == 0 { "oddities" } else { "" }, quirk);
        }
    }
    if let Some(now) = &offer.now {
        page.row("set to", &now.to_string());
    }
    if offer.formats.is_empty() {
        page.row("delivers", "its driver does not tell");
    }
    for (n, entry) in entries(&offer.formats, span).iter().enumerate() {
        page.row(if n == 0 { "delivers" } else { "" }, &entry.formats);
        entry.sizes.iter().for_each(|size| page.deeper(size));
    }
    if !offer.formats.is_empty() && offer.formats.iter().all(|format| format.sizes.is_empty()) {
        page.deeper(match device.reception {
            Some(Reception::Unknown) | None => "its driver lists no sizes",
            Some(_) => "in the size and at the rate of its signal",
        });
    }
    if let Some(controls) = &offer.controls {
        table(page, controls, span);
    }
    match &shown.place {
        Place::Input(name) => page.row("input", &format!("\"{name}\" of the configuration")),
        Place::Block(block) => {
            page.row("input", "not yet; to make it one, write into the configuration:");
            page.text.push('\n');
            page.text.push_str(block);
        }
        Place::None => {}
    }
}

fn table(page: &mut Page, controls: &[Control], span: Span) {
    if controls.is_empty() {
        page.row("controls", "none");
    }
    for (n, [name, value, takes]) in control_lines(controls, span).iter().enumerate() {
        let head = format!("{name:<NAME$} {value:>VALUE$}  ");
        let label = if n == 0 { "controls" } else { "" };
        page.wrapped(label, &head, takes);
    }
}

/// What to look for where there is none.
pub(super) fn none(passed_over: &[VideoDevice], style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    page.title("No capture device is here.");
    for video in passed_over {
        page.row("", &format!("{} ({}) is a video device that does not capture", video.node, video.title));
    }
    for (label, advice) in [
        ("plugged", "Is it plugged in, and has it power? Try another socket and another cable, without a hub."),
        ("lsusb", "lists what is on USB, and lspci what is on PCI. What is not there the machine does not see at all."),
        (
            "dmesg",
            "right after plugging in (dmesg | tail -30), says what the kernel made of it. \"error -71\", \"device descriptor read\" \
             and \"over-current\" mean the cable, the socket, or too little power.",
        ),
        (
            "driver",
            "What lsusb or lspci lists and this does not has no driver: sticks and webcams need uvcvideo (modprobe uvcvideo), cards \
             their maker's. A bridge on a board has to stand in its boot configuration: dtoverlay=tc358743 on a Raspberry Pi.",
        ),
    ] {
        page.row(label, advice);
    }
    page.text
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn title(&mut self, title: &str) {
        let (on, off) = if self.style.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.text.push_str(&format!(" {on}{title}{off}\n"));
    }

    /// A line, or more where it is long, about `label`.
    fn row(&mut self, label: &str, words: &str) {
        self.wrapped(label, "", words);
    }

    /// A line that belongs to the one above.
    fn deeper(&mut self, words: &str) {
        self.wrapped("", "  ", words);
    }

    fn wrapped(&mut self, label: &str, head: &str, words: &str) {
        let (quiet, off) = if self.style.colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let indent = 3 + LABEL + head.chars().count();
        let room = self.style.width.max(NARROWEST).saturating_sub(indent).max(20);
        for (n, line) in broken(words, room).iter().enumerate() {
            if n == 0 {
                self.text.push_str(&format!("   {quiet}{label:<LABEL$}{off}{head}{line}\n"));
            } else {
                self.text.push_str(&format!("{:indent$}{line}\n", ""));
            }
        }
    }
}

/// `words` in lines of at most `room` columns, broken between words.
fn broken(words: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use holdfast::capture::catalogue::{Kind, Value};
    use holdfast::config::InputSettings;

    use super::super::tests::{example, generic, refused, stick};
    use super::super::{Asked, known};
    use super::*;

    const PLAIN: Style = Style { colour: false, width: 100 };

    fn shown(asked: Vec<Asked>, inputs: &[InputSettings], style: Style) -> String {
        let profile = generic();
        page(&known(asked, &profile, inputs), &profile, Span::Short, style)
    }

    #[test]
    fn a_stick_is_told_with_what_to_write_for_it() {
        let page = shown(vec![stick()], &[], PLAIN);
        let wanted = "
 Cam Link 4K: Cam Link 4K
   is        Elgato Cam Link 4K (not verified on hardware)
   device    /dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0
             its name for as long as it is plugged in there
   node      /dev/video0, driver uvcvideo, bus usb-0000:00:14.0-2, USB 0fd9:0066
   signal    this device does not tell whether it has a signal
   sound     hw:2,0 (C4K), of the same device
   oddities  announces YU12 and delivers NV12: NV12 is forced
             takes what the camera sends and scales nothing: set the camera to 1080p
   set to    NV12 1920x1080
   delivers  NV12, YU12
               1920x1080 at 59.94, 50
   input     not yet; to make it one, write into the configuration:

[[input]]
name = \"cam-link-4k\"
kind = \"v4l2\"
device = \"/dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0\"
audio = \"paired\"   # hw:2,0, of the same device
";
        assert_eq!(page, wanted.trim_start_matches('\n'), "\n{page}");
    }

    #[test]
    fn one_that_is_an_input_says_which_and_one_that_cannot_be_opened_what_to_do() {
        let page = shown(vec![stick(), refused()], &example(), PLAIN);
        assert!(
            page.contains("   input     \"camera\" of the configuration\n") && !page.contains("[[input]]"),
            "{page}"
        );
        assert!(page.contains("   problem   /dev/video0: Permission denied"), "{page}");
        assert!(page.contains("             be root, or in its group: sudo usermod -aG video USER"), "{page}");
    }

    #[test]
    fn one_that_lists_no_sizes_has_those_of_its_signal_if_it_knows_of_one() {
        let told = |reception| {
            let (video, node, found) = stick();
            let mut device = found.unwrap_or_else(|e| panic!("{e}"));
            device.offer.formats.iter_mut().for_each(|format| format.sizes.clear());
            device.reception = Some(reception);
            shown(vec![(video, node, Ok(device))], &[], PLAIN)
        };
        let (unknown, none) = (told(Reception::Unknown), told(Reception::NoSignal));
        assert!(unknown.contains("NV12, YU12\n               its driver lists no sizes\n"), "{unknown}");
        assert!(none.contains("NV12, YU12\n               in the size and at the rate of its signal\n"), "{none}");
        assert!(none.contains("   signal    no signal; check the cable and that the camera is on\n"), "{none}");
    }

    #[test]
    fn controls_stand_below_each_other_and_keep_to_the_width() {
        let (video, node, found) = stick();
        let mut device = found.unwrap_or_else(|e| panic!("{e}"));
        let items = (0..6).map(|n| (n, format!("a rather long choice {n}"))).collect();
        let control = |name: &str, kind, value| Control { name: name.to_owned(), kind, value, remarks: Vec::new() };
        device.offer.controls = Some(vec![
            control("Brightness", Kind::Number { from: 0, to: 255, step: 1, usual: 128 }, Value::Number(100)),
            control("Range", Kind::Choice { items, usual: 0 }, Value::Number(2)),
        ]);
        let page = shown(vec![(video, node, Ok(device))], &[], PLAIN);
        assert!(page.contains("   controls  Brightness                      100  0 to 255, usually 128\n"), "{page}");
        assert!(page.contains("             Range                             2  0 a rather long choice 0,"), "{page}");
        let lines = page.lines().filter(|line| !line.starts_with("device ="));
        assert!(lines.max_by_key(|line| line.chars().count()).unwrap().chars().count() <= 100, "{page}");
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(!shown(vec![stick()], &[], PLAIN).contains('\x1b'));
        let colourful = shown(vec![stick()], &[], Style { colour: true, width: 100 });
        assert!(colourful.starts_with(" \x1b[1mCam Link 4K: Cam Link 4K\x1b[0m\n"), "{colourful}");
    }

    #[test]
    fn where_there_is_none_it_says_what_to_look_for() {
        let video = stick().0.unwrap();
        let page = none(&[video], PLAIN);
        for words in
            ["No capture device is here.", "/dev/video0 (Cam Link 4K: Cam Link 4K) is a video", "lsusb", "dmesg"]
        {
            assert!(page.contains(words), "{page}");
        }
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    }
}
