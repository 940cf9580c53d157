//! What may happen to the uplink under a stream, and what is said of it.

use clap::ValueEnum;

/// What happens to the uplink under a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinkFault {
    /// RTMP over two uplinks: the one in use loses its carrier. Takes network namespaces.
    Cable,
    /// RTMP over two uplinks: the one in use swallows everything, in silence. Takes network namespaces.
    Blackhole,
    /// RTMP over two uplinks: on the one in use everything stops but a captive portal. Takes network namespaces.
    Captive,
    /// RTMP over two uplinks: the one in use has the holes and queues of a dish, and is kept. Takes network namespaces.
    Starlink,
}

impl LinkFault {
    /// The uplinks that the stream may take, the one in use first.
    pub(super) fn links(self) -> [&'static str; 2] {
        match self {
            Self::Cable | Self::Blackhole | Self::Captive => ["eth0", "wwan0"],
            Self::Starlink => ["starlink0", "wwan0"],
        }
    }

    /// The one it happens to.
    pub(super) fn link(self) -> &'static str {
        self.links()[0]
    }

    /// As it is typed.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Cable => "cable",
            Self::Blackhole => "blackhole",
            Self::Captive => "captive",
            Self::Starlink => "starlink",
        }
    }

    /// What is about to be seen.
    pub(super) fn announced(self) -> &'static str {
        match self {
            Self::Cable => "its cable is pulled, and plugged in again",
            Self::Blackhole => "it swallows all that is sent, both ways, without a word; then it is well again",
            Self::Captive => "a captive portal lets nothing through but its own page; then somebody logs in",
            Self::Starlink => {
                "the dish changes its satellite every 15 s: holes of 80 to 600 ms, and queues. Nothing is to move"
            }
        }
    }

    pub(super) fn begins(self) -> &'static str {
        match self {
            Self::Cable => "its cable is pulled",
            Self::Blackhole => "from here on it swallows everything; its carrier stays",
            Self::Captive => "from here on a captive portal lets nothing through but its page",
            Self::Starlink => "from here on it is as a dish is",
        }
    }

    pub(super) fn ends(self) -> &'static str {
        match self {
            Self::Cable => "its cable is plugged in again",
            Self::Blackhole => "it carries again",
            Self::Captive => "somebody has logged in: everything passes again",
            Self::Starlink => "the dish is quiet again",
        }
    }
}
