//! Telemetry from real protocol servers: ModemManager's D-Bus interface on a message bus of its own, a dish's gRPC on
//! loopback, files in `/sys`'s place. It proves the conversations, not what real modems and dishes say.

// A test says what it expected by panicking, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod dishes;
mod fake_dish;
mod heat;
mod machine;
mod mock;
mod modems;
mod watching;
