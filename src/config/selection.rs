//! `[selection]`, and of each `[[input]]` when it is left and trusted again: `hold_off`, `probation`, `worth`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::duration;
use super::quantity::whole;
use super::report::{Complaint, Report, Reported, nearest, quote};
use super::section::{Section, choice, text};
use crate::model::{AudioFrom, InputId, InputRules, Lead, Media, Selection, SelectionMode, Silence};

#[derive(Clone, Copy)]
enum Mode {
    Standby,
    Scored,
}

const MODES: [(&str, Mode); 2] = [("standby", Mode::Standby), ("scored", Mode::Scored)];
const MODE_ALIASES: [(&str, &str); 4] =
    [("active-standby", "standby"), ("priority", "standby"), ("active-active", "scored"), ("score", "scored")];
const SILENCES: [(&str, Silence); 2] = [("stays", Silence::Stays), ("moves", Silence::Moves)];
const SILENCE_ALIASES: [(&str, &str); 4] =
    [("stay", "stays"), ("ignore", "stays"), ("move", "moves"), ("switch", "moves")];

/// The rules of one input, each usual where it is left out.
pub(super) fn read_rules(section: &mut Section<'_>) -> Result<InputRules, Reported> {
    let usual = InputRules::default();
    let hold_off = section.or("hold_off", usual.hold_off, |v| length(v, &InputRules::HOLD_OFF));
    let probation = section.or("probation", usual.probation, |v| length(v, &InputRules::PROBATION));
    let worth = section.or("worth", usual.worth, |v| points(v, &InputRules::WORTH, "points"));
    Ok(InputRules { hold_off: hold_off?, probation: probation?, worth: worth? })
}

/// The rules of the programme. `inputs` are those that could be read, with their rules.
pub(super) fn read(
    root: &mut Section<'_>,
    inputs: Option<&BTreeMap<InputId, InputRules>>,
    report: &mut Report<'_>,
) -> Result<Selection, Reported> {
    let rules = inputs.cloned().unwrap_or_default();
    let Some(mut section) = root.table("selection", "write [selection] with one bracket, once")? else {
        return Ok(Selection { inputs: rules, ..Selection::default() });
    };
    let mode = section.or("mode", Mode::Standby, |v| choice(v, &MODES, &MODE_ALIASES));
    let mode = read_mode(&mut section, mode);
    let sound = section.or("sound", AudioFrom::Picture, |v| read_sound(v, inputs));
    let silence = section.or("silence", Silence::Stays, |v| choice(v, &SILENCES, &SILENCE_ALIASES));
    let still = section.or("still", Selection::default().still, |v| length(v, &Selection::STILL));
    if let (Ok(AudioFrom::Input(_)), Ok(Silence::Moves)) = (&sound, &silence) {
        let remedy = "remove one of them";
        let problem = "moves the picture, whose sound is never its own (sound names an input)";
        section.complain("silence", &Complaint::new(problem, remedy));
    }
    section.finish(report);
    Ok(Selection { mode: mode?, sound: sound?, silence: silence?, still: still?, inputs: rules })
}

fn read_mode(section: &mut Section<'_>, mode: Result<Mode, Reported>) -> Result<SelectionMode, Reported> {
    const LEAD: [&str; 2] = ["lead", "lead_held"];
    match mode {
        Ok(Mode::Standby) => {
            let remedy = "remove it, or set mode = \"scored\"";
            section.refuse(&LEAD, &Complaint::new("means nothing where the order of the inputs decides", remedy));
            Ok(SelectionMode::Standby)
        }
        Ok(Mode::Scored) => {
            let usual = Lead::default();
            let lead = section.or("lead", usual.points, |v| points(v, &Lead::POINTS, "points"));
            let held = section.or("lead_held", usual.held, |v| length(v, &Lead::HELD));
            Ok(SelectionMode::Scored(Lead { points: lead?, held: held? }))
        }
        Err(Reported) => {
            section.pass_over(&LEAD);
            Err(Reported)
        }
    }
}

/// `"picture"`, or an input.
fn read_sound(value: &DeValue<'_>, inputs: Option<&BTreeMap<InputId, InputRules>>) -> Result<AudioFrom, Complaint> {
    let written = text(value)?;
    if written == "picture" {
        return Ok(AudioFrom::Picture);
    }
    let named = InputId::new(written).ok();
    match (named, inputs) {
        // Wrong inputs have been told of; whether it is one of them is not known.
        (Some(input), None) => Ok(AudioFrom::Input(input)),
        (Some(input), Some(inputs)) if inputs.contains_key(&input) => Ok(AudioFrom::Input(input)),
        (_, inputs) => {
            let names = inputs.into_iter().flat_map(BTreeMap::keys).map(InputId::as_str);
            let remedy = match nearest(written, names.chain(["picture"])) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "name one of the inputs, or \"picture\" for the sound that goes with it".to_owned(),
            };
            Err(Complaint::new(format!("is {}, which is not an input", quote(written)), remedy))
        }
    }
}

fn length(value: &DeValue<'_>, range: &RangeInclusive<Media>) -> Result<Media, Complaint> {
    if *range.start() == Media::ZERO && matches!(value.as_str(), Some("0" | "0s" | "0ms")) {
        return Ok(Media::ZERO);
    }
    let range: RangeInclusive<Duration> = range.start().to_duration()..=range.end().to_duration();
    duration::read(value, &range).map(Media::from_duration)
}

fn points(value: &DeValue<'_>, range: &RangeInclusive<u8>, of: &str) -> Result<u8, Complaint> {
    let wide = u32::from(*range.start())..=u32::from(*range.end());
    // Within the range, and so within a byte.
    whole(value, &wide, of).map(|points| u8::try_from(points).unwrap_or(*range.end()))
}
