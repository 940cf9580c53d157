//! Names looked up out of a given interface, with the name servers of that interface.
//!
//! ```text
//!   resolve(interface, name) ──► cache (pure): the last good answer, at once
//!                                   │ none, or not fresh
//!                                   ▼
//!   lease, router, resolv.conf ─► servers (pure) ─► dns: UDP and TCP bound to the interface (SO_BINDTODEVICE)
//! ```
//!
//! The system's own look-up asks over whatever interface the routing table prefers, and so fails together with that one
//! whoever wants to know. Here each interface asks its own servers and remembers its own answers: a content network gives
//! each of them others, the nearest. With the preferred interface black, the system's look-up failed after 1.6 s while that
//! of another interface took 65 ms.
//!
//! Where the servers of an interface say nothing, what another interface was told is better than nothing: the same service
//! is there, though perhaps not its nearest machine.
//!
//! *Invariant:* no question leaves by another interface, and who has been answered once does not wait again.

mod cache;
mod dns;
mod find;
mod servers;
mod service;

use std::cell::RefCell;
use std::future::Future;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use self::cache::Cache;
use crate::clock;

pub use self::find::{Wanted, find_by_system};
pub use self::servers::{Source, servers};
use self::service::Offer;

/// How long a look-up may take altogether.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(6);
/// After this time an answer that another interface was given will do.
const BORROWS_AFTER: Duration = Duration::from_millis(700);
/// Bytes of a file with servers that are looked at.
const MOST_BYTES: u64 = 64 << 10;

/// Finds out where a name is: host and port to addresses, none if that fails.
pub type Lookup = Rc<dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = Vec<SocketAddr>>>>>;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Nobody says whom to ask.
    #[error("{0} has no name server: neither its lease nor /etc/resolv.conf names one")]
    NoServers(String),
    /// A server says that there is no such name.
    #[error("the name server knows no such name")]
    NoSuchName,
    /// No server has answered, in the system's or hickory's words.
    #[error("no name server answers: {0}")]
    NoAnswer(String),
}

/// Where the files are that name servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// systemd-networkd's, with `links` and `leases` in it.
    pub networkd: PathBuf,
    /// systemd-resolved's, with one file for each interface.
    pub resolved: PathBuf,
    /// The system's.
    pub resolv_conf: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            networkd: "/run/systemd/netif".into(),
            resolved: "/run/systemd/resolve/netif".into(),
            resolv_conf: "/etc/resolv.conf".into(),
        }
    }
}

impl Places {
    /// The servers of an interface, by the kernel's number of it.
    pub fn servers_of(&self, index: u32) -> Vec<SocketAddr> {
        let index = index.to_string();
        let files = [
            (Source::Networkd, self.networkd.join("links").join(&index)),
            (Source::Networkd, self.networkd.join("leases").join(&index)),
            (Source::Resolved, self.resolved.join(&index)),
            (Source::ResolvConf, self.resolv_conf.clone()),
        ];
        let mut named = files.iter().map(|(source, path)| servers(*source, &read(path)));
        named.find(|servers| !servers.is_empty()).unwrap_or_default()
    }

    /// Those of the system, whatever the interface.
    pub fn servers_of_system(&self) -> Vec<SocketAddr> {
        servers(Source::ResolvConf, &read(&self.resolv_conf))
    }
}

