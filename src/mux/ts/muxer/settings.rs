//! What is up to the caller.

use crate::model::Media;

/// How a programme is muxed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `program_number`, from 1.
    pub programme: u16,
    /// Shown by receivers as the service's name; at most 64 bytes of it.
    pub name: String,
    /// It has pictures: begins with a keyframe, and its clock goes with them. Otherwise it is sound only.
    pub pictures: bool,
    /// It has sound. The first map waits 200 ms at most for it, since some receivers take a new map for a new
    /// programme.
    pub sound: bool,
    /// Added to all time stamps. At least as long as capture and encoding take, and the longer, the later players with
    /// a decoder model show a picture. H.222.0 §2.4.2.7 allows up to 1 s.
    pub delay: Media,
    /// Longest time between two clock references, at most 40 ms; they come with each picture, and alone when this
    /// passes without one.
    pub clock_interval: Media,
    /// How long sound and tables wait for a payload to fill.
    pub hold: Media,
    /// Constant bit rate of all packets, bit/s, from padding; more than the streams and their packets' headers take, or
    /// they are late and then dropped. `None`: as much as there is.
    pub rate: Option<u64>,
}

impl Settings {
    /// The longest [`clock_interval`](Self::clock_interval): 40 ms (TR 101 290 test 2.3.a).
    pub const MAX_CLOCK_INTERVAL: Media = Media::from_millis(40);
}

impl Default for Settings {
    /// The delay is what software encoders were seen to need under load and some more; the clock interval leaves 5 ms
    /// for a timer that fires late and needs no packets of its own at 30 pictures a second.
    fn default() -> Self {
        Self {
            programme: 1,
            name: String::from("Holdfast"),
            pictures: true,
            sound: true,
            delay: Media::from_millis(500),
            clock_interval: Media::from_millis(35),
            hold: Media::from_millis(10),
            rate: None,
        }
    }
}
