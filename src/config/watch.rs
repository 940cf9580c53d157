//! What of an `[[input]]` is watched, and for how long something must be wrong: `frozen_after`, `black_after`,
//! `silent_after`, `silence_below`; and of the network before one: `loss_above`, `rtt_above`, `rate_below`.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::duration;
use super::quantity::{whole, whole_signed};
use super::report::{Complaint, Reported};
use super::section::Section;
use crate::model::{NetworkLimits, SoundExpected, TruthSettings};

/// Of the picture.
const PICTURE: [&str; 2] = ["frozen_after", "black_after"];
/// Of the sound.
const SOUND: [&str; 2] = ["silent_after", "silence_below"];

const FROZEN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const BLACK: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(3600);
const SILENT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const SILENCE: RangeInclusive<i32> = -90..=-20;
const LOSS: RangeInclusive<u32> = 1..=50;
const RTT: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(10);
const RATE: RangeInclusive<u32> = 5..=90;

/// The keys, with the kind's own settings where they are left out.
pub(super) fn read(
    section: &mut Section<'_>,
    usual: TruthSettings,
    sound: SoundExpected,
) -> Result<TruthSettings, Reported> {
    let mut truth = usual;
    let frozen = section.or("frozen_after", truth.frozen.after, |v| read_after(v, &FROZEN));
    let black = section.or("black_after", truth.black.after, |v| read_after(v, &BLACK));
    truth.sound.expected = sound;
    if sound == SoundExpected::Never {
        let remedy = "remove it, or give the input a sound";
        section.refuse(&SOUND, &Complaint::new("means nothing without sound (audio = \"none\")", remedy));
    } else {
        let silent = section.or("silent_after", truth.sound.silent_after, |v| read_after(v, &SILENT));
        let below = section
            .or("silence_below", truth.sound.silence_below, |v| whole_signed(v, &SILENCE, "dB below full scale"));
        (truth.sound.silent_after, truth.sound.silence_below) = (silent?, below?);
    }
    (truth.frozen.after, truth.black.after) = (frozen?, black?);
    Ok(truth)
}

/// The keys of the network before an input.
pub(super) fn read_network(section: &mut Section<'_>) -> Result<NetworkLimits, Reported> {
    let usual = NetworkLimits::USUAL;
    let loss = section.or("loss_above", usual.loss, |v| read_percent(v, &LOSS, "percent of the packets"));
    let rtt = section.or("rtt_above", usual.rtt, |v| read_after(v, &RTT));
    let rate = section.or("rate_below", usual.rate, |v| read_percent(v, &RATE, "percent of what it was before"));
    Ok(NetworkLimits { loss: loss?, rtt: rtt?, rate: rate? })
}

/// For a kind with which nothing can go wrong.
pub(super) fn refuse(section: &mut Section<'_>, complaint: &Complaint) {
    section.refuse(&PICTURE, complaint);
    section.refuse(&SOUND, complaint);
}

/// For a kind that could not be found out.
pub(super) fn pass_over(section: &mut Section<'_>) {
    section.pass_over(&PICTURE);
    section.pass_over(&SOUND);
}

/// A part, in percent, or `"never"`.
fn read_percent(value: &DeValue<'_>, range: &RangeInclusive<u32>, of: &str) -> Result<Option<f32>, Complaint> {
    if value.as_str() == Some("never") {
        return Ok(None);
    }
    let read = whole(value, range, of).map(|percent| Some(percent as f32 / 100.0));
    read.map_err(|Complaint { problem, remedy }| Complaint::new(problem, format!("{remedy}, or \"never\"")))
}

/// A time, or `"never"`.
fn read_after(value: &DeValue<'_>, range: &RangeInclusive<Duration>) -> Result<Option<Duration>, Complaint> {
    if value.as_str() == Some("never") {
        return Ok(None);
    }
    let read = duration::read(value, range).map(Some);
    read.map_err(|Complaint { problem, remedy }| Complaint::new(problem, format!("{remedy}, or \"never\"")))
}
