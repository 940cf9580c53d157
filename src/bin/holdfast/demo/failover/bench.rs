//! The uplinks in their network namespaces, what is behind them, and what is done to them.

use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use holdfast::model::Media;
use holdfast::netem::{Bottleneck, RELAY, Testbed, Uplink};

use super::LinkFault;
use super::page::Page;
use crate::demo::servers::{self, Server};
use crate::demo::tools::Tools;
use crate::demo::uplinks::{self, Place, within};

/// The destination, and what the server knows it by.
pub(super) const NAME: &str = "film";
/// The server's two addresses: most of those that have two tell them apart by the application.
pub(super) const APPLICATIONS: [&str; 2] = ["live", "backup"];
/// Where the relay answers probes.
const ECHO: u16 = 9710;

/// The uplinks and the far end.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) server: Server,
    // Before the testbed, in whose namespace it runs.
    relay: Child,
    page: Page,
    bed: Testbed,
    uplinks: Vec<Uplink>,
    fault: LinkFault,
}

impl Bench {
    /// # Errors
    /// Where namespaces or devices are not permitted, among others: nothing can stand in for them here.
    pub(super) fn start(tools: &Tools, out: &Path, fault: LinkFault) -> Result<Self, String> {
        let uplinks = uplinks::all()?;
        let bed = Testbed::with_namespaces(&uplinks, 1).map_err(|e| not_permitted(fault, &e))?;
        let more = serde_json::json!({
            "bind": "0.0.0.0",
            "record": { "auto": true, "path": records(out) },
        });
        let server = within(&bed, Place::Relay, || Server::start_with(tools, out, NAME, more))?;
        let relay = within(&bed, Place::Relay, || relay(out))?;
        // The uplinks are numbered from 1, and so are their networks.
        let place = uplinks.iter().position(|uplink| uplink.name == fault.link()).map_or(0, |n| n + 1);
        let is_portals = move |peer: IpAddr| peer.to_string().starts_with(&format!("10.77.{place}."));
        let page =
            within(&bed, Place::Relay, || Page::serve(is_portals).map_err(|e| format!("no page to check: {e}")))?;
        Ok(Self { server, relay, page, bed, uplinks, fault })
    }

    /// Does something where the box is.
    pub(super) fn at_box<T: Send>(&self, work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
        within(&self.bed, Place::Box, work)
    }

    /// How the uplinks are made, for people.
    pub(super) fn told(&self) -> String {
        self.bed.told()
    }

    /// The destination and whom the links are probed with, for holdfast.toml.
    pub(super) fn destination(&self) -> String {
        let host = RELAY.to_string();
        let [url, backup] = APPLICATIONS.map(|application| self.server.publish_url_at(&host, application));
        let [first, second] = self.fault.links();
        let page = self.page.port;
        format!(
            "[probe]\ntargets = [\"echo://{host}:{ECHO}\"]\nportal_check = \"http://{host}:{page}/generate_204\"\n\n\
             [[destination]]\nname = \"{NAME}\"\nrendition = \"main\"\nurl = \"{url}\"\nbackup_url = \"{backup}\"\n\
             takeover = \"backup-url\"\ninterfaces = [\"{first}\", \"{second}\"]\n\n"
        )
    }

    /// How wide the uplink in question is while nothing happens to it.
    pub(super) fn width(&self) -> Option<Bottleneck> {
        self.uplinks.iter().find(|uplink| uplink.name == self.fault.link())?.conditions.bottleneck
    }

    /// When the page for portal checks was last asked for over that uplink.
    pub(super) fn page_asked(&self) -> Option<Media> {
        self.page.asked()
    }

    /// The fault happens; when it did.
    pub(super) fn begin(&mut self) -> Result<Media, String> {
        match self.fault {
            LinkFault::Cable => self.order(&format!("{} cut", self.fault.link())),
            LinkFault::Blackhole => self.order(&format!("{} hole", self.fault.link())),
            LinkFault::Captive => {
                self.page.set_captive(true);
                self.bar("add")?;
                Ok(holdfast::clock::media())
            }
            // It comes step by step.
            LinkFault::Starlink => Ok(holdfast::clock::media()),
        }
    }

