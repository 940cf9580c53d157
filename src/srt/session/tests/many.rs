//! Several paths.
