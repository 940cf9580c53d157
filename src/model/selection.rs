//! How a programme's input is chosen: what operators set beforehand, and what they ask for while the show runs.
//!
//! Times are lengths on the clock that the switch decides on. Whoever reads them from people keeps to the ranges beside
//! them; the switch itself takes any value, and no value makes it change inputs more often than it promises.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{InputId, Media};

/// The rules by which one programme chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which of several good inputs is best.
    pub mode: SelectionMode,
    /// Whose sound goes with the picture.
    pub sound: AudioFrom,
    /// What the picture does when its input has no sound.
    pub silence: Silence,
    /// For how long the last picture stays when nothing comes any more, before the slate. See [`Selection::STILL`].
    pub still: Media,
    /// The rules of single inputs; those that are not listed have [`InputRules::default`].
    pub inputs: BTreeMap<InputId, InputRules>,
}

impl Default for Selection {
    /// 2 s of a picture that stands: what a worker takes to be found hung, replaced, and on air again, on a slow box as well.
    /// Longer, and people should be told that something is wrong.
    fn default() -> Self {
        Self {
            mode: SelectionMode::default(),
            sound: AudioFrom::default(),
            silence: Silence::default(),
            still: Media::from_millis(2000),
            inputs: BTreeMap::new(),
        }
    }
}

impl Selection {
    /// From the slate at once to ten seconds: nobody takes a picture that stands for longer for a live one.
    pub const STILL: RangeInclusive<Media> = Media::ZERO..=Media::from_millis(10_000);

    /// The rules of one input.
    pub fn rules(&self, input: &InputId) -> InputRules {
        self.inputs.get(input).copied().unwrap_or_default()
    }

    /// Whether faults of sound count against an input's picture: if they are wanted to, and the sound is its own.
    pub fn heeds_sound(&self) -> bool {
        self.silence == Silence::Moves && self.sound == AudioFrom::Picture
    }
}

/// Which of several good inputs is on air.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectionMode {
    /// Active/standby: the first in order of preference.
    #[default]
    Standby,
    /// Active/active: the one with the most points, if it leads clearly and for long enough.
    Scored(Lead),
}

/// What an input has to be ahead by before it takes the picture from a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Points of 100; see [`Lead::POINTS`].
    pub points: u8,
    /// Without interruption; see [`Lead::HELD`].
    pub held: Media,
}

impl Lead {
    /// Less than a point is no lead. Beyond 50 an input whose network has collapsed (50 of 100) would never be left.
    pub const POINTS: RangeInclusive<u8> = 1..=50;
    /// Nothing, or up to a minute.
    pub const HELD: RangeInclusive<Media> = Media::ZERO..=Media::from_millis(60_000);
}

impl Default for Lead {
    /// 20 points for 3 s: less than any fault of a picture costs, more than missing sound does, and about as long as a viewer
    /// takes to see that something is wrong.
    fn default() -> Self {
        Self { points: 20, held: Media::from_millis(3000) }
    }
}

/// When one input is left, and when it is trusted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputRules {
    /// A fault that can be shown (frozen, black, late pictures) has to last for so long before it counts. It comes on top of
    /// what the detector itself takes to be sure. See [`InputRules::HOLD_OFF`].
    pub hold_off: Media,
    /// After a fault that counted, the input has to be good for so long without interruption; twice as long after each relapse,
    /// up to [`InputRules::PROBATION_MOST`]. See [`InputRules::PROBATION`].
    pub probation: Media,
    /// Its points when nothing is wrong with it, where inputs are scored. See [`InputRules::WORTH`].
    pub worth: u8,
}

