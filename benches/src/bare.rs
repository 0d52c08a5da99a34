//! The ceilings: what the same bytes cost without a log. No CRC, digest, index, queue or thread, unless that is the point.

use crate::machine;
use eventstore::Map;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

const ZEROS: usize = 1 << 20;

/// Writes frames into zero-filled segments as the log does: the next segment is made and synced beside the writing.
pub struct Segments {
    dir: PathBuf,
    segment_bytes: u64,
    synced: bool,
    file: File,
    offset: u64,
    next: Option<JoinHandle<File>>,
    pub rolls: u32,
    pub written: u64,
}

fn make(dir: &Path, number: u32, bytes: u64) -> File {
    let path = dir.join(format!("{number:010}.bare"));
    let unfinished = path.with_extension("preparing");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished).unwrap();
    let zeros = vec![0; ZEROS];
    let mut left = bytes as usize;
    while left > 0 {
        let chunk = left.min(ZEROS);
        file.write_all(&zeros[..chunk]).unwrap();
        left -= chunk;
    }
    file.sync_all().unwrap();
    std::fs::rename(&unfinished, &path).unwrap();
    File::open(dir).unwrap().sync_all().unwrap();
    file
}

impl Segments {
    pub fn begin(dir: &Path, segment_bytes: u64, synced: bool) -> Self {
        let file = make(dir, 0, segment_bytes);
        let mut segments = Self {
            dir: dir.to_owned(),
            segment_bytes,
            synced,
            file,
            offset: 0,
            next: None,
            rolls: 0,
            written: 0,
        };
        segments.prepare_next();
        segments
    }

    fn prepare_next(&mut self) {
        let (dir, number, bytes) = (self.dir.clone(), self.rolls + 1, self.segment_bytes);
        self.next = Some(std::thread::spawn(move || make(&dir, number, bytes)));
    }

    /// One group: as many frames as fit with one write and one sync, the others in the next segment.
    pub fn group(&mut self, frame: usize, frames: usize, bytes: &[u8]) {
        let mut left = frames;
        while left > 0 {
            let room = (self.segment_bytes - self.offset) as usize / frame;
            if room == 0 {
                self.file = self.next.take().unwrap().join().unwrap();
                self.offset = 0;
                self.rolls += 1;
                self.prepare_next();
                continue;
            }
            let now = room.min(left);
            self.file.write_all_at(&bytes[..now * frame], self.offset).unwrap();
            if self.synced {
                self.file.sync_data().unwrap();
            }
            self.offset += (now * frame) as u64;
            self.written += (now * frame) as u64;
            left -= now;
        }
    }

    /// The segment under way is waited for, as a store does when it closes.
    pub fn end(mut self) {
        if let Some(next) = self.next.take() {
            next.join().unwrap();
        }
    }
}

/// Bytes of a segment up to the last one that is not zero. Looks from the end, so a full segment costs nothing.
pub fn used_bytes(segment: &Path) -> u64 {
    let file = File::open(segment).unwrap();
    if file.metadata().unwrap().len() == 0 {
        return 0;
    }
    let map = Map::new(&file).unwrap();
    map.bytes().iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// The used bytes of a log in memory, cut into pieces of one frame, for the ceilings that only compute.
pub struct Pieces {
    maps: Vec<(Map, usize)>,
    piece: usize,
}

impl Pieces {
    pub fn of(data_dir: &Path, piece: usize) -> Self {
        let maps = machine::segments(data_dir)
            .into_iter()
            .map(|path| (Map::new(&File::open(&path).unwrap()).unwrap(), used_bytes(&path) as usize))
            .filter(|(_, used)| *used > 0)
            .collect();
        Self { maps, piece }
    }

    pub fn bytes(&self) -> u64 {
        self.maps.iter().map(|(_, used)| *used as u64).sum()
    }

    fn all(&self) -> Vec<&[u8]> {
        self.maps.iter().flat_map(|(map, used)| map.bytes()[..*used].chunks(self.piece)).collect()
    }

    /// CRC-32 of every piece, one thread.
    pub fn crc(&self) {
        for (map, used) in &self.maps {
            for piece in map.bytes()[..*used].chunks(self.piece) {
                std::hint::black_box(crc32fast::hash(piece));
            }
        }
    }

    /// SHA-256 and CRC-32 of every piece, on so many threads.
    pub fn sha_and_crc(&self, threads: usize) {
        let all = self.all();
        std::thread::scope(|scope| {
            for share in all.chunks(all.len().div_ceil(threads).max(1)) {
                scope.spawn(move || {
                    for piece in share {
                        std::hint::black_box((Sha256::digest(piece), crc32fast::hash(piece)));
                    }
                });
            }
        });
    }
}
