//! Payload sharing, proven: while one stream goes to N destinations, how many bytes are allocated?

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast::config::{
    AudioSettings, DestinationSettings, EncoderChoice, RenditionSettings, RtmpUrl, Secret, Takeover, Via,
};
use holdfast::events::OutputState;
use holdfast::model::{AccessUnit, AudioGrid, Codec, FrameRate, InputId, OutputId, RenditionId, Track, VideoGrid};
use holdfast::output::{Feed, OutputCommand, rtmp};

use crate::clip::{Clip, FPS};
use crate::sink::Sink;

/// The system's allocator, counting.
pub struct Counting;

static ALLOCATED: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: our caller's promises are the ones asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.fetch_add((size.saturating_sub(layout.size())) as u64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// For each count of destinations: bytes allocated per payload byte that is distributed. A copy per destination would
/// make it N, one shared copy 1; zero means that what the feeder handed over is what the sockets send.
pub fn per_payload_byte(clip: &Clip, counts: &[usize]) -> Vec<(usize, f64)> {
    counts.iter().map(|&n| (n, one(clip, n))).collect()
}

fn one(clip: &Clip, n: usize) -> f64 {
    let mut sink = Sink::start();
    let units = programme(clip);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let feed = Feed::new(Duration::from_secs(12), 24 << 20);
        let rendition = rendition();
        let outputs: Vec<_> = (0..n)
            .map(|i| {
                let (settings, events) = (destination(i, sink.port), Arc::new(|_| {}));
                rtmp::spawn(settings, &rendition, FrameRate::whole(FPS), feed.clone(), events, None, i as u64)
            })
            .collect();
        for output in &outputs {
            output.commands.send(OutputCommand::Start).await.expect("the output runs");
        }
        for output in &outputs {
            let mut snapshot = output.snapshot.clone();
            snapshot.wait_for(|s| s.state == OutputState::Publishing).await.expect("the sink accepts");
        }
        // The first GOP fills what is allocated once: sockets' buffers, the ring, queues.
        let warm = units.len() / 6;
        let mut payload = 0;
        let mut before = 0;
        for (i, unit) in units.into_iter().enumerate() {
            if i == warm {
                before = ALLOCATED.load(Ordering::Relaxed);
            }
            if i >= warm {
                payload += unit.payload.len();
            }
            feed.push(unit);
            // A few times real time, so that nobody falls behind.
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        let allocated = ALLOCATED.load(Ordering::Relaxed) - before;
        tokio::time::sleep(Duration::from_millis(500)).await;
        for (output, got) in outputs.iter().zip(sink.counts()) {
            assert_eq!(output.snapshot.borrow().lost, 0, "a destination fell behind");
            assert!(got > payload as u64, "a destination got {got} bytes of {payload}");
        }
        allocated as f64 / payload as f64
    })
}

/// One loop of the clip as it leaves the switch.
fn programme(clip: &Clip) -> Vec<Arc<AccessUnit>> {
    let (pictures, sound) = (VideoGrid(FrameRate::whole(FPS)), AudioGrid::AAC);
    let unit = |track, rendition: &str, pts, config: &Arc<_>, unit: &crate::clip::Unit| {
        Arc::new(AccessUnit {
            input: InputId::new("bench").expect("a name"),
            rendition: RenditionId::new(rendition).expect("a name"),
            track,
            pts,
            dts: pts,
            key: unit.key,
            config: Arc::clone(config),
            payload: unit.payload.clone(),
        })
    };
    let video = clip
        .video
        .iter()
        .enumerate()
        .map(|(i, u)| unit(Track::Video, "main", pictures.time_of(i as i64), &clip.video_config, u));
    let audio = clip
        .audio
        .iter()
        .enumerate()
        .map(|(i, u)| unit(Track::Audio, "aac-128k", sound.time_of(i as i64), &clip.audio_config, u));
    let mut all: Vec<_> = video.chain(audio).collect();
    all.sort_by_key(|u| (u.pts, u.track));
    all
}

fn rendition() -> RenditionSettings {
    RenditionSettings {
        id: RenditionId::new("main").expect("a name"),
        codec: Codec::H264,
        width: 1280,
        height: 720,
        bitrate: 6_000_000,
        keyframe_interval: Duration::from_secs(2),
        encoder: EncoderChoice::Auto,
        audio: AudioSettings { codec: Codec::Aac, bitrate: 128_000 },
    }
}

fn destination(i: usize, port: u16) -> DestinationSettings {
    DestinationSettings {
        id: OutputId::new(&format!("d{i}")).expect("a name"),
        rendition: RenditionId::new("main").expect("a name"),
        url: RtmpUrl { tls: false, host: "127.0.0.1".to_owned(), port, app: "live".to_owned() },
        key: Secret::new(format!("k{i}")),
        takeover: Takeover::RetryUntilFree,
        ca_file: None,
        backup_key: None,
        via: Via::Routing,
        lowers_bitrate: true,
        enabled: true,
    }
}
