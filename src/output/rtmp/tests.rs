//! Destinations on real sockets, against a server of our own that does what real ones cannot be made to do on demand.
#![allow(clippy::unwrap_used, clippy::panic)]

mod pinned;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use crate::config::{
    AudioSettings, DestinationSettings, EncoderChoice, InterfaceName, RenditionSettings, RtmpUrl, Secret, Takeover, Via,
};
use crate::events::{Event, EventKind, OutputSnapshot, OutputState};
use crate::model::{
    AccessUnit, Codec, CodecConfig, FrameRate, InputId, Media, OutputId, RenditionId, Track, TrackFormat, VideoFormat,
};
use crate::output::{EventSink, Feed, OutputCommand, OutputHandle};
use crate::rtmp::Outbox;
use crate::rtmp::amf0::{Value, encode_all};
use crate::rtmp::chunk::{self, Message, Route, kind};
use crate::rtmp::command::Command;
use crate::rtmp::handshake::BLOCK;

/// Longer than any of this takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// More messages than any test sends.
const MESSAGES: usize = 10_000;

/// What a server is told to do.
#[derive(Clone)]
enum Manner {
    Accept,
    /// After the first picture it reads nothing until notified.
    StopReading(Rc<Notify>),
    /// The first connection is hung up after the first picture.
    HangUpOnce(Rc<Cell<bool>>),
    /// After the first picture of a connection it asks us to go there.
    Redirect(String),
    /// After each picture.
    RedirectOnAndOn(String),
}

/// A server and what it has been sent; the number counts connections.
struct Server {
    port: u16,
    received: mpsc::Receiver<(usize, Message)>,
    /// Where each connection came from.
    peers: mpsc::Receiver<SocketAddr>,
}

async fn server(manner: Manner) -> Server {
    serve_at(TcpListener::bind(("127.0.0.1", 0)).await.unwrap(), manner)
}

fn serve_at(listener: TcpListener, manner: Manner) -> Server {
    // So that a server that does not read is noticed after kilobytes, not megabytes.
    socket2::SockRef::from(&listener).set_recv_buffer_size(64 << 10).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, received) = mpsc::channel(MESSAGES);
    let (came, peers) = mpsc::channel(MESSAGES);
    spawn_local(async move {
        for connection in 0.. {
            let (stream, peer) = listener.accept().await.unwrap();
            let _ = came.try_send(peer);
            let (sender, manner) = (sender.clone(), manner.clone());
            // A connection that breaks is what some tests are about.
            spawn_local(async move { serve(stream, connection, manner, sender).await.ok() });
        }
    });
    Server { port, received, peers }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    manner: Manner,
    sender: mpsc::Sender<(usize, Message)>,
) -> std::io::Result<()> {
    let mut hello = vec![0; 1 + BLOCK];
    stream.read_exact(&mut hello).await?;
    stream.write_all(&hello).await?;
    stream.write_all(&hello[1..]).await?;
    stream.read_exact(&mut hello[1..]).await?;
    let mut reader = chunk::Reader::new(8 << 20);
    let mut buffer = vec![0; 64 << 10];
    let mut pictures = 0;
    let is_tireless = matches!(manner, Manner::RedirectOnAndOn(_));
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        reader.feed(&buffer[..count]);
        while let Some(message) = reader.next_message().unwrap() {
            if message.kind == kind::COMMAND {
                stream.write_all(&answer(&Command::parse(&message.payload).unwrap().name)).await?;
            }
            let is_picture = message.kind == 9 && message.payload[1] == 1;
            match sender.try_send((connection, message)) {
                // The test may be over.
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(_)) => panic!("a test sends fewer messages"),
            }
            if !is_picture {
                continue;
            }
            pictures += 1;
            match &manner {
                Manner::StopReading(go_on) if pictures == 1 => go_on.notified().await,
                Manner::HangUpOnce(done) if !done.replace(true) => return Ok(()),
                Manner::RedirectOnAndOn(to) | Manner::Redirect(to) if pictures == 1 || is_tireless => {
                    let code = ("code".to_owned(), Value::text("NetConnection.Connect.ReconnectRequest"));
                    let to = ("tcUrl".to_owned(), Value::text(to.as_str()));
                    stream.write_all(&command("onStatus", 0.0, Value::Object(vec![code, to]))).await?;
                }
                Manner::Accept
                | Manner::StopReading(_)
                | Manner::HangUpOnce(_)
                | Manner::Redirect(_)
                | Manner::RedirectOnAndOn(_) => {}
            }
        }
    }
}

