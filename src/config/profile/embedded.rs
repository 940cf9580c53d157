//! The profiles that every binary carries, so that one that is copied to a bare machine has them.

/// The committed profiles: each file's name and its text, in the order of the names.
pub const EMBEDDED: [(&str, &str); 7] = [
    ("generic.toml", include_str!("../../../hw-profiles/generic.toml")),
    ("generic-x86-64.toml", include_str!("../../../hw-profiles/generic-x86-64.toml")),
    ("nvidia.toml", include_str!("../../../hw-profiles/nvidia.toml")),
    ("raspberry-pi-4.toml", include_str!("../../../hw-profiles/raspberry-pi-4.toml")),
    ("raspberry-pi-5.toml", include_str!("../../../hw-profiles/raspberry-pi-5.toml")),
    ("rk3588.toml", include_str!("../../../hw-profiles/rk3588.toml")),
    ("virtual.toml", include_str!("../../../hw-profiles/virtual.toml")),
];
