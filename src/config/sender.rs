//! The keys of an `[[input]]` that comes over a network: kind `"srt"`, `"rtmp"` or `"rtsp"`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::network_input::{NetworkInput, RtmpInput, RtspInput, RtspLogin, RtspTransport, Sender, SrtCall, SrtInput};
use super::ports::{Ports, Transport};
use super::relay::socket;
use super::report::{Absent, Complaint, Reported, quote};
use super::secrets::{Found, Key};
use super::section::{Section, boolean, choice, text, text_like};
use super::settings::Secret;
use super::srt_settings::{Encryption, KeyLength, SrtAddress};
use super::{duration, srt, url, watch};

/// Where SRT senders usually call, and publishers over RTMP.
const SRT_LISTEN: &str = "[::]:9100";
const RTMP_LISTEN: &str = "[::]:1935";
const USUAL_APP: &str = "live";
/// Over the public networks that senders call from: four round trips of 50 ms.
const USUAL_LATENCY: Duration = Duration::from_millis(200);
const CUSHION: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(10);
/// SRT itself has waited for what was lost.
const SRT_CUSHION: Duration = Duration::from_millis(200);
/// A lost TCP segment costs a round trip or two, and everything behind it waits.
const RTMP_CUSHION: Duration = Duration::from_millis(500);
const RTSP_CUSHION: Duration = Duration::from_millis(400);

const TRANSPORTS: [(&str, RtspTransport); 2] = [("tcp", RtspTransport::Tcp), ("udp", RtspTransport::Udp)];
const TRANSPORT_ALIASES: [(&str, &str); 3] = [("interleaved", "tcp"), ("rtp", "udp"), ("unicast", "udp")];

/// Names under which people keep secrets.
pub(super) const SECRET_NAMES: [&str; 7] =
    ["key", "stream_key", "streamkey", "stream-key", "passphrase", "password", "secret"];

/// What else people call a user.
const USER_NAMES: [&str; 2] = ["username", "login"];

/// By what a sender over a network comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Srt,
    Rtmp,
    Rtsp,
}

impl By {
    /// The keys that such an input has beside those of every input.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Srt => &[
                "listen",
                "url",
                "stream_id",
                "latency",
                "key_length",
                "open",
                "mode",
                "cushion",
                "pass_through",
                "loss_above",
                "rtt_above",
                "rate_below",
            ],
            Self::Rtmp => {
                &["listen", "app", "open", "cushion", "pass_through", "loss_above", "rtt_above", "rate_below"]
            }
            Self::Rtsp => {
                &["url", "user", "transport", "cushion", "pass_through", "loss_above", "rtt_above", "rate_below"]
            }
        }
    }

    /// What the secrets file calls its secret.
    const fn secret(self) -> &'static str {
        match self {
            Self::Srt => "passphrase",
            Self::Rtmp => "key",
            Self::Rtsp => "password",
        }
    }

    const fn cushion(self) -> Duration {
        match self {
            Self::Srt => SRT_CUSHION,
            Self::Rtmp => RTMP_CUSHION,
            Self::Rtsp => RTSP_CUSHION,
        }
    }
}

/// What the secrets file holds for an input, and how one writes more into it.
#[derive(Debug)]
pub(super) struct Kept<'s> {
    /// The input's name; a word for it where it has none.
    pub(super) name: &'s str,
    pub(super) found: Found,
    /// The secrets file, if there is one.
    pub(super) file: Option<&'s str>,
}

impl Kept<'_> {
    /// How to add `secret`.
    fn remedy(&self, secret: &str) -> String {
        let Self { name, file, .. } = self;
        match file {
            Some(file) => format!("add [input.{name}] and below it {secret} = \"…\" to {file}"),
            None => format!("write a secrets file with [input.{name}] and below it {secret} = \"…\""),
        }
    }

    /// Complains about what an input has in the secrets file and cannot use; `used` are what it can.
    pub(super) fn refuse_others(&self, section: &mut Section<'_>, kind: &str, used: &[&str]) -> Result<(), Reported> {
        let Found { key, backup_key: _, passphrase, password } = &self.found;
        let mut refused = Ok(());
        for (name, secret) in [("key", key), ("passphrase", passphrase), ("password", password)] {
            if matches!(secret, Key::Given(_)) && !used.contains(&name) {
                let problem = format!("has a {name} in the secrets file, which means nothing for kind \"{kind}\"");
                let remedy = match used.last() {
                    Some(used) => format!("remove it there, or call it {used}"),
                    None => "remove it there".to_owned(),
                };
                refused = Err(section.lacks(Absent::Other, &Complaint::new(problem, remedy)));
            }
        }
        refused
    }
}

