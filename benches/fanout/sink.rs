//! The far ends: one process that accepts any number of RTMP publishers and counts their bytes. It answers what a
//! publisher must hear (RTMP 1.0 §5.2, §7.2) and looks at nothing after that, so as to take as little of the machine as
//! it can.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the sink asks for; FFmpeg answers with the same. Large, which is kindest to both.
pub const CHUNK_SIZE: u32 = 65_536;

/// The sink as the bench holds it.
#[derive(Debug)]
pub struct Sink {
    child: Child,
    output: BufReader<ChildStdout>,
    pub port: u16,
}

impl Sink {
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("we run"))
            .arg("--sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("we can be run again");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the sink says its port");
        Self { child, output, port: line.trim().parse().expect("a port") }
    }

    /// Bytes of each connection so far.
    pub fn counts(&mut self) -> Vec<u64> {
        use std::io::Write;
        self.child.stdin.as_mut().expect("piped").write_all(b"\n").expect("the sink runs");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the sink answers");
        line.split_whitespace().map(|n| n.parse().expect("a number")).collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sink process. A line on its input asks for the counts; its end ends it.
pub fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        println!("{}", listener.local_addr().expect("bound").port());
        let counts = Rc::new(RefCell::new(Vec::<u64>::new()));
        let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for _ in std::io::stdin().lock().lines() {
                let _ = ask.send(());
            }
        });
        loop {
            tokio::select! {
                Ok((socket, _)) = listener.accept() => {
                    let mine = counts.borrow().len();
                    counts.borrow_mut().push(0);
                    tokio::task::spawn_local(serve(socket, mine, counts.clone()));
                }
                question = asked.recv() => match question {
                    Some(()) => println!("{}", counts.borrow().iter().map(u64::to_string).collect::<Vec<_>>().join(" ")),
                    None => return,
                },
            }
        }
    });
}

async fn serve(mut socket: TcpStream, mine: usize, counts: Rc<RefCell<Vec<u64>>>) {
    let _ = talk(&mut socket).await;
    let mut waste = vec![0; 256 << 10];
    while let Ok(n @ 1..) = socket.read(&mut waste).await {
        counts.borrow_mut()[mine] += n as u64;
    }
}

/// Handshake and answers until the publisher is told to start.
async fn talk(socket: &mut TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut c0c1 = [0; 1537];
    socket.read_exact(&mut c0c1).await?;
    let mut answer = vec![3];
    answer.extend([0; 1536]);
    answer.extend(&c0c1[1..]);
    socket.write_all(&answer).await?;
    let mut c2 = [0; 1536];
    socket.read_exact(&mut c2).await?;

    let mut heard = Vec::new();
    let mut looked_at = 0;
    loop {
        socket.read_buf(&mut heard).await?;
        while let Some((end, name, transaction)) = commands(&heard[looked_at..]) {
            let reply = match name {
                Name::Connect => {
                    [message(2, 1, 0, &CHUNK_SIZE.to_be_bytes()), result(transaction, &connected())].concat()
                }
                Name::CreateStream => result(transaction, &[&[5][..], &number(1.0)].concat()),
                Name::Publish => status("NetStream.Publish.Start"),
            };
            socket.write_all(&reply).await?;
            if matches!(name, Name::Publish) {
                return Ok(());
            }
            looked_at += end;
        }
    }
}

#[derive(Clone, Copy)]
enum Name {
    Connect,
    CreateStream,
    Publish,
}

/// The first command that matters, with its transaction number and where its fixed part ends. Commands begin with an
/// AMF0 string and a number; publishers put them at the start of a chunk, so they are never cut.
fn commands(heard: &[u8]) -> Option<(usize, Name, f64)> {
    let mut first: Option<(usize, Name, f64)> = None;
    for (text, name) in [("connect", Name::Connect), ("createStream", Name::CreateStream), ("publish", Name::Publish)] {
        let mut pattern = vec![2, 0, text.len() as u8];
        pattern.extend(text.as_bytes());
        pattern.push(0);
        if let Some(at) = heard.windows(pattern.len()).position(|w| w == pattern) {
            let end = at + pattern.len() + 8;
            if let Some(bits) = heard.get(end - 8..end)
                && first.is_none_or(|(earlier, ..)| end < earlier)
            {
                first = Some((end, name, f64::from_be_bytes(bits.try_into().expect("eight bytes"))));
            }
        }
    }
    first
}

fn message(chunk_stream: u8, kind: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![chunk_stream, 0, 0, 0];
    out.extend(&(body.len() as u32).to_be_bytes()[1..]);
    out.push(kind);
    out.extend(stream.to_le_bytes());
    // Ours stay below 128 bytes, the chunk size before any is set.
    assert!(body.len() <= 128);
    out.extend(body);
    out
}

fn string(text: &str) -> Vec<u8> {
    let mut out = vec![2, 0, text.len() as u8];
    out.extend(text.as_bytes());
    out
}

fn number(value: f64) -> Vec<u8> {
    let mut out = vec![0];
    out.extend(value.to_be_bytes());
    out
}

fn property(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &string(value)].concat()
}

fn connected() -> Vec<u8> {
    [&[5, 3][..], &property("code", "NetConnection.Connect.Success"), &property("level", "status"), &[0, 0, 9]].concat()
}

fn result(transaction: f64, rest: &[u8]) -> Vec<u8> {
    message(3, 20, 0, &[&string("_result"), &number(transaction), rest].concat())
}

fn status(code: &str) -> Vec<u8> {
    let info = [&[3][..], &property("level", "status"), &property("code", code), &[0, 0, 9]].concat();
    message(5, 20, 1, &[&string("onStatus")[..], &number(0.0), &[5], &info].concat())
}
