//! Incidents, as an operator would tell them.

use super::*;
use crate::events::Severity::{Info, Warning};
use crate::events::{BearerSnapshot, BearerState, OutageSnapshot, ServiceState, SupplyState};

#[test]
fn a_tree_before_the_dish_is_hinted_at_at_once_and_told_when_it_stays() {
    let mut story = Story::new();
    story.keep(10, &dish(well()));
    assert_said(
        &story.take_news(),
        &[(0, Info, "a Starlink dish answers: 34 ms, obstructed 0.3 % of the sky, no outage")],
    );
    assert_eq!(story.take_hints(), []);

    let obstructed = dish(DishFigures { obstructed_now: true, ..well() });
    story.keep(5, &obstructed);
    story.keep(40, &dish(well()));
    let hints = [(10, 'T'), (11, 'T'), (12, 'T'), (13, 'T'), (14, 'T'), (18, 'c')];
    assert_eq!(story.take_hints(), hints);
    let told = [(13, Warning, "the dish is obstructed: 34 ms"), (45, Info, "the dish sees its satellites again")];
    assert_said(&story.take_news(), &told);
}

#[test]
fn an_outage_comes_with_its_cause_and_a_short_one_is_only_a_hint() {
    let mut story = Story::new();
    story.keep(10, &dish(well()));
    story.take_news();
    let out = |for_ms| {
        let outage = Some(OutageSnapshot { cause: "it receives nothing".into(), for_ms });
        dish(DishFigures { outage, latency_ms: None, drop_fraction: 1.0, ..well() })
    };
    story.keep(1, &out(400));
    story.keep(60, &dish(well()));
    assert_eq!((story.take_hints(), story.take_news()), (vec![(10, 'T'), (14, 'c')], vec![]));

    story.keep(4, &out(3000));
    let begun = "the dish has an outage (it receives nothing): 100.0 % of pings lost";
    assert_said(&story.take_news(), &[(74, Warning, begun)]);
}

#[test]
fn a_dish_that_falls_silent_leaves_its_hint_to_expire_and_is_told_once() {
    let mut story = Story::new();
    story.keep(1000, &no_dish());
    assert_eq!((story.take_news(), story.take_hints()), (vec![], vec![]), "one that never was there is no news");
    story.keep(10, &dish(DishFigures { obstructed_now: true, ..well() }));
    story.take_news();
    story.take_hints();
    story.keep(500, &no_dish());
    assert_said(&story.take_news(), &[(1020, Warning, "the dish does not answer any more: no route to host")]);
    assert_eq!(story.take_hints(), []);
    story.keep(2, &dish(well()));
    assert_said(&story.take_news(), &[(1510, Info, "the dish answers again: 34 ms")]);
    story.tell(Reading::DishForgotten(dish_id()));
    assert!(story.observer.snapshot().dishes.is_empty());
}

#[test]
fn a_dish_that_complains_from_the_beginning_is_heard() {
    let mut story = Story::new();
    let alerts = vec!["its cable is slow".to_owned()];
    story.keep(20, &dish(DishFigures { alerts, ..well() }));
    story.keep(20, &dish(well()));
    let told = [
        (0, Info, "a Starlink dish answers"),
        (10, Warning, "the dish complains: its cable is slow"),
        (30, Info, "the dish complains of nothing any more"),
    ];
    assert_said(&story.take_news(), &told);
}

#[test]
fn another_technology_is_told_with_the_signal_once_it_lasts() {
    let mut story = Story::new();
    story.keep(10, &modems(modem()));
    assert_said(
        &story.take_news(),
        &[(0, Info, "the modem Quectel RM520N-GL is there: 5G NSA, Telekom, RSRP -90 dBm")],
    );
    let lte = ModemSnapshot { technology: Some(Technology::Lte), nr: None, lte: Some(cell(-101.0, 3.0)), ..modem() };
    story.keep(3, &modems(lte.clone()));
    story.keep(10, &modems(modem()));
    assert_eq!(story.take_news(), [], "three seconds are not worth telling");
    story.keep(10, &modems(lte.clone()));
    assert_said(&story.take_news(), &[(28, Info, "from 5G NSA to LTE: LTE, Telekom, RSRP -101 dBm, SNR 3 dB")]);
    for _ in 0..20 {
        story.keep(10, &modems(modem()));
        story.keep(10, &modems(lte.clone()));
    }
    assert_eq!(story.take_news(), [], "what comes back for ten seconds at a time is not back");
    story.keep(40, &modems(modem()));
    assert_said(&story.take_news(), &[(463, Info, "from LTE to 5G NSA")]);
    assert_eq!(story.take_hints(), [], "a slower network carries as well");

    let third = ModemSnapshot { technology: Some(Technology::Umts), nr: None, lte: None, ..modem() };
    story.keep(10, &modems(third));
    assert_said(&story.take_news(), &[(478, Warning, "from 5G NSA to 3G")]);
}

