//! Pure. What a capture device says that it can deliver, and that in lines that a person at a venue can read.
//!
//! A webcam announces some hundred combinations of format, size and rate, of which most are the same list again: formats
//! with equal sizes share an entry, sizes with equal rates a line, the largest first.

mod control;
mod proposal;

use std::fmt;

use serde::{Serialize, Serializer};

pub use control::{Control, Kind, Value, control_lines};
pub use proposal::{Lasting, Sound, block, name_for};

/// Without `--all`: entries of formats, names in one, lines of sizes in one, sizes in a line, and rates in a line.
const MOST_ENTRIES: usize = 6;
const MOST_NAMES: usize = 6;
const MOST_LINES: usize = 5;
const MOST_SIZES: usize = 6;
const MOST_RATES: usize = 6;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// What a person needs at first.
    Short,
    /// Everything.
    All,
}

impl Span {
    const fn most(self, most: usize) -> usize {
        match self {
            Self::Short => most,
            Self::All => usize::MAX,
        }
    }
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// As its driver names it: "Cam Link 4K".
    pub card: String,
    /// Its driver.
    pub driver: String,
    /// Where it sits, in its driver's words: `usb-0000:00:14.0-2`.
    pub bus: String,
    /// What it is set to at this moment.
    pub now: Option<Setting>,
    /// What it can be set to, in its driver's order.
    pub formats: Vec<Format>,
    /// What can be turned on it; `None` if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controls: Option<Vec<Control>>,
}

/// A format and a size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// As V4L2 spells it.
    pub format: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.format, self.width, self.height)
    }
}

/// A pixel format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Format {
    /// As V4L2 spells it: `NV12`.
    pub fourcc: String,
    /// In the kernel's words: "Motion-JPEG".
    pub title: String,
    /// Whether it has to be decoded.
    pub packing: Packing,
    /// The sizes; none where the device does not tell them.
    pub sizes: Vec<Size>,
}

/// Whether pictures have to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// Pixels.
    Raw,
    /// MJPEG, H.264 and the like.
    Compressed,
}

/// A size, or a range of them, and its rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// How large.
    #[serde(flatten)]
    pub extent: Extent,
    /// Pictures a second. Of a range, at its largest size.
    pub rates: Rates,
}

/// How large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Extent {
    /// This size.
    Exact {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// Anything between two sizes, in steps.
    Range {
        /// The smallest, across and down.
        from: [u32; 2],
        /// The largest.
        to: [u32; 2],
        /// Pixels between one and the next.
        step: [u32; 2],
    },
}

impl Extent {
    const fn area(self) -> u64 {
        let [width, height] = self.largest();
        width as u64 * height as u64
    }

    /// The largest there is of it, across and down.
    pub const fn largest(self) -> [u32; 2] {
        match self {
            Self::Exact { width, height } => [width, height],
            Self::Range { to, .. } => to,
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { width, height } => write!(f, "{width}x{height}"),
            Self::Range { from, to, step } => {
                write!(f, "{}x{} to {}x{}", from[0], from[1], to[0], to[1])?;
                if *step == [1, 1] { Ok(()) } else { write!(f, " in steps of {}x{}", step[0], step[1]) }
            }
        }
    }
}

/// Pictures a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Rates {
    /// These; none where the device does not tell.
    Each(Vec<Rate>),
    /// Anything between.
    Between {
        /// The lowest.
        from: Rate,
        /// The highest.
        to: Rate,
    },
}

impl Rates {
    /// ` at 60, 59.94, 50`, highest first.
    fn words(&self, span: Span) -> String {
        match self {
            Self::Each(rates) => {
                let mut sorted = rates.clone();
                sorted.sort_by_key(|rate| std::cmp::Reverse(rate.millihertz()));
                let mut told: Vec<String> = sorted.iter().map(Rate::to_string).collect();
                told.dedup();
                let most = span.most(MOST_RATES);
                match (told.len(), told.last().cloned()) {
                    (0, _) | (_, None) => String::new(),
                    (count, Some(lowest)) if count > most => {
                        told.truncate(most - 1);
                        format!(" at {} … {lowest}", told.join(", "))
                    }
                    _ => format!(" at {}", told.join(", ")),
                }
            }
            Self::Between { from, to } => format!(" at {from} to {to}"),
        }
    }
}

/// Pictures a second, as a fraction; never over zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pictures: u32,
    seconds: u32,
}

