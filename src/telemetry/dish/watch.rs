//! Pure. What of a dish's state is worth a hint or an event.

use std::time::{Duration, Instant};

use crate::events::{DishFigures, DishState, EventKind, Severity, render};
use crate::telemetry::hinting::Hinting;
use crate::telemetry::latch::{Hold, Latch, Steady, Turn};
use crate::telemetry::news::{LinkHint, News};
use crate::telemetry::reading::DishId;

/// What it complains of has to last so long; some of it comes and goes with the clouds.
const COMPLAINT: Duration = Duration::from_secs(10);

/// One dish.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct DishWatch {
    subject: String,
    link: Option<String>,
    /// It has answered at least once, so that its silence is news.
    answered: bool,
    silent: Latch,
    trouble: Latch,
    alerts: Steady<Vec<String>>,
    hinting: Hinting,
}

impl DishWatch {
    pub(in crate::telemetry) fn new(id: &DishId) -> Self {
        Self {
            subject: id.interface.clone().unwrap_or_else(|| id.address.to_string()),
            link: id.interface.clone(),
            answered: false,
            silent: Latch::new(Hold::secs(10, 0)),
            trouble: Latch::new(Hold::secs(3, 30)),
            alerts: Steady::new(),
            hinting: Hinting::default(),
        }
    }

    /// Takes in what it says at `now`.
    pub(in crate::telemetry) fn see(&mut self, state: &DishState, now: Instant) -> (Vec<News>, Option<LinkHint>) {
        match state {
            DishState::Silent { because } => (self.silence(because, now).into_iter().collect(), None),
            DishState::Answers(figures) => {
                let mut news = vec![self.answer(figures, now)];
                news.push(self.trouble(figures, now));
                news.push(self.complaints(figures, now));
                let news = news.into_iter().flatten().map(|news| with_figures(news, figures)).collect();
                (news, self.hinting.see(self.link.as_deref(), trouble(figures), now))
            }
        }
    }

    fn silence(&mut self, because: &str, now: Instant) -> Option<News> {
        if !self.answered || self.silent.see(true, now)? == Turn::Ends {
            return None;
        }
        Some(self.news(Severity::Warning, format!("the dish does not answer any more: {because}")))
    }

    fn answer(&mut self, figures: &DishFigures, now: Instant) -> Option<News> {
        let first = !std::mem::replace(&mut self.answered, true);
        if first {
            // What it complains of from the beginning is news as well.
            self.alerts.see(&Vec::new(), |_, _| COMPLAINT, now);
        }
        let returned = self.silent.see(false, now) == Some(Turn::Ends);
        let words = match (first, returned) {
            (true, _) => "a Starlink dish answers",
            (false, true) => "the dish answers again",
            (false, false) => return None,
        };
        Some(self.news(Severity::Info, format!("{words}: {}", render::dish(figures))))
    }

    fn trouble(&mut self, figures: &DishFigures, now: Instant) -> Option<News> {
        let trouble = trouble(figures);
        Some(match (self.trouble.see(trouble.is_some(), now)?, trouble) {
            (Turn::Begins, Some(why)) => self.news(Severity::Warning, format!("{why}: {}", render::dish(figures))),
            (Turn::Begins | Turn::Ends, _) => {
                self.news(Severity::Info, format!("the dish sees its satellites again: {}", render::dish(figures)))
            }
        })
    }

    fn complaints(&mut self, figures: &DishFigures, now: Instant) -> Option<News> {
        self.alerts.see(&figures.alerts, |_, _| COMPLAINT, now)?;
        Some(if figures.alerts.is_empty() {
            self.news(Severity::Info, "the dish complains of nothing any more")
        } else {
            self.news(Severity::Warning, format!("the dish complains: {}", figures.alerts.join(", ")))
        })
    }

    fn news(&self, severity: Severity, reason: impl Into<String>) -> News {
        News::new(EventKind::DishChanged, severity, &self.subject, reason)
    }
}

/// Why its next seconds will be bad, if so.
fn trouble(figures: &DishFigures) -> Option<String> {
    if let Some(outage) = &figures.outage {
        return Some(format!("the dish has an outage ({})", outage.cause));
    }
    figures.obstructed_now.then(|| "the dish is obstructed".to_owned())
}

fn with_figures(news: News, figures: &DishFigures) -> News {
    news.with("obstructed_now", figures.obstructed_now)
        .with("obstructed_fraction", figures.obstructed_fraction)
        .with("outage", figures.outage.as_ref().map(|outage| outage.cause.clone()))
        .with("outage_ms", figures.outage.as_ref().map(|outage| outage.for_ms))
        .with("latency_ms", figures.latency_ms)
        .with("drop_fraction", figures.drop_fraction)
        .with("first_slot_s", figures.first_slot_s)
}
