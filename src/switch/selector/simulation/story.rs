//! What happens to the inputs, drawn from a seed before it begins.

use super::{MS, S};
use crate::model::{AudioFrom, Fault, InputId, InputRules, Lead, Media, Selection, SelectionMode, Silence};

/// How long a story lasts.
const LENGTH: i64 = 240 * S;
const NAMES: [&str; 4] = ["camera", "film", "phone", "drone"];

#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) inputs: Vec<InputId>,
    pub(super) selection: Selection,
    /// From a decision to the first picture, of each input.
    pub(super) latency: Vec<Media>,
    /// Whether a worker goes on sending its last picture when there is nothing to show.
    pub(super) repeats: Vec<bool>,
    pub(super) events: Vec<(Media, What)>,
    /// The process sleeps from, until.
    pub(super) sleeps: Vec<(Media, Media)>,
    pub(super) end: Media,
}

/// Of the input with this number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Connect(usize),
    Lose(usize),
    Told(usize, Vec<Fault>),
    /// It stays connected and says nothing.
    Hang(usize),
    Resume(usize),
    ByHand(Wish),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    Auto,
    Slate,
    Input(usize),
}

/// What an input is like.
#[derive(Clone, Copy)]
enum Kind {
    Steady,
    /// Something now and then.
    Usual,
    /// Periods of milliseconds to seconds.
    Flapping,
    /// More down than up.
    Poor,
}

impl Story {
    pub(super) fn random(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = rng.usize(1..=NAMES.len());
        let inputs: Vec<_> = NAMES.iter().take(count).map(|name| InputId::new(name).unwrap()).collect();
        let begin = rng.i64(0..1_000_000) * MS;
        let mut events = Vec::new();
        for input in 0..count {
            let kind = [Kind::Steady, Kind::Usual, Kind::Usual, Kind::Flapping, Kind::Poor][rng.usize(0..5)];
            live(input, kind, begin, &mut rng, &mut events);
        }
        if rng.u8(0..5) < 2 {
            for _ in 0..rng.usize(1..=4) {
                let wish = match rng.usize(0..count + 2) {
                    0 => Wish::Slate,
                    1 => Wish::Auto,
                    n => Wish::Input(n - 2),
                };
                events.push((Media(begin + rng.i64(0..LENGTH)), What::ByHand(wish)));
            }
        }
        events.sort();
        let mut sleeps = Vec::new();
        if rng.u8(0..10) == 0 {
            let from = begin + rng.i64(10 * S..LENGTH - 20 * S);
            sleeps.push((Media(from), Media(from + rng.i64(200 * MS..15 * S))));
        }
        let selection = selection(&inputs, &mut rng);
        let latency = inputs.iter().map(|_| Media(rng.i64(20 * MS..400 * MS))).collect();
        let repeats = inputs.iter().map(|_| rng.bool()).collect();
        Self { inputs, selection, latency, repeats, events, sleeps, end: Media(begin + LENGTH) }
    }
}

fn selection(inputs: &[InputId], rng: &mut fastrand::Rng) -> Selection {
    let scored = rng.u8(0..3) == 0;
    let lead = Lead { points: rng.u8(Lead::POINTS), held: Media(rng.i64(0..8) * S) };
    let mut selection = Selection {
        mode: if scored { SelectionMode::Scored(lead) } else { SelectionMode::Standby },
        silence: if rng.bool() { Silence::Moves } else { Silence::Stays },
        sound: if rng.u8(0..4) == 0 { AudioFrom::Input(inputs[0].clone()) } else { AudioFrom::Picture },
        ..Selection::default()
    };
    for input in inputs {
        if rng.u8(0..3) == 0 {
            continue;
        }
        let hold_off = [0, 500, 2000, 5000, 20_000][rng.usize(0..5)];
        let probation = [1000, 3000, 10_000, 30_000][rng.usize(0..4)];
        let worth = if rng.bool() { 100 } else { rng.u8(InputRules::WORTH) };
        let ms = Media::from_millis;
        let rules = InputRules { hold_off: ms(hold_off), probation: ms(probation), worth };
        selection.inputs.insert(input.clone(), rules);
    }
    selection
}

fn live(input: usize, kind: Kind, begin: i64, rng: &mut fastrand::Rng, events: &mut Vec<(Media, What)>) {
    let mut at = begin + if rng.u8(0..3) > 0 { rng.i64(0..2 * S) } else { rng.i64(0..60 * S) };
    events.push((Media(at), What::Connect(input)));
    let end = begin + LENGTH;
    while at < end {
        at += match kind {
            Kind::Steady => rng.i64(60 * S..300 * S),
            Kind::Usual => rng.i64(5 * S..80 * S),
            Kind::Flapping => rng.i64(100 * MS..6 * S),
            Kind::Poor => rng.i64(500 * MS..15 * S),
        };
        let lasts = match kind {
            Kind::Steady => rng.i64(500 * MS..5 * S),
            Kind::Usual => rng.i64(200 * MS..20 * S),
            Kind::Flapping => rng.i64(50 * MS..4 * S),
            Kind::Poor => rng.i64(5 * S..60 * S),
        };
        fault(input, at, at + lasts, rng, events);
        at += lasts;
    }
}

fn fault(input: usize, from: i64, until: i64, rng: &mut fastrand::Rng, events: &mut Vec<(Media, What)>) {
    const HARD: [Fault; 7] = [
        Fault::NoSignal,
        Fault::NoLock,
        Fault::ModeChange,
        Fault::Encoder,
        Fault::Stalled,
        Fault::DeviceGone,
        Fault::OutOfRange,
    ];
    const SOFT: [Fault; 6] =
        [Fault::Frozen, Fault::Black, Fault::Irregular, Fault::Network, Fault::Silent, Fault::NoSound];
    let mut told = |at: i64, faults: Vec<Fault>| events.push((Media(at), What::Told(input, faults)));
    let between = (from + 1).midpoint(until);
    let soft = SOFT[rng.usize(0..SOFT.len())];
    match rng.u8(0..10) {
        0 | 1 => events.extend([(Media(from), What::Lose(input)), (Media(until), What::Connect(input))]),
        // Another worker, whose connection comes before the end of the last one is noticed.
        2 => events.push((Media(from), What::Connect(input))),
        3 => events.extend([(Media(from), What::Hang(input)), (Media(until), What::Resume(input))]),
        4 | 5 => {
            told(from, vec![HARD[rng.usize(0..HARD.len())]]);
            told(until, Vec::new());
        }
        // One thing after the other.
        6 => {
            told(from, vec![soft]);
            told(between, vec![soft, HARD[rng.usize(0..HARD.len())]]);
            told(until, if rng.bool() { Vec::new() } else { vec![soft] });
            told(until + rng.i64(1..3 * S), Vec::new());
        }
        _ => {
            told(from, vec![soft]);
            if rng.bool() {
                told(between, vec![soft, SOFT[rng.usize(0..SOFT.len())]]);
            }
            told(until, Vec::new());
        }
    }
}
