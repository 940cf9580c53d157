//! Pure. How much of the bit rates the machine's heat leaves: told, then taken, before the processor is slowed down.
//!
//! ```text
//!            near a limit: told            10 s of it, then every 20 s: a tenth less
//!   Cool ───────────────────────► Warm ──────────────────────────────────────────────┐
//!    ▲   slowed down: told, two tenths less at once                 ▲ │              │
//!    │                                                      warm    │ │ 5 °C below   │
//!    └─────────── all given back ── Cooling: a tenth more after ◄───┴─┘ the limit    │
//!                                   60 s, later after each relapse  ◄────────────────┘
//! ```

use std::time::{Duration, Instant};

use super::ceiling::{Ceiling, LEAST_PERMILLE};
use crate::config::profile::{Glob, ThermalZone};
use crate::events::{Event, EventKind, MachineSnapshot, Role, Severity, ZoneSnapshot};
use crate::model::{Media, Wall};

/// A step, in thousandths of what was configured.
const STEP: u32 = 100;
/// As many as [`LEAST_PERMILLE`] leaves.
const MOST_STEPS: u32 = (1000 - LEAST_PERMILLE) / STEP;
/// Near the limit for so long before the first step: two more looks, so that one reading is none.
const FIRST: Duration = Duration::from_secs(10);
/// Between two steps: a heat sink shows within that time what the last did.
const EVERY: Duration = Duration::from_secs(20);
/// The same while an encoder falls behind as well: a look.
const HURRY: Duration = Duration::from_secs(5);
/// What is slowed down already loses so many steps at once.
const SLOWED: u32 = 2;
/// Below its last reading by so much it falls, and no more is taken, °C.
const FALLING: f64 = 1.0;
/// Well below the limit, °C.
const COOLER: f64 = 5.0;
/// Where only the kernel says from where on it slows down, that far below is near, °C.
const MARGIN: f64 = 5.0;
/// Well below for so long: a step is given back.
const PROVEN: Duration = Duration::from_secs(60);
/// ... for at most so long, where giving back has made it warm again.
const MOST_PROVEN: Duration = Duration::from_secs(960);
/// Warm within so long after a step was given back is that step's doing.
const BLAMED: Duration = Duration::from_secs(300);

/// What a thermometer's readings mean.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneLimit {
    /// The thermometers.
    pub zone: Glob,
    /// Near its limit from here on, °C.
    pub near: f64,
    /// The machine slows down from here on, °C.
    pub slows: f64,
}

impl From<&ThermalZone> for ZoneLimit {
    fn from(zone: &ThermalZone) -> Self {
        let (near, slows) = (f64::from(zone.warn_celsius), f64::from(zone.slows_celsius));
        Self { zone: zone.zone.clone(), near, slows }
    }
}

/// Something that people should know; an [`Event`] without its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// The thermometer, processor or rendition that it is about.
    pub subject: String,
    /// In words an operator can act on.
    pub reason: String,
    /// The figures it was decided on.
    pub evidence: Vec<(&'static str, serde_json::Value)>,
}

impl Notice {
    /// As an event of that time.
    pub fn into_event(self, at: (Wall, Media), from: Role) -> Event {
        let event = Event::new(at, from, EventKind::MachineChanged, self.severity, self.subject, self.reason);
        self.evidence.into_iter().fold(event, |event, (key, value)| event.with(key, value))
    }
}

/// Whether an encoder falls behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// None does.
    None,
    /// At least one.
    Behind,
}

/// The machine's heat, and what follows from it for the bit rates.
///
/// *Invariant:* what is left changes by a tenth at a time, or two where the processor is slowed down already, and is never less
/// than [`LEAST_PERMILLE`]; people have been told before anything is taken.
#[derive(Clone, Debug)]
pub struct Heat {
    limits: Vec<ZoneLimit>,
    throttle_count: Option<u64>,
    state: State,
    steps: u32,
    because: String,
    said: Said,
    /// How long it has to be cool before a step is given back.
    patience: Duration,
    given_back: Option<Instant>,
}

