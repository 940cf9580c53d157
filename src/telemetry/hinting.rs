//! Pure. When a link's trouble is hinted at, and when the hint is taken back.

use std::time::{Duration, Instant};

use super::news::LinkHint;
use crate::link::health::{HINT_MOST, Hint};

/// Without trouble for so long: the hint is taken back, earlier than it would expire.
const CLEAR_AFTER: Duration = Duration::from_secs(3);

/// The hints about one link.
#[derive(Clone, Debug, Default)]
pub(super) struct Hinting {
    /// While one stands: since when there is no trouble any more.
    standing: Option<Option<Instant>>,
}

impl Hinting {
    /// Takes in the trouble of `link` at `now`. While it lasts, the hint is renewed with every reading; a source that falls
    /// silent renews nothing, so that its last hint expires.
    pub(super) fn see(&mut self, link: Option<&str>, trouble: Option<String>, now: Instant) -> Option<LinkHint> {
        let link = link?.to_owned();
        if let Some(because) = trouble {
            self.standing = Some(None);
            return Some(LinkHint { link, hint: Hint::Trouble { until: now + HINT_MOST }, because });
        }
        let since = *self.standing.as_mut()?.get_or_insert(now);
        if now.saturating_duration_since(since) < CLEAR_AFTER {
            return None;
        }
        self.standing = None;
        Some(LinkHint { link, hint: Hint::Clear, because: "it is over".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_renewed_while_the_trouble_lasts_and_taken_back_once() {
        let (mut hinting, start) = (Hinting::default(), crate::clock::now());
        let looks = "..xx.xx......x";
        let said: String = (0u64..)
            .zip(looks.chars())
            .map(|(s, look)| {
                let now = start + Duration::from_secs(s);
                match hinting.see(Some("wwan0"), (look == 'x').then(|| "why".to_owned()), now).map(|said| said.hint) {
                    None => '-',
                    Some(Hint::Clear) => 'c',
                    Some(Hint::Trouble { until }) => {
                        assert_eq!(until, now + HINT_MOST);
                        'T'
                    }
                }
            })
            .collect();
        assert_eq!(said, "--TT-TT---c--T");
    }

    #[test]
    fn a_trouble_of_no_link_in_particular_is_no_hint() {
        assert_eq!(Hinting::default().see(None, Some("why".to_owned()), crate::clock::now()), None);
    }
}
