//! Which encoder elements GStreamer has here: `holdfast-encode elements` is asked, the program that may load codecs.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use holdfast::model::Codec;

/// Elements by family and codec; `None` where GStreamer has none here.
pub(super) type Elements = BTreeMap<(String, &'static str), Option<String>>;

/// Looking at all plugins for the first time takes seconds; a driver that hangs takes for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// How `holdfast-encode elements` and hardware profiles write a codec.
pub(super) const fn key(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::Hevc => "hevc",
        Codec::Av1 => "av1",
        Codec::Aac => "aac",
        Codec::Opus => "opus",
    }
}

/// Asks. In words, why there is no answer.
pub(super) fn registered() -> Result<Elements, String> {
    let program = std::env::current_exe().unwrap_or_default().with_file_name("holdfast-encode");
    let named = |e: std::io::Error| format!("{}: {e}", program.display());
    let mut child = Command::new(&program)
        .arg("elements")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(named)?;
    let Some(mut stdout) = child.stdout.take() else { return Err("it has no output".to_owned()) };
    let (tell, told) = sync_channel(1);
    // Ends with the child, which is killed if it takes too long.
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).map(|_| text);
        // Nobody waits for it any more when this fails.
        let _ = tell.send(read);
    });
    let text = told.recv_timeout(PATIENCE);
    // A child that has answered is ending by itself.
    let _ = child.kill();
    let _ = child.wait();
    match text {
        Ok(Ok(text)) if !text.is_empty() => Ok(parse(&text)),
        Ok(Ok(_)) => Err("GStreamer does not start; `holdfast probe` tells why".to_owned()),
        Ok(Err(e)) => Err(named(e)),
        Err(_) => Err(format!("no answer within {} s; a driver may hang", PATIENCE.as_secs())),
    }
}

/// Lines of `family codec element`.
fn parse(text: &str) -> Elements {
    let mut elements = Elements::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(family), Some(codec), Some(element)) = (words.next(), words.next(), words.next()) else { continue };
        let Some(codec) = [Codec::H264, Codec::Hevc, Codec::Av1].map(key).into_iter().find(|name| *name == codec)
        else {
            continue;
        };
        elements.insert((family.to_owned(), codec), Some(element.to_owned()).filter(|element| element != "-"));
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_are_taken_by_family_and_codec() {
        let elements = parse("va h264 -\nx264 h264 x264enc\nx265 hevc x265enc\n\nrubbish\nva mp3 lame\n");
        assert_eq!(elements.len(), 3);
        assert_eq!(elements.get(&("va".to_owned(), "h264")), Some(&None));
        assert_eq!(elements.get(&("x264".to_owned(), "h264")), Some(&Some("x264enc".to_owned())));
    }
}
