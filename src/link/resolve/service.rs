//! Pure. Which of the machines that offer a service is tried first (RFC 2782, SRV records).

/// One machine that offers a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Lower ones first; the next only where none of these can be reached.
    pub(super) priority: u16,
    /// Its share of those who come, among offers of the same priority.
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Its name.
    pub(super) target: String,
}

/// Most machines of one service that are tried.
pub(super) const MOST_OFFERS: usize = 4;

/// The order in which to try them. `pick` gives a number from 0 to its argument, both included, each as likely.
///
/// A single target `.` says that the service is decidedly not there: then there are none.
pub(super) fn in_order(mut offers: Vec<Offer>, mut pick: impl FnMut(u32) -> u32) -> Vec<Offer> {
    offers.retain(|offer| !offer.target.trim_end_matches('.').is_empty() && offer.port > 0);
    // Those of weight 0 first: "should be placed at the beginning of the list" (RFC 2782), where they are rarely met.
    offers.sort_by_key(|offer| (offer.priority, offer.weight != 0));
    let mut ordered = Vec::with_capacity(offers.len());
    while let Some(first) = offers.first() {
        let priority = first.priority;
        let peers = || offers.iter().take_while(|offer| offer.priority == priority);
        let total: u32 = peers().map(|offer| u32::from(offer.weight)).sum();
        let drawn = pick(total).min(total);
        let mut sum = 0;
        let found = peers().position(|offer| {
            sum += u32::from(offer.weight);
            sum >= drawn
        });
        ordered.push(offers.remove(found.unwrap_or(0)));
    }
    ordered.truncate(MOST_OFFERS);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(priority: u16, weight: u16, target: &str) -> Offer {
        Offer { priority, weight, port: 1935, target: target.to_owned() }
    }

    fn names(offers: &[Offer]) -> Vec<&str> {
        offers.iter().map(|offer| offer.target.as_str()).collect()
    }

    #[test]
    fn a_lower_number_is_tried_first_whatever_the_weights() {
        let offers = vec![offer(20, 100, "c"), offer(10, 1, "a"), offer(15, 0, "b")];
        assert_eq!(names(&in_order(offers, |total| total)), ["a", "b", "c"]);
    }

    #[test]
    fn each_gets_its_share() {
        let offers = vec![offer(10, 60, "a"), offer(10, 40, "b"), offer(10, 0, "c")];
        // Every number that can be drawn, once.
        let mut firsts = [0; 3];
        for drawn in 0..=100 {
            let ordered = in_order(offers.clone(), |total| if total == 100 { drawn } else { total });
            assert_eq!(ordered.len(), 3);
            let place = ["a", "b", "c"].iter().position(|name| *name == ordered[0].target);
            firsts[place.unwrap_or(0)] += 1;
        }
        assert_eq!(firsts, [60, 40, 1], "of 101 draws");
    }

    #[test]
    fn a_dot_says_that_there_is_none_and_there_is_an_end_to_them() {
        assert!(in_order(vec![offer(0, 0, ".")], |_| 0).is_empty());
        let many = (0..50).map(|n| offer(n, 0, "a")).collect();
        assert_eq!(in_order(many, |_| u32::MAX).len(), MOST_OFFERS);
    }
}
