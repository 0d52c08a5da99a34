//! Forgetting pages that this very process has mapped, as a machine short of memory does.
#![expect(unsafe_code, reason = "there is no other way to drop a page that is mapped")]

use super::disk::Disk;
use std::path::Path;

/// Drops every page of the files below `dir` that this process has mapped for reading, from the map and from the
/// cache, so that the next look at it goes to the disk.
pub fn forget_mapped(dir: &Path) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut dropped = 0;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(access), Some(path)) = (fields.next(), fields.next(), fields.nth(3)) else {
            continue;
        };
        if !path.starts_with(dir.to_str().unwrap()) || !access.starts_with("r-") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| usize::from_str_radix(text, 16).unwrap());
        // SAFETY: the range is a read-only map of a file: dropping its pages loses nothing, they are read again.
        unsafe {
            rustix::mm::madvise(
                std::ptr::without_provenance_mut(from),
                to - from,
                rustix::mm::Advice::LinuxDontNeed,
            )
        }
        .unwrap();
        Disk::forget(Path::new(path), 0);
        dropped += 1;
    }
    assert!(dropped > 0, "nothing is mapped below {}", dir.display());
}
