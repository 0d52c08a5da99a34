//! How events change the models: what touches more than one entity is here.
//!
//! Total: an event that makes no sense (about an item that was never created, or into a column that is not there)
//! changes nothing but its entity's version. The write side lets none happen.

use crate::decode::{DecodedCommit, DecodedEvent, Happening, Subject};
use crate::models::{
    BoardModel, CommentModel, Completion, ItemModel, Models, Name, Place, ProjectModel, WorkspaceModel,
};
use crate::projection::ProjectionError;
use crate::read_model::ReadModel;
use domain::rank::Rank;
use domain::{
    BoardId, Changes, ColumnId, CommentId, DomainEvent, ItemId, ProjectId, board, comment, item, project,
    workspace,
};
use eventstore::{Position, Timestamp, Version};
use std::collections::BTreeMap;

/// What the models take from an event's envelope.
#[derive(Debug)]
pub(crate) struct Occurrence<'a> {
    pub(crate) position: Position,
    pub(crate) version: Version,
    /// Business time.
    pub(crate) time: Timestamp,
    /// Whose deed it counts as.
    pub(crate) person: Option<&'a str>,
}

/// Where a changed description is from now on.
pub(super) fn changed_text(changes: &Changes, text_at: &mut Option<Position>, at: &Occurrence<'_>) {
    if let Some(change) = changes.get("description") {
        *text_at = change.to.is_string().then_some(at.position);
    }
}

impl Models {
    /// Takes in a commit, or passes it over if it was taken in before.
    ///
    /// # Errors
    /// When commits before it are missing.
    pub fn apply(&mut self, commit: &DecodedCommit<'_>) -> Result<(), ProjectionError> {
        ReadModel::apply(self, commit)
    }

    pub(super) fn apply_event(&mut self, event: &DecodedEvent<'_>) {
        self.fold(event);
        // After it: it may have brought the thing that it is about.
        let board_of = |item: ItemId| self.items.get(item).map(|item| item.board_id);
        let board = match event.subject {
            Subject::Board(id) => Some(id),
            Subject::Item(id) => board_of(id),
            Subject::Comment(id) => self.comments.get(id).and_then(|comment| board_of(comment.item_id)),
            _ => None,
        };
        if let Some(board) = board {
            self.touched.insert(board, event.view.position().plus(1));
        }
    }

    fn fold(&mut self, event: &DecodedEvent<'_>) {
        self.counts.events += 1;
        let known = match &event.happening {
            Happening::Known(known) => known,
            Happening::Unknown => {
                self.counts.unknown += 1;
                return self.raise_version(event.subject, event.view.version());
            }
            Happening::Unreadable => {
                self.counts.unreadable += 1;
                return self.raise_version(event.subject, event.view.version());
            }
        };
        let at = Occurrence {
            position: event.view.position(),
            version: event.view.version(),
            time: event.time(),
            person: event.extras.as_ref().map(domain::Extras::person),
        };
        match (event.subject, known) {
            (Subject::Item(id), DomainEvent::Item(known)) => self.apply_item(id, known, &at),
            (Subject::Comment(id), DomainEvent::Comment(known)) => self.apply_comment(id, known, &at),
            (Subject::Board(id), DomainEvent::Board(known)) => self.apply_board(id, known, &at),
            (Subject::Project(id), DomainEvent::Project(known)) => self.apply_project(id, known, &at),
            (Subject::Workspace(id), DomainEvent::Workspace(known)) => self.apply_workspace(id, known, &at),
            // An event in a stream of another category.
            (subject, _) => self.raise_version(subject, at.version),
        }
    }

    /// An entity's version is its stream's, whatever stands there.
    fn raise_version(&mut self, subject: Subject, version: Version) {
        let present = match subject {
            Subject::Workspace(id) => self.workspaces.edit(id).map(|entity| &mut entity.version),
            Subject::Project(id) => self.projects.edit(id).map(|entity| &mut entity.version),
            Subject::Board(id) => self.boards.edit(id).map(|entity| &mut entity.version),
            Subject::Item(id) => self.items.edit(id).map(|entity| &mut entity.version),
            Subject::Comment(id) => self.comments.edit(id).map(|entity| &mut entity.version),
            Subject::Other => None,
        };
        if let Some(present) = present {
            *present = version;
        }
    }

