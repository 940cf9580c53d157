//! A stream over RTMP that may choose between two uplinks, and what it does when the one under it fails.
//!
//! ```text
//!   ┌ a network namespace ┐                     ┌ another one ─────────────────────────┐
//!   │                     ├── eth0 ─────────────┤ server: two addresses, records       │
//!   │ box                 ├── wwan0 ────────────┤ relay: answers probes                │
//!   │                     ├── starlink0 ────────┤ page: asked for, to find portals     │
//!   └─────────────────────┘  TAP devices and    └──────────────────────────────────────┘
//!                            netem between them
//! ```
//!
//! Unlike the rest of the demonstrations this one has nothing to fall back to where namespaces are not permitted: there are
//! no carriers to lose on loopback, and nothing to choose between.

mod bench;
mod count;
mod dish;
mod link_fault;
mod page;
mod told;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use holdfast::clock;
use holdfast::events::{BoxSnapshot, Command, Event, EventKind, OutputSnapshot, OutputState, Role, Severity};
use holdfast::model::Media;
use holdfast::netem::Plan;

use super::box_::{self, DemoBox, Files};
use super::tools::Tools;
use super::{Arguments, LOOK_EVERY, SECONDS, draw, print_new, wait_until_on_air};
use crate::terminal::{is_terminal, say};
use bench::{APPLICATIONS, Bench, NAME};
pub(crate) use link_fault::LinkFault;
use told::Course;

/// How long the dish is shown, to see some of its holes.
const SECONDS_OF_DISH: u64 = 80;
/// Before the first hole, and after the last.
const MARGIN: Media = Media::from_millis(4000);
/// How long a fault lasts, within these and in proportion to the show.
const AWAY: (i64, i64) = (4000, 12_000);
/// After what has to be seen has been seen, and after the healing.
const LINGER: Media = Media::from_millis(5000);
/// Links are asked for the page every half minute.
const PAGE_EVERY: Media = Media::from_millis(30_000);
/// So long before the next question the portal begins, so that nobody waits half a minute for it to be found.
const BEFORE_PAGE: Media = Media::from_millis(3000);
/// A portal that is not found by then will not be.
const PORTAL_WITHIN: Media = Media::from_millis(45_000);
/// Changes that are due within this are waited for to the point, since holes are short.
const TO_THE_POINT: Media = Media::from_millis(1000);
/// How long the server may take to write what it has.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// Shows it from the beginning to the end.
pub(super) fn show(arguments: &Arguments, fault: LinkFault) -> Result<(), String> {
    let tools = Tools::find(&arguments.tools)?;
    let out = box_::fresh_directory(&arguments.out)?;
    say("Starting a server and a relay behind three emulated uplinks …");
    let bench = Bench::start(&tools, &out, fault)?;
    say(&format!("  {}", bench.told()));
    say("Starting the box …");
    let files = files(&tools, &bench, &out, arguments);
    let demo = bench.at_box(|| DemoBox::start(&out, &files))?;
    demo.order(Command::Start)?;
    let [first, second] = fault.links();
    wait_until_on_air(&demo, |snapshot| {
        let output = output(snapshot)?;
        let is_up = output.state == OutputState::Publishing && output.acknowledged > 0;
        let ways = (output.route.as_deref(), output.standby.as_deref());
        (is_up && ways == (Some(first), Some(second))).then_some(())
    })?;
    let usual = if fault == LinkFault::Starlink { SECONDS_OF_DISH } else { SECONDS };
    let length = Media::from_duration(Duration::from_secs(arguments.seconds.unwrap_or(usual)));
    Show::new(fault, bench, length).run(demo, &tools, &out)
}

/// A show that is on air.
struct Show {
    fault: LinkFault,
    bench: Bench,
    began: Media,
    length: Media,
    /// When the fault began.
    at: Option<Media>,
    /// When it ended.
    healed: Option<Media>,
    dish: Plan,
    /// What has been shown, in its order: the box's events and what this demonstration did.
    seen: Vec<Event>,
    /// How many of the box's events have been looked at.
    read: usize,
    pictures: Vec<Child>,
}

impl Show {
    fn new(fault: LinkFault, bench: Bench, length: Media) -> Self {
        let lasting = (length - MARGIN - LINGER - MARGIN).to_duration();
        let dish = dish::plan(fault.link(), bench.width(), lasting, 15);
        let (seen, pictures) = (Vec::new(), Vec::new());
        Self { fault, bench, began: clock::media(), length, at: None, healed: None, dish, seen, read: 0, pictures }
    }

