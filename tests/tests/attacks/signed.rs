//! Attacks on what was signed, and what only something tells that was kept elsewhere.

use crate::forge::Log;
use crate::hash::sha256;
use crate::notes::{Key, checkpoint, cosigned, record, records, size_of};
use crate::site::{BASE, Site, classes};
use std::fs;
use std::path::Path;

const JOURNAL: &str = "tree/checkpoints/00000000.notes";

fn journal(site: &Site) -> Vec<String> {
    records(&fs::read_to_string(site.file(JOURNAL)).unwrap())
}

/// The note of a record.
fn note(record: &str) -> &str {
    record.split_once('\n').unwrap().1.strip_suffix('\n').unwrap()
}

/// An event changed, and everything after it.
fn rewritten(site: &Site) -> (Log, [u8; 32]) {
    site.forge(|log| {
        let half = log.commits.len() / 2;
        let commit = log.commits[half..].iter_mut().find(|commit| !commit.events.is_empty()).unwrap();
        *commit.events[0].payload.last_mut().unwrap() ^= 1;
    })
}

/// Everything that was signed put in place of what was: one checkpoint of all of a log.
fn sign_anew(site: &Site, log: &Log, chain: [u8; 32], key: &Key) -> String {
    let note = checkpoint(log, log.events(), key);
    fs::write(site.file(JOURNAL), record(&note, log.store, chain)).unwrap();
    fs::write(site.file("tree/checkpoint"), &note).unwrap();
    // Its tiles are made anew by the next projector.
    let generation = site.current("tree");
    fs::remove_dir_all(site.file(&generation)).unwrap();
    fs::remove_file(site.file("tree/CURRENT")).unwrap();
    note
}

fn kept(path: &Path) -> [&str; 2] {
    ["--checkpoint", path.to_str().unwrap()]
}

fn mallory() -> Key {
    Key::of(&Key::stolen(Site::new().path()).name, &sha256(b"mallory"))
}

#[test]
fn an_old_checkpoint_in_the_place_of_the_newest_beside_a_shorter_log() {
    let site = Site::new();
    let old = fs::read_to_string(&BASE.kept).unwrap();
    let size: usize = old.lines().nth(1).unwrap().parse().unwrap();
    let (log, _) = site.forge(|log| {
        let mut events = 0;
        log.commits.retain(|commit| {
            events += commit.events.len();
            events <= size
        });
    });
    assert_eq!(log.events(), size, "checkpoints are at the ends of commits");
    fs::write(site.file("tree/checkpoint"), &old).unwrap();
    site.expect(&[], 1, "truncated_below_checkpoint");

    // With the journal cut as well nothing in the directory tells. A newer checkpoint that somebody has kept does.
    let short: String = journal(&site).into_iter().filter(|record| size_of(record) <= size).collect();
    fs::write(site.file(JOURNAL), short).unwrap();
    let generation = site.current("tree");
    fs::remove_dir_all(site.file(&generation)).unwrap();
    fs::remove_file(site.file("tree/CURRENT")).unwrap();
    site.expect_untold(&[]);
    site.expect_untold(&kept(&BASE.kept));
    site.expect(&kept(&BASE.newest), 1, "truncated_below_checkpoint");
}

#[test]
fn an_old_checkpoint_in_the_place_of_the_newest_and_nothing_else() {
    let site = Site::new();
    fs::copy(&BASE.kept, site.file("tree/checkpoint")).unwrap();
    let report = site.expect_untold(&[]);
    assert!(classes(&report).contains("stale_checkpoint"), "{report}");
}

#[test]
fn the_newest_checkpoints_taken_out_of_the_journal() {
    let site = Site::new();
    let mut records = journal(&site);
    assert!(records.len() > 2);
    records.truncate(records.len() / 2);
    fs::write(site.file(JOURNAL), records.concat()).unwrap();
    site.expect(&[], 1, "missing_checkpoint");
}

#[test]
fn every_checkpoint_removed() {
    let site = Site::new();
    rewritten(&site);
    fs::remove_dir_all(site.file("tree")).unwrap();
    let report = site.expect_untold(&[]);
    assert!(classes(&report).contains("unanchored_tail"), "{report}");
    assert!(report["findings"].to_string().contains("there is no checkpoint in this data directory"));
    assert_eq!(report["checkpoints"]["proven"], 0);
    // Whoever has kept one finds it out.
    site.expect(&kept(&BASE.newest), 1, "fork");
}

