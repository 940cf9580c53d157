//! How it is told what is wrong with an input.

use holdfast::events::Severity;
use holdfast::model::Condition;

/// What people hear when `before` becomes `now`: a warning when a fault is new, in words with the evidence. `None` when it is
/// the same.
pub(crate) fn told(before: &Condition, now: &Condition) -> Option<(Severity, String)> {
    if before == now {
        return None;
    }
    let is_new = now.findings().iter().any(|finding| !before.has(finding.fault));
    let severity = if is_new { Severity::Warning } else { Severity::Info };
    if now.is_good() {
        return Some((severity, "nothing is wrong with it any more".to_owned()));
    }
    let each: Vec<String> =
        now.findings().iter().map(|finding| format!("{}: {}", finding.fault, finding.evidence)).collect();
    Some((severity, each.join("; ")))
}

#[cfg(test)]
mod tests {
    use holdfast::model::{Fault, Finding};

    use super::*;

    fn condition(faults: &[Fault]) -> Condition {
        let finding = |fault: &Fault| Finding { fault: *fault, evidence: format!("for {} s", fault.words().len()) };
        Condition::new(faults.iter().map(finding).collect())
    }

    #[test]
    fn what_gets_worse_is_a_warning_and_what_gets_better_is_told_too() {
        let (good, silent) = (Condition::GOOD, condition(&[Fault::Silent]));
        let both = condition(&[Fault::Silent, Fault::Black]);
        assert_eq!(told(&good, &silent), Some((Severity::Warning, "silent: for 6 s".to_owned())));
        assert_eq!(told(&silent, &both), Some((Severity::Warning, "black: for 5 s; silent: for 6 s".to_owned())));
        assert_eq!(told(&both, &silent), Some((Severity::Info, "silent: for 6 s".to_owned())));
        assert_eq!(told(&silent, &good), Some((Severity::Info, "nothing is wrong with it any more".to_owned())));
        assert_eq!(told(&silent, &condition(&[Fault::Black])).map(|(severity, _)| severity), Some(Severity::Warning));
    }

    #[test]
    fn the_same_is_not_told_again() {
        let black = condition(&[Fault::Black]);
        assert_eq!(told(&black, &black.clone()), None);
        assert_eq!(told(&Condition::GOOD, &Condition::default()), None);
    }
}
