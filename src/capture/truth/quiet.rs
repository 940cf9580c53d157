//! Pure. Whether there is sound, and whether anything is to be heard in it.

use super::sound::{Level, decibels};
use super::view::seconds;
use crate::model::{Fault, Finding, Media, SoundExpected, SoundLimits, TruthSettings};

/// Sounds with less silence than this between them count together.
const TOGETHER: Media = Media::from_millis(2000);

/// What is heard.
#[derive(Clone, Debug)]
pub(super) struct Quiet {
    limits: SoundLimits,
    begins: Media,
    /// Whether there is to be sound from now on.
    expected: bool,
    /// For how long there has been none.
    absent: Media,
    /// How much there was since.
    present: Media,
    /// How long it has been silent.
    silent: Media,
    /// The loudest of that, RMS.
    loudest: f32,
    /// How much sound there was, lately.
    loud: Media,
    no_sound: Option<Finding>,
    silence: Option<Finding>,
}

impl Quiet {
    pub(super) fn new(settings: &TruthSettings) -> Self {
        let limits = settings.sound.clone();
        let zero = Media::ZERO;
        Self {
            begins: Media::from_duration(settings.stalled.at_start),
            expected: limits.expected == SoundExpected::Always,
            limits,
            absent: zero,
            present: zero,
            silent: zero,
            loudest: 0.0,
            loud: zero,
            no_sound: None,
            silence: None,
        }
    }

    /// Samples came.
    pub(super) fn sound(&mut self, level: Level) {
        if self.limits.expected == SoundExpected::Never {
            return;
        }
        (self.expected, self.begins, self.absent) = (true, Media::ZERO, Media::ZERO);
        self.present = self.present + level.length;
        if self.present >= Media::from_duration(self.limits.some_after) {
            self.no_sound = None;
        }
        self.listen(level);
    }

    fn listen(&mut self, level: Level) {
        let Some(after) = self.limits.silent_after else { return };
        let dbfs = level.dbfs();
        if dbfs >= self.limits.silence_below as f32 {
            (self.silent, self.loudest) = (Media::ZERO, 0.0);
        } else {
            self.silent = self.silent + level.length;
            self.loudest = self.loudest.max(level.rms);
        }
        if self.silent > TOGETHER {
            self.loud = Media::ZERO;
        }
        if dbfs >= (self.limits.silence_below + SoundLimits::LOUDER) as f32 {
            self.loud = self.loud + level.length;
        }
        if self.loud >= Media::from_duration(self.limits.loud_for) {
            self.silence = None;
        }
        if self.silence.is_none() && self.silent >= Media::from_duration(after) {
            let evidence = format!(
                "below {} dBFS for {:.1} s (loudest {:.1} dBFS)",
                self.limits.silence_below,
                seconds(self.silent),
                decibels(self.loudest)
            );
            // What was heard before it does not end it.
            self.loud = Media::ZERO;
            self.silence = Some(Finding { fault: Fault::Silent, evidence });
        }
    }

    /// `passed` since the last look.
    pub(super) fn look(&mut self, passed: Media) {
        self.absent = self.absent + passed;
        let limit = Media::from_duration(self.limits.none_after).max(self.begins);
        if !self.expected || self.absent < limit {
            return;
        }
        if self.no_sound.is_none() {
            let evidence = format!("no samples for {:.1} s", seconds(self.absent));
            self.no_sound = Some(Finding { fault: Fault::NoSound, evidence });
        }
        // What is not there is not silent.
        (self.silence, self.silent, self.loudest, self.present) = (None, Media::ZERO, 0.0, Media::ZERO);
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.no_sound.iter().chain(&self.silence)
    }
}
