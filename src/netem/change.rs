//! Pure. What may happen to a cable, and how it is written: `loss 5`, `rate 2M queue 100ms forward`, `hole back`, `cut`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::conditions::{Bottleneck, Bursts, Conditions, Jitter, Loss, Queue};

/// Which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From A to B.
    Forward,
    /// From B to A.
    Back,
    /// Either way.
    #[default]
    Both,
}

/// One change of a cable's conditions. As text, with the direction at the end unless it is both:
///
/// | written | meaning |
/// |---|---|
/// | `delay 20ms` | one way |
/// | `jitter 5ms`, `jitter 5ms reorder` | evenly from 0 to 5 ms more; packets may overtake others |
/// | `loss 5`, `loss off` | percent, each packet by itself |
/// | `burst 2 8` | 2 percent altogether, 8 packets in a row on average |
/// | `duplicate 1` | percent |
/// | `rate 2M`, `rate 500k queue 300ms`, `rate 8M queue 64KiB`, `rate off` | bits per second, queue (100 ms) |
/// | `hole`, `hole off` | a black hole |
/// | `cut` | the carrier is lost and everything under way with it |
/// | `heal` | all as it was at the start |
/// | `rebind` | a NAT forgets its mappings: the far end sees a new address (emulated UDP only) |
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Another delay.
    Delay(Duration, Direction),
    /// Another jitter.
    Jitter(Jitter, Direction),
    /// Another loss.
    Loss(Loss, Direction),
    /// Another share of copies, 0 to 1.
    Duplicate(f64, Direction),
    /// Another rate, or none.
    Rate(Option<Bottleneck>, Direction),
    /// A black hole opens or closes.
    Hole(bool, Direction),
    /// The carrier is lost.
    Cut,
    /// As at the start.
    Heal,
    /// The far end sees a new address.
    Rebind,
}

impl Change {
    /// Which way it is about.
    pub fn direction(self) -> Direction {
        match self {
            Self::Delay(_, direction)
            | Self::Jitter(_, direction)
            | Self::Loss(_, direction)
            | Self::Duplicate(_, direction)
            | Self::Rate(_, direction)
            | Self::Hole(_, direction) => direction,
            Self::Cut | Self::Heal | Self::Rebind => Direction::Both,
        }
    }

    /// The conditions after this change, of a direction that it is about.
    pub fn applied_to(self, before: &Conditions) -> Conditions {
        let mut after = *before;
        match self {
            Self::Delay(delay, _) => after.delay = delay,
            Self::Jitter(jitter, _) => after.jitter = jitter,
            Self::Loss(loss, _) => after.loss = loss,
            Self::Duplicate(share, _) => after.duplicate = share,
            Self::Rate(bottleneck, _) => after.bottleneck = bottleneck,
            Self::Hole(hole, _) => after.hole = hole,
            Self::Cut | Self::Heal | Self::Rebind => {}
        }
        after
    }
}

/// What could not be read as a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAChange(String);

fn no(what: impl fmt::Display) -> NotAChange {
    NotAChange(what.to_string())
}

/// How long a queue is unless it is said.
const USUAL_QUEUE: Queue = Queue::Time(Duration::from_millis(100));

impl FromStr for Change {
    type Err = NotAChange;

