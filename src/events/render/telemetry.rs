//! Modems, dishes and the machine, a line or two each.

use super::page::{Page, Tone};
use super::{detail, row, words};
use crate::events::{
    BearerState, DishFigures, DishSnapshot, DishState, MachineSnapshot, ModemSnapshot, ModemState, RadioSnapshot,
    Registration, ServiceState, SimState, SupplyState, Technology, TelemetrySnapshot,
};

/// How a modem's connection is: `5G NSA, Telekom, RSRP -92 dBm, SNR 14 dB`.
pub fn modem(modem: &ModemSnapshot) -> String {
    let mut facts: Vec<String> = modem.technology.map(|t| t.words().to_owned()).into_iter().collect();
    let roaming = if modem.registration == Registration::Roaming { " (roaming)" } else { "" };
    facts.extend(modem.operator.as_ref().map(|operator| format!("{operator}{roaming}")));
    match (modem.technology, modem.lte, modem.nr) {
        (Some(Technology::FiveGBesideLte), Some(lte), Some(nr)) => {
            facts.extend(radio("", lte));
            facts.extend(radio("5G ", nr));
        }
        (_, lte, nr) => facts.extend(modem.leading_cell().or(lte).or(nr).and_then(|cell| radio("", cell))),
    }
    if modem.lte.is_none() && modem.nr.is_none() {
        facts.extend(modem.quality_percent.map(|percent| format!("signal {percent} %")));
    }
    if facts.is_empty() { state(modem.state).to_owned() } else { facts.join(", ") }
}

fn radio(of: &str, cell: RadioSnapshot) -> Option<String> {
    let rsrp = cell.rsrp_dbm.map(|dbm| format!("RSRP {dbm:.0} dBm"));
    let snr = cell.snr_db.map(|db| format!("SNR {db:.0} dB"));
    let rsrq = cell.rsrq_db.filter(|_| snr.is_none()).map(|db| format!("RSRQ {db:.0} dB"));
    let figures: Vec<String> = [rsrp, snr, rsrq].into_iter().flatten().collect();
    (!figures.is_empty()).then(|| format!("{of}{}", figures.join(", ")))
}

/// How a dish is: `34 ms, obstructed 0.3 % of the sky, no outage`.
pub fn dish(figures: &DishFigures) -> String {
    let mut facts: Vec<String> = figures.latency_ms.map(|ms| format!("{ms:.0} ms")).into_iter().collect();
    if figures.drop_fraction >= 0.001 {
        facts.push(format!("{:.1} % of pings lost", figures.drop_fraction * 100.0));
    }
    let now = if figures.obstructed_now { ", now too" } else { "" };
    facts.push(format!("obstructed {:.1} % of the sky{now}", figures.obstructed_fraction * 100.0));
    facts.push(match &figures.outage {
        None => "no outage".to_owned(),
        Some(outage) => format!("outage for {:.1} s: {}", tenths(outage.for_ms), outage.cause),
    });
    if figures.first_slot_s > 0.0 {
        facts.push(format!("next satellite in {:.0} s", figures.first_slot_s));
    }
    facts.join(", ")
}

fn tenths(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

/// Below one link: what its modem or dish says.
pub(super) fn of_link(page: &mut Page, link: &str, telemetry: &TelemetrySnapshot) {
    for found in telemetry.modems.iter().filter(|modem| modem.interface.as_deref() == Some(link)) {
        detail(page, modem_tone(found), &format!("modem {}: {}", found.model, modem(found)));
    }
    for found in telemetry.dishes.iter().filter(|dish| dish.interface.as_deref() == Some(link)) {
        let (tone, text) = dish_line(found);
        detail(page, tone, &format!("Starlink dish: {text}"));
    }
}

/// All of it, for the page of the whole box.
pub(super) fn all(page: &mut Page, telemetry: &TelemetrySnapshot) {
    let machine = telemetry.machine.as_ref().map(machine_lines).unwrap_or_default();
    let troubled = machine.iter().any(|(tone, ..)| *tone != Tone::Good);
    if telemetry.modems.is_empty() && telemetry.dishes.is_empty() && !troubled {
        return;
    }
    page.heading(" MODEMS, DISHES, MACHINE", "");
    for found in &telemetry.modems {
        let name = found.interface.as_deref().unwrap_or(&found.model);
        let tone = modem_tone(found);
        row(page, (tone, mark(tone)), name, state(found.state), &modem(found));
        let faults = modem_faults(found);
        if !faults.is_empty() {
            detail(page, tone, &faults);
        }
    }
    if let (true, ServiceState::Silent { because }) = (telemetry.modems.is_empty(), &telemetry.modem_service) {
        detail(page, Tone::Quiet, &format!("modems: nothing is known ({because})"));
    }
    for found in &telemetry.dishes {
        let (tone, text) = dish_line(found);
        let name = found.interface.as_deref().unwrap_or(&found.address);
        row(page, (tone, mark(tone)), name, "Starlink dish", &text);
        if let DishState::Answers(figures) = &found.state {
            for alert in &figures.alerts {
                detail(page, Tone::Busy, alert);
            }
        }
    }
    for (tone, name, state, facts) in machine {
        row(page, (tone, mark(tone)), name, state, &facts);
    }
}

fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "●",
        Tone::Busy => "◌",
        Tone::Bad => "✗",
        Tone::Quiet | Tone::Strong | Tone::Plain => "○",
    }
}

