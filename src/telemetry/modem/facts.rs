//! ModemManager's answers as snapshots. Its numbers are those of ModemManager-enums.h; what has another type than
//! documented, or is out of all range, is not known.

use std::collections::{BTreeMap, HashMap};

use zbus::OwnedVariant;

use crate::events::{
    BearerSnapshot, BearerState, ModemSnapshot, ModemState, RadioSnapshot, Registration, SimState, Technology,
};

pub(super) const MODEM: &str = "org.freedesktop.ModemManager1.Modem";
pub(super) const SIGNAL: &str = "org.freedesktop.ModemManager1.Modem.Signal";
const GPP: &str = "org.freedesktop.ModemManager1.Modem.Modem3gpp";

/// Longest name that is kept, characters.
const LONGEST: usize = 64;
/// Longest name of a device, bytes: cut, it could be another's.
const LONGEST_ID: usize = 512;

/// The properties of one interface of one object.
pub(super) type Properties = HashMap<String, OwnedVariant>;
/// All interfaces of one object.
pub(super) type Interfaces = BTreeMap<String, Properties>;

/// The object with these interfaces, if it is a modem that has got its name; without its bearers.
pub(super) fn modem(interfaces: &Interfaces) -> Option<ModemSnapshot> {
    let modem = interfaces.get(MODEM)?;
    // The device is there from the beginning and the same after a restart of ModemManager; paths are not.
    let name = |of| get::<String>(modem, of).filter(|name| (1..=LONGEST_ID).contains(&name.len()));
    let id = name("Device").or_else(|| name("DeviceIdentifier"))?;
    let none = Properties::new();
    let gpp = interfaces.get(GPP).unwrap_or(&none);
    let signal = interfaces.get(SIGNAL).unwrap_or(&none);
    let state = state(integer(modem, "State"));
    let maker = text(modem, "Manufacturer").unwrap_or_default();
    let model = text(modem, "Model").unwrap_or_else(|| "modem".to_owned());
    Some(ModemSnapshot {
        id,
        model: format!("{maker} {model}").trim().to_owned(),
        interface: network_port(modem),
        state,
        sim: sim(modem, state),
        registration: registration(number(gpp, "RegistrationState")),
        operator: text(gpp, "OperatorName"),
        technology: technology(number(modem, "AccessTechnologies").unwrap_or(0)),
        quality_percent: quality(modem),
        lte: radio(signal, "Lte"),
        nr: radio(signal, "Nr5g"),
        bearers: Vec::new(),
    })
}

/// The paths of a modem's bearers.
pub(super) fn bearer_paths(interfaces: &Interfaces) -> Vec<String> {
    let paths = interfaces.get(MODEM).and_then(|modem| get::<Vec<zbus::OwnedObjectPath>>(modem, "Bearers"));
    paths.into_iter().flatten().map(|path| path.to_string()).collect()
}

/// The seconds between two measurements of the signal; 0 while there are none, `None` if the modem cannot tell at all.
pub(super) fn signal_rate(interfaces: &Interfaces) -> Option<u32> {
    interfaces.get(SIGNAL).map(|signal| number(signal, "Rate").unwrap_or(0))
}

pub(super) fn bearer(properties: &Properties) -> BearerSnapshot {
    let flag = |name| get::<bool>(properties, name).unwrap_or(false);
    let state = match (flag("Connected"), flag("Suspended")) {
        (_, true) => BearerState::Suspended,
        (true, false) => BearerState::Up,
        (false, false) => BearerState::Down,
    };
    let error = get::<(String, String)>(properties, "ConnectionError");
    let error = error.and_then(|(name, message)| [message, name].into_iter().find(|text| !text.is_empty()));
    BearerSnapshot {
        interface: text(properties, "Interface"),
        state,
        error: error.map(short).filter(|_| state == BearerState::Down),
    }
}

/// The value, if it is there and of that type.
fn get<T: TryFrom<OwnedVariant>>(properties: &Properties, name: &str) -> Option<T> {
    properties.get(name)?.try_clone().ok()?.try_into().ok()
}

fn number(properties: &Properties, name: &str) -> Option<u32> {
    get(properties, name)
}

