//! What the same bytes cost without Sunday: the figures that ours are divided by.

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn lines(file: &Path) -> impl Iterator<Item = Vec<u8>> {
    BufReader::with_capacity(1 << 20, MultiGzDecoder::new(File::open(file).unwrap()))
        .split(b'\n')
        .map(Result::unwrap)
}

/// The file's lines written into a zero-filled file, one pwrite and one fdatasync per `group` lines.
pub(crate) fn synced_lines_per_second(file: &Path, scratch: &Path, group: usize) -> f64 {
    let all: Vec<Vec<u8>> = lines(file).collect();
    let bytes: usize = all.iter().map(|line| line.len() + 1).sum();
    let path = scratch.join("ceiling");
    std::fs::write(&path, vec![0; bytes]).unwrap();
    let target = OpenOptions::new().write(true).open(&path).unwrap();
    target.sync_all().unwrap();
    let began = Instant::now();
    let mut offset = 0;
    let mut buffer = Vec::new();
    for chunk in all.chunks(group) {
        buffer.clear();
        for line in chunk {
            buffer.extend_from_slice(line);
            buffer.push(b'\n');
        }
        target.write_all_at(&buffer, offset).unwrap();
        target.sync_data().unwrap();
        offset += buffer.len() as u64;
    }
    let seconds = began.elapsed().as_secs_f64();
    std::fs::remove_file(path).unwrap();
    all.len() as f64 / seconds
}

fn used(segment: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used);
    bytes
}

/// Bytes of the segments up to the last one that is not zero.
pub(crate) fn used_bytes(segments: &[PathBuf]) -> usize {
    segments.iter().map(|segment| used(segment).len()).sum()
}

/// SHA-256 and CRC-32 over the used bytes of the log in pieces of 512, both cores, once the bytes are in memory.
pub(crate) fn hashed_bytes_per_second(segments: &[PathBuf]) -> f64 {
    let all: Vec<u8> = segments.iter().flat_map(|segment| used(segment)).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for share in all.chunks(all.len().div_ceil(cores).max(1)) {
            scope.spawn(move || {
                for piece in share.chunks(512) {
                    std::hint::black_box((Sha256::digest(piece), crc32fast::hash(piece)));
                }
            });
        }
    });
    all.len() as f64 / began.elapsed().as_secs_f64()
}

/// Queries of one to three words that occur in the history's texts, spread over common and rare words.
pub(crate) fn queries(file: &Path, count: usize) -> Vec<String> {
    let mut words: HashMap<String, usize> = HashMap::new();
    for line in lines(file) {
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        for text in ["title", "body"].map(|field| line["data"][field].as_str().unwrap_or_default()) {
            for word in text
                .split(|letter: char| !letter.is_ascii_alphanumeric())
                .filter(|word| word.len() > 2)
                .take(50)
            {
                *words.entry(word.to_lowercase()).or_default() += 1;
            }
        }
    }
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    // A fixed stride through the words by frequency: half of the queries from the commonest 500, as people ask.
    let common = words.len().min(500);
    (0..count)
        .map(|number| {
            let pick = |salt: usize| {
                let draw = (number * 7919 + salt * 104_729) % 1_000_003;
                let range = if (number + salt).is_multiple_of(2) { common } else { words.len() };
                words[draw % range].0.clone()
            };
            (0..=number % 3).map(pick).collect::<Vec<_>>().join(" ")
        })
        .collect()
}
