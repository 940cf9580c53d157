//! A box with two uplinks, each into a world of its own: the same addresses lead to other machines, so that an answer tells
//! over which uplink its question went.
//!
//! Needs root, or a user namespace with network namespaces in it, and what `make setup` installs (dnsmasq). Says so and
//! passes where there are no namespaces.

// A test says what it expected by panicking, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod ingest;
mod packets;
mod pins;
mod rights;
mod services;
mod support;
mod tables;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast::link::health::Portal;
use holdfast::link::portal::check;
use holdfast::link::resolve::{Places, Resolver, Unresolved, Wanted};
use holdfast::model::PortalCheck;
use holdfast::netem::Namespace;
use nix::sys::signal::Signal;
use tokio::task::LocalSet;
use tokio::time::timeout;

use support::process::{Guard, Process};
use support::wait::{has_udp_port, wait_until};

/// Longer than any of this takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);
/// The name server's addresses in both worlds.
const SERVERS: [&str; 2] = ["10.78.255.53", "fd00:78:255::53"];
/// The portal check's.
const PAGE: &str = "198.51.100.80";
const NAME: &str = "ingest.example";

fn ip(arguments: &str) -> io::Result<()> {
    let done = Command::new("ip").args(arguments.split_whitespace()).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {arguments}: {}", String::from_utf8_lossy(&done.stderr))))
}

/// Packets that left by an interface of the calling thread's namespace.
fn left_by(interface: &str) -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix(&format!("{interface}:"))).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

/// What an uplink leads to.
struct World {
    name_server: Process,
    namespace: Namespace,
}

struct Scene {
    dir: tempfile::TempDir,
    at_box: Namespace,
    /// Of eth0, and of wwan0.
    worlds: [World; 2],
    guard: Guard,
}

impl Scene {
    /// `None` where there are no namespaces.
    fn new() -> Option<Self> {
        let at_box = match Namespace::new() {
            Ok(namespace) => namespace,
            Err(why) => {
                println!("skipped: there are no network namespaces here ({why})");
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::new(dir.path());
        let worlds =
            [(1, "eth0"), (2, "wwan0")].map(|(n, uplink)| World::new(&at_box, (&guard, dir.path()), n, uplink));
        Some(Self { dir, at_box, worlds, guard })
    }

    /// The servers that the uplinks' leases name; all else names none.
    fn places(&self, servers: &[&str]) -> Places {
        self.places_in("netif", servers)
    }

    /// The same in a directory of its own.
    fn places_in(&self, netif: &str, servers: &[&str]) -> Places {
        let links = self.dir.path().join(netif).join("links");
        fs::create_dir_all(&links).unwrap();
        for uplink in ["eth0", "wwan0"] {
            let index = self.at_box.enter(|| Ok(nix::net::if_::if_nametoindex(uplink)?)).unwrap();
            fs::write(links.join(index.to_string()), format!("DNS={}\n", servers.join(" "))).unwrap();
        }
        let no = self.dir.path().join("no");
        Places { networkd: self.dir.path().join(netif), resolved: no.clone(), resolv_conf: no }
    }

    /// Something that waits, where the box is.
    fn at_box<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(LocalSet::new().block_on(&runtime, work()))
        };
        self.at_box.enter(run).unwrap()
    }
}

impl World {
    fn new(at_box: &Namespace, (guard, dir): (&Guard, &Path), n: u8, uplink: &str) -> Self {
        let long = dir.join("long");
        fs::write(&long, (1..=150).map(|last| format!("203.0.113.{last} long.example\n")).collect::<String>()).unwrap();
        let world = Namespace::new().unwrap();
        // One end in each: a process of the world's namespace names it.
        let mut holder = Command::new("sleep");
        let holder = world.enter(|| Ok(guard.spawn("holder", holder.arg("600")))).unwrap();
        at_box
            .enter(|| {
                ip(&format!("link add {uplink} type veth peer name far netns {}", holder.pid()))?;
                ip(&format!("address add 10.78.{n}.1/24 dev {uplink}"))?;
                ip(&format!("-6 address add fd00:78:{n}::1/64 dev {uplink} nodad"))?;
                ip(&format!("link set {uplink} up"))
            })
            .unwrap();
        let name_server = world
            .enter(|| {
                ip(&format!("address add 10.78.{n}.2/24 dev far"))?;
                ip(&format!("-6 address add fd00:78:{n}::2/64 dev far nodad"))?;
                ip("link set far up")?;
                ip(&format!("address add {}/32 dev lo", SERVERS[0]))?;
                ip(&format!("-6 address add {}/128 dev lo nodad", SERVERS[1]))?;
                ip(&format!("address add {PAGE}/32 dev lo"))?;
                page(if n == 1 { CLEAR } else { LOGIN })?;
                Ok(guard.spawn(&format!("dnsmasq{n}"), &mut dnsmasq(n, &long)))
            })
            .unwrap();
        at_box
            .enter(|| {
                // The first one is preferred; what is bound to the other takes its own.
                ip(&format!("route add default via 10.78.{n}.2 dev {uplink} metric {n}"))?;
                ip(&format!("-6 route add default via fd00:78:{n}::2 dev {uplink} metric {n}"))
            })
            .unwrap();
        world
            .enter(|| {
                wait_until("the name server to listen", PATIENCE, || has_udp_port(53));
                Ok(())
            })
            .unwrap();
        Self { name_server, namespace: world }
    }
}