/// Reads all of them.
pub(super) fn read(
    section: &mut Section<'_>,
    by: By,
    kept: &Kept<'_>,
    ports: &mut Ports,
) -> Result<NetworkInput, Reported> {
    let remedy = format!("move it to the secrets file: [input.NAME] and below it {} = \"…\"", by.secret());
    section.refuse(&SECRET_NAMES, &Complaint::new("does not belong in this file", remedy));
    let sender = match by {
        By::Srt => read_srt(section, kept, ports).map(Sender::Srt),
        By::Rtmp => read_rtmp(section, kept, ports).map(Sender::Rtmp),
        By::Rtsp => read_rtsp(section, kept).map(Sender::Rtsp),
    };
    let cushion = section.or("cushion", by.cushion(), |v| duration::read(v, &CUSHION));
    let pass_through = section.or("pass_through", false, boolean);
    let limits = watch::read_network(section);
    Ok(NetworkInput { sender: sender?, cushion: cushion?, pass_through: pass_through?, limits: limits? })
}

fn read_srt(section: &mut Section<'_>, kept: &Kept<'_>, ports: &mut Ports) -> Result<SrtInput, Reported> {
    let call = read_call(section, ports);
    let written_id = section.optional("stream_id", srt::stream_id);
    let latency = srt::read_latency(section, USUAL_LATENCY);
    let key_length = section.optional("key_length", srt::key_length);
    let open = section.optional("open", boolean);
    let remedy = "remove it: listen stands where senders call this box, url where it calls them";
    section.refuse(&["mode"], &Complaint::new("is said by other keys", remedy));
    let others = kept.refuse_others(section, "srt", &["key", "passphrase"]);
    let encryption = match (&call, others) {
        (Ok(SrtCall::Listen(_)), Ok(())) => of_callers(section, kept, key_length, open),
        (Ok(SrtCall::To(_)), Ok(())) => of_called(section, kept, key_length, open),
        (Err(Reported), _) | (_, Err(Reported)) => Err(Reported),
    };
    let stream_id = srt::combine_id(section, written_id, kept.found.key.clone());
    Ok(SrtInput { call: call?, stream_id: stream_id?, encryption: encryption?, latency: latency? })
}

/// `listen`, or `url`.
fn read_call(section: &mut Section<'_>, ports: &mut Ports) -> Result<SrtCall, Reported> {
    let listen = section.optional("listen", |v| listening(v, SRT_LISTEN));
    let url = section.optional("url", |v| calling(text(v)?));
    match (listen?, url?) {
        (Some(listen), None) => take(section, ports, Transport::Udp, listen).map(SrtCall::Listen),
        (None, Some(address)) => Ok(SrtCall::To(address)),
        (Some(_), Some(_)) => {
            let remedy = "keep listen if senders call this box, or url if it calls them";
            Err(section.complain("url", &Complaint::new("stands beside listen", remedy)))
        }
        (None, None) => {
            let remedy = format!(
                "add listen = \"{SRT_LISTEN}\" if senders call this box, or url = \"srt://host:port\" if it calls them"
            );
            let complaint = Complaint::new("has neither listen nor url", remedy);
            Err(section.lacks(Absent::AnyOf(&["listen", "url"]), &complaint))
        }
    }
}

/// Where we listen. What callers encrypt with is their choice, as long as they know the passphrase.
fn of_callers(
    section: &mut Section<'_>,
    kept: &Kept<'_>,
    key_length: Result<Option<KeyLength>, Reported>,
    open: Result<Option<bool>, Reported>,
) -> Result<Option<Encryption>, Reported> {
    let key_length = match key_length {
        Ok(Some(_)) => {
            let complaint = Complaint::new("has no effect where senders call: they choose it", "remove it");
            Err(section.complain("key_length", &complaint))
        }
        Ok(None) => Ok(KeyLength::Aes128),
        Err(Reported) => Err(Reported),
    };
    let passphrase = admitted(section, kept, "passphrase", open?.unwrap_or(false), &kept.found.passphrase)?;
    let key_length = key_length?;
    Ok(passphrase.map(|passphrase| Encryption { passphrase, key_length }))
}