fn integer(properties: &Properties, name: &str) -> Option<i32> {
    get(properties, name)
}

fn text(properties: &Properties, name: &str) -> Option<String> {
    get::<String>(properties, name).map(|text| short(text.trim().to_owned())).filter(|text| !text.is_empty())
}

fn short(text: String) -> String {
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).collect() }
}

/// `Ports` lists names and kinds; MM_MODEM_PORT_TYPE_NET is 2.
fn network_port(modem: &Properties) -> Option<String> {
    let ports = get::<Vec<(String, u32)>>(modem, "Ports")?;
    ports.into_iter().find(|(_, kind)| *kind == 2).map(|(name, _)| short(name))
}

fn quality(modem: &Properties) -> Option<u32> {
    let (percent, recent) = get::<(u32, bool)>(modem, "SignalQuality")?;
    (percent <= 100 && (recent || percent > 0)).then_some(percent)
}

/// A dictionary of doubles in dB and dBm. Signals are between -200 and 100; modems that do not know say the least double.
fn radio(signal: &Properties, name: &str) -> Option<RadioSnapshot> {
    let cell = get::<HashMap<String, OwnedVariant>>(signal, name)?;
    let figure = |name: &str| {
        let figure = get::<f64>(&cell, name).filter(|figure| (-200.0..=100.0).contains(figure))?;
        Some((figure * 10.0).round() / 10.0)
    };
    let radio = RadioSnapshot { rsrp_dbm: figure("rsrp"), rsrq_db: figure("rsrq"), snr_db: figure("snr") };
    (radio != RadioSnapshot::default()).then_some(radio)
}

/// MMModemState.
fn state(state: Option<i32>) -> ModemState {
    match state {
        Some(-1) => ModemState::Failed,
        Some(1) => ModemState::Initializing,
        Some(2) => ModemState::Locked,
        Some(3) => ModemState::Disabled,
        Some(4) => ModemState::Disabling,
        Some(5) => ModemState::Enabling,
        Some(6) => ModemState::Enabled,
        Some(7) => ModemState::Searching,
        Some(8) => ModemState::Registered,
        Some(9) => ModemState::Disconnecting,
        Some(10) => ModemState::Connecting,
        Some(11) => ModemState::Connected,
        _ => ModemState::Unknown,
    }
}

/// MMModemAccessTechnology, a set of bits.
fn technology(bits: u32) -> Option<Technology> {
    const LTE: u32 = 1 << 14 | 1 << 16 | 1 << 17;
    const NR: u32 = 1 << 15;
    const THIRD: u32 = 0x3fe0;
    const SECOND: u32 = 0x1e;
    let has = |of: u32| bits & of != 0;
    match (has(NR), has(LTE)) {
        (true, true) => Some(Technology::FiveGBesideLte),
        (true, false) => Some(Technology::FiveG),
        (false, true) => Some(Technology::Lte),
        (false, false) if has(THIRD) => Some(Technology::Umts),
        (false, false) => has(SECOND).then_some(Technology::Gsm),
    }
}

/// MMModem3gppRegistrationState.
fn registration(state: Option<u32>) -> Registration {
    match state {
        Some(0) => Registration::None,
        Some(1 | 9) => Registration::Home,
        Some(2) => Registration::Searching,
        Some(3) => Registration::Denied,
        Some(5 | 10) => Registration::Roaming,
        Some(6 | 7 | 8 | 11) => Registration::Restricted,
        _ => Registration::Unknown,
    }
}