    fn run(mut self, demo: DemoBox, tools: &Tools, out: &Path) -> Result<(), String> {
        let (link, [first, second]) = (self.fault.link(), self.fault.links());
        let text = format!(
            "\n WHAT IS SHOWN\n   The stream {NAME} goes to its server over {first}; a session over {second} stands by at the \
             server's other\n   address. Soon something happens to {link}: {}.\n",
            self.fault.announced()
        );
        say(&text);
        let mut printed = 0;
        self.pictures.push(self.bench.picture(tools, APPLICATIONS[0], &out.join("before.png"))?);
        while !demo.interrupted() && !self.is_over() {
            self.go_on()?;
            if let Some(due) = self.due_soon() {
                clock::sleep_until(due);
                continue;
            }
            if let Some(snapshot) = demo.look() {
                self.read(&demo);
                if is_terminal() {
                    let left = (self.began + self.length - clock::media()).to_duration();
                    draw(&snapshot, &self.seen, &text, clock::now() + left);
                } else {
                    printed = print_new(&snapshot, &self.seen, printed);
                }
            }
            self.picture_of_the_other(tools, out)?;
            #[allow(clippy::disallowed_methods, reason = "a person watches; twice a second is what the eye wants")]
            std::thread::sleep(LOOK_EVERY);
        }
        let last = demo.look().ok_or("the box does not answer any more; its logs are in the output directory")?;
        self.read(&demo);
        demo.end()?;
        for mut picture in std::mem::take(&mut self.pictures) {
            let _ = picture.kill();
            let _ = picture.wait();
        }
        self.tell(&last, tools, out)
    }

    fn is_over(&self) -> bool {
        let now = clock::media();
        self.healed.is_some_and(|healed| now >= healed + LINGER) && now >= self.began + self.length
    }

    /// Does to the uplink what is due.
    fn go_on(&mut self) -> Result<(), String> {
        let now = clock::media();
        match (self.at, self.healed) {
            (None, _) if now >= self.begins_at() => {
                let at = self.bench.begin()?;
                self.at = Some(at);
                self.note(at, self.fault.begins());
                Ok(())
            }
            (Some(at), None) if self.fault == LinkFault::Starlink => self.be_a_dish(at),
            (Some(at), None) if now >= self.heals_at(at) => self.heal(),
            _ => Ok(()),
        }
    }

    fn begins_at(&self) -> Media {
        let third = self.began + Media(self.length.0 / 3);
        match self.fault {
            LinkFault::Starlink => self.began + MARGIN,
            LinkFault::Cable | LinkFault::Blackhole => third,
            // The page is asked for in steps of their own.
            LinkFault::Captive => self.bench.page_asked().map_or(third, |asked| {
                let before = asked + PAGE_EVERY - BEFORE_PAGE;
                if before + BEFORE_PAGE > third { before.max(third) } else { before + PAGE_EVERY }
            }),
        }
    }

    fn heals_at(&self, at: Media) -> Media {
        let away = Media::from_millis(Media(self.length.0 / 4).to_ticks(1000).clamp(AWAY.0, AWAY.1));
        if self.fault != LinkFault::Captive {
            return at + away;
        }
        let course = Course::read(&self.seen, self.fault.link(), at);
        let found = course.portal.map(|portal| at + Media::from_millis(portal.after_ms) + LINGER);
        found.map_or(at + PORTAL_WITHIN, |found| found.max(at + away))
    }

    fn heal(&mut self) -> Result<(), String> {
        let healed = self.bench.heal()?;
        self.healed = Some(healed);
        self.note(healed, self.fault.ends());
        Ok(())
    }

    /// The steps of the dish that are due since it began at `at`.
    fn be_a_dish(&mut self, at: Media) -> Result<(), String> {
        while let Some(step) = self.dish.poll((clock::media() - at).to_duration()) {
            let done = self.bench.order(&format!("{} {}", step.link, step.change))?;
            if let Some(told) = dish::told(&step, self.dish.poll_timeout()) {
                self.note(done, &told);
            }
        }
        if self.dish.poll_timeout().is_none() { self.heal() } else { Ok(()) }
    }

    /// When the next change is due that has to be waited for to the point.
    fn due_soon(&self) -> Option<Media> {
        let at = self.at.filter(|_| self.fault == LinkFault::Starlink && self.healed.is_none())?;
        let due = at + Media::from_duration(self.dish.poll_timeout()?);
        (due <= clock::media() + TO_THE_POINT).then_some(due)
    }

    /// Something that this demonstration did, among the box's events.
    fn note(&mut self, at: Media, reason: &str) {
        let (wall, severity) = (clock::wall(), Severity::Warning);
        self.seen.push(Event::new(
            (wall, at),
            Role::Supervisor,
            EventKind::Note,
            severity,
            "demo",
            format!("{}: {reason}", self.fault.link()),
        ));
    }