fn answer(name: &str) -> Vec<u8> {
    match name {
        "connect" => command("_result", 1.0, Value::Null),
        "createStream" => command("_result", 4.0, Value::Number(1.0)),
        "publish" => {
            let code = ("code".to_owned(), Value::text("NetStream.Publish.Start"));
            command("onStatus", 0.0, Value::Object(vec![code]))
        }
        _ => Vec::new(),
    }
}

fn command(name: &str, transaction: f64, argument: Value) -> Vec<u8> {
    let values = [Value::text(name), Value::Number(transaction), Value::Null, argument];
    let mut outbox = Outbox::new();
    let announce = Route { chunk_stream: 2, kind: kind::SET_CHUNK_SIZE, stream: 0, timestamp_ms: 0 };
    chunk::write(&mut outbox, announce, &(chunk::CHUNK_SIZE as u32).to_be_bytes(), Bytes::new());
    let route = Route { chunk_stream: 3, kind: kind::COMMAND, stream: 0, timestamp_ms: 0 };
    chunk::write(&mut outbox, route, &[], encode_all(&values).into());
    outbox.slices().flatten().copied().collect()
}

impl Server {
    async fn next(&mut self) -> (usize, Message) {
        timeout(PATIENCE, self.received.recv()).await.expect("the server was sent nothing more").unwrap()
    }

    /// The next coded picture: connection, timestamp, whether it is a keyframe, its number.
    async fn picture(&mut self) -> (usize, u32, bool, u32) {
        loop {
            let (connection, message) = self.next().await;
            if let Some(picture) = picture(&message) {
                return (connection, picture.0, picture.1, picture.2);
            }
        }
    }

    async fn command(&mut self, name: &str) {
        loop {
            let (_, message) = self.next().await;
            if message.kind == kind::COMMAND && Command::parse(&message.payload).unwrap().name == name {
                return;
            }
        }
    }

    fn so_far(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.received.try_recv().ok()).map(|(_, message)| message).collect()
    }
}

fn picture(message: &Message) -> Option<(u32, bool, u32)> {
    let number = message.payload.get(5..9)?;
    (message.kind == 9 && message.payload[1] == 1)
        .then(|| (message.timestamp_ms, message.payload[0] >> 4 == 1, u32::from_be_bytes(number.try_into().unwrap())))
}

const KEY_EVERY: u32 = 10;

/// Picture `n` of 40 ms each, which carries its own number.
fn unit(n: u32, size: usize) -> Arc<AccessUnit> {
    let format = TrackFormat::Video(VideoFormat { width: 320, height: 240, rate: FrameRate::whole(25) });
    let config = CodecConfig { codec: Codec::H264, record: Bytes::from_static(b"record"), format, bitrate: 1 };
    let mut payload = vec![7; size.max(4)];
    payload[..4].copy_from_slice(&n.to_be_bytes());
    let pts = Media::from_millis(3_600_000 + i64::from(n) * 40);
    Arc::new(AccessUnit {
        input: InputId::new("cam").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        track: Track::Video,
        pts,
        dts: pts,
        key: n.is_multiple_of(KEY_EVERY),
        config: Arc::new(config),
        payload: payload.into(),
    })
}

struct Out {
    handle: OutputHandle<OutputSnapshot>,
    events: Arc<Mutex<Vec<Event>>>,
}

fn destination(url: RtmpUrl, ca_file: Option<PathBuf>, feed: &Feed) -> Out {
    destination_on(url, ca_file, None, feed)
}

fn destination_on(url: RtmpUrl, ca_file: Option<PathBuf>, interface: Option<InterfaceName>, feed: &Feed) -> Out {
    let settings = DestinationSettings {
        id: OutputId::new("out").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        url,
        key: Secret::new("s3cr3t"),
        takeover: Takeover::ServerOverrides,
        ca_file,
        backup_key: None,
        via: interface.map_or(Via::Routing, Via::Pinned),
        lowers_bitrate: true,
        enabled: true,
    };
    let rendition = RenditionSettings {
        id: settings.rendition.clone(),
        codec: Codec::H264,
        width: 320,
        height: 240,
        bitrate: 1_000_000,
        keyframe_interval: Duration::from_secs(1),
        encoder: EncoderChoice::Auto,
        audio: AudioSettings { codec: Codec::Aac, bitrate: 128_000 },
    };
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink: EventSink = {
        let events = events.clone();
        Arc::new(move |event| events.lock().unwrap().push(event))
    };
    let handle = super::spawn(settings, &rendition, FrameRate::whole(25), feed.clone(), sink, None, 1);
    handle.commands.try_send(OutputCommand::Start).unwrap();
    Out { handle, events }
}