#[test]
fn a_rewritten_history_signed_with_another_key() {
    let site = Site::new();
    let (log, chain) = rewritten(&site);
    sign_anew(&site, &log, chain, &mallory());
    site.expect(&[], 1, "unknown_key");

    // With the public key replaced as well the directory agrees with itself. Whoever knows the key from elsewhere finds it out.
    fs::write(site.file("keys/audit.pub"), mallory().verifier(1) + "\n").unwrap();
    site.expect_untold(&[]);
    site.expect(&["--key", &BASE.key], 1, "unknown_key");
}

#[test]
fn a_rewritten_history_signed_with_the_stolen_key() {
    let site = Site::new();
    let (log, chain) = rewritten(&site);
    let key = Key::stolen(site.path());
    let note = sign_anew(&site, &log, chain, &key);
    // Who has the key can make a history of his own: only what was kept elsewhere tells, a checkpoint or a witness.
    site.expect_untold(&["--key", &BASE.key]);
    site.expect(&kept(&BASE.newest), 1, "fork");

    let witness = Key::of("witness.example/w1", &sha256(b"a witness"));
    let policy = site.file("policy");
    fs::write(&policy, format!("witness w1 {}\nquorum w1\n", witness.verifier(4))).unwrap();
    let policy = ["--witness-policy", policy.to_str().unwrap()];
    let report = site.expect(&policy, 5, "unwitnessed");
    let grave =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] != "warning");
    assert_eq!(grave.count(), 1, "there is nothing else to be found: {report}");
    // It would be content with what the witness has cosigned.
    let seen = cosigned(&note, &witness);
    fs::write(site.file(JOURNAL), record(&seen, log.store, chain)).unwrap();
    let report = site.expect_untold(&policy);
    assert_eq!(report["checkpoints"]["witnessed"], log.events());
}

#[test]
fn two_histories_both_signed() {
    let site = Site::new();
    let key = Key::stolen(site.path());
    let mut other = BASE.log.clone();
    *other.commits.last_mut().unwrap().events.last_mut().unwrap().payload.last_mut().unwrap() ^= 1;
    let shown = site.file("shown.note");
    fs::write(&shown, checkpoint(&other, other.events(), &key)).unwrap();
    // What somebody else was shown, and the log here: both cannot be.
    site.expect(&kept(&shown), 1, "fork");
}

#[test]
fn a_signature_that_is_none() {
    let site = Site::new();
    let mut records = journal(&site);
    // The size of the newest is changed, and the checksum made right.
    let last = records.pop().unwrap();
    let size = size_of(&last);
    let forged = note(&last).replacen(&format!("\n{size}\n"), &format!("\n{}\n", size - 1), 1);
    records.push(record(&forged, BASE.log.store, [0; 32]));
    fs::write(site.file(JOURNAL), records.concat()).unwrap();
    site.expect(&[], 1, "bad_signature");
}

#[test]
fn a_rotten_journal() {
    let site = Site::new();
    site.edit(&site.file(JOURNAL), |bytes| bytes[40] ^= 1);
    site.expect(&[], 4, "bitrot");
}

#[test]
fn what_the_journal_says_of_the_chain() {
    let site = Site::new();
    let mut records = journal(&site);
    let last = records.pop().unwrap();
    records.push(record(note(&last), BASE.log.store, [7; 32]));
    fs::write(site.file(JOURNAL), records.concat()).unwrap();
    site.expect(&[], 1, "fork");
}

#[test]
fn the_command_table_and_the_journal_together() {
    let site = Site::new();
    let (log, _) = site.forge(|log| {
        let commit = log.commits.iter().position(|commit| !commit.commands.is_empty()).unwrap();
        log.commits[commit].commands[0].fingerprint[0] ^= 1;
    });
    // Nobody has signed the chain: who changes what only the chain covers, and the chain heads in the journal, is found by a copy
    // of the journal alone. Here he leaves out all records but the last, and makes that one right.
    let last = journal(&site).pop().unwrap();
    let chain = log.write(site.path(), crate::site::SEGMENTS);
    fs::write(site.file(JOURNAL), record(note(&last), log.store, chain)).unwrap();
    site.expect_untold(&kept(&BASE.newest));
}