#[test]
fn a_lost_network_is_hinted_at_until_those_who_probe_must_know() {
    let mut story = Story::new();
    let searching = ModemSnapshot {
        registration: Registration::Searching,
        state: ModemState::Searching,
        technology: None,
        ..modem()
    };
    story.keep(60, &modems(searching.clone()));
    assert_eq!(story.take_hints(), [], "it was in none before");
    story.keep(10, &modems(modem()));
    story.take_news();
    story.keep(300, &modems(searching));
    let hints = story.take_hints();
    assert_eq!((hints[0], hints[29], hints.len()), ((70, 'T'), (99, 'T'), 31), "{hints:?}");
    assert_eq!(hints[30].1, 'c');
    assert_said(&story.take_news(), &[(75, Warning, "it has lost its network (it is searching)")]);
    story.keep(20, &modems(modem()));
    assert_said(&story.take_news(), &[(380, Info, "it is in a network again: 5G NSA")]);
}

#[test]
fn a_weak_signal_has_to_get_clearly_better() {
    let mut story = Story::new();
    let with = |rsrp, snr| modems(ModemSnapshot { lte: Some(cell(rsrp, snr)), ..modem() });
    story.keep(10, &with(-114.9, 0.0));
    assert_eq!(story.take_hints(), []);
    story.take_news();
    story.keep(5, &with(-115.1, 0.0));
    story.keep(20, &with(-112.5, 0.0));
    assert_eq!(story.take_hints().iter().filter(|(_, hint)| *hint == 'T').count(), 25, "2.5 dB better is not enough");
    assert_said(&story.take_news(), &[(20, Warning, "its signal is weak: 5G NSA, Telekom, RSRP -11")]);
    story.keep(70, &with(-111.0, 0.5));
    assert_eq!(story.take_hints(), [(38, 'c')]);
    assert_said(&story.take_news(), &[(95, Info, "its signal is good enough again")]);

    story.keep(2, &with(-90.0, -3.5));
    assert_eq!(story.take_hints().len(), 2, "noise is as bad as distance");
    // On 5G alone the LTE cell says nothing, and figures that are not there say nothing either.
    let alone = ModemSnapshot { technology: Some(Technology::FiveG), lte: Some(cell(-130.0, -9.0)), ..modem() };
    story.keep(10, &modems(alone.clone()));
    story.keep(10, &modems(ModemSnapshot { nr: None, ..alone }));
    assert_eq!(story.take_hints(), [(110, 'c')]);
}

#[test]
fn a_locked_sim_roaming_and_a_suspended_connection_are_told() {
    let mut story = Story::new();
    let sim = SimState::Locked { code: "SIM PIN".into(), retries: Some(3) };
    story.keep(5, &modems(ModemSnapshot { sim, state: ModemState::Locked, ..modem() }));
    let said = story.take_news();
    assert_said(&said[1..], &[(0, Warning, "its SIM is locked: it wants the SIM PIN, 3 attempts left; unlock it")]);
    story.keep(70, &modems(modem()));
    assert_said(&story.take_news(), &[(65, Info, "its SIM can be used again")]);

    story.keep(20, &modems(ModemSnapshot { registration: Registration::Roaming, ..modem() }));
    assert_said(&story.take_news(), &[(85, Warning, "it is roaming in Telekom, which may cost more")]);
    story.take_hints();

    let bearer = |state, error: Option<&str>| {
        let bearer = BearerSnapshot { interface: Some("wwan0".into()), state, error: error.map(str::to_owned) };
        modems(ModemSnapshot { bearers: vec![bearer], registration: Registration::Roaming, ..modem() })
    };
    story.keep(3, &bearer(BearerState::Suspended, None));
    assert_eq!(story.take_hints(), [(95, 'T'), (96, 'T'), (97, 'T')]);
    assert_said(&story.take_news(), &[(97, Warning, "the network has suspended its connection")]);
    story.keep(20, &bearer(BearerState::Up, None));
    assert_said(&story.take_news(), &[(108, Info, "its connection is in order again")]);
    story.keep(5, &bearer(BearerState::Down, Some("unknown APN")));
    assert_said(&story.take_news(), &[(120, Warning, "it does not get a connection: unknown APN")]);
}

