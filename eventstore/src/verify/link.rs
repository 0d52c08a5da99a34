//! What can only be checked in order: the chain, positions, versions, and that no id stands twice.

use super::report::{Class, Finding, Report};
use super::window::{Hashed, HashedWindow, Walked};
use crate::digest::{self, Link};
use crate::format::frame::FrameKind;
use crate::numbers::{Digest, Position, Timestamp, Version};
use rustc_hash::{FxHashMap, FxHashSet};
use uuid::Uuid;

/// The state between frames.
pub(super) struct Linker {
    store: Option<Uuid>,
    /// `None` after frames were lost: the next frame's chain cannot be checked.
    chain: Option<Digest>,
    next: Position,
    recorded_at: Timestamp,
    epoch: u32,
    events: u64,
    /// Whether frames were lost: streams may then be ahead of what was seen.
    lost: bool,
    /// By stream id with its length prefix, as stored.
    heads: FxHashMap<Box<[u8]>, Version>,
    event_ids: FxHashSet<Uuid>,
}

impl Linker {
    pub(super) fn new() -> Self {
        Self {
            store: None,
            chain: Some(Digest::default()),
            next: Position::ZERO,
            recorded_at: Timestamp::new(i64::MIN),
            epoch: 0,
            events: 0,
            lost: false,
            heads: FxHashMap::default(),
            event_ids: FxHashSet::default(),
        }
    }

    pub(super) fn begin_segment(&mut self, store: Uuid) {
        self.store.get_or_insert(store);
    }

    pub(super) fn next(&self) -> Position {
        self.next
    }

    pub(super) fn chain(&self) -> Option<Digest> {
        self.chain
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn streams(&self) -> u64 {
        self.heads.len() as u64
    }

    /// Frames between the last one and the next one are not readable.
    pub(super) fn lost(&mut self) {
        self.chain = None;
        self.lost = true;
    }

    pub(super) fn link(&mut self, segment: u32, (window, hashed): &HashedWindow<'_>, report: &mut Report) {
        for (walked, hashed) in window.iter().zip(hashed) {
            let mut found = Vec::new();
            self.frame(walked, hashed, &mut |class, message: String| {
                found.push(Finding::new(class, segment, walked.offset, walked.frame.header.first, message));
                found.len() - 1
            });
            report.findings.append(&mut found);
            if hashed.error.is_none() {
                self.versions(segment, walked, hashed, report);
            }
        }
    }

    fn frame(
        &mut self,
        walked: &Walked<'_>,
        hashed: &Hashed<'_>,
        find: &mut dyn FnMut(Class, String) -> usize,
    ) {
        let header = &walked.frame.header;
        if header.first != self.next {
            if header.first < self.next {
                find(
                    Class::Reorder,
                    format!("the frame begins at position {}, expected {}", header.first, self.next),
                );
            } else if !self.lost || self.chain.is_some() {
                find(
                    Class::Gap,
                    format!("the frame begins at position {}, expected {}", header.first, self.next),
                );
            }
        }
        if header.recorded_at < self.recorded_at {
            find(Class::Reorder, "the frame was recorded before its predecessor".to_owned());
        }
        if header.epoch < self.epoch {
            find(
                Class::Reorder,
                format!("the frame is of epoch {}, its predecessor of {}", header.epoch, self.epoch),
            );
        }
        if header.durable_upto > header.first {
            find(Class::Tampered, "the frame vouches for more than there was before it".to_owned());
        }
        if let Some(error) = hashed.error {
            find(Class::Tampered, format!("the CRC is good, but {error}"));
        }
        let expected = match (header.kind, self.chain, self.store) {
            (FrameKind::Commit, Some(previous), Some(store)) => Some(digest::chain(
                &previous,
                store,
                &Link {
                    first: header.first,
                    events: header.events,
                    recorded_at: header.recorded_at,
                    streams: header.streams,
                    base_versions: walked.frame.base_version_bytes(),
                    body: hashed.body,
                },
            )),
            (FrameKind::Commit, ..) => None,
            (FrameKind::Mark | FrameKind::Seal, previous, _) => previous,
        };
        if let Some(expected) = expected.filter(|expected| *expected != header.chain) {
            let message = format!("the chain is broken: expected {expected}, found {}", header.chain);
            find(Class::Tampered, message);
        }
        // Going on with what the frame says names each harm once instead of every frame after it.
        self.chain = Some(header.chain);
        self.next = header.next();
        self.recorded_at = self.recorded_at.max(header.recorded_at);
        self.epoch = self.epoch.max(header.epoch);
        self.events += u64::from(header.events);
    }

    fn versions(&mut self, segment: u32, walked: &Walked<'_>, hashed: &Hashed<'_>, report: &mut Report) {
        for (id, event) in &hashed.events {
            let finding = |class, message: &str| {
                Finding::new(class, segment, walked.offset, event.position(), message).stream(event.stream())
            };
            if !self.event_ids.insert(*id) {
                report
                    .findings
                    .push(finding(Class::Duplicate, "the event id stands twice").differs(&"a new id", id));
            }
            let (expected, version) = match self.heads.get_mut(event.prefixed_stream()) {
                Some(head) => {
                    let expected = head.plus(1);
                    *head = event.version();
                    (expected, event.version())
                }
                None => {
                    self.heads.insert(event.prefixed_stream().into(), event.version());
                    (Version::ZERO, event.version())
                }
            };
            if version < expected {
                let found = finding(Class::Duplicate, "the stream already has this version");
                report.findings.push(found.differs(&expected, &version));
            } else if version > expected && !self.lost {
                report
                    .findings
                    .push(finding(Class::Gap, "the stream misses a version").differs(&expected, &version));
            }
        }
    }
}
