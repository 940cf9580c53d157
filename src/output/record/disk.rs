//! The calls into the file system that can fail or take long, and what their errors mean.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::path::Path;

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;

use super::policy::Cause;

/// A disk; tests have slow and broken ones.
pub(super) trait Disk: Send + Sync {
    /// Writes `parts` at the file's position.
    fn append(&self, mut file: &File, parts: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match file.write_vectored(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut rest, n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns when the file's data is on the disk.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Bytes that may still be written in `directory`.
    fn free(&self, directory: &Path) -> io::Result<u64> {
        let stat = statvfs(directory)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
}

/// The real one.
#[derive(Debug)]
pub(super) struct LocalDisk;

impl Disk for LocalDisk {}

impl From<&io::Error> for Cause {
    fn from(error: &io::Error) -> Self {
        if error.raw_os_error() == Some(Errno::EIO as i32) {
            return Self::Failing;
        }
        // Anything else stays in the system's own words.
        #[allow(clippy::wildcard_enum_match_arm)]
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::Missing,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Other(error.to_string()),
        }
    }
}
