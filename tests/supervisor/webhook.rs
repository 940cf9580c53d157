//! The far end of a webhook: one HTTP request after the other.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use crate::bench::PATIENCE;

/// Part of the address, as chat services have it.
pub const TOKEN: &str = "T0KEN-that-nobody-may-see";

pub struct Webhook {
    port: u16,
    posts: mpsc::Receiver<serde_json::Value>,
}

impl Webhook {
    pub fn start() -> Self {
        Self::answering("204 No Content")
    }

    /// One whose address was withdrawn.
    pub fn refusing() -> Self {
        Self::answering("404 Not Found")
    }

    fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, posts) = mpsc::sync_channel(100);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                while let Some(body) = request(&mut reader) {
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                    if reader.get_mut().write_all(answer.as_bytes()).is_err() || sender.send(body).is_err() {
                        break;
                    }
                }
            }
        });
        Self { port, posts }
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/{TOKEN}", self.port)
    }

    pub fn next(&self) -> serde_json::Value {
        self.posts.recv_timeout(PATIENCE).expect("a post to the webhook")
    }
}

fn request(reader: &mut impl BufRead) -> Option<serde_json::Value> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
