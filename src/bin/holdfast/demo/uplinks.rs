//! Three emulated uplinks from the box to a relay, and the relay.

use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use holdfast::clock;
use holdfast::netem::{Change, Conditions, Testbed, Uplink, Wires};

use super::fault::Fault;
use super::servers::{self, Server};
use super::tools::Tools;

/// Name, and what the way to the relay and back is like.
const UPLINKS: [(&str, [&str; 3]); 3] = [
    ("eth0", ["delay 5ms", "rate 50M queue 100ms", "loss 0.1"]),
    ("wwan0", ["delay 25ms", "rate 12M queue 300ms", "jitter 10ms"]),
    ("starlink0", ["delay 20ms", "rate 20M queue 150ms", "jitter 15ms"]),
];
/// The one that a fault takes away.
pub(super) const FIRST: &str = UPLINKS[0].0;
/// The SRT destination and the relay's programme.
pub(super) const NAME: &str = "relay";
const PASSPHRASE: &str = "only-for-this-demo";
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// The uplinks, the relay behind them, and the server that the relay publishes to.
#[derive(Debug)]
pub(super) struct Uplinks {
    pub(super) relayed: Server,
    // Before the testbed, in whose namespace it runs.
    relay: Child,
    bed: Testbed,
    port: u16,
}

impl Uplinks {
    pub(super) fn start(tools: &Tools, out: &Path, fault: Option<Fault>) -> Result<Self, String> {
        let uplinks = all()?;
        let port = free_port().map_err(|e| format!("no free UDP port: {e}"))?;
        // Namespaces have carriers to lose, but players outside cannot look into them.
        let bed = match fault {
            Some(Fault::Link) => Testbed::new(&uplinks, port, 1),
            Some(Fault::Encoder | Fault::Supervisor | Fault::DataPlane | Fault::Destination) | None => {
                Testbed::with_proxies(&uplinks, port, 1, "this demonstration needs none".to_owned())
            }
        }
        .map_err(|e| format!("no uplinks: {e}"))?;
        let relayed = within(&bed, Place::Relay, || Server::start(tools, out, "relayed", false))?;
        let relay = within(&bed, Place::Relay, || start_relay(out, port, &bed.wires, &relayed))?;
        Ok(Self { relayed, relay, bed, port })
    }

    /// Does something where the box is.
    pub(super) fn at_box<T: Send>(&self, work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
        within(&self.bed, Place::Box, work)
    }

    /// Does something where the relay is.
    pub(super) fn at_relay<T: Send>(&self, work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
        within(&self.bed, Place::Relay, work)
    }

    /// How the uplinks are made, for people.
    pub(super) fn told(&self) -> String {
        self.bed.told()
    }

    /// Whether players on this machine can reach the servers.
    pub(super) fn can_be_watched(&self) -> bool {
        matches!(self.bed.wires, Wires::Proxies { .. })
    }

    /// The destination for holdfast.toml.
    pub(super) fn destination(&self) -> Result<String, String> {
        let mut paths = Vec::new();
        for (name, _) in UPLINKS {
            let (address, device) = self.bed.way(name, self.port).ok_or("an uplink has no address")?;
            let device = device.map_or(String::new(), |device| format!("interface = \"{device}\", "));
            paths.push((address, format!("    {{ {device}address = \"{address}\" }},\n")));
        }
        let (first, _) = paths.first().ok_or("there are no uplinks")?;
        let paths: String = paths.iter().map(|(_, line)| line.as_str()).collect();
        Ok(format!(
            "[[destination]]\nname = \"{NAME}\"\nrendition = \"main\"\nurl = \"srt://{first}\"\nstream_id = \"{NAME}\"\n\
             latency = \"400ms\"\nbonding = \"backup\"\npaths = [\n{paths}]\n\n"
        ))
    }

    /// Its secret.
    pub(super) fn secret(&self) -> String {
        format!("[destination.{NAME}]\npassphrase = \"{PASSPHRASE}\"\n\n")
    }

    /// Takes the first uplink away: its carrier where it has one, else everything that is sent over it.
    pub(super) fn lose_first(&mut self) -> Result<(), String> {
        self.order(if self.can_be_watched() { "hole" } else { "cut" })
    }

    pub(super) fn heal_first(&mut self) -> Result<(), String> {
        self.order("heal")
    }

