//! Dishes that answer, complain, sleep, lie, vanish and come back.

use std::net::SocketAddr;

use holdfast::events::{DishFigures, DishState, Severity};
use holdfast::link::health::Hint;
use tokio::io::AsyncWriteExt;

use crate::fake_dish::{Alerts, FakeDish, Mood, Obstruction, Outage, clear_sky};
use crate::watching::{Watching, dish, nothing};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn figures(watching: &Watching) -> Option<&DishFigures> {
    match &watching.state().dishes.first()?.state {
        DishState::Answers(figures) => Some(figures),
        DishState::Silent { .. } => None,
    }
}

fn silence(watching: &Watching) -> Option<String> {
    match &watching.state().dishes.first()?.state {
        DishState::Silent { because } => Some(because.clone()),
        DishState::Answers(_) => None,
    }
}

#[tokio::test]
async fn what_a_dish_says_is_shown_hinted_at_and_told() {
    let fake = FakeDish::start(ANY, Mood::Says(clear_sky()));
    let mut watching = Watching::start(dish(fake.address));
    let well = watching.until("the dish to answer", |w| figures(w).cloned()).await;
    assert_eq!((well.latency_ms, well.obstructed_fraction, well.ethernet_mbit), (Some(34.2), 0.003, Some(1000)));
    assert_eq!((well.down_bps, well.up_bps, well.obstructed_now), (123_000_000, 15_000_000, false));
    assert!(watching.told("a Starlink dish answers: 34 ms, obstructed 0.3 % of the sky, no outage").is_some());
    assert_eq!(watching.hints, []);

    fake.says(|status| status.obstruction = Some(Obstruction { fraction: 0.08, now: true, ..Obstruction::default() }));
    let hint = watching.until("a hint", |w| w.hints.first().cloned()).await;
    assert!(hint.link == "lo" && matches!(hint.hint, Hint::Trouble { .. }), "{hint:?}");
    let told = watching.until("the obstruction to be told", |w| w.told("the dish is obstructed").cloned()).await;
    assert_eq!((told.severity, told.evidence["obstructed_fraction"].as_f64()), (Severity::Warning, Some(0.08)));

    fake.says(|status| status.outage = Some(Outage { cause: 5, start: 1, duration: 2_500_000_000, did_switch: false }));
    let outage = watching.until("an outage", |w| figures(w)?.outage.clone()).await;
    assert_eq!((outage.cause.as_str(), outage.for_ms), ("it sees no satellite", 2500));

    fake.says(|status| status.alerts = Some(Alerts { slow_ethernet: true, is_heating: true, ..Alerts::default() }));
    let cleared = |w: &Watching| w.hints.last().filter(|hint| hint.hint == Hint::Clear).map(|_| ());
    watching.until("the hint to be taken back", cleared).await;
    assert_eq!(figures(&watching).unwrap().alerts, ["its cable is slow"], "heating is nothing to complain of");
}

#[tokio::test]
async fn a_dish_that_vanishes_is_a_fact_and_one_that_comes_back_is_found() {
    let fake = FakeDish::start(ANY, Mood::Says(clear_sky()));
    let address = fake.address;
    let mut watching = Watching::start(dish(address));
    watching.until("the dish to answer", |w| figures(w).map(|_| ())).await;
    drop(fake);
    let because = watching.until("its silence", silence).await;
    println!("            {because}");
    assert!(!because.is_empty());
    let fake = FakeDish::start(address, Mood::Says(clear_sky()));
    watching.until("the dish to answer again", |w| figures(w).map(|_| ())).await;
    fake.says(|status| status.latency = 51.0);
    watching.until("a fresh figure", |w| (figures(w)?.latency_ms == Some(51.0)).then_some(())).await;
    assert_eq!(watching.hints, [], "an absent dish says nothing about the link");
    assert_eq!(watching.news.iter().filter(|news| news.severity > Severity::Info).count(), 0, "{:#?}", watching.news);
}

#[tokio::test]
async fn what_does_not_answer_as_a_dish_is_no_dish_until_it_does() {
    let moods = [
        (Mood::IsARouter, "not as a dish does"),
        (Mood::Refuses, "not for you"),
        (Mood::Sleeps, "no answer within 3 s"),
    ];
    for (mood, words) in moods {
        let fake = FakeDish::start(ANY, mood);
        let mut watching = Watching::start(dish(fake.address));
        let because = watching.until(words, silence).await;
        assert!(because.contains(words), "{because}");
        fake.turns(Mood::Says(clear_sky()));
        watching.until("the dish to answer", |w| figures(w).map(|_| ())).await;
    }
}

#[tokio::test]
async fn garbage_is_survived() {
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let talker = tokio::spawn(async move {
        let mut rng = fastrand::Rng::with_seed(7);
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(4096).collect();
            // A settings frame first, every other time, to get further into the client.
            let frame = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let start = if rng.bool() { &frame[..] } else { &[] };
            let _ = stream.write_all(&[start, &noise].concat()).await;
        }
    });
    let mut watching = Watching::start(dish(address));
    for attempt in 1..=3 {
        let mut silences = 0;
        let because = watching
            .until(&format!("attempt {attempt} to fail"), |w| {
                silences += 1;
                // The first look is before any further reading.
                silence(w).filter(|_| silences > 1)
            })
            .await;
        println!("            {because}");
    }
    talker.abort();
}

#[tokio::test]
async fn a_dish_is_looked_for_behind_interfaces_that_look_like_starlink() {
    let fake = FakeDish::start(ANY, Mood::Says(clear_sky()));
    let mut options = nothing();
    options.settings.dishes = holdfast::config::Dishes::WhereLikely;
    options.dish = fake.address;
    let mut watching = Watching::start(options);
    watching.starlinks.send_replace(vec!["lo".to_owned(), "no-such-device".to_owned()]);
    let found = |w: &Watching| (w.state().dishes.len() == 2).then(|| w.state().dishes.clone());
    let dishes = watching.until("both to be asked", found).await;
    assert!(
        matches!(&dishes[1].state, DishState::Silent { because } if because.contains("No such device")),
        "{dishes:#?}"
    );
    watching.until("one to answer", |w| figures(w).map(|_| ())).await;
    assert_eq!(watching.state().dishes[0].interface.as_deref(), Some("lo"), "it left by this interface");
    watching.starlinks.send_replace(Vec::new());
    watching.until("both to be forgotten", |w| w.state().dishes.is_empty().then_some(())).await;
}
