//! One producer, many consumers, no copies.
//!
//! The [`Ring`] keeps the last seconds of one rendition, pictures and sound interleaved in the order they arrived. A
//! *group* is one video keyframe and everything up to the next. Readers hold a [`Cursor`], a number into the ring, and
//! read the *open* group unit by unit as it grows; what they get is a reference count on the unit, never a copy.
//!
//! ```text
//!             oldest group        closed group           open group
//!   evicted │ K v a v a v a v │ K v a v a v a v a │ K v a v a …◄─ push
//!        ▲                ▲                         ▲       ▲
//!        │                reader, one group behind  │       reader that keeps up
//!        laggard: told how many units it lost ──────►
//!                                    a joiner begins here too
//! ```
//!
//! What leaves the ring, in this order, at each push:
//! 1. closed groups, oldest first, while the oldest began more than `max_age` of programme ago;
//! 2. closed groups, oldest first, while the ring holds more than `max_bytes`;
//! 3. if the open group alone holds more than `max_bytes` (a stream that stopped making keyframes), its oldest units.
//!    Its keyframe goes first, so from then on nobody can join it: joiners and whoever falls out wait for the next
//!    keyframe. A reader that keeps up notices nothing.
//!
//! *Invariant:* the producer never waits for a reader, and no reader can make another lose a unit.

mod ring;

pub use ring::{Cursor, Held, Read, Replay, Ring};