    fn apply_workspace(&mut self, id: domain::WorkspaceId, event: &workspace::Event, at: &Occurrence<'_>) {
        match (self.workspaces.edit(id), event) {
            (Some(workspace), event) => workspace.apply(event, at),
            (None, workspace::Event::Created(event)) => {
                self.workspaces.insert(WorkspaceModel::created(id, &event.name, at));
            }
            (None, _) => {}
        }
    }

    fn apply_project(&mut self, id: ProjectId, event: &project::Event, at: &Occurrence<'_>) {
        match (self.projects.edit(id), event) {
            (Some(project), event) => project.apply(event, at),
            (None, project::Event::Created(event)) => {
                self.projects.insert(ProjectModel::created(id, event, at));
                if let Some(workspace) = self.workspaces.edit(event.workspace_id) {
                    workspace.projects.push(id);
                }
            }
            (None, _) => {}
        }
    }

    fn apply_board(&mut self, id: BoardId, event: &board::Event, at: &Occurrence<'_>) {
        let Some(board) = self.boards.edit(id) else {
            if let board::Event::Created(event) = event {
                self.boards.insert(BoardModel::created(id, event, at));
                if let Some(project) = self.projects.edit(event.project_id) {
                    project.boards.push(id);
                }
            }
            return;
        };
        let was_deleted = board.deleted;
        if let Some((column_id, places)) = board.apply(event, at) {
            for place in &places {
                if let Some(item) = self.items.edit(place.item) {
                    item.column_id = column_id;
                }
            }
            if let Some(items) = board.items_of(column_id) {
                items.extend(places);
            }
        }
        if board.deleted && !was_deleted {
            self.uncount_items(id);
            self.unassign_items(id);
        }
    }

    /// The items of a board that is deleted are gone with it: no statistics count them from now on.
    fn uncount_items(&mut self, board: BoardId) {
        let mut by_project: BTreeMap<ProjectId, (i64, i64)> = BTreeMap::new();
        for item in self.board_items(board) {
            let (total, completed) = by_project.entry(item.project_id).or_default();
            *total -= 1;
            *completed -= i64::from(item.is_completed());
        }
        for (project, (total, completed)) in by_project {
            self.add(project, total, completed);
        }
    }

    /// Nobody has to do anything on a board that is deleted.
    fn unassign_items(&mut self, board: BoardId) {
        let mut assigned = std::mem::take(&mut self.assigned);
        for item in self.board_items(board) {
            if let Some(place) = self.items.place(item.id) {
                assigned.remove(place, &item.assignees);
            }
        }
        self.assigned = assigned;
    }

    fn apply_comment(&mut self, id: CommentId, event: &comment::Event, at: &Occurrence<'_>) {
        let item_id = match event {
            comment::Event::Added(event) => {
                if self.comments.get(id).is_some() {
                    return self.raise_version(Subject::Comment(id), at.version);
                }
                // Nothing is said about what was never there: an item that came later would not know of it.
                let Some(item) = self.items.edit(event.item_id) else { return };
                item.comments.push(id);
                let author = at.person.map(|person| self.names.intern(person));
                self.comments.insert(CommentModel::added(id, event, author, at));
                event.item_id
            }
            comment::Event::Edited(event) => {
                if let Some(comment) = self.comments.edit(id) {
                    comment.edited(at);
                }
                event.item_id
            }
            comment::Event::Deleted(event) => {
                if let Some(comment) = self.comments.edit(id) {
                    comment.version = at.version;
                    comment.deleted = true;
                }
                if let Some(item) = self.items.edit(event.item_id) {
                    item.comments.retain(|comment| *comment != id);
                }
                event.item_id
            }
            _ => return self.raise_version(Subject::Comment(id), at.version),
        };
        if let Some(project) = self.items.get(item_id).map(|item| item.project_id) {
            self.note_activity(project, at);
        }
    }

