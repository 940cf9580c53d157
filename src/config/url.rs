//! Addresses of servers, of RTMP, SRT and RTSP above all. Since operators paste stream keys into them, no message repeats one.

use super::report::Complaint;
use super::settings::RtmpUrl;
use super::srt_settings::SrtAddress;

const EXAMPLE: &str = "write it as rtmp://host/app or rtmps://host/app, without the stream key";
const SRT_EXAMPLE: &str = "write it as srt://host:port";
const RTSP_EXAMPLE: &str = "write it as rtsp://camera/stream";
const SCHEMES: &str = "write it as rtmps://host/app, without the stream key, or as srt://host:port";
const MOVE_THE_KEY: &str =
    "end the address at the application, as in rtmps://host/app, and put the key into the secrets file";

/// Where a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Url {
    Rtmp(RtmpUrl),
    Srt(SrtAddress),
}

/// Whether this is meant to be an SRT address, right or wrong.
pub(super) fn is_srt(written: &str) -> bool {
    written.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("srt"))
}

/// As [`read`] or [`read_srt`].
pub(super) fn read_any(written: &str) -> Result<Url, Complaint> {
    if is_srt(written) {
        return read_srt(written, "destination").map(Url::Srt);
    }
    read(written).map(Url::Rtmp)
}

/// `srt://host:port`; `owner` is what its secrets stand below.
pub(super) fn read_srt(written: &str, owner: &str) -> Result<SrtAddress, Complaint> {
    let rest = written.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if after.to_ascii_lowercase().contains("passphrase=") {
        let remedy = format!("end it at the port, and write passphrase = \"…\" below the {owner} in the secrets file");
        return Err(Complaint::new("contains a passphrase", remedy));
    }
    if after.contains('?') {
        let remedy = "end it at the port, and write each on a line of its own, such as latency = \"500ms\"";
        return Err(Complaint::new("has options after the address", remedy));
    }
    if !matches!(after, "" | "/") {
        return Err(Complaint::new("has something after the port", SRT_EXAMPLE));
    }
    if authority.contains('@') {
        return Err(Complaint::new(
            "contains a user name or password",
            "SRT has none; write a stream_id or a passphrase",
        ));
    }
    read_host_and_port(authority)
}

/// `host:port`.
pub(super) fn read_host_and_port(written: &str) -> Result<SrtAddress, Complaint> {
    no_spaces(written, SRT_EXAMPLE)?;
    match host_and_port(written, SRT_EXAMPLE, "write it as [2001:db8::1]:port")? {
        (host, Some(port)) => Ok(SrtAddress { host, port }),
        (_, None) => Err(Complaint::new("has no port", "add the port that the far end listens on, as in host:9000")),
    }
}

/// `rtmp[s]://host[:port]/app`, printable ASCII without spaces, at most 1024 characters.
pub(super) fn read(written: &str) -> Result<RtmpUrl, Complaint> {
    no_spaces(written, EXAMPLE)?;
    let (tls, rest) = scheme(written)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(Complaint::new("contains a user name or password", MOVE_THE_KEY));
    }
    let (host, port) = host_and_port(authority, EXAMPLE, "write it as rtmp://[2001:db8::1]/app")?;
    let app = path.trim_matches('/');
    if app.is_empty() || app.starts_with('?') {
        return Err(Complaint::new("has no application after the host", EXAMPLE));
    }
    if app.contains('#') {
        return Err(Complaint::new("contains #, which RTMP servers do not understand", EXAMPLE));
    }
    if has_key(&host, app) {
        return Err(Complaint::new("seems to end in a stream key", MOVE_THE_KEY));
    }
    Ok(RtmpUrl { tls, host, port: port.unwrap_or(if tls { 443 } else { 1935 }), app: app.to_owned() })
}

