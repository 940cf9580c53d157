//! `[probe]`: who is asked whether a link carries anything. Of a relay, where it answers.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::probe_settings::ProbeSettings;
use super::relay::socket;
use super::report::{Complaint, Report, Reported, quote};
use super::section::{Section, text, text_like, type_in_words};
use super::url::{host_and_port, no_spaces};
use crate::model::{ProbeKind, ProbeTarget};

const SHAPE: &str = "write a list: targets = [\"echo://relay.example.net:9710\", \"stun://stun.example.net\"]";
const EXAMPLE: &str = "write it as \"echo://host:port\" or \"stun://host:port\"";
/// As many as a judge of links listens to.
const MOST_TARGETS: usize = 8;
/// RFC 8489 §8.1.
const STUN_PORT: u16 = 3478;

/// A box's.
pub(super) fn read(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<ProbeSettings, Reported> {
    let Some(mut section) = root.table("probe", "write [probe] with one bracket, once")? else {
        return Ok(ProbeSettings::default());
    };
    let targets = section.or("targets", Vec::new(), targets);
    let complaint = Complaint::new("is a relay's", "remove it: a box asks, and does not answer");
    section.refuse(&["listen"], &complaint);
    section.finish(report);
    Ok(ProbeSettings { targets: targets? })
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
