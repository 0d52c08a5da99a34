//! Whatever bytes a decoder is given, it answers. Harmed copies of the inputs kept in `corpus/`, a few seconds of them
//! by default; `SUNDAY_FUZZ_SECONDS=600` for more. What is found is written into the corpus, and its seed printed.
//! `fuzz/` runs the same checks under a coverage-guided fuzzer.
//!
//! Kept inputs are sound ones (`sound-…`), and those that once went wrong. After a change of the format
//! `SUNDAY_GOLDEN=write cargo test -p eventstore --test decoders` makes the sound ones anew.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[path = "decoders/mutate.rs"]
mod mutate;
mod support;

use eventstore::format::check;
use eventstore::{Log, Position, Store, verify};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{Random, open, small};

fn corpus(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind)
}

/// The kept inputs of a kind, by name.
fn kept(kind: &str) -> Vec<(String, Vec<u8>)> {
    let mut kept: Vec<_> = fs::read_dir(corpus(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    kept.sort();
    kept
}

/// Whether to go on: a number of rounds by default, so that a slow machine is not a failing one, or for a time.
fn goes_on(round: u64, rounds: u64, since: Instant) -> bool {
    match std::env::var("SUNDAY_FUZZ_SECONDS") {
        Ok(seconds) => since.elapsed() < Duration::from_secs(seconds.parse().unwrap()),
        Err(_) => round < rounds,
    }
}

/// Runs a check on harmed copies of the kept inputs.
fn fuzz(kind: &str, rounds: u64, fields: fn(&[u8]) -> Vec<usize>, check: fn(&[u8]) -> Result<bool, String>) {
    let inputs = kept(kind);
    for (name, bytes) in &inputs {
        let sound = check(bytes).unwrap_or_else(|error| panic!("{kind}/{name}: {error}"));
        assert!(sound || !name.starts_with("sound-"), "{kind}/{name} is not sound any more");
    }
    let mut random = Random::seeded();
    let (since, mut round, mut sound) = (Instant::now(), 0, 0);
    while goes_on(round, rounds, since) {
        let seed = random.0;
        let pick = |random: &mut Random| &inputs[random.below(inputs.len() as u64) as usize].1;
        let (base, other) = (pick(&mut random), pick(&mut random));
        let harmed = mutate::mutate(&mut random, base, other, &fields(base));
        let answer = catch_unwind(AssertUnwindSafe(|| check(&harmed)));
        match answer {
            Ok(Ok(is_sound)) => sound += u64::from(is_sound),
            wrong => {
                let path = corpus(kind).join(format!("found-{seed}"));
                fs::write(&path, &harmed).unwrap();
                panic!("seed {seed}: {wrong:?}; the input is kept as {}", path.display());
            }
        }
        round += 1;
    }
    println!("{kind}: {round} inputs, {sound} of them sound");
    assert!(sound * 20 > round, "only {sound} of {round} inputs got past the CRCs: the harm is too crude");
}

/// Lengths and counts of a frame and of the events in it.
fn frame_fields(bytes: &[u8]) -> Vec<usize> {
    let number = |at: usize, len: usize| {
        bytes
            .get(at..at + len)
            .map_or(0, |bytes| bytes.iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte)))
    };
    let mut fields = vec![12, 16, 17, 18, 20, 24, 32, 40];
    let body = 96 + 8 * number(18, 2);
    fields.extend([body, body + 4, body + 8]);
    let mut event = body + 8 + number(body, 4) + number(body + 4, 4);
    fields.extend([event.saturating_sub(1), event.saturating_sub(9)]);
    for _ in 0..number(20, 4).min(20) {
        fields.extend([0, 4, 24, 28, 32, 33, 34, 35, 40, 44, 48].map(|field| event + field));
        event += number(event, 4).max(1);
    }
    fields.retain(|at| *at < bytes.len());
    fields
}

#[test]
fn frames_hold_or_are_refused() {
    write_corpus();
    fuzz("frame", 200_000, frame_fields, check::frame);
}

