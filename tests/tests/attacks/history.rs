//! Attacks on the log itself. Where nothing else is said, the forger makes everything right again that he can without the log's key.

use crate::forge::{Event, Log, segments};
use crate::hash::crc;
use crate::site::{BASE, SEGMENTS, Site, classes};
use std::fs;

/// An event in the middle.
fn middle(log: &Log) -> (usize, usize) {
    let half = log.commits.len() / 2;
    let (at, event) =
        log.find(|event| event.event_type == "item.updated" || event.event_type == "comment.added");
    if at >= half {
        (at, event)
    } else {
        (half + log.commits[half..].iter().position(|it| !it.events.is_empty()).unwrap(), 0)
    }
}

/// Changes one event in the middle, and everything after it.
fn rewritten(change: impl FnOnce(&mut Event)) -> Site {
    let site = Site::new();
    site.forge(|log| {
        let (commit, event) = middle(log);
        change(&mut log.commits[commit].events[event]);
    });
    site
}

#[test]
fn an_honest_copy_is_intact_and_so_is_one_that_a_forger_has_put_together_again() {
    let site = Site::new();
    site.expect_untold(&[]);
    site.forge(|_| {});
    let report = site.expect_untold(&[]);
    assert_eq!(report["checkpoints"]["proven"], BASE.report["checkpoints"]["proven"]);
    assert_eq!(report["events"].as_u64().unwrap(), BASE.log.events() as u64);
}

#[test]
fn an_event_rewritten_with_everything_after_it() {
    let report = rewritten(|event| *event.payload.last_mut().unwrap() ^= 1).expect(&[], 1, "fork");
    let fork = report["findings"].as_array().unwrap().iter().find(|it| it["class"] == "fork").unwrap();
    assert!(fork["expected"].is_string() && fork["actual"].is_string(), "{fork}");
    let agreed = fork["position"].as_u64().unwrap();
    let (commit, _) = middle(&BASE.log);
    let changed: usize = BASE.log.commits[..commit].iter().map(|commit| commit.events.len()).sum();
    assert!(agreed <= changed as u64, "it says up to where the two agree: {fork}, changed at {changed}");
}

#[test]
fn an_events_tags() {
    rewritten(|event| event.tags[0].push('x')).expect(&[], 1, "fork");
}

#[test]
fn an_events_type() {
    rewritten(|event| event.event_type = "item.praised".to_owned()).expect(&[], 1, "fork");
}

#[test]
fn an_events_metadata() {
    rewritten(|event| {
        // Correlation and causation come first, where there are any.
        assert!(!event.metadata.is_empty());
        event.metadata[0] ^= 1;
    })
    .expect(&[], 1, "fork");
}

#[test]
fn who_did_it() {
    rewritten(|event| {
        let place = |bytes: &[u8]| bytes.windows(8).position(|window| window == b"\"actor\":");
        let (in_metadata, in_payload) = (place(&event.metadata), place(&event.payload));
        let (bytes, at) = match (in_metadata, in_payload) {
            (Some(at), _) => (&mut event.metadata, at),
            (None, at) => (&mut event.payload, at.expect("an event says who did it")),
        };
        bytes[at + 9] ^= 1;
    })
    .expect(&[], 1, "fork");
}

#[test]
fn an_events_id() {
    rewritten(|event| event.id[15] ^= 1).expect(&[], 1, "fork");
}

#[test]
fn an_event_moved_to_another_stream() {
    let site = Site::new();
    site.forge(|log| {
        let (commit, event) = middle(log);
        log.commits[commit].events[event].stream.push('0');
    });
    site.expect(&[], 1, "fork");
}

#[test]
fn the_time_of_a_commit() {
    let site = Site::new();
    site.forge(|log| {
        // Not before its predecessor: that would show by itself.
        let later = log.commits.windows(2).position(|pair| pair[0].recorded_at < pair[1].recorded_at);
        log.commits[later.unwrap() + 1].recorded_at -= 1;
    });
    site.expect(&[], 1, "fork");
}

#[test]
fn a_time_that_goes_back() {
    let site = Site::new();
    site.forge(|log| {
        let (commit, _) = middle(log);
        log.commits[commit].recorded_at = log.commits[0].recorded_at - 1;
    });
    site.expect(&["--log-only"], 1, "reorder");
}

#[test]
fn two_commits_swapped() {
    let site = Site::new();
    site.forge(|log| {
        let (commit, _) = middle(log);
        let (one, other) = (log.commits[commit].recorded_at, log.commits[commit + 1].recorded_at);
        log.commits.swap(commit, commit + 1);
        (log.commits[commit].recorded_at, log.commits[commit + 1].recorded_at) = (one, other);
    });
    site.expect(&[], 1, "fork");
}

#[test]
fn an_event_inserted() {
    let site = Site::new();
    site.forge(|log| {
        let (commit, event) = middle(log);
        let mut new = log.commits[commit].events[event].clone();
        new.id[15] ^= 0x55;
        let count = log.commits[commit].events.len();
        log.commits[commit].events.insert(count, new);
        if let Some(last) = log.commits[commit].commands.last_mut() {
            last.events += 1;
        }
    });
    site.expect(&[], 1, "fork");
}

#[test]
fn an_event_deleted() {
    let site = Site::new();
    site.forge(|log| {
        let (commit, _) = middle(log);
        log.commits.remove(commit);
    });
    let report = site.expect(&[], 1, "fork");
    assert!(classes(&report).contains("truncated_below_checkpoint"), "the log is shorter as well");
}

