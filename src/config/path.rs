//! File names in the configuration. Relative ones start at the configuration's directory.

use std::path::{Path, PathBuf};

use super::report::{Complaint, quote};

/// `written`, made absolute with `base`.
pub(super) fn read(written: &str, base: &Path) -> Result<PathBuf, Complaint> {
    if written.is_empty() {
        return Err(Complaint::new("is empty", "write the path of a file or leave the line out"));
    }
    if written.contains('\0') {
        return Err(Complaint::new("contains a zero byte", "remove it"));
    }
    if written.starts_with('~') {
        let problem = format!("is {}, and a service has no home directory", quote(written));
        return Err(Complaint::new(problem, "write the whole path, beginning with /"));
    }
    Ok(base.join(written))
}

/// A path that has to be whole already, such as a device's.
pub(super) fn read_absolute(written: &str, example: &str) -> Result<PathBuf, Complaint> {
    if written.starts_with('/') {
        return read(written, Path::new("/"));
    }
    Err(Complaint::new(format!("is {}, not a whole path", quote(written)), format!("write it as {example}")))
}
