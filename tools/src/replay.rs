//! The log's events as JSON lines on stdout, straight from the mapped segments.
//!
//! Invariant: payloads are given out byte for byte as they are stored.

use crate::failure::Failure;
use eventstore::{Direction, EventView, Log, Position, StreamId, Tag, Version};
use query_api::envelope::write_event;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// Events of one stream that are asked for at a time.
const PAGE_EVENTS: usize = 1_000;

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The first position.
    pub from: Position,
    /// The position to stop before; the end where absent.
    pub to: Option<Position>,
    /// Only of this stream.
    pub stream: Option<StreamId>,
    /// Only of this type.
    pub event_type: Option<String>,
    /// Only of streams whose names begin so, up to their first hyphen.
    pub category: Option<String>,
    /// Only with this tag.
    pub tag: Option<Tag>,
}

/// Writes the selected events to a file, which appears under its name once it is whole and on disk.
///
/// # Errors
/// As [`replay`]; and when the file cannot be written.
pub fn replay_to(data_dir: &Path, selection: &Selection, path: &Path) -> Result<u64, Failure> {
    let io = |source| Failure::Io { action: format!("cannot write {}", path.display()), source };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".writing");
    let unfinished = PathBuf::from(unfinished);
    let mut file = File::create(&unfinished).map_err(io)?;
    let count = replay(data_dir, selection, &mut file)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&unfinished, path).map_err(io)?;
    Ok(count)
}

/// Writes the selected events to `out`, one JSON object a line, and returns how many. Whoever stops reading `out`
/// ends it, which is no error.
///
/// # Errors
/// When there is no log, it is damaged, or `out` cannot be written.
pub fn replay(data_dir: &Path, selection: &Selection, out: &mut dyn Write) -> Result<u64, Failure> {
    let log = Log::open_offline(data_dir)?;
    let mut lines = Lines { buffer: Vec::with_capacity(BUFFER_BYTES * 2), out, selection, count: 0 };
    let written = match (&selection.stream, &selection.tag) {
        (Some(stream), _) => lines.stream(&log, stream),
        (None, Some(tag)) => lines.tag(&log, tag),
        (None, None) => lines.everything(&log),
    };
    match written.and_then(|()| lines.flush()) {
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(lines.count),
        result => result?,
    }
    // What can be read has been written; that there is more is no success.
    match log.damage() {
        Some(damage) => Err(damage.clone().into()),
        None => Ok(lines.count),
    }
}

struct Lines<'a> {
    buffer: Vec<u8>,
    out: &'a mut dyn Write,
    selection: &'a Selection,
    count: u64,
}