/// Where we call.
fn of_called(
    section: &mut Section<'_>,
    kept: &Kept<'_>,
    key_length: Result<Option<KeyLength>, Reported>,
    open: Result<Option<bool>, Reported>,
) -> Result<Option<Encryption>, Reported> {
    let open = match open {
        Ok(Some(_)) => {
            let complaint = Complaint::new("means nothing where the box calls: nobody else can send", "remove it");
            Err(section.complain("open", &complaint))
        }
        Ok(None) => Ok(()),
        Err(Reported) => Err(Reported),
    };
    let encryption = srt::combine_encryption(section, "input", key_length, kept.found.passphrase.clone());
    open?;
    encryption
}

fn read_rtmp(section: &mut Section<'_>, kept: &Kept<'_>, ports: &mut Ports) -> Result<RtmpInput, Reported> {
    let example = format!("listen = \"{RTMP_LISTEN}\"");
    let listen = section
        .required("listen", &example, |v| listening(v, RTMP_LISTEN))
        .and_then(|listen| take(section, ports, Transport::Tcp, listen));
    let app = section.or("app", USUAL_APP.to_owned(), application);
    let open = section.or("open", false, boolean);
    let others = kept.refuse_others(section, "rtmp", &["key"]);
    let key = match open {
        Ok(open) if others.is_ok() => admitted(section, kept, "key", open, &kept.found.key),
        Ok(_) | Err(Reported) => Err(Reported),
    };
    Ok(RtmpInput { listen: listen?, app: app?, key: key? })
}

fn read_rtsp(section: &mut Section<'_>, kept: &Kept<'_>) -> Result<RtspInput, Reported> {
    let url = section.required("url", "url = \"rtsp://camera/stream\"", |v| url::read_rtsp(text(v)?));
    let user = section.optional("user", user);
    let is_misnamed = USER_NAMES.iter().any(|name| section.has(name));
    section.refuse(&USER_NAMES, &Complaint::new("is called user here", "write user = \"…\""));
    let transport = section.or("transport", RtspTransport::default(), |v| choice(v, &TRANSPORTS, &TRANSPORT_ALIASES));
    let others = kept.refuse_others(section, "rtsp", &["password"]);
    let login = match (user, &kept.found.password) {
        (Err(Reported), _) | (_, Key::Wrong) => Err(Reported),
        (Ok(None), Key::Absent) => Ok(None),
        (Ok(Some(user)), Key::Given(password)) => Ok(Some(RtspLogin { user, password: password.clone() })),
        (Ok(Some(_)), Key::Absent) if others.is_err() => Err(Reported),
        (Ok(None), Key::Given(_)) if is_misnamed => Err(Reported),
        (Ok(Some(_)), Key::Absent) => {
            let remedy = format!("{}, or remove the user", kept.remedy("password"));
            Err(section.complain("user", &Complaint::new("has no password", remedy)))
        }
        (Ok(None), Key::Given(_)) => {
            let remedy = "add user = \"…\" here, or remove the password there";
            let complaint = Complaint::new("has a password in the secrets file, and no user here", remedy);
            Err(section.lacks(Absent::Key("user"), &complaint))
        }
    };
    others?;
    Ok(RtspInput { url: url?, login: login?, transport: transport? })
}

/// Who may send: whoever has the secret, or, if that is declared, everybody.
fn admitted(
    section: &mut Section<'_>,
    kept: &Kept<'_>,
    word: &str,
    is_open: bool,
    secret: &Key,
) -> Result<Option<Secret>, Reported> {
    match (secret, is_open) {
        (Key::Given(secret), false) => Ok(Some(secret.clone())),
        (Key::Given(_), true) => {
            let complaint = Complaint::new(format!("is true, but it has a {word}"), "remove the one or the other");
            Err(section.complain("open", &complaint))
        }
        (Key::Wrong, _) => Err(Reported),
        (Key::Absent, true) => Ok(None),
        (Key::Absent, false) => {
            let why = if kept.file.is_some() { "" } else { ", since there is no secrets file" };
            let remedy = format!("{}, or write open = true to let anybody send", kept.remedy(word));
            Err(section.lacks(Absent::Key("open"), &Complaint::new(format!("has no {word}{why}"), remedy)))
        }
    }
}

