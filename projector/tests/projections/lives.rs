//! Random histories that could have happened: whatever is asked is decided by the domain, and only what it gives is
//! appended, with its tags, by several people in two workspaces, at business times that go back and forth.

use crate::support::{Random, SECOND, World, column, created, event, item};
use domain::{
    Aggregate, BoardId, ColumnId, CommentId, Context, DomainEvent, Extras, ItemId, ProjectId, WorkspaceId,
    board as boards, codec, comment, item as items, project, tags, workspace,
};
use eventstore::{ContentType, EventType, Metadata, NewEvent, StreamId, Tag, Timestamp};
use projector::analytics::Day;
use serde_json::{Value, json};
use uuid::Uuid;

/// 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600 * SECOND;
const DAY: i64 = 86_400 * SECOND;
pub(crate) const PEOPLE: &[&str] = &["ann", "bob", "Bob", "çelik", "dora"];

pub(crate) fn day(text: &str) -> Day {
    text.parse::<domain::Date>().unwrap().into()
}

/// Everything that lives in a log, each with the state that its events made.
pub(crate) struct Lives<'a> {
    world: &'a World,
    random: &'a mut Random,
    workspaces: Vec<(WorkspaceId, workspace::Workspace)>,
    projects: Vec<(ProjectId, project::Project)>,
    boards: Vec<(BoardId, boards::Board)>,
    items: Vec<(ItemId, items::Item)>,
    comments: Vec<(CommentId, comment::Comment)>,
    /// What stands in one commit together.
    pending: Vec<NewEvent>,
}

impl<'a> Lives<'a> {
    pub(crate) fn new(world: &'a World, random: &'a mut Random) -> Self {
        let mut lives = Self {
            world,
            random,
            workspaces: vec![],
            projects: vec![],
            boards: vec![],
            items: vec![],
            comments: vec![],
            pending: vec![],
        };
        lives.found();
        lives
    }

    /// Two workspaces, three projects, five boards.
    fn found(&mut self) {
        for name in ["acme", "rival"] {
            let id = WorkspaceId::derive(name);
            let mut state = workspace::Workspace::default();
            let create = workspace::Create { id: None, name: name.to_owned() };
            self.ask(id, &id.stream_id(), &mut state, workspace::Command::Create(create));
            self.workspaces.push((id, state));
        }
        for (place, name) in [(0, "rocket"), (0, "station"), (1, "rocket")] {
            let (workspace_id, workspace) = &self.workspaces[place];
            let (id, workspace_id) = (ProjectId::derive(*workspace_id, name), *workspace_id);
            let create = project::Create { id: None, workspace_id, name: name.to_owned(), description: None };
            let command = project::Command::Create(create, workspace.reference(workspace_id).unwrap());
            let mut state = project::Project::default();
            self.ask(id, &id.stream_id(), &mut state, command);
            self.projects.push((id, state));
        }
        for (place, name) in [(0, "main"), (0, "side"), (1, "main"), (2, "main"), (2, "side")] {
            let (project_id, project) = &self.projects[place];
            let (id, project_id) = (BoardId::derive(*project_id, name), *project_id);
            let columns = ["Open", "Doing", "Done"].map(|name| boards::NewColumn {
                id: Some(ColumnId::derive(id, name)),
                name: name.to_owned(),
                wip_limit: None,
            });
            let create = boards::Create {
                id: None,
                project_id,
                name: name.to_owned(),
                description: None,
                columns: columns.into(),
            };
            let command = boards::Command::Create(create, project.reference(project_id).unwrap());
            let mut state = boards::Board::default();
            self.ask(id, &id.stream_id(), &mut state, command);
            self.boards.push((id, state));
        }
    }

    /// So many wishes, most of which come true.
    pub(crate) fn live(&mut self, wishes: usize) {
        for _ in 0..wishes {
            match self.random.below(40) {
                0 => self.wish_of_workspace(),
                1 => self.wish_of_project(),
                2 | 3 => self.wish_of_board(),
                4..=9 => self.create_item(),
                10..=14 => self.wish_of_comment(),
                _ => self.wish_of_item(),
            }
            if self.random.below(3) > 0 {
                self.commit();
            }
        }
        self.commit();
    }

    fn commit(&mut self) {
        if !self.pending.is_empty() {
            self.world.append_all(std::mem::take(&mut self.pending));
        }
        if self.random.below(20) == 0 {
            self.world.append_unchanged(&Uuid::now_v7().to_string());
        }
    }