/// What is there, or nothing.
fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        let _ = file.take(MOST_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Looks names up, and remembers. Shared by the tasks of one thread, inside a `LocalSet`.
#[derive(Clone, Debug)]
pub struct Resolver {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: Places,
    cache: RefCell<Cache<Vec<IpAddr>>>,
    /// Who offers which service; nobody is an answer too.
    services: RefCell<Cache<Vec<Offer>>>,
}

impl Resolver {
    /// Knows nothing yet.
    pub fn new(places: Places) -> Self {
        Self { shared: Rc::new(Shared { places, cache: RefCell::default(), services: RefCell::default() }) }
    }

    /// The addresses of `host` as `interface` is told them, with `port`. Waits only if there never was an answer; one that
    /// is not fresh is asked for again meanwhile. Where no server answers, those that another interface was told.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn resolve(&self, interface: &str, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        let with_port = |ips: Vec<IpAddr>| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let known = self.shared.cache.borrow_mut().want(interface, host, true, clock::now());
        // A task of its own: whoever asked may not wait for the end.
        let asking =
            known.ask.then(|| tokio::task::spawn_local(self.clone().ask(interface.to_owned(), host.to_owned())));
        match (known.answer, asking) {
            (Some(addresses), _) => Ok(with_port(addresses)),
            (None, Some(mut asking)) => {
                let ended = |_| Unresolved::NoAnswer("the program is ending".to_owned());
                let elsewhere = || self.shared.cache.borrow().elsewhere(interface, host, clock::now());
                let answer = match timeout(BORROWS_AFTER, &mut asking).await {
                    Ok(answer) => answer.map_err(ended)?,
                    Err(_) => match elsewhere() {
                        Some(addresses) => Ok(addresses),
                        None => asking.await.map_err(ended)?,
                    },
                };
                match answer {
                    Err(Unresolved::NoAnswer(why)) => elsewhere().ok_or(Unresolved::NoAnswer(why)).map(with_port),
                    answer => answer.map(with_port),
                }
            }
            // Whoever has nothing is always told to ask.
            (None, None) => Err(Unresolved::NoAnswer("nobody was asked".to_owned())),
        }
    }

    /// Has an answer ready for whoever will want one.
    pub fn prefetch(&self, interface: &str, host: &str) {
        if host.parse::<IpAddr>().is_err()
            && self.shared.cache.borrow_mut().want(interface, host, false, clock::now()).ask
        {
            tokio::task::spawn_local(self.clone().ask(interface.to_owned(), host.to_owned()));
        }
    }

    /// An interface is on another network than it was, or there again: all that was ever wanted of it is asked for again.
    pub fn network_changed(&self, interface: &str) {
        self.shared.cache.borrow_mut().doubt(interface, clock::now());
        let names = self.shared.cache.borrow().names(interface);
        for name in names {
            self.prefetch(interface, &name);
        }
        self.shared.services.borrow_mut().doubt(interface, clock::now());
    }

    /// As a function, for those who look up over one interface.
    pub fn lookup(&self, interface: Arc<str>) -> Lookup {
        let resolver = self.clone();
        Rc::new(move |host, port| {
            let (resolver, interface) = (resolver.clone(), interface.clone());
            Box::pin(async move { resolver.resolve(&interface, &host, port).await.unwrap_or_default() })
        })
    }

    /// None where it is not there, since nothing can be asked over it.
    fn servers_of(&self, interface: &str) -> Vec<SocketAddr> {
        nix::net::if_::if_nametoindex(interface).map_or(Vec::new(), |index| self.shared.places.servers_of(index))
    }

    async fn ask(self, interface: String, host: String) -> Result<Vec<IpAddr>, Unresolved> {
        let servers = self.servers_of(&interface);
        let answer = if servers.is_empty() {
            Err(Unresolved::NoServers(interface.clone()))
        } else {
            let late = |_| Unresolved::NoAnswer(format!("not within {} s", LOOKUP_TIMEOUT.as_secs()));
            timeout(LOOKUP_TIMEOUT, dns::ask(&interface, &servers, &host)).await.map_err(late).flatten()
        };
        let found = answer.as_ref().ok().filter(|addresses| !addresses.is_empty()).cloned();
        self.shared.cache.borrow_mut().done(&interface, &host, found, clock::now());
        answer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn the_first_file_that_names_a_server_wins() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let places = Places { networkd: at("netif"), resolved: at("resolved"), resolv_conf: at("resolv.conf") };
        let mut told = Vec::new();
        for (file, text) in [
            ("resolv.conf", "nameserver 127.0.0.53\nnameserver 192.0.2.4\n"),
            ("resolved/7", "SERVERS=192.0.2.3\n"),
            ("netif/leases/7", "DNS=192.0.2.2\n"),
            ("netif/links/7", "DNS=\n"),
            ("netif/links/7", "DNS=192.0.2.1\n"),
        ] {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), text).unwrap();
            told.push(places.servers_of(7).first().unwrap().to_string());
        }
        assert_eq!(told, ["192.0.2.4:53", "192.0.2.3:53", "192.0.2.2:53", "192.0.2.2:53", "192.0.2.1:53"]);
        assert_eq!(places.servers_of(8)[0].to_string(), "192.0.2.4:53", "another interface");
    }

    #[tokio::test]
    async fn an_address_is_never_asked_for_and_an_interface_that_is_not_there_says_so() {
        let local = tokio::task::LocalSet::new();
        let test = async {
            let dir = tempfile::tempdir().unwrap();
            let no = dir.path().join("no");
            let resolver = Resolver::new(Places { networkd: no.clone(), resolved: no.clone(), resolv_conf: no });
            let found = resolver.resolve("nowhere0", "2001:db8::1", 7).await;
            assert_eq!(found, Ok(vec!["[2001:db8::1]:7".parse().unwrap()]));
            let found = resolver.resolve("nowhere0", "name.example", 7).await;
            assert_eq!(found, Err(Unresolved::NoServers("nowhere0".to_owned())));
            assert_eq!(resolver.resolve("lo", "name.example", 7).await, Err(Unresolved::NoServers("lo".to_owned())));
        };
        local.run_until(test).await;
    }
}
