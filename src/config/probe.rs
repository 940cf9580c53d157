//! `[probe]`: who is asked whether a link carries anything. Of a relay, where it answers.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::probe_settings::ProbeSettings;
use super::relay::socket;
use super::report::{Complaint, Report, Reported, quote};
use super::section::{Section, text, text_like, type_in_words};
use super::url::{host_and_port, no_spaces};
use crate::model::{PortalCheck, ProbeKind, ProbeTarget};

const SHAPE: &str = "write a list: targets = [\"echo://relay.example.net:9710\", \"stun://stun.example.net\"]";
const EXAMPLE: &str = "write it as \"echo://host:port\" or \"stun://host:port\"";
/// As many as a judge of links listens to.
const MOST_TARGETS: usize = 8;
const PAGE: &str = "write it as \"http://host/path\"";
/// Much less of a page is enough to know it by.
const MOST_EXPECTED: usize = 1024;
/// RFC 8489 §8.1.
const STUN_PORT: u16 = 3478;

/// A box's.
pub(super) fn read(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<ProbeSettings, Reported> {
    let Some(mut section) = root.table("probe", "write [probe] with one bracket, once")? else {
        return Ok(ProbeSettings::default());
    };
    let targets = section.or("targets", Vec::new(), targets);
    let page = section.optional("portal_check", page);
    let expect = section.optional("portal_expect", expect);
    let portal_check = match (page, expect) {
        (Ok(Some(page)), Ok(expect)) => Ok(Some(PortalCheck { expect, ..page })),
        (Ok(None), Ok(Some(_))) => {
            let complaint = Complaint::new("stands there without portal_check", "add the page, or remove it");
            Err(section.complain("portal_expect", &complaint))
        }
        (Ok(None), Ok(None)) => Ok(None),
        (Err(Reported), _) | (_, Err(Reported)) => Err(Reported),
    };
    let complaint = Complaint::new("is a relay's", "remove it: a box asks, and does not answer");
    section.refuse(&["listen"], &complaint);
    section.finish(report);
    Ok(ProbeSettings { targets: targets?, portal_check: portal_check? })
}

/// A relay's.
pub(super) fn read_listen(
    root: &mut Section<'_>,
    srt: Option<&[SocketAddr]>,
    report: &mut Report<'_>,
) -> Result<Option<SocketAddr>, Reported> {
    let Some(mut section) = root.table("probe", "write [probe] with one bracket, once")? else { return Ok(None) };
    let listen = section.required("listen", "listen = \"[::]:9710\"", |v| {
        socket(text_like(v, "write it as \"[::]:9710\"")?, "[::]:9710")
    });
    let listen = listen.and_then(|listen| {
        if srt.is_some_and(|srt| srt.contains(&listen)) {
            let complaint = Complaint::new("is where SRT callers arrive", "give it a port of its own");
            return Err(section.complain("listen", &complaint));
        }
        Ok(listen)
    });
    let complaint = Complaint::new("is a box's", "remove it: a relay answers, and does not ask");
    section.refuse(&["targets"], &complaint);
    section.finish(report);
    listen.map(Some)
}

fn targets(value: &DeValue<'_>) -> Result<Vec<ProbeTarget>, Complaint> {
    let Some(list) = value.as_array() else {
        return Err(Complaint::new(format!("is {}", type_in_words(value)), SHAPE));
    };
    if list.is_empty() {
        return Err(Complaint::new("is empty", "name two or more, in different places, or leave it out"));
    }
    if list.len() > MOST_TARGETS {
        return Err(Complaint::new(format!("has {} targets", list.len()), format!("keep at most {MOST_TARGETS}")));
    }
    let mut targets: Vec<ProbeTarget> = Vec::new();
    for item in list.iter() {
        let written = text(item.get_ref()).map_err(|_| {
            let problem = format!("has {} in it", type_in_words(item.get_ref()));
            Complaint::new(problem, "put each target in double quotes")
        })?;
        let target = target(written).map_err(|complaint| {
            // A password is not repeated.
            let shown = if written.contains('@') { "a target".to_owned() } else { quote(written) };
            Complaint::new(format!("has {shown}, which {}", complaint.problem), complaint.remedy)
        })?;
        if targets.contains(&target) {
            return Err(Complaint::new(format!("has {} twice", quote(written)), "remove one"));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// `http://host[:port]/path`.
fn page(value: &DeValue<'_>) -> Result<PortalCheck, Complaint> {
    let written = text(value)?;
    no_spaces(written, PAGE)?;
    let (scheme, rest) = written.split_once("://").unwrap_or(("", written));
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => {
            let remedy = "write a page that is served over http://: a portal cannot answer for the other kind";
            return Err(Complaint::new("begins with https://", remedy));
        }
        _ => return Err(Complaint::new("does not begin with http://", PAGE)),
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(Complaint::new("contains a user name or password", "remove it: nobody is asked for one"));
    }
    if path.contains('#') {
        return Err(Complaint::new("contains #, which is no part of a page's address", "end it before that"));
    }
    // RFC 3986 §2: what has to be written with a percent sign.
    if let Some(c) = path.chars().find(|c| "\"<>\\^`{|}".contains(*c)) {
        let remedy = format!("write it as %{:02X}", u32::from(c));
        return Err(Complaint::new(format!("contains {c:?}, which no page's address can"), remedy));
    }
    let (host, port) = host_and_port(authority, PAGE, "write it as \"http://[2001:db8::1]/path\"")?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(PortalCheck { host, port: port.unwrap_or(80), path, expect: None })
}

/// What a page begins with.
fn expect(value: &DeValue<'_>) -> Result<String, Complaint> {
    let expect = text(value)?;
    match expect.len() {
        0 => Err(Complaint::new("is empty", "leave it out for a page without content (status 204)")),
        1..=MOST_EXPECTED => Ok(expect.to_owned()),
        _ => Err(Complaint::new(format!("is longer than {MOST_EXPECTED} bytes"), "write the beginning alone")),
    }
}

/// `echo://host:port` or `stun://host[:port]`.
fn target(written: &str) -> Result<ProbeTarget, Complaint> {
    no_spaces(written, EXAMPLE)?;
    let lower = written.to_ascii_lowercase();
    let (kind, rest) = match lower.split_once("://") {
        Some(("echo", rest)) => (ProbeKind::Echo, rest),
        Some(("stun", rest)) => (ProbeKind::Stun, rest),
        // RFC 7064 writes it without slashes.
        None if lower.starts_with("stun:") => {
            return Err(Complaint::new("has no // before the host", "write it as \"stun://host:port\""));
        }
        Some(_) | None => return Err(Complaint::new("does not begin with echo:// or stun://", EXAMPLE)),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(Complaint::new("has something after the port", EXAMPLE));
    }
    if authority.contains('@') {
        return Err(Complaint::new("contains a user name or password", "remove it: nobody is asked for one"));
    }
    let v6_example = format!("write it as \"{}://[2001:db8::1]:port\"", kind.scheme());
    let (host, port) = host_and_port(authority, EXAMPLE, &v6_example)?;
    let port = match (port, kind) {
        (Some(port), _) => port,
        (None, ProbeKind::Stun) => STUN_PORT,
        (None, ProbeKind::Echo) => {
            let remedy = "add the port of the relay's [probe], as in \"echo://host:9710\"";
            return Err(Complaint::new("has no port", remedy));
        }
    };
    Ok(ProbeTarget { kind, host, port })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_target_survives_being_written_out() {
        for written in ["echo://relay.example.net:9710", "stun://[2001:db8::1]:3478", "echo://192.0.2.1:1"] {
            assert_eq!(target(written).unwrap().to_string(), written);
        }
        assert_eq!(target("STUN://Stun.Example.NET/").unwrap(), target("stun://stun.example.net:3478").unwrap());
    }

    #[test]
    fn a_page_survives_being_written_out_and_is_what_http_can_ask_for() {
        let read = |written: &str| page(&DeValue::String(written.into()));
        for written in
            ["http://check.example.org/", "http://[2001:db8::1]:8080/a/b?c=d", "http://192.0.2.1/generate_204"]
        {
            let page = read(written).unwrap();
            assert_eq!(page.to_string(), written);
            assert!(page.path.parse::<hyper::Uri>().is_ok(), "{written}");
        }
        assert_eq!(read("HTTP://Check.Example.org").unwrap(), read("http://check.example.org:80/").unwrap());
        for printable in (0x21..0x7fu8).map(char::from) {
            if let Ok(page) = read(&format!("http://h/x{printable}")) {
                assert!(page.path.parse::<hyper::Uri>().is_ok(), "{printable:?} is accepted, and cannot be asked for");
            }
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for written in [
            "",
            "echo://",
            "echo://h",
            "echo://h:0",
            "echo://h:9710/x",
            "echo://u@h:9710",
            "echo://2001:db8::1:9710",
            "icmp://h",
            "stun:h:3478",
            "stun://h h",
            "echo://h:65536",
        ] {
            assert!(target(written).is_err(), "{written}");
        }
    }
}
