//! Holdfast's own SRT output on a thread of its own, fed with access units in real time; and where they come from.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use holdfast::clock;
use holdfast::config::{
    AudioSettings, EncoderChoice, Encryption, KeyLength, Links, RenditionSettings, Secret, SrtAddress,
    SrtDestinationSettings, SrtPath,
};
use holdfast::events::{OutputSnapshot, OutputState};
use holdfast::model::{
    AccessUnit, Codec, FrameRate, InputId, Media, OutputId, RenditionId, Track, TrackFormat, VideoFormat, VideoGrid,
};
use holdfast::mux::av1;
use holdfast::mux::canonical::Canonicaliser;
use holdfast::mux::ts::{self, Demuxer, Output, Source};
use holdfast::output::{Feed, OutputCommand, ProgrammeClock, Transport, srt};
use tokio::sync::watch;

use super::rig::{PASSPHRASE, START};

const RATE: FrameRate = FrameRate::whole(30);

/// Sends `units` over SRT to each of `places`, bonded if there are several, with the stream id and the passphrase of
/// `church`.
pub fn send(
    units: Vec<AccessUnit>,
    places: &[SocketAddr],
) -> (thread::JoinHandle<()>, watch::Receiver<OutputSnapshot>) {
    let (settings, paths) = (settings(places), places.len());
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let begin = units[0].dts;
            let clock = ProgrammeClock::new(begin - clock::media());
            let feed = Feed::new(Duration::from_secs(10), 16 << 20);
            let transport = Transport::new(feed.clone(), clock.clone(), ts::Settings::default());
            let handle = srt::spawn(
                settings,
                &rendition(&units),
                transport,
                Arc::new(|_| {}),
                srt::Ground::bare(holdfast::link::unknown()),
                7,
            );
            handle.commands.send(OutputCommand::Start).await.unwrap();
            tell.send(handle.snapshot.clone()).unwrap();
            let mut snapshot = handle.snapshot.clone();
            let up = |s: &OutputSnapshot| {
                let up = s.srt.as_ref().map_or(0, |srt| srt.paths.iter().filter(|p| p.state.is_up()).count());
                s.state == OutputState::Publishing && up == paths
            };
            tokio::time::timeout(START, snapshot.wait_for(up)).await.unwrap().unwrap();
            clock.set(begin - clock::media());
            for unit in units {
                tokio::time::sleep_until(clock.instant(unit.dts).into()).await;
                feed.push(Arc::new(unit));
            }
            handle.commands.send(OutputCommand::Stop).await.unwrap();
            let off = |s: &OutputSnapshot| s.state == OutputState::Off;
            tokio::time::timeout(START, snapshot.wait_for(off)).await.unwrap().unwrap();
        });
    });
    (thread, told.recv().unwrap())
}

/// The units of a transport stream, in the order of decoding.
pub fn units_of(bytes: &[u8]) -> Vec<AccessUnit> {
    let (input, rendition) = (InputId::new("film").unwrap(), RenditionId::new("main").unwrap());
    let source = Source { input, rendition, programme: None, rate: Some(RATE), video_bitrate: 0, audio_bitrate: 0 };
    let (mut demuxer, mut units) = (Demuxer::new(source), Vec::new());
    let now = clock::now();
    for piece in bytes.chunks(1316) {
        demuxer.push(piece, now);
        while let Some(output) = demuxer.poll() {
            units.extend(unit(output));
        }
    }
    demuxer.flush(now);
    while let Some(output) = demuxer.poll() {
        units.extend(unit(output));
    }
    units.sort_by_key(|unit| unit.dts);
    units
}

fn unit(output: Output) -> Option<AccessUnit> {
    match output {
        Output::Unit(unit) => Some(unit),
        Output::Streams { .. } | Output::Gap(_) | Output::TimeBase { .. } => None,
    }
}

/// The pictures of a file of AV1 temporal units without a container, from `begin` on.
pub fn av1_units_of(file: &Path, begin: Media) -> Vec<AccessUnit> {
    let data: Bytes = std::fs::read(file).unwrap().into();
    let obus: Vec<_> = av1::obus(&data).map(Result::unwrap).collect();
    // Each begins with a temporal delimiter.
    let mut begins: Vec<usize> = obus.iter().filter(|obu| obu.obu_type == 2).map(|obu| obu.whole.start).collect();
    begins.push(data.len());
    let format = TrackFormat::Video(VideoFormat { width: 320, height: 180, rate: RATE });
    let mut shape = Canonicaliser::new(Codec::Av1, format, 500_000);
    let units = (0i64..).zip(begins.windows(2)).map(|(n, pair)| {
        let unit = shape.push(data.slice(pair[0]..pair[1])).unwrap();
        let at = begin + VideoGrid(RATE).time_of(n);
        AccessUnit {
            input: InputId::new("film").unwrap(),
            rendition: RenditionId::new("main").unwrap(),
            track: Track::Video,
            pts: at,
            dts: at,
            key: unit.key,
            config: unit.config,
            payload: unit.payload,
        }
    });
    units.collect()
}

fn settings(places: &[SocketAddr]) -> SrtDestinationSettings {
    let address = |place: &SocketAddr| SrtAddress { host: place.ip().to_string(), port: place.port() };
    let path = |place: &SocketAddr| SrtPath { interface: None, source: None, address: address(place), weight: 0 };
    let links = if places.len() > 1 {
        Links::Broadcast(places.iter().map(path).collect())
    } else {
        Links::Single(path(&places[0]))
    };
    SrtDestinationSettings {
        id: OutputId::new("relay").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        address: address(&places[0]),
        latency: Duration::from_millis(400),
        stream_id: Some(Secret::new("church-id")),
        encryption: Some(Encryption { passphrase: Secret::new(PASSPHRASE), key_length: KeyLength::Aes256 }),
        overhead_percent: 25,
        max_bandwidth: None,
        links,
        enabled: true,
    }
}

fn rendition(units: &[AccessUnit]) -> RenditionSettings {
    let codec = |track| units.iter().find(|unit| unit.track == track).map(|unit| unit.config.codec);
    RenditionSettings {
        id: RenditionId::new("main").unwrap(),
        codec: codec(Track::Video).unwrap(),
        width: 320,
        height: 180,
        bitrate: 1_000_000,
        keyframe_interval: Duration::from_secs(1),
        encoder: EncoderChoice::Auto,
        audio: AudioSettings { codec: codec(Track::Audio).unwrap_or(Codec::Aac), bitrate: 128_000 },
    }
}
