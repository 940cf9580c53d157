//! Where a ReconnectRequest points (Enhanced RTMP v2, *Reconnect Request*): an absolute or relative `tcUrl`.

use crate::config::RtmpUrl;

/// Why a server's address is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Not `rtmp[s]://host[:port]/app`, nor relative to it.
    #[error("the server sent us to an address that cannot be read")]
    Unreadable,
    /// From RTMPS to RTMP: the stream key would cross the network in the clear.
    #[error("the server sent us from a secure to an open connection, which would show the stream key")]
    Downgrade,
}

/// Resolves `reference` against the address in use, as RFC 3986 §5.2 does. `None` or empty means the same address.
///
/// # Errors
/// [`RedirectError`].
pub fn resolve(base: &RtmpUrl, reference: Option<&str>) -> Result<RtmpUrl, RedirectError> {
    let reference = reference.unwrap_or_default().trim();
    if reference.is_empty() {
        return Ok(base.clone());
    }
    if reference.len() > 2048 || reference.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(RedirectError::Unreadable);
    }
    let url = if let Some((scheme, rest)) = reference.split_once("://") {
        match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => authority_and_app(false, rest)?,
            "rtmps" => authority_and_app(true, rest)?,
            _ => return Err(RedirectError::Unreadable),
        }
    } else if let Some(rest) = reference.strip_prefix("//") {
        authority_and_app(base.tls, rest)?
    } else if let Some(app) = reference.strip_prefix('/') {
        RtmpUrl { app: non_empty(app)?, ..base.clone() }
    } else {
        let path = base.app.split('?').next().unwrap_or_default();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let app = if parent.is_empty() { reference.to_owned() } else { format!("{parent}/{reference}") };
        RtmpUrl { app: non_empty(&app)?, ..base.clone() }
    };
    if base.tls && !url.tls { Err(RedirectError::Downgrade) } else { Ok(url) }
}

fn authority_and_app(tls: bool, rest: &str) -> Result<RtmpUrl, RedirectError> {
    let (authority, app) = rest.split_once('/').ok_or(RedirectError::Unreadable)?;
    let (host, port) = if let Some(v6) = authority.strip_prefix('[') {
        let (host, port) = v6.split_once(']').ok_or(RedirectError::Unreadable)?;
        (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or(RedirectError::Unreadable)?)
    } else {
        authority.rsplit_once(':').unwrap_or((authority, ""))
    };
    if host.is_empty() || host.contains('@') {
        return Err(RedirectError::Unreadable);
    }
    let default = if tls { 443 } else { 1935 };
    let port = if port.is_empty() { default } else { port.parse().map_err(|_| RedirectError::Unreadable)? };
    if port == 0 {
        return Err(RedirectError::Unreadable);
    }
    Ok(RtmpUrl { tls, host: host.to_owned(), port, app: non_empty(app)? })
}

fn non_empty(app: &str) -> Result<String, RedirectError> {
    let app = app.trim_end_matches('/');
    if app.is_empty() { Err(RedirectError::Unreadable) } else { Ok(app.to_owned()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn base() -> RtmpUrl {
        RtmpUrl { tls: true, host: "a.example".into(), port: 443, app: "live/main?x=1".into() }
    }

    #[test]
    fn absolute_and_relative_addresses_are_followed() {
        let cases = [
            ("rtmps://b.example/app", "rtmps://b.example/app"),
            ("RTMPS://b.example:1936/app/inst/", "rtmps://b.example:1936/app/inst"),
            ("//[::1]:99/app", "rtmps://[::1]:99/app"),
            ("/other", "rtmps://a.example/other"),
            ("backup", "rtmps://a.example/live/backup"),
            ("", "rtmps://a.example/live/main?x=1"),
        ];
        for (reference, resolved) in cases {
            assert_eq!(resolve(&base(), Some(reference)).unwrap().to_string(), resolved);
        }
        assert_eq!(resolve(&base(), None).unwrap(), base());
    }

    #[test]
    fn the_key_is_not_led_into_the_open_or_into_nonsense() {
        assert_eq!(resolve(&base(), Some("rtmp://a.example/live")), Err(RedirectError::Downgrade));
        for bad in [
            "http://a/b",
            "rtmps://",
            "rtmps://host",
            "rtmps:///app",
            "rtmps://u@h/a",
            "rtmps://h:x/a",
            "//[::1/a",
            "a b",
            "/",
        ] {
            assert_eq!(resolve(&base(), Some(bad)), Err(RedirectError::Unreadable), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_address_can_hurt(reference in ".{0,80}") {
            let _ = resolve(&base(), Some(&reference));
        }
    }
}
