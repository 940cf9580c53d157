//! Questions to name servers out of one interface. The protocol is hickory's; the sockets are ours, bound to it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_resolver::net::runtime::{RuntimeProvider, TokioHandle, TokioTime};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Unresolved;

/// How long one server may take to one question.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Further questions to a server that did not answer.
const RETRIES: usize = 1;
/// How long a TCP connection may take: it is needed only for long answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes sockets that leave by one interface.
#[derive(Clone)]
struct Pinned {
    interface: Arc<str>,
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
            socket.bind_device(Some(interface.as_bytes()))?;
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
            socket.bind_device(Some(interface.as_bytes()))?;
            socket.bind(&local.into())?;
            UdpSocket::from_std(socket.into())
        })
    }
}

/// Both kinds of addresses of `name`, from whichever of `servers` answers.
pub(super) async fn ask(interface: &str, servers: &[SocketAddr], name: &str) -> Result<Vec<IpAddr>, Unresolved> {
    let provider = Pinned { interface: Arc::from(interface), handle: TokioHandle::default() };
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
    let failed = |error: hickory_resolver::net::NetError| {
        if error.is_no_records_found() { Unresolved::NoSuchName } else { Unresolved::NoAnswer(error.to_string()) }
    };
    // A dot at the end: the name is whole, and is looked for nowhere else.
    let whole = format!("{}.", name.trim_end_matches('.'));
    let found = builder.build().map_err(failed)?.lookup_ip(whole).await.map_err(failed)?;
    Ok(found.iter().collect())
}
