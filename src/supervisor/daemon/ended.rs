//! How holdfastd ended, for whoever sits at its terminal.

use std::fmt;

use crate::events::ChildSnapshot;
use crate::supervisor::children::label;

/// How holdfastd ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With all of its children.
    Whole,
    /// Alone: these go on, and with them what is on air, until the next holdfastd takes them over.
    Alone {
        /// What people call each, with its process.
        children: Vec<String>,
    },
}

impl Ended {
    /// Without its children.
    pub fn alone(children: &[ChildSnapshot]) -> Self {
        let running = children.iter().filter_map(|child| Some((label(&child.role), child.pid?)));
        let children: Vec<String> = running.map(|(who, pid)| format!("{who} (process {pid})")).collect();
        if children.is_empty() { Self::Whole } else { Self::Alone { children } }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("holdfastd has ended, and everything with it"),
            Self::Alone { children } => write!(
                f,
                "holdfastd has ended; what it started goes on, and with it what is on air: {}.\n\
                 The next holdfastd takes them over, and they end with `holdfast shutdown`. Ctrl-C instead of SIGTERM ends \
                 everything at once.",
                children.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::events::{ChildState, Role};
    use crate::model::InputId;

    #[test]
    fn whoever_ends_holdfastd_alone_is_told_what_goes_on_and_how_to_end_it() {
        let child = |role, pid| ChildSnapshot { role, state: ChildState::Running, pid, starts: 1, last_end: None };
        let worker = Role::Encode(InputId::new("camera").unwrap());
        let ended = Ended::alone(&[child(Role::Transmit, Some(12)), child(worker.clone(), Some(13))]);
        let text = ended.to_string();
        assert!(text.contains("data plane (process 12), worker camera (process 13)"), "{text}");
        assert!(text.contains("`holdfast shutdown`"), "{text}");
        assert_eq!(Ended::alone(&[child(worker, None)]), Ended::Whole, "one that is between two starts does not go on");
    }
}