#[test]
fn an_event_duplicated() {
    let site = Site::new();
    site.forge(|log| {
        let (commit, _) = middle(log);
        let mut again = log.commits[commit].clone();
        again.commands.clear();
        log.commits.insert(commit + 1, again);
    });
    let report = site.expect(&[], 1, "duplicate");
    assert!(classes(&report).contains("fork"));
}

#[test]
fn what_a_command_came_to() {
    let site = Site::new();
    site.forge(|log| {
        let commit = log.commits.iter().position(|commit| !commit.commands.is_empty()).unwrap();
        log.commits[commit].commands[0].fingerprint[0] ^= 1;
    });
    // The tree does not cover it, the chain does; and the journal remembers the chain.
    let report = site.expect(&[], 1, "fork");
    assert!(report["findings"].to_string().contains("chain head"), "{report}");
}

#[test]
fn the_name_of_the_store() {
    let site = Site::new();
    site.forge(|log| log.store[3] ^= 1);
    site.expect(&[], 1, "fork");
}

#[test]
fn the_tail_cut_off() {
    let site = Site::new();
    let (log, _) = site.forge(|log| log.commits.truncate(log.commits.len() * 2 / 3));
    let report = site.expect(&[], 1, "truncated_below_checkpoint");
    let events = report["findings"].as_array().unwrap().iter();
    let cut = events.into_iter().find(|it| it["class"] == "truncated_below_checkpoint").unwrap().clone();
    assert_eq!(cut["actual"], log.events().to_string());
    assert_eq!(cut["expected"], BASE.log.events().to_string());
}

#[test]
fn the_file_of_a_segment_in_the_middle_removed() {
    let site = Site::new();
    fs::remove_file(&segments(site.path())[1]).unwrap();
    let report = site.expect(&[], 4, "missing_segment");
    assert!(
        !report["unchecked"].as_array().unwrap().is_empty(),
        "and it says what that leaves open: {report}"
    );
}

#[test]
fn the_file_of_the_first_segment_removed() {
    let site = Site::new();
    fs::remove_file(&segments(site.path())[0]).unwrap();
    site.expect(&[], 4, "missing_segment");
}

#[test]
fn a_segment_taken_out_and_the_rest_joined() {
    let site = Site::new();
    site.forge(|log| {
        let share = log.commits.len().div_ceil(SEGMENTS);
        log.commits.drain(share..2 * share);
    });
    site.expect(&["--log-only"], 1, "truncated_below_checkpoint");
}

#[test]
fn a_segment_of_a_forged_log_put_into_the_honest_one() {
    let (site, forged) = (Site::new(), rewritten(|event| event.schema += 1));
    let changed = segments(forged.path())
        .into_iter()
        .zip(segments(site.path()))
        .find(|(forged, honest)| fs::read(forged).unwrap() != fs::read(honest).unwrap());
    let (forged, honest) = changed.expect("one of the segments is another");
    fs::copy(forged, honest).unwrap();
    site.expect(&["--log-only"], 1, "tampered");
}

/// The first frame of a segment that holds events: where it begins, and where its body is.
fn first_commit(bytes: &[u8]) -> (usize, std::ops::Range<usize>) {
    let streams = usize::from(u16::from_le_bytes(bytes[4_096 + 18..4_096 + 20].try_into().unwrap()));
    let len = u32::from_le_bytes(bytes[4_096 + 12..4_096 + 16].try_into().unwrap()) as usize;
    let body = 4_096 + 96 + 8 * streams;
    (4_096, body..body + len)
}

#[test]
fn an_event_changed_with_the_checksums_made_right_and_no_digest() {
    let site = Site::new();
    site.edit(&segments(site.path())[0], |bytes| {
        let (frame, body) = first_commit(bytes);
        bytes[body.end - 1] ^= 1;
        let sum = crc(&[&bytes[body.clone()]]);
        bytes[frame + 8..frame + 12].copy_from_slice(&sum.to_le_bytes());
        let offset = (frame as u64).to_le_bytes();
        let sum = crc(&[&bytes[48..64], &offset, &bytes[frame + 8..body.start]]);
        bytes[frame + 4..frame + 8].copy_from_slice(&sum.to_le_bytes());
    });
    site.expect(&["--log-only"], 1, "tampered");
}

#[test]
fn a_byte_changed_and_nothing_made_right() {
    let site = Site::new();
    site.edit(&segments(site.path())[0], |bytes| {
        let (_, body) = first_commit(bytes);
        bytes[body.end - 1] ^= 1;
    });
    site.expect(&["--log-only"], 4, "bitrot");
}

#[test]
fn bytes_where_nothing_was_written() {
    // Behind the seal of a segment, and between two frames.
    for is_padding in [false, true] {
        let site = Site::new();
        site.edit(&segments(site.path())[1], |bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let mut at = used.next_multiple_of(8) + 8;
            let mut frame = 4_096;
            while is_padding && bytes[frame..frame + 4] == *b"SFRM" {
                let streams =
                    usize::from(u16::from_le_bytes(bytes[frame + 18..frame + 20].try_into().unwrap()));
                let len = u32::from_le_bytes(bytes[frame + 12..frame + 16].try_into().unwrap()) as usize;
                let end = frame + 96 + 8 * streams + len;
                frame = end.next_multiple_of(8);
                if frame != end {
                    at = end;
                    break;
                }
            }
            bytes[at] = 0x42;
        });
        site.expect(&["--log-only"], 4, "bitrot");
    }
}
