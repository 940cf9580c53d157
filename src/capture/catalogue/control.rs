//! What can be turned on a device: brightness, exposure, a receiver's range of colours.

use serde::Serialize;

use super::Span;

/// Without `--all`: items of a menu that are listed.
const MOST_ITEMS: usize = 8;

/// One thing that can be turned, or read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// In the driver's words.
    pub name: String,
    /// What it takes.
    #[serde(flatten)]
    pub kind: Kind,
    /// What it is set to.
    pub value: Value,
    /// What is to be known before one turns it: "read only", "without effect at this moment".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<&'static str>,
}

/// What a control takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// A number in a range.
    Number {
        /// The least.
        from: i64,
        /// The most.
        to: i64,
        /// Between one and the next.
        step: u64,
        /// What the driver begins with.
        usual: i64,
    },
    /// On or off.
    Switch {
        /// What the driver begins with.
        usual: i64,
    },
    /// One of some.
    Choice {
        /// Number and words of each.
        items: Vec<(u32, String)>,
        /// What the driver begins with.
        usual: i64,
    },
    /// Bits, each with a meaning of its own.
    Bits {
        /// Those that may be set.
        of: i64,
    },
    /// Words.
    Text {
        /// Bytes at most.
        longest: i64,
    },
    /// Does something when it is pressed.
    Button,
    /// Many numbers, such as a table of colours.
    Table,
}

/// What a control is set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// This number; of a choice, which; of a switch, 0 is off.
    Number(i64),
    /// These words.
    Text(String),
    /// There is none, or none that is told.
    Untold,
}

/// Each of `controls` as name, value, and what it takes.
pub fn control_lines(controls: &[Control], span: Span) -> Vec<[String; 3]> {
    controls.iter().map(|control| [control.name.clone(), value(control), takes(control, span)]).collect()
}

fn value(control: &Control) -> String {
    match (&control.value, &control.kind) {
        (Value::Untold, _) => "-".to_owned(),
        (Value::Text(text), _) => format!("{text:?}"),
        (Value::Number(0), Kind::Switch { .. }) => "off".to_owned(),
        (Value::Number(_), Kind::Switch { .. }) => "on".to_owned(),
        (Value::Number(bits), Kind::Bits { .. }) => format!("{bits:#x}"),
        (Value::Number(number), _) => number.to_string(),
    }
}

fn takes(control: &Control, span: Span) -> String {
    let takes = match &control.kind {
        Kind::Number { from, to, step, usual } => {
            let step = if *step > 1 { format!(" in steps of {step}") } else { String::new() };
            format!("{from} to {to}{step}, usually {usual}")
        }
        Kind::Switch { usual } => format!("on or off, usually {}", if *usual == 0 { "off" } else { "on" }),
        Kind::Choice { items, usual } => choice(items, *usual, span),
        Kind::Bits { of } => format!("bits of {of:#x}"),
        Kind::Text { longest } => format!("up to {longest} bytes of text"),
        Kind::Button => "a button".to_owned(),
        Kind::Table => "a table of numbers, not shown".to_owned(),
    };
    [takes.as_str()].into_iter().chain(control.remarks.iter().copied()).collect::<Vec<_>>().join("; ")
}

fn choice(items: &[(u32, String)], usual: i64, span: Span) -> String {
    let most = span.most(MOST_ITEMS);
    let mut told: Vec<String> = items.iter().take(most).map(|(number, words)| format!("{number} {words}")).collect();
    let rest = items.len().saturating_sub(most);
    if rest > 0 {
        told.push(super::more(rest, "choice"));
    }
    format!("{}; usually {usual}", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: Kind, value: Value, remarks: &[&'static str], span: Span) -> String {
        let control = Control { name: "It".to_owned(), kind, value, remarks: remarks.to_vec() };
        control_lines(&[control], span).concat().join(" | ")
    }

    #[test]
    fn each_kind_says_what_it_is_set_to_and_what_it_takes() {
        let number = |step| Kind::Number { from: -10, to: 10, step, usual: 0 };
        assert_eq!(line(number(1), Value::Number(3), &[], Span::Short), "It | 3 | -10 to 10, usually 0");
        assert_eq!(
            line(number(5), Value::Number(5), &["read only"], Span::Short),
            "It | 5 | -10 to 10 in steps of 5, usually 0; read only"
        );
        let switch = Kind::Switch { usual: 1 };
        assert_eq!(line(switch.clone(), Value::Number(0), &[], Span::Short), "It | off | on or off, usually on");
        assert_eq!(line(switch, Value::Number(1), &[], Span::Short), "It | on | on or off, usually on");
        assert_eq!(line(Kind::Bits { of: 0xff }, Value::Number(16), &[], Span::Short), "It | 0x10 | bits of 0xff");
        let text = line(Kind::Text { longest: 8 }, Value::Text("a\nb".to_owned()), &[], Span::Short);
        assert_eq!(text, "It | \"a\\nb\" | up to 8 bytes of text");
        assert_eq!(line(Kind::Button, Value::Untold, &[], Span::Short), "It | - | a button");
    }

    #[test]
    fn a_long_menu_is_cut_unless_all_is_asked_for() {
        let items: Vec<(u32, String)> = (0..10).map(|n| (n, format!("mode{n}"))).collect();
        let choice = Kind::Choice { items, usual: 4 };
        let short = line(choice.clone(), Value::Number(9), &[], Span::Short);
        assert!(short.ends_with("6 mode6, 7 mode7, and 2 more choices (--all); usually 4"), "{short}");
        let all = line(choice, Value::Number(9), &[], Span::All);
        assert!(all.starts_with("It | 9 | 0 mode0,") && all.ends_with("9 mode9; usually 4"), "{all}");
    }
}