/// What the data plane believes, as long as it does not expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Ceiling,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Cool,
    Warm {
        how: Warmth,
        /// The next step.
        next: Instant,
        /// The last reading that counted, °C.
        celsius: f64,
    },
    Cooling {
        since: Instant,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warmth {
    Near,
    Slowed,
}

/// One look at the machine.
enum Look {
    /// Well below every limit, or nothing is known.
    Cool,
    /// Neither.
    Between,
    /// At a limit, with the reading that says so and the words for it.
    Warm(Warmth, f64, Words),
}

struct Words {
    subject: String,
    because: String,
    evidence: Vec<(&'static str, serde_json::Value)>,
}

impl Heat {
    /// Cool. `limits` are the hardware profile's; where it has none for a thermometer the kernel's own counts.
    pub const fn new(limits: Vec<ZoneLimit>) -> Self {
        Self {
            limits,
            throttle_count: None,
            state: State::Cool,
            steps: 0,
            because: String::new(),
            said: Said::Nothing,
            patience: PROVEN,
            given_back: None,
        }
    }

    /// What is left of the bit rates; `None` if that is all.
    pub fn ceiling(&self) -> Option<Ceiling> {
        let permille = 1000 - STEP * self.steps;
        (self.steps > 0).then(|| Ceiling { permille, because: self.because.clone() })
    }

    /// What the data plane is to hear after a look: the ceiling with each as long as heat takes anything, since it believes none
    /// for long; and once that all of it is left again.
    pub fn to_say(&mut self) -> Option<Ceiling> {
        let ceiling = self.ceiling();
        let now = if ceiling.is_some() { Said::Ceiling } else { Said::Nothing };
        let is_over = std::mem::replace(&mut self.said, now) == Said::Ceiling && ceiling.is_none();
        ceiling.or_else(|| is_over.then(|| Ceiling { permille: 1000, because: String::new() }))
    }

    /// Takes in how the machine is at `now`.
    pub fn see(&mut self, machine: &MachineSnapshot, pressure: Pressure, now: Instant) -> Vec<Notice> {
        match (self.look(machine), self.state) {
            (Look::Cool | Look::Between, State::Cool) => Vec::new(),
            (Look::Between, State::Warm { how, celsius, .. }) => {
                self.state = State::Warm { how, next: now + EVERY, celsius };
                Vec::new()
            }
            (Look::Between, State::Cooling { .. }) | (Look::Cool, State::Warm { .. }) => {
                self.state = State::Cooling { since: now };
                Vec::new()
            }
            (Look::Cool, State::Cooling { since }) => self.cooling(since, now).into_iter().collect(),
            (Look::Warm(how, celsius, words), State::Cool | State::Cooling { .. }) => {
                self.warm_again(how, celsius, words, now)
            }
            (Look::Warm(how, celsius, words), State::Warm { how: was, next, celsius: before }) => {
                self.because.clone_from(&words.because);
                let slowed_now = how == Warmth::Slowed && was == Warmth::Near;
                let falls = how == Warmth::Near && celsius <= before - FALLING;
                let hurried = pressure == Pressure::Behind && now + EVERY >= next + HURRY;
                let is_due = now >= next || slowed_now || hurried;
                if !is_due {
                    // Once slowed down it is told no second time while it is warm.
                    self.state = State::Warm { how: how.max_of(was), next, celsius: before };
                    return Vec::new();
                }
                self.state = State::Warm { how: how.max_of(was), next: now + EVERY, celsius };
                let by = if slowed_now { SLOWED } else { 1 };
                if falls { Vec::new() } else { self.take(by, words).into_iter().collect() }
            }
        }
    }

    /// It was cool until now, or was cooling down.
    fn warm_again(&mut self, how: Warmth, celsius: f64, words: Words, now: Instant) -> Vec<Notice> {
        let relapsed = self.given_back.take().is_some_and(|at| now.saturating_duration_since(at) < BLAMED);
        self.patience = if relapsed { (self.patience * 2).min(MOST_PROVEN) } else { PROVEN };
        let was_cool = matches!(self.state, State::Cool);
        let next = now + if how == Warmth::Near { FIRST } else { EVERY };
        self.state = State::Warm { how, next, celsius };
        self.because.clone_from(&words.because);
        if how == Warmth::Slowed {
            return self.take(SLOWED, words).into_iter().collect();
        }
        if !was_cool {
            return Vec::new();
        }
        let reason = format!(
            "{}: if that lasts, bit rates go down step by step, where bitrate_floor allows it; give the box air",
            words.because
        );
        vec![Notice { severity: Severity::Warning, subject: words.subject, reason, evidence: words.evidence }]
    }

    fn take(&mut self, by: u32, words: Words) -> Option<Notice> {
        if self.steps == MOST_STEPS {
            return None;
        }
        self.steps = (self.steps + by).min(MOST_STEPS);
        let Words { subject, because, mut evidence } = words;
        let left = (1000 - STEP * self.steps) / 10;
        let end = if self.steps == MOST_STEPS {
            "; they go no lower: give the box air, or send a smaller picture"
        } else {
            "; give the box air"
        };
        let reason = format!("{because}: bit rates are lowered to {left} %, where bitrate_floor allows it{end}");
        evidence.push(("ceiling_percent", left.into()));
        Some(Notice { severity: Severity::Warning, subject, reason, evidence })
    }

    fn cooling(&mut self, since: Instant, now: Instant) -> Option<Notice> {
        let cool = now.saturating_duration_since(since);
        if cool < self.patience {
            return None;
        }
        let had_taken = self.steps > 0;
        self.steps = self.steps.saturating_sub(1);
        self.given_back = had_taken.then_some(now);
        self.state = if self.steps > 0 { State::Cooling { since: now } } else { State::Cool };
        let left = (1000 - STEP * self.steps) / 10;
        self.because = format!("it has cooled down, and {left} % are tried");
        let reason = match (self.steps, had_taken) {
            (0, false) => format!("cool again for {} s", cool.as_secs()),
            (0, true) => format!("cool again for {} s: bit rates may have all that was configured", cool.as_secs()),
            _ => format!("cool again for {} s: bit rates may have {left} %", cool.as_secs()),
        };
        let evidence = vec![("cool_s", cool.as_secs().into()), ("ceiling_percent", left.into())];
        Some(Notice { severity: Severity::Info, subject: "heat".to_owned(), reason, evidence })
    }

    fn look(&mut self, machine: &MachineSnapshot) -> Look {
        let before = std::mem::replace(&mut self.throttle_count, machine.throttle_count);
        let counted = before.zip(machine.throttle_count).is_some_and(|(before, count)| count > before);
        let judged = machine.zones.iter().filter_map(|zone| Some((zone, self.limits_of(zone)?)));
        // The one that is nearest to its limit, or beyond it.
        let worst =
            judged.min_by(|(a, (a_near, _)), (b, (b_near, _))| (a_near - a.celsius).total_cmp(&(b_near - b.celsius)));
        let celsius = worst.map_or(0.0, |(zone, _)| zone.celsius);
        if counted || !machine.throttled.is_empty() {
            let because = match machine.throttled.as_slice() {
                [] => "the processor slows itself down because it is hot".to_owned(),
                reasons => reasons.join("; "),
            };
            let mut evidence = worst.map_or_else(Vec::new, |(zone, limits)| figures(zone, limits));
            if let Some(speed) = machine.processor {
                evidence.push(("allowed_mhz", speed.allowed_mhz.into()));
                evidence.push(("most_mhz", speed.most_mhz.into()));
            }
            return Look::Warm(Warmth::Slowed, celsius, Words { subject: "heat".to_owned(), because, evidence });
        }
        let Some((zone, (near, slows))) = worst else { return Look::Cool };
        if zone.celsius < near - COOLER {
            return Look::Cool;
        }
        if zone.celsius < near {
            return Look::Between;
        }
        let because = format!("{} has {:.0} °C and slows the machine down from {slows:.0}", zone.name, zone.celsius);
        let evidence = figures(zone, (near, slows));
        let how = if zone.celsius >= slows { Warmth::Slowed } else { Warmth::Near };
        Look::Warm(how, celsius, Words { subject: "heat".to_owned(), because, evidence })
    }

    /// Near, and slowed down, °C; `None` for a thermometer of which nothing is known.
    fn limits_of(&self, zone: &ZoneSnapshot) -> Option<(f64, f64)> {
        let ours = self.limits.iter().find(|limit| limit.zone.fits(&zone.name));
        let by_profile = ours.map(|limit| (limit.near, limit.slows));
        by_profile.or_else(|| zone.throttles_at.map(|slows| (slows - MARGIN, slows)))
    }
}

impl Warmth {
    fn max_of(self, other: Self) -> Self {
        if self == Self::Slowed { self } else { other }
    }
}

fn figures(zone: &ZoneSnapshot, (near, slows): (f64, f64)) -> Vec<(&'static str, serde_json::Value)> {
    let name: serde_json::Value = zone.name.clone().into();
    vec![("zone", name), ("celsius", zone.celsius.into()), ("near", near.into()), ("slows", slows.into())]
}