    /// It is over; since when.
    pub(super) fn heal(&mut self) -> Result<Media, String> {
        match self.fault {
            LinkFault::Captive => {
                self.bar("del")?;
                self.page.set_captive(false);
                Ok(holdfast::clock::media())
            }
            LinkFault::Cable | LinkFault::Blackhole | LinkFault::Starlink => {
                self.order(&format!("{} heal", self.fault.link()))
            }
        }
    }

    /// Does something to an uplink, in the emulator's words; when it came into force.
    pub(super) fn order(&mut self, order: &str) -> Result<Media, String> {
        let microseconds = self.bed.emulator.order_at(order).map_err(|e| format!("{order}: {e}"))?;
        Ok(Media(i64::try_from(microseconds).unwrap_or(i64::MAX).saturating_mul(1000)))
    }

    /// Has a picture taken from what is published to the server there.
    pub(super) fn picture(&self, tools: &Tools, application: &str, file: &Path) -> Result<Child, String> {
        let mut command = tools.picture(&self.server.watch_url_of(application), file);
        within(&self.bed, Place::Relay, || command.spawn().map_err(|e| format!("FFmpeg does not run: {e}")))
    }

    /// What the far end sends over the first uplink gets there no more, but for the page: probes' answers, and the server's.
    fn bar(&self, verb: &str) -> Result<(), String> {
        let place = self.uplinks.iter().position(|uplink| uplink.name == self.fault.link()).map_or(0, |n| n + 1);
        // By number: the names are in /etc/protocols, which not every machine has.
        let rtmp = format!("ipproto 6 sport {}", self.server.port());
        for what in ["ipproto 17", &rtmp] {
            let rule = format!("rule {verb} to 10.77.{place}.0/24 {what} blackhole");
            within(&self.bed, Place::Relay, || ip(&rule))?;
        }
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.relay.kill();
        let _ = self.relay.wait();
    }
}

/// Where the server keeps what it gets.
pub(super) fn records(out: &Path) -> std::path::PathBuf {
    out.join("servers").join(NAME).join("records")
}

/// A relay that answers probes. Its programme is nobody's.
fn relay(out: &Path) -> Result<Child, String> {
    let status = servers::free_port()?;
    let config = format!(
        "# Written by `holdfast demo`.\n[srt]\nlisten = [\"0.0.0.0:9000\"]\n\n[probe]\nlisten = \"0.0.0.0:{ECHO}\"\n\n\
         [status]\nlisten = \"127.0.0.1:{status}\"\n\n[[programme]]\nname = \"nobody\"\nopen = true\n"
    );
    uplinks::run_relay(out, &config, "", status)
}

fn ip(arguments: &str) -> Result<(), String> {
    let mut command = Command::new("ip");
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    let done = command.output().map_err(|e| format!("ip {arguments}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}

/// What is missing, and what to do about it.
fn not_permitted(fault: LinkFault, why: &std::io::Error) -> String {
    let fault = fault.word();
    let holdfast = own_path();
    format!(
        "--fault {fault} cannot be shown here: it takes network namespaces and TAP devices, which are not permitted ({why}). \
         Nothing stands in for them: only real interfaces have carriers, and only between real interfaces is there a choice.\n\
         \x20 as root:            sudo {holdfast} demo --fault {fault}\n\
         \x20 as another user:    unshare -Ur {holdfast} demo --fault {fault}\n\
         \x20                     (where unprivileged user namespaces are allowed, and /dev/net/tun is open to all)\n\
         \x20 in a container:     start it with --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun\n\
         \x20 without any of it:  --fault link shows what an SRT bond does, with proxies for uplinks"
    )
}

/// This program as somebody types it from where they are.
fn own_path() -> String {
    let Ok(path) = std::env::current_exe() else { return "holdfast".into() };
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    short.unwrap_or(path).display().to_string()
}
