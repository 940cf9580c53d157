//! What an endpoint says at its end, in the words of `tests/peers/srt_group_peer.c`.

use std::collections::BTreeMap;

use holdfast::bonding::BondCounters;
use holdfast::srt::session::{PathId, PathStats, SessionCounters};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

use super::numbered::Tally;

/// What was last seen of each path, with its weight: those that have ended are gone from the session.
pub type Paths = BTreeMap<PathId, (u16, PathStats)>;

pub fn sent(sent: u64, refused: u64, seconds: f64) -> Value {
    json!({"role": "send", "sent": sent, "refused": refused, "seconds": seconds})
}

pub fn received(tally: &Tally) -> Value {
    let delay = tally.delay_us();
    let mut report = json!({
        "role": "receive",
        "received": tally.unique,
        "missing": tally.missing(),
        "duplicates": tally.duplicates,
        "out_of_order": tally.out_of_order,
        "corrupt": tally.corrupt,
        "first": tally.first.map_or(-1, |n| n as i64),
        "highest": tally.highest,
        "seconds": tally.seconds(),
        "longest_gap_us": tally.longest_gap_us,
        "longest_gap_end_us": tally.longest_gap_end_us,
    });
    if let Some([least, median, p99, most]) = delay {
        report["delay_us"] = json!({"least": least, "median": median, "p99": p99, "most": most});
    }
    report
}

/// Adds what both kinds have.
pub fn complete(report: &mut Value, paths: &Paths, session: SessionCounters, bond: BondCounters, refusals: Value) {
    let member = |(weight, stats): &(u16, PathStats)| {
        let counted = &stats.counters;
        json!({
            "weight": weight,
            "sent": counted.sent.packets + counted.retransmitted.packets,
            "unique_sent": counted.sent.packets,
            "retransmitted": counted.retransmitted.packets,
            "received": counted.received.packets,
            "retransmitted_received": counted.received_again,
            "receive_lost": counted.missing,
            "undecrypted": counted.undecipherable,
            "refused": counted.refused,
            "naks_sent": counted.naks_sent,
            "naks_received": counted.naks_received,
            "acks_sent": counted.acks_sent,
            "belated": counted.belated,
            "rtt_ms": stats.rtt.map_or(0.0, |rtt| rtt.as_secs_f64() * 1e3),
        })
    };
    report["members"] = paths.values().map(member).collect();
    report["skipped"] = session.skipped.into();
    report["recovered"] = session.recovered.into();
    report["dropped_unsent"] = session.dropped_unsent.into();
    report["dropped_unacknowledged"] = session.dropped_unacknowledged.into();
    report["unasked"] = session.unasked.into();
    report["too_long"] = session.too_long.into();
    report["no_room"] = session.no_room.into();
    report["switches"] = bond.switches.into();
    report["doubts"] = bond.doubts.into();
    report["false_suspicions"] = bond.false_suspicions.into();
    report["refusals"] = refusals;
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel counts");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let (user, kernel) = (seconds(usage.user_time()), seconds(usage.system_time()));
    report["cpu_s"] = (user + kernel).into();
    report["cpu_user_s"] = user.into();
    report["cpu_kernel_s"] = kernel.into();
    report["max_rss_kib"] = usage.max_rss().into();
}
