//! Holdfast: live video that stays on air.
//!
//! The rooms, in the order the picture flows through them. A *pure* room decides: it takes `now` as an argument and
//! does no input or output. The other rooms act: they hold no policy. `tests/tidy` enforces both.

// What flows through every room.                                                                   pure
pub mod model;

// A picture and its sound come in, on the shared grids.                               (feature "encode")
pub mod capture;

// Encoded once; carried to the data plane.                    (feature "encode"; the protocol is pure)
pub mod encode;

// Senders over a network come in.
pub mod ingest;

// Which source is on air and where to cut; owns programme time.                                    pure
pub mod switch;

// One producer, many consumers, no copies.                                                         pure
pub mod distribute;

// Access units become FLV tags and MP4 fragments.                                                  pure
pub mod mux;

// One session per destination, one thread per recording.
pub mod output;

// One programme from the switch to its outputs: what a box and a relay have in common.
pub mod programme;

// RTMP as a state machine without sockets.                                                         pure
pub mod rtmp;

// SRT as a state machine without sockets: one session over many paths.                             pure
pub mod srt;

// Which paths of an SRT session carry what: broadcast, main and backup.                             pure
pub mod bonding;

// The far end of the link: SRT in, the same destinations out.
pub mod relay;

// The network as the kernel reports it.
pub mod link;

// What modems, dishes and the machine say of themselves.
pub mod telemetry;

// Bad networks on demand: a model of links, in virtual time and between real sockets.
pub mod netem;

// Everything a human sees or asks for.                                                             pure
pub mod events;

// The configuration file, parsed once into types.                                                  pure
pub mod config;

// Keeps the processes alive.
pub mod supervisor;

// The only reader of time.
pub mod clock;
