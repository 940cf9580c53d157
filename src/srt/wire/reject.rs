//! Why a connection was refused: the number that takes the place of the handshake's type.

/// A reason. Numbers from 1000 on are on the wire as they are in libsrt's `srt.h` and `access_control.h` plus 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// Not said (1000).
    Unknown,
    /// A system call failed (1001).
    System,
    /// The application refused (1002).
    Peer,
    /// No memory or the like (1003).
    Resource,
    /// The handshake makes no sense (1004).
    Rogue,
    /// Too many connections waiting (1005).
    Backlog,
    /// The far end found itself in error (1006).
    Internal,
    /// The far end is closing (1007).
    Closing,
    /// SRT version too old (1008).
    Version,
    /// Rendezvous cookies collide (1009).
    RendezvousCookie,
    /// The passphrases differ (1010).
    BadSecret,
    /// One side has a passphrase and the other has none (1011).
    Unsecure,
    /// Stream and message modes differ (1012).
    MessageApi,
    /// Congestion controllers differ (1013).
    Congestion,
    /// Packet filters differ (1014).
    Filter,
    /// Groups are not taken, or not of this type (1015).
    Group,
    /// It took too long (1016).
    Timeout,
    /// Encryption modes differ (1017).
    Crypto,
    /// Chosen by the server, with HTTP's numbers: 401 is unauthorised (on the wire 2401).
    Server(u16),
    /// Another number, as on the wire less 1000.
    Other(u32),
}

/// Added to a reason to make it a handshake type.
const FAILURE: u32 = 1000;
/// Where the server's reasons begin.
const SERVER: u32 = 1000;
/// Where reasons begin that mean something only to one application.
const USER: u32 = 2000;

impl RejectReason {
    /// The stream id is not understood.
    pub const BAD_REQUEST: Self = Self::Server(400);
    /// The stream id names nobody who may do that.
    pub const UNAUTHORIZED: Self = Self::Server(401);
    /// Too busy.
    pub const OVERLOAD: Self = Self::Server(402);
    /// Not allowed.
    pub const FORBIDDEN: Self = Self::Server(403);
    /// No such stream.
    pub const NOT_FOUND: Self = Self::Server(404);
    /// This stream is not for publishing (or not for playing).
    pub const BAD_MODE: Self = Self::Server(405);
    /// Somebody is publishing it already.
    pub const CONFLICT: Self = Self::Server(409);
    /// Not at the moment.
    pub const DOWN: Self = Self::Server(503);

    /// The handshake type that says so.
    pub const fn code(self) -> u32 {
        FAILURE
            + match self {
                Self::Unknown => 0,
                Self::System => 1,
                Self::Peer => 2,
                Self::Resource => 3,
                Self::Rogue => 4,
                Self::Backlog => 5,
                Self::Internal => 6,
                Self::Closing => 7,
                Self::Version => 8,
                Self::RendezvousCookie => 9,
                Self::BadSecret => 10,
                Self::Unsecure => 11,
                Self::MessageApi => 12,
                Self::Congestion => 13,
                Self::Filter => 14,
                Self::Group => 15,
                Self::Timeout => 16,
                Self::Crypto => 17,
                Self::Server(number) => SERVER + number as u32,
                // No number leaves the range that a handshake type has for refusals.
                Self::Other(number) => {
                    if number > i32::MAX as u32 - FAILURE {
                        0
                    } else {
                        number
                    }
                }
            }
    }

    /// From a handshake type of 1000 or more.
    pub const fn from_code(code: u32) -> Self {
        match code.saturating_sub(FAILURE) {
            0 => Self::Unknown,
            1 => Self::System,
            2 => Self::Peer,
            3 => Self::Resource,
            4 => Self::Rogue,
            5 => Self::Backlog,
            6 => Self::Internal,
            7 => Self::Closing,
            8 => Self::Version,
            9 => Self::RendezvousCookie,
            10 => Self::BadSecret,
            11 => Self::Unsecure,
            12 => Self::MessageApi,
            13 => Self::Congestion,
            14 => Self::Filter,
            15 => Self::Group,
            16 => Self::Timeout,
            17 => Self::Crypto,
            number @ SERVER..USER => Self::Server((number - SERVER) as u16),
            number => Self::Other(number),
        }
    }
}
