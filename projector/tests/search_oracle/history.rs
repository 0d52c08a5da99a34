//! What is told to the log, and what is there because of it.

use crate::support::{Random, SECOND, World, board, column, project, workspace};
use crate::vocabulary::{Text, VOCABULARY, as_written};
use domain::{BoardId, ColumnId, CommentId, ItemId, ProjectId, WorkspaceId};
use projector::search::DocumentKind;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

const DAY: i64 = 86_400 * SECOND;
/// Days from 1970 to 2024.
const FIRST_DAY: i64 = 19_723;
/// Days on which things happen: the first quarter of 2024.
pub(crate) const DAYS: u32 = 91;
pub(crate) const TODAY: Day = Day(45);
/// Titles of boards and projects, by the numbers of the vocabulary.
const LIST: &[usize] = &[3];
const STRASSE: &[usize] = &[13];
const MAIN: &[usize] = &[29];

/// A day of 2024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(pub(crate) u32);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (month, day) = match self.0 {
            days @ 0..31 => (1, days),
            days @ 31..60 => (2, days - 31),
            days @ 60..91 => (3, days - 60),
            days => (4, days - 91),
        };
        write!(f, "2024-{month:02}-{:02}", day + 1)
    }
}

impl Day {
    /// The day on which an instant is.
    pub(crate) fn of(nanoseconds: i64) -> i64 {
        nanoseconds.div_euclid(DAY) - FIRST_DAY
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tenant(&'static str);

pub(crate) const OURS: Tenant = Tenant("acme");
pub(crate) const THEIRS: Tenant = Tenant("other");

impl Tenant {
    pub(crate) fn id(self) -> WorkspaceId {
        WorkspaceId::derive(self.0)
    }
}

/// A board, by its place in [`BOARDS`].
pub(crate) struct Board {
    pub(crate) tenant: Tenant,
    pub(crate) name: &'static str,
    pub(crate) title: &'static [usize],
    pub(crate) columns: &'static [&'static str],
}

/// The last one is deleted in the end, with all that is on it.
pub(crate) const BOARDS: [Board; 4] = [
    Board { tenant: OURS, name: "Main", title: MAIN, columns: &["Open", "Doing", "Done"] },
    Board { tenant: OURS, name: "list", title: LIST, columns: &["Open", "Done"] },
    Board { tenant: THEIRS, name: "Straße", title: STRASSE, columns: &["Open", "Done"] },
    Board { tenant: OURS, name: "Doomed", title: &[], columns: &["Open"] },
];

impl Board {
    pub(crate) fn project(&self) -> ProjectId {
        ProjectId::derive(self.tenant.id(), "rocket")
    }

    pub(crate) fn id(&self) -> BoardId {
        if self.name == "Main" { board() } else { BoardId::derive(self.project(), self.name) }
    }

    pub(crate) fn column(&self, name: &str) -> ColumnId {
        if self.name == "Main" { column(name) } else { ColumnId::derive(self.id(), name) }
    }
}

/// Anything that can be found.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
    pub(crate) kind: DocumentKind,
    pub(crate) id: Uuid,
    pub(crate) workspace: Tenant,
    pub(crate) project: Uuid,
    pub(crate) board: Option<Uuid>,
    pub(crate) column: Option<Uuid>,
    pub(crate) title: Text,
    pub(crate) text: Option<Text>,
    pub(crate) key: Option<String>,
    pub(crate) assignees: Vec<String>,
    pub(crate) is_item: bool,
    pub(crate) completed: Option<i64>,
    pub(crate) due: Option<u32>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) has: Vec<&'static str>,
    pub(crate) fields: Vec<(String, String)>,
}

pub(crate) fn number(kind: DocumentKind) -> u8 {
    match kind {
        DocumentKind::Item => 0,
        DocumentKind::Comment => 1,
        DocumentKind::Board => 2,
        DocumentKind::Project => 3,
    }
}

impl Thing {
    pub(crate) fn kind_number(&self) -> u8 {
        number(self.kind)
    }

