//! Random commands: from few names, so that they meet, and some of them wrong.

use crate::given::*;
use domain::{
    AttachmentId, BoardId, ItemId, Rank,
    board::{self, Board, FieldKind, FieldTypes, Placement},
    comment,
    item::{self, FieldEdit, Item},
    project::{self, Project},
    workspace::{self, AddMember, ChangeMemberRole, RemoveMember, Role, Workspace},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// xorshift64*: small, good enough to wander about, and the same everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        // Spread, so that neighbouring seeds go different ways, and never zero, which would stay zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        // The upper bits are the better ones.
        usize::try_from((self.roll() >> 33) % u64::try_from(end).expect("small")).expect("small")
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(2).then(|| make(self))
    }

    fn some<T>(&mut self, max: usize, make: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| make(self)).collect()
    }
}

/// What there is: proofs come from here.
#[derive(Default)]
pub(super) struct World {
    pub(super) workspace: Workspace,
    pub(super) project: Project,
    pub(super) board: Board,
    pub(super) item: Item,
}

impl World {
    fn placement(&self, dice: &mut Dice, column: domain::ColumnId) -> Placement {
        let id = if dice.one_in(30) { other_board() } else { board_id() };
        self.board.placement(id, column).unwrap_or_else(|_| placement("open"))
    }

    fn field_types<'n>(&self, dice: &mut Dice, names: impl Iterator<Item = &'n String>) -> FieldTypes {
        let id = if dice.one_in(30) { other_board() } else { board_id() };
        self.board.field_types(id, names.map(String::as_str)).unwrap_or_else(|_| field_types([]))
    }
}

fn other_board() -> BoardId {
    BoardId::derive(project_id(), "other")
}

fn name(dice: &mut Dice) -> String {
    match dice.below(20) {
        0 => " \t".to_owned(),
        1 => "n".repeat(201),
        2 => "ä".repeat(200),
        _ => dice.pick(&["a", "b", "nul \0", "\u{1f600}", "line\r\n"]).to_owned(),
    }
}

fn text(dice: &mut Dice) -> String {
    dice.pick(&["", "short", "{html}\r\n", "\u{fffd}\0"]).to_owned()
}

fn title(dice: &mut Dice) -> String {
    if dice.one_in(20) { "t".repeat(1_001) } else { dice.pick(&["", "one", "two", "ä\u{0}"]).to_owned() }
}

fn person(dice: &mut Dice) -> String {
    if dice.one_in(20) { name(dice) } else { dice.pick(&["ann", "bob", "eve", "se-Björn T"]).to_owned() }
}

fn role(dice: &mut Dice) -> Role {
    dice.pick(&[Role::Owner, Role::Admin, Role::Member, Role::Viewer])
}

fn column_id(dice: &mut Dice) -> domain::ColumnId {
    column(dice.pick(&["open", "doing", "done", "new", "newer"]))
}

fn limit(dice: &mut Dice) -> Option<u32> {
    dice.pick(&[None, Some(0), Some(1), Some(5), Some(u32::MAX)])
}

fn a_rank(dice: &mut Dice) -> Rank {
    // Two of them have no room between them.
    rank(dice.pick(&["1", "a", "a00000000000000000000000000000000000000000000000000000000000001", "b", "zz"]))
}

fn day(dice: &mut Dice) -> domain::Date {
    date(dice.pick(&["2024-02-29", "2026-01-01", "9999-12-31"]))
}

fn field_name(dice: &mut Dice) -> String {
    match dice.below(30) {
        0 => "title".to_owned(),
        1 => " ".to_owned(),
        2 => "f".repeat(101),
        _ => dice.pick(&["f", "g", "h", "Feld ü"]).to_owned(),
    }
}

fn value(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(dice.roll()),
        3 => json!(-0.5),
        4 => json!("2026-01-01"),
        5 => json!("https://example.org/a"),
        6 => json!({"a": [value(dice)]}),
        7 => (0..70).fold(json!(1), |value, _| json!([value])),
        8 | 9 => Value::Array(dice.some(3, value)),
        _ => json!(dice.pick(&["a", "b", "c"])),
    }
}

fn fields<T>(dice: &mut Dice, make: impl Fn(&mut Dice) -> T) -> BTreeMap<String, T> {
    dice.some(3, |dice| (field_name(dice), make(dice))).into_iter().collect()
}

fn edit(dice: &mut Dice) -> FieldEdit {
    match dice.below(3) {
        0 => FieldEdit::Set(value(dice)),
        1 => FieldEdit::Add(dice.some(3, value)),
        _ => FieldEdit::Remove(dice.some(3, value)),
    }
}

fn add_member(dice: &mut Dice) -> AddMember {
    AddMember { member: person(dice), role: role(dice) }
}

fn change_member_role(dice: &mut Dice) -> ChangeMemberRole {
    ChangeMemberRole { member: person(dice), role: role(dice) }
}

fn remove_member(dice: &mut Dice) -> RemoveMember {
    RemoveMember { member: person(dice) }
}

fn label(dice: &mut Dice) -> project::Update {
    project::Update { name: dice.maybe(name), description: dice.maybe(|dice| dice.maybe(text)) }
}

pub(super) fn of_workspaces(dice: &mut Dice) -> workspace::Command {
    use workspace::Command as C;
    match dice.below(20) {
        0 => C::Archive,
        1..=4 => C::Create(workspace::Create { id: None, name: name(dice) }),
        5..=8 => C::Rename(workspace::Rename { name: name(dice) }),
        9..=12 => C::AddMember(add_member(dice)),
        13..=15 => C::ChangeMemberRole(change_member_role(dice)),
        _ => C::RemoveMember(remove_member(dice)),
    }
}

