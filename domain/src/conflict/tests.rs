//! Random histories: where nothing conflicts, a command does to its parts what it would have done on the older state,
//! and nothing is lost of what happened meanwhile.

#![allow(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::*;
use crate::board::{
    AddColumn, Board, ChangeColumn, ChangeMemberRole, DefineField, FieldKind, FieldTypes, MoveColumn,
    RemoveColumn,
};
use crate::ids::{AttachmentId, BoardId, ItemId, ProjectId, WorkspaceId};
use crate::item::{AddAttachment, Assign, Complete, FieldEdit, Item, Link, Move, SetRank, Unassign, Update};
use crate::project::Project;
use crate::workspace::{AddMember, RemoveMember, Workspace};
use crate::{Aggregate, Context, Date, DomainError, Rank, Role};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

const HISTORIES: u64 = 8_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().filter(|_| self.below(3) == 0).cloned().collect()
    }
}

fn context(entropy: u64) -> Context {
    let (actor, now_ns) = ("ann".to_owned(), 1_767_225_600_000_000_000);
    Context {
        actor,
        on_behalf_of: None,
        now_ns,
        occurred_at_ns: None,
        imported: false,
        is_privileged: true,
        entropy,
    }
}

/// Decides and applies; the events, or why not.
fn act<A: Aggregate>(
    state: &mut A,
    command: A::Command,
    entropy: u64,
) -> Result<Vec<DomainEvent>, DomainError> {
    let events = state.decide(&context(entropy), command)?;
    events.iter().for_each(|event| state.apply(event));
    Ok(events.into_iter().map(Into::into).collect())
}

/// Plays histories; `command` makes one, `wish` says it, `parts` are those it is about with their values in a state.
fn play<A: Aggregate + Clone + serde::Serialize>(
    begin: impl Fn() -> A,
    command: impl Fn(&mut Random) -> A::Command,
    conflicts_of: impl Fn(&A::Command, &A, &[DomainEvent]) -> Vec<Conflict>,
    parts: impl Fn(&A::Command, &A) -> Value,
    is_moot: impl Fn(&str, &A, &A) -> bool,
) where
    A::Command: Clone + std::fmt::Debug,
{
    let (mut merged, mut refused, mut conflicted) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let random = &mut Random(seed);
        let mut base = begin();
        for step in 0..random.below(8) {
            let _ = act(&mut base, command(random), step as u64);
        }
        let mut newest = base.clone();
        let mut since = Vec::new();
        for step in 0..=random.below(4) {
            since.extend(act(&mut newest, command(random), 100 + step as u64).unwrap_or_default());
        }
        let yours = command(random);
        let mut wished = base.clone();
        if act(&mut wished, yours.clone(), 7).is_err() {
            continue;
        }
        if !conflicts_of(&yours, &newest, &since).is_empty() {
            assert!(!since.is_empty());
            conflicted += 1;
            continue;
        }
        let theirs = leaves(&newest);
        match act(&mut newest, yours.clone(), 7) {
            Ok(_) => {
                let both = (parts(&yours, &wished), parts(&yours, &newest));
                assert_eq!(both.1, both.0, "seed {seed}: {yours:?} after {since:?}");
                let (before, mine, merged) = (leaves(&base), leaves(&wished), leaves(&newest));
                for path in before.keys().chain(theirs.keys()).chain(mine.keys()) {
                    let kept =
                        if theirs.get(path) == before.get(path) { mine.get(path) } else { theirs.get(path) };
                    let is_kept = merged.get(path) == kept || is_moot(path, &base, &wished);
                    assert!(is_kept, "seed {seed}: {path} of {yours:?} after {since:?}: {merged:?}");
                }
            }
            // The same was done already, or the whole is gone, which is said as such.
            Err(
                DomainError::NotFound { .. } | DomainError::Gone { .. } | DomainError::AlreadyExists { .. },
            ) => refused += 1,
            Err(error) => panic!("seed {seed}: {yours:?} is refused after {since:?}: {error}"),
        }
        merged += 1;
    }
    assert!(merged > 500 && conflicted > 500, "{merged} merged, {refused} refused, {conflicted} conflicts");
}

/// A state in parts that can be changed apart from one another. The order of things is none of them.
fn leaves(state: &impl serde::Serialize) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    add_leaves("", serde_json::to_value(state).unwrap(), &mut leaves);
    leaves
}