    /// Asks, and takes in what it gives; a refusal gives nothing.
    fn ask<A: Aggregate>(&mut self, id: A::Id, stream: &str, state: &mut A, command: A::Command) {
        let person = self.person();
        let occurred_at = (self.random.below(10) > 0)
            .then(|| BEGIN + self.random.below(40) as i64 * DAY + self.random.below(86_400) as i64 * SECOND);
        let context = Context {
            actor: "import".to_owned(),
            on_behalf_of: Some(person.clone()),
            now_ns: BEGIN + 50 * DAY,
            occurred_at_ns: occurred_at,
            imported: true,
            is_privileged: true,
            entropy: self.random.below(usize::MAX) as u64,
        };
        for event in state.decide(&context, command).unwrap_or_default() {
            state.apply(&event);
            let event: DomainEvent = event.into();
            let scope = state.scope(id).unwrap();
            let encoded = codec::encode(&event);
            self.pending.push(NewEvent {
                id: Uuid::now_v7(),
                stream: StreamId::new(stream).unwrap(),
                event_type: EventType::new(encoded.event_type).unwrap(),
                content_type: ContentType::Json,
                schema_version: encoded.schema_version,
                tags: tags::tags(&event, &scope).iter().map(|tag| Tag::new(tag).unwrap()).collect(),
                metadata: Metadata {
                    occurred_at: occurred_at.map(Timestamp::new),
                    extras: Extras::new("import", Some(&person), None).encode(),
                    ..Metadata::default()
                },
                payload: encoded.payload,
            });
        }
    }

    fn person(&mut self) -> String {
        self.random.pick(PEOPLE).to_owned()
    }

    fn people(&mut self) -> Vec<String> {
        (0..self.random.below(3)).map(|_| self.person()).collect()
    }

    fn wish_of_workspace(&mut self) {
        use workspace::Command as C;
        let place = self.random.below(self.workspaces.len());
        let (id, mut state) = self.workspaces[place].clone();
        let command = match self.random.below(3) {
            0 => C::Rename(workspace::Rename { name: self.person() }),
            1 => C::AddMember(workspace::AddMember { member: self.person(), role: domain::Role::Owner }),
            _ => C::RemoveMember(workspace::RemoveMember { member: self.person() }),
        };
        self.ask(id, &id.stream_id(), &mut state, command);
        self.workspaces[place].1 = state;
    }

    fn wish_of_project(&mut self) {
        let place = self.random.below(self.projects.len());
        let (id, mut state) = self.projects[place].clone();
        let update = project::Update { name: Some(self.person()), description: Some(Some(self.person())) };
        self.ask(id, &id.stream_id(), &mut state, project::Command::Update(update));
        self.projects[place].1 = state;
    }

    fn wish_of_board(&mut self) {
        use boards::Command as C;
        let place = self.random.below(self.boards.len());
        let (id, mut state) = self.boards[place].clone();
        let column = self.column_of(&state);
        let index = self.random.below(4) as u32;
        let command = match self.random.below(14) {
            0..=3 => C::AddColumn(boards::AddColumn {
                id: Some(ColumnId::derive(id, &format!("c{}", self.random.below(8)))),
                name: self.person(),
                wip_limit: None,
                index: Some(index),
            }),
            4 | 5 => C::MoveColumn(column, boards::MoveColumn { index }),
            6 => {
                let name = Some(self.person());
                C::ChangeColumn(column, boards::ChangeColumn { name, wip_limit: None })
            }
            7..=11 => {
                let items_to = self.column_of(&state);
                C::RemoveColumn(column, boards::RemoveColumn { items_to })
            }
            12 if self.random.below(3) == 0 => C::Delete,
            _ => C::Update(project::Update { name: Some(self.person()), description: None }),
        };
        self.ask(id, &id.stream_id(), &mut state, command);
        self.boards[place].1 = state;
    }

    fn column_of(&mut self, board: &boards::Board) -> ColumnId {
        let columns = board.columns();
        match columns.len() {
            0 => ColumnId::derive(BoardId::derive(self.projects[0].0, "none"), "none"),
            count => columns[self.random.below(count)].id(),
        }
    }

    fn create_item(&mut self) {
        let place = self.random.below(self.boards.len());
        let (board_id, state) = &self.boards[place];
        let (board_id, state) = (*board_id, state.clone());
        let column_id = self.column_of(&state);
        let (Ok(placement), Some(workspace)) = (state.placement(board_id, column_id), state.workspace_id())
        else {
            return;
        };
        let key = format!("K-{}", self.items.len());
        let create = items::Create {
            id: None,
            board_id,
            column_id: Some(column_id),
            title: self.person(),
            description: None,
            external_key: Some(key.clone()),
            assignees: self.people(),
            due_date: None,
            fields: [].into(),
            rank: None,
        };
        let types = state.field_types(board_id, std::iter::empty::<&str>()).unwrap();
        let id = ItemId::derive(workspace, &key);
        let mut item = items::Item::default();
        self.ask(id, &id.stream_id(), &mut item, items::Command::Create(create, placement, types));
        self.items.push((id, item));
    }