fn modem_tone(modem: &ModemSnapshot) -> Tone {
    let faulty = !modem_faults(modem).is_empty();
    match modem.state {
        ModemState::Connected if !faulty => Tone::Good,
        ModemState::Failed | ModemState::Locked => Tone::Bad,
        ModemState::Disabled | ModemState::Unknown if !faulty => Tone::Quiet,
        ModemState::Unknown
        | ModemState::Initializing
        | ModemState::Disabled
        | ModemState::Disabling
        | ModemState::Enabling
        | ModemState::Enabled
        | ModemState::Searching
        | ModemState::Registered
        | ModemState::Disconnecting
        | ModemState::Connecting
        | ModemState::Connected => Tone::Busy,
    }
}

fn modem_faults(modem: &ModemSnapshot) -> String {
    let mut faults = Vec::new();
    match &modem.sim {
        SimState::Locked { code, retries } => {
            let left = retries.map_or_else(String::new, |n| format!(", {n} attempts left"));
            faults.push(format!("its SIM wants the {code}{left}"));
        }
        SimState::Missing => faults.push("it has no SIM that can be read".to_owned()),
        SimState::Unknown | SimState::Ready => {}
    }
    for bearer in &modem.bearers {
        if bearer.state == BearerState::Suspended {
            faults.push("the network has suspended its connection".to_owned());
        }
        faults.extend(bearer.error.clone());
    }
    faults.join("; ")
}

fn state(state: ModemState) -> &'static str {
    match state {
        ModemState::Failed => "failed",
        ModemState::Unknown => "unknown",
        ModemState::Initializing => "initialising",
        ModemState::Locked => "locked",
        ModemState::Disabled => "off",
        ModemState::Disabling => "going off",
        ModemState::Enabling => "coming on",
        ModemState::Enabled => "on",
        ModemState::Searching => "searching",
        ModemState::Registered => "registered",
        ModemState::Disconnecting => "disconnecting",
        ModemState::Connecting => "connecting",
        ModemState::Connected => "connected",
    }
}

fn dish_line(dish: &DishSnapshot) -> (Tone, String) {
    match &dish.state {
        DishState::Silent { because } => (Tone::Quiet, format!("does not answer ({because})")),
        DishState::Answers(figures) => {
            let well = figures.outage.is_none() && !figures.obstructed_now;
            (if well { Tone::Good } else { Tone::Busy }, self::dish(figures))
        }
    }
}

