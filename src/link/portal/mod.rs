//! Asks now and then over each link whether a captive portal answers in the Internet's place.
//!
//! ```text
//!   every 30 s, and when the link has changed
//!      └─► Lookup ─► TCP on the link (SO_BINDTODEVICE) ─► GET, HTTP/1.1 ─► verdict (pure) ─► Observation::Portal
//! ```
//!
//! A portal lets probes through or not, as it likes; what it does to a page that it does not know is answer for it. So a
//! page is asked for whose answer is known: one without content, or one that begins with a given text. It has to be HTTP
//! without TLS: a portal could not answer for the other kind, which would look like any failure.
//!
//! *Invariant:* only an answer is a verdict. What fails or takes too long says nothing here: that is the probes' business.

mod run;
mod verdict;

pub use run::{CHECK_EVERY, CheckAssignment, check, run};
pub use verdict::{MOST_BODY, verdict};
