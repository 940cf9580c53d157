//! What the judge says of clips whose truth is known, and that it says nothing of a film on which nothing is wrong.
//!
//! Every clip is made on the spot: pictures and sound by FFmpeg, some of them through a codec and back; schedules of arrival
//! from a seed. Each belongs to one of two sets. On [`clips::Set::Tuning`] limits were chosen; those of
//! [`clips::Set::HeldOut`] were written down beforehand and looked at once, when the limits were settled. The rule for
//! whoever changes limits or the measure: tune on the first set only. A clip that has moved a limit belongs into the
//! first set from then on, and a fresh one of its kind takes its place in the second.
//!
//! `HOLDFAST_TRUTH=tuning` leaves the second set unseen.
//!
//! The tables that are printed count clips per fault: in rows what is true, in columns what was said.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod bench;
mod clips;
mod film;
mod schedules;
#[path = "../scenarios/support/tools.rs"]
#[allow(dead_code)]
mod tools;

use std::collections::BTreeMap;

use bench::Verdict;
use clips::Set;
use holdfast::model::Fault;

/// Faults that pictures, sound and their arrival tell.
const JUDGED: [Fault; 6] =
    [Fault::Stalled, Fault::Frozen, Fault::Black, Fault::Irregular, Fault::NoSound, Fault::Silent];

/// What is known to be told wrongly, and why; each is counted as wrong in the tables.
const KNOWN_LIMITS: &[(&str, &str)] = &[(
    "a blue card",
    "only the luma is looked at, and that of a dark blue (35) is below a tenth of the range: it is taken to be black",
)];

/// What was said of one clip beside what is true of it.
struct Outcome {
    name: &'static str,
    set: Set,
    /// Faults, each with when it begins and by when it must have been told, seconds.
    truth: Vec<(Fault, f64, f64)>,
    /// Faults that are over at the end.
    over: Vec<Fault>,
    verdict: Verdict,
}

impl Outcome {
    /// What is wrong with what was said.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for fault in JUDGED {
            let wanted = self.truth.iter().find(|(f, ..)| *f == fault);
            match (wanted, self.verdict.told.get(&fault)) {
                (None, Some((at, evidence))) => {
                    mistakes.push(format!("{fault} after {at:.1} s, wrongly: {evidence}"));
                }
                (Some((_, from, to)), None) => mistakes.push(format!("no {fault} from {from} to {to} s")),
                (Some((_, from, to)), Some((at, evidence))) if at < from || at > to => {
                    mistakes.push(format!("{fault} after {at:.1} s, not from {from} to {to} s: {evidence}"));
                }
                (Some(_), Some(_)) if self.over.contains(&fault) == self.verdict.at_end.contains(&fault) => {
                    mistakes.push(format!("at the end: {:?}", self.verdict.at_end));
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        mistakes
    }
}

fn print_table(title: &str, outcomes: &[&Outcome]) {
    println!("{title}: {} clips", outcomes.len());
    println!("  {:<18} {:>6} {:>9} {:>12} {:>9}", "", "told", "not told", "wrongly told", "rightly not");
    for fault in JUDGED {
        let mut counts: BTreeMap<(bool, bool), usize> = BTreeMap::new();
        for outcome in outcomes {
            let is_true = outcome.truth.iter().any(|(f, ..)| *f == fault);
            *counts.entry((is_true, outcome.verdict.told.contains_key(&fault))).or_default() += 1;
        }
        let count = |is_true, told| counts.get(&(is_true, told)).copied().unwrap_or(0);
        let (hit, missed) = (count(true, true), count(true, false));
        let (wrong, right) = (count(false, true), count(false, false));
        println!("  {:<18} {hit:>6} {missed:>9} {wrong:>12} {right:>9}", fault.words());
    }
}

#[test]
fn every_clip_is_judged_as_what_it_is() {
    let began = std::time::Instant::now();
    let outcomes: Vec<Outcome> = clips::pictures().chain(clips::sounds()).chain(schedules::all()).collect();
    let mut wrong = Vec::new();
    for outcome in &outcomes {
        let mistakes = outcome.mistakes();
        let told =
            outcome.verdict.told.iter().map(|(fault, (at, evidence))| format!("{fault} at {at:.1} s ({evidence})"));
        let told = told.collect::<Vec<_>>().join(", ");
        println!(
            "{:<8} {:<38} {}{}{}",
            format!("{:?}", outcome.set),
            outcome.name,
            if told.is_empty() { "good" } else { &told },
            outcome.verdict.most,
            if mistakes.is_empty() { "" } else { "   <== WRONG" }
        );
        match KNOWN_LIMITS.iter().find(|(name, _)| *name == outcome.name) {
            Some((_, why)) if !mistakes.is_empty() => println!("         a known limit: {why}"),
            Some(_) => wrong.push(format!("{}: is right, and still listed as a known limit", outcome.name)),
            None => wrong.extend(mistakes.into_iter().map(|mistake| format!("{}: {mistake}", outcome.name))),
        }
    }
    for (title, set) in
        [("tuning", Set::Tuning), ("held out", Set::HeldOut)].into_iter().filter(|(_, set)| set.is_asked())
    {
        print_table(title, &outcomes.iter().filter(|outcome| outcome.set == set).collect::<Vec<_>>());
    }
    println!("{} clips in {:.1} s", outcomes.len(), began.elapsed().as_secs_f64());
    let names: std::collections::BTreeSet<_> = outcomes.iter().map(|outcome| outcome.name).collect();
    assert_eq!(names.len(), outcomes.len(), "two clips of one name");
    assert!(wrong.is_empty(), "{} wrong:\n  {}", wrong.len(), wrong.join("\n  "));
}

#[test]
fn a_film_on_which_nothing_is_wrong_raises_no_alarm() {
    film::assert_no_alarm();
}
