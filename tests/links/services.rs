//! Servers found by SRV records (RFC 2782), asked for over one uplink: dnsmasq is the name server.

use super::*;

async fn find(resolver: &Resolver, host: &str, service: Option<&'static str>) -> Result<Vec<String>, Unresolved> {
    let wanted = Wanted { host, port: 1935, service };
    let found = timeout(PATIENCE, resolver.find("wwan0", wanted)).await.unwrap()?;
    let in_words = |addresses: &Vec<SocketAddr>| {
        let mut each: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        each.sort();
        each.join(" ")
    };
    Ok(found.iter().map(in_words).collect())
}

#[test]
fn a_service_stands_in_for_its_name_and_no_question_leaves_elsewhere() {
    let Some(scene) = Scene::new() else { return };
    let places = scene.places(&SERVERS[..1]);
    let asked = |name: &str| [0, 1].map(|n: usize| scene.worlds[n].asked(name));
    scene.at_box(async || {
        let resolver = Resolver::new(places);
        let before = (left_by("eth0"), left_by("wwan0"));
        let rtmp = Some("_rtmp._tcp");
        let in_order = ["198.51.100.2:1936", "[2001:db8::2]:1937"];
        assert_eq!(find(&resolver, "live.example", rtmp).await.unwrap(), in_order, "the lower priority first");
        assert_eq!(asked("_rtmp._tcp.live.example"), [0, 1]);
        assert_eq!(find(&resolver, "live.example", rtmp).await.unwrap(), in_order, "and from memory");
        assert_eq!(asked("_rtmp._tcp.live.example"), [0, 1]);
        let own = ["198.51.100.2:1935"];
        assert_eq!(find(&resolver, "live.example", None).await.unwrap(), own, "a port of one's own");
        assert_eq!(find(&resolver, "live.example", Some("_rtmps._tcp")).await.unwrap(), own, "decidedly not there");
        assert_eq!(find(&resolver, "four.example", rtmp).await.unwrap(), own, "nobody says anything");
        let bare = find(&resolver, "bare.example", Some("_rtmps._tcp")).await.unwrap();
        assert_eq!(bare, ["198.51.100.2:444"], "a name without an address");
        assert_eq!(find(&resolver, "nobody.example", rtmp).await, Err(Unresolved::NoSuchName));
        assert_eq!(find(&resolver, "192.0.2.7", rtmp).await.unwrap(), ["192.0.2.7:1935"], "an address is one");
        let (eth, wwan) = (left_by("eth0") - before.0, left_by("wwan0") - before.1);
        println!("    {wwan} packets left by wwan0, {eth} by eth0, the preferred one");
        assert!(wwan >= 8 && eth < 10, "{wwan} and {eth} packets");

        // Nothing there answered a call: it is asked again, and what was known serves meanwhile.
        resolver.unreachable("wwan0", Wanted { host: "live.example", port: 1935, service: rtmp });
        assert_eq!(find(&resolver, "live.example", rtmp).await.unwrap(), in_order);
        let again = async {
            let mut looks = tokio::time::interval(Duration::from_millis(20));
            while asked("_rtmp._tcp.live.example") != [0, 2] {
                looks.tick().await;
            }
        };
        timeout(PATIENCE, again).await.expect("the name is asked for again");

        // A server that says nothing keeps nobody who has an address.
        scene.worlds[1].name_server.signal(Signal::SIGSTOP);
        let began = Instant::now();
        assert_eq!(find(&resolver, "four.example", Some("_rtmps._tcp")).await.unwrap(), own);
        println!("    a service that nobody tells of: {:?}", began.elapsed());
        assert!(began.elapsed() < PATIENCE / 4);
        scene.worlds[1].name_server.signal(Signal::SIGCONT);
    });
}
