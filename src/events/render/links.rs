//! Interfaces as a page: what each is and why, how it is, what it can do and what it did.

use std::time::Duration;

use super::page::{Page, Tone};
use super::{Style, detail, row, telemetry, words};
use crate::events::{
    BudgetSnapshot, BudgetState, Certainty, JudgedSnapshot, LinkClass, LinkCondition, LinkSnapshot, TelemetrySnapshot,
    Verdict,
};

/// Things that happened which are shown of each.
const RECENT: usize = 3;

/// All interfaces, each with what its modem or dish says of itself.
pub fn links(all: &[LinkSnapshot], telemetry: &TelemetrySnapshot, style: Style) -> String {
    let mut page = Page::new(Style { width: style.width.max(40), ..style });
    if all.is_empty() {
        page.paragraph(&[(Tone::Plain, " ")], Tone::Bad, "This machine has no network interface but loopback.");
    }
    // Those that can carry a programme first, virtual ones last.
    let mut sorted: Vec<&LinkSnapshot> = all.iter().collect();
    sorted.sort_by_key(|link| (link.class == LinkClass::Virtual && link.used_by.is_empty(), &link.name));
    for (n, link) in sorted.into_iter().enumerate() {
        if n > 0 {
            page.blank();
        }
        one(&mut page, link, telemetry);
    }
    page.finish()
}

fn one(page: &mut Page, link: &LinkSnapshot, telemetry: &TelemetrySnapshot) {
    let (tone, mark, state) = match link.condition {
        LinkCondition::Off => (Tone::Quiet, "○", "off"),
        LinkCondition::NoCarrier => (Tone::Bad, "✗", "no carrier"),
        LinkCondition::NoAddress => (Tone::Busy, "◌", "no address"),
        LinkCondition::NoRoute => (Tone::Busy, "◌", "no route"),
        LinkCondition::Ready => (Tone::Good, "●", "ready"),
    };
    let mut facts = Vec::new();
    // Who has only just looked does not know for how long it has been so.
    if link.for_ms >= 1000 {
        facts.push(format!("for {}", words::duration(Duration::from_millis(link.for_ms))));
    }
    facts.extend(link.speed_mbit.map(|speed| format!("{speed} Mbit/s")));
    facts.extend(link.carrier_changes.map(|n| format!("carrier changed {} times", words::count(n.into()))));
    row(page, (tone, mark), &link.name, state, &facts.join(", "));
    let remedy = match link.condition {
        LinkCondition::Off => format!("switch it on: ip link set {} up", link.name),
        LinkCondition::NoCarrier => "plug in its cable, or switch on what is at the other end".to_owned(),
        LinkCondition::NoAddress => "nobody has given it an address: DHCP does not answer, or is not asked".to_owned(),
        LinkCondition::NoRoute => "it has an address but no default route: only its own network is reached".to_owned(),
        LinkCondition::Ready => String::new(),
    };
    if !remedy.is_empty() && link.class != LinkClass::Virtual {
        detail(page, tone, &remedy);
    }
    let class = match link.class {
        LinkClass::Ethernet => "Ethernet",
        LinkClass::WiFi => "Wi-Fi",
        LinkClass::Cellular => "cellular",
        LinkClass::Starlink => "Starlink",
        LinkClass::Virtual => "virtual",
        LinkClass::Unknown => "unknown",
    };
    let sure = match link.certainty {
        Certainty::Certain => "",
        Certainty::Likely => "likely ",
    };
    let mut about = vec![format!("{sure}{class}: {}", link.class_reason)];
    if !link.addresses.is_empty() || !link.gateways.is_empty() {
        let gateways =
            if link.gateways.is_empty() { String::new() } else { format!(", gateway {}", link.gateways.join(", ")) };
        let addresses = if link.addresses.is_empty() { "no address".to_owned() } else { link.addresses.join(", ") };
        about.push(format!("{addresses}{gateways}"));
    }
    about.push(format!("known as {} ({})", link.id, link.id_reason));
    for line in &about {
        detail(page, Tone::Plain, line);
    }
    telemetry::of_link(page, &link.name, telemetry);
    if let Some(trouble) = &link.expected_trouble {
        detail(page, Tone::Busy, &format!("trouble is expected: {trouble}"));
    }
    if !link.used_by.is_empty() {
        detail(page, Tone::Strong, &format!("used by {}", link.used_by.join(", ")));
    }
    if let Some(pin) = &link.pin {
        let (tone, leaves) = match (pin.leaves, pin.troubles.is_empty()) {
            (true, true) => (Tone::Plain, "what is bound to it leaves by it"),
            (true, false) => (Tone::Busy, "what is bound to it leaves by it"),
            (false, _) => (Tone::Bad, "what is bound to it does not get out"),
        };
        let words = if pin.words.is_empty() { String::new() } else { format!(": {}", pin.words) };
        detail(page, tone, &format!("{leaves}{words}"));
        for trouble in &pin.troubles {
            detail(page, tone, &trouble.what);
            detail(page, Tone::Strong, &format!("→ {}", trouble.remedy));
        }
    }
    if let Some(judged) = &link.judged {
        judgement(page, judged);
    }
    if let Some(budget) = &link.budget {
        allowance(page, budget);
    }
    for moment in link.history.iter().take(RECENT) {
        let ago = words::duration(Duration::from_millis(moment.ago_ms));
        detail(page, Tone::Quiet, &format!("{ago} ago: {}", moment.what));
    }
}

