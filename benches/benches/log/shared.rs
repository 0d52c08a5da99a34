//! The only `unsafe` of this bench: a word shared by two processes, and letting go of pages that the log has mapped.
#![expect(unsafe_code, reason = "mapping files, and unmapping their pages behind the log's back")]

use memmap2::{MmapOptions, MmapRaw};
use rustix::mm::Advice;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicU32;

/// A page of a file, shared by whoever maps it.
pub(crate) struct SharedWord(MmapRaw);

impl SharedWord {
    pub(crate) fn map(file: &File) -> Self {
        assert!(file.metadata().unwrap().len() >= 4096);
        Self(MmapOptions::new().len(4096).map_raw(file).unwrap())
    }

    pub(crate) fn word(&self) -> &AtomicU32 {
        // SAFETY: a page is aligned and long enough, lives as long as the map, and both processes use it as an atomic.
        unsafe { AtomicU32::from_ptr(self.0.as_mut_ptr().cast()) }
    }
}

/// Unmaps the pages (not the mapping) of every segment below `data_dir` that this process has mapped, so that the
/// kernel can be told to drop them. The next touch faults them in again.
pub(crate) fn release_mapped(data_dir: &Path) {
    let dir = data_dir.canonicalize().unwrap();
    for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let Some(at) = line.find('/') else { continue };
        if !Path::new(&line[at..]).starts_with(&dir) || !line.ends_with(".seg") {
            continue;
        }
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let address = |text| usize::from_str_radix(text, 16).unwrap();
        let (from, to) = (address(from), address(to));
        // SAFETY: the range is a mapping of a file that nobody writes through memory; without its pages it reads the
        // same bytes from the file again.
        unsafe {
            rustix::mm::madvise(std::ptr::with_exposed_provenance_mut(from), to - from, Advice::LinuxDontNeed)
        }
        .unwrap();
    }
}
