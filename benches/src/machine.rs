//! What the bench asks of the operating system: clocks, counters, what is cached, where the disk is.

use rustix::fs::Advice;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const TMPFS_MAGIC: u32 = 0x0102_1994;

/// Nanoseconds of a clock that all processes share.
pub fn now_ns() -> i64 {
    nanos(ClockId::Monotonic)
}

/// Nanoseconds of processor time that this process has used, all threads together.
pub fn cpu_ns() -> i64 {
    nanos(ClockId::ProcessCPUTime)
}

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Threads that the machine runs at once.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A number of a `name: number` file of /proc.
fn counter(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Bytes written so far to the block device below a directory, by whomever; `None` where that cannot be said. A
/// process's own count (`write_bytes` of `/proc/self/io`) would be nicer, but counts whole large folios of which only a
/// block is written.
pub fn device_bytes(dir: &Path) -> Option<u64> {
    let device = std::fs::metadata(dir).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * 512)
}

/// Bytes that this process had fetched from a device, read ahead included.
pub fn fetched_bytes() -> u64 {
    counter("/proc/self/io", "read_bytes")
}

/// Memory of this process: anonymous, and mapped from files. Bytes.
pub fn resident() -> (u64, u64) {
    let bytes = |name| counter("/proc/self/status", name) * 1024;
    (bytes("RssAnon"), bytes("RssFile"))
}

/// Processor time that a process has used, µs, to a hundredth of a second.
pub fn cpu_us_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|index| fields[*index].parse::<u64>().unwrap()).sum();
    ticks as f64 * 10_000.0
}

/// A directory for data that goes away with the value.
pub fn scratch(below: &Path) -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bench-").tempdir_in(below).unwrap()
}

/// Refuses a directory in memory: there a sync costs nothing and says nothing.
pub fn assert_on_disk(dir: &Path) {
    let kind = rustix::fs::statfs(dir).unwrap().f_type;
    assert!(
        kind as u32 != TMPFS_MAGIC,
        "{} is in memory (tmpfs); name a directory on a disk with --dir",
        dir.display()
    );
}

/// Lets everything that earlier runs left dirty reach the disk before the clock starts.
pub fn settle(dir: &Path) {
    rustix::fs::syncfs(File::open(dir).unwrap()).unwrap();
}

/// All files below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The segment files of a log, in order.
pub fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let mut all = files(&data_dir.join("log"));
    all.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    all
}

/// Asks the kernel to drop the files of a log from the page cache. Pages that are mapped somewhere stay.
pub fn drop_cached(data_dir: &Path) {
    for path in files(data_dir) {
        let file = File::open(path).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    }
}

/// A line about the machine, so that a figure is never without the place it came from.
pub fn describe(dir: &Path) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{} cores of {}, Linux {}, load {}, data in {}",
        cores(),
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim(),
        load.split(' ').next().unwrap_or_default(),
        dir.display()
    )
}
