//! A configuration comes into force: read, right, its slates made, told to whom it concerns.

use super::{Daemon, telemetry, wanted, warmth};
use crate::config::Settings;
use crate::events::{ChildCommand, EventKind, Role, Severity};
use crate::supervisor::children::label;
use crate::supervisor::config_files::Refused;
use crate::supervisor::slate_jobs::{self, News};
use crate::supervisor::webhook::Webhook;

impl Daemon {
    /// Reads the files again. What they say is in force at once or, if it calls for other slates, when these are made; a
    /// mistake in them changes nothing but what is said.
    pub(super) fn reload(&mut self) -> Result<String, String> {
        let settings = match self.files.load() {
            Ok(settings) => settings,
            Err(Refused(why)) => {
                if self.refused.as_ref() != Some(&why) {
                    let text = format!("{why}\nThe last good configuration stays in force");
                    self.say(EventKind::ConfigRefused, Severity::Alert, "", text);
                }
                self.refused = Some(why.clone());
                return Err(why);
            }
        };
        let mended = self.refused.take().is_some();
        self.say_warnings();
        if self.coming.is_none() && settings.hash_for(&Role::Supervisor) == self.settings.hash_for(&Role::Supervisor) {
            if mended {
                self.say(
                    EventKind::ConfigLoaded,
                    Severity::Info,
                    "",
                    format!("{} is right again, and says what is in force", self.files.name()),
                );
            }
            return Ok("the configuration is in force; it says what it said before".to_owned());
        }
        if same_slates(&self.settings, &settings) {
            self.coming = None;
            self.apply(settings);
            return Ok("the configuration is in force".to_owned());
        }
        // With the old slates nothing of the new programme could be covered while its workers start.
        self.make_slates(settings.clone());
        self.coming = Some(settings);
        Ok("the configuration is right; it comes into force when its slates are made, in some seconds".to_owned())
    }

    /// Has the slates of `settings` made; [`News::GoOn`] follows.
    pub(super) fn make_slates(&mut self, settings: Settings) {
        self.slate_job = self.slate_job.wrapping_add(1);
        let processes = self.processes.clone();
        tokio::spawn(slate_jobs::run(self.slate_job, processes, settings, self.slate_news.clone()));
    }

    pub(super) fn hear_of_slates(&mut self, news: News) {
        match news {
            News::Told(event) => self.record(event),
            News::GoOn(job) if job == self.slate_job => {
                self.children.release_workers();
                if let Some(settings) = self.coming.take()
                    && !self.ending
                {
                    self.apply(settings);
                }
            }
            // Of a configuration that was replaced before it came into force.
            News::GoOn(_) => {}
        }
    }

    pub(super) fn say_warnings(&mut self) {
        for warning in self.files.take_warnings() {
            self.say(EventKind::Note, Severity::Warning, "configuration", warning);
        }
    }

    pub(super) fn open_webhook(&mut self) {
        let address = self.settings.alerts.webhook.clone();
        let start = |a| Webhook::start(a, self.settings.box_name.clone(), self.webhook_troubles.clone()).ok();
        self.webhook = address.and_then(start);
    }

    /// Brings `settings` into force. The data plane takes them in as it runs, workers are started again.
    fn apply(&mut self, settings: Settings) {
        let before = std::mem::replace(&mut self.settings, settings);
        let (earlier, now) = (wanted(&before), wanted(&self.settings));
        let changed: Vec<_> =
            now.iter().filter(|role| before.hash_for(role) != self.settings.hash_for(role)).cloned().collect();
        let names: Vec<_> = changed.iter().map(label).collect();
        let text = if names.is_empty() { "only holdfastd".to_owned() } else { names.join(", ") };
        self.say(
            EventKind::ConfigLoaded,
            Severity::Info,
            "",
            format!("{} is in force; the change concerns {text}", self.files.name()),
        );
        if before.alerts != self.settings.alerts || before.box_name != self.settings.box_name {
            self.open_webhook();
        }
        if telemetry::differs(&before, &self.settings) {
            self.telemetry.restart(&self.settings);
        }
        if before.hardware != self.settings.hardware {
            self.warmth = warmth::Warmth::new(&self.settings);
        }
        self.follow_tables();
        let events = self.children.want(&now);
        self.record_all(events);
        for role in changed.iter().filter(|role| earlier.contains(role)) {
            if *role == Role::Transmit {
                self.children.command(role, ChildCommand::Reload);
            } else {
                self.renew(role);
            }
        }
    }
}

/// Whether a child that runs with settings of this hash is to begin anew. One that began while the next settings wait for their
/// slates has read those, and would read them again: it is not in their way.
pub(super) fn is_stale(told: &str, role: &Role, in_force: &Settings, coming: Option<&Settings>) -> bool {
    told != in_force.hash_for(role) && coming.is_none_or(|coming| told != coming.hash_for(role))
}

/// Whether both have the same slates.
fn same_slates(a: &Settings, b: &Settings) -> bool {
    a.renditions == b.renditions && a.frame_rate == b.frame_rate && a.slate == b.slate && a.box_name == b.box_name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::model::InputId;

    fn settings(size: &str) -> Settings {
        let text = format!(
            "[[input]]\nname = \"camera\"\nkind = \"pattern\"\n\n[[rendition]]\nname = \"main\"\n\
             codec = \"h264\"\nsize = \"{size}\"\nbitrate = \"1500k\"\n"
        );
        config::parse(Path::new("/"), ("holdfast.toml", &text), None).unwrap()
    }

    #[test]
    fn a_worker_that_begins_while_slates_are_made_is_not_started_again_and_again() {
        let (in_force, coming, other) = (settings("640x360"), settings("1280x720"), settings("854x480"));
        let worker = Role::Encode(InputId::new("camera").unwrap());
        let stale = |told: &Settings, coming| is_stale(&told.hash_for(&worker), &worker, &in_force, coming);
        assert!(!stale(&in_force, None));
        assert!(stale(&other, None) && stale(&other, Some(&coming)));
        assert!(!stale(&coming, Some(&coming)), "what it would begin with again");
        assert!(stale(&coming, None), "what was to come, and does not any more");
    }
}
