//! A camera's RTSP (RFC 2326), watched for ever: one session after another, each from DESCRIBE to TEARDOWN.
//!
//! ```text
//!   watch ──► DESCRIBE ─► SETUP (picture, sound) ─► PLAY ─► frames ──► units ──► Arrival
//!     ▲          │              │                    │        │ silence, goodbye, an error
//!     └─ pause ◄─┴──────────────┴────────────────────┴────────┘ TEARDOWN, Ended
//! ```
//!
//! The protocol and the payload formats are those of the crate `retina`. What it gives has times of two clocks and no
//! decoding times; `frames` and what is below it make access units of that. Over UDP it does not wait for a packet that was
//! overtaken: that one counts as lost.
//!
//! *Invariant:* no camera ends this, and nothing waits for a camera without a limit. Whoever does not take what arrives
//! holds the camera up, and nobody else.

mod account;
mod cadence;
mod failure;
mod frames;
mod offer;
mod one_clock;
mod order;
mod patience;

use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use retina::client::{
    Credentials, Demuxed, Described, InitialTimestampPolicy, PlayOptions, Session, SessionIdPolicy, SessionOptions,
    SetupOptions, Stream, TcpTransportOptions, Transport, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef};
use retina::rtcp::ReceivedCompoundPacket;
use rtsp_url::Url;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, sleep_until, timeout};

use self::account::Account;
use self::failure::{Failure, Whose, first_line};
use self::frames::{Frame, Frames};
use self::one_clock::{media_of, media_of_ntp};
use self::patience::{ANSWERS_WITHIN, Phase};
use super::arrival::Arrival;
use super::pauses::Pauses;
use crate::clock;
use crate::config::{RtspInput, RtspTransport};
use crate::model::{FrameRate, InputId, Media, Track};

/// The port of `rtsp://` (RFC 2326 §3.2).
const PORT: u16 = 554;
/// `packet type` of a goodbye (RFC 3550 §12.1).
const BYE: u8 = 203;
/// How `retina` begins what it says about a connection that could not be made.
const UNREACHABLE: &str = "Unable to connect to RTSP server: ";

/// Watches the camera that `settings` name until nobody takes what arrives. Runs on one thread, beside others.
///
/// Attempts that fail are said as `Ended` without `Began`, each reason once as long as it stays the same.
pub async fn watch(input: InputId, settings: RtspInput, out: Sender<Arrival>) {
    let mut pauses = Pauses::default();
    let mut said = None;
    let host = host_of(&settings.url);
    let whose = Whose { host: &host, login: settings.login.as_ref(), transport: settings.transport };
    loop {
        let mut attempt =
            Attempt { input: &input, settings: &settings, host: &host, out: &out, progress: Progress::Asking };
        let end = tokio::select! {
            Err(end) = Box::pin(attempt.run()) => end,
            () = out.closed() => return,
        };
        let failure = match end {
            End::Unheard => return,
            End::Failed(failure) => failure,
        };
        let progress = attempt.progress;
        let why = failure.words(whose);
        let is_news = progress != Progress::Asking || said.as_ref() != Some(&why);
        said = Some(why.clone());
        if is_news && out.send(Arrival::Ended { why }).await.is_err() {
            return;
        }
        // Whoever has left wants no other attempt.
        let pause = sleep(pauses.after(progress == Progress::Delivered));
        tokio::select! {
            () = pause => {}
            () = out.closed() => return,
        }
    }
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Asking,
    /// `Began` has been said.
    Playing,
    /// Something has come.
    Delivered,
}

/// Why an attempt is over.
enum End {
    /// Nobody takes what arrives.
    Unheard,
    Failed(Failure),
}

/// No attempt ends well.
type Never = std::convert::Infallible;

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<retina::Error> for Failure {
    fn from(error: retina::Error) -> Self {
        let text = error.to_string();
        match (error.status_code(), text.strip_prefix(UNREACHABLE)) {
            // 200, and something is wrong with the answer.
            (Some(status), _) if status >= 300 => Self::Refused(status),
            (_, Some(reason)) => Self::Unreachable(reason.to_owned()),
            (_, None) => Self::Broken(text),
        }
    }
}

/// One session, and what leads to it.
struct Attempt<'a> {
    input: &'a InputId,
    settings: &'a RtspInput,
    host: &'a str,
    out: &'a Sender<Arrival>,
    progress: Progress,
}

/// A session that plays.
struct Playing {
    demuxed: Demuxed,
    picture: Place,
    sound: Option<Place>,
    frames: Frames,
}

