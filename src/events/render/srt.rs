//! The paths of an SRT output, and what its far end says.

use super::page::{Page, Tone};
use super::{detail, words};
use crate::events::{BondingMode, FarEndSnapshot, OutputState, PathSnapshot, PathState, SrtSnapshot};

/// Below the output's own row.
pub(super) fn paths(page: &mut Page, srt: &SrtSnapshot, state: &OutputState) {
    if *state == OutputState::Off {
        return;
    }
    let is_publishing = *state == OutputState::Publishing;
    if let Some(far) = srt.far_end.as_ref().filter(|_| is_publishing) {
        let (tone, text) = far_end(far);
        detail(page, tone, &text);
    }
    if is_publishing {
        detail(page, Tone::Quiet, &session(srt));
    }
    // What is wrong with the only path stands in the output's own row.
    if srt.bonding == BondingMode::Single && !is_publishing {
        return;
    }
    for path in &srt.paths {
        row(page, path);
    }
}

fn session(srt: &SrtSnapshot) -> String {
    let bonding = match srt.bonding {
        BondingMode::Single => "one path",
        BondingMode::Broadcast => "all paths carry all",
        BondingMode::Backup => "the best path carries",
    };
    let secret = if srt.encrypted { "encrypted" } else { "in clear" };
    let mut text = format!("{bonding}, {secret}");
    if let Some(latency) = srt.latency_ms {
        text += &format!(", {latency} ms for repairs");
    }
    text += &format!(", {} packets sent again", words::count(srt.retransmitted));
    if srt.dropped > 0 {
        text += &format!(", {} too late", words::count(srt.dropped));
    }
    if srt.switches > 0 {
        text += &format!(", {} switches", words::count(srt.switches));
    }
    text
}

fn far_end(far: &FarEndSnapshot) -> (Tone, String) {
    let faults = match (far.missing, far.continuity_errors) {
        (0, 0) => "nothing missing".to_owned(),
        (missing, errors) => {
            format!("{} packets missing, {} continuity errors", words::count(missing), words::count(errors))
        }
    };
    if far.age_ms >= FarEndSnapshot::STALE_MS {
        return (Tone::Busy, format!("the far end has said nothing for {} s", far.age_ms / 1000));
    }
    match (far.is_moving, far.picture_age_ms) {
        (true, Some(age)) => {
            let seconds = format!("{}.{} s", age / 1000, age % 1000 / 100);
            (Tone::Good, format!("verified: the far end has moving pictures {seconds} after they were taken; {faults}"))
        }
        (true, None) => (Tone::Good, format!("verified: the far end has moving pictures; {faults}")),
        (false, _) => (Tone::Bad, format!("the far end says that its pictures stand still; {faults}")),
    }
}

fn row(page: &mut Page, path: &PathSnapshot) {
    let (tone, mark, state) = match &path.state {
        PathState::Off => (Tone::Quiet, "○", "off"),
        PathState::Calling => (Tone::Busy, "◌", "calling"),
        PathState::Carries => (Tone::Good, "●", "carries"),
        PathState::Ready => (Tone::Good, "○", "ready"),
        PathState::NoLink { .. } => (Tone::Bad, "✗", "no link"),
        PathState::Waiting { .. } => (Tone::Bad, "✗", "waiting"),
    };
    let facts = match &path.state {
        PathState::Carries | PathState::Ready => facts(path),
        PathState::Waiting { retry_in_ms, .. } => format!("tries again in {} s", retry_in_ms.div_ceil(1000)),
        PathState::Off | PathState::Calling | PathState::NoLink { .. } => String::new(),
    };
    let name = format!("     {mark} {:<13} {state:<9} ", path.label);
    page.line(&[(tone, &name), (Tone::Plain, &facts)]);
    if let PathState::Waiting { because, .. } | PathState::NoLink { because } = &path.state {
        page.paragraph(&[(Tone::Plain, "         ")], Tone::Bad, because);
    }
}

