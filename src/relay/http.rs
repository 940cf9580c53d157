//! The status over HTTP: `GET /status` and `GET /metrics`, and nothing else.
//!
//! *Invariant:* whoever asks, and however slowly, the programmes notice nothing: answers are made of a snapshot that was
//! published before, connections are few and end soon.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::metrics;
use super::status::RelaySnapshot;

/// Connections at a time; others wait in the kernel.
const MOST_CONNECTIONS: usize = 16;
/// How long one may last: a request, its answer, and a few more.
const LONGEST: Duration = Duration::from_secs(30);
/// A listener that fails (no more file descriptors) is asked again after this time.
const AGAIN: Duration = Duration::from_millis(500);

/// Listens.
///
/// # Errors
/// In words.
pub(super) async fn listen(at: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(at).await.map_err(|e| format!("the status cannot be served at {at}: {e}"))
}

/// Answers until the runtime ends.
pub(super) async fn serve(listener: TcpListener, status: watch::Receiver<Arc<RelaySnapshot>>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let status = status.clone();
                tokio::task::spawn_local(async move {
                    let _place = place;
                    let answering = service_fn(move |request| {
                        let response = answer(&request, &status.borrow());
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answering);
                    // Whatever goes wrong, it is the asker's.
                    let _ = timeout(LONGEST, connection).await;
                });
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn answer(request: &Request<Incoming>, status: &RelaySnapshot) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let (code, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/status") => match serde_json::to_string_pretty(status) {
            Ok(json) => (StatusCode::OK, "application/json", json + "\n"),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the status cannot be written\n".to_owned()),
        },
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics::text(status))
        }
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, TEXT, "there are /status and /metrics\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "nothing can be changed here\n".to_owned()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if code == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