impl Rate {
    /// Of the time that one picture lasts, which is how V4L2 tells it; `None` if that is nothing or endless.
    pub const fn of_interval(numerator: u32, denominator: u32) -> Option<Self> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        Some(Self { pictures: denominator, seconds: numerator })
    }

    /// Pictures per 1000 s, rounded.
    pub fn millihertz(&self) -> u64 {
        (u64::from(self.pictures) * 1000 + u64::from(self.seconds) / 2) / u64::from(self.seconds)
    }
}

impl fmt::Display for Rate {
    /// `60`, `59.94`, `7.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.millihertz() + 5) / 10;
        match (hundredths / 100, hundredths % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.pictures.is_multiple_of(self.seconds), self.pictures / self.seconds) {
            (true, whole) => serializer.serialize_u32(whole),
            (false, _) => serializer.serialize_f64(self.millihertz() as f64 / 1000.0),
        }
    }
}

/// Formats with equal sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Their names.
    pub formats: String,
    /// Their sizes, a line for those with equal rates.
    pub sizes: Vec<String>,
}

/// `formats` in few lines.
pub fn entries(formats: &[Format], span: Span) -> Vec<Entry> {
    let mut groups: Vec<Vec<&Format>> = Vec::new();
    for format in formats {
        let like = |group: &&mut Vec<&Format>| {
            group.first().is_some_and(|first| (first.packing, &first.sizes) == (format.packing, &format.sizes))
        };
        match groups.iter_mut().find(like) {
            Some(group) => group.push(format),
            None => groups.push(vec![format]),
        }
    }
    let most = span.most(MOST_ENTRIES);
    let mut entries: Vec<Entry> = groups.iter().take(most).map(|group| entry(group, span)).collect();
    let rest: usize = groups.iter().skip(most).map(Vec::len).sum();
    if rest > 0 {
        entries.push(Entry { formats: more(rest, "format"), sizes: Vec::new() });
    }
    entries
}

fn entry(group: &[&Format], span: Span) -> Entry {
    let most = span.most(MOST_NAMES);
    let mut names: Vec<&str> = group.iter().map(|format| format.fourcc.as_str()).collect();
    names.dedup();
    let rest = names.len().saturating_sub(most);
    names.truncate(most);
    let mut formats = names.join(", ");
    if rest > 0 {
        formats = format!("{formats} {}", more(rest, "format"));
    }
    match group {
        [only] if !only.title.is_empty() => formats = format!("{formats} ({})", only.title),
        _ if group.iter().any(|format| format.packing == Packing::Compressed) => formats += " (compressed)",
        _ => {}
    }
    let sizes = group.first().map(|first| size_lines(&first.sizes, span)).unwrap_or_default();
    Entry { formats, sizes }
}

fn size_lines(sizes: &[Size], span: Span) -> Vec<String> {
    let mut sorted: Vec<&Size> = sizes.iter().collect();
    // Stable: sizes of one area stay in the driver's order.
    sorted.sort_by_key(|size| std::cmp::Reverse(size.extent.area()));
    let mut rows: Vec<(&Rates, Vec<Extent>)> = Vec::new();
    for size in sorted {
        match rows.iter_mut().find(|(rates, _)| **rates == size.rates) {
            Some((_, extents)) if extents.contains(&size.extent) => {}
            Some((_, extents)) => extents.push(size.extent),
            None => rows.push((&size.rates, vec![size.extent])),
        }
    }
    let most = span.most(MOST_LINES);
    let mut lines: Vec<String> = rows.iter().take(most).map(|(rates, extents)| row(rates, extents, span)).collect();
    let rest: usize = rows.iter().skip(most).map(|(_, extents)| extents.len()).sum();
    if rest > 0 {
        lines.push(more(rest, "size"));
    }
    lines
}

fn row(rates: &Rates, extents: &[Extent], span: Span) -> String {
    let most = span.most(MOST_SIZES);
    let told: Vec<String> = extents.iter().take(most).map(Extent::to_string).collect();
    let rest = extents.len().saturating_sub(most);
    let rest = if rest > 0 { format!(" {}", more(rest, "size")) } else { String::new() };
    format!("{}{rest}{}", told.join(", "), rates.words(span))
}