    /// Takes in what the box has told since.
    fn read(&mut self, demo: &DemoBox) {
        let events = demo.events();
        let fresh = events.iter().skip(self.read).filter(|event| told::is_decisive(event)).cloned();
        self.seen.extend(fresh);
        self.read = self.read.max(events.len());
    }

    /// A picture of what the server gets over the other uplink, once it gets it.
    fn picture_of_the_other(&mut self, tools: &Tools, out: &Path) -> Result<(), String> {
        let Some(at) = self.at.filter(|_| self.fault != LinkFault::Starlink && self.pictures.len() < 2) else {
            return Ok(());
        };
        if Course::read(&self.seen, self.fault.link(), at).publishing.is_some() {
            self.pictures.push(self.bench.picture(tools, APPLICATIONS[1], &out.join("after.png"))?);
        }
        Ok(())
    }

    /// The end: what was seen, what came of it, and whether that was what it is to be.
    fn tell(&self, last: &BoxSnapshot, tools: &Tools, out: &Path) -> Result<(), String> {
        let Some(at) = self.at else { return Err("ended before anything happened to the uplink".to_owned()) };
        let course = Course::read(&self.seen, self.fault.link(), at);
        let mut text = format!("\n WHAT HAPPENED TO {}, AND WHAT THE BOX DID (ms since it began)\n", self.fault.link());
        let mut since: Vec<&Event> = self.seen.iter().filter(|event| event.mono >= at).collect();
        // What this demonstration does is known here before the box has told what came first.
        since.sort_by_key(|event| event.mono);
        for event in since {
            let after = (event.mono - at).to_ticks(1000);
            text.push_str(&format!("   {after:>7}  {:<10} {}\n", event.subject, event.reason));
        }
        text.push_str("\n THE FAULT\n");
        for (what, told) in course.lines(self.fault) {
            text.push_str(&format!("   {what:<11} {told}\n"));
        }
        text.push_str(&format!("   {:<11} {}\n", "pictures", counted(tools, out)));
        if let Some(output) = output(last) {
            let lost = output.lost;
            text.push_str(&format!(
                "   {:<11} {} begun, {lost} pictures and sounds given up\n",
                "sessions", output.sessions
            ));
        }
        text.push_str(&format!(
            "\n WITH A SERVER THAT HOLDS THE KEY\n{}\n",
            told::with_a_server_that_holds_the_key(self.fault)
        ));
        text.push_str(&format!("\n Pictures, recordings and logs are in {}\n", out.display()));
        say(&text);
        course.verdict(self.fault)
    }
}

fn output(snapshot: &BoxSnapshot) -> Option<&OutputSnapshot> {
    snapshot.plane.as_ref()?.outputs.iter().find(|output| output.id.as_str() == NAME)
}

/// What the server has of what the box has recorded, in words.
fn counted(tools: &Tools, out: &Path) -> String {
    let theirs: Vec<PathBuf> = APPLICATIONS
        .iter()
        .flat_map(|application| files_in(&bench::records(out).join(application).join(NAME)))
        .collect();
    wait_until_written(&theirs);
    let read = |files: &[PathBuf]| files.iter().map(|file| tools.checksums(file)).collect::<Result<Vec<_>, _>>();
    match (read(&box_::recordings(out)), read(&theirs)) {
        (Ok(ours), Ok(theirs)) => {
            let [ours, theirs] =
                [&ours, &theirs].map(|lists| lists.iter().flat_map(|l| count::checksums(l)).collect::<Vec<_>>());
            count::count(&ours, &theirs).to_string()
        }
        (Err(why), _) | (_, Err(why)) => format!("not counted: {why}"),
    }
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

/// A server keeps a session's file open for a while after its end.
fn wait_until_written(files: &[PathBuf]) {
    let sizes = || files.iter().map(|file| std::fs::metadata(file).map_or(0, |about| about.len())).collect::<Vec<_>>();
    let begin = clock::now();
    let mut before = sizes();
    while clock::now() - begin < WRITTEN_WITHIN {
        #[allow(clippy::disallowed_methods, reason = "waiting for another process to write")]
        std::thread::sleep(Duration::from_secs(1));
        let after = sizes();
        if before == after {
            return;
        }
        before = after;
    }
}

fn files(tools: &Tools, bench: &Bench, out: &Path, arguments: &Arguments) -> Files {
    let main = box_::main_rendition(&box_::inputs(tools, arguments.input));
    let destination = bench.destination();
    let recordings = box_::recordings_directory(out);
    Files {
        configuration: format!(
            r#"{main}{destination}[[recording]]
name = "archive"
rendition = "main"
directory = {:?}
"#,
            recordings.display().to_string()
        ),
        secrets: format!("[destination.{NAME}]\nkey = \"{NAME}\"\n"),
    }
}
