//! Routing tables on a real kernel: laid by us, and by systemd-networkd with what we write for it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use holdfast::link::tables::{FIRST_TABLE, Told, keep};
use tokio::sync::mpsc;

use crate::rights;
use crate::*;

fn show(arguments: &str) -> String {
    let done = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    // Of a table that was never there ip(8) says that, and fails.
    String::from_utf8_lossy(&done.stdout).into_owned()
}

async fn changed(told: &mut mpsc::Receiver<Told>) -> (usize, usize) {
    match timeout(PATIENCE, told.recv()).await.expect("it is told in time") {
        Some(Told::Changed { added, removed, .. }) => (added, removed),
        other => panic!("{other:?}"),
    }
}

/// The way that is taken to somewhere else.
fn way(selector: &str) -> String {
    show(&format!("route get 198.51.100.1 {selector}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_uplink_has_its_own_table_follows_the_network_and_leaves_nothing_behind() {
    let Some(scene) = Scene::new() else { return };
    scene.at_box(async || {
        let everything = || {
            ["rule", "-6 rule", "route show table all", "-6 route show table all"].map(|what| {
                let text = show(what);
                // An address of the link that has only just been found to be nobody else's.
                let lasting = text.lines().filter(|line| !line.starts_with("local fe80:"));
                lasting.map(str::to_owned).collect::<BTreeSet<String>>()
            })
        };
        let before = everything();
        let table = FIRST_TABLE + nix::net::if_::if_nametoindex("wwan0").unwrap();
        let mut keeping = keep(BTreeSet::from(["wwan0".to_owned()])).unwrap();
        // A network and a default route of each kind, and fe80::/64; one rule and two of each kind.
        assert_eq!(changed(&mut keeping.told).await, (5 + 6, 0));
        println!("{}{}", show("rule"), show(&format!("route show table {table}")));
        assert!(way("oif wwan0").contains(&format!("via 10.78.2.2 dev wwan0 table {table}")), "{}", way("oif wwan0"));
        assert!(way("from 10.78.2.1").contains("via 10.78.2.2 dev wwan0"), "{}", way("from 10.78.2.1"));
        assert!(way("").contains("dev eth0"), "who is not bound goes where it went: {}", way(""));
        let to_near = show("route get 10.78.1.2 from 10.78.2.1");
        assert!(to_near.contains("dev eth0"), "a network that is known is not looked for elsewhere: {to_near}");

        // dhclient-script, for eth0.
        ip("route del default dev wwan0").unwrap();
        // Somebody removes a rule; it is laid again, and the way is still there.
        ip(&format!("rule del oif wwan0 lookup {table}")).unwrap();
        assert_eq!(changed(&mut keeping.told).await, (1, 0));
        assert!(way("oif wwan0").contains("via 10.78.2.2"), "{}", way("oif wwan0"));

        // Another address, by another router.
        ip("address del 10.78.2.1/24 dev wwan0").unwrap();
        ip("address add 10.78.9.1/24 dev wwan0").unwrap();
        ip("route add default via 10.78.9.2 dev wwan0 metric 2").unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !way("oif wwan0").contains("via 10.78.9.2") || !way("from 10.78.9.1").contains("dev wwan0") {
            assert!(Instant::now() < deadline, "{}", show("rule"));
            timeout(PATIENCE, keeping.told.recv()).await.expect("it follows");
        }
        assert!(!show("rule").contains("10.78.2.1"), "{}", show("rule"));

        keeping.apply(BTreeSet::from(["eth0".to_owned()]));
        changed(&mut keeping.told).await;
        assert!(way("oif eth0").contains("table"), "{}", way("oif eth0"));
        assert!(!show("rule").contains("wwan0"), "{}", show("rule"));

        keeping.withdraw();
        while timeout(PATIENCE, keeping.told.recv()).await.expect("it ends").is_some() {}
        ip("address del 10.78.9.1/24 dev wwan0").unwrap();
        ip("address add 10.78.2.1/24 dev wwan0").unwrap();
        ip("route add default via 10.78.2.2 dev wwan0 metric 2").unwrap();
        assert_eq!(everything(), before, "something was left behind");
    });
}

#[test]
fn without_the_right_to_it_nothing_is_changed_and_that_is_said_once() {
    let Some(scene) = Scene::new() else { return };
    scene
        .at_box
        .enter(|| {
            rights::keep_only(&BTreeSet::new())?;
            let before = [show("rule"), show("route show table all")];
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut keeping = keep(BTreeSet::from(["wwan0".to_owned()]))?;
                assert_eq!(timeout(PATIENCE, keeping.told.recv()).await.unwrap(), Some(Told::NotAllowed));
                assert_eq!(timeout(PATIENCE, keeping.told.recv()).await.unwrap(), None, "it is not asked again");
                assert!(!keeping.is_alive());
                assert_eq!([show("rule"), show("route show table all")], before);
                Ok(())
            })
        })
        .unwrap();
}

