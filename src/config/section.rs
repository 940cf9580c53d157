//! One table of the file while it is being read: remembers which keys were asked for, so that the rest can be refused.

use toml::de::{DeTable, DeValue};

use super::report::{Absent, Complaint, Problem, Report, Reported, nearest, quote};

/// A table, where it stands, and what is wrong with it so far.
#[derive(Debug)]
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// Byte offset of its header.
    at: usize,
    /// What messages call it: `rendition "main"`.
    place: String,
    /// The keys it may have.
    known: Vec<&'static str>,
    /// Keys that were refused with a message of their own.
    refused: Vec<&'static str>,
    problems: Vec<Problem>,
    /// Nothing of what stands here may be repeated in a message.
    secret: bool,
}

impl<'a> Section<'a> {
    pub(super) fn new(table: &'a DeTable<'a>, at: usize, place: impl Into<String>) -> Self {
        Self {
            table,
            at,
            place: place.into(),
            known: Vec::new(),
            refused: Vec::new(),
            problems: Vec::new(),
            secret: false,
        }
    }

    /// The same, in a file none of which may be repeated in a message.
    #[must_use]
    pub(super) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Names the section in messages from here on.
    pub(super) fn call(&mut self, place: String) {
        self.place = place;
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Byte offset of its header.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of `key`, if it is there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Complaint>,
    ) -> Result<Option<T>, Reported> {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match read(value.get_ref()) {
            Ok(read) => Ok(Some(read)),
            Err(complaint) => Err(self.complain(key, &complaint)),
        }
    }