fn to(port: u16) -> RtmpUrl {
    RtmpUrl { tls: false, host: "127.0.0.1".into(), port, app: "live".into() }
}

impl Out {
    async fn until(&mut self, is: impl Fn(&OutputSnapshot) -> bool) -> OutputSnapshot {
        let seen = timeout(PATIENCE, self.handle.snapshot.wait_for(is)).await;
        let last = || format!("{:?}", self.events.lock().unwrap().last());
        seen.unwrap_or_else(|_| panic!("it did not come to that; last: {}", last())).unwrap().clone()
    }

    /// Waits for the first trouble and returns its code.
    async fn trouble(mut self) -> String {
        self.until(|s| matches!(s.state, OutputState::Waiting { .. })).await;
        let events = self.events.lock().unwrap();
        let down = events.iter().find(|e| e.kind == EventKind::OutputDown).unwrap();
        down.evidence["trouble"].as_str().unwrap().to_owned()
    }
}

fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn every_unit_arrives_once_and_stop_ends_the_broadcast() {
    on_one_thread(async {
        let mut server = server(Manner::Accept).await;
        let feed = Feed::new(Duration::from_secs(10), 8 << 20);
        feed.push(unit(0, 100));
        feed.push(unit(1, 100));
        let mut out = destination(to(server.port), None, &feed);
        for n in 0..50 {
            assert_eq!(server.picture().await, (0, n * 40, n % KEY_EVERY == 0, n));
            feed.push(unit(n + 2, 100_000));
        }
        out.handle.commands.send(OutputCommand::Stop).await.unwrap();
        server.command("FCUnpublish").await;
        server.command("deleteStream").await;
        let end = out.until(|s| s.state == OutputState::Off).await;
        assert_eq!((end.sessions, end.lost), (1, 0));
        assert!(end.acknowledged >= end.bytes && end.bytes > 4_800_000, "{end:?}");
        let events = format!("{:?}", out.events.lock().unwrap());
        assert!(!events.contains("s3cr3t") && !format!("{end:?}").contains("s3cr3t"));
    });
}

#[test]
fn a_destination_that_is_not_configured_any_more_ends_its_broadcast() {
    on_one_thread(async {
        let mut server = server(Manner::Accept).await;
        let feed = Feed::new(Duration::from_secs(10), 8 << 20);
        feed.push(unit(0, 100));
        let Out { handle, events } = destination(to(server.port), None, &feed);
        assert_eq!(server.picture().await.3, 0);
        handle.commands.try_send(OutputCommand::Stop).unwrap();
        drop(handle);
        server.command("FCUnpublish").await;
        server.command("deleteStream").await;
        let told = |e: &Event| e.kind == EventKind::OutputDown && e.reason == "ended as asked";
        assert!(events.lock().unwrap().iter().any(told));
    });
}

#[test]
fn a_destination_that_stops_reading_loses_only_its_own_units_and_goes_on_at_a_keyframe() {
    on_one_thread(async {
        const PICTURES: u32 = 200;
        const SIZE: usize = 100_000;
        let go_on = Rc::new(Notify::new());
        let (mut good, mut stuck) = (server(Manner::Accept).await, server(Manner::StopReading(go_on.clone())).await);
        let feed = Feed::new(Duration::from_secs(100), 3 << 20);
        feed.push(unit(0, SIZE));
        let _good = destination(to(good.port), None, &feed);
        let mut slow = destination(to(stuck.port), None, &feed);
        assert_eq!(stuck.picture().await.3, 0);
        assert_eq!(good.picture().await.3, 0);
        for n in 1..PICTURES {
            feed.push(unit(n, SIZE));
            assert_eq!(good.picture().await.3, n, "the other one lost a unit");
        }
        assert!(feed.held().bytes <= (3 << 20) + SIZE, "{:?}", feed.held());
        go_on.notify_one();
        let mut seen = vec![(0, true, 0)];
        while seen.last().unwrap().2 != PICTURES - 1 {
            let (_, timestamp_ms, key, n) = stuck.picture().await;
            seen.push((timestamp_ms, key, n));
        }
        let jumps: Vec<_> = seen.windows(2).filter(|w| w[1].2 != w[0].2 + 1).collect();
        assert!(!jumps.is_empty(), "it was never too slow: the test proves nothing");
        assert!(jumps.iter().all(|w| w[1].1), "a jump does not land on a keyframe: {jumps:?}");
        assert!(seen.iter().all(|s| s.0 == s.2 * 40), "the time line was cut");
        let lost = u64::from(PICTURES) - seen.len() as u64;
        let snapshot = slow.until(|s| s.sent == seen.len() as u64).await;
        assert_eq!((snapshot.lost, snapshot.sessions), (lost, 1));
        assert!(slow.events.lock().unwrap().iter().any(|e| e.kind == EventKind::OutputLagged));
    });
}

