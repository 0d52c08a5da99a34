//! A history's lines as bytes, from a plain or gzip file, one at a time.
//!
//! Invariant: memory stays bounded by the longest line taken, whatever the file holds.
//!
//! What a line says is not known here.

use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest line that is taken, bytes: the server takes no longer batch.
pub(super) const LINE_BYTES_MAX: usize = 30 << 20;
/// Bytes that are asked of the file, or of the decompressor, at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// The first two bytes of every gzip file (RFC 1952 §2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What the file has next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// The number of a line, from 1, and the line without its end.
    Line(u64, &'a [u8]),
    /// The number of a line over [`LINE_BYTES_MAX`], which was passed over.
    TooLong(u64),
    /// Nothing more.
    End,
}

/// The lines of a file.
pub(super) struct Lines {
    source: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    read: Arc<AtomicU64>,
    len: u64,
}

impl Lines {
    /// Opens a history; what it begins with says whether it is compressed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let read = Arc::new(AtomicU64::new(0));
        let mut plain =
            BufReader::with_capacity(BUFFER_BYTES, Counted { inner: file, read: Arc::clone(&read) });
        let source: Box<dyn BufRead + Send> = if plain.fill_buf()?.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Self { source, line: Vec::new(), number: 0, read, len })
    }

    /// The next line that is not empty.
    ///
    /// # Errors
    /// When the file cannot be read on, or its compression is broken.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        loop {
            self.line.clear();
            self.number += 1;
            let limit = LINE_BYTES_MAX as u64 + 1;
            if (&mut self.source).take(limit).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(Next::End);
            }
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            } else if self.line.len() > LINE_BYTES_MAX {
                self.pass_over_rest()?;
                return Ok(Next::TooLong(self.number));
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        Ok(Next::Line(self.number, &self.line))
    }

    /// Bytes of the file read so far, as they are on disk.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of the file.
    pub(super) fn bytes_total(&self) -> u64 {
        self.len
    }

    fn pass_over_rest(&mut self) -> io::Result<()> {
        self.line = Vec::new();
        loop {
            let buffer = self.source.fill_buf()?;
            let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.source.consume(used);
            if done {
                return Ok(());
            }
        }
    }
}

/// Counts what is read of the file, for the progress bar: a compressed file does not tell its real length.
struct Counted {
    inner: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn all(bytes: &[u8]) -> Vec<(u64, Option<String>)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        let mut found = Vec::new();
        loop {
            found.push(match lines.next().unwrap() {
                Next::Line(number, line) => (number, Some(String::from_utf8(line.to_vec()).unwrap())),
                Next::TooLong(number) => (number, None),
                Next::End => return found,
            });
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_give_the_same_lines() {
        let text = b"one\n\n  \r\ntwo\nlast without an end";
        let lines = vec![
            (1, Some("one".to_owned())),
            (4, Some("two".to_owned())),
            (5, Some("last without an end".to_owned())),
        ];
        assert_eq!(all(text), lines);
        assert_eq!(all(&gzip(text)), lines);
        assert_eq!(all(&[gzip(b"one\n\n\n"), gzip(&text[9..])].concat()), lines, "two gzip members");
        assert_eq!(all(b""), vec![]);
    }

    #[test]
    fn an_endless_line_is_passed_over_and_the_next_is_read() {
        let mut text = vec![b'x'; LINE_BYTES_MAX + 5];
        text.extend_from_slice(b"\nnext\n");
        assert_eq!(all(&gzip(&text)), vec![(1, None), (2, Some("next".to_owned()))]);
        let exact = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(all(&gzip(&exact)).len(), 1);
        assert!(all(&gzip(&exact))[0].1.is_some());
    }

    #[test]
    fn a_broken_file_is_an_error() {
        let mut bytes = gzip(&b"one line after the other\n".repeat(1000));
        bytes.truncate(bytes.len() / 2);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        let failed = loop {
            match lines.next() {
                Ok(Next::End) => break false,
                Ok(_) => {}
                Err(_) => break true,
            }
        };
        assert!(failed);
    }
}
