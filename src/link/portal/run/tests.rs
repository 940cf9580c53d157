//! Against a real server on loopback, which plays the page, the portal and worse.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::*;
use crate::link::unknown;

/// Longer than loopback takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

fn page(port: u16, expect: Option<&str>) -> PortalCheck {
    let (host, path) = ("check.test".to_owned(), "/generate_204?x=1".to_owned());
    PortalCheck { host, port, path, expect: expect.map(str::to_owned) }
}

/// Answers each connection with what `answer` holds at that time, and hands out what it was asked.
async fn server(answer: watch::Receiver<Vec<u8>>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, questions) = mpsc::channel(64);
    tokio::task::spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                    break;
                }
                question.push(byte[0]);
            }
            let _ = asked.try_send(String::from_utf8_lossy(&question).into_owned());
            let bytes = answer.borrow().clone();
            let _ = stream.write_all(&bytes).await;
        }
    });
    (address, questions)
}

const CLEAR: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
const LOGIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<html>Welcome!</html>";
const ELSEWHERE: &[u8] = b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/login\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn each_answer_has_its_verdict_and_trouble_has_none() {
    let local = LocalSet::new();
    let test = async {
        let (set, answer) = watch::channel(Vec::new());
        let (address, mut questions) = server(answer).await;
        let endless = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'x'; 1 << 20]].concat();
        let heads = [&b"HTTP/1.1 204 No Content\r\n"[..], &b"X: y\r\n".repeat(5000), b"\r\n"].concat();
        for (bytes, expect, means) in [
            (CLEAR, None, Some(Portal::Clear)),
            (LOGIN, None, Some(Portal::Captive)),
            (LOGIN, Some("<html>Welcome!"), Some(Portal::Clear)),
            (LOGIN, Some("it is online"), Some(Portal::Captive)),
            (ELSEWHERE, None, Some(Portal::Captive)),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", None, Some(Portal::Clear)),
            (b"HTTP/1.0 200 OK\r\n\r\nlogin", None, Some(Portal::Captive)),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nlogin\r\n0\r\n\r\n",
                None,
                Some(Portal::Captive),
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<html>", Some("<html>Welcome!"), None),
            (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", None, None),
            (b"SSH-2.0-OpenSSH_9.2\r\n", None, None),
            (b"", None, None),
            (&endless, None, Some(Portal::Captive)),
            (&heads, None, None),
        ] {
            set.send_replace(bytes.to_vec());
            let found = timeout(PATIENCE, check("lo", &page(address.port(), expect), &[address])).await.unwrap();
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            assert_eq!(found, means, "{shown:?}");
        }
        let question = questions.recv().await.unwrap();
        assert!(question.starts_with("GET /generate_204?x=1 HTTP/1.1\r\n"), "{question}");
        assert!(question.to_lowercase().contains(&format!("host: check.test:{}\r\n", address.port())), "{question}");
    };
    local.run_until(test).await;
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_followed_by_the_next_and_none_is_no_verdict() {
    let local = LocalSet::new();
    let test = async {
        let (_set, answer) = watch::channel(CLEAR.to_vec());
        let (address, _questions) = server(answer).await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let page = page(address.port(), None);
        assert_eq!(check("lo", &page, &[closed, address]).await, Some(Portal::Clear));
        assert_eq!(check("lo", &page, &[closed]).await, None);
        assert_eq!(check("lo", &page, &[]).await, None);
        assert_eq!(check("nowhere0", &page, &[address]).await, None, "over no other interface");
    };
    local.run_until(test).await;
}

#[tokio::test]
async fn a_link_is_checked_at_once_and_whenever_the_page_is_another() {
    let local = LocalSet::new();
    let test = async {
        let (set, answer) = watch::channel(LOGIN.to_vec());
        let (address, _questions) = server(answer).await;
        let (observations, mut seen) = mpsc::channel(8);
        let (pages, wanted) = watch::channel(Some(page(address.port(), None)));
        let lookup: Lookup = Rc::new(move |host, _| {
            Box::pin(async move { if host == "check.test" { vec![address] } else { Vec::new() } })
        });
        let link = Arc::from("lo");
        let observations = Outlet::new(observations, |what| what);
        let assignment = CheckAssignment { link, check: wanted, links: unknown(), lookup, observations };
        let running = tokio::task::spawn_local(run(assignment));
        let what = timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
        assert_eq!(what, Observation::Portal(Portal::Captive));
        set.send_replace(CLEAR.to_vec());
        pages.send_replace(Some(PortalCheck { path: "/other".to_owned(), ..page(address.port(), None) }));
        let what = timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
        assert_eq!(what, Observation::Portal(Portal::Clear));
        pages.send_replace(None);
        drop(seen);
        timeout(PATIENCE, running).await.unwrap().unwrap();
    };
    local.run_until(test).await;
}
