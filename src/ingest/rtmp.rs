//! An RTMP server for one publisher.
//!
//! [`crate::rtmp::server`] is what is said in a session, `place` who may publish; here are only sockets and waiting.
//!
//! ```text
//!   socket ══► Connection (a task each, at most eight) ──Said──► serve ──Arrival──► whoever takes the input
//!                    ▲                                            │ └────Remark──► people
//!                    └──────────────── Order ─────────────────────┘
//! ```
//!
//! Who gives wrong keys is slowed down by `brake`. Its verdict is passed when somebody connects, so that at most as many keys as
//! there are connections are looked at before it holds.
//!
//! All that arrives goes through one task, so that one publisher's end comes before the next one's beginning, whatever their
//! connections do. A taker that does not keep up makes it wait, and with it, over TCP, the publisher.

mod brake;
mod connection;
mod listen;
mod place;
mod remark;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use self::brake::Brake;
use self::connection::Connection;
use self::place::{Guest, Place, Verdict};
use self::remark::Remarks;
use super::arrival::Arrival;
use crate::clock;
use crate::config::RtmpInput;
use crate::model::{InputId, RenditionId};
use crate::mux::flv::read::Source;
use crate::rtmp::server::{Denial, End, Gate, Server};

pub use self::listen::take;
pub use self::remark::{Matter, Remark};

/// Words on their way from all connections; who says more waits.
const WORDS: usize = 64;
/// Orders on their way to a connection: it gets an answer, and later perhaps is displaced.
const ORDERS: usize = 4;
/// After the system would not give us a connection, for want of descriptors or memory.
const RECOVER: Duration = Duration::from_millis(100);

/// What a connection says.
struct Said {
    guest: Guest,
    from: SocketAddr,
    word: Word,
}

enum Word {
    Asks,
    Publishing { encoder: Option<String> },
    Arrival(Arrival),
    Matter(Matter),
    Ended(End),
}

/// What a connection is told.
enum Order {
    Accept,
    Refuse(Denial),
    Displace,
}

/// Nobody takes what arrives.
struct Unwanted;

/// The input, and those connected to it.
struct Host<F> {
    source: Source,
    gate: Gate,
    random: fastrand::Rng,
    place: Place,
    brake: Brake,
    /// The one whose `Began` was passed on, and whose `Ended` was not.
    begun: Option<Guest>,
    connections: BTreeMap<Guest, Handle>,
    tasks: JoinSet<()>,
    words: mpsc::Sender<Said>,
    out: mpsc::Sender<Arrival>,
    remarks: Remarks,
    tell: F,
}

struct Handle {
    from: SocketAddr,
    orders: mpsc::Sender<Order>,
    task: AbortHandle,
}

/// Takes publishers on `listener`, one at a time, until nobody takes their arrivals. `tell` hears who was not let in, and
/// what of a publisher is left out; each kind of that at most once a second. Runs on a `LocalSet`.
pub async fn serve(
    listener: TcpListener,
    input: InputId,
    settings: RtmpInput,
    out: mpsc::Sender<Arrival>,
    tell: impl FnMut(Remark),
) {
    // Neither guesses nor answers hang on how random this is.
    let mut random = fastrand::Rng::with_seed(clock::media().0.unsigned_abs());
    let (words, mut inbox) = mpsc::channel(WORDS);
    let Ok(rendition) = RenditionId::new("source") else { return };
    let mut host = Host {
        source: Source { input, rendition },
        gate: Gate::new(&settings, &mut random),
        random,
        place: Place::default(),
        brake: Brake::default(),
        begun: None,
        connections: BTreeMap::new(),
        tasks: JoinSet::new(),
        words,
        out,
        remarks: Remarks::default(),
        tell,
    };
    let mut next = 0;
    loop {
        tokio::select! {
            biased;
            () = host.out.closed() => return,
            // `host` holds a sender of its own, so there is always a next one.
            Some(said) = inbox.recv() => {
                if host.hear(said).await.is_err() {
                    return;
                }
            }
            Some(_) = host.tasks.join_next() => {
                if host.clear_up().await.is_err() {
                    return;
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    next += 1;
                    host.receive(Guest(next), stream, from);
                }
                Err(_) => sleep(RECOVER).await,
            },
        }
    }
}