#[test]
fn a_server_that_hangs_up_is_connected_to_again_and_gets_a_stream_from_zero() {
    on_one_thread(async {
        let mut server = server(Manner::HangUpOnce(Rc::default())).await;
        let feed = Feed::new(Duration::from_secs(10), 1 << 20);
        feed.push(unit(0, 100));
        let mut out = destination(to(server.port), None, &feed);
        assert_eq!(server.picture().await, (0, 0, true, 0));
        feed.push(unit(KEY_EVERY, 100));
        let mut kinds = Vec::new();
        loop {
            let (connection, message) = server.next().await;
            if connection == 1 {
                kinds.push(message.kind);
                if let Some(picture) = picture(&message) {
                    // The server may have got it or not; its TCP never said so.
                    assert_eq!(picture, (0, true, 0), "what was not confirmed is sent again");
                    break;
                }
            } else {
                assert_ne!(message.kind, kind::COMMAND, "an interruption was announced as an end");
            }
        }
        assert_eq!(kinds[kinds.len() - 3..], [kind::DATA, 9, 9], "metadata, sequence header, keyframe");
        assert_eq!(out.until(|s| s.sessions == 2).await.state, OutputState::Publishing);
    });
}

#[test]
fn a_reconnect_request_is_followed_at_a_keyframe_and_no_unit_is_lost_or_sent_twice() {
    on_one_thread(async {
        let mut next = server(Manner::Accept).await;
        let mut first = server(Manner::Redirect(format!("rtmp://127.0.0.1:{}/other", next.port))).await;
        let feed = Feed::new(Duration::from_secs(10), 1 << 20);
        feed.push(unit(0, 100));
        let mut out = destination(to(first.port), None, &feed);
        assert_eq!(first.picture().await.3, 0);
        // The successor is accepted before its keyframe comes, so that the keyframe is the first thing it gets.
        next.command("publish").await;
        let mut seen = vec![0];
        let mut n = 1;
        let begins = loop {
            feed.push(unit(n, 100));
            n += 1;
            tokio::select! {
                (_, _, _, number) = first.picture() => seen.push(number),
                begins = next.picture() => break begins,
            }
        };
        assert_eq!((begins.1, begins.2), (0, true), "the successor begins at zero with a keyframe");
        let rest = first.so_far();
        seen.extend(rest.iter().filter_map(|m| picture(m).map(|p| p.2)));
        assert_eq!(seen, (0..begins.3).collect::<Vec<_>>(), "the first server got everything before it");
        assert!(rest.iter().all(|m| m.kind != kind::COMMAND), "the broadcast was ended at the first server");
        for number in begins.3 + 1..n {
            assert_eq!(next.picture().await.3, number);
        }
        assert_eq!(out.until(|s| s.sessions == 2).await.lost, 0);
    });
}

#[test]
fn a_server_that_asks_on_and_on_to_move_is_heard_now_and_then() {
    on_one_thread(async {
        let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
        let mut server = server(Manner::RedirectOnAndOn(format!("rtmp://127.0.0.1:{nobody}/other"))).await;
        let feed = Feed::new(Duration::from_secs(10), 1 << 20);
        feed.push(unit(0, 100));
        let out = destination(to(server.port), None, &feed);
        let told = |part: &str| out.events.lock().unwrap().iter().filter(|e| e.reason.contains(part)).count();
        let began = crate::clock::now();
        for n in 0..100 {
            assert_eq!(server.picture().await.3, n);
            feed.push(unit(n + 1, 100));
        }
        let most = 2 + usize::try_from((crate::clock::now() - began).as_secs() / 5).unwrap();
        assert!((1..=most).contains(&told("asks us to move")), "told {} times", told("asks us to move"));
        assert_eq!(out.handle.snapshot.borrow().sessions, 1, "it goes on where it is");
    });
}

mod secure {
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;

