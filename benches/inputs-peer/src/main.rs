//! GStreamer's own way to change between inputs: two films, paced like cameras, through `fallbackswitch` and `livesync`, encoded
//! once and sent over RTMP. `benches/inputs` measures it beside Holdfast; see there.
//!
//! ```text
//!   film ─ decode ─ pace ─┐                                               ┌─────────┐
//!                         ├─► fallbackswitch ─► livesync ─► x264, AAC ───►│ flvmux  ├─► rtmp2sink
//!   film ─ decode ─ pace ─┘   (one for pictures, one for sound)           └─────────┘
//! ```
//!
//! usage: inputs-peer CAMERA SPARE URL SIZE KBIT_PER_S PRESET THREADS TIMEOUT_MS
//!
//! On its standard input it takes `stall` (nothing passes from the first film any more, as from a camera that hangs),
//! `resume`, `choose camera|spare` and `auto`; the end of it ends the program. On its standard output it tells, each line
//! after the time on CLOCK_MONOTONIC in nanoseconds: `playing`, `active camera|spare` (what it changed to), `done` (an order).

use std::error::Error;
use std::io::BufRead;

use gstreamer as gst;
use gstreamer::prelude::*;

type Failure = Box<dyn Error>;

/// What the inputs are called, by their pads' numbers.
const NAMES: [&str; 2] = ["camera", "spare"];
/// Of pictures and of sound.
const SWITCHES: [&str; 2] = ["pictures", "sound"];
/// How much later than it is due a picture may be before `livesync` repeats the last one, ns. Without any, which is its
/// default, a busy machine makes it send more pictures than there are.
const LATENCY_NS: u64 = 50_000_000;
/// Through which the first film's pictures and sound go.
const VALVES: [&str; 2] = ["valve0", "valve-of-sound0"];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    gst::init()?;
    gstfallbackswitch::plugin_register_static()?;
    gstlivesync::plugin_register_static()?;

    let pipeline = gst::parse::launch(&description(&arguments)?)?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "not a pipeline")?;
    // Ours stamps with this clock too.
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    let switches: Vec<gst::Element> = SWITCHES.iter().filter_map(|name| pipeline.by_name(name)).collect();
    let valves: Vec<gst::Element> = VALVES.iter().filter_map(|name| pipeline.by_name(name)).collect();
    let pictures = switches.first().ok_or("no switch")?;
    pictures.connect_notify(Some("active-pad"), |switch, _| {
        let active = switch.property::<Option<gst::Pad>>("active-pad");
        let name = active.and_then(|pad| NAMES.get(number(&pad)).copied());
        tell(&format!("active {}", name.unwrap_or("nothing")));
    });

    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().ok_or("a pipeline has a bus")?;
    std::thread::spawn(move || watch(&bus));
    tell("playing");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["stall"] => valves.iter().for_each(|valve| valve.set_property("drop", true)),
            ["resume"] => valves.iter().for_each(|valve| valve.set_property("drop", false)),
            ["auto"] => switches.iter().for_each(|switch| switch.set_property("auto-switch", true)),
            ["choose", name] => choose(&switches, name)?,
            _ => return Err(format!("no order: {line}").into()),
        }
        tell("done");
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}

fn choose(switches: &[gst::Element], name: &str) -> Result<(), Failure> {
    let wanted = NAMES.iter().position(|known| *known == name).ok_or("no such input")?;
    for switch in switches {
        let pad = switch.static_pad(&format!("sink_{wanted}")).ok_or("no such pad")?;
        switch.set_property("auto-switch", false);
        switch.set_property("active-pad", &pad);
    }
    Ok(())
}

/// The number at the end of a pad's name.
fn number(pad: &gst::Pad) -> usize {
    pad.name().rsplit('_').next().and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX)
}

fn description(arguments: &[String]) -> Result<String, Failure> {
    let [camera, spare, url, size, bitrate, preset, threads, timeout] = arguments else {
        return Err("usage: inputs-peer CAMERA SPARE URL SIZE KBIT_PER_S PRESET THREADS TIMEOUT_MS".into());
    };
    let (width, height) = size.split_once('x').ok_or("SIZE is WIDTHxHEIGHT")?;
    let timeout = timeout.parse::<u64>()? * 1_000_000;
    let picture = format!("video/x-raw,format=I420,width={width},height={height},framerate=30/1");
    let sound = "audio/x-raw,format=F32LE,layout=interleaved,rate=48000,channels=2";
    let input = |n: usize, file: &str| {
        format!(
            "filesrc location=\"{file}\" ! qtdemux name=film{n} \
             film{n}.video_0 ! queue ! h264parse ! avdec_h264 ! videoconvertscale ! {picture} ! clocksync ! valve name=valve{n} ! pictures.sink_{n} \
             film{n}.audio_0 ! queue ! aacparse ! avdec_aac ! audioconvert ! audioresample ! {sound} ! clocksync ! valve name=valve-of-sound{n} ! sound.sink_{n} "
        )
    };
    let [pictures, sounds] = SWITCHES.map(|name| {
        format!("fallbackswitch name={name} timeout={timeout} immediate-fallback=true ! livesync latency={LATENCY_NS} ! queue ")
    });
    Ok(format!(
        "{} {} {pictures} ! x264enc tune=zerolatency speed-preset={preset} pass=cbr bitrate={bitrate} vbv-buf-capacity=1000 \
         key-int-max=60 bframes=0 threads={threads} aud=false option-string=scenecut=0 ! h264parse ! queue ! mux. \
         {sounds} ! avenc_aac bitrate=128000 ! aacparse ! queue ! mux. \
         flvmux name=mux streamable=true ! rtmp2sink location=\"{url}\" sync=false async=false",
        input(0, camera),
        input(1, spare)
    ))
}

fn tell(what: &str) {
    println!("{} {what}", gst::SystemClock::obtain().time().nseconds());
}

/// Ends the program when the pipeline does.
fn watch(bus: &gst::Bus) {
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Error(error) => {
                eprintln!(
                    "{}: {} ({:?})",
                    error.src().map(|s| s.path_string()).unwrap_or_default(),
                    error.error(),
                    error.debug()
                );
                std::process::exit(1);
            }
            gst::MessageView::Eos(_) => {
                eprintln!("a film ended");
                std::process::exit(1);
            }
            _ => {}
        }
    }
}
