//! Attacks on what is derived from the log: every checksum is made right again.

use crate::hash::{crc, sha256};
use crate::site::{BASE, NAME, Site};
use serde_json::Value;
use std::fs;
use tests::copy;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

#[test]
fn a_snapshots_state() {
    let site = Site::new();
    site.edit(&site.file("snapshots/snapshots.dat"), |bytes| {
        // The last record, which is the one that counts.
        let (mut at, mut last) = (24, 24);
        while at < bytes.len() {
            last = at;
            let len = 96 + usize::from(bytes[at + 60]) + u32_at(bytes, at + 12) as usize;
            at = (at + len).next_multiple_of(8);
        }
        let header = 96 + usize::from(bytes[last + 60]);
        let payload = last + header..last + header + u32_at(bytes, last + 12) as usize;
        let title =
            bytes[payload.clone()].windows(6).position(|window| window == b"Header").expect("its title");
        bytes[payload.start + title] = b'h';
        let sum = crc(&[&bytes[payload]]);
        bytes[last + 8..last + 12].copy_from_slice(&sum.to_le_bytes());
        let (generation, offset) = (bytes[16..24].to_vec(), (last as u64).to_le_bytes());
        let sum = crc(&[&generation, &offset, &bytes[last + 8..last + header]]);
        bytes[last + 4..last + 8].copy_from_slice(&sum.to_le_bytes());
    });
    let report = site.expect(&[], 1, "snapshot_mismatch");
    let found =
        report["findings"].as_array().unwrap().iter().find(|it| it["class"] == "snapshot_mismatch").unwrap();
    assert!(found["stream"].as_str().unwrap().starts_with("item-"), "{found}");
}

/// Makes the checksum of a block of a run right.
fn seal_block(bytes: &mut [u8], at: usize) {
    let seed: Vec<u8> = [&bytes[16..32], &bytes[32..40], &bytes[64..96]].concat();
    let sum = crc(&[&seed, &(at as u64).to_le_bytes(), &bytes[at..at + 4_092]]);
    bytes[at + 4_092..at + 4_096].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn an_entry_of_an_index_run() {
    for part in 0..4 {
        let site = Site::new();
        site.edit(&site.only("index", ".idx"), |bytes| {
            let block = u64_at(bytes, 128 + 48 * part + 8);
            // Where the first commit of its first entry is.
            bytes[block + 16] ^= 1;
            seal_block(bytes, block);
        });
        site.expect(&[], 1, "index_mismatch");
    }
}

#[test]
fn a_filter_that_says_new_of_what_is_there() {
    let site = Site::new();
    site.edit(&site.only("index", ".idx"), |bytes| {
        let filter = u64_at(bytes, 128 + 16);
        bytes[filter..filter + 28].fill(0);
        let seed: Vec<u8> = [&bytes[16..32], &bytes[32..40], &bytes[64..96]].concat();
        let sum = crc(&[&seed, &(filter as u64).to_le_bytes(), &bytes[filter..filter + 28]]);
        bytes[filter + 28..filter + 32].copy_from_slice(&sum.to_le_bytes());
    });
    site.expect(&[], 1, "index_mismatch");
}

#[test]
fn a_rotten_index_run() {
    let site = Site::new();
    site.edit(&site.only("index", ".idx"), |bytes| {
        let block = u64_at(bytes, 128 + 8);
        bytes[block] ^= 1;
    });
    site.expect(&[], 4, "bitrot");
}

#[test]
fn an_image_of_a_read_model() {
    let site = Site::new();
    let path = site.file(&format!("{}/models.img", site.current("images")));
    site.edit(&path, |bytes| {
        let name = bytes.windows(NAME.len()).position(|window| window == NAME.as_bytes()).expect("a name");
        bytes[name] = b'q';
        let end = bytes.len() - 32;
        let sum = sha256(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum);
    });
    let report = site.expect(&[], 1, "readmodel_mismatch");
    assert!(report["findings"].to_string().contains("workspace:"), "{report}");
}

#[test]
fn a_rotten_image() {
    let site = Site::new();
    let path = site.file(&format!("{}/activity.img", site.current("images")));
    site.edit(&path, |bytes| bytes[200] ^= 1);
    site.expect(&[], 4, "bitrot");
}

#[test]
fn an_older_search_index_that_says_to_be_the_newest() {
    let site = Site::new();
    let meta = |site: &Site| -> (std::path::PathBuf, Value) {
        let path = site.file(&format!("{}/meta.json", site.current("search")));
        let text = fs::read(&path).unwrap();
        (path, serde_json::from_slice(&text).unwrap())
    };
    let (_, newest) = meta(&site);
    fs::remove_dir_all(site.file("search")).unwrap();
    copy(&BASE.old_search, &site.file("search"));
    let (path, mut old) = meta(&site);
    assert_ne!(old["payload"], newest["payload"]);
    old["payload"] = newest["payload"].clone();
    fs::write(path, old.to_string()).unwrap();
    let report = site.expect(&[], 1, "readmodel_mismatch");
    assert!(report["findings"].to_string().contains("is missing"), "{report}");
}

#[test]
fn a_rotten_file_of_the_search_index() {
    let site = Site::new();
    let path = site.only(&site.current("search"), ".store");
    site.edit(&path, |bytes| bytes[10] ^= 1);
    site.expect(&[], 4, "bitrot");
}

#[test]
fn a_tile_and_a_leaf_of_the_tree() {
    for (file, at) in [("0.hashes", 40), ("1.hashes", 3), ("entries", 91 * 7 + 60)] {
        let site = Site::new();
        let path = site.file(&format!("{}/{file}", site.current("tree")));
        site.edit(&path, |bytes| bytes[at] ^= 1);
        let report = site.expect(&[], 4, "tree_mismatch");
        assert!(report["findings"].to_string().contains(".hashes"), "{report}");
    }
}
