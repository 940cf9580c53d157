#![allow(clippy::unwrap_used)]
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::capture::truth::picture::Change;
use crate::model::{SoundExpected, SoundLimits};

fn ms(ms: i64) -> Media {
    Media::from_millis(ms)
}

fn picture(mean: f32, block: f32) -> Input {
    let change = Some(Change { mean, block });
    Input::Picture(Some(Measure { change, black: 0.1, level: 90.0, brightest: None }))
}

fn black(brightest: f32) -> Input {
    let change = Some(Change::default());
    Input::Picture(Some(Measure { change, black: 0.995, level: 16.0, brightest: Some(brightest) }))
}

fn sound(rms: f32) -> Input {
    Input::Sound(Level { peak: 2.0 * rms, rms, length: ms(10) })
}

/// A judge and a clock.
struct Court {
    judge: Judge,
    now: Media,
    /// How often another condition was told.
    told: usize,
}

impl Court {
    fn new(settings: &TruthSettings) -> Self {
        Self { judge: Judge::new(settings, ms(1_000_000)), now: ms(1_000_000), told: 0 }
    }

    fn hear(&mut self, input: Input) {
        self.told += usize::from(self.judge.handle(input, self.now).is_some());
    }

    /// For so many milliseconds, in steps of 10: what `each` says at that many milliseconds from now on, and a look.
    fn pass(&mut self, milliseconds: i64, each: impl Fn(i64) -> Option<Input>) -> String {
        for at in (0..milliseconds).step_by(10) {
            self.now = self.now + ms(10);
            if let Some(input) = each(at) {
                self.hear(input);
            }
            self.hear(Input::Look);
        }
        self.judge.condition().to_string()
    }

    /// A picture every 30 ms.
    fn see(&mut self, milliseconds: i64, picture: &Input) -> String {
        self.pass(milliseconds, |at| (at % 30 == 0).then(|| picture.clone()))
    }

    fn evidence(&self, fault: Fault) -> &str {
        self.judge.condition().findings().iter().find(|f| f.fault == fault).map_or("", |f| &f.evidence)
    }
}

#[test]
fn the_same_picture_for_eight_seconds_is_frozen_and_one_that_moves_is_not_any_more() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    court.see(100, &picture(0.2, 80.0));
    assert_eq!(court.see(7800, &picture(0.0, 0.4)), "good");
    assert_eq!(court.see(300, &picture(0.0, 0.3)), "frozen");
    assert_eq!(court.evidence(Fault::Frozen), "unchanged for 8.0 s (mean difference 0.0000, largest block 0.4)");
    assert_eq!(court.see(60_000, &picture(0.0, 0.5)), "frozen");
    assert_eq!(court.evidence(Fault::Frozen), "unchanged for 8.0 s (mean difference 0.0000, largest block 0.4)");
    assert_eq!(court.told, 1);
    assert_eq!(court.see(30, &picture(0.0, 12.0)), "good", "a pointer moves");
    assert_eq!(court.see(7900, &picture(0.0, 0.0)), "good");
    assert_eq!(court.see(300, &picture(0.0, 0.0)), "frozen", "and again");
}

#[test]
fn small_changes_end_what_is_frozen_only_together() {
    let mut court = Court::new(&TruthSettings::DECODED);
    assert_eq!(court.see(8300, &picture(0.0, 7.4)), "frozen");
    for _ in 0..30 {
        court.hear(picture(0.0, 17.0));
        assert_eq!(court.see(2000, &picture(0.0, 7.4)), "frozen", "a keyframe that is a little off");
    }
    for _ in 0..4 {
        court.hear(picture(0.0, 18.0));
        court.see(200, &picture(0.0, 0.0));
    }
    assert_eq!(court.judge.condition(), &Condition::GOOD, "a pointer that moves");
}

#[test]
fn black_is_told_as_black_and_not_as_frozen() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    assert_eq!(court.see(2900, &black(20.0)), "good");
    assert_eq!(court.see(20_000, &black(20.0)), "black");
    assert_eq!(court.evidence(Fault::Black), "black for 3.0 s (99.5 % of the pixels, mean level 16)");
    assert_eq!(court.see(150, &picture(0.3, 90.0)), "black", "not for a flash");
    assert_eq!(court.see(150, &picture(0.3, 90.0)), "good");
    assert_eq!(court.see(7000, &black(100.0)), "good", "a title is on it");
    assert_eq!(court.see(1500, &black(100.0)), "frozen", "for too long");
}

