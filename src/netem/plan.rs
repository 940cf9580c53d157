//! Pure. Changes at times: what a scenario does to its cables.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::change::{Change, NotAChange, Time, duration};

/// One step of a plan. As text: `2s main loss 5`.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Since the plan's beginning.
    pub at: Duration,
    /// Which cable.
    pub link: String,
    /// What happens to it.
    pub change: Change,
}

/// Steps in the order of their times. As text: one per line; an empty line and what follows `#` mean nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
    done: usize,
}

impl Plan {
    /// A plan of these steps, put in order; steps at the same time keep theirs.
    pub fn new(mut steps: Vec<Step>) -> Self {
        steps.sort_by_key(|step| step.at);
        Self { steps, done: 0 }
    }

    /// All steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The next step that is due when `since` has passed from the plan's beginning.
    pub fn poll(&mut self, since: Duration) -> Option<Step> {
        let step = self.steps.get(self.done).filter(|step| step.at <= since)?.clone();
        self.done += 1;
        Some(step)
    }

    /// When the next step is due, from the plan's beginning.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.steps.get(self.done).map(|step| step.at)
    }
}

/// A line that is not a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct NotAPlan {
    line: usize,
    why: NotAStep,
}

/// Why it is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NotAStep {
    #[error("not TIME LINK CHANGE, as in `2s main loss 5`")]
    Shape,
    #[error(transparent)]
    Change(#[from] NotAChange),
}

impl FromStr for Plan {
    type Err = NotAPlan;

    fn from_str(text: &str) -> Result<Self, NotAPlan> {
        let mut steps = Vec::new();
        for (line, words) in text.lines().enumerate() {
            let words = words.split('#').next().unwrap_or_default().trim();
            if !words.is_empty() {
                steps.push(step(words).map_err(|why| NotAPlan { line: line + 1, why })?);
            }
        }
        Ok(Self::new(steps))
    }
}

fn step(words: &str) -> Result<Step, NotAStep> {
    let (at, rest) = words.split_once(char::is_whitespace).ok_or(NotAStep::Shape)?;
    let (link, change) = rest.trim_start().split_once(char::is_whitespace).ok_or(NotAStep::Shape)?;
    Ok(Step { at: duration(at)?, link: link.to_owned(), change: change.parse()? })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{} {} {}", Time(step.at), step.link, step.change))
    }
}

#[cfg(test)]
mod tests;