#[test]
fn segment_headers_hold_or_are_refused() {
    write_corpus();
    let fields =
        |_: &[u8]| vec![0, 8, 12, 16, 32, 36, 40, 48, 64, 68, 69, 70, 72, 80, 88, 120, 152, 184, 192, 4088];
    fuzz("segment_header", 20_000, fields, check::segment_header);
}

/// Random commits, encoded by the builder: what a reader is given is what was put in.
#[test]
fn what_is_decoded_is_what_was_encoded() {
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for _ in 0..200 {
        let events = (0..=random.below(5)).map(|_| random_event(&mut random)).collect::<Vec<_>>();
        let mut commit = eventstore::CommitBuilder::new();
        for event in &events {
            commit.event(event.clone());
        }
        let receipt = store.append(commit.prepare().unwrap()).unwrap();
        let recorded = store.commits(receipt.first).next().unwrap().unwrap();
        let found: Vec<_> = recorded.events().map(|view| owned(&view)).collect();
        assert_eq!(found, events);
    }
}

fn owned(view: &eventstore::EventView<'_>) -> eventstore::NewEvent {
    eventstore::NewEvent {
        id: view.id(),
        stream: support::stream(view.stream()),
        event_type: eventstore::EventType::new(view.event_type()).unwrap(),
        content_type: view.content_type(),
        schema_version: view.schema_version(),
        tags: view.tags().map(support::tag).collect(),
        metadata: view.metadata().to_owned(),
        payload: view.payload().to_vec(),
    }
}

fn random_event(random: &mut Random) -> eventstore::NewEvent {
    let bytes = |random: &mut Random, bound: u64| -> Vec<u8> {
        (0..random.below(bound)).map(|_| random.next() as u8).collect()
    };
    let some = |random: &mut Random| random.below(2) == 0;
    let mut event = support::event(&format!("s-{}", random.below(9)), "");
    event.payload = bytes(random, 200);
    event.schema_version = random.next() as u16;
    event.tags =
        (0..random.below(5)).map(|tag| support::tag(&format!("t{tag}:ä{}", random.next()))).collect();
    event.metadata = eventstore::Metadata {
        correlation_id: some(random).then(uuid::Uuid::new_v4),
        causation_id: some(random).then(uuid::Uuid::new_v4),
        command_id: some(random).then(|| eventstore::CommandId::derive(&[&bytes(random, 9)])),
        traceparent: some(random).then_some([random.next() as u8; 25]),
        occurred_at: some(random).then(|| eventstore::Timestamp::new(random.next() as i64)),
        extras: bytes(random, 40),
    };
    event
}

/// A log of three segments with its page, closed in good order.
fn sound_log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..30 {
        let payload = format!("{{\"n\":{number},\"text\":\"{}\"}}", "x".repeat(5_000));
        store
            .append(support::one(&format!("s-{}", number % 3), eventstore::ExpectedVersion::Any, &payload))
            .unwrap();
    }
    store.close();
    drop(store);
    dir
}

fn payloads(log: &Log) -> Result<Vec<Vec<u8>>, eventstore::ReadError> {
    let mut payloads = Vec::new();
    for commit in log.commits(Position::ZERO) {
        payloads.extend(commit?.events().map(|event| event.payload().to_vec()));
    }
    Ok(payloads)
}

