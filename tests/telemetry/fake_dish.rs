//! A dish: a gRPC server of `SpaceX.API.Device.Device/Handle` on loopback, in a thread of its own. The messages are written
//! here once more, wider than Holdfast's, so that both would have to be wrong in the same way.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Context, Poll, Service, http};
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// How the dish is.
#[derive(Clone, Debug)]
pub enum Mood {
    /// It answers with this.
    Says(DishStatus),
    /// It refuses every request.
    Refuses,
    /// It answers as a Starlink router does.
    IsARouter,
    /// It takes requests and never answers.
    Sleeps,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DishRequest {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(oneof = "Wanted", tags = "1004, 1007")]
    pub wanted: Option<Wanted>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Wanted {
    #[prost(message, tag = "1004")]
    Status(Empty),
    #[prost(message, tag = "1007")]
    History(Empty),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DishResponse {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, tag = "3")]
    pub api_version: u64,
    #[prost(oneof = "Answer", tags = "2004, 3004")]
    pub answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Answer {
    #[prost(message, tag = "2004")]
    Dish(Box<DishStatus>),
    #[prost(message, tag = "3004")]
    Router(Empty),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DishStatus {
    #[prost(message, optional, tag = "1")]
    pub device: Option<Device>,
    #[prost(float, tag = "1002")]
    pub first_slot: f32,
    #[prost(float, tag = "1003")]
    pub drop_rate: f32,
    #[prost(message, optional, tag = "1004")]
    pub obstruction: Option<Obstruction>,
    #[prost(message, optional, tag = "1005")]
    pub alerts: Option<Alerts>,
    #[prost(float, tag = "1007")]
    pub down: f32,
    #[prost(float, tag = "1008")]
    pub up: f32,
    #[prost(float, tag = "1009")]
    pub latency: f32,
    #[prost(float, tag = "1011")]
    pub azimuth: f32,
    #[prost(message, optional, tag = "1014")]
    pub outage: Option<Outage>,
    #[prost(int32, tag = "1016")]
    pub ethernet: i32,
    #[prost(bool, tag = "1018")]
    pub above_noise: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Device {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "3")]
    pub software: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Obstruction {
    #[prost(float, tag = "1")]
    pub fraction: f32,
    #[prost(float, tag = "4")]
    pub valid_for: f32,
    #[prost(bool, tag = "5")]
    pub now: bool,
    #[prost(float, tag = "9")]
    pub time: f32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Outage {
    #[prost(int32, tag = "1")]
    pub cause: i32,
    #[prost(int64, tag = "2")]
    pub start: i64,
    #[prost(uint64, tag = "3")]
    pub duration: u64,
    #[prost(bool, tag = "4")]
    pub did_switch: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Alerts {
    #[prost(bool, tag = "3")]
    pub thermal_throttle: bool,
    #[prost(bool, tag = "6")]
    pub slow_ethernet: bool,
    #[prost(bool, tag = "9")]
    pub is_heating: bool,
}

/// A dish under a clear sky.
pub fn clear_sky() -> DishStatus {
    DishStatus {
        device: Some(Device { id: "ut01000000-00000000-00000000".into(), software: "2026.10.1".into() }),
        obstruction: Some(Obstruction { fraction: 0.003, valid_for: 40_000.0, now: false, time: 0.002 }),
        down: 123_000_000.0,
        up: 15_000_000.0,
        latency: 34.2,
        azimuth: -3.5,
        ethernet: 1000,
        above_noise: true,
        ..DishStatus::default()
    }
}

/// Ends, with all its connections, when it is dropped.
pub struct FakeDish {
    pub address: SocketAddr,
    mood: watch::Sender<Mood>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeDish {
    /// At `address`; port 0 for any.
    pub fn start(address: SocketAddr, mood: Mood) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap_or_else(|e| panic!("{address}: {e}"));
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, seen) = watch::channel(mood);
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
                let serving = Server::builder().serve_with_incoming(Endpoint { mood: seen }, incoming);
                tokio::select! {
                    served = serving => served.unwrap(),
                    _ = ended => {}
                }
            });
        });
        Self { address, mood, end: Some(end), thread: Some(thread) }
    }

    pub fn turns(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub fn says(&self, change: impl FnOnce(&mut DishStatus)) {
        let mut status = clear_sky();
        change(&mut status);
        self.turns(Mood::Says(status));
    }
}

impl Drop for FakeDish {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The service: by path, as gRPC has it.
#[derive(Clone)]
struct Endpoint {
    mood: watch::Receiver<Mood>,
}

impl Service<http::Request<Body>> for Endpoint {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handle = Handle { mood: self.mood.clone() };
        Box::pin(async move {
            if request.uri().path() != "/SpaceX.API.Device.Device/Handle" {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let codec = ProstCodec::<DishResponse, DishRequest>::default();
            Ok(tonic::server::Grpc::new(codec).unary(handle, request).await)
        })
    }
}

struct Handle {
    mood: watch::Receiver<Mood>,
}

impl Service<Request<DishRequest>> for Handle {
    type Response = Response<DishResponse>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<DishRequest>) -> Self::Future {
        let mood = self.mood.borrow().clone();
        Box::pin(async move {
            let request = request.into_inner();
            if !matches!(request.wanted, Some(Wanted::Status(_))) {
                return Err(Status::invalid_argument("only get_status is known here"));
            }
            let answer = match mood {
                Mood::Says(status) => Answer::Dish(Box::new(status)),
                Mood::IsARouter => Answer::Router(Empty {}),
                Mood::Refuses => return Err(Status::permission_denied("not for you")),
                Mood::Sleeps => std::future::pending().await,
            };
            Ok(Response::new(DishResponse { id: request.id, api_version: 30, answer: Some(answer) }))
        })
    }
}
