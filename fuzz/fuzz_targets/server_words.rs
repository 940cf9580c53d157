//! What a server says for people and for redirection: bounded, on one line, without the stream key.
#![no_main]

use holdfast::config::RtmpUrl;
use holdfast::model::Codec;
use holdfast::rtmp::redirect::resolve;
use holdfast::rtmp::trouble::{classify, sanitise};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let base = RtmpUrl { tls: true, host: "live.example".to_owned(), port: 443, app: "app/inner".to_owned() };
    if let Ok(url) = resolve(&base, Some(text)) {
        assert!(url.tls, "left TLS for {url}");
        assert!(!url.host.is_empty() && !url.app.is_empty() && url.port != 0, "{url}");
    }
    let (code, description) = text.split_once('\n').unwrap_or(("", text));
    let said = sanitise(code, description, "k3y");
    assert!(said.lines().count() <= 1 && said.chars().count() <= 256, "{said:?}");
    assert!(!said.contains("k3y"), "{said:?}");
    let _ = classify(code, description, Codec::Av1, "k3y");
});