/// Whole files harmed at random: every way in answers, and none of them gives out less or other than was acknowledged.
#[test]
fn a_harmed_log_is_refused_or_whole() {
    let dir = sound_log();
    let expected = payloads(&Log::open_offline(dir.path()).unwrap()).unwrap();
    let names = ["log/0000000000.seg", "log/0000000001.seg", "log/0000000002.seg", "control/log"];
    let sound: Vec<_> = names.iter().map(|name| fs::read(dir.path().join(name)).unwrap()).collect();
    let mut random = Random::seeded();
    let (since, mut round, mut refused) = (Instant::now(), 0, 0);
    while goes_on(round, 150, since) {
        let seed = random.0;
        let which = random.below(names.len() as u64) as usize;
        let other = &sound[random.below(3) as usize];
        // Files keep their length: that segments do is what makes mapping them safe.
        let mut harmed =
            mutate::mutate(&mut random, &sound[which], other, &[8, 12, 36, 48, 64, 72, 4096, 4108, 4114]);
        harmed.resize(sound[which].len(), 0);
        let copy = tempfile::tempdir().unwrap();
        for (name, bytes) in names.iter().zip(&sound) {
            let path = copy.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::write(copy.path().join(names[which]), &harmed).unwrap();
        let is_page = names[which] == "control/log";
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let report = verify(copy.path(), &mut |_| {}).unwrap();
            assert!(is_page || harmed == sound[which] || !report.is_intact(), "verify calls it intact");
            let whole = |log: &Log| match payloads(log) {
                Ok(payloads) => assert!(payloads == expected, "{} of {}", payloads.len(), expected.len()),
                Err(error) => drop(error.to_string()),
            };
            // What the page says of how far to read is all that a follower knows; it may see less, never other.
            if let Ok(log) = Log::open(copy.path()) {
                let found = payloads(&log).unwrap();
                assert!(found[..] == expected[..found.len()]);
            }
            match Store::open(copy.path(), &small()) {
                Ok(store) => whole(&store),
                Err(_) => refused += 1,
            }
        }));
        if let Err(panic) = answer {
            let path = std::env::temp_dir().join(format!("harmed-{seed}"));
            fs::write(&path, &harmed).unwrap();
            panic!("seed {seed}: {} harmed: {panic:?}; kept as {}", names[which], path.display());
        }
        round += 1;
    }
    assert!(refused > 0);
}

/// Makes the sound inputs anew, from a log that has one of everything.
fn write_corpus() {
    use std::sync::Once;
    static WRITTEN: Once = Once::new();
    if std::env::var_os("SUNDAY_GOLDEN").is_none_or(|mode| mode != "write") {
        return;
    }
    WRITTEN.call_once(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut random = Random(1);
        for number in 0..12_u64 {
            let mut commit = eventstore::CommitBuilder::new();
            for _ in 0..number % 4 {
                commit.event(random_event(&mut random));
            }
            for command in 0..(number + 1) % 3 + u64::from(number % 4 == 0) {
                commit.command(support::command(
                    &format!("{number}-{command}"),
                    "x",
                    if command == 0 && number % 4 > 0 {
                        eventstore::Outcome::Applied
                    } else {
                        eventstore::Outcome::Unchanged
                    },
                ));
            }
            store.append(commit.prepare().unwrap()).unwrap();
        }
        for _ in 0..3 {
            let payload = "x".repeat(30_000);
            store.append(support::one("s-1", eventstore::ExpectedVersion::Any, &payload)).unwrap();
        }
        store.close();
        for kind in ["frame", "segment_header"] {
            fs::create_dir_all(corpus(kind)).unwrap();
            for (name, _) in kept(kind).into_iter().filter(|(name, _)| name.starts_with("sound-")) {
                fs::remove_file(corpus(kind).join(name)).unwrap();
            }
        }
        for sequence in 0..2 {
            let bytes = fs::read(dir.path().join(format!("log/{sequence:010}.seg"))).unwrap();
            fs::write(corpus("segment_header").join(format!("sound-{sequence}")), &bytes[..4096]).unwrap();
            let mut at = 4096;
            while bytes.get(at..at + 4) == Some(b"SFRM") {
                let len = frame_len(&bytes[at..]);
                let mut frame = bytes[at..at + len].to_vec();
                at += len;
                if len < 4096 {
                    check::right_frame(&mut frame);
                    fs::write(corpus("frame").join(format!("sound-{sequence}-{at}")), frame).unwrap();
                }
            }
        }
    });
}

fn frame_len(bytes: &[u8]) -> usize {
    let number = |at: usize, len: usize| {
        bytes[at..at + len].iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte))
    };
    (96 + 8 * number(18, 2) + number(12, 4) + 7) & !7
}