/// One of its streams.
struct Place {
    /// In the session's description.
    stream: usize,
    described: bool,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<Never, End> {
        let (playing, from) = Box::pin(self.open()).await?;
        self.send(Arrival::Began { from }).await?;
        self.progress = Progress::Playing;
        Box::pin(self.play(playing)).await
    }

    async fn send(&self, arrival: Arrival) -> Result<(), End> {
        self.out.send(arrival).await.map_err(|_| End::Unheard)
    }

    /// From DESCRIBE to PLAY. Also who plays, for people.
    async fn open(&self) -> Result<(Playing, String), Failure> {
        let url = Url::parse(&self.settings.url).map_err(|error| Failure::Address(error.to_string()))?;
        let creds = self
            .settings
            .login
            .as_ref()
            .map(|login| Credentials { username: login.user.clone(), password: login.password.reveal().to_owned() });
        let options = SessionOptions::default()
            .creds(creds)
            .user_agent("holdfast".to_owned())
            .session_id(SessionIdPolicy::UseFirst);
        let mut session = answered(Session::describe(url, options)).await?;
        let offers: Vec<_> = session.streams().iter().map(offer).collect();
        let choice = offer::choose(&offers);
        let (picture, codec) = choice.picture.ok_or_else(|| Failure::NoPicture(choice.strange.clone()))?;
        let rate = session.streams().get(picture).and_then(rate_of);
        self.set_up(&mut session, picture).await?;
        if let Some(sound) = choice.sound {
            self.set_up(&mut session, sound).await?;
        }
        let mut from = self.host.to_owned();
        if let Some(tool) = session.tool() {
            from = format!("{from}, {}", first_line(tool));
        }
        if !choice.strange.is_empty() {
            from = format!("{from}; {} is left aside", choice.strange.join(", "));
        }
        // Cameras that leave `RTP-Info` out are many.
        let options = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
        let demuxed = answered(session.play(options)).await?.demuxed()?;
        let place = |stream| Place { stream, described: false };
        let (picture, sound) = (place(picture), choice.sound.map(place));
        let frames = Frames::new(self.input.clone(), codec, rate);
        Ok((Playing { demuxed, picture, sound, frames }, from))
    }

    async fn set_up(&self, session: &mut Session<Described>, stream: usize) -> Result<(), Failure> {
        let transport = match self.settings.transport {
            RtspTransport::Tcp => Transport::Tcp(TcpTransportOptions::default()),
            RtspTransport::Udp => Transport::Udp(UdpTransportOptions::default()),
        };
        let options = SetupOptions::default().transport(transport).frame_format(FrameFormat::MP4);
        answered(session.setup(stream, options)).await
    }

    /// Passes on what comes.
    async fn play(&mut self, mut playing: Playing) -> Result<Never, End> {
        let mut heard = clock::now();
        let mut account = Account::new(heard);
        let mut phase = Phase::Starting;
        let mut ready = Vec::new();
        loop {
            let silent = heard + phase.patience();
            let item = tokio::select! {
                biased;
                item = playing.demuxed.next() => Some(item.ok_or(Failure::Closed)?.map_err(Failure::from)?),
                () = sleep_until(silent.min(account.due()).into()) => None,
            };
            let now = clock::now();
            match item {
                Some(CodecItem::Rtcp(packet)) => {
                    if is_goodbye(&packet) {
                        phase = Phase::Ending;
                    }
                    if playing.report(&packet, &mut account) {
                        ready.push(Arrival::TimeBase);
                    }
                }
                Some(item) => {
                    if let Some(frame) = playing.frame(item, now, &mut account) {
                        heard = now;
                        if phase == Phase::Starting {
                            phase = Phase::Flowing;
                        }
                        self.progress = Progress::Delivered;
                        playing.frames.push(frame, |arrival| ready.push(arrival));
                    }
                }
                None if now >= silent => {
                    return Err(End::Failed(match phase {
                        Phase::Starting => Failure::NeverStarted,
                        Phase::Flowing => Failure::Silent,
                        Phase::Ending => Failure::Goodbye,
                    }));
                }
                None => {}
            }
            ready.extend(account.take(now).map(Arrival::Network));
            for arrival in ready.drain(..) {
                self.send(arrival).await?;
            }
            if let Some(error) = playing.frames.refusal() {
                return Err(Failure::Unreadable(error.to_string()).into());
            }
        }
    }
}

