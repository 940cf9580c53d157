//! Names with gaps: `*` is any text, `?` any one character.

use std::fmt;

/// A name with gaps. Never empty and never all gap, so that it says something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob(String);

impl Glob {
    /// Longest one, characters; a modalias has about 150.
    pub const MAX: usize = 200;

    /// `None` if it is empty, too long, has control characters or would fit anything.
    pub fn new(text: &str) -> Option<Self> {
        let legal = text.chars().count() <= Self::MAX && !text.chars().any(char::is_control);
        (legal && literal(text) > 0).then(|| Self(text.to_owned()))
    }

    /// How much of it is not gap, characters: of two that fit the same text, the one with more says more.
    pub fn literal(&self) -> usize {
        literal(&self.0)
    }

    /// Whether it fits the whole of `text`. Upper and lower case differ. Takes at most as many steps as both lengths
    /// multiplied.
    pub fn fits(&self, text: &str) -> bool {
        let (glob, text): (Vec<char>, Vec<char>) = (self.0.chars().collect(), text.chars().collect());
        let (mut at, mut seen) = (0, 0);
        // The last gap: where it stands, and how much of the text went before what it is thought to swallow.
        let mut gap: Option<(usize, usize)> = None;
        while let Some(character) = text.get(seen) {
            match glob.get(at) {
                Some('*') => {
                    gap = Some((at, seen));
                    at += 1;
                }
                Some(expected) if *expected == '?' || expected == character => {
                    at += 1;
                    seen += 1;
                }
                Some(_) | None => {
                    let Some((star, from)) = gap else { return false };
                    gap = Some((star, from + 1));
                    at = star + 1;
                    seen = from + 1;
                }
            }
        }
        glob.get(at..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
    }
}

fn literal(text: &str) -> usize {
    text.chars().filter(|c| !matches!(c, '*' | '?')).count()
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Glob;

    fn fits(glob: &str, text: &str) -> bool {
        Glob::new(glob).unwrap().fits(text)
    }

    #[test]
    fn gaps_are_filled_with_anything_and_the_rest_must_agree() {
        assert!(fits("unicam", "unicam") && !fits("unicam", "unicam2") && !fits("unicam", "Unicam"));
        assert!(fits("platform-fe80*.csi*", "platform-fe801000.csi-video-index0"));
        assert!(fits("*pci-0003:31:00.0", "platform-a40c00000.pcie-pci-0003:31:00.0"));
        assert!(!fits("*pci-0003:31:00.0", "platform-a40c00000.pcie-pci-0003:31:00.1"));
        assert!(fits("pci:v000010DEd*bc03*", "pci:v000010DEd00002684sv00001043sd000088E2bc03sc00i00"));
        assert!(!fits("pci:v000010DEd*bc03*", "pci:v000010DEd000022BAsv00001043sd000088E2bc04sc03i00"));
        assert!(fits("video?", "video7") && !fits("video?", "video") && !fits("video?", "video10"));
        assert!(fits("a*b*c", "a-b-b-c") && !fits("a*b*c", "a-c-b"));
    }

    #[test]
    fn one_that_fits_anything_is_none() {
        for empty in ["", "*", "**", "?*", "a\nb"] {
            assert_eq!(Glob::new(empty), None, "{empty:?}");
        }
        assert_eq!(Glob::new(&"x".repeat(201)), None);
        assert_eq!(Glob::new("a*?b").unwrap().literal(), 2);
    }

    #[test]
    fn an_enemy_of_matchers_is_soon_done_with() {
        let glob = Glob::new(&("a*".repeat(90) + "b")).unwrap();
        assert!(!glob.fits(&"a".repeat(4000)));
    }
}
