//! Policies on small networks: one thing at a time. Thousands of stories are told elsewhere.

mod backup;
mod flapping;
mod pair;
mod spread;
