//! From lines to chunks of commands: the reading half of an import, on a thread of its own.
//!
//! ```text
//!  lines ─▶ parse ─▶ item known? ──no──▶ held back until its creation
//!                       │ yes
//!                       ▼
//!            chunk { set-up, one batch per lane } ─▶ the sending half
//! ```
//!
//! Invariant: commands of one key are in one lane, in file order, the held-back ones right after the creation.

use crate::import::batch::Batch;
use crate::import::hold::{Held, Holding};
use crate::import::keys::Ordinals;
use crate::import::line::{Line, Members, Reason};
use crate::import::map::{self, Kind};
use crate::import::places::{Home, Places};
use crate::import::read::{LINE_BYTES_MAX, Lines, Next};
use crate::import::tally::{Fate, Tally};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;
use std::io;

/// Commands of one chunk, over all lanes.
const CHUNK_COMMANDS: usize = 6_144;
/// Bytes after which a chunk is sent, however few its commands are: a lane's batch stays below what the server takes.
const CHUNK_BYTES: usize = 6 << 20;

/// What is sent together: first the set-up, then the lanes side by side.
#[derive(Debug)]
pub(super) struct Chunk {
    /// New workspaces, projects, boards and columns.
    pub set_up: Batch,
    /// By lane.
    pub lanes: Vec<Batch>,
}

/// Something to try after an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// An item's external key.
    pub external_key: String,
    /// Its board's id.
    pub board: String,
    /// A word of its title.
    pub word: Option<String>,
}

/// The reading half of an import.
pub(super) struct Feed {
    lines: Lines,
    lane_count: usize,
    ordinals: Ordinals,
    places: Places,
    homes: FxHashMap<Box<str>, Home>,
    holding: Holding,
    /// Lines that never became commands.
    tally: Tally,
    sample: Option<Sample>,
    ended: bool,
}

impl Feed {
    /// Reads from `lines` for this many lanes, at least 1.
    pub(super) fn new(lines: Lines, lane_count: usize) -> Self {
        Self {
            lines,
            lane_count: lane_count.max(1),
            ordinals: Ordinals::default(),
            places: Places::default(),
            homes: FxHashMap::default(),
            holding: Holding::default(),
            tally: Tally::default(),
            sample: None,
            ended: false,
        }
    }

    /// The next chunk; nothing when the file has ended.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let mut chunk = Chunk {
            set_up: Batch::default(),
            lanes: (0..self.lane_count).map(|_| Batch::default()).collect(),
        };
        let mut taken = 0;
        while !self.ended && taken < CHUNK_COMMANDS && chunk.bytes() < CHUNK_BYTES {
            taken += 1;
            self.take_line(&mut chunk)?;
        }
        if self.ended && taken == 0 {
            return Ok(None);
        }
        if self.ended {
            for (line, key) in self.holding.left() {
                self.tally.count(line, Fate::Rejected(format!("the item {key:?} is never created")));
            }
        }
        Ok(Some(chunk))
    }

    /// Bytes of the file read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }

    /// What became of the lines that are in no chunk, and something to try.
    pub(super) fn finish(self) -> (Tally, Option<Sample>) {
        (self.tally, self.sample)
    }

    fn take_line(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        // Destructured, because the line borrows from `lines` while the rest changes.
        let Self { lines, lane_count, ordinals, places, homes, holding, tally, sample, ended } = self;
        let (number, bytes) = match lines.next()? {
            Next::Line(number, bytes) => (number, bytes),
            Next::TooLong(number) => {
                let reason = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                tally.count(number, Fate::Rejected(reason));
                return Ok(());
            }
            Next::End => {
                *ended = true;
                return Ok(());
            }
        };
        let mut run = || -> Result<(), Reason> {
            let line = Line::parse(bytes)?;
            let kind = Kind::parse(&line.kind)?;
            let id = ordinals.name(&line);
            let Chunk { set_up, lanes } = &mut *chunk;
            let batch = &mut lanes[lane(&line.key, *lane_count)];
            if kind == Kind::Created {
                let home = map::create(number, &line, id, places, set_up, batch)?;
                if sample.as_ref().is_none_or(|sample| sample.word.is_none()) {
                    *sample = Some(sample_of(&line, &home));
                }
                // Of two creations the first one counts; the server refuses the second.
                let home = *homes.entry(line.key.as_ref().into()).or_insert(home);
                for held in holding.release(&line.key) {
                    if let Err(reason) = replay_held(&held, &home, places, set_up, batch) {
                        tally.count(held.number, Fate::Rejected(reason));
                    }
                }
                return Ok(());
            }
            match homes.get(&*line.key) {
                Some(home) => map::change(number, &line, kind, id, home, places, set_up, batch),
                None => holding.keep(&line.key, Held { number, id, bytes: bytes.into() }),
            }
        };
        let result = run();
        if let Err(reason) = result {
            tally.count(number, Fate::Rejected(reason));
        }
        Ok(())
    }
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.set_up.bytes() + self.lanes.iter().map(Batch::bytes).sum::<usize>()
    }
}

fn replay_held(
    held: &Held,
    home: &Home,
    places: &mut Places,
    set_up: &mut Batch,
    batch: &mut Batch,
) -> Result<(), Reason> {
    let line = Line::parse(&held.bytes)?;
    let kind = Kind::parse(&line.kind)?;
    map::change(held.number, &line, kind, held.id, home, places, set_up, batch)
}

fn lane(key: &str, lanes: usize) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write(key.as_bytes());
    // The high bits are the well mixed ones; the remainder is below `lanes`, so it fits.
    usize::try_from((hasher.finish() >> 32) % lanes as u64).unwrap_or_default()
}