#[test]
fn a_blink_between_two_scenes_starts_black_anew() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    for _ in 0..10 {
        assert_eq!(court.see(2500, &black(20.0)), "good");
        assert_eq!(court.see(30, &picture(0.3, 90.0)), "good");
    }
}

#[test]
fn no_pictures_are_a_stall_and_prove_nothing_about_the_next() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    court.see(7000, &picture(0.0, 0.0));
    assert_eq!(court.pass(200, |_| None), "good");
    assert_eq!(court.pass(100, |_| None), "stalled");
    assert_eq!(court.evidence(Fault::Stalled), "no picture for 0.25 s (before, one every 30 ms)");
    assert_eq!(court.see(400, &picture(0.0, 0.0)), "stalled", "it has not come back until they come for a while");
    assert_eq!(court.see(300, &picture(0.0, 0.0)), "good");
    assert_eq!(court.see(6000, &picture(0.0, 0.0)), "good", "the eight seconds begin after the stall");
    assert_eq!(court.see(2000, &picture(0.0, 0.0)), "frozen");
}

#[test]
fn a_device_has_three_seconds_to_open() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    assert_eq!(court.pass(2950, |_| None), "good");
    assert_eq!(court.pass(100, |_| None), "stalled");
    assert_eq!(court.evidence(Fault::Stalled), "no picture in the first 3.0 s");
}

#[test]
fn stalls_that_follow_each_other_are_one() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    court.see(1000, &picture(0.2, 50.0));
    for _ in 0..20 {
        court.pass(300, |_| None);
        assert_eq!(court.see(250, &picture(0.2, 50.0)), "stalled");
    }
    assert_eq!(court.told, 1);
}

#[test]
fn who_was_away_himself_accuses_nobody() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    court.pass(2000, |at| Some(if at % 30 == 0 { picture(0.2, 50.0) } else { sound(0.1) }));
    court.now = court.now + ms(5000);
    court.hear(Input::Look);
    assert_eq!(court.told, 0, "the judge slept, and the source perhaps not");
    assert_eq!(court.pass(200, |_| None), "stalled", "but it does not come");
}

#[test]
fn missing_pictures_are_counted_by_the_sources_own_rate() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    let every = |step: i64| move |at: i64| (at % step == 0).then(|| picture(0.2, 50.0));
    assert_eq!(court.pass(20_000, every(70)), "good", "14 a second are slow, not irregular");
    let gaps = |at: i64| (at % 70 == 0 && at / 70 % 5 != 0).then(|| picture(0.2, 50.0));
    assert_eq!(court.pass(6000, gaps), "irregular frames");
    assert!(court.evidence(Fault::Irregular).ends_with("pictures missing or late in 5 s"));
    assert_eq!(court.pass(6000, every(70)), "good");
}

#[test]
fn silence_is_told_after_ten_seconds_and_ends_with_sound_not_with_a_click() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    let quiet = 0.0003;
    let with_picture = |court: &mut Court, milliseconds: i64, rms: f32| {
        for _ in 0..milliseconds / 100 {
            court.hear(picture(0.2, 50.0));
            court.pass(100, |_| Some(sound(rms)));
        }
        court.judge.condition().to_string()
    };
    assert_eq!(with_picture(&mut court, 9900, quiet), "good");
    assert_eq!(with_picture(&mut court, 200, quiet), "silent");
    assert_eq!(court.evidence(Fault::Silent), "below -60 dBFS for 10.0 s (loudest -70.5 dBFS)");
    court.hear(sound(0.1));
    assert_eq!(with_picture(&mut court, 5000, quiet), "silent", "a click");
    assert_eq!(with_picture(&mut court, 5000, 0.0012), "silent", "hardly louder");
    assert_eq!(with_picture(&mut court, 200, 0.01), "good");
}

#[test]
fn silence_that_is_told_soon_is_told_once() {
    let mut settings = TruthSettings::CAPTURED;
    settings.sound.silent_after = Some(Duration::from_secs(1));
    let mut court = Court::new(&settings);
    let each = |rms| move |at: i64| Some(if at % 30 == 0 { picture(0.2, 50.0) } else { sound(rms) });
    assert_eq!(court.pass(1000, each(0.1)), "good");
    assert_eq!(court.pass(3000, each(0.0)), "silent");
    assert_eq!(court.told, 1, "what was heard before it does not end it");
    assert_eq!(court.pass(300, each(0.1)), "good");
}

