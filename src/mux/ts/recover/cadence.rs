//! How many pictures there are a second. Transport streams do not say it in one place for all codecs, so it is read off
//! the decoding times of the first few pictures, which wait until it is.

use super::Piece;
use crate::model::FrameRate;
use crate::mux::rates;

/// Pictures that are looked at. The shortest step between two counts, so that one lost picture does no harm.
const LOOK_AT: usize = 4;

/// The frame rate of one stream: known, or being found.
#[derive(Debug)]
pub(in crate::mux::ts) enum Cadence {
    Finding { waiting: Vec<Piece> },
    Known(FrameRate),
}

impl Cadence {
    pub(super) fn new(rate: Option<FrameRate>) -> Self {
        rate.map_or(Self::Finding { waiting: Vec::new() }, Self::Known)
    }

    /// Passes `piece` on with the rate, after those that waited for it; or lets it wait.
    pub(super) fn push(&mut self, piece: Piece, mut each: impl FnMut(Piece, FrameRate)) {
        match self {
            Self::Known(rate) => each(piece, *rate),
            Self::Finding { waiting } => {
                waiting.push(piece);
                if waiting.len() >= LOOK_AT {
                    let rate = rate_of(waiting);
                    let waited = std::mem::take(waiting);
                    *self = Self::Known(rate);
                    waited.into_iter().for_each(|piece| each(piece, rate));
                }
            }
        }
    }

    /// Settles for what can be told by now, and gives back what waited.
    pub(super) fn give_up(&mut self) -> Vec<Piece> {
        let Self::Finding { waiting } = self else { return Vec::new() };
        let rate = rate_of(waiting);
        let waited = std::mem::take(waiting);
        *self = Self::Known(rate);
        waited
    }
}

fn rate_of(pieces: &[Piece]) -> FrameRate {
    let steps = pieces.windows(2).map(|pair| (pair[1].dts - pair[0].dts).0).filter(|step| *step > 0);
    let Some(step) = steps.min() else { return FrameRate::whole(30) };
    // Steps are whole ticks of 90 kHz, so up to 12 µs off; the usual rates are farther apart.
    match rates::nearest(step, 12_000) {
        Some(rate) => rate,
        None => FrameRate::whole(u32::try_from((1_000_000_000 + step / 2) / step).unwrap_or(1).min(1000)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::{Media, VideoGrid};

    fn found(times: impl IntoIterator<Item = Media>) -> (Vec<Media>, Vec<FrameRate>) {
        let mut cadence = Cadence::new(None);
        let (mut order, mut rates) = (Vec::new(), Vec::new());
        for dts in times {
            cadence.push(Piece { pts: dts, dts, payload: Bytes::new() }, |piece, rate| {
                order.push(piece.dts);
                rates.push(rate);
            });
        }
        (order, rates)
    }

    #[test]
    fn every_usual_rate_is_told_from_its_ticks_even_if_a_picture_is_missing() {
        for rate in rates::USUAL {
            let ticks = |n: i64| Media(VideoGrid(rate).time_of(n).to_ticks(90_000) * 100_000 / 9);
            let times: Vec<Media> = [100, 101, 103, 104, 105].map(ticks).to_vec();
            let (order, rates) = found(times.clone());
            assert_eq!(order, times);
            assert!(rates.iter().all(|found| *found == rate), "{rate:?}: {rates:?}");
        }
    }

    #[test]
    fn an_unusual_rate_is_rounded_and_none_at_all_is_30() {
        assert_eq!(found((0..4).map(|n| Media::from_millis(66 * n))).1[0], FrameRate::whole(15));
        assert_eq!(found((0..4).map(|n| Media::from_millis(3000 * n))).1[0], FrameRate::whole(1));
        assert_eq!(found([Media::ZERO; 4]).1[0], FrameRate::whole(30));
    }

    #[test]
    fn nothing_waits_longer_than_for_the_first_four() {
        assert!(found((0..3).map(|n| Media::from_millis(40 * n))).0.is_empty());
        assert_eq!(found((0..9).map(|n| Media::from_millis(40 * n))).0.len(), 9);
    }
}
