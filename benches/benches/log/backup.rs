//! A backup beside `cp` of the same files, both until they are on disk.

use crate::reads::fill_batches;
use benches::Bench;
use benches::figure::{Figure, Goal, Run, Runs};
use benches::machine;
use eventstore::backup::{BackupOptions, RestoreOptions, backup, restore};
use eventstore::storage::Environment;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const CP: &str = "cp of the segments in use, and sync of the copies";

pub(crate) fn run(bench: &mut Bench) {
    for batch in [100, 1] {
        let name = format!("backup, {batch} a commit, 256 B");
        let again = format!("restore, {batch} a commit, 256 B");
        if !bench.wants(&name) && !bench.wants(&again) {
            continue;
        }
        let events: u64 = if bench.quick { 400_000 } else { 2_000_000 };
        let scratch = machine::scratch(&bench.dir);
        let data = scratch.path().join("data");
        fs::create_dir(&data).unwrap();
        fill_batches(&data, events, batch);
        let files = used(&data);
        let bytes = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        let (copied, taken, made) =
            (scratch.path().join("copied"), scratch.path().join("backup"), scratch.path().join("restored"));
        let per_second = |work: &mut dyn FnMut()| {
            let began = Instant::now();
            work();
            Run { value: bytes as f64 / 1e6 / began.elapsed().as_secs_f64(), bytes, device_bytes: None }
        };
        let environment = Environment::default();
        let take = || {
            fresh(&taken);
            per_second(&mut || {
                backup(&environment, &data, &taken, BackupOptions::default(), &mut |_| {}).unwrap();
            })
        };
        let runs = Runs::alternate(bench.runs, || cp(&files, &copied, &per_second), take);
        bench.print(
            Figure::new(name, "MB/s", runs)
                .ceiling_is(CP)
                .goals(&[Goal::RatioAtLeast(0.7)])
                .with("events", events),
        );
        let back = || {
            fresh(&made);
            per_second(&mut || {
                let first = |_: &_| unreachable!("the same store");
                restore(&environment, &taken, &made, RestoreOptions::default(), &first, &mut |_| {}).unwrap();
            })
        };
        let runs = Runs::alternate(bench.runs, || cp(&files, &copied, &per_second), back);
        bench.print(Figure::new(again, "MB/s", runs).ceiling_is(CP).with("events", events));
    }
}

/// Segments that hold something.
fn used(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("log")).unwrap().map(|file| file.unwrap().path());
    let is_used = |file: &PathBuf| {
        let mut magic = [0; 8];
        file.extension().is_some_and(|end| end == "seg")
            && File::open(file).unwrap().read_exact(&mut magic).is_ok()
            && magic != [0; 8]
    };
    files.filter(is_used).collect()
}

fn cp(files: &[PathBuf], to: &Path, per_second: &dyn Fn(&mut dyn FnMut()) -> Run) -> Run {
    fresh(to);
    fs::create_dir(to).unwrap();
    per_second(&mut || {
        assert!(Command::new("cp").args(files).arg(to).status().unwrap().success());
        for file in fs::read_dir(to).unwrap() {
            File::open(file.unwrap().path()).unwrap().sync_all().unwrap();
        }
    })
}

fn fresh(dir: &Path) {
    let _ = fs::remove_dir_all(dir);
}