    /// The value of `key`, or `otherwise`.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        otherwise: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Complaint>,
    ) -> Result<T, Reported> {
        Ok(self.optional(key, read)?.unwrap_or(otherwise))
    }

    /// The value of `key`, which must be there; `example` shows what to write.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Complaint>,
    ) -> Result<T, Reported> {
        match self.optional(key, read)? {
            Some(value) => Ok(value),
            None => {
                Err(self.lacks(Absent::Key(key), &Complaint::new(format!("has no {key}"), format!("add {example}"))))
            }
        }
    }

    /// Says what is wrong with the value of `key`.
    pub(super) fn complain(&mut self, key: &str, complaint: &Complaint) -> Reported {
        let at = self.table.get(key).map_or(self.at, |value| value.span().start);
        let message = format!("{}: {key} {}; {}", self.place, complaint.problem, complaint.remedy);
        self.problems.push(Problem { at, absence: None, message });
        Reported
    }

    /// Says what the section as a whole lacks.
    pub(super) fn lacks(&mut self, what: Absent, complaint: &Complaint) -> Reported {
        let message = format!("{} {}; {}", self.place, complaint.problem, complaint.remedy);
        self.problems.push(Problem { at: self.at, absence: Some(what), message });
        Reported
    }

    /// Refuses `keys` with a message that says more than "unknown".
    pub(super) fn refuse(&mut self, keys: &[&'static str], complaint: &Complaint) {
        for key in keys {
            self.refused.push(key);
            if let Some((name, _)) = self.table.get_key_value(*key) {
                let message = format!("{}: {key} {}; {}", self.place, complaint.problem, complaint.remedy);
                self.problems.push(Problem { at: name.span().start, absence: None, message });
            }
        }
    }

    /// Accepts `keys` unread, because what they would mean could not be found out.
    pub(super) fn pass_over(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// The table under `key`, written `[key]` or inline; `remedy` is for anything else.
    pub(super) fn table(&mut self, key: &'static str, remedy: &str) -> Result<Option<Section<'a>>, Reported> {
        self.known.push(key);
        let Some((name, value)) = self.table.get_key_value(key) else { return Ok(None) };
        let Some(table) = value.get_ref().as_table() else {
            let problem = if value.get_ref().is_array() { "is a list" } else { "is not a table" };
            return Err(self.complain_shape(key, value.span().start, problem, remedy));
        };
        let section = Section::new(table, header(name.span().start, value.span().start), format!("[{key}]"));
        Ok(Some(Section { secret: self.secret, ..section }))
    }

    /// The tables under `key`, written `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Section<'a>> {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let remedy = format!("write [[{key}]] with two brackets, one for each {key}");
        let DeValue::Array(array) = value.get_ref() else {
            let problem = if value.get_ref().is_table() { "is a single table" } else { "is not a list of tables" };
            let _reported = self.complain_shape(key, value.span().start, problem, &remedy);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in array.iter() {
            if let DeValue::Table(table) = item.get_ref() {
                sections.push(Section::new(table, item.span().start, format!("[[{key}]]")));
            } else {
                let _reported = self.complain_shape(key, item.span().start, "is not a list of tables", &remedy);
            }
        }
        sections
    }

    /// The tables in the list under `key`, none if it is absent; `remedy` is for anything else.
    pub(super) fn list(&mut self, key: &'static str, remedy: &str) -> Result<Vec<Section<'a>>, Reported> {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let DeValue::Array(array) = value.get_ref() else {
            return Err(self.complain(key, &Complaint::new(format!("is {}", type_in_words(value.get_ref())), remedy)));
        };
        let mut sections = Vec::new();
        for item in array.iter() {
            let DeValue::Table(table) = item.get_ref() else {
                let problem = format!("has {} in it", type_in_words(item.get_ref()));
                return Err(self.complain(key, &Complaint::new(problem, remedy)));
            };
            sections.push(Section { secret: self.secret, ..Section::new(table, item.span().start, "") });
        }
        Ok(sections)
    }

    /// Takes over what was found in a section inside this one, unknown keys included.
    pub(super) fn absorb(&mut self, mut inner: Section<'_>) {
        inner.look_for_unknown();
        self.problems.append(&mut inner.problems);
    }

    /// Every key that holds a table, as sections called by `place`; anything else is refused with `remedy`.
    pub(super) fn each_table(&mut self, place: &str, remedy: &str) -> Vec<(&'a str, Section<'a>)> {
        let mut sections = Vec::new();
        for (name, value) in self.table.iter() {
            if let DeValue::Table(table) = value.get_ref() {
                let at = header(name.span().start, value.span().start);
                let section = Section { secret: self.secret, ..Section::new(table, at, place) };
                sections.push((name.get_ref().as_ref(), section));
            } else {
                let message = format!("{}: this is not a table; {remedy}", self.place);
                self.problems.push(Problem { at: name.span().start, absence: None, message });
            }
        }
        sections
    }

    fn complain_shape(&mut self, key: &str, at: usize, problem: &str, remedy: &str) -> Reported {
        self.problems.push(Problem { at, absence: None, message: format!("{key} {problem}; {remedy}") });
        Reported
    }

    /// Hands over what was found, unknown keys included.
    pub(super) fn finish(mut self, report: &mut Report<'_>) {
        self.look_for_unknown();
        self.hand_over(report);
    }

    fn look_for_unknown(&mut self) {
        for (name, _) in self.table.iter() {
            let key: &str = name.get_ref();
            if self.known.contains(&key) || self.refused.contains(&key) {
                continue;
            }
            let near = nearest(key, self.known.iter().copied());
            let remedy = match near {
                Some(near) => format!("did you mean {near}?"),
                None if self.known.is_empty() => "remove it".to_owned(),
                None => format!("remove it, or choose from {}", self.known.join(", ")),
            };
            self.problems.retain(|p| !p.absence.zip(near).is_some_and(|(absent, near)| absent.would_be(near)));
            let shown = if self.secret { String::new() } else { format!(" {}", quote(key)) };
            let message = format!("{}: unknown key{shown}; {remedy}", self.place);
            self.problems.push(Problem { at: name.span().start, absence: None, message });
        }
    }

    /// Whether anything in it was found wrong so far.
    pub(super) fn is_wrong(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Hands over what was found, without looking for unknown keys.
    pub(super) fn hand_over(self, report: &mut Report<'_>) {
        for problem in self.problems {
            report.add(problem);
        }
    }
}

/// Where a table begins: at its header's bracket, or at its key when it is written inline.
fn header(key: usize, value: usize) -> usize {
    key.min(value)
}

/// Text in quotes.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Complaint> {
    text_like(value, "put the value in double quotes")
}

/// Text in quotes; `remedy` is for anything else.
pub(super) fn text_like<'v>(value: &'v DeValue<'_>, remedy: &str) -> Result<&'v str, Complaint> {
    value.as_str().ok_or_else(|| Complaint::new(format!("is {}, not text", type_in_words(value)), remedy))
}

/// What kind of value this is.
pub(super) fn type_in_words(value: &DeValue<'_>) -> &'static str {
    match value.type_str() {
        "string" => "text",
        "integer" | "float" => "a number",
        "boolean" => "true or false",
        "datetime" => "a date or time",
        "array" => "a list",
        _ => "a table",
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Complaint> {
    value.as_bool().ok_or_else(|| Complaint::new("is neither true nor false", "write true or false, without quotes"))
}

/// One of `options`; `aliases` are other names people use, with the option that each means.
pub(super) fn choice<T: Clone>(
    value: &DeValue<'_>,
    options: &[(&'static str, T)],
    aliases: &[(&str, &'static str)],
) -> Result<T, Complaint> {
    let written = text(value)?;
    if let Some((_, option)) = options.iter().find(|(name, _)| *name == written) {
        return Ok(option.clone());
    }
    let lower = written.to_ascii_lowercase();
    let alias = aliases.iter().find(|(alias, _)| *alias == lower).map(|(_, option)| *option);
    let names = || options.iter().map(|(name, _)| *name);
    let remedy = match alias.or_else(|| nearest(written, names())) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("choose from {}", names().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")),
    };
    Err(Complaint::new(format!("is {}, which is not known here", quote(written)), remedy))
}