    fn wish_of_item(&mut self) {
        use items::Command as C;
        if self.items.is_empty() {
            return;
        }
        let place = self.random.below(self.items.len());
        let (id, mut state) = self.items[place].clone();
        let Some(board_id) = state.board_id() else { return };
        let board = &self.boards.iter().find(|(known, _)| *known == board_id).unwrap().1.clone();
        let command = match self.random.below(24) {
            0..=8 => {
                let column_id = self.column_of(board);
                let Ok(placement) = board.placement(board_id, column_id) else { return };
                C::Move(items::Move { column_id, after: None, before: None }, placement)
            }
            9..=12 => C::Complete(items::Complete { resolution: None }),
            13 | 14 => C::Reopen,
            15..=17 => C::Assign(items::Assign { assignees: self.people(), remove: self.people() }),
            18 | 19 => C::Unassign(items::Unassign { assignees: self.people() }),
            20 | 21 => {
                let types = board.field_types(board_id, std::iter::empty::<&str>());
                let Ok(types) = types else { return };
                let title = Some(self.person());
                C::Update(items::Update { title, ..items::Update::default() }, types)
            }
            22 => C::Delete,
            _ => C::Rank(items::SetRank::default()),
        };
        self.ask(id, &id.stream_id(), &mut state, command);
        self.items[place].1 = state;
    }

    fn wish_of_comment(&mut self) {
        use comment::Command as C;
        if self.items.is_empty() || (self.random.below(3) == 0 && !self.comments.is_empty()) {
            if self.comments.is_empty() {
                return;
            }
            let place = self.random.below(self.comments.len());
            let (id, mut state) = self.comments[place].clone();
            let command = match self.random.below(3) {
                0 => C::Delete,
                _ => C::Edit(comment::Edit { body: Some(self.person()) }),
            };
            self.ask(id, &id.stream_id(), &mut state, command);
            self.comments[place].1 = state;
            return;
        }
        let (item, state) = &self.items[self.random.below(self.items.len())];
        let Ok(reference) = state.reference(*item) else { return };
        let id = CommentId::derive(*item, &self.comments.len().to_string());
        let add = comment::Add { id: None, external_key: None, body: self.person() };
        let mut comment = comment::Comment::default();
        self.ask(id, &id.stream_id(), &mut comment, C::Add(add, reference));
        self.comments.push((id, comment));
    }
}

/// Something that happens to an item.
#[derive(Clone)]
pub(crate) struct Deed {
    /// Nanoseconds.
    pub(crate) at: i64,
    stream: String,
    event_type: &'static str,
    payload: Value,
}

impl Deed {
    pub(crate) fn append(&self, world: &World) {
        let event = event("ann", Some(self.at), &self.stream, self.event_type, self.payload.clone());
        world.append_all(vec![event]);
    }
}

/// The lives of so many items on the board of [`World::with_board`], each in its own order.
pub(crate) fn of_items(random: &mut Random, count: usize) -> Vec<Vec<Deed>> {
    let life = |number: usize| {
        let key = format!("K-{number}");
        let mut at = BEGIN + random.below(60) as i64 * DAY;
        let mut deeds = Vec::new();
        let mut does = |at: i64, event_type, payload| {
            deeds.push(Deed { at, stream: item(&key).stream_id(), event_type, payload });
        };
        does(at, "item.created", created(&key, &key, "1", "Open"));
        for _ in 0..random.below(9) {
            at += random.below(10) as i64 * DAY / 2 + random.below(100) as i64 * SECOND;
            let to = ["Open", "Doing", "Done"][random.below(3)];
            match random.below(8) {
                0..=3 => does(
                    at,
                    "item.moved",
                    json!({"fromColumn": column("Open"), "toColumn": column(to), "fromRank": "1", "toRank": "1"}),
                ),
                4 | 5 => does(at, "item.completed", json!({})),
                6 => does(at, "item.reopened", json!({})),
                _ if random.below(4) == 0 => does(at, "item.deleted", json!({"columnId": column("Open")})),
                _ => {}
            }
        }
        deeds
    };
    (0..count).map(life).collect()
}