    /// A server with a certificate for `name`, and the file with the authority that signed it.
    async fn secure_server(name: &str, is_expired: bool) -> (Server, tempfile::NamedTempFile) {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            leaf.not_after = rcgen::date_time_ymd(2001, 1, 1);
            leaf.not_before = rcgen::date_time_ymd(2000, 1, 1);
        }
        let certificate = leaf.signed_by(&key, &issuer).unwrap().der().clone();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, received) = mpsc::channel(MESSAGES);
        spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Clients that do not like the certificate hang up.
                if let Ok(stream) = acceptor.accept(stream).await {
                    spawn_local(serve(stream, 0, Manner::Accept, sender.clone()));
                }
            }
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ca_pem).unwrap();
        (Server { port, received, peers: mpsc::channel(1).1 }, file)
    }

    fn to(port: u16, tls: bool) -> RtmpUrl {
        RtmpUrl { tls, host: "localhost".into(), port, app: "live".into() }
    }

    #[test]
    fn units_arrive_over_tls_under_a_named_authority() {
        on_one_thread(async {
            let (mut server, ca) = secure_server("localhost", false).await;
            let feed = Feed::new(Duration::from_secs(10), 8 << 20);
            feed.push(unit(0, 300_000));
            let mut out = destination(to(server.port, true), Some(ca.path().into()), &feed);
            for n in 0..30 {
                assert_eq!(server.picture().await.3, n);
                feed.push(unit(n + 1, 100_000));
            }
            out.handle.commands.send(OutputCommand::Stop).await.unwrap();
            server.command("deleteStream").await;
            assert_eq!(out.until(|s| s.state == OutputState::Off).await.lost, 0);
        });
    }

    #[test]
    fn authorities_on_a_disk_that_hangs_hold_up_no_other_destination() {
        let directory = tempfile::TempDir::new().unwrap();
        // Whoever opens it for reading waits for somebody who writes.
        let hangs = directory.path().join("ca.pem");
        nix::unistd::mkfifo(&hangs, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (over, is_over) = std::sync::mpsc::sync_channel::<()>(1);
        let path = hangs.clone();
        let lets_go = std::thread::spawn(move || {
            let _ = is_over.recv_timeout(PATIENCE);
            drop(std::fs::OpenOptions::new().write(true).open(path));
        });
        on_one_thread(async {
            let mut plain = server(Manner::Accept).await;
            let feed = Feed::new(Duration::from_secs(10), 1 << 20);
            feed.push(unit(0, 100));
            let stuck = destination(to(1, true), Some(hangs), &feed);
            let _out = destination(to(plain.port, false), None, &feed);
            let began = crate::clock::now();
            assert_eq!(plain.picture().await.3, 0);
            assert_eq!(stuck.trouble().await, "ca-file");
            assert!(crate::clock::now() - began < PATIENCE / 2, "everything waited for the disk");
            over.try_send(()).unwrap();
        });
        lets_go.join().unwrap();
    }

    #[test]
    fn what_is_wrong_with_a_secure_connection_is_told_apart() {
        on_one_thread(async {
            let feed = Feed::new(Duration::from_secs(10), 1 << 20);
            let (named_otherwise, ca) = secure_server("other.example", false).await;
            let out = destination(to(named_otherwise.port, true), Some(ca.path().into()), &feed);
            assert_eq!(out.trouble().await, "tls-name");

            let (good, _) = secure_server("localhost", false).await;
            assert_eq!(destination(to(good.port, true), None, &feed).trouble().await, "tls-untrusted");
            // It answers with a TLS alert.
            assert_eq!(destination(to(good.port, false), None, &feed).trouble().await, "not-rtmp");

            let (expired, ca) = secure_server("localhost", true).await;
            let out = destination(to(expired.port, true), Some(ca.path().into()), &feed);
            assert_eq!(out.trouble().await, "tls-dates");

            let out = destination(to(good.port, true), Some("/nonexistent/ca.pem".into()), &feed);
            assert_eq!(out.trouble().await, "ca-file");

            let refused = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
            assert_eq!(destination(to(refused, true), None, &feed).trouble().await, "connection-refused");

            let text = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let port = text.local_addr().unwrap().port();
            spawn_local(async move {
                loop {
                    let (mut stream, _) = text.accept().await.unwrap();
                    let mut hello = [0; 16];
                    let _ = stream.read_exact(&mut hello).await;
                    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                }
            });
            assert_eq!(destination(to(port, true), None, &feed).trouble().await, "tls-not-spoken");
            assert_eq!(destination(to(port, false), None, &feed).trouble().await, "not-rtmp");
        });
    }
}