/// MMModemLock, MMModemStateFailedReason. A PIN2 locks only what nobody here wants of a SIM.
fn sim(modem: &Properties, state: ModemState) -> SimState {
    if state == ModemState::Failed && matches!(number(modem, "StateFailedReason"), Some(2 | 3)) {
        return SimState::Missing;
    }
    let Some(lock) = number(modem, "UnlockRequired") else { return SimState::Unknown };
    let code = match lock {
        0 => return SimState::Unknown,
        1 | 3 | 5 => return SimState::Ready,
        2 => "SIM PIN",
        4 => "SIM PUK",
        6 => "service provider's PIN",
        7 => "service provider's PUK",
        8 => "network's PIN",
        9 => "network's PUK",
        10 => "PIN that ties this modem to its SIM",
        _ => "unlocking code of another kind",
    };
    let retries = get::<HashMap<u32, u32>>(modem, "UnlockRetries").and_then(|left| left.get(&lock).copied());
    SimState::Locked { code: code.to_owned(), retries }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use zbus::Variant;

    use super::*;

    fn properties<'a>(list: impl IntoIterator<Item = (&'a str, Variant<'a>)>) -> Properties {
        list.into_iter().map(|(name, value)| (name.to_owned(), value.try_into().unwrap())).collect()
    }

    fn read(modem_has: &[(&str, Variant<'_>)]) -> ModemSnapshot {
        let device = [("Device", "/sys/devices/usb1/1-2".into())];
        let list = modem_has.iter().map(|(name, value)| (*name, value.try_clone().unwrap())).chain(device);
        let interfaces = Interfaces::from([(MODEM.to_owned(), properties(list))]);
        modem(&interfaces).unwrap()
    }

    #[test]
    fn technologies_have_the_names_that_people_use() {
        let named = |bits: u32| technology(bits).map(Technology::words);
        assert_eq!(named(1 << 14), Some("LTE"));
        assert_eq!(named(1 << 14 | 1 << 15), Some("5G NSA"));
        assert_eq!(named(1 << 15), Some("5G SA"));
        assert_eq!((named(1 << 9), named(1 << 4)), (Some("3G"), Some("2G")));
        assert_eq!(named(0), None);
        assert_eq!(named(1), None, "POTS is a telephone line");
    }

    #[test]
    fn a_pin2_locks_nothing_and_a_pin_tells_how_often_one_may_still_try() {
        let retries = HashMap::from([(2u32, 3u32), (4, 10)]);
        let locked =
            read(&[("State", 2i32.into()), ("UnlockRequired", 2u32.into()), ("UnlockRetries", Variant::from(retries))]);
        assert_eq!(locked.sim, SimState::Locked { code: "SIM PIN".to_owned(), retries: Some(3) });
        assert_eq!(locked.state, ModemState::Locked);
        assert_eq!(read(&[("UnlockRequired", 3u32.into())]).sim, SimState::Ready);
        let empty = read(&[("State", (-1i32).into()), ("StateFailedReason", 2u32.into())]);
        assert_eq!(empty.sim, SimState::Missing);
    }

    #[test]
    fn what_has_the_wrong_type_or_no_sense_is_not_known() {
        let odd = read(&[
            ("State", "connected".into()),
            ("AccessTechnologies", (-1i64).into()),
            ("SignalQuality", Variant::from((4711u32, true))),
            ("Ports", "wwan0".into()),
            ("Model", 7u32.into()),
            ("UnlockRetries", 0u8.into()),
        ]);
        assert_eq!((odd.state, odd.technology, odd.quality_percent), (ModemState::Unknown, None, None));
        assert_eq!((odd.interface.as_deref(), odd.model.as_str(), odd.sim), (None, "modem", SimState::Unknown));
        let lte = HashMap::from([("rsrp", Variant::from(f64::MIN)), ("rsrq", f64::NAN.into()), ("snr", 14.26.into())]);
        let signal = properties([("Lte", Variant::from(lte)), ("Nr5g", "none".into())]);
        let heard = RadioSnapshot { snr_db: Some(14.3), ..RadioSnapshot::default() };
        assert_eq!((radio(&signal, "Lte"), radio(&signal, "Nr5g")), (Some(heard), None));
    }

    #[test]
    fn a_bearer_says_why_it_is_down_and_nothing_of_old_errors_once_it_is_up() {
        let of = |connected: bool, suspended: bool| {
            bearer(&properties([
                ("Interface", "wwan0".into()),
                ("Connected", connected.into()),
                ("Suspended", suspended.into()),
                ("ConnectionError", Variant::from(("org.x.MissingOrUnknownApn", "unknown APN"))),
            ]))
        };
        assert_eq!(of(false, false).error.as_deref(), Some("unknown APN"));
        assert_eq!((of(true, false).state, of(true, false).error), (BearerState::Up, None));
        assert_eq!(of(true, true).state, BearerState::Suspended);
    }
}
