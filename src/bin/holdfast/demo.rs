//! `holdfast demo`: a whole box on this machine, with real servers and no hardware; and what it survives.

mod box_;
mod failover;
mod fault;
mod servers;
mod tools;
mod uplinks;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use holdfast::clock;
use holdfast::events::{BoxSnapshot, Command, Event, OutputState, SourceOnAir, render};

use crate::DONE;
use crate::demo::box_::{DemoBox, Files};
use crate::demo::failover::LinkFault;
use crate::demo::fault::{Fault, Injected};
use crate::demo::servers::{Pictures, Server, Servers};
use crate::demo::uplinks::Uplinks;
use crate::terminal::{complain, is_terminal, say, style, time_of_day, write};

/// Between two looks at the box.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How long the show is unless somebody says.
const SECONDS: u64 = 45;
/// The first picture on both servers, on a slow machine.
const ON_AIR_WITHIN: Duration = Duration::from_secs(90);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  holdfast demo                        45 seconds of a film on two servers; a third refuses
  holdfast demo --fault encoder        the encoder is killed on air
  holdfast demo --fault data-plane     the sender itself is killed on air
  holdfast demo --fault link           the uplink in use to the relay (SRT) is lost on air
  holdfast demo --fault cable          the uplink under an RTMP stream is lost on air; also blackhole, captive
  holdfast demo --fault starlink       the uplink under an RTMP stream is a dish with its holes: nothing moves
  holdfast demo --seconds 600          long enough to look at it with ffplay or VLC

Pictures taken from the servers and the recording are in demo-out/ afterwards.")]
pub(crate) struct Arguments {
    /// How long to be on air [default: 45; with --fault starlink 80].
    #[arg(long, value_parser = clap::value_parser!(u64).range(15..=86_400))]
    seconds: Option<u64>,
    /// What is to break after a third of the time.
    #[arg(long, value_enum)]
    fault: Option<Break>,
    /// What is shown.
    #[arg(long, value_enum, default_value = "film")]
    input: Input,
    /// Where pictures, recordings and logs go; emptied first.
    #[arg(long, default_value = "demo-out")]
    out: PathBuf,
    /// Where FFmpeg, node-media-server and the film are; `make demo` puts them there.
    #[arg(long, default_value = ".tools")]
    tools: PathBuf,
}

/// What the demo shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Input {
    /// A film clip with sound, looped.
    Film,
    /// A moving test picture with a frame number that programs can read, and a tone.
    Pattern,
    /// Both; the film is preferred, and the pattern stands in for it. Needs twice the processor.
    Both,
}

/// What is to break: in the show that everything takes part in, or in that of one stream and the uplinks under it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Break {
    Inside(Fault),
    Under(LinkFault),
}

