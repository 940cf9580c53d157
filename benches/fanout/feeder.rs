//! A worker that sends the clip in real time, in a loop: the data plane's input.

use std::io::{IoSlice, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use holdfast::clock;
use holdfast::encode::protocol::{FromWorker, Hello, PROTOCOL, unit_header};
use holdfast::model::{AudioGrid, FrameRate, InputId, Media, RenditionId, VideoGrid};

use crate::clip::{Clip, FPS, Unit};

const VIDEO: u16 = 0;
const AUDIO: u16 = 1;
/// How long after its time on the grid a unit is there: a fast encoder's latency.
const ENCODING: Media = Media::from_millis(15);

/// Runs until dropped.
#[derive(Debug)]
pub struct Feeder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    pub fn start(socket: &Path, input: &str, clip: &Clip) -> Self {
        let mut socket = UnixStream::connect(socket).expect("the data plane listens");
        let mut hello = BytesMut::new();
        let input = InputId::new(input).expect("a name");
        FromWorker::Hello(Hello { protocol: PROTOCOL, input, pid: std::process::id() }).encode(&mut hello);
        for (stream, rendition, encoder, config) in
            [(VIDEO, "main", "x264enc", &clip.video_config), (AUDIO, "aac-128k", "avenc_aac", &clip.audio_config)]
        {
            let rendition = RenditionId::new(rendition).expect("a name");
            FromWorker::Format { stream, rendition, encoder: encoder.to_owned(), config: config.clone() }
                .encode(&mut hello);
        }
        socket.write_all(&hello).expect("the data plane reads");
        let stop = Arc::new(AtomicBool::new(false));
        let (told, video, audio) = (stop.clone(), clip.video.clone(), clip.audio.clone());
        let thread = thread::spawn(move || feed(&mut socket, &video, &audio, &told));
        Self { stop, thread: Some(thread) }
    }
}

fn feed(socket: &mut UnixStream, video: &[Unit], audio: &[Unit], stop: &AtomicBool) {
    let (pictures, sound) = (VideoGrid(FrameRate::whole(FPS)), AudioGrid::AAC);
    let begin = clock::media();
    let (first_picture, first_sound) = (pictures.at_or_before(begin) + 1, sound.at_or_before(begin) + 1);
    let (mut n, mut k) = (0usize, 0usize);
    while !stop.load(Ordering::Relaxed) {
        let picture = pictures.time_of(first_picture + n as i64);
        let packet = sound.time_of(first_sound + k as i64);
        let (stream, unit, pts) = if packet < picture {
            k += 1;
            (AUDIO, &audio[(k - 1) % audio.len()], packet)
        } else {
            n += 1;
            (VIDEO, &video[(n - 1) % video.len()], picture)
        };
        thread::sleep((pts + ENCODING - clock::media()).to_duration().min(Duration::from_secs(1)));
        // Header and payload in one system call, as a worker does it: the data plane wakes once for each unit.
        let header = unit_header(stream, unit.key, pts, pts, unit.payload.len());
        let mut message = header.chain(&unit.payload[..]);
        while message.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = message.chunks_vectored(&mut slices);
            match socket.write_vectored(&slices[..count]) {
                Ok(written) => message.advance(written),
                Err(_) => return,
            }
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
