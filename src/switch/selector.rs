//! Which input the switch wants on air. Where to cut to it is [`super::splice`]'s matter.
//!
//! - With nothing chosen: the first connected input in order of preference.
//! - The chosen one stays until it is lost, or until a preferred one has been connected for
//!   [`super::Thresholds::promote_after`]: a worker that crashes again and again does not take the picture each time.

use crate::events::InputSnapshot;
use crate::model::{InputId, Media};

#[derive(Debug)]
pub(super) struct Selector {
    /// In order of preference.
    inputs: Vec<Candidate>,
    chosen: Option<InputId>,
    promote_after: Media,
}

#[derive(Debug)]
struct Candidate {
    id: InputId,
    connected_since: Option<Media>,
    last_picture: Option<Media>,
}

impl Selector {
    pub(super) fn new(inputs: Vec<InputId>, promote_after: Media) -> Self {
        let inputs = inputs.into_iter().map(Candidate::new).collect();
        Self { inputs, chosen: None, promote_after }
    }

    pub(super) fn chosen(&self) -> Option<&InputId> {
        self.chosen.as_ref()
    }

    /// False if there is no such input.
    pub(super) fn connected(&mut self, input: &InputId, now: Media) -> bool {
        match self.inputs.iter_mut().find(|c| &c.id == input) {
            Some(candidate) => {
                candidate.connected_since = Some(now);
                true
            }
            None => false,
        }
    }

    pub(super) fn lost(&mut self, input: &InputId) {
        if let Some(candidate) = self.inputs.iter_mut().find(|c| &c.id == input) {
            candidate.connected_since = None;
        }
    }

    pub(super) fn picture(&mut self, input: &InputId, now: Media) {
        if let Some(candidate) = self.inputs.iter_mut().find(|c| &c.id == input) {
            candidate.last_picture = Some(now);
        }
    }

    /// Another list. What is known of inputs that stay is kept; returns those that are gone.
    pub(super) fn replace(&mut self, inputs: Vec<InputId>) -> Vec<InputId> {
        let mut old = std::mem::take(&mut self.inputs);
        self.inputs = inputs
            .into_iter()
            .map(|id| match old.iter().position(|c| c.id == id) {
                Some(i) => old.remove(i),
                None => Candidate::new(id),
            })
            .collect();
        old.into_iter().map(|c| c.id).collect()
    }

    /// Decides. True if another input is chosen than before.
    pub(super) fn choose(&mut self, now: Media) -> bool {
        let current =
            self.inputs.iter().position(|c| Some(&c.id) == self.chosen.as_ref() && c.connected_since.is_some());
        let choice = match current {
            None => self.inputs.iter().find(|c| c.connected_since.is_some()),
            Some(i) => {
                let promoted = self.inputs.iter().take(i).find(|c| self.promotion(c).is_some_and(|at| at <= now));
                promoted.or(self.inputs.get(i))
            }
        }
        .map(|c| c.id.clone());
        let changed = choice != self.chosen;
        self.chosen = choice;
        changed
    }

    /// When the next preferred input will have been connected for long enough.
    pub(super) fn deadline(&self) -> Option<Media> {
        let chosen = self.inputs.iter().position(|c| Some(&c.id) == self.chosen.as_ref())?;
        self.inputs.iter().take(chosen).filter_map(|c| self.promotion(c)).min()
    }

    fn promotion(&self, candidate: &Candidate) -> Option<Media> {
        candidate.connected_since.map(|since| since + self.promote_after)
    }

    pub(super) fn snapshot(&self, now: Media) -> Vec<InputSnapshot> {
        self.inputs
            .iter()
            .map(|c| InputSnapshot {
                id: c.id.clone(),
                connected: c.connected_since.is_some(),
                last_unit_ms: c.last_picture.map(|at| u64::try_from((now - at).to_ticks(1000)).unwrap_or(0)),
            })
            .collect()
    }
}

impl Candidate {
    fn new(id: InputId) -> Self {
        Self { id, connected_since: None, last_picture: None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn id(name: &str) -> InputId {
        InputId::new(name).unwrap()
    }

    fn selector() -> Selector {
        Selector::new(vec![id("camera"), id("film")], Media::from_millis(2000))
    }

    #[test]
    fn with_nothing_chosen_whoever_is_connected_is_taken_at_once() {
        let mut selector = selector();
        assert!(!selector.choose(Media::ZERO));
        selector.connected(&id("film"), Media::ZERO);
        assert!(selector.choose(Media::ZERO));
        assert_eq!(selector.chosen(), Some(&id("film")));
    }

    #[test]
    fn a_preferred_input_takes_over_once_it_has_stayed() {
        let mut selector = selector();
        selector.connected(&id("film"), Media::ZERO);
        selector.choose(Media::ZERO);
        selector.connected(&id("camera"), Media::from_millis(100));
        assert!(!selector.choose(Media::from_millis(2099)));
        assert_eq!(selector.deadline(), Some(Media::from_millis(2100)));
        assert!(selector.choose(Media::from_millis(2100)));
        assert_eq!(selector.chosen(), Some(&id("camera")));
        assert_eq!(selector.deadline(), None);
    }

    #[test]
    fn a_preferred_input_that_keeps_crashing_never_takes_over() {
        let mut selector = selector();
        selector.connected(&id("film"), Media::ZERO);
        selector.choose(Media::ZERO);
        for second in 1..100 {
            selector.connected(&id("camera"), Media::from_millis(second * 1000));
            assert!(!selector.choose(Media::from_millis(second * 1000 + 900)));
            selector.lost(&id("camera"));
            assert!(!selector.choose(Media::from_millis(second * 1000 + 900)));
        }
    }

    #[test]
    fn a_lost_input_gives_way_to_the_next_connected_one() {
        let mut selector = selector();
        selector.connected(&id("camera"), Media::ZERO);
        selector.connected(&id("film"), Media::ZERO);
        selector.choose(Media::ZERO);
        selector.lost(&id("camera"));
        assert!(selector.choose(Media::ZERO));
        assert_eq!(selector.chosen(), Some(&id("film")));
        assert_eq!(selector.replace(vec![id("camera")]), vec![id("film")]);
        assert!(selector.choose(Media::ZERO));
        assert_eq!(selector.chosen(), None);
    }

    #[test]
    fn an_input_nobody_configured_is_not_taken() {
        let mut selector = selector();
        assert!(!selector.connected(&id("stranger"), Media::ZERO));
        assert!(!selector.choose(Media::ZERO));
    }
}
