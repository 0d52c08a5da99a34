//! Promise: `sunday verify` finds an intact log intact, and any one changed byte of a segment file: header, frame,
//! padding, free space, or a segment that is only prepared. It names segment, offset and position.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tests::{Sunday, history, import, random::Random, run, verify};

/// `FORMAT.md`: where the fields of a segment's header begin, their last bytes, and places in its zeros.
const HEADER_OFFSETS: [u64; 20] =
    [0, 7, 8, 12, 16, 32, 40, 48, 63, 64, 68, 69, 70, 72, 80, 88, 120, 152, 184, 4_095];
const HEADER_BYTES: u64 = 4_096;
/// `FORMAT.md`: where the fields of a frame's header begin, and those of the first event's record behind it.
const FRAME_OFFSETS: [u64; 14] = [0, 4, 8, 12, 16, 17, 18, 20, 24, 28, 32, 40, 48, 64];

fn segments(data: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(data.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

/// Changes one byte, verifies, and changes it back.
fn check_flip(data: &Path, segment: usize, path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], offset).unwrap();
    let (exit, report) = verify(data);
    file.write_all_at(&byte, offset).unwrap();
    let place = format!("segment {segment} offset {offset} (was {:#04x})", byte[0]);
    assert!(exit == 1 || exit == 4, "{place}: exit {exit}: {report}");
    assert_eq!(report["exit"], exit);
    let findings = report["findings"].as_array().unwrap();
    assert!(!findings.is_empty(), "{place}");
    for finding in findings {
        assert!(finding["offset"].is_u64() && finding["position"].is_u64(), "{place}: {finding}");
    }
    let named: BTreeSet<u64> = findings.iter().map(|finding| finding["segment"].as_u64().unwrap()).collect();
    assert!(named.contains(&(segment as u64)), "{place}: {report}");
}

/// The log of a small history that is quiet now.
fn quiet_log() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve(data.path());
    let _ = import(&history("issues-small.jsonl.gz"), &sunday.command_url());
    sunday.stop();
    let (exit, report) = verify(data.path());
    assert_eq!((exit, &report["intact"]), (0, &true.into()), "{report}");
    data
}

/// Where the frames end: the last byte of a segment that is not zero.
fn used_len(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

#[test]
fn any_changed_byte_is_found_and_named() {
    let data = quiet_log();
    let mut paths = segments(data.path());
    let len = fs::metadata(&paths[0]).unwrap().len();
    if paths.len() < 2 {
        // As one is prepared: all of it zeros, under its name.
        let next = paths[0].with_file_name("0000000001.seg");
        fs::File::create(&next).unwrap().set_len(len).unwrap();
        paths.push(next);
    }
    let used = used_len(&paths[0]);
    assert!(used > 100_000, "the history is in the log");
    let mut random = Random::seeded();

    let mut offsets: BTreeSet<u64> = HEADER_OFFSETS.into();
    offsets.insert(192 + random.below(3_900));
    // The first frame's fields, then its body: tables and the first record's fields follow within these bytes.
    offsets.extend(FRAME_OFFSETS.iter().map(|offset| HEADER_BYTES + offset));
    offsets.extend((96..256).step_by(8).map(|offset| HEADER_BYTES + offset));
    offsets.extend((0..25).map(|_| HEADER_BYTES + random.below(used - HEADER_BYTES)));
    // The last mark, and what is behind it.
    offsets.extend([used - 1, used - 30, used, used + 7]);
    offsets.extend((0..4).map(|_| used + random.below(len - used)));
    offsets.insert(len - 1);
    for offset in offsets {
        check_flip(data.path(), 0, &paths[0], offset);
    }
    let len = fs::metadata(&paths[1]).unwrap().len();
    for offset in [0, 100, HEADER_BYTES - 1, HEADER_BYTES, random.below(len), len - 1] {
        check_flip(data.path(), 1, &paths[1], offset);
    }
    assert_eq!(verify(data.path()).0, 0, "every byte is what it was");
}

#[test]
fn a_person_reads_where_it_is() {
    let data = quiet_log();
    let path = &segments(data.path())[0];
    let middle = used_len(path) / 2;
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[!byte[0]], middle).unwrap();
    let output = run(&["verify", "--data-dir", data.path().to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{text}");
    let first = text.lines().next().unwrap();
    assert!(first.contains("segment 0 offset ") && first.contains(" position "), "{text}");
}

#[test]
fn what_cannot_be_verified_is_not_called_intact() {
    let empty = tempfile::tempdir().unwrap();
    let output = run(&["verify", "--data-dir", empty.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(run(&["verify", "--no-such-flag"]).status.code(), Some(2));
}
