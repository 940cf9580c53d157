//! A box that publishes over RTMP over one of two uplinks, the server that records what it gets, and a relay that answers
//! probes, each end in a network namespace of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use holdfast::events::{Command, Event, EventKind};
use holdfast::netem::{Conditions, Testbed, Uplink};

use super::config::Configuration;
use super::picture::{Count, Recording, count};
use super::process::{Guard, Process};
use super::receiver::{Nginx, NginxSite};
use super::rig::{PATIENCE, Rig, live, soaking};
use super::tools::ip;
use super::wait::{has_udp_port, wait_until};

pub const FPS: u32 = 30;
/// Name and one-way delay, ms.
pub const UPLINKS: [(&str, u64); 2] = [("eth0", 20), ("wwan0", 30)];
/// Where the server is, over either.
pub const SERVER: &str = "10.77.255.1";
/// What [`Plan::is_named`] calls it.
const NAME: &str = "ingest.example";
pub const ECHO: u16 = 9710;
/// What nginx does to a publisher of which nothing comes any more.
const IDLE: &str = "drop_idle_publisher 2s;";

/// What the box is told.
pub struct Plan {
    pub name: &'static str,
    /// Lines of the destination; `BACKUP` stands for another address of the server.
    pub takeover: &'static str,
    pub interfaces: &'static str,
    /// A section.
    pub probe: String,
    /// Whether the picture needs all of its bit rate.
    pub is_noisy: bool,
    pub bitrate: &'static str,
    /// Further lines of the rendition.
    pub rendition: &'static str,
    /// Whether its address is a name, which a name server behind the uplinks knows.
    pub is_named: bool,
    /// Whether a standby is waited for before the show.
    pub has_standby: bool,
    /// What does not get through over the first uplink, from the beginning.
    pub barred: &'static [&'static str],
}

impl Plan {
    /// Over both uplinks, which are probed.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            takeover: "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"",
            interfaces: "\"eth0\", \"wwan0\"",
            probe: format!("[probe]\ntargets = [\"echo://{SERVER}:{ECHO}\"]"),
            is_noisy: false,
            bitrate: "1500k",
            rendition: "",
            is_named: false,
            has_standby: true,
            barred: &[],
        }
    }
}

/// A box on air over one of two uplinks.
pub struct Show {
    // Dropped in this order: the processes before their network.
    pub rig: Rig,
    pub nginx: Nginx,
    relay: Process,
    _name_server: Option<Process>,
    pub bed: Testbed,
}

/// What one fault did.
#[derive(Debug)]
pub struct Fault {
    /// From the fault to the verdict, ms.
    pub detected: i64,
    /// From the fault to publishing over the other uplink, ms.
    pub publishing: i64,
}

impl Show {
    /// `None` where there are no namespaces.
    pub fn begin(name: &'static str, takeover: &'static str) -> Option<Self> {
        Self::of(&Plan { takeover, ..Plan::new(name) })
    }

    /// With a standby before the show if there are probes and two interfaces.
    pub fn of(plan: &Plan) -> Option<Self> {
        let uplinks = UPLINKS.map(|(name, delay)| Uplink {
            name: name.to_owned(),
            conditions: Conditions::delayed(Duration::from_millis(delay)),
        });
        let bed = match Testbed::with_namespaces(&uplinks, 1) {
            Ok(bed) => bed,
            Err(why) => {
                println!("skipped: there are no namespaces with devices here ({why})");
                return None;
            }
        };
        let mut rig = Rig::small(plan.name);
        let (guard, dir) = (&rig.guard, rig.dir().to_owned());
        let site = NginxSite { address: "0.0.0.0", applications: &["live", "backup"], extra: IDLE };
        let nginx = bed.at_relay(|| Ok(Nginx::serve(guard, &dir, "nginx", &site))).expect("nginx starts");
        let mut command = echo(&rig);
        let relay = bed.at_relay(|| Ok(guard.spawn("relay", &mut command))).expect("the relay starts");
        wait_until("the relay to answer probes", PATIENCE, || {
            bed.at_relay(|| Ok(has_udp_port(ECHO))).expect("our own namespace")
        });
        let name_server = plan.is_named.then(|| bed.at_relay(|| Ok(name_server(guard))).expect("dnsmasq starts"));
        for what in plan.barred {
            bed.at_relay(|| barred("add", 1, what)).expect("a rule");
        }
        let host = if plan.is_named { NAME } else { SERVER };
        let server = |application: &str| format!("rtmp://{host}:{}/{application}", nginx.port);
        let takeover = plan.takeover.replace("BACKUP", &server("backup"));
        rig.configure(
            &Configuration::new(FPS)
                .section(&plan.probe)
                .add("input", "pattern", &format!("kind = \"pattern\"\nnoise = {}", plan.is_noisy))
                .rendition_with("main", "h264", "640x360", plan.bitrate, "aac", plan.rendition)
                .destination_with(
                    "youtube",
                    "main",
                    &server("live"),
                    "key",
                    &format!("interfaces = [{}]\n{takeover}", plan.interfaces),
                ),
        );
        let mut command = rig.daemon_command();
        if plan.is_named {
            let resolv_conf = rig.dir().join("resolv.conf");
            fs::write(&resolv_conf, format!("nameserver {SERVER}\n")).expect("our own directory");
            command = asking(&resolv_conf, &command);
        }
        let guard = &rig.guard;
        let daemon = bed.at_box(|| Ok(guard.spawn("holdfastd", &mut command))).expect("holdfastd starts");
        rig.adopt_daemon(daemon);
        rig.wait_delivering();
        rig.order(Command::Start);
        rig.wait_for_source(&live("pattern"));
        rig.wait_publishing(&["youtube"]);
        let show = Self { rig, nginx, relay, _name_server: name_server, bed };
        if plan.has_standby {
            show.wait_standby();
        }
        show.rig.let_pass(3);
        Some(show)
    }

