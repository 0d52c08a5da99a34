//! Things that happen at random.

use super::change;
use crate::history::{Deed, NOW, World, append};
use crate::live::Dice;
use domain::{
    AttachmentId, BoardId, ColumnId, CommentId, DomainEvent, ItemId, Rank, Role, board, comment, item,
    project,
};
use eventstore::Store;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Things that happen at random, to the items of two boards of one project.
pub(super) struct Life {
    dice: Dice,
    pub(super) worlds: [World; 2],
    items: Vec<(usize, ItemId)>,
    comments: Vec<(ItemId, CommentId)>,
    columns: Vec<ColumnId>,
    count: usize,
}

impl Life {
    pub(super) fn begin(store: &Store) -> Self {
        let first = World::create(store, "acme");
        let board = BoardId::derive(first.project, "Other board");
        let columns = ["Open", "Done"].map(|name| ColumnId::derive(board, name));
        let second = World { board, open: columns[0], done: columns[1], ..first };
        let column =
            |column_id, name: &str| board::CreatedColumn { column_id, name: name.into(), wip_limit: None };
        let created = board::Created {
            workspace_id: first.workspace,
            project_id: first.project,
            name: "Other board".to_owned(),
            description: Some("first words".to_owned()),
            columns: vec![column(columns[0], "Open"), column(columns[1], "Done")],
        };
        let created = board::Event::from(created);
        append(store, &board.stream_id(), &second.scope(None), NOW, vec![created.into()]);
        let columns = vec![first.open, first.done, columns[0], columns[1]];
        let worlds = [first, second];
        Self { dice: Dice::new(), worlds, items: Vec::new(), comments: Vec::new(), columns, count: 0 }
    }

    pub(super) fn paths(&self) -> Vec<String> {
        let boards = self.worlds.iter().flat_map(|world| {
            let board = format!("/api/v1/boards/{}", world.board);
            [format!("{board}/view?limit=3"), board]
        });
        let items = (0..8).map(|key| format!("/api/v1/items/{}", self.worlds[0].item_id(&key.to_string())));
        let said =
            (0..8).map(|key| format!("/api/v1/items/{}/comments", self.worlds[0].item_id(&key.to_string())));
        let [world, _] = &self.worlds;
        let last = [
            format!("/api/v1/workspaces/{}", world.workspace),
            format!("/api/v1/projects/{}", world.project),
        ];
        boards.chain(items).chain(said).chain(last).collect()
    }

    fn one<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.dice.pick(among.len())]
    }

    /// One more commit.
    pub(super) fn goes_on(&mut self, store: &Store) {
        self.count += 1;
        let text = format!("text {}", self.count);
        let rank =
            Rank::new(format!("i{}", char::from(b'a' + u8::try_from(self.dice.roll(20)).unwrap()))).unwrap();
        let occurred_at = [None, Some(i64::try_from(self.dice.roll(1_000_000)).unwrap() * 1_000_000_000)];
        let deed = Deed {
            actor: self.one(&["ada", "bob"]),
            on_behalf_of: self.one(&[None, Some("cyd")]),
            occurred_at: self.one(&occurred_at),
        };
        if self.items.len() < 8 && (self.items.is_empty() || self.dice.roll(4) == 0) {
            let on = self.dice.pick(2);
            let key = self.items.len().to_string();
            let description = self.one(&[None, Some("what it is about")]);
            let fields = BTreeMap::from([("size".to_owned(), json!(self.count))]);
            let id = self.worlds[on].item_with(
                store,
                &key,
                rank.as_str(),
                &text,
                description,
                &["ada"],
                fields,
                deed,
            );
            return self.items.push((on, id));
        }
        let known = self.items.clone();
        let (on, id) = self.one(&known);
        let columns = self.columns.clone();
        let (from_column, to_column) = (self.one(&columns), self.one(&columns));
        let from_rank = rank.clone();
        let world = &self.worlds[on];
        let of_item = |event: item::Event| -> DomainEvent { event.into() };
        let event = match self.dice.roll(24) {
            0 | 1 => of_item(item::Updated { changes: change("title", json!(text)) }.into()),
            2 => of_item(item::Updated { changes: change("description", json!(text)) }.into()),
            3 => of_item(item::Updated { changes: change("description", Value::Null) }.into()),
            4 => of_item(item::Updated { changes: change("long", json!(text.repeat(100))) }.into()),
            5..=8 => of_item(item::Moved { from_column, to_column, from_rank, to_rank: rank }.into()),
            9 => of_item(item::Ranked { from_rank, to_rank: rank }.into()),
            10 => of_item(item::Assigned { assignees: vec![text, "bob".into()] }.into()),
            11 => of_item(item::Completed { resolution: Some(text) }.into()),
            12 => of_item(item::Reopened {}.into()),
            13 => of_item(item::Linked { kind: text, item_id: id }.into()),
            14 if self.count > 20 => of_item(item::Deleted { column_id: to_column }.into()),
            15..=17 => {
                let comment = world.comment(store, id, &text, &text, deed);
                return self.comments.push((id, comment));
            }
            18 if !self.comments.is_empty() => {
                let (item, comment) = self.comments[self.dice.pick(self.comments.len())];
                let deleted = comment::Event::from(comment::Deleted { item_id: item });
                // Whose board it is on, its tags say.
                let on = self.items.iter().find(|(_, id)| *id == item).unwrap().0;
                self.worlds[on].comment_happens(store, item, comment, deleted);
                return;
            }
            19 => {
                let event = match self.dice.roll(3) {
                    0 => project::Event::from(project::Updated { changes: change("name", json!(text)) }),
                    1 => project::Updated { changes: change("description", json!(text)) }.into(),
                    _ => project::Archived {}.into(),
                };
                append(
                    store,
                    &world.project.stream_id(),
                    &domain::Scope { board: None, ..world.scope(None) },
                    deed,
                    vec![event.into()],
                );
                return;
            }
            20 => {
                let attachment_id = AttachmentId::new(Uuid::now_v7());
                of_item(item::AttachmentAdded { attachment_id, name: text, size: 1, mime: None }.into())
            }
            _ => {
                let event = match self.dice.roll(7) {
                    0 => board::Event::from(board::ColumnChanged {
                        column_id: to_column,
                        changes: change("name", json!(text)),
                    }),
                    1 => {
                        let column_id = ColumnId::derive(world.board, &text);
                        self.columns.push(column_id);
                        board::ColumnAdded { column_id, name: text, wip_limit: Some(3), index: 0 }.into()
                    }
                    2 => board::ColumnRemoved { column_id: from_column, items_to: to_column }.into(),
                    3 => board::ColumnMoved { column_id: to_column, from: 0, to: 1 }.into(),
                    4 => board::Updated { changes: change("description", json!(text)) }.into(),
                    5 => board::MemberAdded { member: text, role: Role::Member }.into(),
                    _ => board::Updated { changes: change("name", json!(text)) }.into(),
                };
                append(store, &world.board.stream_id(), &world.scope(None), deed, vec![event.into()]);
                return;
            }
        };
        append(store, &id.stream_id(), &world.scope(Some(id)), deed, vec![event]);
    }
}