impl Playing {
    /// A frame in our words; `None` for what was not asked for, or before its configuration is known.
    fn frame(&mut self, item: CodecItem, now: Instant, account: &mut Account) -> Option<Frame> {
        let (stream, timestamp, lost, is_new, payload) = match item {
            CodecItem::VideoFrame(frame) => {
                let (stream, timestamp, lost) = (frame.stream_id(), frame.timestamp(), frame.loss());
                let is_new = frame.has_new_parameters();
                (stream, timestamp, lost, is_new, Bytes::from(frame.into_data()))
            }
            CodecItem::AudioFrame(frame) => {
                let payload = Bytes::copy_from_slice(frame.data());
                (frame.stream_id(), frame.timestamp(), frame.loss(), false, payload)
            }
            CodecItem::MessageFrame(_) | CodecItem::Rtcp(_) | _ => return None,
        };
        let (track, described) = self.track(stream).map(|(track, place)| (track, place.described))?;
        // Before the first frame nothing was on its way: servers may say another beginning than they make.
        account.frame(track, payload.len(), if described { lost } else { 0 });
        let record =
            if is_new || !described { Some(self.demuxed.streams().get(stream).and_then(record_of)?) } else { None };
        self.track(stream)?.1.described = true;
        let local = local(timestamp);
        Some(Frame { track, local, arrived: now, record, payload })
    }

    /// What a sender report says. Whether times begin anew.
    fn report(&mut self, packet: &ReceivedCompoundPacket, account: &mut Account) -> bool {
        let Some((track, _)) = self.track(packet.stream_id()) else { return false };
        let first = packet.pkts().next().and_then(|first| first.as_sender_report().ok().flatten());
        let (Some(report), Some(local)) = (first, packet.rtp_timestamp()) else { return false };
        let counter = |at: usize| {
            let bytes = report.raw().get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            bytes.map_or(0, u32::from_be_bytes)
        };
        account.sent(track, counter(20), counter(24));
        self.frames.report(track, media_of_ntp(report.ntp_timestamp().0), self::local(local))
    }

    fn track(&mut self, stream: usize) -> Option<(Track, &mut Place)> {
        let sound = self.sound.as_mut().map(|sound| (Track::Audio, sound));
        [Some((Track::Video, &mut self.picture)), sound].into_iter().flatten().find(|(_, place)| place.stream == stream)
    }
}

/// A camera's answer, if it comes in time.
async fn answered<T>(request: impl Future<Output = Result<T, retina::Error>>) -> Result<T, Failure> {
    Ok(timeout(ANSWERS_WITHIN, Box::pin(request)).await.map_err(|_| Failure::NoAnswer)??)
}

fn offer(stream: &Stream) -> offer::Offer {
    offer::Offer {
        media: stream.media().to_owned(),
        encoding: stream.encoding_name().to_owned(),
        record: record_of(stream),
    }
}

fn record_of(stream: &Stream) -> Option<Bytes> {
    let record = match stream.parameters()? {
        ParametersRef::Video(video) => video.extra_data(),
        ParametersRef::Audio(audio) => audio.extra_data(),
        ParametersRef::Message(_) => return None,
    };
    Some(Bytes::copy_from_slice(record))
}

/// The frame rate that the session's description says (`a=framerate`, RFC 4566 §6), or else the picture's parameters.
fn rate_of(stream: &Stream) -> Option<FrameRate> {
    let said = stream.framerate().and_then(|rate| cadence::rate_said((rate * 1000.0).round() as u32, 1000));
    said.or_else(|| match stream.parameters()? {
        // How long a frame takes, seconds.
        ParametersRef::Video(video) => video.frame_rate().and_then(|(num, den)| cadence::rate_said(den, num)),
        ParametersRef::Audio(_) | ParametersRef::Message(_) => None,
    })
}

/// A time on a track's own clock, since `RTP-Info`'s or, without it, since its first packet's.
fn local(timestamp: retina::Timestamp) -> Media {
    media_of(timestamp.timestamp() - i64::from(timestamp.start()), timestamp.clock_rate().get())
}

fn is_goodbye(packet: &ReceivedCompoundPacket) -> bool {
    packet.pkts().any(|packet| packet.payload_type() == BYE)
}

/// Host and port, for people.
fn host_of(url: &str) -> String {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(|url| Some((url.host_str()?, url.port().unwrap_or(PORT))));
    host.map_or_else(|| "the camera".to_owned(), |(host, port)| format!("{host}:{port}"))
}