    pub(crate) fn state(&self) -> Option<&'static str> {
        self.is_item.then_some(if self.completed.is_some() { "completed" } else { "open" })
    }

    fn bare(kind: DocumentKind, id: Uuid, board: &Board, at: i64) -> Self {
        Self {
            kind,
            id,
            workspace: board.tenant,
            project: board.project().uuid(),
            board: Some(board.id().uuid()),
            column: None,
            title: Vec::new(),
            text: None,
            key: None,
            assignees: Vec::new(),
            is_item: false,
            completed: None,
            due: None,
            created: at,
            updated: at,
            has: Vec::new(),
            fields: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct Item {
    id: ItemId,
    key: String,
    board: usize,
    column: ColumnId,
    title: Text,
    text: Option<Text>,
    assignees: Vec<String>,
    completed: Option<i64>,
    due: Option<u32>,
    created: i64,
    updated: i64,
    comments: Vec<Comment>,
    attachments: usize,
    links: usize,
    fields: BTreeMap<&'static str, Value>,
    is_deleted: bool,
}

#[derive(Debug)]
struct Comment {
    id: CommentId,
    text: Text,
    created: i64,
    updated: i64,
    is_deleted: bool,
}

pub(crate) struct History {
    pub(crate) world: World,
    items: Vec<Item>,
    is_doomed: bool,
}

impl History {
    /// Two workspaces with a project and boards.
    pub(crate) fn begin() -> Self {
        let world = World::with_board();
        for board in &BOARDS[1..] {
            let (tenant, project) = (board.tenant.id(), board.project());
            if board.tenant == THEIRS {
                let named = json!({"name": "Theirs"});
                world.append_as("ann", Some(0), &tenant.stream_id(), "workspace.created", named);
                let created = json!({"workspaceId": tenant, "name": "Straße"});
                world.append_as("ann", Some(0), &project.stream_id(), "project.created", created);
            }
            let columns: Vec<_> = board
                .columns
                .iter()
                .map(|name| json!({"columnId": board.column(name), "name": name}))
                .collect();
            let created =
                json!({"workspaceId": tenant, "projectId": project, "name": board.name, "columns": columns});
            world.append_as("ann", Some(0), &board.id().stream_id(), "board.created", created);
        }
        assert_eq!(BOARDS[0].project(), project());
        assert_eq!(OURS.id(), workspace());
        Self { world, items: Vec::new(), is_doomed: false }
    }

    /// New items, and things that happen to items.
    pub(crate) fn go_on(&mut self, random: &mut Random, items: usize, events: usize) {
        for _ in 0..items {
            let board = random.below(if self.is_doomed { 3 } else { 4 });
            self.create(random, board);
        }
        for _ in 0..events {
            let item = random.below(self.items.len());
            self.happen(random, item);
        }
        if !self.is_doomed {
            self.is_doomed = true;
            self.world.append(&BOARDS[3].id().stream_id(), "board.deleted", json!({}));
        }
    }

    /// Things happen to whom the others belong.
    pub(crate) fn others_go_on(&mut self, random: &mut Random, events: usize) {
        self.create(random, 2);
        for _ in 0..events {
            let theirs: Vec<usize> =
                (0..self.items.len()).filter(|item| self.items[*item].board == 2).collect();
            let item = theirs[random.below(theirs.len())];
            self.happen(random, item);
        }
    }

    fn create(&mut self, random: &mut Random, board: usize) {
        let key = format!("K-{}", self.items.len());
        let home = &BOARDS[board];
        let id = ItemId::derive(home.tenant.id(), &key);
        let column = home.column(home.columns[random.below(home.columns.len())]);
        let at = instant(random);
        let item = Item {
            id,
            board,
            column,
            title: text(random, 1, 4),
            text: (random.below(3) > 0).then(|| text(random, 1, 12)),
            assignees: if random.below(2) == 0 { vec![person(random)] } else { vec![] },
            completed: None,
            due: (random.below(2) == 0).then(|| random.below(DAYS as usize) as u32),
            created: at,
            updated: at,
            comments: Vec::new(),
            attachments: 0,
            links: 0,
            fields: fields(random),
            is_deleted: false,
            key,
        };
        let mut payload = json!({
            "workspaceId": home.tenant.id(), "projectId": home.project(), "boardId": home.id(), "columnId": column,
            "rank": format!("{:05}a", self.items.len()), "title": as_written(&item.title), "externalKey": item.key,
            "assignees": item.assignees, "fields": item.fields,
        });
        if let Some(text) = &item.text {
            payload["description"] = json!(as_written(text));
        }
        if let Some(due) = item.due {
            payload["dueDate"] = json!(Day(due).to_string());
        }
        self.world.append_as("ann", Some(at), &id.stream_id(), "item.created", payload);
        self.items.push(item);
    }

    #[expect(clippy::too_many_lines, reason = "one arm per event")]
    fn happen(&mut self, random: &mut Random, index: usize) {
        let at = instant(random);
        let world = &self.world;
        let item = &mut self.items[index];
        let home = &BOARDS[item.board];
        let stream = item.id.stream_id();
        if item.is_deleted {
            return;
        }
        let tell = |event: &str, payload: Value| world.append_as("ann", Some(at), &stream, event, payload);
        let tell_comment = |id: CommentId, event: &str, payload: Value| {
            world.append_as("bob", Some(at), &id.stream_id(), event, payload);
        };
        match random.below(18) {
            0..=2 => {
                item.title = text(random, 1, 4);
                tell("item.updated", json!({"changes": {"title": {"to": as_written(&item.title)}}}));
            }
            3 => {
                item.text = (random.below(4) > 0).then(|| text(random, 1, 12));
                let to = item.text.as_ref().map(|text| as_written(text));
                tell("item.updated", json!({"changes": {"description": {"to": to}}}));
            }
            4 => {
                item.due = (random.below(3) > 0).then(|| random.below(DAYS as usize) as u32);
                let to = item.due.map(|due| Day(due).to_string());
                tell("item.updated", json!({"changes": {"dueDate": {"to": to}}}));
            }
            5 => {
                item.fields = fields(random);
                let to = |name| json!({"to": item.fields.get(name)});
                let changes = json!({"priority": to("priority"), "tags": to("tags"), "size": to("size")});
                tell("item.updated", json!({"changes": changes}));
            }
            6 => {
                let name = home.columns[random.below(home.columns.len())];
                let from = std::mem::replace(&mut item.column, home.column(name));
                let moved =
                    json!({"fromColumn": from, "toColumn": item.column, "fromRank": "1", "toRank": "5a"});
                tell("item.moved", moved);
            }
            7 => {
                let person = person(random);
                tell("item.assigned", json!({"assignees": [person]}));
                if !item.assignees.contains(&person) {
                    item.assignees.push(person);
                }
            }
            8 => {
                let person = person(random);
                tell("item.unassigned", json!({"assignees": [person]}));
                item.assignees.retain(|assignee| *assignee != person);
            }
            9 | 10 => {
                tell("item.completed", json!({"resolution": "fixed"}));
                item.completed = Some(at);
            }
            11 => {
                tell("item.reopened", json!({}));
                item.completed = None;
            }
            12 => {
                let id = Uuid::from_u128(item.attachments as u128 + 1);
                tell("item.attachment_added", json!({"attachmentId": id, "name": "a.txt", "size": 1}));
                item.attachments += 1;
            }
            13 => {
                let other = ItemId::derive(home.tenant.id(), &format!("K-{}", item.links));
                tell("item.linked", json!({"kind": "blocks", "itemId": other}));
                item.links += 1;
            }
            14 | 15 => {
                let id = CommentId::derive(item.id, &format!("c{}", item.comments.len()));
                let text = text(random, 1, 8);
                let added = json!({"workspaceId": home.tenant.id(), "boardId": home.id(), "itemId": item.id,
                    "body": as_written(&text)});
                tell_comment(id, "comment.added", added);
                item.comments.push(Comment { id, text, created: at, updated: at, is_deleted: false });
                return;
            }
            16 => {
                let count = item.comments.len().max(1);
                let Some(comment) = item.comments.get_mut(random.below(count)) else { return };
                if comment.is_deleted {
                    return;
                }
                if random.below(2) == 0 {
                    comment.is_deleted = true;
                    tell_comment(comment.id, "comment.deleted", json!({"itemId": item.id}));
                } else {
                    comment.text = text(random, 1, 8);
                    // An edit counts from its own time, whenever the comment was written.
                    comment.updated =
                        if comment.updated == comment.created { at } else { comment.updated.max(at) };
                    let edited = json!({"itemId": item.id, "body": as_written(&comment.text)});
                    tell_comment(comment.id, "comment.edited", edited);
                }
                return;
            }
            _ if random.below(4) == 0 => {
                tell("item.deleted", json!({"columnId": item.column}));
                item.is_deleted = true;
            }
            _ => return,
        }
        item.updated = item.updated.max(at);
    }

    /// Everything that is there to be found.
    pub(crate) fn things(&self) -> Vec<Thing> {
        let mut things = Vec::new();
        let models = self.world.models();
        for (index, board) in BOARDS.iter().enumerate() {
            if index == 3 && self.is_doomed {
                continue;
            }
            // What was told without a time of its own has that of the log.
            let at = models.board(board.id()).unwrap().created_at.get();
            let title = board.title.to_vec();
            things.push(Thing { title, ..Thing::bare(DocumentKind::Board, board.id().uuid(), board, at) });
        }
        for board in [&BOARDS[0], &BOARDS[2]] {
            let at = models.project(board.project()).unwrap().created_at.get();
            let bare = Thing::bare(DocumentKind::Project, board.project().uuid(), board, at);
            let title = if board.tenant == THEIRS { STRASSE.to_vec() } else { Vec::new() };
            things.push(Thing { board: None, title, ..bare });
        }
        for item in self.items.iter().filter(|item| !(item.is_deleted || item.board == 3 && self.is_doomed)) {
            things.push(item.thing());
            for comment in item.comments.iter().filter(|comment| !comment.is_deleted) {
                let bare = Thing::bare(
                    DocumentKind::Comment,
                    comment.id.uuid(),
                    &BOARDS[item.board],
                    comment.created,
                );
                things.push(Thing { text: Some(comment.text.clone()), updated: comment.updated, ..bare });
            }
        }
        things
    }
}

impl Item {
    fn thing(&self) -> Thing {
        let has = [
            ("comments", self.comments.iter().any(|comment| !comment.is_deleted)),
            ("attachments", self.attachments > 0),
            ("links", self.links > 0),
            ("due", self.due.is_some()),
            ("description", self.text.is_some()),
            ("assignee", !self.assignees.is_empty()),
        ];
        let mut fields = Vec::new();
        for (name, value) in &self.fields {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match value {
                Value::Array(values) => {
                    fields.extend(values.iter().map(|value| ((*name).to_owned(), text(value))));
                }
                value => fields.push(((*name).to_owned(), text(value))),
            }
        }
        Thing {
            column: Some(self.column.uuid()),
            title: self.title.clone(),
            text: self.text.clone(),
            key: Some(self.key.clone()),
            assignees: self.assignees.clone(),
            is_item: true,
            completed: self.completed,
            due: self.due,
            updated: self.updated,
            has: has.into_iter().filter_map(|(name, is_so)| is_so.then_some(name)).collect(),
            fields,
            ..Thing::bare(DocumentKind::Item, self.id.uuid(), &BOARDS[self.board], self.created)
        }
    }
}

fn instant(random: &mut Random) -> i64 {
    (FIRST_DAY + random.below(DAYS as usize) as i64) * DAY + random.below(86_400) as i64 * SECOND
}

fn text(random: &mut Random, least: usize, most: usize) -> Text {
    (0..least + random.below(most - least + 1)).map(|_| random.below(VOCABULARY.len())).collect()
}

fn person(random: &mut Random) -> String {
    random.pick(&["ann", "bob", "Bob B"]).to_owned()
}

fn fields(random: &mut Random) -> BTreeMap<&'static str, Value> {
    let mut fields = BTreeMap::new();
    if random.below(2) == 0 {
        fields.insert("priority", json!(random.pick(&["High", "low", "Straße", "high"])));
    }
    if random.below(3) == 0 {
        fields.insert("tags", if random.below(2) == 0 { json!(["red", "Blue sky"]) } else { json!(["Red"]) });
    }
    if random.below(3) == 0 {
        fields.insert("size", json!(random.below(4)));
    }
    fields
}
