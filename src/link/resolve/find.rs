//! A server, or whoever stands in its place: SRV records (RFC 2782) before the name's own addresses.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::service::{Offer, in_order};
use super::{LOOKUP_TIMEOUT, Places, Resolver, Unresolved, dns};
use crate::clock;

/// How long whoever has an address waits to hear whether a service is offered elsewhere. Some routers' name servers throw
/// questions away that they do not know.
const SERVICE_WAIT: Duration = Duration::from_millis(500);

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// A name, or an address.
    pub host: &'a str,
    /// Where it listens, if nobody says otherwise.
    pub port: u16,
    /// Under which service others may stand in for it, such as `_rtmps._tcp`; `None` where the port is a chosen one.
    pub service: Option<&'static str>,
}

impl Wanted<'_> {
    /// The name whose SRV records count, if any do.
    fn service_name(&self) -> Option<String> {
        let service = self.service.filter(|_| self.host.parse::<IpAddr>().is_err())?;
        Some(format!("{service}.{}", self.host))
    }
}

impl Resolver {
    /// As [`Resolver::resolve`], for each machine that offers the service, the one to try first first; where none does, those
    /// of the host itself.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn find(&self, interface: &str, wanted: Wanted<'_>) -> Result<Vec<Vec<SocketAddr>>, Unresolved> {
        let own = self.resolve(interface, wanted.host, wanted.port);
        let Some(name) = wanted.service_name() else { return own.await.map(|addresses| vec![addresses]) };
        let services = self.services(interface, name);
        let (own, offers) = meet(own, services).await;
        let targets = in_order(offers, draw);
        let found = join_all(targets.iter().map(|offer| self.resolve(interface, &offer.target, offer.port))).await;
        or_own(found.into_iter().flatten().collect(), own)
    }

    /// Has answers ready for whoever will want them.
    pub fn prefetch_all(&self, interface: &str, wanted: Wanted<'_>) {
        self.prefetch(interface, wanted.host);
        if let Some(name) = wanted.service_name() {
            let known = self.shared.services.borrow_mut().want(interface, &name, false, clock::now());
            if known.ask {
                tokio::task::spawn_local(self.clone().ask_services(interface.to_owned(), name));
            }
            for offer in known.answer.unwrap_or_default() {
                self.prefetch(interface, &offer.target);
            }
        }
    }

    /// Nothing there could be connected to: it is to be asked for again, since it may have moved.
    pub fn unreachable(&self, interface: &str, wanted: Wanted<'_>) {
        let now = clock::now();
        self.shared.cache.borrow_mut().doubt_name(interface, wanted.host, now);
        if let Some(name) = wanted.service_name() {
            self.shared.services.borrow_mut().doubt_name(interface, &name, now);
        }
        self.prefetch_all(interface, wanted);
    }

    /// Who offers it, as far as that is known; whoever asks first waits.
    async fn services(&self, interface: &str, name: String) -> Vec<Offer> {
        let known = self.shared.services.borrow_mut().want(interface, &name, false, clock::now());
        let asking = known.ask.then(|| tokio::task::spawn_local(self.clone().ask_services(interface.to_owned(), name)));
        match (known.answer, asking) {
            (Some(offers), _) => offers,
            (None, Some(asking)) => asking.await.unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }

    async fn ask_services(self, interface: String, name: String) -> Vec<Offer> {
        let servers = self.servers_of(&interface);
        let found = services_of(Some(&interface), &servers, &name).await;
        self.shared.services.borrow_mut().done(&interface, &name, found.clone(), clock::now());
        found.unwrap_or_default()
    }
}

/// As [`Resolver::find`], over whatever interface the routing table prefers, and remembering nothing.
///
/// # Errors
/// [`Unresolved`], as the system says it.
pub async fn find_by_system(wanted: Wanted<'_>) -> Result<Vec<Vec<SocketAddr>>, Unresolved> {
    let look_up = async |host: &str, port: u16| match lookup_host((host, port)).await {
        Ok(found) => Ok(found.collect::<Vec<_>>()),
        Err(e) => Err(Unresolved::NoAnswer(e.to_string())),
    };
    let own = look_up(wanted.host, wanted.port);
    let Some(name) = wanted.service_name() else { return own.await.map(|addresses| vec![addresses]) };
    let services = async {
        let servers = Places::default().servers_of_system();
        services_of(None, &servers, &name).await.unwrap_or_default()
    };
    let (own, offers) = meet(own, services).await;
    let targets = in_order(offers, draw);
    let found = join_all(targets.iter().map(|offer| look_up(offer.target.as_str(), offer.port))).await;
    or_own(found.into_iter().flatten().collect(), own)
}

/// `None` where nobody answers.
async fn services_of(interface: Option<&str>, servers: &[SocketAddr], name: &str) -> Option<Vec<Offer>> {
    if servers.is_empty() {
        return None;
    }
    timeout(LOOKUP_TIMEOUT, dns::ask_services(interface, servers, name)).await.ok()?.ok()
}

/// Both at once. Whoever has addresses does not wait long for the offers.
async fn meet(
    own: impl Future<Output = Result<Vec<SocketAddr>, Unresolved>>,
    services: impl Future<Output = Vec<Offer>>,
) -> (Result<Vec<SocketAddr>, Unresolved>, Vec<Offer>) {
    let (mut own, mut services) = (pin!(own), pin!(services));
    tokio::select! {
        offers = &mut services => (own.await, offers),
        found = &mut own => {
            let offers = match &found {
                Ok(_) => timeout(SERVICE_WAIT, services).await.unwrap_or_default(),
                Err(_) => services.await,
            };
            (found, offers)
        }
    }
}

fn or_own(
    mut found: Vec<Vec<SocketAddr>>,
    own: Result<Vec<SocketAddr>, Unresolved>,
) -> Result<Vec<Vec<SocketAddr>>, Unresolved> {
    found.retain(|addresses| !addresses.is_empty());
    if found.is_empty() { own.map(|addresses| vec![addresses]) } else { Ok(found) }
}

/// A number from 0 to `most`, by chance.
fn draw(most: u32) -> u32 {
    let mut bytes = [0; 4];
    // Linux's getrandom does not fail once it has begun to give; if it did, the first would be taken.
    let _ = SystemRandom::new().fill(&mut bytes);
    u32::try_from(u64::from(u32::from_be_bytes(bytes)) % (u64::from(most) + 1)).unwrap_or(most)
}