/// `rtsp://host[:port][/path][?query]`, printable ASCII without spaces, at most 1024 characters; scheme and host in lower
/// case. Cameras have their own ideas of a path, which is passed on as it is.
pub(super) fn read_rtsp(written: &str) -> Result<String, Complaint> {
    no_spaces(written, RTSP_EXAMPLE)?;
    let (scheme, rest) = written.split_once("://").unwrap_or(("", written));
    match scheme.to_ascii_lowercase().as_str() {
        "rtsp" => {}
        "rtsps" | "rtspu" => {
            let problem = format!("begins with {}://, which is not supported", scheme.to_ascii_lowercase());
            return Err(Complaint::new(problem, "write it as rtsp://, if the camera takes that too"));
        }
        _ => return Err(Complaint::new("does not begin with rtsp://", RTSP_EXAMPLE)),
    }
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let credentials = || {
        let remedy = "take it out: write user = \"…\" on a line of its own, and password = \"…\" below the input in the \
                      secrets file";
        Complaint::new("contains a user name or password", remedy)
    };
    if authority.contains('@') {
        return Err(credentials());
    }
    // A password may have a slash in it, which ends the authority too early.
    host_and_port(authority, RTSP_EXAMPLE, "write it as rtsp://[2001:db8::1]/stream")
        .map_err(|complaint| if after.contains('@') { credentials() } else { complaint })?;
    if after.contains('#') {
        return Err(Complaint::new("contains #, which is no part of a stream's address", "end it before that"));
    }
    Ok(format!("rtsp://{}{after}", authority.to_ascii_lowercase()))
}

pub(super) fn no_spaces(written: &str, example: &str) -> Result<(), Complaint> {
    if written.len() > 1024 {
        return Err(Complaint::new("is longer than 1024 characters", example));
    }
    match written.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(Complaint::new(format!("contains {c:?}, which no address can"), "remove it")),
        None => Ok(()),
    }
}

fn scheme(written: &str) -> Result<(bool, &str), Complaint> {
    let Some((scheme, rest)) = written.split_once("://") else {
        return Err(Complaint::new("does not begin with rtmp://, rtmps:// or srt://", SCHEMES));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "rtmp" => Ok((false, rest)),
        "rtmps" => Ok((true, rest)),
        "rist" | "http" | "https" | "whip" | "rtmpt" | "rtmpe" | "rtmpts" | "rtsp" | "udp" => {
            let problem = format!("begins with {}://, which this box cannot send", scheme.to_ascii_lowercase());
            Err(Complaint::new(problem, SCHEMES))
        }
        _ => Err(Complaint::new("does not begin with rtmp:// or rtmps://", EXAMPLE)),
    }
}

