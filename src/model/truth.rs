//! What counts as a fault of an input's picture or sound, and how long it must last.
//!
//! Every fault has a limit beyond which it is one, a time for which it must last to be told, and another limit or time
//! after which it is over, so that none of them comes and goes at the edge.

use std::time::Duration;

/// How an input is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthSettings {
    /// The same picture again and again.
    pub frozen: FrozenLimits,
    /// A black picture.
    pub black: BlackLimits,
    /// No pictures.
    pub stalled: StalledLimits,
    /// Pictures that are missing or late.
    pub irregular: IrregularLimits,
    /// No sound, or a silent one.
    pub sound: SoundLimits,
}

impl TruthSettings {
    /// Of a device that delivers pictures as its receiver or sensor gives them, or each compressed by itself (MJPEG): an
    /// unchanged picture is the same to the last bit.
    pub const CAPTURED: Self = Self {
        frozen: FrozenLimits { after: Some(Duration::from_secs(8)), mean: 0.001, block: 1.5, ends_at: 1.5 },
        black: BlackLimits::USUAL,
        stalled: StalledLimits::USUAL,
        irregular: IrregularLimits::USUAL,
        sound: SoundLimits::USUAL,
    };

    /// Of a source that comes out of a codec which carries over from picture to picture (H.264, HEVC, AV1): an unchanged
    /// picture gains in sharpness after each keyframe, and is another one at the next. At 250 kbit/s and 640x360 that is up to
    /// 0.018 of the range in the mean, and up to 13 levels in a block of 16x16. The mean may be wide: what moves is in a block.
    pub const DECODED: Self = Self {
        frozen: FrozenLimits { after: Some(Duration::from_secs(8)), mean: 0.02, block: 16.0, ends_at: 1.5 },
        ..Self::CAPTURED
    };
}

/// When a picture is frozen.
///
/// A static slide from a computer is, bit by bit, a frozen picture; nobody can tell them apart. So it is worth a look at
/// another input, and no more than that.
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenLimits {
    /// Unchanged for this long, 1 s to 1 h; `None`: it is never told. 8 s: longer than a speaker stands still, and than
    /// most slides stand without a pointer moving over them.
    pub after: Option<Duration>,
    /// Mean difference up to which a picture is unchanged, as a part of the full range, 0 to 1. What FFmpeg's
    /// `freezedetect` takes by default is 0.001.
    pub mean: f32,
    /// And the largest mean difference of a block of 16x16 pixels, in levels, 0 to 255. The mean over the picture does not
    /// see a pointer that moves.
    pub block: f32,
    /// One change so many times larger than those two ends it at once; several smaller ones do too.
    pub ends_at: f32,
}

/// When a picture is black.
#[derive(Clone, Debug, PartialEq)]
pub struct BlackLimits {
    /// Black for this long, 500 ms to 1 h; `None`: it is never told. 3 s: longer than the black between two scenes.
    pub after: Option<Duration>,
    /// A pixel of up to this level is black, 0 to 255: 10 % of the limited range, 16 + 0.1 x 219.
    pub level: u8,
    /// So many of the pixels, 0 to 1, as FFmpeg's `blackdetect` takes by default.
    pub share: f32,
    /// And no block of 16x16 pixels with a higher mean level: with a title or a logo on it a picture is not black.
    pub lit: f32,
    /// It is over when fewer pixels than this are black, or a block is lit …
    pub ends_below: f32,
    /// … for this long.
    pub ends_after: Duration,
}

impl BlackLimits {
    const USUAL: Self = Self {
        after: Some(Duration::from_secs(3)),
        level: 38,
        share: 0.98,
        lit: 60.0,
        ends_below: 0.96,
        ends_after: Duration::from_millis(200),
    };
}

/// When pictures no longer come.
#[derive(Clone, Debug, PartialEq)]
pub struct StalledLimits {
    /// None for so many of the source's own intervals …
    pub intervals: u32,
    /// … and for this long. A busy machine delays pictures that are there by up to 190 ms, which makes 223 ms from one to
    /// the next at 30 a second.
    pub at_least: Duration,
    /// None for this long after the start, or after the first few, by which the source's intervals are not known yet: devices
    /// take a second or two to open.
    pub at_start: Duration,
    /// It is over when they have come for this long without another stall.
    pub ends_after: Duration,
}