/// Tone, name, state, facts.
fn machine_lines(machine: &MachineSnapshot) -> Vec<(Tone, &'static str, &'static str, String)> {
    let mut lines = Vec::new();
    let hottest = machine.zones.iter().max_by(|a, b| a.celsius.total_cmp(&b.celsius));
    let heat = hottest.map(|zone| format!("{} {:.0} °C", zone.name, zone.celsius));
    let speed = machine.processor.map(|speed| format!("at most {} of {} MHz", speed.allowed_mhz, speed.most_mhz));
    if heat.is_some() || speed.is_some() || !machine.throttled.is_empty() {
        let (tone, state) =
            if machine.throttled.is_empty() { (Tone::Good, "full speed") } else { (Tone::Bad, "slowed down") };
        let facts: Vec<String> = heat.into_iter().chain(speed).chain(machine.throttled.iter().cloned()).collect();
        lines.push((tone, "processor", state, facts.join(", ")));
    }
    if machine.supply == SupplyState::TooLow {
        let facts = "use a stronger supply, or a shorter and thicker cable";
        lines.push((Tone::Bad, "power supply", "too low", facts.to_owned()));
    }
    for disk in &machine.disks {
        let facts =
            format!("{} of {} free: {}", words::bytes(disk.free_bytes), words::bytes(disk.total_bytes), disk.directory);
        lines.push((Tone::Good, "disk", "", facts));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::render::Style;
    use crate::events::{BearerSnapshot, DiskSnapshot, OutageSnapshot, ZoneSnapshot};

    fn quectel() -> ModemSnapshot {
        ModemSnapshot {
            id: "/sys/devices/usb1/1-2".into(),
            model: "Quectel RM520N-GL".into(),
            interface: Some("wwan0".into()),
            state: ModemState::Connected,
            sim: SimState::Ready,
            registration: Registration::Home,
            operator: Some("Telekom".into()),
            technology: Some(Technology::FiveG),
            quality_percent: Some(71),
            lte: None,
            nr: Some(RadioSnapshot { rsrp_dbm: Some(-92.0), rsrq_db: Some(-11.0), snr_db: Some(14.0) }),
            bearers: vec![BearerSnapshot { interface: Some("wwan0".into()), state: BearerState::Up, error: None }],
        }
    }

    fn figures() -> DishFigures {
        DishFigures { obstructed_fraction: 0.003, latency_ms: Some(34.2), ..DishFigures::default() }
    }

    fn page(telemetry: &TelemetrySnapshot) -> String {
        let mut page = Page::new(Style { colour: false, width: 110 });
        all(&mut page, telemetry);
        page.finish()
    }

    #[test]
    fn a_modem_and_a_dish_in_a_line_each() {
        assert_eq!(modem(&quectel()), "5G SA, Telekom, RSRP -92 dBm, SNR 14 dB");
        let lte = Some(RadioSnapshot { rsrp_dbm: Some(-101.0), rsrq_db: Some(-12.0), snr_db: None });
        let nsa = ModemSnapshot { technology: Some(Technology::FiveGBesideLte), lte, ..quectel() };
        let wanted = "5G NSA, Telekom, RSRP -101 dBm, RSRQ -12 dB, 5G RSRP -92 dBm, SNR 14 dB";
        assert_eq!(modem(&nsa), wanted);
        let roaming = ModemSnapshot { registration: Registration::Roaming, nr: None, ..quectel() };
        assert_eq!(modem(&roaming), "5G SA, Telekom (roaming), signal 71 %");
        assert_eq!(dish(&figures()), "34 ms, obstructed 0.3 % of the sky, no outage");
        let outage = Some(OutageSnapshot { cause: "it sees no satellite".into(), for_ms: 4200 });
        let out = DishFigures { outage, latency_ms: None, drop_fraction: 1.0, ..figures() };
        assert_eq!(
            dish(&out),
            "100.0 % of pings lost, obstructed 0.3 % of the sky, outage for 4.2 s: it sees no satellite"
        );
    }

    #[test]
    fn a_machine_without_any_of_it_and_without_trouble_says_nothing() {
        let silent = ServiceState::Silent { because: "ModemManager does not run".into() };
        let mut telemetry = TelemetrySnapshot { modem_service: silent, ..TelemetrySnapshot::default() };
        assert_eq!(page(&telemetry), "");
        let zones = vec![ZoneSnapshot { name: "x86_pkg_temp".into(), celsius: 51.0, throttles_at: None }];
        let disks = vec![DiskSnapshot { directory: "/data".into(), free_bytes: 1, total_bytes: 2 }];
        telemetry.machine = Some(MachineSnapshot { zones, disks, ..MachineSnapshot::default() });
        assert_eq!(page(&telemetry), "");
        if let Some(machine) = &mut telemetry.machine {
            machine.throttled.push("the kernel slows the processor down, step 3 of 7".into());
        }
        let text = page(&telemetry);
        assert!(text.contains("slowed down") && text.contains("51 °C") && text.contains("step 3 of 7"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_said_below_the_modem_or_dish() {
        let locked = ModemSnapshot {
            state: ModemState::Locked,
            sim: SimState::Locked { code: "SIM PIN".into(), retries: Some(3) },
            ..quectel()
        };
        let figures = DishFigures { alerts: vec!["its cable is slow".into()], obstructed_now: true, ..figures() };
        let dish = |state| DishSnapshot { address: "192.168.100.1:9200".into(), interface: Some("eth1".into()), state };
        let silent =
            DishSnapshot { interface: None, ..dish(DishState::Silent { because: "connection refused".into() }) };
        let telemetry = TelemetrySnapshot {
            modems: vec![locked],
            dishes: vec![dish(DishState::Answers(figures)), silent],
            ..TelemetrySnapshot::default()
        };
        let text = page(&telemetry);
        for wanted in [
            "✗ wwan0",
            "its SIM wants the SIM PIN, 3 attempts left",
            "◌ eth1",
            "of the sky, now too, no outage",
            "its cable is slow",
            "○ 192.168.100.1:9200",
            "does not answer (connection refused)",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }
}
