//! What is wrong with a file: every mistake with its place and its remedy, gathered while the rest is still read.

use std::fmt;

/// Mistakes listed per file; the rest are counted.
const MOST_LISTED: usize = 100;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named to the parser.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong and what to do about it, in one line without secrets.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Every mistake of a configuration, in the order of the lines; the main file's first, then the secrets file's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// At least one.
    pub errors: Vec<ConfigError>,
    /// How many more there are.
    pub unlisted: usize,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{error}")?;
        }
        match self.unlisted {
            0 => Ok(()),
            n => write!(f, "\nand {n} more; mend these first"),
        }
    }
}

impl ConfigErrors {
    /// For a refusal that nobody explained; a defect of the reader, but none to stop a show for.
    pub(super) fn unexplained(file: &str) -> Self {
        let message =
            "cannot be used, and why was not found out; this is a defect in Holdfast, please report it".to_owned();
        Self { errors: vec![ConfigError { file: file.to_owned(), line: 1, column: 1, message }], unlisted: 0 }
    }
}

/// What is wrong with one value, before it is known where the value stands. Reads as a sentence:
/// "*bitrate* `problem`; `remedy`".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Begins with a verb: `is "4X", not a bit rate`.
    pub(super) problem: String,
    /// Begins with an imperative: `write a number and k or M`.
    pub(super) remedy: String,
}

impl Complaint {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// This was reported already; nothing more to say. Lets `?` leave the building of one value while the others go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported;

/// One mistake on its way into a [`Report`].
#[derive(Debug)]
pub(super) struct Problem {
    /// Byte offset into the text.
    pub(super) at: usize,
    /// Something is absent, this key if it is one. Not told when the text has syntax errors: the parser may have
    /// skipped what is there.
    pub(super) absence: Option<Absent>,
    /// The message without its place.
    pub(super) message: String,
}

/// What is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// This key of a section. Not told when the section has an unknown key that is probably meant to be it.
    Key(&'static str),
    /// As [`Self::Key`], where any of these would do.
    AnyOf(&'static [&'static str]),
    /// Something that another line or the other file should have.
    Other,
}

impl Absent {
    /// Whether a section that has `key` lacks nothing.
    pub(super) fn would_be(self, key: &str) -> bool {
        match self {
            Self::Key(absent) => absent == key,
            Self::AnyOf(absent) => absent.contains(&key),
            Self::Other => false,
        }
    }
}

/// The mistakes of one file.
#[derive(Debug)]
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    syntax: Vec<Problem>,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, syntax: Vec::new(), problems: Vec::new() }
    }

    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// A mistake in the notation itself.
    pub(super) fn syntax(&mut self, at: usize, message: String) {
        self.syntax.push(Problem { at, absence: None, message });
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether the text could be read at all, whatever it says.
    pub(super) fn is_well_formed(&self) -> bool {
        self.syntax.is_empty()
    }

    /// The mistakes in the order of the lines: one syntax error a line, and nothing else on such a line, since it
    /// would follow from it.
    fn into_errors(self) -> Vec<ConfigError> {
        let lines = Lines::of(self.text);
        let broken = !self.syntax.is_empty();
        let mut syntax = self.syntax;
        syntax.sort_by_key(|p| p.at);
        syntax.dedup_by_key(|p| lines.place(p.at).0);
        let bad_lines: Vec<usize> = syntax.iter().map(|p| lines.place(p.at).0).collect();
        let rest = self
            .problems
            .into_iter()
            .filter(|p| !(broken && p.absence.is_some()) && bad_lines.binary_search(&lines.place(p.at).0).is_err());
        let mut all: Vec<Problem> = syntax.into_iter().chain(rest).collect();
        all.sort_by_key(|p| p.at);
        let error = |p: Problem| {
            let (line, column) = lines.place(p.at);
            ConfigError { file: self.file.to_owned(), line, column, message: p.message }
        };
        all.into_iter().map(error).collect()
    }
}

/// All mistakes of all files, or nothing to complain about.
pub(super) fn verdict<'a>(reports: impl IntoIterator<Item = Report<'a>>) -> Result<(), ConfigErrors> {
    let mut verdict = ConfigErrors { errors: Vec::new(), unlisted: 0 };
    for report in reports {
        let mut errors = report.into_errors();
        verdict.unlisted += errors.len().saturating_sub(MOST_LISTED);
        errors.truncate(MOST_LISTED);
        verdict.errors.append(&mut errors);
    }
    if verdict.errors.is_empty() { Ok(()) } else { Err(verdict) }
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Self { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    /// Line and column of a byte offset, both from 1; an offset beyond the end is taken as the end.
    fn place(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or("");
        (line, before.chars().count() + 1)
    }
}

/// What an operator wrote, safe to print: quoted, escaped and at most 40 characters. Never for secrets.
pub(super) fn quote(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    let short: String = text.chars().take(MOST).collect();
    format!("{short:?}…")
}

/// The candidate that `text` is probably meant to be.
pub(super) fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if text.len() > 64 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let allowed = if lower.chars().count() <= 3 { 1 } else { 2 };
    let part = |c: &str| (c.contains(&lower) && lower.len() >= 3) || (lower.contains(c) && c.len() >= 3);
    candidates
        .into_iter()
        .map(|c| (if part(c) { 0 } else { strsim::damerau_levenshtein(&lower, c) }, c))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let lines = Lines::of("ab\nçd\n");
        assert_eq!(lines.place(0), (1, 1));
        assert_eq!(lines.place(2), (1, 3), "the newline belongs to the line it ends");
        assert_eq!(lines.place(5), (2, 2), "ç is one character of two bytes");
        assert_eq!(lines.place(99), (3, 1), "beyond the end is the end");
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        let keys = ["bitrate", "size", "codec"];
        assert_eq!(nearest("bitrat", keys), Some("bitrate"));
        assert_eq!(nearest("Bit_rate", keys), Some("bitrate"));
        assert_eq!(nearest("siez", keys), Some("size"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest(&"x".repeat(100_000), keys), None);
    }

    #[test]
    fn quoting_tames_control_characters_and_length() {
        assert_eq!(quote("a\u{1b}[2J"), "\"a\\u{1b}[2J\"");
        assert_eq!(quote(&"a".repeat(50)), format!("\"{}\"…", "a".repeat(40)));
    }

    #[test]
    fn what_follows_from_a_syntax_error_is_not_told() {
        let mut report = Report::new("f", "one\ntwo\nthree\n");
        report.syntax(5, "broken".to_owned());
        report.syntax(6, "broken again".to_owned());
        report.add(Problem { at: 4, absence: None, message: "same line".to_owned() });
        report.add(Problem { at: 0, absence: Some(Absent::Other), message: "missing".to_owned() });
        report.add(Problem { at: 8, absence: None, message: "elsewhere".to_owned() });
        let told: Vec<_> = verdict([report]).unwrap_err().errors.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["f:2:2: broken", "f:3:1: elsewhere"]);
    }
}