fn more(count: usize, what: &str) -> String {
    format!("and {count} more {what}{} (--all)", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(width: u32, height: u32, rates: &[(u32, u32)]) -> Size {
        Size { extent: Extent::Exact { width, height }, rates: each(rates) }
    }

    fn each(intervals: &[(u32, u32)]) -> Rates {
        Rates::Each(intervals.iter().filter_map(|(n, d)| Rate::of_interval(*n, *d)).collect())
    }

    fn format(fourcc: &str, packing: Packing, sizes: &[Size]) -> Format {
        Format { fourcc: fourcc.to_owned(), title: String::new(), packing, sizes: sizes.to_vec() }
    }

    fn told(formats: &[Format], span: Span) -> String {
        let entries = entries(formats, span);
        entries.iter().flat_map(|e| [&e.formats].into_iter().chain(&e.sizes)).cloned().collect::<Vec<_>>().join("\n")
    }

    const NTSC: (u32, u32) = (1001, 60_000);

    #[test]
    fn a_stick_is_told_largest_first_and_nothing_twice() {
        let raw =
            [exact(640, 480, &[(1, 60)]), exact(1920, 1080, &[(1, 30), NTSC, (1, 60)]), exact(720, 576, &[(1, 60)])];
        let packed = [exact(1920, 1080, &[(2, 15)])];
        let mut mjpeg = format("MJPG", Packing::Compressed, &packed);
        mjpeg.title = "Motion-JPEG".to_owned();
        let formats = [format("YUYV", Packing::Raw, &raw), mjpeg, format("NV12", Packing::Raw, &raw)];
        let wanted =
            "YUYV, NV12\n1920x1080 at 60, 59.94, 30\n720x576, 640x480 at 60\nMJPG (Motion-JPEG)\n1920x1080 at 7.5";
        assert_eq!(told(&formats, Span::Short), wanted);
        assert_eq!(told(&formats, Span::All), wanted);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so_and_is_whole_where_all_is_asked_for() {
        let sizes: Vec<Size> = (1..=9).map(|n| exact(160 * n, 90 * n, &[(1, 10 * n)])).collect();
        let rates: Vec<(u32, u32)> = (1..=12).map(|n| (1, 5 * n)).collect();
        let mut formats: Vec<Format> = (0..9).map(|n| format(&format!("FMT{n}"), Packing::Raw, &sizes)).collect();
        formats.extend((1..=8).map(|n| format(&format!("BA{n}"), Packing::Raw, &[exact(n, 2, &rates)])));
        let short = told(&formats, Span::Short);
        for line in [
            "FMT0, FMT1, FMT2, FMT3, FMT4, FMT5 and 3 more formats (--all)",
            "1440x810 at 90",
            "and 4 more sizes (--all)",
            "1x2 at 60, 55, 50, 45, 40 … 5",
            "and 3 more formats (--all)",
        ] {
            assert!(short.lines().any(|l| l == line), "lacks {line:?}:\n{short}");
        }
        let all = told(&formats, Span::All);
        assert!(!all.contains("--all") && !all.contains('…'), "{all}");
        assert!(
            all.contains("160x90 at 10") && all.contains("8x2 at 60, 55, 50, 45, 40, 35, 30, 25, 20, 15, 10, 5"),
            "{all}"
        );
    }

    #[test]
    fn ranges_and_devices_that_do_not_tell_are_told_as_such() {
        let between = Rates::Between { from: Rate { pictures: 1, seconds: 1 }, to: Rate { pictures: 60, seconds: 1 } };
        let range = |step| Extent::Range { from: [48, 32], to: [1920, 1200], step };
        let stepwise =
            [Size { extent: range([2, 2]), rates: between }, Size { extent: range([1, 1]), rates: each(&[]) }];
        let formats = [format("UYVY", Packing::Raw, &stepwise), format("NV16", Packing::Raw, &[])];
        assert_eq!(
            told(&formats, Span::Short),
            "UYVY\n48x32 to 1920x1200 in steps of 2x2 at 1 to 60\n48x32 to 1920x1200\nNV16"
        );
    }

    #[test]
    fn rates_are_numbers_for_programs_and_no_fraction_over_zero_comes_in() {
        assert_eq!((Rate::of_interval(0, 30), Rate::of_interval(1, 0)), (None, None));
        let size = exact(1280, 720, &[(1, 60), NTSC, (2, 15), (2, 60)]);
        let json = serde_json::to_string(&size).unwrap_or_default();
        assert_eq!(json, r#"{"width":1280,"height":720,"rates":[60,59.94,7.5,30]}"#);
        assert_eq!(Rate::of_interval(u32::MAX, 1).map(|rate| rate.millihertz()), Some(0));
        assert_eq!(Rate::of_interval(1, u32::MAX).map(|rate| rate.millihertz()), Some(4_294_967_295_000));
    }
}
