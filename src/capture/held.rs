//! Whether this process still has a device open.
//!
//! A driver gives the name of a device that was pulled out to the next one only when nobody has the old one open any more.
//! GStreamer's `v4l2src` does not always let go: where its buffers could not be given back, since the device was gone, its pool
//! stays, with a descriptor of its own. Only the end of the process frees that.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What `readlink` of a descriptor's entry has behind a name that is not there any more (proc(5)).
const DELETED: &str = " (deleted)";

/// The node of a device, as long as it is there; `/dev/v4l/by-path/…` is a link to it.
pub(super) fn node(device: &Path) -> Option<PathBuf> {
    fs::canonicalize(device).ok()
}

/// Whether this process has a descriptor of what was at `node` and is not there any more. A device that is there now, be it under
/// the same name, does not count.
pub(super) fn holds_gone(node: &Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let mut links = open.filter_map(|entry| Some((fs::read_link(entry.path()).ok()?, entry.path())));
    links.any(|(target, entry)| {
        let target = target.to_string_lossy();
        match target.strip_suffix(DELETED) {
            Some(name) => Path::new(name) == node,
            // The same name again, and another device behind it.
            None => Path::new(&*target) == node && is_another(&entry, node),
        }
    })
}

fn is_another(entry: &Path, node: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino(), found.rdev())).ok();
    identity(entry) != identity(node)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_open_and_gone_is_held_and_what_is_there_or_closed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("by-path");
        fs::write(dir.path().join("video0"), "").unwrap();
        std::os::unix::fs::symlink(dir.path().join("video0"), &link).unwrap();
        let node = node(&link).unwrap();
        let open = fs::File::open(&node).unwrap();
        assert!(!holds_gone(&node), "it is there");
        fs::remove_file(&node).unwrap();
        assert!(holds_gone(&node), "it is gone and held");
        assert_eq!(super::node(&link), None);
        fs::write(&node, "another").unwrap();
        assert!(holds_gone(&node), "another has its name");
        drop(open);
        assert!(!holds_gone(&node));
    }
}
