//! Pure. Whether the worker gets things done, which is what a heartbeat must mean.

use crate::encode::protocol::Gate;
use crate::model::Media;

/// The grid thread reports every 100 ms; longer than this and it hangs.
const GRID_SILENCE: Media = Media::from_millis(500);
/// An encoder that has been fed and gives nothing for this long hangs.
const ENCODER_SILENCE: Media = Media::from_millis(1000);
/// One that stands by is fed a picture a second, and may give each when it gets the next.
const STANDBY_SILENCE: Media = Media::from_millis(5000);
/// An encoder may take longer than that to open its session.
const FIRST_UNIT: Media = Media::from_millis(8000);

/// What stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// The thread that keeps the grid.
    Grid,
    /// The encoder of this stream.
    Encoder(u16),
}

/// The signs of life.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    grid_seen: Media,
    streams: Vec<Life>,
    silence: Media,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    /// Fed without an answer since then, and last then. Encoders keep a picture or two in hand: where the source has ended,
    /// nobody waits for those.
    waiting: Option<(Media, Media)>,
    answered: bool,
}

impl Progress {
    /// `streams` encoders and a grid thread that begin at `now`.
    pub(super) fn new(streams: usize, now: Media) -> Self {
        let streams = vec![Life { waiting: None, answered: false }; streams];
        Self { grid_seen: now, streams, silence: ENCODER_SILENCE }
    }

    /// The grid thread reported, having fed `fed[i]` more units to encoder `i` since its last report.
    pub(super) fn grid_reported(&mut self, fed: &[u64], now: Media) {
        self.grid_seen = now;
        for (life, fed) in self.streams.iter_mut().zip(fed) {
            if *fed > 0 {
                let since = life.waiting.map_or(now, |(since, _)| since);
                life.waiting = Some((since, now));
            }
        }
    }

    /// The encoders are fed in full from now on, or stand by.
    pub(super) fn gate(&mut self, gate: Gate) {
        self.silence = match gate {
            Gate::Open => ENCODER_SILENCE,
            Gate::Closed => STANDBY_SILENCE,
        };
        self.streams.iter_mut().for_each(|life| life.waiting = None);
    }

    /// The sessions of these encoders are opened.
    pub(super) fn opened(&mut self, streams: impl Iterator<Item = usize>) {
        for stream in streams {
            if let Some(life) = self.streams.get_mut(stream) {
                *life = Life { waiting: None, answered: false };
            }
        }
    }

    /// Encoder `stream` gave a unit.
    pub(super) fn unit_made(&mut self, stream: u16) {
        if let Some(life) = self.streams.get_mut(usize::from(stream)) {
            *life = Life { waiting: None, answered: true };
        }
    }

    /// What stands still at `now`; `None` when everything moves and a beat may be sent.
    pub(super) fn stuck(&self, now: Media) -> Option<Stuck> {
        if now - self.grid_seen > GRID_SILENCE {
            return Some(Stuck::Grid);
        }
        (0..).zip(&self.streams).find_map(|(i, life)| {
            let patience = if life.answered { self.silence } else { FIRST_UNIT };
            let (since, last) = life.waiting?;
            let is_fed_on = (last - since) + (last - since) > patience;
            (is_fed_on && now - since > patience).then_some(Stuck::Encoder(i))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    #[test]
    fn a_grid_thread_that_stops_is_noticed() {
        let mut progress = Progress::new(1, ms(0));
        progress.grid_reported(&[0], ms(400));
        assert_eq!(progress.stuck(ms(900)), None);
        assert_eq!(progress.stuck(ms(901)), Some(Stuck::Grid));
    }

    #[test]
    fn an_encoder_that_swallows_pictures_is_noticed_after_its_session_opened() {
        let mut progress = Progress::new(2, ms(0));
        for at in (0..20_000).step_by(100) {
            progress.grid_reported(&[3, 5], ms(at));
            progress.unit_made(0);
            if at < 5000 {
                progress.unit_made(1);
            }
            let expected = (at > 6000).then_some(Stuck::Encoder(1));
            assert_eq!(progress.stuck(ms(at)), expected, "{at} ms");
        }
    }

    #[test]
    fn an_encoder_that_stands_by_gives_a_picture_when_it_gets_the_next() {
        let mut progress = Progress::new(1, ms(0));
        progress.unit_made(0);
        progress.gate(Gate::Closed);
        for at in (0..10_000).step_by(1000) {
            progress.unit_made(0);
            progress.grid_reported(&[1], ms(at));
            assert_eq!(progress.stuck(ms(at + 400)), None, "{at} ms");
        }
        progress.gate(Gate::Open);
        progress.grid_reported(&[3], ms(10_000));
        assert_eq!(progress.stuck(ms(10_400)), None, "what it owes from before is forgiven");
        progress.grid_reported(&[3], ms(11_001));
        assert_eq!(progress.stuck(ms(11_001)), Some(Stuck::Encoder(0)));
    }

    #[test]
    fn the_last_pictures_of_a_source_that_has_ended_are_not_waited_for() {
        for gate in [Gate::Open, Gate::Closed] {
            let mut progress = Progress::new(1, ms(0));
            progress.gate(gate);
            for at in (0..5000).step_by(100) {
                progress.grid_reported(&[u64::from(gate == Gate::Open || at % 1000 == 0)], ms(at));
                progress.unit_made(0);
            }
            progress.grid_reported(&[1], ms(5000));
            for at in (5100..60_000).step_by(100) {
                progress.grid_reported(&[0], ms(at));
                assert_eq!(progress.stuck(ms(at)), None, "{at} ms");
            }
        }
    }

    #[test]
    fn a_slow_first_picture_and_a_missing_source_are_not_hangs() {
        let mut progress = Progress::new(2, ms(0));
        for at in (0..8000).step_by(100) {
            progress.grid_reported(&[0, 3], ms(at));
            assert_eq!(progress.stuck(ms(at)), None, "{at} ms");
        }
        progress.grid_reported(&[0, 3], ms(8100));
        assert_eq!(progress.stuck(ms(8100)), Some(Stuck::Encoder(1)));
    }
}
