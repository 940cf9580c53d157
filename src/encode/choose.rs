//! Finds the encoder for a job: from what earlier trials found, or by trying.

use std::path::Path;

use crate::config::EncoderChoice;
use crate::model::Name;

use super::cache::Cache;
use super::error::EncoderError;
use super::probe::Prober;
use super::table::{self, VideoJob};
use super::verdict::{self, Allowed, Outcome};
use super::{build, machine};

/// The family to use for `job`. `cache` is [`crate::config::Paths::probe_cache`]. Without a finding in it, takes as long
/// as the trials do: about a second each, and some seconds for one that hangs.
///
/// # Errors
/// [`EncoderError`] names each family with what is wrong with it.
pub fn choose(job: &VideoJob, choice: &EncoderChoice, cache: &Path) -> Result<Name, EncoderError> {
    choose_among(job, choice, Allowed::All, cache)
}

/// As [`choose`], without touching hardware.
///
/// # Errors
/// As [`choose`].
pub fn choose_software(job: &VideoJob, choice: &EncoderChoice, cache: &Path) -> Result<Name, EncoderError> {
    choose_among(job, choice, Allowed::Software, cache)
}

fn choose_among(job: &VideoJob, choice: &EncoderChoice, allowed: Allowed, cache: &Path) -> Result<Name, EncoderError> {
    build::init()?;
    let prober = Prober::here().map_err(|e| EncoderError::Gstreamer(e.to_string()))?;
    let cache = Cache::new(cache, machine::boot());
    verdict::pick(job, choice, allowed, |family| outcome(job, family, &prober, Some(&cache)))
}

/// What a trial of `family` finds, or found: from `cache` if it is given and knows.
pub(super) fn outcome(job: &VideoJob, family: &Name, prober: &Prober, cache: Option<&Cache>) -> Outcome {
    let Some(known) = table::family(family.as_str()) else {
        return Outcome::NotTried { why: format!("there is no family {family}") };
    };
    // Without an element there is nothing to try, and no need for a process to find that out.
    if let Err(e @ EncoderError::NotRegistered { .. }) = build::registered(known, job.codec) {
        return Outcome::NotRegistered { why: e.to_string() };
    }
    let machine = machine::fingerprint(known);
    if let Some(outcome) = cache.and_then(|c| c.find(&machine, family, job)) {
        return outcome;
    }
    let outcome = prober.attempt(job, family);
    if let Some(cache) = cache
        && let Err(e) = cache.keep(&machine, family, job, &outcome)
    {
        eprintln!("the outcome of the trial of {family} could not be kept, so it will be repeated: {e}");
    }
    outcome
}