/// Takes the place where an input listens.
fn take(
    section: &mut Section<'_>,
    ports: &mut Ports,
    transport: Transport,
    listen: SocketAddr,
) -> Result<SocketAddr, Reported> {
    let Err(other) = ports.take(transport, listen, section.place()) else { return Ok(listen) };
    let problem = format!("is where {} listens already, at {}", other.owner, other.address);
    Err(section.complain("listen", &Complaint::new(problem, "give each a port of its own")))
}

/// An address of this machine and a port.
fn listening(value: &DeValue<'_>, example: &str) -> Result<SocketAddr, Complaint> {
    let written = text_like(value, &format!("write it as \"{example}\""))?;
    // Whoever pastes a whole address may have pasted its secrets with it, which are not to be repeated.
    if written.contains(['/', '?', '@', '=']) {
        let remedy = format!("write an address of this machine and a port alone, such as \"{example}\"");
        return Err(Complaint::new("is more than an address and a port", remedy));
    }
    socket(written, example)
}

/// The address of a sender that we call. What others write to listen is noticed.
fn calling(written: &str) -> Result<SrtAddress, Complaint> {
    if !url::is_srt(written) {
        return Err(Complaint::new(
            "does not begin with srt://",
            "write it as srt://host:port, or choose another kind",
        ));
    }
    let lower = written.to_ascii_lowercase();
    let listens = || {
        let remedy = format!("write listen = \"{SRT_LISTEN}\" instead, if senders call this box");
        Complaint::new("calls nobody", remedy)
    };
    if lower.starts_with("srt://:") || lower.contains("mode=listener") {
        return Err(listens());
    }
    let address = url::read_srt(written, "input")?;
    let is_nowhere = address.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_unspecified());
    if is_nowhere { Err(listens()) } else { Ok(address) }
}

/// The application that publishers name. Whoever writes the stream key behind it does not see it repeated.
fn application(value: &DeValue<'_>) -> Result<String, Complaint> {
    const EXAMPLE: &str = "write the application alone: \"live\" for rtmp://box/live";
    let app = text(value)?;
    if app.is_empty() {
        return Err(Complaint::new("is empty", EXAMPLE));
    }
    if app.len() > 128 {
        return Err(Complaint::new("is longer than 128 characters", EXAMPLE));
    }
    if app.contains("://") {
        return Err(Complaint::new("is an address", EXAMPLE));
    }
    if let Some(c) = app.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '"' | '\\')) {
        return Err(Complaint::new(format!("contains {c:?}"), EXAMPLE));
    }
    if app.starts_with('/') || app.ends_with('/') {
        return Err(Complaint::new("begins or ends with a slash", EXAMPLE));
    }
    if app.rsplit('/').next().is_some_and(url::has_shape_of_key) {
        let remedy = "end it before that, and write key = \"…\" below the input in the secrets file";
        return Err(Complaint::new("seems to end in a stream key", remedy));
    }
    Ok(app.to_owned())
}

/// RFC 7617 §2: a colon would end the name.
fn user(value: &DeValue<'_>) -> Result<String, Complaint> {
    let user = text(value)?;
    if user.is_empty() {
        return Err(Complaint::new("is empty", "leave the line out if the camera asks for nobody"));
    }
    if user.contains(':') {
        let remedy = "write the name alone, and password = \"…\" below the input in the secrets file";
        return Err(Complaint::new("contains a colon, as if a password came behind it", remedy));
    }
    if user.len() > 128 {
        return Err(Complaint::new(format!("is {}, longer than 128 bytes", quote(user)), "write the name alone"));
    }
    if user.chars().any(char::is_control) {
        return Err(Complaint::new(format!("is {}, with a control character", quote(user)), "write it on one line"));
    }
    Ok(user.to_owned())
}