fn facts(path: &PathSnapshot) -> String {
    let millis = |us: u64| format!("{}.{} ms", us / 1000, us % 1000 / 100);
    let mut facts = match path.rtt_us {
        Some(rtt) => format!("RTT {} ± {}", millis(rtt), millis(path.rtt_variance_us)),
        None => "RTT not measured yet".to_owned(),
    };
    if path.bitrate > 0 {
        facts += &format!(", {}", words::bit_rate(u32::try_from(path.bitrate).unwrap_or(u32::MAX)));
    }
    if path.lost_lately > 0 {
        facts += &format!(", {}.{} % lost", path.lost_lately / 10, path.lost_lately % 10);
    }
    if let Some(delay) = path.queue_delay_us.filter(|delay| *delay >= 10_000) {
        facts += &format!(", {} in queues", millis(delay));
    }
    if path.connections > 1 {
        facts += &format!(", connected {} times", path.connections);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::super::Style;
    use super::*;

    fn path(label: &str, state: PathState) -> PathSnapshot {
        PathSnapshot {
            label: label.to_owned(),
            state,
            connections: 1,
            rtt_us: Some(23_456),
            rtt_variance_us: 1200,
            queue_delay_us: Some(300),
            bitrate: 4_120_000,
            lost_lately: 0,
            sent: 1000,
            retransmitted: 3,
            lost: 4,
        }
    }

    fn snapshot() -> SrtSnapshot {
        let congested = PathSnapshot {
            queue_delay_us: Some(84_000),
            lost_lately: 25,
            connections: 3,
            ..path("wwan0", PathState::Ready)
        };
        let because = "nothing comes from relay.example.org:9000 any more: this network carries nothing".to_owned();
        SrtSnapshot {
            bonding: BondingMode::Backup,
            latency_ms: Some(500),
            encrypted: true,
            retransmitted: 1234,
            dropped: 0,
            switches: 2,
            paths: vec![
                path("eth0", PathState::Carries),
                congested,
                path("starlink0", PathState::Waiting { retry_in_ms: 2300, because }),
            ],
            far_end: Some(FarEndSnapshot {
                age_ms: 120,
                is_moving: true,
                picture_age_ms: Some(1260),
                pictures: 900,
                continuity_errors: 0,
                missing: 0,
            }),
        }
    }

    fn shown(srt: &SrtSnapshot, state: &OutputState, width: usize) -> String {
        let mut page = Page::new(Style { colour: false, width });
        paths(&mut page, srt, state);
        page.finish()
    }

    #[test]
    fn every_path_says_how_it_is() {
        let expected = "     verified: the far end has moving pictures 1.2 s after they were taken; nothing missing
     the best path carries, encrypted, 500 ms for repairs, 1\u{a0}234 packets sent again, 2
     switches
     ● eth0          carries   RTT 23.4 ms ± 1.2 ms, 4.1 Mbit/s
     ○ wwan0         ready     RTT 23.4 ms ± 1.2 ms, 4.1 Mbit/s, 2.5 % lost, 84.0 ms in que…
     ✗ starlink0     waiting   tries again in 3 s
         nothing comes from relay.example.org:9000 any more: this network carries nothing
";
        assert_eq!(shown(&snapshot(), &OutputState::Publishing, 92), expected);
    }

    #[test]
    fn a_far_end_that_is_silent_or_stands_still_is_not_verified() {
        let with = |change: &dyn Fn(&mut FarEndSnapshot)| {
            let mut srt = snapshot();
            srt.far_end.iter_mut().for_each(change);
            shown(&srt, &OutputState::Publishing, 200).lines().next().unwrap_or_default().trim().to_owned()
        };
        assert!(with(&|far| far.age_ms = 5400).starts_with("the far end has said nothing for 5 s"));
        assert!(with(&|far| far.is_moving = false).starts_with("the far end says that its pictures stand still"));
        assert!(with(&|far| far.missing = 7).ends_with("7 packets missing, 0 continuity errors"));
    }

    #[test]
    fn a_single_path_that_waits_says_so_once() {
        let single = SrtSnapshot { bonding: BondingMode::Single, ..snapshot() };
        let waiting = OutputState::Waiting { retry_in_ms: 1, because: String::new() };
        assert_eq!(shown(&single, &waiting, 92), "");
        assert_eq!(shown(&snapshot(), &OutputState::Off, 92), "");
    }
}
