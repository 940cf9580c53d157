//! TCP and TLS sockets: making them, and reading what the kernel knows about them.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use super::tls;
use crate::config::{InterfaceName, RtmpUrl};
use crate::link::Links;
use crate::link::health::TcpFigures;
use crate::link::resolve::{Resolver, Unresolved, Wanted, find_by_system};
use crate::rtmp::trouble::Trouble;

/// How long a name look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long TCP may take, over all addresses of a name; likewise TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Head start of one address over the next (RFC 8305 §5, "Connection Attempt Delay").
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 6;
/// Most bytes the kernel may hold that are not on the wire yet; the rest waits in the ring, where it can still be
/// skipped. This also bounds the socket's memory when the far end stops reading, without fixing SO_SNDBUF, which would
/// switch off the kernel's own tuning and cap the bit rate on long paths.
const NOT_SENT_LOW_WATER: u32 = 128 << 10;
/// Backstop: the kernel gives a connection up when nothing is confirmed for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connected socket.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The interface that is to carry a connection, and who looks names up over it; `None` for the system.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) link: InterfaceName,
    pub(super) resolver: Option<Resolver>,
    /// What the kernel says of interfaces, where somebody listens.
    pub(super) links: Option<watch::Receiver<Arc<Links>>>,
}

impl Way {
    /// Which of our addresses a connection to `peer` is to begin from; `None` leaves that to the kernel.
    ///
    /// An interface that has no address of its own for the moment would lend one from another, to which no answer finds its
    /// way over the interface.
    ///
    /// # Errors
    /// EADDRNOTAVAIL: it has none of that family.
    fn source(&self, peer: IpAddr) -> io::Result<Option<IpAddr>> {
        let Some(links) = &self.links else { return Ok(None) };
        let links = links.borrow();
        let Some(link) = links.named(self.link.as_str()) else { return Ok(None) };
        match (link.source_for(peer), peer) {
            (None, _) => Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL)),
            (source, IpAddr::V4(_)) => Ok(source),
            // Of several, the kernel knows which are temporary and which deprecated (RFC 6724 §5).
            (Some(_), IpAddr::V6(_)) => Ok(None),
        }
    }
}

/// What the kernel knows about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcpState {
    /// Bytes the far end's TCP confirmed.
    pub(super) acknowledged: u64,
    /// Whether bytes wait to be sent or confirmed.
    pub(super) outstanding: bool,
    /// Bytes in the kernel that the far end's TCP has not confirmed.
    pub(super) unconfirmed: u64,
    /// What the judge of the link hears.
    pub(super) figures: TcpFigures,
}

/// Of a socket that the kernel says nothing about.
const UNKNOWN: TcpState = TcpState {
    acknowledged: 0,
    outstanding: false,
    unconfirmed: u64::MAX,
    figures: TcpFigures { last_ack_recv: Duration::ZERO, unacked: 0, backoff: 0, bytes_acked: 0, queued: 0 },
};

