//! Pure. Which pictures a server got: the box's own recording has each of them once, and the server's recordings are
//! compared with it, picture by picture, as they were encoded.

use std::collections::BTreeMap;
use std::fmt;

/// What the server has of what was sent, between the first and the last picture that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// In the box's recording.
    pub(super) sent: usize,
    /// Of those, in none of the server's.
    pub(super) missing: usize,
    /// Pictures that the server has once more than the box.
    pub(super) again: usize,
    /// Pictures that only the server has; none, unless the comparison itself is wrong.
    pub(super) foreign: usize,
}

/// The checksums in FFmpeg's `framemd5` list.
pub(super) fn checksums(list: &str) -> Vec<&str> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next().map(str::trim)).filter(|sum| !sum.is_empty()).collect()
}

/// Compares the pictures of the box with those of the server's sessions. Pictures that look the same are as many as there
/// are of them.
pub(super) fn count(ours: &[&str], theirs: &[&str]) -> Count {
    let mut got: BTreeMap<&str, usize> = BTreeMap::new();
    for sum in theirs {
        *got.entry(*sum).or_default() += 1;
    }
    let first = ours.iter().position(|sum| got.contains_key(sum));
    let last = ours.iter().rposition(|sum| got.contains_key(sum));
    let (Some(first), Some(last)) = (first, last) else { return Count { foreign: theirs.len(), ..Count::default() } };
    let mut sent: BTreeMap<&str, usize> = BTreeMap::new();
    for sum in &ours[first..=last] {
        *sent.entry(*sum).or_default() += 1;
    }
    let mut count = Count { sent: last - first + 1, ..Count::default() };
    for (sum, sent) in &sent {
        let got = got.remove(sum).unwrap_or_default();
        count.missing += sent.saturating_sub(got);
        count.again += got.saturating_sub(*sent);
    }
    count.foreign = got.values().sum();
    count
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sent == 0 || self.foreign > 0 {
            return write!(
                f,
                "cannot be compared: the server has {} pictures that the box has not recorded",
                self.foreign
            );
        }
        let are = |n: usize| if n == 1 { "1 is".to_owned() } else { format!("{n} are") };
        let missing = if self.missing == 0 { "none is".to_owned() } else { are(self.missing) };
        let again = if self.again == 0 { "none was".to_owned() } else { format!("{} were", self.again) };
        write!(
            f,
            "of {} in the box's recording {missing} missing in the server's; {again} sent to it a second time",
            self.sent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

    #[test]
    fn what_comes_before_and_after_is_nobodys_loss() {
        assert_eq!(count(&OURS, &["c", "d", "e", "f"]), Count { sent: 4, ..Count::default() });
    }

    #[test]
    fn what_is_missing_is_counted_and_what_was_sent_again_too() {
        // Two sessions: the second begins at a keyframe that the first one had already.
        let theirs = ["b", "c", "d", "c", "d", "f", "g"];
        let counted = count(&OURS, &theirs);
        assert_eq!(counted, Count { sent: 6, missing: 1, again: 2, foreign: 0 });
        let told = counted.to_string();
        assert!(told.contains("1 is missing") && told.contains("2 were sent to it a second time"), "{told}");
    }

    #[test]
    fn pictures_that_look_the_same_are_as_many_as_there_are() {
        let ours = ["a", "slate", "slate", "slate", "b"];
        assert_eq!(count(&ours, &["a", "slate", "slate", "b"]).missing, 1);
        assert_eq!(count(&ours, &ours), Count { sent: 5, ..Count::default() });
    }

    #[test]
    fn other_pictures_are_not_taken_for_a_perfect_transfer() {
        for theirs in [&["x", "y"][..], &["a", "x", "b"][..]] {
            let counted = count(&OURS, theirs);
            assert!(counted.foreign > 0 && counted.to_string().starts_with("cannot"), "{counted:?}");
        }
        assert!(count(&OURS, &[]).to_string().starts_with("cannot"));
    }

    #[test]
    fn a_list_of_ffmpegs_is_read() {
        let list = "#format: frame checksums\n#stream#, dts, pts, duration, size, hash\n\
                    0,          0,          0,        512,     9412, 7f3a\n0,        512,        512,        512,      310, 99b0\n";
        assert_eq!(checksums(list), ["7f3a", "99b0"]);
    }
}