impl World {
    /// Questions about a name that its server has heard.
    fn asked(&self, name: &str) -> usize {
        let is_about = |line: &&str| line.contains(": query[") && line.contains(&format!("] {name} from"));
        self.name_server.log().lines().filter(is_about).count()
    }
}

fn dnsmasq(n: u8, long: &Path) -> Command {
    let path = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
    let mut command = Command::new(path.expect("dnsmasq is installed: run `make setup`"));
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]);
    command.args(["--user=root", "--log-facility=-", "--log-queries", "--bind-interfaces", "--local-ttl=1"]);
    command.args(SERVERS.map(|server| format!("--listen-address={server}")));
    command.arg(format!("--host-record={NAME},198.51.100.{n},2001:db8::{n}"));
    command.arg(format!("--host-record=four.example,198.51.100.{n}"));
    command.arg(format!("--host-record=six.example,2001:db8::{n}"));
    command.arg(format!("--host-record=later.example,198.51.100.{n}"));
    command.arg(format!("--host-record=check.example,{PAGE}"));
    // A service of two machines, one that is decidedly not offered, and one whose name has no address of its own.
    command.arg(format!("--host-record=live.example,198.51.100.{n}"));
    command.arg("--srv-host=_rtmp._tcp.live.example,six.example,1937,20");
    command.arg("--srv-host=_rtmp._tcp.live.example,four.example,1936,10");
    command.arg("--srv-host=_rtmps._tcp.live.example");
    command.arg("--srv-host=_rtmps._tcp.bare.example,four.example,444");
    // Too long for UDP.
    command.arg(format!("--addn-hosts={}", long.display()));
    // Names of this world alone, and nothing else exists.
    command.arg("--address=/#/");
    command
}

const CLEAR: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
const LOGIN: &str = "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/login\r\nContent-Length: 0\r\n\r\n";

/// Serves the portal check's page, or plays the portal.
fn page(answer: &'static str) -> io::Result<()> {
    let listener = TcpListener::bind((PAGE, 80))?;
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Ok(())
}

fn addresses(n: u8) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> =
        [format!("198.51.100.{n}:1935"), format!("[2001:db8::{n}]:1935")].map(|a| a.parse().unwrap()).to_vec();
    all.sort();
    all
}

fn sorted(found: Result<Vec<SocketAddr>, Unresolved>) -> Vec<SocketAddr> {
    let mut found = found.unwrap();
    found.sort();
    found
}

