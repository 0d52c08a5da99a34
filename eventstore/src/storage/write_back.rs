//! Handing pages to the disk piece by piece: `sync_file_range`, which neither `std` nor `rustix` has.
//!
//! A sync of many megabytes stands before everybody else's in the disk's queue; pieces that are waited for one by one leave room
//! between them.
#![expect(unsafe_code, reason = "a call of the operating system")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Writes a part of a file to the disk and waits for it. It flushes nothing and commits no metadata, so it is no sync.
#[cfg(target_os = "linux")]
pub(super) fn write_back(file: &File, offset: u64, len: u64) -> io::Result<()> {
    const ALL: u32 =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    let wrong = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (offset, len) = (i64::try_from(offset).map_err(wrong)?, i64::try_from(len).map_err(wrong)?);
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the call is given no memory of ours.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, ALL) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // A file system, or a sandbox, that does not have it: the sync does it all.
            error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL | libc::EPERM)) => {
                Ok(())
            }
            error => Err(error),
        },
    }
}

/// Elsewhere there is no such thing, and the sync does it all.
#[cfg(not(target_os = "linux"))]
pub(super) fn write_back(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}
