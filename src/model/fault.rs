//! What can be wrong with an input, in the field's words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is wrong with an input. In the order in which people should hear of them: the cause before what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The capture device is unplugged.
    DeviceGone,
    /// The receiver sees nothing on its cable.
    NoSignal,
    /// The receiver sees something that it cannot lock to.
    NoLock,
    /// A signal that the device cannot take.
    OutOfRange,
    /// The signal has changed its size or rate, and the capture is being set up anew.
    ModeChange,
    /// The network between a remote source and here loses it, or its bit rate has collapsed.
    Network,
    /// The source cannot be decoded, or its encoder failed.
    Encoder,
    /// No pictures come.
    Stalled,
    /// The worker of this input is gone, or does not answer.
    Worker,
    /// The same picture again and again.
    Frozen,
    /// A black picture.
    Black,
    /// Pictures come late, irregularly, or some are missing.
    Irregular,
    /// The source has no sound where one is expected.
    NoSound,
    /// Sound comes and is silent.
    Silent,
}

/// Whether an input with a fault can be shown at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gravity {
    /// It can be shown, and another input may be better.
    Soft,
    /// There is nothing to show.
    Hard,
}

impl Fault {
    /// Every fault, in order.
    pub const ALL: [Self; 14] = [
        Self::DeviceGone,
        Self::NoSignal,
        Self::NoLock,
        Self::OutOfRange,
        Self::ModeChange,
        Self::Network,
        Self::Encoder,
        Self::Stalled,
        Self::Worker,
        Self::Frozen,
        Self::Black,
        Self::Irregular,
        Self::NoSound,
        Self::Silent,
    ];

    /// Whether the input can be shown at all.
    pub const fn gravity(self) -> Gravity {
        match self {
            Self::DeviceGone
            | Self::NoSignal
            | Self::NoLock
            | Self::OutOfRange
            | Self::ModeChange
            | Self::Encoder
            | Self::Stalled
            | Self::Worker => Gravity::Hard,
            Self::Network | Self::Frozen | Self::Black | Self::Irregular | Self::NoSound | Self::Silent => {
                Gravity::Soft
            }
        }
    }

    /// Whether it concerns the sound alone.
    pub const fn is_of_sound(self) -> bool {
        matches!(self, Self::NoSound | Self::Silent)
    }

    /// As operators say it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::DeviceGone => "device gone",
            Self::NoSignal => "no signal",
            Self::NoLock => "no lock",
            Self::OutOfRange => "signal out of range",
            Self::ModeChange => "mode change",
            Self::Network => "network",
            Self::Encoder => "encoder",
            Self::Stalled => "stalled",
            Self::Worker => "worker gone",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::Irregular => "irregular frames",
            Self::NoSound => "no sound",
            Self::Silent => "silent",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// One fault with what it was told from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// The evidence, with its numbers: "unchanged for 8.0 s (mean difference 0.0000, largest block 0.4)".
    pub evidence: String,
}

/// All that is wrong with an input at one moment: at most one finding per fault, in the order of the faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Finding>", into = "Vec<Finding>")]
pub struct Condition(Vec<Finding>);

impl Condition {
    /// Nothing is wrong.
    pub const GOOD: Self = Self(Vec::new());

    /// Of these findings; of several about the same fault the first counts.
    pub fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|f| f.fault);
        findings.dedup_by_key(|f| f.fault);
        Self(findings)
    }

    /// What is wrong, the cause first.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is wrong.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.iter().any(|f| f.fault == fault)
    }

    /// The gravest of what is wrong with the picture.
    pub fn gravity(&self) -> Option<Gravity> {
        self.0.iter().filter(|f| !f.fault.is_of_sound()).map(|f| f.fault.gravity()).max()
    }
}

impl From<Vec<Finding>> for Condition {
    fn from(findings: Vec<Finding>) -> Self {
        Self::new(findings)
    }
}

impl From<Condition> for Vec<Finding> {
    fn from(condition: Condition) -> Self {
        condition.0
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.first() {
            None => f.write_str("good"),
            Some(first) => {
                write!(f, "{}", first.fault)?;
                self.0.iter().skip(1).try_for_each(|more| write!(f, ", {}", more.fault))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn finding(fault: Fault) -> Finding {
        Finding { fault, evidence: format!("because {fault}") }
    }

    #[test]
    fn all_is_all_and_in_order() {
        assert!(Fault::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Fault::ALL.last(), Some(&Fault::Silent), "a new last one belongs into ALL");
    }

    #[test]
    fn the_cause_is_told_before_what_follows_from_it() {
        let condition = Condition::new(vec![finding(Fault::Silent), finding(Fault::NoSignal), finding(Fault::Stalled)]);
        assert_eq!(condition.to_string(), "no signal, stalled, silent");
        assert_eq!(condition.gravity(), Some(Gravity::Hard));
        assert_eq!(Condition::GOOD.to_string(), "good");
    }

    #[test]
    fn sound_says_nothing_about_the_picture() {
        assert_eq!(Condition::new(vec![finding(Fault::Silent)]).gravity(), None);
        assert_eq!(Condition::new(vec![finding(Fault::Black), finding(Fault::NoSound)]).gravity(), Some(Gravity::Soft));
    }

    #[test]
    fn a_condition_goes_through_json_and_stays_in_order() {
        let text =
            r#"[{"fault":"silent","evidence":"a"},{"fault":"black","evidence":"b"},{"fault":"black","evidence":"c"}]"#;
        let condition: Condition = serde_json::from_str(text).unwrap();
        assert_eq!(condition.findings().len(), 2);
        assert_eq!(condition.findings()[0], Finding { fault: Fault::Black, evidence: "b".to_owned() });
        assert_eq!(serde_json::from_str::<Condition>(&serde_json::to_string(&condition).unwrap()).unwrap(), condition);
    }
}
