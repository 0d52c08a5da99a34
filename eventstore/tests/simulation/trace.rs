//! What happened in a run: a hash over all of it, and its last lines for people.

use std::collections::VecDeque;

const LINES_KEPT: usize = 80;

#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: u64,
    last: VecDeque<String>,
    verbose: bool,
}

impl Trace {
    pub fn new(verbose: bool) -> Self {
        Self { hash: 0, lines: 0, last: VecDeque::new(), verbose }
    }

    pub fn note(&mut self, line: String) {
        self.hash = mix(self.hash, content_hash(line.as_bytes()));
        self.lines += 1;
        if self.verbose {
            eprintln!("{:6} {line}", self.lines);
        }
        if self.last.len() == LINES_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn last_lines(&self) -> String {
        let first = self.lines - self.last.len() as u64;
        (first + 1..).zip(&self.last).map(|(number, line)| format!("{number:6} {line}\n")).collect()
    }
}

fn mix(hash: u64, word: u64) -> u64 {
    let mut z = (hash.rotate_left(23) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of bytes that is the same in every process and every build.
pub fn content_hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash, u64::from_le_bytes(last))
}
