//! The map: which rooms there are, in the order of `src/lib.rs`, what they may do and whom they may know.

/// One folder (or file) directly below `src`.
pub struct Room {
    pub name: &'static str,
    /// Decides, and does nothing else: no clock, socket, file, thread, await or chance of its own.
    pub pure: bool,
    /// The rooms it may name in `crate::…`, besides itself.
    pub knows: &'static [&'static str],
    /// Why it may know those, and no others.
    pub because: &'static str,
}

pub const ROOMS: &[Room] = &[
    Room {
        name: "model",
        pure: true,
        knows: &[],
        because: "what flows is the vocabulary of all rooms, so it depends on none",
    },
    Room {
        name: "capture",
        pure: false,
        knows: &["model", "config", "clock"],
        because: "makes a source of an input's settings and stamps its pictures; what becomes of them is encode's business",
    },
    Room {
        name: "encode",
        pure: false,
        knows: &["model", "capture", "events", "config", "mux", "clock"],
        because: "asks the source for each place's picture, encodes it in the form that mux defines, and reports it",
    },
    Room {
        name: "ingest",
        pure: false,
        knows: &["model", "config", "events", "mux", "rtmp", "srt", "bonding", "output", "link", "clock"],
        because: "sessions with senders: the shells around rtmp, srt and bonding on the receiving side",
    },
    Room {
        name: "switch",
        pure: true,
        knows: &["model", "events", "mux"],
        because: "decides between units, and each decision is an event with its evidence; what repeats a picture is mux's",
    },
    Room { name: "distribute", pure: true, knows: &["model"], because: "passes units on unseen" },
    Room { name: "mux", pure: true, knows: &["model"], because: "units to bytes and back" },
    Room {
        name: "output",
        pure: false,
        knows: &["model", "events", "config", "distribute", "mux", "rtmp", "srt", "bonding", "clock", "link"],
        because: "the shells around distribute, mux, rtmp, srt and bonding; they report events and hear of the network's \
                  return",
    },
    Room {
        name: "programme",
        pure: false,
        knows: &["model", "switch", "mux", "output", "events", "config", "clock", "link", "encode"],
        because: "carries units from the switch to the outputs, which it keeps in step with the settings, and which hear \
                  of the interfaces under them; says how they do in the words of those who decide on bit rates",
    },
    Room {
        name: "rtmp",
        pure: true,
        knows: &["model", "config", "mux"],
        because: "publishes FLV tags to the address that the settings name",
    },
    Room { name: "srt", pure: true, knows: &["model"], because: "moves payloads over paths, whatever they are" },
    Room { name: "bonding", pure: true, knows: &["srt"], because: "decides about the paths of a session" },
    Room {
        name: "relay",
        pure: false,
        knows: &[
            "model",
            "ingest",
            "switch",
            "distribute",
            "mux",
            "output",
            "programme",
            "srt",
            "bonding",
            "link",
            "events",
            "config",
            "clock",
            "encode",
        ],
        because: "SRT sessions in, the switch and the outputs behind them; its pure files decide who may come in",
    },
    Room {
        name: "link",
        pure: false,
        knows: &["model", "events", "clock"],
        because: "tells what the kernel says about the network, and whether anybody answers over it, when that was so",
    },
    Room {
        name: "telemetry",
        pure: false,
        knows: &["model", "events", "config", "clock", "link"],
        because: "hears modems, dishes and the machine; what it expects of a link it says as link's judges take it",
    },
    Room {
        name: "netem",
        pure: false,
        knows: &["clock"],
        because: "carries whatever bytes it is given, and knows nobody's protocol",
    },
    Room {
        name: "events",
        pure: true,
        knows: &["model"],
        because: "what people see; if it knew more rooms, every room would depend on every other",
    },
    Room {
        name: "config",
        pure: true,
        knows: &["model", "events"],
        because: "settings name things of the model and are hashed per process, which events calls Role",
    },
    Room {
        name: "supervisor",
        pure: false,
        knows: &["model", "events", "config", "clock", "encode", "link", "telemetry"],
        because: "starts, hears and ends processes, sees which slates are to be made, and passes telemetry's hints about \
                  links on; no media passes through it. Only the binaries know it",
    },
    Room { name: "clock", pure: false, knows: &["model"], because: "answers in the model's types" },
];

