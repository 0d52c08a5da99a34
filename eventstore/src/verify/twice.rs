//! Reading a log again for ids that stand twice: only when two fingerprints were alike.

use super::check::check_body;
use super::class::Class;
use super::files::SegmentFile;
use super::ids::{Kind, fingerprint};
use super::reader::{Blocks, Reader};
use super::report::Finding;
use super::run::WalkedSegment;
use super::walk::{Step, Walker};
use crate::format::event::EventView;
use crate::format::frame::{self, Frame, FrameKind};
use rustc_hash::FxHashSet;
use uuid::Uuid;

/// A finding for every id that has stood before, among those whose fingerprints are suspect.
pub(super) fn find(
    segments: &[SegmentFile],
    walked: &[WalkedSegment],
    suspects: &FxHashSet<u64>,
) -> Vec<Finding> {
    let mut search = Search {
        suspects,
        events: FxHashSet::default(),
        commands: FxHashSet::default(),
        findings: Vec::new(),
    };
    let mut blocks = Blocks::default();
    for (index, salt, stop) in walked {
        let Some(segment) = segments.get(*index) else { continue };
        let reader = Reader::new(&*segment.file, segment.len, &mut blocks);
        let mut walker = Walker::new(reader, salt, *stop);
        loop {
            match walker.next() {
                Step::End => break,
                Step::Bad(..) => {
                    if !walker.resume() {
                        break;
                    }
                }
                Step::Frames(chunk) => {
                    for (offset, header) in chunk.frames {
                        let frame = frame::decode_rest(chunk.block.from(offset), header);
                        if let Ok(frame) = frame.as_ref()
                            && header.kind == FrameKind::Commit
                        {
                            search.commit(segment.sequence, offset, frame);
                        }
                    }
                }
            }
        }
    }
    search.findings
}

struct Search<'s> {
    suspects: &'s FxHashSet<u64>,
    events: FxHashSet<Uuid>,
    commands: FxHashSet<[u8; 16]>,
    findings: Vec<Finding>,
}

impl Search<'_> {
    fn commit(&mut self, segment: u32, offset: u64, frame: &Frame<'_>) {
        let mut found: Vec<EventView<'_>> = Vec::new();
        let body = check_body(frame, offset, &mut Vec::new(), |view| {
            if self.suspects.contains(&fingerprint(Kind::Event, view.id().as_bytes())) {
                found.push(*view);
            }
        });
        // What is malformed has been reported, and its ids were not counted.
        let Ok(body) = body else { return };
        for view in found {
            if !self.events.insert(view.id()) {
                let message = "the event id stands twice";
                let finding = Finding::new(Class::Duplicate, segment, offset, view.position(), message);
                self.findings.push(finding.stream(view.stream()).differs(&"a new id", &view.id()));
            }
        }
        for id in body.command_ids() {
            if self.suspects.contains(&fingerprint(Kind::Command, id)) && !self.commands.insert(*id) {
                let message = "the command id stands twice";
                let finding = Finding::new(Class::Duplicate, segment, offset, frame.header.first, message);
                let id = crate::names::CommandId::from_bytes(*id);
                self.findings.push(finding.differs(&"a new id", &id));
            }
        }
    }
}
