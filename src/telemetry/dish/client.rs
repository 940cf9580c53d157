//! Asks one dish how it is, once a second, over one connection that leaves by its interface.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic_prost::ProstCodec;

use super::protocol::{self, GetStatus, PATH, Request, Response, Status};
use crate::clock;
use crate::events::DishState;
use crate::telemetry::reading::{DishId, Reading};

/// Dishes measure once a second.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// For a connection, and for an answer: a dish is a millisecond away.
const WITHIN: Duration = Duration::from_secs(3);
/// Between two attempts to reach one that does not answer: at first, doubled up to the last.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];
/// A connection that held for so long was a good one: the next attempt is at once.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// Longest answer, bytes; a real one has some hundred.
const LONGEST: usize = 64 << 10;
/// Longest explanation that is kept, characters.
const LONGEST_REASON: usize = 160;

/// Asks for ever. Readings for which there is no room are dropped: the next one says it all again.
pub(in crate::telemetry) async fn watch(dish: DishId, readings: mpsc::Sender<Reading>) {
    let [first, last] = RETRY;
    let mut pause = first;
    loop {
        let begin = clock::now();
        let because = match Connection::open(&dish).await {
            Ok(connection) => ask(connection, &dish, &readings).await,
            Err(because) => because,
        };
        let because = because.chars().take(LONGEST_REASON).collect();
        let _ = readings.try_send(Reading::Dish(dish.clone(), DishState::Silent { because }));
        if clock::now().saturating_duration_since(begin) >= GOOD_AFTER {
            pause = first;
        }
        sleep(pause).await;
        pause = (pause * 2).min(last);
    }
}

/// Until it does not answer; gives why.
async fn ask(mut connection: Connection, dish: &DishId, readings: &mpsc::Sender<Reading>) -> String {
    let mut tick = interval(ASK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match timeout(WITHIN, connection.status()).await {
            Ok(Ok(status)) => {
                let state = DishState::Answers(protocol::figures(&status));
                let _ = readings.try_send(Reading::Dish(dish.clone(), state));
            }
            Ok(Err(because)) => return because,
            Err(_) => return format!("no answer within {} s", WITHIN.as_secs()),
        }
    }
}

/// A connection to a dish. Ends when it is dropped.
struct Connection {
    grpc: Grpc<Http2>,
    /// Moves its bytes.
    _mover: JoinSet<()>,
}

impl Connection {
    async fn open(dish: &DishId) -> Result<Self, String> {
        let connected = timeout(WITHIN, connect(dish)).await;
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|e| e.to_string())?;
        let builder = {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_header_list_size(16 << 10);
            builder
        };
        let shaken = timeout(WITHIN, builder.handshake(TokioIo::new(stream))).await;
        let (sender, connection) = shaken.map_err(|_| "no HTTP/2")?.map_err(|e| e.to_string())?;
        let mut mover = JoinSet::new();
        mover.spawn(async {
            // How it ended is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        let origin = format!("http://{}", dish.address).parse().map_err(|_| "not an address")?;
        let grpc = Grpc::with_origin(Http2(sender), origin).max_decoding_message_size(LONGEST);
        Ok(Self { grpc, _mover: mover })
    }

    async fn status(&mut self) -> Result<Status, String> {
        let refused = |status: tonic::Status| format!("{} ({})", status.message(), status.code());
        let ended = "the connection has ended: it has closed it, or does not speak HTTP/2";
        self.grpc.ready().await.map_err(|_| ended)?;
        let request = tonic::Request::new(Request { get_status: Some(GetStatus {}) });
        let path = hyper::http::uri::PathAndQuery::from_static(PATH);
        let codec = ProstCodec::<Request, Response>::default();
        let answer = self.grpc.unary(request, path, codec).await.map_err(refused)?;
        answer.into_inner().status.ok_or_else(|| "it answers, but not as a dish does".to_owned())
    }
}

async fn connect(dish: &DishId) -> io::Result<tokio::net::TcpStream> {
    let socket = if dish.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(interface) = &dish.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    let stream = socket.connect(dish.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One HTTP/2 connection as what gRPC goes over.
struct Http2(SendRequest<Body>);

impl GrpcService<Body> for Http2 {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<hyper::Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
