//! Questions to name servers out of one interface. The protocol is hickory's; the sockets are ours, bound to it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_resolver::net::runtime::{RuntimeProvider, TokioHandle, TokioTime};
use hickory_resolver::proto::rr::{RData, RecordType};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Unresolved;
use super::service::Offer;

/// How long one server may take to one question.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Further questions to a server that did not answer.
const RETRIES: usize = 1;
/// Offers of one service that are looked at.
const MOST_RECORDS: usize = 64;
/// How long a TCP connection may take: it is needed only for long answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes sockets that leave by one interface.
#[derive(Clone)]
struct Pinned {
    /// `None`: whichever the routing table says.
    interface: Option<Arc<str>>,
    handle: TokioHandle,
}

type Making<T> = Pin<Box<dyn Send + Future<Output = io::Result<T>>>>;

impl RuntimeProvider for Pinned {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = UdpSocket;
    type Tcp = AsyncIoTokioAsStd<TcpStream>;

    fn create_handle(&self) -> Self::Handle {
        self.handle.clone()
    }

    fn connect_tcp(&self, server: SocketAddr, local: Option<SocketAddr>, wait: Option<Duration>) -> Making<Self::Tcp> {
        let interface = self.interface.clone();
        Box::pin(async move {
            let socket = if server.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
            if let Some(interface) = interface {
                socket.bind_device(Some(interface.as_bytes()))?;
            }
            if let Some(local) = local {
                socket.bind(local)?;
            }
            let connecting = socket.connect(server);
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            timeout(wait.unwrap_or(CONNECT_TIMEOUT), connecting).await.map_err(late)?.map(AsyncIoTokioAsStd)
        })
    }

    fn bind_udp(&self, local: SocketAddr, _server: SocketAddr) -> Making<Self::Udp> {
        let interface = self.interface.clone();
        Box::pin(async move {
            let socket = Socket::new(Domain::for_address(local), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
            if let Some(interface) = interface {
                socket.bind_device(Some(interface.as_bytes()))?;
            }
            socket.bind(&local.into())?;
            UdpSocket::from_std(socket.into())
        })
    }
}

/// Both kinds of addresses of `name`, from whichever of `servers` answers.
pub(super) async fn ask(interface: &str, servers: &[SocketAddr], name: &str) -> Result<Vec<IpAddr>, Unresolved> {
    let found = resolver(Some(interface), servers)?.lookup_ip(whole(name)).await.map_err(|e| failed(&e))?;
    Ok(found.iter().collect())
}

/// Who offers the service `name`, such as `_rtmps._tcp.example.com` (RFC 2782); nobody, where there are no such records.
pub(super) async fn ask_services(
    interface: Option<&str>,
    servers: &[SocketAddr],
    name: &str,
) -> Result<Vec<Offer>, Unresolved> {
    let found = match resolver(interface, servers)?.lookup(whole(name), RecordType::SRV).await.map_err(|e| failed(&e)) {
        Err(Unresolved::NoSuchName) => return Ok(Vec::new()),
        found => found?,
    };
    let offers = found.answers().iter().filter_map(|record| {
        let RData::SRV(srv) = &record.data else { return None };
        let target = srv.target.to_utf8();
        Some(Offer { priority: srv.priority, weight: srv.weight, port: srv.port, target })
    });
    Ok(offers.take(MOST_RECORDS).collect())
}

fn resolver(interface: Option<&str>, servers: &[SocketAddr]) -> Result<Resolver<Pinned>, Unresolved> {
    let provider = Pinned { interface: interface.map(Arc::from), handle: TokioHandle::default() };
    let servers = servers.iter().map(|server| {
        let mut config = NameServerConfig::udp_and_tcp(server.ip());
        config.connections.iter_mut().for_each(|connection| connection.port = server.port());
        config
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    let mut builder = Resolver::builder_with_config(config, provider);
    let options = builder.options_mut();
    (options.timeout, options.attempts) = (TIMEOUT, RETRIES);
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    // What is remembered is remembered here.
    options.cache_size = 0;
    builder.build().map_err(|e| failed(&e))
}

/// A dot at the end: the name is whole, and is looked for nowhere else.
fn whole(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn failed(error: &NetError) -> Unresolved {
    if error.is_no_records_found() { Unresolved::NoSuchName } else { Unresolved::NoAnswer(error.to_string()) }
}