impl ValueEnum for Break {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Inside(Fault::Encoder),
            Self::Inside(Fault::Supervisor),
            Self::Inside(Fault::DataPlane),
            Self::Inside(Fault::Destination),
            Self::Inside(Fault::Link),
            Self::Under(LinkFault::Cable),
            Self::Under(LinkFault::Blackhole),
            Self::Under(LinkFault::Captive),
            Self::Under(LinkFault::Starlink),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Inside(fault) => fault.to_possible_value(),
            Self::Under(fault) => fault.to_possible_value(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let shown = match arguments.fault {
        None => show(arguments, None),
        Some(Break::Inside(fault)) => show(arguments, Some(fault)),
        Some(Break::Under(fault)) => failover::show(arguments, fault),
    };
    match shown {
        Ok(()) => DONE,
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

fn show(arguments: &Arguments, mut fault: Option<Fault>) -> Result<(), String> {
    let tools = tools::Tools::find(&arguments.tools)?;
    let out = box_::fresh_directory(&arguments.out)?;
    say("Starting a relay behind three emulated uplinks, and the server that it publishes to …");
    let mut uplinks = Uplinks::start(&tools, &out, fault)?;
    say(&format!("  {}", uplinks.told()));
    say("Starting two servers that take the programme and one that refuses it …");
    let mut servers = uplinks.at_box(|| Servers::start(&tools, &out))?;
    say("Starting the box …");
    let files = Files::new(&tools, &servers, &uplinks, &out, arguments.input)?;
    let mut demo = uplinks.at_box(|| DemoBox::start(&out, &files))?;
    demo.order(Command::Start)?;
    wait_until_on_air(&demo, |snapshot| {
        let plane = snapshot.plane.as_ref()?;
        let publishing = plane.outputs.iter().filter(|o| o.state == OutputState::Publishing).count();
        (publishing >= 3 && matches!(plane.source, SourceOnAir::Input(_))).then_some(())
    })?;

    let begin = clock::now();
    let seconds = arguments.seconds.unwrap_or(SECONDS);
    let end = begin + Duration::from_secs(seconds);
    let break_at = begin + Duration::from_secs(seconds / 3);
    let how_to_look = how_to_look(&servers, &uplinks, &out);
    say(&how_to_look);
    let mut injected: Option<Injected> = None;
    let mut pictures = take_pictures(&servers, &uplinks, &tools)?;
    let mut printed = 0;
    while clock::now() < end && !demo.interrupted() {
        if clock::now() >= break_at
            && let Some(fault) = fault.take()
        {
            injected = Some(Injected::now(fault, &mut demo, &mut servers, &mut uplinks)?);
        }
        if let Some(injected) = &mut injected {
            injected.go_on(&mut demo, &mut servers, &mut uplinks, &tools)?;
        }
        if let Some(snapshot) = demo.look() {
            let events = demo.events();
            if is_terminal() {
                draw(&snapshot, &events, &how_to_look, end);
            } else {
                printed = print_new(&snapshot, &events, printed);
            }
        }
        #[allow(clippy::disallowed_methods, reason = "a person watches; twice a second is what the eye wants")]
        std::thread::sleep(LOOK_EVERY);
    }
    pictures.iter_mut().for_each(Pictures::finish);
    let last = demo.look().ok_or("the box does not answer any more; its logs are in the output directory")?;
    take_pictures(&servers, &uplinks, &tools)?.iter_mut().for_each(Pictures::finish);
    let told = injected.map(|injected| injected.told(&demo, &last));
    demo.end()?;
    say(&summary(&last, told.as_deref(), &tools, &servers, &uplinks, &out));
    Ok(())
}

/// Those that take the programme, directly or from the relay.
fn taking<'a>(servers: &'a Servers, uplinks: &'a Uplinks) -> Vec<&'a Server> {
    servers.taking().into_iter().chain([&uplinks.relayed]).collect()
}

fn take_pictures(servers: &Servers, uplinks: &Uplinks, tools: &tools::Tools) -> Result<[Pictures; 2], String> {
    let direct = uplinks.at_box(|| Ok(servers::take_pictures(&servers.taking(), tools)))?;
    let relayed = uplinks.at_relay(|| Ok(servers::take_pictures(&[&uplinks.relayed], tools)))?;
    Ok([direct, relayed])
}

fn wait_until_on_air<T>(demo: &DemoBox, is_it: impl Fn(&BoxSnapshot) -> Option<T>) -> Result<T, String> {
    let begin = clock::now();
    loop {
        if let Some(it) = demo.look().and_then(|snapshot| is_it(&snapshot)) {
            return Ok(it);
        }
        if demo.interrupted() {
            return Err("ended before the box was on air".to_owned());
        }
        if (clock::now() - begin) > ON_AIR_WITHIN {
            return Err("the box did not get on air; its logs are in the output directory".to_owned());
        }
        #[allow(clippy::disallowed_methods, reason = "waiting for another process, which is asked again and again")]
        std::thread::sleep(LOOK_EVERY);
    }
}

fn how_to_look(servers: &Servers, uplinks: &Uplinks, out: &std::path::Path) -> String {
    let mut text = String::from("\n LOOK AT IT (any of these, on this machine)\n");
    let watched = if uplinks.can_be_watched() { taking(servers, uplinks) } else { Vec::new() };
    for server in watched {
        text.push_str(&format!(
            "   {:<8} ffplay {}    or in VLC: Media, Open Network Stream\n",
            server.name,
            server.watch_url()
        ));
    }
    text.push_str(&format!("   pictures taken from the servers every few seconds: {}/*.png\n", out.display()));
    text
}

fn draw(snapshot: &BoxSnapshot, events: &[Event], how_to_look: &str, end: Instant) {
    let recent: Vec<Event> = events.iter().rev().take(8).rev().cloned().collect();
    let times: Vec<String> = recent.iter().map(|e| time_of_day(e.at, snapshot.at)).collect();
    let timed: Vec<_> = times.iter().map(String::as_str).zip(&recent).collect();
    let left = end.saturating_duration_since(clock::now()).as_secs();
    let page = format!(
        "{}{how_to_look}\n Ends by itself in {left} s; Ctrl-C ends it now.\n",
        render::status(snapshot, &timed, style())
    );
    let mut screen = String::from("\x1b[H");
    for line in page.lines() {
        screen.push_str(line);
        screen.push_str("\x1b[K\n");
    }
    screen.push_str("\x1b[J");
    write(&screen);
}

/// Where nobody looks at a terminal, what happens is printed line by line.
fn print_new(snapshot: &BoxSnapshot, events: &[Event], printed: usize) -> usize {
    for event in events.iter().skip(printed) {
        write(&render::event((&time_of_day(event.at, snapshot.at), event), style()));
    }
    events.len()
}

fn summary(
    last: &BoxSnapshot,
    fault: Option<&str>,
    tools: &tools::Tools,
    servers: &Servers,
    uplinks: &Uplinks,
    out: &std::path::Path,
) -> String {
    let mut text = String::from("\n WHAT WAS SEEN\n");
    let Some(plane) = &last.plane else { return text };
    for output in &plane.outputs {
        let said = match &output.state {
            OutputState::Waiting { because, .. } if output.id.as_str() == servers::REFUSING => {
                format!("refused, as it is meant to be here: {because}")
            }
            OutputState::Waiting { because, .. } => format!("waiting: {because}"),
            OutputState::Off | OutputState::Connecting | OutputState::Publishing | OutputState::Stopping => {
                let sessions = if output.sessions == 1 {
                    "one session".to_owned()
                } else {
                    format!("{} sessions", output.sessions)
                };
                format!("{sessions}, {} pictures and sounds sent, {} lost", output.sent, output.lost)
            }
        };
        text.push_str(&format!("   {:<10} {said}\n", output.id.as_str()));
    }
    for rendition in &plane.renditions {
        let (live, held, missing) = (rendition.live, rendition.held, rendition.missing);
        let slate = rendition.slate.saturating_sub(held);
        text.push_str(&format!(
            "   {:<10} {} encoded once: {live} live, {held} held pictures and {slate} of the slate stood in, {missing} missing\n",
            rendition.id.as_str(),
            rendition.codec.label(),
        ));
    }
    for file in box_::recordings(out) {
        let verdict = tools.check(&file);
        text.push_str(&format!("   recording  {}: {verdict}\n", file.display()));
    }
    for server in taking(servers, uplinks) {
        text.push_str(&format!("   picture    {}\n", server.picture.display()));
    }
    if let Some(told) = fault {
        text.push_str(&format!("\n THE FAULT\n   {told}\n"));
    }
    text
}
