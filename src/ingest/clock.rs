//! Pure. A sender's time, mapped to ours: when what it sends is due here.
//!
//! ```text
//!   due = sender's time + offset + cushion
//!           offset: of each second the latest unit, of the last ten seconds the one whose latest came earliest
//! ```
//!
//! Units come in bursts, since senders fill packets (FFmpeg a fifth of a second of sound): the last of a burst is in time, and
//! the first has waited for it. So it is the latest of a second that counts. Seconds in which something was held up are worse
//! than the others and do not count; what they need is the cushion's to give. Clocks differ by some parts in a million, which
//! moves the offset slowly, and is followed slowly; only a sender whose time jumps is followed at once. An offset that is off by
//! little is left as it is, since each change is a picture that comes twice or not at all.
//!
//! *Invariant:* from unit to unit the offset changes by no more than [`SLEW`] of the time between them, unless the sender's time
//! has jumped or it has only just begun.

use std::collections::VecDeque;

use crate::model::Media;

/// The latest of so long counts.
const BURSTS: Media = Media::from_millis(1000);
/// Of so many of those the earliest.
const WINDOW: usize = 10;
/// A sender that has just begun is followed at once for so long: nobody relies on it yet.
const SETTLES: Media = Media::from_millis(1500);
/// The offset changes by a part of this at most: 0.1 %, ten times what bad clocks differ, and not heard.
pub const SLEW: i64 = 1000;
/// Units that come so much earlier than any before, or later all through the window, are of another time base.
const JUMP: Media = Media::from_millis(2000);
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
    /// When the second began, and the largest offset in it.
    second: (Media, Media),
    /// The largest offsets of the last seconds.
    seconds: VecDeque<Media>,
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
        let State::Running(running) = &mut self.state else {
            self.state = State::Running(Running::new(sample, now));
            return sample + self.cushion;
        };
        running.follow(sample, now);
        if running.offset - sample > JUMP || running.target - running.offset > JUMP {
            *running = Running::new(sample, now);
        }
        running.slew(now);
        running.offset + self.cushion
    }
}

impl Running {
    fn new(sample: Media, now: Media) -> Self {
        Self {
            began: now,
            offset: sample,
            target: sample,
            pace: Pace::Stays,
            second: (now, sample),
            seconds: VecDeque::new(),
            told: now,
        }
    }

    /// Finds where the offset ought to be.
    fn follow(&mut self, sample: Media, now: Media) {
        let (began, latest) = &mut self.second;
        if now - *began >= BURSTS {
            self.seconds.push_back(*latest);
            if self.seconds.len() > WINDOW {
                self.seconds.pop_front();
            }
            self.second = (now, sample);
        } else {
            *latest = sample.max(*latest);
        }
        let whole = self.seconds.iter().min().copied();
        self.target = whole.unwrap_or(self.second.1);
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
    fn nothing_is_later_than_a_part_of_the_cushion_however_fast_the_senders_clock() {
        for ppm in [0, 80, -80, 300, -300] {
            let lates = run(ppm, 1200);
            let (most, least) = (lates.iter().skip(60).max().copied(), lates.iter().skip(60).min().copied());
            assert!(most <= Some(ms(-140)), "{ppm} ppm: only {most:?} before it was due");
            assert!(least >= Some(ms(-340)), "{ppm} ppm: waited for {least:?}");
        }
    }

    #[test]
    fn of_a_burst_the_first_is_in_time_too() {
        let mut clock = SenderClock::new(CUSHION);
        let mut margin = ms(1000);
        for burst in 0..100 {
            // A quarter of a second of sound in one packet, which leaves when it is full.
            let now = ms(burst * 250 + 260);
            for n in 0..12 {
                let dts = ms(burst * 250 + n * 21);
                let due = dts + clock.arrived(dts, now);
                if burst > 4 {
                    margin = margin.min(due - now);
                }
            }
        }
        assert!(margin >= ms(180), "the first of a burst came {margin:?} before it was due");
    }

    #[test]
    fn the_offset_moves_slowly_after_the_beginning() {
        let mut clock = SenderClock::new(CUSHION);
        // The first is quick; what comes in the second that follows was later, and counts at once.
        assert_eq!(clock.arrived(ms(0), ms(100)), ms(300));
        assert_eq!(clock.arrived(ms(33), ms(233)), ms(400));
        for n in 2..400 {
            clock.arrived(ms(n * 33), ms(n * 33 + 200));
        }
        // Then a way that is a little faster, which is left alone, and one that is followed by a thousandth of the time.
        let before = clock.arrived(ms(13_200), ms(13_400));
        for n in 401..500 {
            assert_eq!(clock.arrived(ms(n * 33), ms(n * 33 + 185)), before);
        }
        let mut last = before;
        for n in 500..600 {
            let now = clock.arrived(ms(n * 33), ms(n * 33 + 120));
            assert!((last - now).0 <= 34_000 && last >= now, "{last:?} {now:?}");
            last = now;
        }
        assert!(last < before);
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
        // And it paused: everything is later from here on, which ten seconds show.
        let mut last = leapt;
        for n in 0..1000 {
            last = clock.arrived(ms(500_000 + n * 33), ms(13_000 + 4_000 + n * 33));
        }
        assert_eq!(last, leapt + ms(4_000));
        clock.restart();
        assert_eq!(clock.arrived(ms(7), ms(100_000)), ms(100_000 - 7) + CUSHION);
    }
}
