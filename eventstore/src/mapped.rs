//! The only `unsafe` of this crate: mapping files, and seeing words of a mapped page as atomics.
//!
//! What makes it sound is a rule of the log, not of the compiler: a segment file is never truncated or rewritten with
//! other bytes, and a reader forms slices only below the watermark, where nothing is written any more.
#![expect(unsafe_code, reason = "mapping files is what this file is for")]

use memmap2::{Advice, Mmap, MmapOptions, MmapRaw};
use rustix::thread::futex;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// A file mapped for reading.
#[derive(Debug)]
pub struct Map(Mmap);

impl Map {
    /// Maps all of `file` as it is now.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: segment files are only ever appended to in place (their length is fixed at birth), and callers look at
        // bytes below the watermark only. Somebody who truncates the file from outside can make us die by SIGBUS, as
        // with every mapped store; FORMAT.md forbids it.
        unsafe { Mmap::map(file) }.map(Self)
    }

    /// Faults bytes in, so that a sector that cannot be read is an error here and not a signal later.
    pub(crate) fn fault_in(&self, offset: u64, len: u64) -> io::Result<()> {
        let narrow =
            |number| usize::try_from(number).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
        match self.0.advise_range(Advice::PopulateRead, narrow(offset)?, narrow(len)?) {
            // A kernel before 5.14 does not know the call: then a bad sector is a signal, as it is everywhere else.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
    }

    /// Tells the kernel not to read ahead by itself. Advice: it may be ignored.
    pub(crate) fn expect_random_reads(&self) {
        let _ = self.0.advise(Advice::Random);
    }

    /// Tells the kernel what will be read next, so that it asks the disk once and not page by page. Advice.
    pub(crate) fn will_need(&self, offset: u64, len: u64) {
        if let (Ok(offset), Ok(len)) = (usize::try_from(offset), usize::try_from(len)) {
            let _ = self.0.advise_range(Advice::WillNeed, offset, len);
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A page shared between processes, seen as atomics.
#[derive(Debug)]
pub struct SharedPage {
    map: MmapRaw,
}

impl SharedPage {
    /// Maps the first `len` bytes of `file`.
    ///
    /// # Errors
    /// What the operating system says, or `InvalidData` when the file is shorter.
    pub fn new(file: &File, len: usize, writable: bool) -> io::Result<Self> {
        if file.metadata()?.len() < len as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the control page is shorter than it should be",
            ));
        }
        let mut options = MmapOptions::new();
        options.len(len);
        let map = if writable { options.map_raw(file)? } else { options.map_raw_read_only(file)? };
        Ok(Self { map })
    }

    fn pointer(&self, at: usize, width: usize) -> *mut u8 {
        assert!(at.is_multiple_of(width) && at + width <= self.map.len(), "control page field out of place");
        self.map.as_mut_ptr().wrapping_add(at)
    }

    /// The 32-bit word at `at`, a multiple of 4.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: in bounds and aligned (asserted; a mapping starts on a page), lives as long as the map, and every
        // process accesses it as an atomic. A read-only map is only loaded from: storing is what `ControlWriter` adds, and
        // that type only ever holds a writable one.
        unsafe { AtomicU32::from_ptr(self.pointer(at, 4).cast()) }
    }

    /// The 64-bit word at `at`, a multiple of 8.
    pub(crate) fn long(&self, at: usize) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.pointer(at, 8).cast()) }
    }

    /// Sleeps while the word at `at` is `value`, until it is woken, or for `timeout` at most.
    pub(crate) fn wait(&self, at: usize, value: u32, timeout: Duration) {
        let timeout = rustix::fs::Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // Every return means the same: look again.
        let _ = futex::wait(self.word(at), futex::Flags::empty(), value, Some(&timeout));
    }

    /// Wakes everybody, in any process, who waits for the word at `at`.
    pub(crate) fn wake(&self, at: usize) {
        // Waking can only fail for a bad address, and who waits looks again after a while anyway.
        let _ = futex::wake(self.word(at), futex::Flags::empty(), u32::MAX >> 1);
    }
}
