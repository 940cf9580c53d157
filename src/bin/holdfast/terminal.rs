//! Where the words go: a terminal, or a file or pipe that wants no colours.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use holdfast::events::render::Style;
use holdfast::model::Wall;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Columns when nobody says how many there are.
const WIDTH: usize = 100;

/// How text is to look on standard output. `NO_COLOR` (any value) turns colours off: <https://no-color.org>.
pub(crate) fn style() -> Style {
    let colour = is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let width = if is_terminal() { terminal_size::terminal_size().map(|(width, _)| width.0) } else { None };
    Style { colour, width: width.map_or(WIDTH, usize::from) }
}

/// Lines that the terminal shows; without end if it does not say.
pub(crate) fn rows() -> usize {
    terminal_size::terminal_size().map_or(usize::MAX, |(_, height)| usize::from(height.0))
}

pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Writes to standard output. A reader that has seen enough (`holdfast events | head`) is no error: it ends this process.
pub(crate) fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// One line to standard output.
pub(crate) fn say(text: &str) {
    write(&format!("{text}\n"));
}

/// One line to standard error, whether or not anybody reads it.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "holdfast: {text}");
}

/// One JSON object on its line.
pub(crate) fn say_json(value: &impl serde::Serialize) -> Result<(), ExitCode> {
    match serde_json::to_string(value) {
        Ok(text) => {
            say(&text);
            Ok(())
        }
        Err(e) => {
            complain(&e.to_string());
            Err(ExitCode::FAILURE)
        }
    }
}

/// Time of day where the reader is, with the date when it is not today's. Both as the reader's machine has them.
pub(crate) fn time_of_day(at: Wall, today: Wall) -> String {
    let zone = TimeZone::system();
    let local = |wall: Wall| Timestamp::from_microsecond(wall.0).unwrap_or_default().to_zoned(zone.clone());
    let (at, today) = (local(at), local(today));
    let format = if at.date() == today.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.strftime(format).to_string()
}
