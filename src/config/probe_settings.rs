//! What the links of a box can be told to ask, as types in which every value is legal.

use crate::model::{PortalCheck, ProbeTarget};

/// How it is found out whether a link carries anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Who is asked over each link, all the time; all different, at most 8. None by default: whose servers a box talks to
    /// is its operator's choice. Two or more are wanted, in different places: one alone may be down itself.
    pub targets: Vec<ProbeTarget>,
    /// The page that each link is asked for every half minute, to find captive portals; `None` for no check. None by default,
    /// for the same reason.
    pub portal_check: Option<PortalCheck>,
}