fn add_leaves(path: &str, value: Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                // An item's custom fields are texts of JSON.
                let parsed = value.as_str().filter(|_| path == "/fields").map(serde_json::from_str::<Value>);
                let value = parsed.and_then(Result::ok).unwrap_or(value);
                add_leaves(&format!("{path}/{name}"), value, leaves);
            }
        }
        Value::Array(list) => {
            leaves.insert(path.to_owned(), "a list".into());
            for value in list {
                match value.get("id").cloned() {
                    Some(id) => add_leaves(&format!("{path}/{id}"), value, leaves),
                    None => drop(leaves.insert(format!("{path}/{value}"), true.into())),
                }
            }
        }
        value => drop(leaves.insert(path.to_owned(), value)),
    }
}

fn column(index: usize) -> ColumnId {
    ColumnId::new(Uuid::from_u128(index as u128 + 1))
}

fn some_column(random: &mut Random) -> ColumnId {
    column(random.below(4))
}

const BOARD: BoardId = BoardId::new(Uuid::from_u128(9));
const NAMES: [&str; 3] = ["ann", "bob", "cid"];

fn name(random: &mut Random) -> String {
    (*random.one(&NAMES)).to_owned()
}

fn names(random: &mut Random) -> Vec<String> {
    random.some(&NAMES.map(str::to_owned))
}

fn date(random: &mut Random) -> Date {
    format!("2026-01-0{}", random.below(3) + 1).parse().unwrap()
}

fn rank(random: &mut Random) -> Rank {
    Rank::new(*random.one(&["b", "d", "f"])).unwrap()
}

fn board() -> Board {
    let mut workspace = Workspace::default();
    let name = || "x".to_owned();
    act(&mut workspace, workspace::Command::Create(workspace::Create { id: None, name: name() }), 0).unwrap();
    let id = WorkspaceId::new(Uuid::from_u128(1));
    let mut project = Project::default();
    let create = project::Create { id: None, workspace_id: id, name: name(), description: None };
    act(&mut project, project::Command::Create(create, workspace.reference(id).unwrap()), 0).unwrap();
    let id = ProjectId::new(Uuid::from_u128(2));
    let mut board = Board::default();
    let columns = (0..3)
        .map(|index| board::NewColumn { id: Some(column(index)), name: name(), wip_limit: None })
        .collect();
    let create = board::Create { id: None, project_id: id, name: name(), description: None, columns };
    act(&mut board, board::Command::Create(create, project.reference(id).unwrap()), 0).unwrap();
    board
}

/// Of fields that the board says nothing about.
fn types() -> FieldTypes {
    board().field_types(BOARD, []).unwrap()
}

fn item() -> Item {
    let mut item = Item::default();
    let create = json!({"boardId": BOARD, "title": "ann", "fields": {"f": ["a"]}, "rank": "b"});
    let create = serde_json::from_value(create).unwrap();
    let placement = board().placement(BOARD, column(0)).unwrap();
    act(&mut item, item::Command::Create(create, placement, types()), 0).unwrap();
    item
}

fn edit(random: &mut Random) -> FieldEdit {
    let values = ["a", "b", "c"].map(Value::from);
    match random.below(6) {
        0 => FieldEdit::Set(Value::Null),
        1 => FieldEdit::Set(random.below(2).into()),
        2 => FieldEdit::Set(random.some(&values).into()),
        3 => FieldEdit::Remove(random.some(&values)),
        _ => FieldEdit::Add(random.some(&values)),
    }
}