#[test]
fn sound_is_missed_where_it_is_expected() {
    let of = |expected| {
        let sound = SoundLimits { expected, ..TruthSettings::CAPTURED.sound };
        Court::new(&TruthSettings { sound, ..TruthSettings::CAPTURED })
    };
    let (mut never, mut once, mut always) =
        (of(SoundExpected::Never), of(SoundExpected::OnceHeard), of(SoundExpected::Always));
    let moving = picture(0.2, 50.0);
    assert_eq!(never.see(10_000, &moving), "good");
    assert_eq!(once.see(10_000, &moving), "good", "a webcam without a microphone");
    assert_eq!(always.see(10_000, &moving), "no sound");
    for court in [&mut never, &mut once, &mut always] {
        court.pass(1000, |at| Some(if at % 30 == 0 { moving.clone() } else { sound(0.1) }));
    }
    assert_eq!(always.judge.condition(), &Condition::GOOD);
    assert_eq!(never.see(2500, &moving), "good");
    assert_eq!(once.see(2500, &moving), "no sound");
    assert_eq!(once.evidence(Fault::NoSound), "no samples for 2.0 s");
}

#[test]
fn what_the_source_says_stands_until_it_says_something_else() {
    let mut court = Court::new(&TruthSettings::CAPTURED);
    let word = |fault: Fault| Input::Word(Some(Finding { fault, evidence: format!("the receiver says {fault}") }));
    court.see(1000, &picture(0.2, 50.0));
    court.hear(word(Fault::NoSignal));
    assert_eq!(court.see(1000, &picture(0.2, 50.0)), "no signal", "whatever it delivers");
    assert_eq!(court.pass(300, |_| None), "no signal, stalled");
    court.hear(word(Fault::ModeChange));
    assert_eq!(court.judge.condition().to_string(), "mode change, stalled");
    court.hear(Input::Word(None));
    assert_eq!(court.see(1000, &picture(0.2, 50.0)), "good");
    court.hear(word(Fault::Encoder));
    assert_eq!(court.judge.condition().to_string(), "encoder");
    assert_eq!(court.see(30, &picture(0.2, 50.0)), "good", "what comes could be decoded");
}

#[test]
fn what_is_never_to_be_told_is_not() {
    let mut settings = TruthSettings::CAPTURED;
    (settings.frozen.after, settings.black.after, settings.sound.silent_after) = (None, None, None);
    let mut court = Court::new(&settings);
    let each = |at: i64| Some(if at % 30 == 0 { black(20.0) } else { sound(0.0) });
    assert_eq!(court.pass(60_000, each), "good");
    assert_eq!(court.see(1000, &picture(0.3, 90.0)), "good");
    assert_eq!(court.see(900, &picture(0.0, 0.0)), "good");
}

#[test]
fn a_duration_is_kept_to_within_a_picture() {
    let mut settings = TruthSettings::CAPTURED;
    settings.frozen.after = Some(Duration::from_secs(2));
    let mut court = Court::new(&settings);
    assert_eq!(court.see(1990, &picture(0.0, 0.0)), "good");
    assert_eq!(court.see(60, &picture(0.0, 0.0)), "frozen");
}

fn any_input() -> impl Strategy<Value = Input> {
    let number = prop_oneof![Just(0.0f32), Just(1.0), Just(f32::NAN), Just(f32::INFINITY), 0.0f32..300.0];
    let measure = (number.clone(), number.clone(), number.clone(), any::<bool>(), any::<bool>()).prop_map(
        |(mean, block, black, first, lit)| Measure {
            change: (!first).then_some(Change { mean, block }),
            black,
            level: block,
            brightest: lit.then_some(mean),
        },
    );
    prop_oneof![
        prop::option::of(measure).prop_map(Input::Picture),
        Just(Input::Held),
        (number, any::<i64>()).prop_map(|(rms, length)| Input::Sound(Level { peak: rms, rms, length: Media(length) })),
        prop::option::of(prop::sample::select(Fault::ALL.to_vec()))
            .prop_map(|fault| Input::Word(fault.map(|fault| Finding { fault, evidence: String::new() }))),
        Just(Input::Look),
    ]
}

proptest! {
    #[test]
    fn nothing_that_happens_at_any_time_panics(
        inputs in prop::collection::vec((any_input(), prop_oneof![0i64..40_000_000, any::<i64>()]), 0..200),
    ) {
        let mut court = Court::new(&TruthSettings::CAPTURED);
        for (input, passed) in inputs {
            court.now = court.now + Media(passed);
            court.hear(input);
            prop_assert!(court.judge.condition().findings().len() <= Fault::ALL.len());
        }
    }
}
