//! The page that portal checks ask for. To whoever comes over one uplink it plays the captive portal while it is told to.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use holdfast::clock;
use holdfast::model::Media;

const CLEAR: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
const LOGIN: &str =
    "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// Whoever says nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The page; it is served as long as this process runs.
#[derive(Debug)]
pub(super) struct Page {
    /// Where it is served.
    pub(super) port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_captive: AtomicBool,
    /// When it was asked for over the uplink, on the media clock; 0 for never.
    asked: AtomicI64,
}

impl Page {
    /// Serves it on the calling thread's network; `portal` are the addresses of the uplink whose portal it plays.
    pub(super) fn serve(portal: impl Fn(IpAddr) -> bool + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(("0.0.0.0", 0))?;
        let page = Self { port: listener.local_addr()?.port(), state: Arc::default() };
        let state = page.state.clone();
        std::thread::Builder::new().name("page".to_owned()).spawn(move || {
            while let Ok((stream, peer)) = listener.accept() {
                let _ = answer(&state, stream, portal(peer.ip()));
            }
        })?;
        Ok(page)
    }

    /// From here on a portal answers, or not any more.
    pub(super) fn set_captive(&self, is_captive: bool) {
        self.state.is_captive.store(is_captive, Ordering::Relaxed);
    }

    /// When it was last asked for over the uplink in question.
    pub(super) fn asked(&self) -> Option<Media> {
        let at = self.state.asked.load(Ordering::Relaxed);
        (at != 0).then_some(Media(at))
    }
}

fn answer(state: &State, mut stream: TcpStream, is_portals: bool) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let _ = stream.read(&mut [0; 4096])?;
    if is_portals {
        state.asked.store(clock::media().as_nanos(), Ordering::Relaxed);
    }
    let is_captive = is_portals && state.is_captive.load(Ordering::Relaxed);
    stream.write_all(if is_captive { LOGIN } else { CLEAR }.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ask(page: &Page) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", page.port)).unwrap();
        stream.write_all(b"GET /generate_204 HTTP/1.1\r\nHost: page\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_portal_answers_only_over_its_uplink_and_only_while_it_is_there() {
        let page = Page::serve(|_| true).unwrap();
        assert_eq!(page.asked(), None);
        assert!(ask(&page).starts_with("HTTP/1.1 204"));
        assert!(page.asked().is_some());
        page.set_captive(true);
        assert!(ask(&page).starts_with("HTTP/1.1 302"));
        page.set_captive(false);
        assert!(ask(&page).starts_with("HTTP/1.1 204"));

        let other = Page::serve(|_| false).unwrap();
        other.set_captive(true);
        assert!(ask(&other).starts_with("HTTP/1.1 204"));
        assert_eq!(other.asked(), None);
    }
}
