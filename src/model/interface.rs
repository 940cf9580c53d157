use std::fmt;
use std::sync::Arc;

/// A network interface as Linux names it: 1–15 bytes without `/`, spaces and control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName(Arc<str>);

impl InterfaceName {
    /// Longest name, in bytes: `IFNAMSIZ` less the terminating zero.
    pub const MAX: usize = 15;

    /// `None` if Linux can have no interface of this name (`dev_valid_name`).
    pub fn new(name: &str) -> Option<Self> {
        let legal = (1..=Self::MAX).contains(&name.len())
            && !matches!(name, "." | "..")
            && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':');
        legal.then(|| Self(Arc::from(name)))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