fn judgement(page: &mut Page, judged: &JudgedSnapshot) {
    let tone = match judged.verdict {
        Verdict::Up => Tone::Good,
        Verdict::Suspect | Verdict::Probation => Tone::Busy,
        Verdict::Dead => Tone::Bad,
    };
    detail(page, tone, &judged.words);
    let mut measured = vec![format!("{} of 100 points", judged.points)];
    match judged.rtt_ms {
        Some(rtt) => measured.push(format!("round trip {rtt} ms")),
        None => measured.push("no probe has been answered".to_owned()),
    }
    measured.extend(judged.loss_percent.map(|loss| format!("{loss} % of the probes lost")));
    detail(page, Tone::Plain, &measured.join(", "));
}

/// The links that have a data plan, each in a line or two; nothing if there are none.
pub(super) fn data(page: &mut Page, links: &[LinkSnapshot]) {
    let planned = links.iter().filter_map(|link| Some((link, link.budget.as_ref()?)));
    for (n, (link, budget)) in planned.enumerate() {
        if n == 0 {
            page.heading(" DATA", "");
        }
        let (tone, mark, state) = match budget.state {
            BudgetState::Free => (Tone::Good, "●", "within cap"),
            BudgetState::Warned => (Tone::Busy, "◌", "nearly used"),
            BudgetState::Spent => (Tone::Bad, "✗", "last resort"),
            BudgetState::Barred => (Tone::Bad, "✗", "barred"),
        };
        let state = if budget.cap.is_some() { state } else { "no cap" };
        let share = budget.cap.map(|cap| u128::from(budget.used) * 100 / u128::from(cap.max(1)));
        let share = share.map_or(String::new(), |percent| format!("{percent} % used"));
        row(page, (tone, mark), &link.name, state, &share);
        detail(page, Tone::Plain, &budget.words);
    }
}