    fn from_str(text: &str) -> Result<Self, NotAChange> {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let direction = match words.last() {
            Some(&"forward") => Direction::Forward,
            Some(&"back") => Direction::Back,
            Some(_) | None => Direction::Both,
        };
        if direction != Direction::Both {
            words.pop();
        }
        Ok(match words.as_slice() {
            ["delay", time] => Self::Delay(duration(time)?, direction),
            ["jitter", time] => Self::Jitter(Jitter { most: duration(time)?, reorders: false }, direction),
            ["jitter", time, "reorder"] => Self::Jitter(Jitter { most: duration(time)?, reorders: true }, direction),
            ["loss", "off"] => Self::Loss(Loss::None, direction),
            ["loss", share] => Self::Loss(Loss::Random(percent(share)?), direction),
            ["burst", share, length] => {
                let length: f64 = length.parse().map_err(|_| no(format!("{length}: not a number of packets")))?;
                Self::Loss(Loss::Bursts(Bursts::new(percent(share)?, length)), direction)
            }
            ["duplicate", share] => Self::Duplicate(percent(share)?, direction),
            ["rate", "off"] => Self::Rate(None, direction),
            ["rate", rate] => Self::Rate(Some(Bottleneck { rate: bits(rate)?, queue: USUAL_QUEUE }), direction),
            ["rate", rate, "queue", size] => {
                let queue = duration(size).map(Queue::Time).or_else(|_| bytes(size).map(Queue::Bytes))?;
                Self::Rate(Some(Bottleneck { rate: bits(rate)?, queue }), direction)
            }
            ["hole"] => Self::Hole(true, direction),
            ["hole", "off"] => Self::Hole(false, direction),
            ["cut"] if direction == Direction::Both => Self::Cut,
            ["heal"] if direction == Direction::Both => Self::Heal,
            ["rebind"] if direction == Direction::Both => Self::Rebind,
            _ => return Err(no(format!("{text}: not a change that a cable knows"))),
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self {
            Self::Delay(delay, direction) => write!(f, "delay {}", Time(*delay)).map(|()| *direction),
            Self::Jitter(jitter, direction) => {
                let reorder = if jitter.reorders { " reorder" } else { "" };
                write!(f, "jitter {}{reorder}", Time(jitter.most)).map(|()| *direction)
            }
            Self::Loss(Loss::None, direction) => f.write_str("loss off").map(|()| *direction),
            Self::Loss(Loss::Random(share), direction) => write!(f, "loss {}", Percent(*share)).map(|()| *direction),
            Self::Loss(Loss::Bursts(bursts), direction) => {
                let share = bursts.turns_bad / (bursts.turns_bad + bursts.turns_good);
                write!(f, "burst {} {}", Percent(share), (100.0 / bursts.turns_good).round() / 100.0)
                    .map(|()| *direction)
            }
            Self::Duplicate(share, direction) => write!(f, "duplicate {}", Percent(*share)).map(|()| *direction),
            Self::Rate(None, direction) => f.write_str("rate off").map(|()| *direction),
            Self::Rate(Some(Bottleneck { rate, queue }), direction) => {
                let rate = if rate % 1000 == 0 { format!("{}k", rate / 1000) } else { rate.to_string() };
                match queue {
                    Queue::Bytes(bytes) => write!(f, "rate {rate} queue {bytes}B"),
                    Queue::Time(time) => write!(f, "rate {rate} queue {}", Time(*time)),
                }
                .map(|()| *direction)
            }
            Self::Hole(hole, direction) => f.write_str(if *hole { "hole" } else { "hole off" }).map(|()| *direction),
            Self::Cut => f.write_str("cut").map(|()| Direction::Both),
            Self::Heal => f.write_str("heal").map(|()| Direction::Both),
            Self::Rebind => f.write_str("rebind").map(|()| Direction::Both),
        }?;
        f.write_str(match direction {
            Direction::Forward => " forward",
            Direction::Back => " back",
            Direction::Both => "",
        })
    }
}

/// A time as it is written.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let microseconds = self.0.as_micros();
        match (microseconds % 1_000_000, microseconds % 1000) {
            (0, _) => write!(f, "{}s", microseconds / 1_000_000),
            (_, 0) => write!(f, "{}ms", microseconds / 1000),
            (_, _) => write!(f, "{microseconds}us"),
        }
    }
}

struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, since 0.07 * 100 is not 7.
        write!(f, "{}", (self.0 * 1e8).round() / 1e6)
    }
}

/// A number and its unit.
fn split(text: &str) -> (Option<f64>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.parse().ok(), unit)
}

/// `20ms`, `1.5s`, `300us`; a day at most.
pub(super) fn duration(text: &str) -> Result<Duration, NotAChange> {
    let wrong = || no(format!("{text}: not a time like 20ms, 1.5s or 300us"));
    let (Some(number), unit) = split(text) else { return Err(wrong()) };
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "min" => number * 60.0,
        _ => return Err(wrong()),
    };
    if seconds > 86_400.0 {
        return Err(wrong());
    }
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

fn percent(text: &str) -> Result<f64, NotAChange> {
    let number: f64 = text.trim_end_matches('%').parse().map_err(|_| no(format!("{text}: not a percentage")))?;
    if (0.0..=100.0).contains(&number) { Ok(number / 100.0) } else { Err(no(format!("{text}: not from 0 to 100"))) }
}

fn bits(text: &str) -> Result<u64, NotAChange> {
    let wrong = || no(format!("{text}: not a rate like 500k, 2M or 1G bits per second"));
    let (Some(number), unit) = split(text) else { return Err(wrong()) };
    let factor = match unit {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return Err(wrong()),
    };
    let rate = (number * factor).round() as u64;
    if rate == 0 { Err(wrong()) } else { Ok(rate) }
}

fn bytes(text: &str) -> Result<usize, NotAChange> {
    let wrong = || no(format!("{text}: not a queue like 100ms or 64KiB"));
    let (Some(number), unit) = split(text) else { return Err(wrong()) };
    let factor = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    Ok((number * factor).round() as usize)
}
