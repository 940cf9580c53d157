//! Lines of text that keep to a width, with or without colour.

use super::Style;

/// What a piece of text says by its colour. Never by its colour alone: the words say it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// On its way, or degraded.
    Busy,
    /// Needs somebody.
    Bad,
    /// Aside.
    Quiet,
    /// Headings and names.
    Strong,
    /// The rest.
    Plain,
}

impl Tone {
    const fn escape(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Busy => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
            Self::Quiet => "\x1b[2m",
            Self::Strong => "\x1b[1m",
            Self::Plain => "",
        }
    }
}

/// A page in the making.
#[derive(Debug)]
pub(super) struct Page {
    style: Style,
    text: String,
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        Self { style, text: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// One line; what does not fit is cut and marked with `…`.
    pub(super) fn line(&mut self, pieces: &[(Tone, &str)]) {
        let mut room = self.style.width;
        let length: usize = pieces.iter().map(|(_, text)| text.chars().count()).sum();
        let cut = length > room;
        room -= usize::from(cut);
        for (tone, text) in pieces {
            let piece: String = printable(text).take(room).collect();
            room -= piece.chars().count();
            self.paint(*tone, &piece);
        }
        if cut {
            self.text.push('…');
        }
        while self.text.ends_with(' ') {
            self.text.pop();
        }
        self.blank();
    }

    /// A heading, and after it what the columns mean.
    pub(super) fn heading(&mut self, title: &str, columns: &str) {
        self.blank();
        self.line(&[(Tone::Strong, title), (Tone::Quiet, columns)]);
    }

    /// Running text after `first`, broken between words, each further line indented as far as the first one's text began.
    pub(super) fn paragraph(&mut self, first: &[(Tone, &str)], tone: Tone, text: &str) {
        let indent: usize = first.iter().map(|(_, text)| text.chars().count()).sum();
        let width = self.style.width.saturating_sub(indent).max(20);
        let padding = " ".repeat(indent);
        let words: String = printable(text).collect();
        for (i, line) in wrapped(&words, width).iter().enumerate() {
            let mut pieces = if i == 0 { first.to_vec() } else { vec![(Tone::Plain, padding.as_str())] };
            pieces.push((tone, line));
            self.line(&pieces);
        }
    }

    fn paint(&mut self, tone: Tone, text: &str) {
        let escape = tone.escape();
        if self.style.colour && !escape.is_empty() && !text.trim().is_empty() {
            self.text.push_str(escape);
            self.text.push_str(text);
            self.text.push_str("\x1b[0m");
        } else {
            self.text.push_str(text);
        }
    }
}

/// Far ends and files have a say in some texts; none of them gets to command the terminal.
fn printable(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| if c.is_control() { ' ' } else { c })
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut room = width;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        let last = lines.len() - 1;
        if lines[last].is_empty() {
            lines[last].push_str(word);
            room = width.saturating_sub(length);
        } else if length < room {
            lines[last].push(' ');
            lines[last].push_str(word);
            room -= length + 1;
        } else {
            lines.push(word.to_owned());
            room = width.saturating_sub(length);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrow() -> Page {
        Page::new(Style { colour: false, width: 30 })
    }

    #[test]
    fn long_lines_are_cut_and_long_text_is_broken_between_words() {
        let mut page = narrow();
        page.line(&[(Tone::Plain, "a line of text that is longer"), (Tone::Good, " than the page")]);
        page.paragraph(&[(Tone::Plain, "  name  ")], Tone::Bad, "the server refuses the stream key; check it");
        assert_eq!(
            page.finish(),
            "a line of text that is longer…\n  name  the server refuses the\n        stream key; check it\n"
        );
    }

    #[test]
    fn a_server_cannot_command_the_terminal() {
        let mut page = narrow();
        page.paragraph(&[], Tone::Bad, "bad\x1b[2Jname\r\n\u{9b}31mred");
        assert_eq!(page.finish(), "bad [2Jname 31mred\n");
    }
}
