//! Inputs that come over a network, as types in which every value is legal.

use std::net::SocketAddr;
use std::time::Duration;

use super::settings::Secret;
use super::srt_settings::{Encryption, SrtAddress};
use crate::model::NetworkLimits;

/// A sender over a network, and what becomes of its stream.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkInput {
    /// By what, and where.
    pub sender: Sender,
    /// How long its pictures wait before they are due, so that what comes late or has to be decoded is there in time;
    /// 50 ms – 10 s.
    pub cushion: Duration,
    /// Whether a stream that is as the renditions want it goes on air as it is, without being encoded again.
    pub pass_through: bool,
    /// When its network is a fault of the input's.
    pub limits: NetworkLimits,
}

/// The ways in.
#[derive(Clone, Debug, PartialEq)]
pub enum Sender {
    /// SRT.
    Srt(SrtInput),
    /// A publisher over RTMP; we are the server.
    Rtmp(RtmpInput),
    /// A camera's RTSP; we are the client.
    Rtsp(RtspInput),
}

/// SRT, whoever calls.
#[derive(Clone, Debug, PartialEq)]
pub struct SrtInput {
    /// Who calls whom.
    pub call: SrtCall,
    /// What is asked for: of a caller of ours, if we listen; of the far end, if we call.
    pub stream_id: Option<Secret>,
    /// `None`: everybody on the way can watch, and where we listen, everybody can send.
    pub encryption: Option<Encryption>,
    /// Time in which a lost packet can be sent again, whole milliseconds, 20 ms – 30 s. The far end may want more.
    pub latency: Duration,
}

/// Who calls whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SrtCall {
    /// Senders call here, UDP; libsrt's groups too.
    Listen(SocketAddr),
    /// We call a sender that listens.
    To(SrtAddress),
}

/// An RTMP server for one publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpInput {
    /// Where it listens, TCP.
    pub listen: SocketAddr,
    /// The application that publishers name: the path of `rtmp://box/app`.
    pub app: String,
    /// The stream key; `None` for an input that was declared open.
    pub key: Option<Secret>,
}

/// An RTSP client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtspInput {
    /// `rtsp://host[:port]/path`, without user name and password.
    pub url: String,
    /// Who we are there.
    pub login: Option<RtspLogin>,
    /// How the pictures come.
    pub transport: RtspTransport,
}

/// A user of a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtspLogin {
    /// Name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// What RTP is carried over (RFC 2326 §10.12, §12.39).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RtspTransport {
    /// In the RTSP connection itself: passes every firewall, loses nothing.
    #[default]
    Tcp,
    /// Beside it: never waits for a repetition.
    Udp,
}