/// Files that are pure although their room is not. Each says so in its first line, `//! Pure.`, and so may others.
pub const PURE_FILES: &[&str] = &[
    "src/capture/blockcode.rs",
    "src/capture/catalogue.rs",
    "src/capture/drift.rs",
    "src/capture/pace.rs",
    "src/capture/pattern.rs",
    "src/capture/receiver.rs",
    "src/capture/tape.rs",
    "src/capture/truth/arrival.rs",
    "src/capture/truth/judge.rs",
    "src/capture/truth/latch.rs",
    "src/capture/truth/mod.rs",
    "src/capture/truth/picture.rs",
    "src/capture/truth/quiet.rs",
    "src/capture/truth/sound.rs",
    "src/capture/truth/view.rs",
    "src/encode/bitrate/asker.rs",
    "src/encode/bitrate/ceiling.rs",
    "src/encode/bitrate/heat.rs",
    "src/encode/bitrate/heat_tests.rs",
    "src/encode/bitrate/mod.rs",
    "src/encode/bitrate/simulation.rs",
    "src/encode/bitrate/steps.rs",
    "src/encode/bitrate/strain.rs",
    "src/encode/bitrate/told.rs",
    "src/encode/protocol.rs",
    "src/encode/session.rs",
    "src/encode/slate/card.rs",
    "src/encode/slate/emergency.rs",
    "src/encode/table/families.rs",
    "src/encode/table/mod.rs",
    "src/encode/thumbnail/pace.rs",
    "src/encode/thumbnail/shrink.rs",
    "src/encode/verdict.rs",
    "src/encode/worker/cadence.rs",
    "src/encode/worker/labels.rs",
    "src/encode/worker/outbox.rs",
    "src/encode/worker/progress.rs",
    "src/ingest/arrival.rs",
    "src/ingest/clock.rs",
    "src/ingest/passing.rs",
    "src/ingest/passing/look.rs",
    "src/ingest/pauses.rs",
    "src/ingest/rtmp/brake.rs",
    "src/ingest/rtmp/place.rs",
    "src/ingest/rtmp/remark.rs",
    "src/ingest/rtsp/account.rs",
    "src/ingest/rtsp/cadence.rs",
    "src/ingest/rtsp/failure.rs",
    "src/ingest/rtsp/frames.rs",
    "src/ingest/rtsp/offer.rs",
    "src/ingest/rtsp/one_clock.rs",
    "src/ingest/rtsp/order.rs",
    "src/ingest/rtsp/patience.rs",
    "src/ingest/srt/admission.rs",
    "src/ingest/srt/status.rs",
    "src/ingest/strand.rs",
    "src/ingest/truth.rs",
    "src/link/change.rs",
    "src/link/class.rs",
    "src/link/fact.rs",
    "src/link/hints.rs",
    "src/link/identity.rs",
    "src/link/links.rs",
    "src/link/network.rs",
    "src/link/networkd.rs",
    "src/link/pinning/check.rs",
    "src/link/pinning/told.rs",
    "src/link/portal/verdict.rs",
    "src/link/probe/echo.rs",
    "src/link/probe/names.rs",
    "src/link/probe/prober.rs",
    "src/link/probe/responder.rs",
    "src/link/probe/stun.rs",
    "src/link/resolve/cache.rs",
    "src/link/resolve/service.rs",
    "src/link/resolve/servers.rs",
    "src/link/tables/patience.rs",
    "src/link/tables/plan.rs",
    "src/link/told.rs",
    "src/netem/change.rs",
    "src/netem/conditions.rs",
    "src/netem/duplex.rs",
    "src/netem/emulator/watch.rs",
    "src/netem/link.rs",
    "src/netem/plan.rs",
    "src/link/udp/outbox.rs",
    "src/output/srt/account.rs",
    "src/output/srt/footing.rs",
    "src/output/srt/roster.rs",
    "src/supervisor/alerts.rs",
    "src/supervisor/lifecycle.rs",
    "src/telemetry/dish/protocol.rs",
    "src/telemetry/dish/watch.rs",
    "src/telemetry/hinting.rs",
    "src/telemetry/latch.rs",
    "src/telemetry/machine/watch.rs",
    "src/telemetry/modem/watch.rs",
    "src/telemetry/news.rs",
    "src/telemetry/observer.rs",
    "src/telemetry/reading.rs",
];

/// Crates that a pure room may name. None of them reads a clock, a file or a socket; libc's constants are allowed too.
/// tiny_skia and rustybuzz draw and shape in memory; epaint_default_fonts is a font; aes and ctr are ciphers; prost reads and
/// writes messages in memory.
pub const PURE_CRATES: &[&str] = &[
    "std",
    "core",
    "bytes",
    "serde",
    "serde_json",
    "thiserror",
    "fastrand",
    "toml",
    "strsim",
    "ring",
    "tiny_skia",
    "rustybuzz",
    "epaint_default_fonts",
    "aes",
    "ctr",
    "prost",
];

/// What of `std` a pure room may not name, with the exceptions that are plain data.
pub const IMPURE_STD: &[(&str, &[&str])] = &[
    ("std::fs", &[]),
    ("std::process", &[]),
    ("std::thread", &[]),
    ("std::os", &[]),
    ("std::env", &[]),
    ("std::io", &["std::io::Error", "std::io::ErrorKind"]),
    (
        "std::net",
        &[
            "std::net::IpAddr",
            "std::net::Ipv4Addr",
            "std::net::Ipv6Addr",
            "std::net::SocketAddr",
            "std::net::SocketAddrV4",
            "std::net::SocketAddrV6",
        ],
    ),
    ("std::time::SystemTime", &[]),
    ("std::sync::Mutex", &[]),
    ("std::sync::RwLock", &[]),
    ("std::sync::Condvar", &[]),
    ("std::sync::mpsc", &[]),
    ("std::sync::atomic", &[]),
    ("fastrand", &["fastrand::Rng"]),
    ("ring", &["ring::digest", "ring::hmac", "ring::pbkdf2"]),
];

/// The longest file that fits into a head, lines.
pub const LONGEST_FILE: usize = 600;
/// Files that may be longer, with the reason.
pub const LONG_FILES: &[(&str, &str)] =
    &[("src/encode/table/families.rs", "one table with a row for every encoder; splitting it would hide differences")];

/// The longest `main` file of a binary, lines: arguments, wiring, exit code.
pub const LONGEST_MAIN: usize = 200;

/// Where tests may call `sleep`, by the beginning of the path, with the reason.
pub const SLEEPERS: &[(&str, &str)] = &[(
    "tests/scenarios/support/",
    "foreign processes give no sign; the support looks again after a pause, till a deadline",
)];

pub fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}