fn sample_of(line: &Line<'_>, home: &Home) -> Sample {
    let title = Members::parse(line.data).ok().and_then(|data| data.text("title").ok().flatten());
    let word = title.as_deref().and_then(|title| {
        let words = title.split(|letter: char| !letter.is_ascii_alphabetic());
        words.filter(|word| word.len() >= 5).max_by_key(|word| word.len()).map(str::to_lowercase)
    });
    Sample { external_key: line.key.to_string(), board: home.board.to_string(), word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::io::Write;

    /// The commands of all chunks, set-up first, and the tally of what became none.
    fn feed(text: &str, lanes: usize) -> (Vec<Value>, Vec<Value>, Tally) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut feed = Feed::new(Lines::open(file.path()).unwrap(), lanes);
        let commands = |batch: &Batch| -> Vec<Value> {
            let body: Value = serde_json::from_slice(&batch.body(0..batch.len())).unwrap();
            body["commands"].as_array().unwrap().clone()
        };
        let (mut set_up, mut rest) = (Vec::new(), Vec::new());
        while let Some(chunk) = feed.next_chunk().unwrap() {
            set_up.extend(commands(&chunk.set_up));
            rest.extend(chunk.lanes.iter().flat_map(&commands));
        }
        let (mut tally, _) = feed.finish();
        tally.sort();
        (set_up, rest, tally)
    }

    fn line(key: &str, kind: &str, data: &str) -> String {
        format!(
            r#"{{"stream_key":"{key}","type":"{kind}","at":"2014-01-01T00:00:00Z","actor":"a","data":{data}}}"#
        ) + "\n"
    }

    #[test]
    fn what_is_named_is_set_up_once_and_early_lines_wait() {
        let created =
            r#"{"workspace":"w","project":"p","column":"Open","title":"T","final":{"x":1},"labels":["l"]}"#;
        let text = line("w/1", "comment.added", r#"{"comment_id":"7","body":"early"}"#)
            + &line("w/1", "item.created", created)
            + &line("w/1", "item.moved", r#"{"from":"Open","to":"Done"}"#)
            + &line("w/2", "item.created", created);
        let (set_up, commands, tally) = feed(&text, 1);
        let names = |list: &[Value]| -> Vec<String> {
            list.iter().map(|command| command["command"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            names(&set_up),
            ["workspace.create", "project.create", "board.create", "board.add_column", "board.add_column"]
        );
        assert_eq!(set_up[2]["data"]["name"], "p", "a missing board is the project's own");
        assert_eq!(names(&commands), ["item.create", "comment.add", "item.move", "item.create"]);
        assert_eq!(commands[0]["data"]["fields"], serde_json::json!({"labels": ["l"]}));
        assert_eq!(commands[0]["data"]["columnId"], set_up[3]["data"]["id"]);
        assert_eq!(commands[2]["data"]["columnId"], set_up[4]["data"]["id"]);
        assert_eq!(commands[1]["onBehalfOf"], "a");
        assert_eq!(tally.lines, 0);
    }

    #[test]
    fn lines_that_cannot_be_used_are_named() {
        let text = "nonsense\n".to_owned()
            + &line("w/1", "item.exploded", "{}")
            + &line("w/9", "item.reopened", "{}")
            + &line("w/1", "item.created", "{}")
            + &line("w/1", "item.created", r#"{"workspace":"w","project":"p","column":"c"}"#)
            + &line("w/1", "item.moved", "{}")
            + &line("w/1", "item.updated", r#"{"field":"x","added":1,"removed":2}"#)
            + &line("w/1", "item.updated", r#"{"field":"dueDate","to":"2026-02-29"}"#);
        let (_, commands, tally) = feed(&text, 3);
        assert_eq!(commands.len(), 1);
        let reasons: Vec<_> = tally.rejections.iter().map(|r| (r.line, r.reason.as_str())).collect();
        assert!(reasons[0].1.starts_with("not a line of a history"));
        assert_eq!(
            reasons[1..],
            [
                (2, "unknown type \"item.exploded\""),
                (3, "the item \"w/9\" is never created"),
                (4, "no workspace"),
                (6, "no to"),
                (7, "both added and removed"),
                (8, r#"dueDate "2026-02-29" is no date"#),
            ]
        );
    }

    #[test]
    fn updates_become_edits() {
        let mut text = line("w/1", "item.created", r#"{"workspace":"w","project":"p","column":"c"}"#);
        for data in [
            r#"{"field":"touched"}"#,
            r#"{"field":"team","from":"a","to":"b"}"#,
            r#"{"field":"team","from":"b"}"#,
            r#"{"field":"labels","added":"x"}"#,
            r#"{"field":"labels","removed":["x","y"]}"#,
            r#"{"field":"title","to":"New"}"#,
            r#"{"field":"description","from":"x","to":null}"#,
            r#"{"field":"dueDate","from":"2026-01-01","to":"2026-01-02T23:00:00+01:00"}"#,
            r#"{"field":"dueDate","from":"2026-01-02"}"#,
            r#"{"activity":"Update"}"#,
        ] {
            text += &line("w/1", "item.updated", data);
        }
        let (_, commands, tally) = feed(&text, 2);
        assert_eq!(tally.rejected, 0);
        let data: Vec<String> = commands[1..].iter().map(|command| command["data"].to_string()).collect();
        assert_eq!(
            data,
            [
                "{}",
                r#"{"fields":{"team":{"set":"b"}}}"#,
                r#"{"fields":{"team":{"set":null}}}"#,
                r#"{"fields":{"labels":{"add":["x"]}}}"#,
                r#"{"fields":{"labels":{"remove":["x","y"]}}}"#,
                r#"{"title":"New"}"#,
                r#"{"description":null}"#,
                r#"{"dueDate":"2026-01-02"}"#,
                r#"{"dueDate":null}"#,
                "{}"
            ]
        );
    }
}
