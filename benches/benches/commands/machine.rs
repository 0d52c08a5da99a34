//! What the bench asks of the operating system.

use std::path::Path;

#[path = "../log/machine.rs"]
#[allow(dead_code, reason = "the log's bench asks for more")]
mod shared;
pub(crate) use shared::{assert_on_disk, describe, segments, settle};

/// Processor time that a process has used, µs, to a hundredth of a second.
pub(crate) fn cpu_us_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|index| fields[*index].parse::<u64>().unwrap()).sum();
    ticks as f64 * 10_000.0
}

/// A directory for data that goes away with the value.
pub(crate) fn scratch(below: &Path) -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bench-commands-").tempdir_in(below).unwrap()
}