/// RFC 3986 §3.2: a name, an IPv4 address or an IPv6 address in brackets; a port from 1 to 65535.
pub(super) fn host_and_port(
    authority: &str,
    example: &str,
    v6_example: &str,
) -> Result<(String, Option<u16>), Complaint> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(Complaint::new("has brackets around something that is not an IPv6 address", example));
            }
            match (after, after.strip_prefix(':')) {
                ("", _) => (address, None),
                (_, Some(port)) => (address, Some(port)),
                _ => return Err(Complaint::new("has something after the address that is not a port", example)),
            }
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(Complaint::new("has an IPv6 address without brackets", v6_example));
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err(Complaint::new("has no host", example));
    }
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.len() > 253 || !(host.contains(':') || host.chars().all(name)) {
        return Err(Complaint::new("has a host that is neither a name nor an address", example));
    }
    let port = match port {
        None => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(Complaint::new("has a port that is not a number from 1 to 65535", example)),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// Whether the application's last part looks like a stream key: anything behind the application of the services whose
/// application is one word, or the shape of their keys anywhere.
fn has_key(host: &str, app: &str) -> bool {
    let path = app.split('?').next().unwrap_or(app);
    let one_word_apps = ["youtube.com", "twitch.tv", "live-video.net", "facebook.com"];
    let known = one_word_apps.iter().any(|d| host == *d || host.strip_suffix(d).is_some_and(|h| h.ends_with('.')));
    let last = path.rsplit('/').next().unwrap_or(path);
    (known && path.contains('/')) || has_shape_of_key(last)
}

/// `live_123456_…` (Twitch), `FB-123-0-…` (Facebook), `abcd-1234-…` (YouTube), or 20 mixed letters and digits.
pub(super) fn has_shape_of_key(part: &str) -> bool {
    let groups: Vec<&str> = part.split('-').collect();
    let youtube =
        groups.len() >= 4 && groups.iter().all(|g| g.len() == 4 && g.bytes().all(|b| b.is_ascii_alphanumeric()));
    let numbered =
        |prefix: &str| part.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let mixed = part.len() >= 20
        && part.bytes().filter(u8::is_ascii_digit).count() >= 4
        && part.bytes().any(|b| b.is_ascii_alphabetic())
        && part.bytes().all(|b| b.is_ascii_alphanumeric());
    youtube || numbered("live_") || numbered("FB-") || mixed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_survives_being_written_out() {
        for written in [
            "rtmp://a.rtmp.youtube.com/live2",
            "rtmps://b.rtmps.youtube.com/live2?backup=1",
            "rtmp://[2001:db8::1]:1936/live/room",
            "rtmp://10.0.0.1/app",
            "rtmp://127.0.0.1:44444/live",
        ] {
            assert_eq!(read(written).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_does_not_matter_is_made_uniform() {
        assert_eq!(read("RTMP://Live.Twitch.TV:1935/app/").unwrap(), read("rtmp://live.twitch.tv/app").unwrap());
    }

    #[test]
    fn a_stream_key_in_the_address_is_noticed_and_not_repeated() {
        for written in [
            "rtmp://a.rtmp.youtube.com/live2/abcd-1234-efgh-5678-ijkl",
            "rtmp://live.twitch.tv/app/live_123456789_abcdefABCDEF",
            "rtmps://live-api-s.facebook.com:443/rtmp/FB-1234-0-AbCd",
            "rtmp://10.0.0.1/live/0123456789abcdef01234567",
            "rtmp://user:pass@10.0.0.1/live",
        ] {
            let complaint = read(written).unwrap_err();
            assert_eq!(complaint.remedy, MOVE_THE_KEY, "{written}");
            assert!(!complaint.problem.contains("abcd") && !complaint.problem.contains("pass@"), "{complaint:?}");
        }
    }

    #[test]
    fn a_cameras_address_is_passed_on_as_it_was_written() {
        for written in [
            "rtsp://camera/stream",
            "rtsp://192.0.2.9:554/cam/realmonitor?channel=1&subtype=0",
            "rtsp://[2001:db8::1]:8554/Live",
            "rtsp://camera",
            "rtsp://camera?x=@1",
        ] {
            assert_eq!(read_rtsp(written).unwrap(), written);
        }
        assert_eq!(read_rtsp("RTSP://Camera.Local/Stream").unwrap(), "rtsp://camera.local/Stream");
    }

    #[test]
    fn a_cameras_password_in_its_address_is_noticed_and_not_repeated() {
        for written in ["rtsp://admin:geheim@camera/s", "rtsp://admin@camera", "rtsp://admin:ge/heim?x#@camera/s"] {
            let complaint = read_rtsp(written).unwrap_err();
            assert_eq!(complaint.problem, "contains a user name or password", "{written}");
            assert!(!complaint.remedy.contains("heim") && !complaint.remedy.contains("admin"), "{complaint:?}");
        }
        for written in
            ["camera/s", "rtsps://camera/s", "rtsp://", "rtsp://camera:x/s", "rtsp://camera/s#t", "rtsp://c d"]
        {
            assert!(read_rtsp(written).is_err(), "{written}");
        }
    }

    #[test]
    fn an_application_of_several_words_is_not_taken_for_a_key() {
        for written in ["rtmp://cdn.example.com/customer/event-2026", "rtmp://h/live/main-camera-room-four"] {
            assert!(read(written).is_ok(), "{written}");
        }
    }
}