    /// What the far end sends over this uplink, from 1, and fits `what` does not get there.
    pub fn bar(&self, uplink: u8, what: &str) {
        self.bed.at_relay(|| barred("add", uplink, what)).expect("a rule");
    }

    pub fn unbar(&self, uplink: u8, what: &str) {
        self.bed.at_relay(|| barred("del", uplink, what)).expect("a rule");
    }

    pub fn wait_standby(&self) {
        self.rig.wait("a session that stands by", |s| {
            let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "youtube")?;
            output.standby.clone()
        });
    }

    /// Waits until what people see says so; that is brought up to date twice a second.
    pub fn on_air_over(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        self.rig.wait(&format!("{what} to carry"), |s| {
            let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "youtube")?;
            output.route.as_deref().filter(|link| is_it(link)).map(|_| ())
        });
    }

    pub fn order(&mut self, order: &str) {
        self.bed.emulator.order(order).expect("an order it knows");
    }

    /// Does `order` to the uplink in use, and waits until the stream has gone to the other one and plays there.
    pub fn lose(&mut self, order: &str) -> Fault {
        let before = self.rig.events().len();
        let in_use = self.rig.output("youtube").route.expect("a link in use");
        let begun = self.bed.emulator.order_at(&format!("{in_use} {order}")).expect("an order it knows");
        let begun = i64::try_from(begun).expect("microseconds");
        let since = |event: &Event| (event.mono.as_nanos() / 1000 - begun) / 1000;
        let dead = self.rig.wait_event(before, "the link to be found dead", |e| {
            e.kind == EventKind::LinkJudged
                && e.subject == in_use
                && e.evidence.get("verdict").is_some_and(|v| v == "dead")
        });
        println!("    {in_use} {order}: {}", dead.reason);
        let moved = self.rig.wait_event(before, "the stream to move", |e| e.kind == EventKind::RouteChanged);
        println!("    {}", moved.reason);
        let up = self.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
        self.rig.let_pass(3);
        self.order(&format!("{in_use} heal"));
        self.wait_standby();
        // So many changes in a row are allowed, then one in ten seconds.
        self.rig.let_pass(if soaking() { 9 } else { 1 });
        Fault { detected: since(&dead), publishing: since(&up) }
    }

    /// What has been found or decided since the first `after` events, in words.
    pub fn verdicts(&self, after: usize) -> Vec<String> {
        let events = self.rig.events().into_iter().skip(after);
        let matters = events.filter(|e| {
            let is_bad = e.evidence.get("verdict").is_some_and(|v| v == "dead" || v == "server");
            matches!(e.kind, EventKind::RouteChanged | EventKind::OutputDown)
                || (e.kind == EventKind::LinkJudged && is_bad)
        });
        matters.map(|e| e.reason).collect()
    }

    /// Ends the show; what the server has of every session, in the order in which they began.
    pub fn end(mut self) -> Vec<Recording> {
        println!("{}", String::from_utf8_lossy(&self.rig.holdfast(&["status"]).stdout));
        println!("{}", String::from_utf8_lossy(&self.rig.holdfast(&["links"]).stdout));
        self.rig.shut_down();
        self.relay.signal(nix::sys::signal::Signal::SIGTERM);
        self.nginx.recordings()
    }
}

/// A relay without programmes worth the name, which answers probes.
fn echo(rig: &Rig) -> Program {
    let home = rig.dir().join("relay");
    fs::create_dir_all(&home).expect("our own directory");
    let config = format!(
        "[srt]\nlisten = [\"0.0.0.0:9000\"]\n\n[probe]\nlisten = \"0.0.0.0:{ECHO}\"\n\n[[programme]]\nname = \"show\"\nopen = true\n"
    );
    fs::write(home.join("relay.toml"), config).expect("our own directory");
    let mut command = Program::new(env!("CARGO_BIN_EXE_holdfast-relay"));
    command.arg("--config").arg(home.join("relay.toml"));
    command
}

/// All sessions together: which frames nobody got, and how many were sent again.
pub fn together(recordings: &[Recording]) -> (Count, usize) {
    let mut times = BTreeMap::new();
    for code in recordings.iter().flat_map(|r| &r.pictures).filter_map(|p| p.code) {
        *times.entry(code).or_insert(0_usize) += 1;
    }
    let twice = times.values().map(|n| n - 1).sum();
    (count(times.into_keys().map(Some)), twice)
}

fn barred(verb: &str, uplink: u8, what: &str) -> io::Result<()> {
    ip(&format!("rule {verb} to 10.77.{uplink}.0/24 {what} blackhole"))
}

/// The only name server there is.
fn name_server(guard: &Guard) -> Process {
    let path = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"].into_iter().find(|path| Path::new(path).exists());
    let mut command = Program::new(path.expect("dnsmasq is installed: run `make setup`"));
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]);
    command.args(["--user=root", "--log-facility=-", "--bind-interfaces", "--local-ttl=1"]);
    command.arg(format!("--listen-address={SERVER}")).arg(format!("--host-record={NAME},{SERVER}"));
    guard.spawn("dnsmasq", &mut command)
}

/// `command` where the system's name servers are others, for it and its children alone.
fn asking(resolv_conf: &Path, command: &Program) -> Program {
    let mut wrapped = Program::new("unshare");
    wrapped.args(["--mount", "--propagation", "private", "sh", "-c"]);
    wrapped.arg("mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"");
    wrapped.arg(resolv_conf).arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    wrapped
}
