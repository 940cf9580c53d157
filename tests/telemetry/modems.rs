//! Modems on a real message bus: they come, change, vanish; ModemManager starts again, or there is none.

use holdfast::events::{BearerState, ModemSnapshot, ModemState, ServiceState, SimState, Technology};
use holdfast::link::health::Hint;
use zbus::Variant;

use crate::mock::{BEARER, BEARER_PATH, Bus, GPP, MODEM, Mock, SIGNAL, cell};
use crate::watching::{Watching, modems};

fn modem(watching: &Watching) -> Option<&ModemSnapshot> {
    watching.state().modems.first()
}

fn silence(watching: &Watching) -> Option<String> {
    match &watching.state().modem_service {
        ServiceState::Silent { because } => Some(because.clone()),
        ServiceState::NotAsked | ServiceState::Answers => None,
    }
}

#[tokio::test]
async fn a_modem_appears_changes_and_vanishes() {
    let bus = Bus::start();
    let mut watching = Watching::start(modems(&bus.address));
    let because = watching.until("to hear that there is no ModemManager", silence).await;
    assert_eq!(because, "ModemManager does not run");

    let mock = Mock::start(&bus).await;
    let path = mock.add_modem().await;
    let lte = |w: &Watching| modem(w).filter(|m| m.lte.is_some() && m.state == ModemState::Connected).cloned();
    let first = watching.until("the modem with a signal that was asked to be measured", lte).await;
    assert_eq!((first.model.as_str(), first.interface.as_deref()), ("Quectel E1750", Some("wwan0")));
    assert_eq!((first.technology, first.operator.as_deref()), (Some(Technology::Lte), Some("TheOperator")));
    assert_eq!((first.quality_percent, first.bearers[0].state), (Some(70), BearerState::Up));
    let cell_first = first.lte.unwrap();
    assert_eq!((cell_first.rsrp_dbm, cell_first.snr_db, first.nr), (Some(-92.0), Some(14.2), None));

    mock.change(&path, MODEM, [("AccessTechnologies", (1u32 << 14 | 1 << 15).into())]).await;
    mock.change(&path, SIGNAL, [("Nr5g", cell(-88.0, 17.0))]).await;
    let nsa = |w: &Watching| modem(w)?.nr.filter(|_| modem(w).unwrap().technology == Some(Technology::FiveGBesideLte));
    assert_eq!(watching.until("5G NSA", nsa).await.rsrp_dbm, Some(-88.0));
    assert_eq!(watching.hints, []);

    mock.change(&path, SIGNAL, [("Lte", cell(-121.0, -4.0))]).await;
    let hint = watching.until("a hint of the weak signal", |w| w.hints.first().cloned()).await;
    assert!(hint.link == "wwan0" && hint.because.contains("RSRP -121 dBm, SNR -4 dB"), "{hint:?}");
    mock.change(&path, SIGNAL, [("Lte", cell(-92.0, 14.0))]).await;
    let cleared = |w: &Watching| w.hints.last().filter(|hint| hint.hint == Hint::Clear).map(|_| ());
    watching.until("the hint to be taken back", cleared).await;

    watching.hints.clear();
    mock.change(&path, GPP, [("RegistrationState", 2u32.into())]).await;
    let hint = watching.until("a hint of the lost network", |w| w.hints.first().cloned()).await;
    assert!(hint.because.contains("lost its network (it is searching)"), "{hint:?}");
    mock.change(&path, GPP, [("RegistrationState", 5u32.into())]).await;
    watching.until("to hear that it roams", |w| w.told("it is roaming in TheOperator").map(|_| ())).await;

    watching.hints.clear();
    mock.change(BEARER_PATH, BEARER, [("Suspended", true.into())]).await;
    let suspended = |w: &Watching| w.hints.iter().any(|hint| hint.because.contains("suspended")).then_some(());
    watching.until("a hint of the suspended connection", suspended).await;

    let retries = Variant::from(std::collections::HashMap::from([(2u32, 3u32)]));
    mock.change(&path, MODEM, [("UnlockRequired", 2u32.into()), ("UnlockRetries", retries), ("State", 2i32.into())])
        .await;
    let locked =
        watching.until("the lock", |w| Some(modem(w)?.sim.clone()).filter(|sim| *sim != SimState::Unknown)).await;
    assert_eq!(locked, SimState::Locked { code: "SIM PIN".into(), retries: Some(3) });
    assert!(
        watching.told("its SIM is locked: it wants the SIM PIN, 3 attempts left").is_some(),
        "{:#?}",
        watching.news
    );

    mock.remove(&path).await;
    watching.until("the modem to vanish", |w| w.state().modems.is_empty().then_some(())).await;
    assert_eq!(watching.state().modem_service, ServiceState::Answers);
}

#[tokio::test]
async fn a_modem_manager_that_starts_again_is_asked_again_without_noise() {
    let bus = Bus::start();
    let mock = Mock::start(&bus).await;
    mock.add_modem().await;
    let mut watching = Watching::start(modems(&bus.address));
    let measured = |w: &Watching| modem(w)?.lte.map(|_| ());
    watching.until("the modem", measured).await;
    drop(mock);
    watching.until("ModemManager's end", silence).await;
    let mock = Mock::start(&bus).await;
    watching
        .until("the new one without modems", |w| (w.state().modem_service == ServiceState::Answers).then_some(()))
        .await;
    mock.add_modem().await;
    watching.until("the modem again, measuring", measured).await;
    let told: Vec<_> = watching.news.iter().map(|news| news.reason.as_str()).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].starts_with("the modem Quectel E1750 is there")
            && told[1].starts_with("nothing is known of the modems")
    );
}

#[tokio::test]
async fn a_bus_that_goes_or_never_was_is_a_fact() {
    let mut watching = Watching::start(modems("unix:path=/nowhere"));
    let because = watching.until("to hear that there is no bus", silence).await;
    assert!(because.starts_with("no system bus: "), "{because}");

    let bus = Bus::start();
    let mock = Mock::start(&bus).await;
    mock.add_modem().await;
    let mut watching = Watching::start(modems(&bus.address));
    watching.until("the modem", |w| modem(w).map(|_| ())).await;
    drop((mock, bus));
    let because = watching.until("the bus's end", silence).await;
    println!("            {because}");
    assert!(watching.state().modems.is_empty());
}

#[tokio::test]
async fn a_bus_that_takes_connections_and_says_nothing_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut watching = Watching::start(modems(&format!("unix:path={}", path.display())));
    let because = watching.until("to give up", silence).await;
    assert!(because.contains("the bus does not answer"), "{because}");
}
