//! Reads what interfaces have carried, once a second, on a thread of its own: the kernel may keep whoever asks about one
//! waiting while it sets up another.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use futures_util::{TryStreamExt, pin_mut};
use jiff::tz::TimeZone;
use netlink_packet_route::link::LinkAttribute;
use rtnetlink::new_connection;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ledger::Reading;
use crate::clock;
use crate::model::InterfaceName;

/// How often they are read.
pub(super) const READ_EVERY: Duration = Duration::from_secs(1);
/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers waiting to be heard. The next one says what one that does not fit would have said.
const ANSWERS: usize = 4;

/// What the counters say, or why nobody knows.
pub(super) type Answer = Result<Look, String>;

/// What was seen at one moment.
#[derive(Debug)]
pub(super) struct Look {
    /// What the counters say of those interfaces that are there.
    pub(super) there: BTreeMap<InterfaceName, Reading>,
    /// Where the box is. Looked up here, since that may take a disk.
    pub(super) zone: TimeZone,
}

/// Reads the counters of the interfaces of these names, in the network namespace of the calling thread, until nobody wants
/// to hear of them.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn read(names: watch::Receiver<BTreeSet<InterfaceName>>) -> io::Result<mpsc::Receiver<Answer>> {
    let (answers, heard) = mpsc::channel(ANSWERS);
    std::thread::Builder::new().name("link-counters".into()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            tokio::select! {
                () = keep_reading(names, &answers) => {}
                () = answers.closed() => {}
            }
        });
    })?;
    Ok(heard)
}

async fn keep_reading(mut names: watch::Receiver<BTreeSet<InterfaceName>>, answers: &mpsc::Sender<Answer>) {
    let mut tick = clock::in_step(READ_EVERY);
    let mut netlink = None;
    loop {
        if names.borrow_and_update().is_empty() {
            netlink = None;
            if names.changed().await.is_err() {
                return;
            }
            continue;
        }
        let wanted = names.borrow().clone();
        let answer = ask(&mut netlink, &wanted).await;
        if answer.is_err() {
            netlink = None;
        }
        let _ = answers.try_send(answer);
        tokio::select! {
            _ = tick.tick() => {}
            changed = names.changed() => if changed.is_err() { return },
        }
    }
}

/// A socket that asks. It ends with this.
struct Netlink {
    handle: rtnetlink::Handle,
    _connection: JoinSet<()>,
}

async fn ask(netlink: &mut Option<Netlink>, names: &BTreeSet<InterfaceName>) -> Answer {
    let netlink = match netlink {
        Some(netlink) => netlink,
        None => {
            let (asking, handle, _) = new_connection().map_err(|e| e.to_string())?;
            let mut connection = JoinSet::new();
            connection.spawn(asking);
            netlink.insert(Netlink { handle, _connection: connection })
        }
    };
    let mut there = BTreeMap::new();
    for name in names {
        let reading = timeout(PATIENCE, one(&netlink.handle, name));
        match reading.await.map_err(|_| "the kernel does not answer".to_owned())? {
            Ok(Some(reading)) => drop(there.insert(name.clone(), reading)),
            Ok(None) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(Look { there, zone: TimeZone::system() })
}

/// `None` if there is no such interface.
async fn one(handle: &rtnetlink::Handle, name: &InterfaceName) -> Result<Option<Reading>, rtnetlink::Error> {
    let found = handle.link().get().match_name(name.to_string()).execute();
    pin_mut!(found);
    let message = match found.try_next().await {
        Ok(Some(message)) => message,
        Ok(None) => return Ok(None),
        Err(rtnetlink::Error::NetlinkError(e)) if e.raw_code() == -libc::ENODEV => return Ok(None),
        Err(e) => return Err(e),
    };
    let at = clock::media();
    Ok(message.attributes.iter().find_map(|attribute| {
        let LinkAttribute::Stats64(stats) = attribute else { return None };
        Some(Reading { index: message.header.index, received: stats.rx_bytes, sent: stats.tx_bytes, at })
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_loopback_carries_is_seen_and_what_is_not_there_is_not() {
        let (lo, none) = (InterfaceName::new("lo").unwrap(), InterfaceName::new("hf-absent0").unwrap());
        let (_keep, names) = watch::channel(BTreeSet::from([lo.clone(), none]));
        let mut answers = read(names).unwrap();
        let first = answers.recv().await.unwrap().unwrap().there;
        assert_eq!(first.keys().collect::<Vec<_>>(), [&lo]);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut last = first[&lo];
        let begun = last;
        while last.received < begun.received + 10_000 || last.sent < begun.sent + 10_000 {
            socket.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
            if let Ok(answer) = answers.try_recv() {
                last = answer.unwrap().there[&lo];
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(last.index, begun.index);
    }
}