fn item_command(random: &mut Random) -> item::Command {
    use item::Command as C;
    let other = |random: &mut Random| ItemId::new(Uuid::from_u128(random.below(2) as u128));
    let link = |random: &mut Random| Link { kind: name(random), item_id: other(random) };
    let file = |random: &mut Random| AttachmentId::new(Uuid::from_u128(random.below(3) as u128));
    match random.below(22) {
        0..=4 => {
            let fields = random.some(&["f", "g"].map(str::to_owned));
            let update = Update {
                title: random.maybe(name),
                due_date: random.maybe(|random| random.maybe(date)),
                description: random.maybe(|random| random.maybe(name)),
                fields: fields.into_iter().map(|name| (name, edit(random))).collect::<BTreeMap<_, _>>(),
            };
            C::Update(update, types())
        }
        5..=8 => {
            let column_id = column(random.below(3));
            let to = Move { column_id, after: random.maybe(rank), before: None };
            C::Move(to, board().placement(BOARD, column_id).unwrap())
        }
        9 => C::Rank(SetRank { rank: Some(rank(random)), ..SetRank::default() }),
        10 => C::Rank(SetRank { after: random.maybe(rank), ..SetRank::default() }),
        11 | 12 => C::Assign(Assign { assignees: names(random), remove: names(random) }),
        13 => C::Unassign(Unassign { assignees: names(random) }),
        14 | 15 => C::Complete(Complete { resolution: random.maybe(name) }),
        16 => C::Reopen,
        17 => C::AddAttachment(AddAttachment {
            id: Some(file(random)),
            name: name(random),
            size: 1,
            mime: None,
        }),
        18 => C::RemoveAttachment(file(random)),
        19 => C::Link(link(random)),
        20 => C::Unlink(link(random)),
        _ => random.maybe(|_| C::Delete).unwrap_or(C::Reopen),
    }
}

fn item_parts(command: &item::Command, item: &Item) -> Value {
    use item::Command as C;
    let state = serde_json::to_value(item).unwrap();
    let is = |list: &Value, what: Value| list.as_array().unwrap().contains(&what);
    let mut parts = vec![state["life"].clone()];
    match command {
        C::Create(..) | C::Delete => {}
        C::Update(update, _) => {
            parts.extend(update.due_date.map(|_| state["due_date"].clone()));
            parts.extend(update.title.as_ref().map(|_| state["title"].clone()));
            parts.extend(update.description.as_ref().map(|_| state["description"].clone()));
            for (name, edit) in &update.fields {
                let text = state["fields"][name].as_str().unwrap_or("null");
                let value: Value = serde_json::from_str(text).unwrap();
                let list = value.as_array().cloned().unwrap_or_default();
                match edit {
                    FieldEdit::Set(_) => parts.push(value),
                    FieldEdit::Add(values) | FieldEdit::Remove(values) => {
                        parts.extend(values.iter().map(|value| list.contains(value).into()));
                    }
                }
            }
        }
        C::Move(to, _) => {
            parts.push(state["place"]["column"].clone());
            parts.extend(to.after.as_ref().map(|_| state["place"]["rank"].clone()));
        }
        C::Rank(_) => parts.push(state["place"]["rank"].clone()),
        C::Assign(assign) => {
            let people = assign.assignees.iter().chain(&assign.remove);
            parts.extend(people.map(|person| is(&state["assignees"], json!(person)).into()));
        }
        C::Unassign(unassign) => {
            let people = unassign.assignees.iter();
            parts.extend(people.map(|person| is(&state["assignees"], json!(person)).into()));
        }
        C::Complete(_) | C::Reopen => parts.push(state["completed"].clone()),
        C::AddAttachment(AddAttachment { id, .. }) => {
            parts.push(state["attachments"][id.unwrap().to_string()].clone());
        }
        C::RemoveAttachment(id) => parts.push(state["attachments"][id.to_string()].clone()),
        C::Link(link) | C::Unlink(link) => {
            parts.push(is(&state["links"], json!([link.kind, link.item_id])).into());
        }
    }
    parts.into()
}

#[test]
fn items_are_merged_or_in_conflict() {
    play(
        item,
        item_command,
        |yours, newest, since| match yours {
            item::Command::Move(to, _) => conflicts(Wish::Move(to, newest.column_id()), since),
            yours => conflicts(Wish::Item(yours), since),
        },
        item_parts,
        // The rank in a column counts only as long as the item is there.
        |path, base, wished| path == "/place/rank" && wished.column_id() != base.column_id(),
    );
}