#[test]
fn each_uplink_asks_its_own_servers_and_a_dead_one_delays_nobody() {
    let Some(scene) = Scene::new() else { return };
    for servers in [&SERVERS[..1], &SERVERS[1..]] {
        let (places, again, worlds) = (scene.places(servers), scene.places(servers), &scene.worlds);
        let asked = || [0, 1].map(|n: usize| worlds[n].asked(NAME));
        scene.at_box(async move || {
            let resolver = Resolver::new(places);
            let questions = asked();
            let before = (left_by("eth0"), left_by("wwan0"));
            let began = Instant::now();
            assert_eq!(sorted(resolver.resolve("wwan0", NAME, 1935).await), addresses(2), "of both kinds");
            let took = began.elapsed();
            let (eth, wwan) = (left_by("eth0") - before.0, left_by("wwan0") - before.1);
            println!("    {servers:?}: {took:?}, {wwan} packets left by wwan0, {eth} by eth0, the preferred one");
            // A kernel greets its neighbours unasked.
            assert!(wwan >= 2 && eth < 10, "{wwan} and {eth} packets");
            assert_eq!(asked(), [questions[0], questions[1] + 2], "one question for each kind of address");
            // One that knows nothing, and so has nothing to borrow.
            let resolver = Resolver::new(again);
            assert_eq!(sorted(resolver.resolve("eth0", NAME, 1935).await), addresses(1), "the same server's address");
            assert_eq!(resolver.resolve("eth0", "nobody.example", 1).await, Err(Unresolved::NoSuchName));
        });
    }
    let places = scene.places(&SERVERS[..1]);
    scene.at_box(async || {
        let resolver = Resolver::new(places);
        let long = resolver.resolve("wwan0", "long.example", 1).await.unwrap();
        let questions = [0, 1].map(|n: usize| scene.worlds[n].asked("long.example"));
        println!("    {} addresses, over TCP; questions {questions:?}", long.len());
        assert!(long.len() == 150 && questions[0] == 0, "over TCP, out of the same interface");
        for uplink in ["eth0", "wwan0"] {
            resolver.resolve(uplink, NAME, 1935).await.unwrap();
        }
        // Silent, as a name server behind a dead link is.
        scene.worlds[0].name_server.signal(Signal::SIGSTOP);
        resolver.network_changed("eth0");
        let slow = tokio::task::spawn_local({
            let resolver = resolver.clone();
            async move { (Instant::now(), resolver.resolve("eth0", "later.example", 1).await, Instant::now()) }
        });
        tokio::task::yield_now().await;
        let began = Instant::now();
        assert_eq!(sorted(resolver.resolve("eth0", NAME, 1935).await), addresses(1), "the last good answer");
        let cached = began.elapsed();
        let began = Instant::now();
        let found = resolver.resolve("wwan0", "later.example", 1).await.unwrap();
        let other = began.elapsed();
        assert_eq!(found, ["198.51.100.2:1".parse().unwrap()]);
        let (asked, borrowed, ended) = timeout(PATIENCE, slow).await.unwrap().unwrap();
        println!(
            "    dead: cached after {cached:?}, the other uplink's after {other:?}, borrowed after {:?}",
            ended - asked
        );
        assert_eq!(borrowed.unwrap(), found, "what the other uplink was told is better than nothing");
        let nowhere = resolver.resolve("eth0", "nowhere.example", 1).await;
        assert!(matches!(nowhere, Err(Unresolved::NoAnswer(_))), "{nowhere:?}");
        assert!(cached < Duration::from_millis(100) && other < Duration::from_secs(2) && ended - asked < PATIENCE / 4);
        assert_eq!(sorted(resolver.resolve("eth0", NAME, 1935).await), addresses(1), "still");
        scene.worlds[0].name_server.signal(Signal::SIGCONT);
        let began = Instant::now();
        assert_eq!(resolver.resolve("eth0", "later.example", 1).await.unwrap(), ["198.51.100.1:1".parse().unwrap()]);
        println!("    alive again: {:?}", began.elapsed());
    });
}

#[test]
fn a_portal_is_found_on_its_uplink_and_on_no_other() {
    let Some(scene) = Scene::new() else { return };
    let places = scene.places(&SERVERS[..1]);
    scene.at_box(async move || {
        let resolver = Resolver::new(places);
        let host = "check.example".to_owned();
        let page = PortalCheck { host, port: 80, path: "/generate_204".to_owned(), expect: None };
        for (uplink, expected) in [("eth0", Portal::Clear), ("wwan0", Portal::Captive)] {
            let addresses = resolver.resolve(uplink, &page.host, page.port).await.unwrap();
            assert_eq!(addresses, [SocketAddr::new(PAGE.parse::<IpAddr>().unwrap(), 80)]);
            let before = (left_by("eth0"), left_by("wwan0"));
            let verdict = timeout(PATIENCE, check(uplink, &page, &addresses)).await.unwrap();
            assert_eq!(verdict, Some(expected), "{uplink}");
            let (eth, wwan) = (left_by("eth0") - before.0, left_by("wwan0") - before.1);
            println!("    {page} over {uplink}: {expected:?}; packets by eth0 {eth}, by wwan0 {wwan}");
            let (mine, other) = if uplink == "eth0" { (eth, wwan) } else { (wwan, eth) };
            assert!(mine >= 4 && other < 10, "{mine} and {other}");
        }
    });
}