#[test]
fn a_modem_manager_that_starts_again_is_told_in_one_line_and_a_pulled_modem_is_gone() {
    let mut story = Story::new();
    story.keep(10, &modems(modem()));
    story.take_news();
    story.keep(5, &Reading::Modems(Err("ModemManager does not run".into())));
    assert!(story.observer.snapshot().modems.is_empty());
    assert!(matches!(story.observer.snapshot().modem_service, ServiceState::Silent { .. }));
    // It needs some seconds to find its modems.
    story.keep(20, &Reading::Modems(Ok(Vec::new())));
    story.keep(10, &modems(modem()));
    let told = [(10, Info, "nothing is known of the modems for now: ModemManager does not run")];
    assert_said(&story.take_news(), &told);

    story.keep(100, &Reading::Modems(Ok(Vec::new())));
    assert_said(&story.take_news(), &[(75, Warning, "the modem Quectel RM520N-GL is gone")]);
    story.keep(1, &modems(modem()));
    assert_said(&story.take_news(), &[(145, Info, "the modem Quectel RM520N-GL is there")]);
}

#[test]
fn a_machine_that_is_hot_slow_short_of_power_and_of_disk_says_each_once() {
    let mut story = Story::new();
    let of = |machine| Reading::Machine(machine);
    story.keep(20, &of(machine(84.9, 50_000_000_000)));
    assert_eq!(story.take_news(), []);
    story.keep(20, &of(machine(85.0, 50_000_000_000)));
    story.keep(200, &of(machine(80.5, 50_000_000_000)));
    assert_said(&story.take_news(), &[(30, Warning, "85 °C hot, at most 85 are right: give it air")]);
    story.keep(70, &of(machine(79.9, 50_000_000_000)));
    assert_said(&story.take_news(), &[(300, Info, "80 °C, cool enough again")]);

    story.keep(1, &of(machine(50.0, 4_900_000_000)));
    story.keep(200, &of(machine(50.0, 5_400_000_000)));
    assert_said(&story.take_news(), &[(310, Warning, "only 4900 MB are free")]);
    story.keep(70, &of(machine(50.0, 5_600_000_000)));
    assert_said(&story.take_news(), &[(571, Info, "5600 MB are free, which is enough again")]);

    let low = MachineSnapshot { supply: SupplyState::TooLow, ..machine(50.0, 50_000_000_000) };
    story.keep(5, &of(low));
    assert_said(&story.take_news(), &[(581, Warning, "its voltage is too low: use a stronger supply")]);
    let slowed = vec!["the kernel slows the processor down, step 3 of 7".to_owned()];
    story.keep(10, &of(MachineSnapshot { throttled: slowed, ..machine(50.0, 50_000_000_000) }));
    let why = "the kernel slows the processor down, step 3 of 7: encoders may fall behind";
    assert_said(&story.take_news(), &[(591, Warning, why)]);
}

#[test]
fn a_processor_that_counts_is_slow_while_its_count_grows() {
    let mut story = Story::new();
    let counted =
        |count| Reading::Machine(MachineSnapshot { throttle_count: Some(count), ..machine(50.0, 50_000_000_000) });
    story.keep(20, &counted(4711));
    assert_eq!(story.take_news(), [], "what it counted before is of no interest");
    for count in 0..10 {
        story.keep(1, &counted(4712 + count));
    }
    assert_said(&story.take_news(), &[(25, Warning, "the processor slows itself down because it is hot")]);
}