pub(super) fn of_projects(dice: &mut Dice, world: &World) -> project::Command {
    use project::Command as C;
    let reference = world.workspace.reference(workspace_id()).unwrap_or_else(|_| workspace_ref());
    match dice.below(8) {
        0 => C::Archive,
        1 => C::Restore,
        2 | 3 => {
            let (workspace_id, name) = (workspace_id(), name(dice));
            C::Create(
                project::Create { id: None, workspace_id, name, description: dice.maybe(text) },
                reference,
            )
        }
        _ => C::Update(label(dice)),
    }
}

pub(super) fn of_boards(dice: &mut Dice, world: &World) -> board::Command {
    use board::Command as C;
    let kinds = [
        FieldKind::Text,
        FieldKind::Number,
        FieldKind::Date,
        FieldKind::Flag,
        FieldKind::List,
        FieldKind::Choice,
        FieldKind::Person,
        FieldKind::Url,
    ];
    match dice.below(40) {
        0 => C::Delete,
        1..=5 => {
            let reference = world.project.reference(project_id()).unwrap_or_else(|_| project_ref());
            let columns = dice.some(4, |dice| board::NewColumn {
                id: dice.maybe(column_id),
                name: name(dice),
                wip_limit: limit(dice),
            });
            let (project_id, name) = (project_id(), name(dice));
            C::Create(
                board::Create { id: None, project_id, name, description: dice.maybe(text), columns },
                reference,
            )
        }
        6..=8 => C::Update(label(dice)),
        9..=13 => C::AddColumn(board::AddColumn {
            id: dice.maybe(column_id),
            name: name(dice),
            wip_limit: limit(dice),
            index: dice.maybe(|dice| u32::try_from(dice.below(6)).expect("small")),
        }),
        14..=17 => {
            let change = board::ChangeColumn { name: dice.maybe(name), wip_limit: dice.maybe(limit) };
            C::ChangeColumn(column_id(dice), change)
        }
        18..=21 => {
            let index = u32::try_from(dice.below(6)).expect("small");
            C::MoveColumn(column_id(dice), board::MoveColumn { index })
        }
        22..=24 => C::RemoveColumn(column_id(dice), board::RemoveColumn { items_to: column_id(dice) }),
        25..=27 => C::AddMember(add_member(dice)),
        28 | 29 => C::RemoveMember(remove_member(dice)),
        30..=32 => C::ChangeMemberRole(change_member_role(dice)),
        33..=37 => {
            let options = dice.some(2, |dice| dice.pick(&["a", "b"]).to_owned());
            C::DefineField(board::DefineField { name: field_name(dice), kind: dice.pick(&kinds), options })
        }
        _ => C::RemoveField(field_name(dice)),
    }
}

pub(super) fn of_items(dice: &mut Dice, world: &World) -> item::Command {
    use item::Command as C;
    let attachment = |dice: &mut Dice| AttachmentId::new(uuid::Uuid::from_u128(u128::from(dice.roll() % 4)));
    let link = |dice: &mut Dice| item::Link {
        kind: if dice.one_in(10) { name(dice) } else { dice.pick(&["blocks", "repeats"]).to_owned() },
        item_id: ItemId::derive(workspace_id(), dice.pick(&["1", "2"])),
    };
    match dice.below(60) {
        0 => C::Delete,
        1..=6 => {
            let column = column_id(dice);
            let body = item::Create {
                id: None,
                board_id: board_id(),
                column_id: Some(column),
                title: title(dice),
                description: dice.maybe(text),
                external_key: dice.maybe(text),
                assignees: dice.some(3, person),
                due_date: dice.maybe(day),
                fields: fields(dice, value),
                rank: dice.maybe(a_rank),
            };
            let types = world.field_types(dice, body.fields.keys());
            C::Create(body, world.placement(dice, column), types)
        }
        7..=26 => {
            let body = item::Update {
                title: dice.maybe(title),
                description: dice.maybe(|dice| dice.maybe(text)),
                due_date: dice.maybe(|dice| dice.maybe(day)),
                fields: fields(dice, edit),
            };
            let types = world.field_types(dice, body.fields.keys());
            C::Update(body, types)
        }
        27..=32 => {
            let column_id = column_id(dice);
            let to = item::Move { column_id, after: dice.maybe(a_rank), before: dice.maybe(a_rank) };
            C::Move(to, world.placement(dice, column_id))
        }
        33..=36 => C::Rank(item::SetRank {
            rank: dice.maybe(a_rank),
            after: dice.maybe(a_rank),
            before: dice.maybe(a_rank),
        }),
        37..=40 => C::Assign(item::Assign { assignees: dice.some(3, person), remove: dice.some(2, person) }),
        41..=43 => C::Unassign(item::Unassign { assignees: dice.some(3, person) }),
        44..=46 => C::Complete(item::Complete { resolution: dice.maybe(title) }),
        47..=48 => C::Reopen,
        49..=51 => C::AddAttachment(item::AddAttachment {
            id: dice.maybe(attachment),
            name: name(dice),
            size: dice.roll(),
            mime: dice.maybe(name),
        }),
        52 | 53 => C::RemoveAttachment(attachment(dice)),
        54..=56 => C::Link(link(dice)),
        _ => C::Unlink(link(dice)),
    }
}

pub(super) fn of_comments(dice: &mut Dice, world: &World) -> comment::Command {
    use comment::Command as C;
    match dice.below(10) {
        0 => C::Delete,
        1..=4 => {
            let reference = world.item.reference(item_id()).unwrap_or_else(|_| item_ref());
            C::Add(comment::Add { id: None, external_key: dice.maybe(text), body: text(dice) }, reference)
        }
        _ => C::Edit(comment::Edit { body: dice.maybe(text) }),
    }
}