impl<F: FnMut(Remark)> Host<F> {
    fn receive(&mut self, guest: Guest, stream: TcpStream, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if let Some(goes) = self.place.enter(guest)
            && let Some(handle) = self.connections.remove(&goes)
        {
            handle.task.abort();
            self.remark(handle.from, Matter::Denied(Denial::Crowded));
        }
        // Answers are short, and waited for. It fails only on a socket that is gone already.
        let _ = stream.set_nodelay(true);
        let (orders, inbox) = mpsc::channel(ORDERS);
        let now = clock::now();
        let gate = match self.brake.pause(from.ip(), now) {
            Some(pause) => self.gate.clone().shut(pause),
            None => self.gate.clone(),
        };
        let session = Server::new(gate, self.source.clone(), self.random.fork(), now);
        let connection = Connection { guest, from, stream, session, orders: inbox, host: self.words.clone() };
        let task = self.tasks.spawn_local(connection.run());
        self.connections.insert(guest, Handle { from, orders, task });
    }

    /// Forgets connections that have ended. What they said is through: the inbox comes first.
    async fn clear_up(&mut self) -> Result<(), Unwanted> {
        let gone: Vec<Guest> =
            self.connections.iter().filter(|(_, handle)| handle.task.is_finished()).map(|(guest, _)| *guest).collect();
        for guest in gone {
            self.connections.remove(&guest);
            self.place.leave(guest);
            self.end(guest, &End::Closed("the connection was given up")).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, said: Said) -> Result<(), Unwanted> {
        let Said { guest, from, word } = said;
        let now = clock::now();
        match word {
            Word::Asks if self.connections.contains_key(&guest) => {
                self.brake.right(from.ip());
                match self.place.ask(guest, now) {
                    Verdict::Free => self.order(guest, Order::Accept),
                    Verdict::InsteadOf(other) => {
                        self.order(other, Order::Displace);
                        self.end(other, &End::Displaced).await?;
                        self.order(guest, Order::Accept);
                    }
                    Verdict::Taken => self.order(guest, Order::Refuse(Denial::Taken)),
                }
            }
            Word::Publishing { encoder } if self.place.is_live(guest) => {
                self.place.hear(guest, now);
                self.begun = Some(guest);
                let from = encoder.map_or_else(|| from.to_string(), |encoder| format!("{from}, {encoder}"));
                self.pass_on(Arrival::Began { from }).await?;
            }
            Word::Arrival(arrival) if self.begun == Some(guest) => {
                let is_silence = matches!(&arrival, Arrival::Network(network) if network.bytes == 0);
                if !is_silence {
                    self.place.hear(guest, now);
                }
                self.pass_on(arrival).await?;
            }
            // Of one that was hung up on or displaced, or does not publish.
            Word::Asks | Word::Publishing { .. } | Word::Arrival(_) => {}
            Word::Matter(matter) => {
                if matter == Matter::Denied(Denial::WrongKey) {
                    self.brake.wrong(from.ip(), now);
                }
                self.remark(from, matter);
            }
            Word::Ended(end) => {
                self.place.vacate(guest);
                self.end(guest, &end).await?;
            }
        }
        Ok(())
    }

    async fn end(&mut self, guest: Guest, end: &End) -> Result<(), Unwanted> {
        if self.begun == Some(guest) {
            self.begun = None;
            self.pass_on(Arrival::Ended { why: end.to_string() }).await?;
        }
        Ok(())
    }

    async fn pass_on(&self, arrival: Arrival) -> Result<(), Unwanted> {
        self.out.send(arrival).await.map_err(|_| Unwanted)
    }

    fn order(&self, guest: Guest, order: Order) {
        if let Some(handle) = self.connections.get(&guest) {
            // One that is gone, or has more orders than it can be given, has ended.
            let _ = handle.orders.try_send(order);
        }
    }

    fn remark(&mut self, from: SocketAddr, matter: Matter) {
        if let Some(remark) = self.remarks.count(from, matter, clock::now()) {
            (self.tell)(remark);
        }
    }
}