fn allowance(page: &mut Page, budget: &BudgetSnapshot) {
    let (tone, follows) = match budget.state {
        BudgetState::Free => (Tone::Plain, ""),
        BudgetState::Warned => (Tone::Busy, "; its data cap will be reached"),
        BudgetState::Spent => (Tone::Bad, "; its data cap is reached: used only if nothing else works"),
        BudgetState::Barred => (Tone::Bad, "; its data cap is reached: not used any more"),
    };
    let since = budget.since.as_ref().map_or(String::new(), |day| format!(" (since {day})"));
    detail(page, tone, &format!("{}{follows}{since}", budget.words));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{DishFigures, DishSnapshot, DishState, LinkMoment, PinSnapshot, PinTrouble};

    fn link(name: &str, class: LinkClass, condition: LinkCondition) -> LinkSnapshot {
        LinkSnapshot {
            id: "pci-0000:03:00.0".into(),
            id_reason: "the socket it is plugged into or soldered to".into(),
            name: name.into(),
            class,
            certainty: Certainty::Certain,
            class_reason: "a network card with the driver igc".into(),
            condition,
            for_ms: 8_000_000,
            addresses: vec!["192.0.2.7/24".into()],
            gateways: vec!["192.0.2.1".into()],
            speed_mbit: Some(1000),
            driver: Some("igc".into()),
            mac: None,
            carrier_changes: Some(3),
            used_by: vec!["relay (carries)".into()],
            judged: Some(JudgedSnapshot {
                verdict: Verdict::Dead,
                words: "dead: no TCP acknowledgement for 1.04 s and no probe answer for 1.10 s".into(),
                points: 0,
                rtt_ms: Some(31),
                loss_percent: Some(100),
            }),
            pin: None,
            budget: None,
            expected_trouble: None,
            history: vec![LinkMoment { ago_ms: 8_000_000, what: "carrier is back".into() }],
        }
    }

    fn page(all: &[LinkSnapshot]) -> String {
        links(all, &TelemetrySnapshot::default(), Style { colour: false, width: 100 })
    }

    #[test]
    fn a_link_says_what_it_is_can_and_did() {
        let text = page(&[link("eth0", LinkClass::Ethernet, LinkCondition::Ready)]);
        for wanted in [
            "● eth0",
            "ready",
            "for 2 h 13 min, 1000 Mbit/s, carrier changed 3 times",
            "Ethernet: a network card with the driver igc",
            "192.0.2.7/24, gateway 192.0.2.1",
            "known as pci-0000:03:00.0",
            "used by relay (carries)",
            "dead: no TCP acknowledgement for 1.04 s and no probe answer for 1.10 s",
            "0 of 100 points, round trip 31 ms, 100 % of the probes lost",
            "2 h 13 min ago: carrier is back",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }

    #[test]
    fn what_is_wrong_comes_with_what_to_do_and_a_guess_is_called_one() {
        let mut dish = link("eth1", LinkClass::Starlink, LinkCondition::NoCarrier);
        dish.certainty = Certainty::Likely;
        let text = page(&[dish]);
        assert!(text.contains("likely Starlink") && text.contains("plug in its cable"), "{text}");
        let off = page(&[link("eth2", LinkClass::Ethernet, LinkCondition::Off)]);
        assert!(off.contains("ip link set eth2 up"), "{off}");
        assert!(page(&[]).contains("no network interface"));
    }

    #[test]
    fn what_its_modem_or_dish_says_stands_below_the_link() {
        let mut dish = link("eth1", LinkClass::Starlink, LinkCondition::Ready);
        dish.expected_trouble = Some("the dish is obstructed".into());
        let figures = DishFigures { latency_ms: Some(34.0), obstructed_now: true, ..DishFigures::default() };
        let of = |interface: &str| DishSnapshot {
            address: "192.168.100.1:9200".into(),
            interface: Some(interface.into()),
            state: DishState::Answers(figures.clone()),
        };
        let telemetry = TelemetrySnapshot { dishes: vec![of("eth1"), of("eth7")], ..TelemetrySnapshot::default() };
        let text = links(&[dish], &telemetry, Style { colour: false, width: 100 });
        assert_eq!(text.matches("Starlink dish: 34 ms, obstructed 0.0 % of the sky, now too").count(), 1, "{text}");
        assert!(text.contains("trouble is expected: the dish is obstructed"), "{text}");
    }

    #[test]
    fn what_is_bound_and_does_not_get_out_comes_with_the_command_that_helps() {
        let trouble = PinTrouble {
            code: "strict-filter".into(),
            what: "answers are thrown away".into(),
            remedy: "sysctl -w net.ipv4.conf.eth0.rp_filter=2".into(),
        };
        let pin = |leaves, troubles| LinkSnapshot {
            pin: Some(PinSnapshot { leaves, words: "IPv4 from 192.0.2.7 via 192.0.2.1".into(), troubles }),
            ..link("eth0", LinkClass::Ethernet, LinkCondition::Ready)
        };
        let good = page(&[pin(true, Vec::new())]);
        assert!(good.contains("what is bound to it leaves by it: IPv4 from 192.0.2.7 via 192.0.2.1"), "{good}");
        let bad = page(&[pin(false, vec![trouble])]);
        assert!(bad.contains("what is bound to it does not get out"), "{bad}");
        assert!(bad.contains("answers are thrown away"), "{bad}");
        assert!(bad.contains("→ sysctl -w net.ipv4.conf.eth0.rp_filter=2"), "{bad}");
    }

    #[test]
    fn what_it_has_carried_and_what_follows_stands_with_the_link_and_on_the_page_of_the_box() {
        let mut modem = link("wwan0", LinkClass::Cellular, LinkCondition::Ready);
        modem.budget = Some(BudgetSnapshot {
            state: BudgetState::Warned,
            words: "it has carried 16.2 GB of 20 GB; at this rate 24 GB by 18:30".into(),
            used: 16_200_000_000,
            cap: Some(20_000_000_000),
            forecast: Some(24_000_000_000),
            since: Some("2026-11-01".into()),
        });
        let style = Style { colour: false, width: 140 };
        let text = links(&[modem.clone()], &TelemetrySnapshot::default(), style);
        let wanted = "24 GB by 18:30; its data cap will be reached (since 2026-11-01)";
        assert!(text.contains(wanted), "{text}");
        let mut page = Page::new(style);
        data(&mut page, &[link("eth0", LinkClass::Ethernet, LinkCondition::Ready), modem]);
        let text = page.finish();
        assert!(text.contains("DATA") && text.contains("81 % used") && text.contains("24 GB by 18:30"), "{text}");
        assert!(!text.contains("eth0"), "{text}");
        let mut page = Page::new(style);
        data(&mut page, &[link("eth0", LinkClass::Ethernet, LinkCondition::Ready)]);
        assert_eq!(page.finish().trim(), "");
    }

    #[test]
    fn virtual_ones_that_nothing_uses_come_last() {
        let mut bridge = link("br0", LinkClass::Virtual, LinkCondition::Ready);
        bridge.used_by.clear();
        let text = page(&[bridge, link("eth0", LinkClass::Ethernet, LinkCondition::Ready)]);
        assert!(text.find("eth0") < text.find("br0"), "{text}");
    }
}