impl Socket {
    /// Looks the name up, connects, and negotiates TLS where the address asks for it.
    /// With a `way`, nothing but that interface carries the connection (SO_BINDTODEVICE).
    pub(super) async fn connect(url: &RtmpUrl, ca_file: Option<&Path>, way: Option<Way>) -> Result<Self, Trouble> {
        let config = if url.tls { Some(tls::config(ca_file.map(Path::to_owned)).await?) } else { None };
        let found = timeout(LOOKUP_TIMEOUT, look_up(url, way.as_ref())).await.unwrap_or(Err(Trouble::NameLookup))?;
        let connected = timeout(CONNECT_TIMEOUT, race(in_turn(found), way.as_ref())).await;
        let stream = connected.unwrap_or(Err(Trouble::ConnectTimeout)).inspect_err(|_| {
            if let Some(Way { link, resolver: Some(resolver), .. }) = &way {
                resolver.unreachable(link.as_str(), wanted(url));
            }
        })?;
        match config {
            None => Ok(Self::Plain(stream)),
            Some(config) => {
                let negotiation = tls::negotiate(config, &url.host, stream);
                let stream = timeout(CONNECT_TIMEOUT, negotiation).await.unwrap_or(Err(Trouble::TlsNoAnswer))?;
                Ok(Self::Tls(Box::new(stream)))
            }
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    pub(super) fn own_address(&self) -> Option<IpAddr> {
        // An IPv4 address in an IPv6 socket is what the interface knows as IPv4.
        self.tcp().local_addr().ok().map(|own| own.ip().to_canonical())
    }

    /// Whether written bytes may sit in a buffer of ours until [`Self::poll_flush`].
    pub(super) const fn buffers(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let poll = match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, &mut buffer),
        };
        poll.map_ok(|()| buffer.filled().len())
    }

    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, slices),
        }
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }

    /// Closes with a reset when dropped: what the kernel still holds is thrown away, and the far end is told so instead
    /// of finding out.
    pub(super) fn reset_on_close(&self) {
        // Fails only on a socket that is gone already.
        let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
    }

    /// Asks the kernel.
    pub(super) fn state(&self) -> TcpState {
        let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
        let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
        // SAFETY: the descriptor is open for as long as `self` lives; the kernel writes at most `length` bytes to
        // `info`, which has that size.
        let done = unsafe {
            libc::getsockopt(
                self.tcp().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if done != 0 {
            return UNKNOWN;
        }
        // SAFETY: all-zero bytes are a valid `tcp_info` (integers only), so it is initialised however much was written.
        let info = unsafe { info.assume_init() };
        let unconfirmed = self.unconfirmed();
        TcpState {
            acknowledged: info.tcpi_bytes_acked,
            outstanding: info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0,
            unconfirmed,
            figures: TcpFigures {
                last_ack_recv: Duration::from_millis(info.tcpi_last_ack_recv.into()),
                unacked: info.tcpi_unacked,
                backoff: info.tcpi_backoff,
                bytes_acked: info.tcpi_bytes_acked,
                queued: unconfirmed,
            },
        }
    }

    /// Bytes in the send queue, those on their way included (tcp(7), SIOCOUTQ).
    fn unconfirmed(&self) -> u64 {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the descriptor is open for as long as `self` lives, and this request writes one int to where it is
        // pointed.
        let done = unsafe { libc::ioctl(self.tcp().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        // A socket that cannot say has confirmed nothing.
        if done == 0 { u64::try_from(bytes).unwrap_or(u64::MAX) } else { u64::MAX }
    }
}

/// Over the interface that is to carry the connection, where there is somebody to ask over it. A name that its servers do not
/// know may be one that only this machine knows (`/etc/hosts`).
async fn look_up(url: &RtmpUrl, way: Option<&Way>) -> Result<Vec<Vec<SocketAddr>>, Trouble> {
    if let Some(Way { link, resolver: Some(resolver), .. }) = way {
        match resolver.find(link.as_str(), wanted(url)).await {
            Ok(machines) => return Ok(machines),
            Err(Unresolved::NoServers(_) | Unresolved::NoSuchName) => {}
            Err(Unresolved::NoAnswer(_)) => return Err(Trouble::NameLookup),
        }
    }
    find_by_system(wanted(url)).await.map_err(|_| Trouble::NameLookup)
}

/// Where the port is RTMP's own, the name may stand for others (SRV records).
pub(super) fn wanted(url: &RtmpUrl) -> Wanted<'_> {
    let service = match (url.tls, url.port) {
        (false, 1935) => Some("_rtmp._tcp"),
        (true, 443) => Some("_rtmps._tcp"),
        _ => None,
    };
    Wanted { host: &url.host, port: url.port, service }
}

/// The addresses of the machines, one machine after the other.
fn in_turn(machines: Vec<Vec<SocketAddr>>) -> Vec<SocketAddr> {
    // One with many addresses leaves room for the next.
    let each = if machines.len() > 1 { MAX_ADDRESSES / 2 } else { MAX_ADDRESSES };
    let mut ordered: Vec<_> = machines.into_iter().flat_map(|own| alternating(own).into_iter().take(each)).collect();
    ordered.truncate(MAX_ADDRESSES);
    ordered
}

/// One address of each family in turn, beginning with the one the resolver prefers (RFC 8305 §4).
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == first);
    let mut other = other.into_iter();
    let mut ordered: Vec<_> = preferred.into_iter().flat_map(|p| [Some(p), other.next()]).flatten().collect();
    ordered.extend(other);
    ordered
}