fn board_command(random: &mut Random) -> board::Command {
    use board::Command as C;
    let limit = |random: &mut Random| random.maybe(|random| random.below(3) as u32 + 1);
    let index = |random: &mut Random| random.below(5) as u32;
    let role = |random: &mut Random| *random.one(&[Role::Admin, Role::Member, Role::Viewer]);
    match random.below(14) {
        0 | 1 => C::Update(project::Update {
            name: random.maybe(name),
            description: random.maybe(|random| random.maybe(name)),
        }),
        2 | 3 => C::AddColumn(AddColumn {
            id: random.maybe(some_column),
            name: name(random),
            wip_limit: None,
            index: random.maybe(index),
        }),
        4 | 5 => C::ChangeColumn(
            some_column(random),
            ChangeColumn { name: random.maybe(name), wip_limit: random.maybe(limit) },
        ),
        6 => C::MoveColumn(some_column(random), MoveColumn { index: index(random) }),
        7 => C::RemoveColumn(some_column(random), RemoveColumn { items_to: some_column(random) }),
        8 => C::AddMember(AddMember { member: name(random), role: role(random) }),
        9 => C::RemoveMember(RemoveMember { member: name(random) }),
        10 => C::ChangeMemberRole(ChangeMemberRole { member: name(random), role: role(random) }),
        11 => C::DefineField(DefineField {
            name: name(random),
            kind: *random.one(&[FieldKind::List, FieldKind::List, FieldKind::Choice]),
            options: vec![name(random)],
        }),
        12 => C::RemoveField(name(random)),
        _ => random.maybe(|_| C::Delete).unwrap_or(C::RemoveField(name(random))),
    }
}

fn board_parts(command: &board::Command, board: &Board) -> Value {
    use board::Command as C;
    let state = serde_json::to_value(board).unwrap();
    let index = |id: ColumnId| board.columns().iter().position(|column| column.id() == id);
    let mut parts = vec![state["life"].clone()];
    match command {
        C::Create(..) | C::Delete => {}
        C::Update(update) => {
            parts.extend(update.name.as_ref().map(|_| state["label"]["name"].clone()));
            parts.extend(update.description.as_ref().map(|_| state["label"]["description"].clone()));
        }
        C::AddColumn(add) => {
            // A column without an id gets the same one on either state.
            let id = add.id.unwrap_or_else(|| ColumnId::new(context(7).fresh_id(0)));
            parts.push(index(id).is_some().into());
            parts.extend(add.index.map(|_| json!(index(id))));
        }
        C::ChangeColumn(id, change) => {
            let column = board.column(*id).unwrap();
            parts.extend(change.name.as_ref().map(|_| column.name().into()));
            parts.extend(change.wip_limit.map(|_| json!(column.wip_limit())));
        }
        C::MoveColumn(id, _) => parts.push(json!(index(*id))),
        C::RemoveColumn(id, _) => parts.push(state["removed"][id.to_string()].clone()),
        C::AddMember(AddMember { member, .. })
        | C::RemoveMember(RemoveMember { member })
        | C::ChangeMemberRole(ChangeMemberRole { member, .. }) => {
            parts.push(state["members"][member].clone());
        }
        C::DefineField(DefineField { name, .. }) | C::RemoveField(name) => {
            parts.push(state["fields"][name].clone());
        }
    }
    parts.into()
}

#[test]
fn boards_are_merged_or_in_conflict() {
    play(
        board,
        board_command,
        |yours, _, since| conflicts(Wish::Board(yours), since),
        board_parts,
        |_, _, _| false,
    );
}

#[test]
fn what_ends_is_in_the_way_of_everything() {
    let updated = |to: &str| {
        let changes =
            BTreeMap::from([("name".to_owned(), crate::Change::between(Some("a".into()), to.into()))]);
        DomainEvent::from(project::Event::from(project::Updated { changes }))
    };
    let archived = || DomainEvent::from(project::Event::from(project::Archived {}));
    let restored = || DomainEvent::from(project::Event::from(project::Restored {}));
    let rename = project::Command::Update(project::Update { name: Some("c".into()), description: None });
    let of = |command: &project::Command, since: &[DomainEvent]| {
        let found = conflicts(Wish::Project(command), since);
        found.into_iter().map(|conflict| (conflict.field, conflict.theirs)).collect::<Vec<_>>()
    };
    let life = |theirs: &str| vec![("life".to_owned(), json!(theirs))];
    assert_eq!(of(&rename, &[archived()]), life("archived"));
    assert_eq!(of(&rename, &[archived(), restored()]), []);
    assert_eq!(of(&project::Command::Archive, &[updated("b")]), life("present"));
    assert_eq!(of(&project::Command::Archive, &[updated("b"), archived()]), []);
    assert_eq!(of(&project::Command::Restore, &[archived()]), life("archived"));
    assert_eq!(of(&project::Command::Restore, &[updated("b")]), []);
    assert_eq!(conflicts(Wish::Create, &[updated("b")]).len(), 1);
    assert_eq!(of(&project::Command::Archive, &[]), []);
}
