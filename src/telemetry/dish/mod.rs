//! Starlink dishes: `client` asks one once a second, `protocol` has the messages, `watch` (pure) decides what is worth a hint
//! or an event.

mod client;
mod protocol;
mod watch;

pub(super) use client::watch;
pub(super) use watch::DishWatch;

/// Where a dish answers, from behind its router or without one.
pub const USUAL: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 100, 1)), 9200);