/// What a box's image is given.
fn written(dir: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let done = command.args(["networkd", "--out"]).arg(dir).args(["eth0", "wwan0"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_is_written_for_networkd_is_what_was_tried() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/links/networkd");
    for name in ["10-holdfast-eth0.network", "10-holdfast-wwan0.network"] {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        if std::env::var_os("BLESS").is_some() {
            fs::write(expected.join(name), &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(expected.join(name)).unwrap(), "{name}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

/// A machine of its own for systemd-networkd, as far as it looks: no udev, no bus, its files where it expects them.
const MACHINE: &str = r#"
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/netif /run/systemd/network
chown systemd-network /run/systemd/netif
mount -t sysfs -o ro none /sys
mount -t tmpfs none /etc/systemd
mkdir /etc/systemd/network
cp "$1"/*.network /etc/systemd/network
exec env SYSTEMD_LOG_LEVEL=info SYSTEMD_LOG_TARGET=console /usr/lib/systemd/systemd-networkd
"#;

/// systemd-networkd itself, with DHCP on two uplinks: whether it understands all that is written, and does what is meant.
#[test]
fn networkd_gives_each_uplink_its_table_with_what_is_written_for_it() {
    if !Path::new("/usr/lib/systemd/systemd-networkd").exists() || !nix::unistd::geteuid().is_root() {
        return println!("skipped: there is no systemd-networkd here, or nobody may start it");
    }
    let Some(scene) = Scene::new() else { return };
    written(scene.dir.path());
    scene
        .at_box
        .enter(|| {
            for uplink in ["eth0", "wwan0"] {
                ip(&format!("address flush dev {uplink}"))?;
                ip(&format!("link set {uplink} down"))?;
            }
            Ok(())
        })
        .unwrap();
    let serve = |(n, world): (u8, &World)| {
        let mut command = dhcp(n, &scene.dir.path().join(format!("leases{n}")));
        world.namespace.enter(|| Ok(scene.guard.spawn(&format!("dhcp{n}"), &mut command))).unwrap()
    };
    let _servers: Vec<Process> = (1..).zip(&scene.worlds).map(serve).collect();
    let mut networkd = Command::new("unshare");
    networkd.args(["--mount", "bash", "-c", MACHINE, "machine"]).arg(scene.dir.path());
    let networkd = scene.at_box.enter(|| Ok(scene.guard.spawn("networkd", &mut networkd))).unwrap();
    let look = |arguments: &str| scene.at_box.enter(|| Ok(show(arguments))).unwrap();
    let has = |arguments: &str, what: &str| look(arguments).contains(what);
    let leased = || [201, 202].iter().all(|table| has(&format!("route show table {table}"), "default via 10.78."));
    wait_until("both leases", PATIENCE, || {
        let refused = ["Operation not permitted", "must be superuser"].iter().any(|why| networkd.log().contains(why));
        refused || leased()
    });
    if !leased() {
        return println!("skipped: systemd-networkd cannot have a machine of its own here: {}", networkd.log());
    }
    let rules = look("rule");
    println!("{rules}{}", look("route show table all"));
    for (n, uplink) in [(1, "eth0"), (2, "wwan0")] {
        assert!(has("rule", &format!("1000:\tfrom all oif {uplink} lookup 20{n}")), "{rules}");
        assert!(has("-6 rule", &format!("1000:\tfrom all oif {uplink} lookup 20{n}")), "{}", look("-6 rule"));
        let way = look(&format!("route get 198.51.100.1 oif {uplink}"));
        assert!(way.contains(&format!("via 10.78.{n}.2 dev {uplink} table 20{n}")), "{way}");
        let near = look(&format!("route get 10.78.{n}.9"));
        assert!(
            near.contains(&format!("dev {uplink}")) && !near.contains("via"),
            "who is not bound finds its network: {near}"
        );
    }
    assert!(
        has("route get 198.51.100.1", "dev eth0"),
        "who is not bound leaves by the first: {}",
        look("route get 198.51.100.1")
    );
    let log = networkd.log();
    for complaint in ["Unknown", "Invalid", "Failed to parse", "ignoring assignment", "Ignoring"] {
        assert!(!log.contains(complaint), "{log}");
    }
}

fn dhcp(n: u8, leases: &Path) -> Command {
    let path = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
    let mut command = Command::new(path.expect("dnsmasq is installed: run `make setup`"));
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file=", "--user=root"]);
    command.args(["--log-facility=-", "--interface=far", "--bind-interfaces"]);
    command.arg(format!("--dhcp-leasefile={}", leases.display()));
    command.arg(format!("--dhcp-range=10.78.{n}.10,10.78.{n}.20,1h"));
    command.arg(format!("--dhcp-option=3,10.78.{n}.2"));
    command
}

/// A box that does not go on air; what is asked of it is whether it lays tables.
fn configuration(tables: &str) -> String {
    format!(
        "[[input]]\nname = \"test\"\nkind = \"pattern\"\n\n[[rendition]]\nname = \"main\"\ncodec = \"h264\"\n\
         size = \"320x180\"\nbitrate = \"500k\"\n\n[[destination]]\nname = \"out\"\nrendition = \"main\"\n\
         url = \"rtmp://192.0.2.1/live\"\ninterface = \"wwan0\"\nenabled = false\n\n[network]\ntables = \"{tables}\"\n"
    )
}

#[test]
fn holdfastd_lays_them_when_it_is_told_to_and_takes_them_away_at_its_end() {
    let Some(scene) = Scene::new() else { return };
    let home = scene.dir.path();
    let file = home.join("holdfast.toml");
    let configure = |tables: &str| fs::write(&file, configuration(tables)).unwrap();
    let secrets = home.join("secrets.toml");
    fs::write(&secrets, "[destination.out]\nkey = \"key\"\n").unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfastd"));
        command.arg("--config").arg(&file).arg("--secrets").arg(&secrets);
        command.arg("--runtime").arg(home.join("run")).arg("--state").arg(home.join("state"));
        scene.at_box.enter(|| Ok(scene.guard.spawn("holdfastd", &mut command))).unwrap()
    };
    let rules = || {
        let all = scene.at_box.enter(|| Ok(show("rule"))).unwrap();
        all.lines().filter(|rule| rule.contains("proto 72")).collect::<String>()
    };
    let wait = |what: &str, are: &dyn Fn(&str) -> bool| wait_until(what, PATIENCE, || are(&rules()));
    let before = scene.at_box.enter(|| Ok(show("rule"))).unwrap();

    configure("apply");
    let first = start();
    wait("a rule for the uplink", &|rules| rules.contains("oif wwan0"));
    assert!(!rules().contains("eth0"), "an uplink that nobody names: {}", rules());
    first.signal(Signal::SIGKILL);
    drop(first);
    assert!(rules().contains("oif wwan0"), "the programme goes on without holdfastd, and so does its way");
    let second = start();
    // It has taken over what the first one laid.
    let socket = home.join("run/control.sock");
    wait_until("holdfastd to answer", PATIENCE, || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    configure("off");
    wait("no rule", &str::is_empty);
    configure("apply");
    wait("the rule again", &|rules| rules.contains("oif wwan0"));
    // Told to lay none while it is away.
    second.signal(Signal::SIGKILL);
    drop(second);
    configure("off");
    let third = start();
    wait("no rule either", &str::is_empty);
    third.signal(Signal::SIGKILL);
    drop(third);
    configure("apply");
    let mut fourth = start();
    wait("the rule for the last time", &|rules| rules.contains("oif wwan0"));
    wait_until("holdfastd to answer", PATIENCE, || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    let done = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .arg("shutdown")
        .env("HOLDFAST_RUNTIME", home.join("run"))
        .env("HOLDFAST_STATE", home.join("state"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fourth.finish(PATIENCE);
    assert_eq!(scene.at_box.enter(|| Ok(show("rule"))).unwrap(), before, "something was left behind");
    let events = fs::read_to_string(home.join("state/events.jsonl")).unwrap();
    let told = events.lines().filter(|line| line.contains("\"tables-changed\"")).count();
    println!("{told} tables-changed");
    assert!((6..=16).contains(&told), "{events}");
}