    fn apply_item(&mut self, id: ItemId, event: &item::Event, at: &Occurrence<'_>) {
        if let item::Event::Created(event) = event
            && self.items.get(id).is_none()
        {
            self.create_item(id, event, at);
            let project = self.items.get(id).map(|item| item.project_id);
            return project.into_iter().for_each(|project| self.note_activity(project, at));
        }
        let Some(of_item) = self.items.place(id) else { return };
        let Some(item) = self.items.edit_at(of_item) else { return };
        item.version = at.version;
        if item.deleted {
            return;
        }
        item.updated_at = item.updated_at.max(at.time);
        let (board, project) = (item.board_id, item.project_id);
        match event {
            item::Event::Moved(event) => self.place_item(id, Some(event.to_column), &event.to_rank),
            item::Event::Ranked(event) => self.place_item(id, None, &event.to_rank),
            item::Event::Completed(event) => {
                let resolution = event.resolution.as_deref().map(|resolution| self.names.intern(resolution));
                let was = item.completion.replace(Completion { at: at.time, resolution });
                if was.is_none() {
                    self.count(board, project, 0, 1);
                }
            }
            item::Event::Reopened(_) => {
                if item.completion.take().is_some() {
                    self.count(board, project, 0, -1);
                }
            }
            item::Event::Deleted(_) => {
                let completed = if item.is_completed() { -1 } else { 0 };
                let place = Place { rank: item.rank.clone(), item: id };
                let column_id = item.column_id;
                self.assigned.remove(of_item, &item.assignees);
                item.delete();
                if let Some(items) =
                    self.boards.edit_derived(board).and_then(|board| board.items_of(column_id))
                {
                    items.remove(&place);
                }
                self.count(board, project, -1, completed);
            }
            item::Event::Assigned(_) | item::Event::Unassigned(_) => {
                let before = item.assignees.clone();
                item.apply(event, &mut self.names, at);
                if self.boards.get(board).is_some_and(|board| !board.deleted) {
                    self.assigned.remove(of_item, &before);
                    self.assigned.add(of_item, &item.assignees);
                }
            }
            event => item.apply(event, &mut self.names, at),
        }
        self.note_activity(project, at);
    }

    fn create_item(&mut self, id: ItemId, event: &item::Created, at: &Occurrence<'_>) {
        // Guards see to it that an item is created in a column that is there. Should one not be, it is found in the
        // board's first column; and without a board, nowhere.
        let Some(board) = self.boards.edit_derived(event.board_id) else { return };
        let column_id = board.resolve(event.column_id);
        let known = board.column(column_id).or(board.columns.first()).map(|column| column.id);
        let Some((column_id, items)) = known.and_then(|id| Some((id, board.items_of(id)?))) else { return };
        let item = ItemModel::created(id, event, column_id, &mut self.names, at);
        items.insert(Place { rank: item.rank.clone(), item: id });
        self.insert_item(item);
        self.count(event.board_id, event.project_id, 1, 0);
    }

    /// Puts an item into another column, or to another place in its own.
    fn place_item(&mut self, id: ItemId, column_id: Option<ColumnId>, rank: &Rank) {
        let Some(item) = self.items.edit(id) else { return };
        let Some(board) = self.boards.edit_derived(item.board_id) else { return };
        let to = column_id.map_or(item.column_id, |column_id| board.resolve(column_id));
        if board.column(to).is_none() {
            return;
        }
        let place = Place { rank: Name::new(rank.as_str()), item: id };
        let from = Place { rank: std::mem::replace(&mut item.rank, place.rank.clone()), item: id };
        if let Some(items) = board.items_of(std::mem::replace(&mut item.column_id, to)) {
            items.remove(&from);
        }
        if let Some(items) = board.items_of(to) {
            items.insert(place);
        }
    }

    /// Counts a change of an item, unless its board is deleted: its items are counted no more.
    fn count(&mut self, board: BoardId, project: ProjectId, total: i64, completed: i64) {
        if self.boards.get(board).is_some_and(|board| !board.deleted) {
            self.add(project, total, completed);
        }
    }

    fn add(&mut self, project: ProjectId, total: i64, completed: i64) {
        if let Some(project) = self.projects.edit(project) {
            let statistics = &mut project.statistics;
            statistics.total = statistics.total.saturating_add_signed(total);
            statistics.completed = statistics.completed.saturating_add_signed(completed);
        }
    }

    fn note_activity(&mut self, project: ProjectId, at: &Occurrence<'_>) {
        let Some(project) = self.projects.edit(project) else { return };
        let statistics = &mut project.statistics;
        statistics.last_activity = statistics.last_activity.max(Some(at.time));
        if let Some(person) = at.person
            && !statistics.active_members.contains(person)
        {
            statistics.active_members.insert(self.names.intern(person));
        }
    }
}