/// The first address that answers, each getting a head start over the next.
async fn race(addresses: Vec<SocketAddr>, way: Option<&Way>) -> Result<TcpStream, Trouble> {
    let mut attempts = JoinSet::new();
    let mut left = addresses.into_iter();
    let mut trouble = None;
    loop {
        let more = left
            .next()
            .map(|address| {
                attempts.spawn(connect(address, way.map(|way| (way.link.clone(), way.source(address.ip())))))
            })
            .is_some();
        let outcome = tokio::select! {
            outcome = attempts.join_next() => outcome,
            () = sleep(NEXT_ADDRESS_AFTER), if more => continue,
        };
        match outcome {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => {
                trouble = trouble.or_else(|| Some(connect_trouble(&error, way.map(|way| &way.link))));
            }
            // Connecting does not panic, and nothing aborts it but dropping the set.
            Some(Err(_)) => {}
            None => return Err(trouble.unwrap_or(Trouble::NameLookup)),
        }
    }
}

async fn connect(
    address: SocketAddr,
    place: Option<(InterfaceName, io::Result<Option<IpAddr>>)>,
) -> io::Result<TcpStream> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_nodelay(true)?;
    if let Some((interface, source)) = place {
        let source = source?;
        socket.bind_device(Some(interface.as_str().as_bytes()))?;
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
    }
    {
        let socket = SockRef::from(&socket);
        socket.set_tcp_notsent_lowat(NOT_SENT_LOW_WATER)?;
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    }
    socket.connect(address).await
}

fn connect_trouble(error: &io::Error, interface: Option<&InterfaceName>) -> Trouble {
    match (error.raw_os_error(), interface) {
        (Some(libc::ENODEV), Some(interface)) => return Trouble::NoInterface(interface.clone()),
        (Some(libc::EPERM), Some(interface)) => return Trouble::MayNotPin(interface.clone()),
        _ => {}
    }
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Trouble::ConnectionRefused,
        Some(libc::ETIMEDOUT) => Trouble::ConnectTimeout,
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN | libc::EADDRNOTAVAIL) => {
            Trouble::Unreachable
        }
        _ => Trouble::ConnectionLost { how: lost_how(error) },
    }
}

/// How a connection broke, in a few words.
pub(super) fn lost_how(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ECONNRESET) => "reset by the server",
        Some(libc::EPIPE) => "closed by the server",
        Some(libc::ETIMEDOUT) => "the network stopped carrying it",
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => "the network is gone",
        Some(_) => "the system reports an error",
        // TLS without close_notify ends up here.
        None if error.kind() == io::ErrorKind::UnexpectedEof => "closed by the server",
        None => "secure connection broken",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn families_take_turns_and_none_is_lost() {
        let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let all = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1"]);
        assert_eq!(alternating(all), parse(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "[::3]:1"]));
        let all = parse(&["127.0.0.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(alternating(all), parse(&["127.0.0.1:1", "[::1]:1", "[::2]:1"]));
        assert_eq!(alternating(Vec::new()), []);
    }

    #[test]
    fn each_machine_has_its_turn() {
        let machine = |n: u8| (1..=9).map(|last| SocketAddr::from(([10, 0, n, last], 1935))).collect::<Vec<_>>();
        let ordered = in_turn(vec![machine(1), machine(2), machine(3)]);
        let machines: Vec<_> = ordered.iter().map(|a| a.to_string().split('.').nth(2).unwrap().to_owned()).collect();
        assert_eq!(machines, ["1", "1", "1", "2", "2", "2"]);
        assert_eq!(in_turn(vec![machine(1)]).len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_port_of_ones_own_is_where_the_server_is() {
        let url = |tls, port| RtmpUrl { tls, host: "live.example".into(), port, app: "live".into() };
        let service = |tls, port| wanted(&url(tls, port)).service;
        assert_eq!([service(false, 1935), service(true, 443)], [Some("_rtmp._tcp"), Some("_rtmps._tcp")]);
        assert_eq!([service(false, 443), service(true, 1935)], [None, None]);
    }
}
