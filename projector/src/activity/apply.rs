//! How events get into the lists of what they concern.
//!
//! Total: an event without a tenant belongs to nobody and stands in no list; nor does one that this build cannot read.

use super::{ACTIVITY_VERSION, Activity, Thing, digest, rows};
use crate::decode::{DecodedEvent, Happening, Subject};
use crate::models::Name;
use crate::read_model::ReadModel;
use domain::{BoardId, DomainEvent, ItemId, ProjectId, WorkspaceId, board};
use eventstore::codec::CodecError;
use eventstore::{Digest, EventView, Lineage, Position};
use std::fmt;
use uuid::Uuid;

/// What an event concerns.
struct Scope {
    workspace: WorkspaceId,
    board: Option<BoardId>,
    item: Option<ItemId>,
}

impl Scope {
    /// As the event's tags say; nothing without a tenant.
    fn of(event: &EventView<'_>) -> Option<Self> {
        let (mut workspace, mut board, mut item) = (None, None, None);
        for tag in event.tags() {
            let Some((kind, id)) = tag.split_once(':') else { continue };
            match kind {
                "workspace" => workspace = workspace.or(id.parse().ok()),
                "board" => board = board.or(id.parse().ok()),
                "item" => item = item.or(id.parse().ok()),
                _ => {}
            }
        }
        Some(Self { workspace: workspace?, board, item })
    }
}

impl Activity {
    fn apply_event(&mut self, event: &DecodedEvent<'_>) {
        let Happening::Known(known) = &event.happening else { return };
        let Some(scope) = Scope::of(&event.view) else { return };
        let position = event.view.position();
        let project = self.project_of(event.subject, known, scope.board);
        self.note(Thing::Workspace(scope.workspace), position);
        let project = project.map(Thing::Project);
        let (board, item) = (scope.board.map(Thing::Board), scope.item.map(Thing::Item));
        for thing in [project, board, item].into_iter().flatten() {
            self.note(thing, position);
        }
        if let Some(extras) = &event.extras {
            self.note_person(extras.person(), scope.workspace, position);
        }
    }

    fn project_of(
        &mut self,
        subject: Subject,
        event: &DomainEvent,
        board: Option<BoardId>,
    ) -> Option<ProjectId> {
        if let (Subject::Board(id), DomainEvent::Board(board::Event::Created(event))) = (subject, event) {
            // A board has one beginning; a log that has a second one changes nothing by it.
            if let Some(project) = self.projects.get(&id) {
                return Some(*project);
            }
            self.projects.insert(id, event.project_id);
            if let Some(sum) = &mut self.sum {
                sum.add(&digest::of_board(id, event.project_id));
            }
            return Some(event.project_id);
        }
        match subject {
            Subject::Project(id) => Some(id),
            _ => self.projects.get(&board?).copied(),
        }
    }

    fn note(&mut self, thing: Thing, position: Position) {
        self.of_mut(thing).push(position);
        if let Some(sum) = &mut self.sum {
            sum.add(&digest::of_thing(thing, position));
        }
    }

    fn note_person(&mut self, person: &str, workspace: WorkspaceId, position: Position) {
        // Looked up first: most events are of people who are known, and need no new name.
        let tenants = match self.people.get_mut(person) {
            Some(tenants) => tenants,
            None => self.people.entry(Name::new(person)).or_default(),
        };
        tenants.entry(workspace).or_default().push(position);
        if let Some(sum) = &mut self.sum {
            sum.add(&digest::of_person(person, workspace, position));
        }
    }
}

impl ReadModel for Activity {
    const NAME: &'static str = "activity";
    const VERSION: u32 = ACTIVITY_VERSION;

    fn begin(store: Uuid) -> Self {
        Self::new(store)
    }

    fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }

    fn take_in(&mut self, event: &DecodedEvent<'_>) {
        self.apply_event(event);
    }

    fn advance(&mut self, to: Lineage) {
        self.checkpoint = to;
    }

    fn digest(&mut self) -> Digest {
        let sum = match self.sum {
            Some(sum) => sum,
            None => *self.sum.insert(digest::sum(self)),
        };
        sum.digest()
    }

    fn each_digest(&mut self, told: &mut dyn FnMut(&dyn fmt::Display, Digest)) {
        digest::each(self, told);
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn to_rows(&self) -> Result<Vec<u8>, CodecError> {
        rows::encode(self)
    }

    fn from_rows(rows: &[u8], checkpoint: Lineage) -> Result<Self, CodecError> {
        rows::decode(rows, checkpoint)
    }
}
