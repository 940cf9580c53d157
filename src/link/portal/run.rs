//! The check of one link: a connection, a question, an answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::header::{ACCEPT, CACHE_CONTROL, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::verdict::{MOST_BODY, verdict};
use crate::link::health::{Observation, Portal};
use crate::link::resolve::Lookup;
use crate::link::{Knowledge, Link, Links, Outlet};
use crate::model::PortalCheck;

/// Between two checks. A judge believes one for a minute.
pub const CHECK_EVERY: Duration = Duration::from_secs(30);
/// After a check that says nothing, the next comes sooner.
const AGAIN: Duration = Duration::from_secs(5);
/// A link that has changed is left in peace for so long: its routes come after its addresses.
const SETTLES: Duration = Duration::from_millis(500);
/// How long a connection may take, to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a whole check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses that are tried.
const MOST_ADDRESSES: usize = 4;
/// Bytes of an answer's head, at most, and header lines in it.
const MOST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;

/// What is to be checked, and who is told.
pub struct CheckAssignment<T> {
    /// The interface, by the kernel's name.
    pub link: Arc<str>,
    /// The page; `None` for no check.
    pub check: watch::Receiver<Option<PortalCheck>>,
    /// What the kernel says of the interfaces.
    pub links: watch::Receiver<Arc<Links>>,
    /// How names are looked up.
    pub lookup: Lookup,
    /// Who is told. A verdict for which there is no room is lost: another follows.
    pub observations: Outlet<T>,
}

/// Checks one link until nobody wants to hear of it. On the current single-threaded runtime (inside a `LocalSet`).
pub async fn run<T>(assignment: CheckAssignment<T>) {
    let CheckAssignment { link, check: mut page, links, lookup, observations } = assignment;
    let mut links = Some(links);
    let mut may_change = true;
    loop {
        let before = links.as_mut().map(|links| ground(&link, &links.borrow_and_update()));
        let wanted = page.borrow_and_update().clone();
        let is_wanted = wanted.is_some();
        let checking = async {
            let Some(wanted) = wanted else { return AGAIN };
            let addresses = lookup(wanted.host.clone(), wanted.port).await;
            match check(&link, &wanted, &addresses).await {
                Some(portal) => {
                    let _ = observations.tell(Observation::Portal(portal));
                    CHECK_EVERY
                }
                None => AGAIN,
            }
        };
        let round = async {
            let wait = timeout(CHECK_TIMEOUT, checking).await.unwrap_or(AGAIN);
            if is_wanted {
                sleep(wait).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let other_ground = async {
            match &mut links {
                Some(links) => loop {
                    if links.changed().await.is_err() {
                        return false;
                    }
                    if before.as_ref() != Some(&ground(&link, &links.borrow_and_update())) {
                        sleep(SETTLES).await;
                        return true;
                    }
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = observations.closed() => return,
            changed = page.changed(), if may_change => may_change = changed.is_ok(),
            says_more = other_ground => if !says_more { links = None },
            () = round => {}
        }
    }
}

/// What an answer depends on: the interface, its addresses, where its routes lead.
fn ground(link: &str, links: &Links) -> (Knowledge, Option<Link>) {
    let link = links.named(link).map(|link| Link {
        // What changes all the time and says nothing here.
        carrier_changes: None,
        speed_mbit: None,
        since: crate::model::Media::ZERO,
        history: Vec::new(),
        ..link.clone()
    });
    (links.knowledge, link)
}

/// Asks once, over `link` and no other, the first of the page's addresses that takes the connection. `None` if there is no
/// verdict.
pub async fn check(link: &str, page: &PortalCheck, addresses: &[SocketAddr]) -> Option<Portal> {
    for address in addresses.iter().take(MOST_ADDRESSES) {
        if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, connect(link, *address)).await {
            return ask(stream, page).await;
        }
    }
    None
}

async fn connect(link: &str, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.bind_device(Some(link.as_bytes()))?;
    socket.connect(address).await
}

async fn ask(stream: TcpStream, page: &PortalCheck) -> Option<Portal> {
    let handshake =
        http1::Builder::new().max_buf_size(MOST_HEAD).max_headers(MOST_HEADERS).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.ok()?;
    let request = Request::get(page.path.as_str())
        .header(HOST, page.authority())
        .header(USER_AGENT, concat!("holdfast/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        // A page that somebody has kept says nothing about now.
        .header(CACHE_CONTROL, "no-cache")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answered = async {
        let mut response = sender.send_request(request).await.ok()?;
        let mut body = Vec::new();
        while body.len() < MOST_BODY
            && let Some(frame) = response.frame().await
        {
            // Half a page is not what was expected, and nobody's answer for it either.
            body.extend_from_slice(frame.ok()?.data_ref().map_or(&[][..], |data| data));
        }
        Some((response.status().as_u16(), body))
    };
    let mut answered = std::pin::pin!(answered);
    let mut connection = std::pin::pin!(connection);
    let (status, body) = tokio::select! {
        biased;
        answer = &mut answered => answer,
        // The answer may have come with the end.
        _ = &mut connection => answered.await,
    }?;
    verdict(status, &body, page.expect.as_deref())
}

#[cfg(test)]
mod tests;