impl StalledLimits {
    const USUAL: Self = Self {
        intervals: 3,
        at_least: Duration::from_millis(250),
        at_start: Duration::from_secs(3),
        ends_after: Duration::from_millis(500),
    };
}

/// When pictures come irregularly.
#[derive(Clone, Debug, PartialEq)]
pub struct IrregularLimits {
    /// Over this long …
    pub window: Duration,
    /// … so many of the places at the source's own rate got no picture in time, 0 to 1.
    pub share: f32,
    /// It is over when it is fewer than this.
    pub ends_below: f32,
}

impl IrregularLimits {
    const USUAL: Self = Self { window: Duration::from_secs(5), share: 0.1, ends_below: 0.04 };
}

/// When there is no sound, or a silent one.
#[derive(Clone, Debug, PartialEq)]
pub struct SoundLimits {
    /// Whether there is to be sound at all.
    pub expected: SoundExpected,
    /// No samples for this long.
    pub none_after: Duration,
    /// It is over when there are so many of them again.
    pub some_after: Duration,
    /// Silent for this long, 1 s to 1 h; `None`: it is never told. 10 s: longer than a pause for effect.
    pub silent_after: Option<Duration>,
    /// What is silent: a mean power (RMS) of 10 ms of the loudest channel, without its direct current, below this many dBFS,
    /// -90 to -20. A full-scale sine has -3 dBFS.
    pub silence_below: i32,
    /// Silence is over when this much sound was louder than that by [`Self::LOUDER`].
    pub loud_for: Duration,
}

impl SoundLimits {
    /// By how much sound must be louder than silence to end it, dB.
    pub const LOUDER: i32 = 3;

    const USUAL: Self = Self {
        expected: SoundExpected::OnceHeard,
        none_after: Duration::from_secs(2),
        some_after: Duration::from_millis(200),
        silent_after: Some(Duration::from_secs(10)),
        silence_below: -60,
        loud_for: Duration::from_millis(100),
    };
}

/// When the network between a remote source and here is a fault of the source's.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkLimits {
    /// So many of the packets did not come in time over [`Self::LOSS_OVER`], 0 to 1; `None`: it is never told. 2 %: with less, a
    /// picture is disturbed now and then; with more, more often than once in a second at usual rates.
    pub loss: Option<f32>,
    /// Round trip from which it is one, for as long; `None`: it is never told. 1 s: no repetition comes in time any more with any
    /// usual latency.
    pub rtt: Option<Duration>,
    /// The bit rate over [`Self::RATE_OVER`] is below so much of what it was before, 0 to 1; `None`: it is never told. 0.3: what a
    /// still picture does to an encoder with a variable bit rate is less than that.
    pub rate: Option<f32>,
}

impl NetworkLimits {
    /// Over this long loss and round trip are counted.
    pub const LOSS_OVER: Duration = Duration::from_secs(5);
    /// Over this long the bit rate is.
    pub const RATE_OVER: Duration = Duration::from_secs(2);
    /// And over this long before that, at least a third of it, what it is compared with.
    pub const RATE_BEFORE: Duration = Duration::from_secs(30);
    /// It is over when it is this much better than the limit.
    pub const ENDS_AT: f32 = 0.5;

    /// Unless somebody says something else.
    pub const USUAL: Self = Self { loss: Some(0.02), rtt: Some(Duration::from_secs(1)), rate: Some(0.3) };
}

/// Whether a source is to have sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundExpected {
    /// Whatever comes, or does not, is right.
    Never,
    /// From when there was some.
    OnceHeard,
    /// From the start.
    Always,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_ends_where_it_does_not_begin() {
        for settings in [TruthSettings::CAPTURED, TruthSettings::DECODED] {
            assert!(settings.frozen.ends_at > 1.0);
            assert!(settings.black.ends_below < settings.black.share);
            assert!(settings.black.lit > f32::from(settings.black.level), "else black would be lit");
            assert!(settings.irregular.ends_below < settings.irregular.share);
            assert!(settings.stalled.ends_after > settings.stalled.at_least, "else each gap would end the last one");
            assert!(Duration::from_secs(2) > settings.sound.loud_for, "what counts together must be longer");
        }
    }
}
