//! Names that operators give to inputs, renditions and outputs.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A short label, safe in file names, URLs, logs and D-Bus unit names: 1–32 characters from `a-z 0-9 - _`,
/// starting with a letter or a digit. Cloning is a reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a string is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The empty string.
    #[error("is empty; give it 1 to 32 characters from a-z, 0-9, - and _")]
    Empty,
    /// More than 32 characters.
    #[error("is {0} characters long; at most 32 are allowed")]
    TooLong(usize),
    /// A character outside `a-z 0-9 - _`, or a leading `-` or `_`.
    #[error("contains {0:?}; only a-z, 0-9, - and _ are allowed, and the first must be a letter or a digit")]
    Character(char),
}

impl Name {
    /// Longest name, in characters.
    pub const MAX: usize = 32;

    /// Parses `text`.
    ///
    /// # Errors
    /// [`NameError`] says which rule `text` breaks.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let length = text.chars().count();
        if length > Self::MAX {
            return Err(NameError::TooLong(length));
        }
        for (i, c) in text.chars().enumerate() {
            let plain = c.is_ascii_lowercase() || c.is_ascii_digit();
            if !plain && (i == 0 || (c != '-' && c != '_')) {
                return Err(NameError::Character(c));
            }
        }
        Ok(Self(Arc::from(text)))
    }

    /// The label itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Name);

        impl $name {
            /// Parses a label into an id.
            ///
            /// # Errors
            /// As [`Name::new`].
            pub fn new(text: &str) -> Result<Self, NameError> {
                Name::new(text).map(Self)
            }

            /// The label itself.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A source of picture and sound: one capture, file, pattern or network feed.
    InputId
);
id!(
    /// One encoded stream of the programme: a video encode (`main`, `small-hevc`) or an audio encode (`aac-128k`).
    /// Each is encoded exactly once, however many outputs use it.
    RenditionId
);
id!(
    /// A destination or a recording.
    OutputId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_safe_alphabet() {
        assert!(Name::new("cam-1_a").is_ok());
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new("-a"), Err(NameError::Character('-')));
        assert_eq!(Name::new("Main"), Err(NameError::Character('M')));
        assert_eq!(Name::new("a/b"), Err(NameError::Character('/')));
        assert_eq!(Name::new(&"a".repeat(33)), Err(NameError::TooLong(33)));
    }
}