impl InputRules {
    /// From "at once" to a minute: whoever does not want to leave a frozen picture at all has no use for the detector.
    pub const HOLD_OFF: RangeInclusive<Media> = Media::ZERO..=Media::from_millis(60_000);
    /// A second is less than one GOP of many cameras, and ten minutes are a long time without one's best camera.
    pub const PROBATION: RangeInclusive<Media> = Media::from_millis(1000)..=Media::from_millis(600_000);
    /// From the last resort to the best.
    pub const WORTH: RangeInclusive<u8> = 1..=100;
    /// No relapse makes a probation longer than this, unless it is longer by itself.
    pub const PROBATION_MOST: Media = Media::from_millis(300_000);
    /// Who has been trusted for so long starts anew: its next failure is its first.
    pub const FORGIVEN_AFTER: Media = Media::from_millis(600_000);
}

impl Default for InputRules {
    /// - 2 s of hold-off: detectors have waited for some seconds already, and a source that renegotiates is often back in
    ///   one. It also outlasts a fade to black and up again.
    /// - 10 s of probation: a loose plug, a camera that reboots or a worker that crashes over its first pictures shows
    ///   itself within that; longer waits come by themselves with relapses.
    fn default() -> Self {
        Self { hold_off: Media::from_millis(2000), probation: Media::from_millis(10_000), worth: 100 }
    }
}

/// Whose sound goes with the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AudioFrom {
    /// That of the input whose picture is on air.
    #[default]
    Picture,
    /// Always this input's, whatever the picture does: a mixing desk. Where it has none, silence.
    Input(InputId),
}

/// What the picture does when its input has no sound, or only silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// It stays: microphones are muted on purpose, and music has pauses.
    #[default]
    Stays,
    /// It goes to another input as with any other fault that can be shown, if that input is better.
    Moves,
}

/// What an operator wants on air.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manual {
    /// Whatever the rules choose.
    #[default]
    Auto,
    /// This input, whatever its picture is like, as long as there is one.
    Input(InputId),
    /// The slate.
    Slate,
}

impl fmt::Display for Manual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("automatic"),
            Self::Input(input) => input.fmt(f),
            Self::Slate => f.write_str("the slate"),
        }
    }
}

/// What the worker of an input is to be ready for. It is about the picture's encoders: those of sound always run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// Its pictures are on air or awaited: the gate is open.
    OnAir,
    /// Its pictures are not used: the gate may be closed.
    Warm,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_defaults_lie_within_their_ranges() {
        let (rules, lead) = (InputRules::default(), Lead::default());
        assert!(InputRules::HOLD_OFF.contains(&rules.hold_off));
        assert!(InputRules::PROBATION.contains(&rules.probation));
        assert!(InputRules::WORTH.contains(&rules.worth));
        assert!(Selection::STILL.contains(&Selection::default().still));
        assert!(Lead::POINTS.contains(&lead.points) && Lead::HELD.contains(&lead.held));
    }

    #[test]
    fn an_input_that_is_not_listed_has_the_usual_rules() {
        let film = InputId::new("film").unwrap();
        let special = InputRules { worth: 40, ..InputRules::default() };
        let selection = Selection { inputs: [(film.clone(), special)].into(), ..Selection::default() };
        assert_eq!(selection.rules(&film).worth, 40);
        assert_eq!(selection.rules(&InputId::new("camera").unwrap()), InputRules::default());
    }

    #[test]
    fn sound_that_is_not_the_inputs_own_says_nothing_about_it() {
        let moves = Selection { silence: Silence::Moves, ..Selection::default() };
        assert!(moves.heeds_sound() && !Selection::default().heeds_sound());
        let desk = AudioFrom::Input(InputId::new("desk").unwrap());
        assert!(!Selection { sound: desk, ..moves }.heeds_sound());
    }

    #[test]
    fn a_wish_goes_through_json() {
        for (wish, text) in [
            (Manual::Auto, r#""auto""#),
            (Manual::Slate, r#""slate""#),
            (Manual::Input(InputId::new("film").unwrap()), r#"{"input":"film"}"#),
        ] {
            assert_eq!(serde_json::to_string(&wish).unwrap(), text);
            assert_eq!(serde_json::from_str::<Manual>(text).unwrap(), wish);
        }
        assert_eq!(serde_json::to_string(&Duty::OnAir).unwrap(), r#""on-air""#);
    }
}