impl Lines<'_> {
    fn everything(&mut self, log: &Log) -> Result<(), Failure> {
        for commit in log.commits(self.selection.from) {
            let commit = commit?;
            if self.selection.to.is_some_and(|to| commit.first() >= to) {
                break;
            }
            for event in commit.events() {
                self.event(&event)?;
            }
        }
        Ok(())
    }

    fn stream(&mut self, log: &Log, stream: &StreamId) -> Result<(), Failure> {
        let mut from = Version::ZERO;
        loop {
            let page = log.read_stream(stream, from, Direction::Forward, PAGE_EVENTS)?;
            for event in page.iter().filter_map(eventstore::RecordedEvent::get) {
                self.event(&event)?;
            }
            if page.len() < PAGE_EVENTS {
                return Ok(());
            }
            from = from.plus(page.len() as u64);
        }
    }

    fn tag(&mut self, log: &Log, tag: &Tag) -> Result<(), Failure> {
        let mut from = self.selection.from;
        loop {
            let page = log.read_tag(tag, from, Direction::Forward, PAGE_EVENTS)?;
            for event in page.iter().filter_map(eventstore::RecordedEvent::get) {
                self.event(&event)?;
                from = event.position().plus(1);
            }
            if page.len() < PAGE_EVENTS || self.selection.to.is_some_and(|to| from >= to) {
                return Ok(());
            }
        }
    }

    fn event(&mut self, event: &EventView<'_>) -> Result<(), Failure> {
        let Selection { from, to, event_type, category, tag, .. } = self.selection;
        let position = event.position();
        if position < *from
            || to.is_some_and(|to| position >= to)
            || event_type.as_ref().is_some_and(|wanted| wanted != event.event_type())
            || category.as_ref().is_some_and(|wanted| wanted != StreamId::category_of(event.stream()))
            || tag.as_ref().is_some_and(|wanted| !event.tags().any(|tag| tag == wanted.as_str()))
        {
            return Ok(());
        }
        write_event(&mut self.buffer, event);
        self.buffer.push(b'\n');
        self.count += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), Failure> {
        self.out.write_all(&self.buffer).map_err(Failure::Output)?;
        self.buffer.clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.write_out()?;
        self.out.flush().map_err(Failure::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventstore::{CommitBuilder, ContentType, EventType, Metadata, NewEvent, Store, StoreOptions};
    use serde_json::Value;

    fn event(stream: &str, event_type: &str) -> NewEvent {
        NewEvent {
            id: uuid::Uuid::now_v7(),
            stream: StreamId::new(stream).unwrap(),
            event_type: EventType::new(event_type).unwrap(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: vec![Tag::new(format!("of:{stream}")).unwrap()],
            metadata: Metadata::default(),
            payload: br#"{ "kept":  1 }"#.to_vec(),
        }
    }

    fn log() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &StoreOptions::default()).unwrap();
        for (stream, event_type) in [("a-1", "x.one"), ("b-1", "x.two"), ("a-1", "x.two"), ("a-1", "x.one")] {
            let mut commit = CommitBuilder::new();
            commit.event(event(stream, event_type));
            store.append(commit.prepare().unwrap()).unwrap();
        }
        store.close();
        dir
    }

    fn positions(selection: &Selection) -> Vec<u64> {
        let dir = log();
        let mut out = Vec::new();
        let count = replay(dir.path(), selection, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.contains(r#""data":{ "kept":  1 }"#)), "{text}");
        let positions: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap())
            .collect();
        assert_eq!(count, positions.len() as u64);
        positions
    }

    #[test]
    fn a_selection_is_half_open_and_its_parts_add_up() {
        assert_eq!(positions(&Selection::default()), [0, 1, 2, 3]);
        let from = Position::new(1);
        assert_eq!(positions(&Selection { from, to: Some(Position::new(3)), ..Default::default() }), [1, 2]);
        let stream = Some(StreamId::new("a-1").unwrap());
        assert_eq!(positions(&Selection { stream: stream.clone(), ..Default::default() }), [0, 2, 3]);
        let event_type = Some("x.one".to_owned());
        assert_eq!(positions(&Selection { event_type: event_type.clone(), ..Default::default() }), [0, 3]);
        assert_eq!(
            positions(&Selection { from, stream: stream.clone(), event_type, ..Default::default() }),
            [3]
        );
        let category = Some("b".to_owned());
        assert_eq!(positions(&Selection { category: category.clone(), ..Default::default() }), [1]);
        let tag = Some(Tag::new("of:a-1").unwrap());
        assert_eq!(positions(&Selection { tag: tag.clone(), ..Default::default() }), [0, 2, 3]);
        let to = Some(Position::new(3));
        assert_eq!(positions(&Selection { from, to, tag: tag.clone(), ..Default::default() }), [2]);
        assert!(positions(&Selection { category, tag: tag.clone(), ..Default::default() }).is_empty());
        assert_eq!(positions(&Selection { stream, tag, ..Default::default() }), [0, 2, 3]);
    }

    #[test]
    fn a_file_is_there_once_it_is_whole() {
        let (dir, mut out) = (log(), Vec::new());
        replay(dir.path(), &Selection::default(), &mut out).unwrap();
        let path = dir.path().join("events.ndjson");
        assert_eq!(replay_to(dir.path(), &Selection::default(), &path).unwrap(), 4);
        assert_eq!(std::fs::read(&path).unwrap(), out);
        assert!(!dir.path().join("events.ndjson.writing").exists());
        let nowhere = dir.path().join("nowhere/events.ndjson");
        assert_eq!(replay_to(dir.path(), &Selection::default(), &nowhere).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn a_reader_that_stops_is_no_error_and_no_log_is_one() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(replay(log().path(), &Selection::default(), &mut Closed).is_ok());
        let empty = tempfile::tempdir().unwrap();
        let error = replay(empty.path(), &Selection::default(), &mut io::sink()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
    }
}