    /// The relay's process.
    pub(super) fn pid(&self) -> u32 {
        self.relay.id()
    }

    fn order(&mut self, change: &str) -> Result<(), String> {
        let order = format!("{FIRST} {change}");
        self.bed.emulator.order(&order).map(|_| ()).map_err(|e| format!("{order}: {e}"))
    }
}

impl Drop for Uplinks {
    fn drop(&mut self) {
        let _ = self.relay.kill();
        let _ = self.relay.wait();
    }
}

/// The uplinks as they are before anything happens to them.
pub(super) fn all() -> Result<Vec<Uplink>, String> {
    UPLINKS.iter().map(uplink).collect()
}

fn uplink((name, changes): &(&str, [&str; 3])) -> Result<Uplink, String> {
    let conditions = changes.iter().try_fold(Conditions::default(), |conditions, change| {
        let change: Change = change.parse().map_err(|e| format!("{name} {change}: {e}"))?;
        Ok::<_, String>(change.applied_to(&conditions))
    })?;
    Ok(Uplink { name: (*name).to_owned(), conditions })
}

/// One end of the uplinks.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Box,
    Relay,
}

/// Does something at that end.
pub(super) fn within<T: Send>(
    bed: &Testbed,
    place: Place,
    work: impl FnOnce() -> Result<T, String> + Send,
) -> Result<T, String> {
    let work = || work().map_err(io::Error::other);
    match place {
        Place::Box => bed.at_box(work),
        Place::Relay => bed.at_relay(work),
    }
    .map_err(|e| e.to_string())
}

fn start_relay(out: &Path, port: u16, wires: &Wires, relayed: &Server) -> Result<Child, String> {
    let listen = match wires {
        Wires::Taps { .. } => "0.0.0.0",
        Wires::Proxies { .. } => "127.0.0.1",
    };
    let status = servers::free_port()?;
    let config = format!(
        "# Written by `holdfast demo`.\n[srt]\nlisten = [\"{listen}:{port}\"]\n\n[status]\nlisten = \"127.0.0.1:{status}\"\n\n\
         [[programme]]\nname = \"{NAME}\"\n\n[[destination]]\nname = \"{0}\"\nprogramme = \"{NAME}\"\nurl = \"{1}\"\n",
        relayed.name,
        relayed.publish_url()
    );
    let secrets = format!(
        "[programme.{NAME}]\npassphrase = \"{PASSPHRASE}\"\n\n[destination.{0}]\nkey = \"{0}\"\n",
        relayed.name
    );
    run_relay(out, &config, &secrets, status)
}

/// A relay with this configuration, which tells its status at the port `status` of loopback.
pub(super) fn run_relay(out: &Path, config: &str, secrets: &str, status: u16) -> Result<Child, String> {
    let home = out.join("servers").join(NAME);
    let at = |e: io::Error| format!("{}: {e}", home.display());
    std::fs::create_dir_all(&home).map_err(at)?;
    std::fs::write(home.join("relay.toml"), config).map_err(at)?;
    let secrets_file = home.join("secrets.toml");
    std::fs::write(&secrets_file, secrets).map_err(at)?;
    std::fs::set_permissions(&secrets_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(at)?;

    let program = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("holdfast-relay");
    let log = std::fs::File::create(home.join("log")).map_err(at)?;
    let other = log.try_clone().map_err(at)?;
    let mut command = Command::new(&program);
    command.arg("--config").arg(home.join("relay.toml")).stdin(Stdio::null()).stdout(log).stderr(other);
    let mut relay =
        command.spawn().map_err(|e| format!("{}: {e}; build all programs (make build)", program.display()))?;
    let begin = clock::now();
    while std::net::TcpStream::connect(("127.0.0.1", status)).is_err() {
        let ended = relay.try_wait().map_err(|e| e.to_string())?;
        if ended.is_some() || (clock::now() - begin) > STARTS_WITHIN {
            let _ = relay.kill();
            return Err(format!("the relay did not start; see {}", home.join("log").display()));
        }
        super::box_::pause();
    }
    Ok(relay)
}

fn free_port() -> io::Result<u16> {
    UdpSocket::bind(("127.0.0.1", 0))?.local_addr().map(|a| a.port())
}
