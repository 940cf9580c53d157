//! An RTMPS server of our own: it takes a stream from anybody and throws it away.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use holdfast::rtmp::Outbox;
use holdfast::rtmp::amf0::{Value, encode_all};
use holdfast::rtmp::chunk::{self, Route, kind};
use holdfast::rtmp::command::Command;
use holdfast::rtmp::handshake::BLOCK;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

pub const PORT: u16 = 1936;

/// Who speaks for these names.
pub struct Authority {
    config: Arc<ServerConfig>,
}

impl Authority {
    /// Its certificate goes into `file`.
    pub fn new(file: &Path, names: &[&str]) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut own = rcgen::CertificateParams::new(Vec::new()).unwrap();
        own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        std::fs::write(file, own.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = rcgen::Issuer::new(own, key);
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        Self { config: Arc::new(config) }
    }
}

/// How much media has arrived, bytes.
#[derive(Clone, Default)]
pub struct Arrived(Arc<AtomicU64>);

impl Arrived {
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves on all addresses of the calling thread's namespace, until the test ends.
pub fn serve(authority: &Authority) -> io::Result<Arrived> {
    let listener = std::net::TcpListener::bind(("::", PORT))?;
    listener.set_nonblocking(true)?;
    let (acceptor, arrived) = (TlsAcceptor::from(authority.config.clone()), Arrived::default());
    let counted = arrived.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(session(acceptor.clone(), stream, counted.clone()));
            }
        });
    });
    Ok(arrived)
}

async fn session(acceptor: TlsAcceptor, stream: TcpStream, arrived: Arrived) -> io::Result<()> {
    let stream = acceptor.accept(stream).await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    take(&mut reader, &mut writer, &arrived).await
}

async fn take(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    arrived: &Arrived,
) -> io::Result<()> {
    let mut hello = vec![0; 1 + BLOCK];
    from.read_exact(&mut hello).await?;
    to.write_all(&hello).await?;
    to.write_all(&hello[1..]).await?;
    from.read_exact(&mut hello[1..]).await?;
    let (mut reader, mut buffer) = (chunk::Reader::new(8 << 20), vec![0; 64 << 10]);
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        reader.feed(&buffer[..count]);
        while let Some(message) = reader.next_message().map_err(io::Error::other)? {
            match message.kind {
                kind::COMMAND => {
                    let command = Command::parse(&message.payload).map_err(io::Error::other)?;
                    to.write_all(&answer(&command.name)).await?;
                    to.flush().await?;
                }
                // Sound and pictures.
                8 | 9 => drop(arrived.0.fetch_add(message.payload.len() as u64, Ordering::Relaxed)),
                _ => {}
            }
        }
    }
}

fn answer(name: &str) -> Vec<u8> {
    let (name, transaction, argument) = match name {
        "connect" => ("_result", 1.0, Value::Null),
        "createStream" => ("_result", 4.0, Value::Number(1.0)),
        "publish" => {
            let code = ("code".to_owned(), Value::text("NetStream.Publish.Start"));
            ("onStatus", 0.0, Value::Object(vec![code]))
        }
        _ => return Vec::new(),
    };
    let values = [Value::text(name), Value::Number(transaction), Value::Null, argument];
    let mut outbox = Outbox::new();
    let announce = Route { chunk_stream: 2, kind: kind::SET_CHUNK_SIZE, stream: 0, timestamp_ms: 0 };
    chunk::write(&mut outbox, announce, &(chunk::CHUNK_SIZE as u32).to_be_bytes(), Bytes::new());
    let route = Route { chunk_stream: 3, kind: kind::COMMAND, stream: 0, timestamp_ms: 0 };
    chunk::write(&mut outbox, route, &[], encode_all(&values).into());
    outbox.slices().flatten().copied().collect()
}
