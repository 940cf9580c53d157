//! Pure. A sender's time, mapped to ours: when what it sends is due here.
//!
//! ```text
//!   due = sender's time + offset + cushion
//!           offset: the least time from a unit's own to its arrival, over a window; followed slowly
//! ```
//!
//! Units come earlier or later than they should, never earlier than the network allows: the least offset is the network's, and
//! what is above it is waiting, which the cushion has to outlast. Clocks differ by some parts in a million, which moves the least
//! offset slowly, and is followed slowly; only a sender whose time jumps is followed at once.
//!
//! An offset that is off by little is left as it is, since each change is a picture that comes twice or not at all.
//!
//! *Invariant:* from unit to unit the offset changes by no more than [`SLEW`] of the time between them, unless the sender's time
//! has jumped or it has only just begun.

use crate::model::Media;

/// The least offset of so long is taken for the true one.
const WINDOW: Media = Media::from_millis(10_000);
/// A sender that has just begun is followed at once for so long: nobody relies on it yet.
const SETTLES: Media = Media::from_millis(1500);
/// The offset changes by a part of this at most: 0.1 %, ten times what bad clocks differ, and not heard.
pub const SLEW: i64 = 1000;
/// Units that come so much earlier than any before, or later all through a window, are of another time base.
const JUMP: Media = Media::from_millis(1000);
/// An offset that is off by less is right.
const ENOUGH: Media = Media::from_millis(20);

/// See the module.
#[derive(Clone, Debug)]
pub struct SenderClock {
    cushion: Media,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// No unit of this time base has come.
    Unknown,
    Running(Running),
}

#[derive(Clone, Debug)]
struct Running {
    began: Media,
    offset: Media,
    /// Where the offset ought to be.
    target: Media,
    pace: Pace,
    /// When the window began, and the least offset in it.
    window: (Media, Media),
    told: Media,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Stays,
    Slews,
}

impl SenderClock {
    /// What is due is `cushion` later than it could be at the earliest.
    pub const fn new(cushion: Media) -> Self {
        Self { cushion, state: State::Unknown }
    }

    /// Times from here on are not comparable with those before.
    pub fn restart(&mut self) {
        self.state = State::Unknown;
    }

    /// A unit that is decoded at `dts`, of the sender's time, came at `now`. Returns what to add to the sender's times.
    pub fn arrived(&mut self, dts: Media, now: Media) -> Media {
        let sample = now - dts;
        let fresh =
            Running { began: now, offset: sample, target: sample, pace: Pace::Stays, window: (now, sample), told: now };
        let State::Running(running) = &mut self.state else {
            self.state = State::Running(fresh);
            return sample + self.cushion;
        };
        if running.offset - sample > JUMP || running.follow(sample, now) - running.offset > JUMP {
            *running = fresh;
        }
        running.slew(now);
        running.offset + self.cushion
    }
}

impl Running {
    /// Where the offset ought to be.
    fn follow(&mut self, sample: Media, now: Media) -> Media {
        if sample < self.target {
            self.target = sample;
        }
        let (began, least) = &mut self.window;
        *least = sample.min(*least);
        if now - *began >= WINDOW {
            self.target = *least;
            self.window = (now, sample);
        }
        self.target
    }

    fn slew(&mut self, now: Media) {
        let is_new = now - self.began < SETTLES;
        let most = if is_new { JUMP } else { Media((now - self.told).0.max(0) / SLEW) };
        self.told = now;
        let change = self.target - self.offset;
        if is_new || change.0.abs() > ENOUGH.0 {
            self.pace = Pace::Slews;
        } else if change == Media::ZERO {
            self.pace = Pace::Stays;
        }
        if self.pace == Pace::Stays {
            return;
        }
        self.offset = self.offset + change.clamp(Media::ZERO - most, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUSHION: Media = Media::from_millis(200);

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    /// Units every 33 ms by a clock off by `ppm`, each delayed by 20 ms and up to 100 ms more; how late each is when it
    /// comes, against when it is due (negative: in time).
    fn run(ppm: i64, seconds: i64) -> Vec<Media> {
        let (mut rng, mut clock) = (fastrand::Rng::with_seed(7), SenderClock::new(CUSHION));
        let (mut lates, mut last) = (Vec::new(), Media::ZERO);
        for n in 0..seconds * 30 {
            let dts = ms(n * 33) + ms(1_000_000);
            let sent = ms(n * 33) + Media(ms(n * 33).0 / 1_000_000 * ppm);
            last = last.max(sent + ms(20) + ms(rng.i64(0..100)));
            let due = dts + clock.arrived(dts, last);
            lates.push(last - due);
        }
        lates
    }

    #[test]
    fn jitter_up_to_the_cushion_makes_nothing_late_however_fast_the_senders_clock() {
        for ppm in [0, 80, -80, 300, -300] {
            let lates = run(ppm, 1200);
            assert!(lates.iter().all(|late| *late <= Media::ZERO), "{ppm} ppm: {:?} late", lates.iter().max());
            let early = lates.iter().skip(300).min().copied().unwrap_or_default();
            assert!(early >= ms(-235), "{ppm} ppm: waits for {early:?}, more than the cushion");
        }
    }

    #[test]
    fn the_offset_moves_slowly_after_the_beginning() {
        let mut clock = SenderClock::new(CUSHION);
        // The first unit was held up by 700 ms; that is made up for at once.
        let first = clock.arrived(ms(0), ms(700));
        let second = clock.arrived(ms(33), ms(733 - 600));
        assert_eq!((first, second), (ms(900), ms(300)));
        for n in 2..100 {
            clock.arrived(ms(n * 33), ms(n * 33 + 100));
        }
        // Later a way that is a little faster, which is left alone, and one that is followed by a thousandth of the time.
        let before = clock.arrived(ms(3300), ms(3400));
        assert_eq!(clock.arrived(ms(3350), ms(3435)), before);
        let after = clock.arrived(ms(3400), ms(3450));
        assert!((before - after).0 <= 100_000 && before > after, "{before:?} {after:?}");
    }

    #[test]
    fn a_stall_moves_nothing_and_a_jump_is_followed() {
        let mut clock = SenderClock::new(CUSHION);
        let mut offset = Media::ZERO;
        for n in 0..300 {
            offset = clock.arrived(ms(n * 33), ms(n * 33 + 50));
        }
        // Three seconds of nothing, and then all of it at once.
        for n in 300..390 {
            let at = clock.arrived(ms(n * 33), ms(390 * 33 + 50));
            assert!((at - offset).0.abs() < 1_000_000, "a stall moved it to {at:?} from {offset:?}");
        }
        // The sender's clock leaps forward.
        let leapt = clock.arrived(ms(500_000), ms(13_000));
        assert_eq!(leapt, ms(13_000 - 500_000) + CUSHION);
        // And it paused: everything is later from here on, which a window shows.
        let mut last = leapt;
        for n in 0..1000 {
            last = clock.arrived(ms(500_000 + n * 33), ms(13_000 + 4_000 + n * 33));
        }
        assert_eq!(last, leapt + ms(4_000));
        clock.restart();
        assert_eq!(clock.arrived(ms(7), ms(100_000)), ms(100_000 - 7) + CUSHION);
    }
}
