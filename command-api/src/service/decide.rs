//! From an order to a draft: proofs are fetched, conditions checked, the domain decides, events are made.
//!
//! Invariant: whatever a decision rests on besides its target becomes a guard of the draft, save who may take it and
//! whether the target's home is in use (see [`access`](super::access)).

use super::access;
use super::census::Place;
use super::conditions::{agrees, check_derived};
use super::desk::Desk;
use super::draft::{Draft, Pen, other_kind, part_id};
use super::key::{Held, Key, Kind};
use super::order::{Intent, Order};
use super::refusal::Refusal;
use domain::board::{Board, FieldTypes, Placement};
use domain::item::Item;
use domain::project::Project;
use domain::workspace::Workspace;
use domain::{
    AttachmentId, BoardId, ColumnId, CommentId, DomainError, ItemId, Life, ProjectId, Thing, WorkspaceId,
    board, comment, item, project, tags, workspace,
};
use eventstore::Guard;
use uuid::Uuid;

impl Desk<'_> {
    /// The aggregate that an order is about: said, derived from a foreign name, or new.
    pub(super) fn target(&mut self, order: &Order) -> Result<Key, Refusal> {
        access::admit(order)?;
        if let (Some(said), Some(in_body)) = (order.target, order.body_id())
            && said != in_body
        {
            return Err(Refusal::Contradiction { field: "id", detail: "the id in the body is another one" });
        }
        if let Some(key) = order.known_target() {
            return Ok(key);
        }
        match &order.intent {
            Intent::CreateItem(create) => {
                if let Some(external_key) = &create.external_key {
                    let board = Key::new(Kind::Board, create.board_id.uuid());
                    let home =
                        self.home(board, order.origin.principal.tenants())?.ok_or(Refusal::Reference {
                            field: "boardId",
                            error: DomainError::NotFound { thing: Thing::Board },
                        })?;
                    let workspace = WorkspaceId::new(home.workspace());
                    return Ok(Key::new(Kind::Item, ItemId::derive(workspace, external_key).uuid()));
                }
            }
            Intent::CreateWorkspace(_) => {
                if let Some(id) = access::new_workspace(&order.origin.principal)? {
                    return Ok(Key::new(Kind::Workspace, id));
                }
            }
            Intent::CreateProject(_) | Intent::CreateBoard(_) | Intent::AddComment(_) => {}
            _ => return Err(Refusal::NoTarget),
        }
        // Derived from the command, so that the order sent again is about the same thing.
        Ok(Key::new(order.intent.kind(), part_id(Uuid::nil(), &order.command)))
    }

    /// Decides about an order. The target is claimed.
    pub(super) fn decide(&mut self, order: Order, key: Key) -> Result<Draft, Refusal> {
        self.rests_on.clear();
        let permit = self.enter(&order, key)?;
        self.check(key, &order)?;
        let Order { intent, command, fingerprint, origin, .. } = order;
        let pen = Pen::new(self.inner, command, fingerprint, origin);
        let id = key.id;
        match intent {
            Intent::CreateWorkspace(create) => {
                check_derived(
                    id,
                    create.external_key.as_deref().map(|name| WorkspaceId::derive(name).uuid()),
                )?;
                let create = workspace::Create { id: create.id, name: create.name };
                self.write::<Workspace>(
                    key,
                    WorkspaceId::new(id),
                    workspace::Command::Create(create),
                    pen,
                    permit,
                    vec![],
                )
            }
            Intent::Workspace(command) => {
                self.write::<Workspace>(key, WorkspaceId::new(id), command, pen, permit, vec![])
            }
            Intent::CreateProject(create) => {
                let workspace_id = create.workspace_id;
                let derived =
                    create.external_key.as_deref().map(|name| ProjectId::derive(workspace_id, name).uuid());
                check_derived(id, derived)?;
                let (proof, guard) = self.prove::<Workspace, _>(
                    Key::new(Kind::Workspace, workspace_id.uuid()),
                    "workspaceId",
                    |workspace| workspace.reference(workspace_id),
                )?;
                let create = project::Create {
                    id: create.id,
                    workspace_id,
                    name: create.name,
                    description: create.description,
                };
                let command = project::Command::Create(create, proof);
                self.write::<Project>(key, ProjectId::new(id), command, pen, permit, guard)
            }
            Intent::Project(command) => {
                self.write::<Project>(key, ProjectId::new(id), command, pen, permit, vec![])
            }
            Intent::CreateBoard(create) => {
                let project_id = create.project_id;
                let derived =
                    create.external_key.as_deref().map(|name| BoardId::derive(project_id, name).uuid());
                check_derived(id, derived)?;
                let (proof, guard) = self.prove::<Project, _>(
                    Key::new(Kind::Project, project_id.uuid()),
                    "projectId",
                    |project| project.reference(project_id),
                )?;
                agrees("workspaceId", create.workspace_id, proof.workspace_id())?;
                let create = board::Create {
                    id: create.id,
                    project_id,
                    name: create.name,
                    description: create.description,
                    columns: create.columns,
                };
                self.write::<Board>(
                    key,
                    BoardId::new(id),
                    board::Command::Create(create, proof),
                    pen,
                    permit,
                    guard,
                )
            }
            Intent::Board(mut command) => {
                if let board::Command::AddColumn(add) = &mut command {
                    add.id.get_or_insert_with(|| ColumnId::new(part_id(id, &pen.command)));
                }
                self.write::<Board>(key, BoardId::new(id), command, pen, permit, vec![])
            }
            Intent::CreateItem(create) => {
                let (placement, guards) = self.place(create.board_id, create.column_id, None)?;
                let workspace = placement.workspace_id();
                agrees("workspaceId", create.workspace_id, workspace)?;
                agrees("projectId", create.project_id, placement.project_id())?;
                check_derived(
                    id,
                    create.external_key.as_deref().map(|name| ItemId::derive(workspace, name).uuid()),
                )?;
                let types = self.field_types(placement.board_id(), create.fields.keys())?;
                let create = item::Create {
                    id: create.id,
                    board_id: create.board_id,
                    column_id: create.column_id,
                    title: create.title,
                    description: create.description,
                    external_key: create.external_key,
                    assignees: create.assignees,
                    due_date: create.due_date,
                    fields: create.fields,
                    rank: create.rank,
                };
                self.write::<Item>(
                    key,
                    ItemId::new(id),
                    item::Command::Create(create, placement, types),
                    pen,
                    permit,
                    guards,
                )
            }
            Intent::UpdateItem(update) => {
                let board = self.board_of(key)?;
                let types = self.field_types(board, update.fields.keys())?;
                self.write::<Item>(
                    key,
                    ItemId::new(id),
                    item::Command::Update(update, types),
                    pen,
                    permit,
                    vec![],
                )
            }
            Intent::MoveItem(to) => {
                let (board, from) = {
                    let item = Item::of(&self.load(key)?.state).ok_or_else(other_kind)?;
                    // An absent or deleted item is refused before anybody looks at its board.
                    item.reference(ItemId::new(id))?;
                    (item.board_id().ok_or(DomainError::NotFound { thing: Thing::Item })?, item.column_id())
                };
                let (placement, guards) = self.place(board, Some(to.column_id), from)?;
                self.write::<Item>(
                    key,
                    ItemId::new(id),
                    item::Command::Move(to, placement),
                    pen,
                    permit,
                    guards,
                )
            }
            Intent::Item(mut command) => {
                match &mut command {
                    item::Command::AddAttachment(add) => {
                        add.id.get_or_insert_with(|| AttachmentId::new(part_id(id, &pen.command)));
                    }
                    item::Command::Delete => self.leave(key)?,
                    _ => {}
                }
                self.write::<Item>(key, ItemId::new(id), command, pen, permit, vec![])
            }
            Intent::AddComment(add) => {
                let item_id = add.item_id;
                let derived = add.external_key.as_deref().map(|name| CommentId::derive(item_id, name).uuid());
                check_derived(id, derived)?;
                let (proof, guard) =
                    self.prove::<Item, _>(Key::new(Kind::Item, item_id.uuid()), "itemId", |item| {
                        item.reference(item_id)
                    })?;
                let add = comment::Add { id: add.id, external_key: add.external_key, body: add.body };
                let command = comment::Command::Add(add, proof);
                self.write::<comment::Comment>(key, CommentId::new(id), command, pen, permit, guard)
            }
            Intent::Comment(command) => {
                let guard = match command {
                    comment::Command::Edit(_) => self.prove_commented(key)?,
                    // What is no use any more may still be taken away.
                    _ => vec![],
                };
                self.write::<comment::Comment>(key, CommentId::new(id), command, pen, permit, guard)
            }
        }
    }

    fn board<T>(&mut self, id: BoardId, look: impl FnOnce(&Board) -> T) -> Result<T, Refusal> {
        let key = Key::new(Kind::Board, id.uuid());
        self.rests_on.push(key);
        let entry = self.load(key)?;
        Board::of(&entry.state).map(look).ok_or_else(other_kind)
    }

    /// The board of an item that is there.
    fn board_of(&mut self, item: Key) -> Result<BoardId, Refusal> {
        let entry = self.load(item)?;
        let state = Item::of(&entry.state).ok_or_else(other_kind)?;
        Ok(state.reference(ItemId::new(item.id))?.board_id())
    }

    /// Proof of what a board says of fields. It needs no guard: what is said later does not touch what was set
    /// before, so a value may come just after the definition that it raced with, as if it had come just before.
    fn field_types<'n>(
        &mut self,
        board: BoardId,
        names: impl Iterator<Item = &'n String>,
    ) -> Result<FieldTypes, Refusal> {
        Ok(self.board(board, |known| known.field_types(board, names.map(String::as_str)))??)
    }

    /// Proof that an item may be put into a column, and the guards that keep it true.
    fn place(
        &mut self,
        board_id: BoardId,
        column: Option<ColumnId>,
        from: Option<ColumnId>,
    ) -> Result<(Placement, Vec<Guard>), Refusal> {
        let (placement, from, leaves_limited) = self.board(board_id, |board| {
            let placement = match column {
                Some(column) => board.placement(board_id, column),
                None => board.first_placement(board_id),
            };
            let from = from.map(|from| board.resolve(from));
            (placement, from, from.filter(|from| is_limited(board, *from)))
        })?;
        let placement = placement.map_err(|error| match error {
            DomainError::NotFound { .. } | DomainError::Gone { .. } => {
                Refusal::Reference { field: "boardId", error }
            }
            error => Refusal::Domain(error),
        })?;
        let to = placement.column_id();
        let moves = from != Some(to);
        let is_limited = placement.wip_limit().is_some();
        if moves {
            let columns = leaves_limited.into_iter().chain(is_limited.then_some(to));
            self.have_turns(columns.map(|column| Place { board: board_id, column }))?;
        }
        let mut guards = Vec::with_capacity(2);
        let is_atomic = self.is_atomic;
        let entry = self.load(Key::new(Kind::Board, board_id.uuid()))?;
        if let Some(as_of) = entry.as_of {
            let tag = Self::tag(self.tags(), &tags::board_shape(board_id)).ok_or_else(other_kind)?;
            guards.push(Guard::NoNewer(tag, as_of));
        } else if !is_atomic {
            // The board's newest changes have no position yet, but they have a version.
            guards.push(Guard::StreamAt(entry.stream.clone(), entry.version));
        }
        // Otherwise the board is part of the same commit, which expects its version anyway.
        if moves && is_limited {
            let place = Place { board: board_id, column: to };
            let (count, upto) = self.inner.count(place)?;
            let count = count + self.census_delta.get(&place).copied().unwrap_or(0);
            placement.admit(u64::try_from(count).unwrap_or(0))?;
            let tag = Self::tag(self.tags(), &tags::column(to)).ok_or_else(other_kind)?;
            guards.push(Guard::NoNewer(tag, upto));
        }
        Ok((placement, guards))
    }

    /// Whoever takes an item out of a limited column has the turn at it, as whoever puts one in.
    fn leave(&mut self, item: Key) -> Result<(), Refusal> {
        let (board_id, column) = {
            let item = Item::of(&self.load(item)?.state).ok_or_else(other_kind)?;
            match (item.life(), item.board_id(), item.column_id()) {
                (Life::Present, Some(board), Some(column)) => (board, column),
                // It is refused, and nothing leaves.
                _ => return Ok(()),
            }
        };
        let board = &self.load(Key::new(Kind::Board, board_id.uuid()))?.state;
        let board = Board::of(board).ok_or_else(other_kind)?;
        let column = Some(board.resolve(column)).filter(|column| is_limited(board, *column));
        self.have_turns(column.map(|column| Place { board: board_id, column }))
    }

    fn have_turns(&self, columns: impl IntoIterator<Item = Place>) -> Result<(), Refusal> {
        let missing: Vec<_> = columns.into_iter().filter(|column| !self.turns.has(*column)).collect();
        if missing.is_empty() { Ok(()) } else { Err(Refusal::NeedsTurns(missing)) }
    }

    /// Guards that keep true that the item of a comment is there; none where the comment itself is not.
    fn prove_commented(&mut self, key: Key) -> Result<Vec<Guard>, Refusal> {
        let entry = self.load(key)?;
        if entry.state.life() != Life::Present {
            return Ok(vec![]);
        }
        let comment = comment::Comment::of(&entry.state).ok_or_else(other_kind)?;
        let Some(item_id) = comment.item_id() else { return Ok(vec![]) };
        let item = Key::new(Kind::Item, item_id.uuid());
        let (_, guard) = self.prove::<Item, _>(item, "itemId", |item| item.reference(item_id))?;
        Ok(guard)
    }

    /// Proof about another aggregate, and the guard that keeps it true.
    fn prove<A: Held, P>(
        &mut self,
        key: Key,
        field: &'static str,
        proof: impl FnOnce(&A) -> Result<P, DomainError>,
    ) -> Result<(P, Vec<Guard>), Refusal> {
        self.rests_on.push(key);
        let is_atomic = self.is_atomic;
        let entry = self.load(key)?;
        let state = A::of(&entry.state).ok_or_else(other_kind)?;
        let proof = proof(state).map_err(|error| Refusal::Reference { field, error })?;
        let guards = if is_atomic && entry.is_dirty {
            vec![]
        } else {
            vec![Guard::StreamAt(entry.stream.clone(), entry.version)]
        };
        Ok((proof, guards))
    }
}

fn is_limited(board: &Board, column: ColumnId) -> bool {
    board.column(column).is_some_and(|column| column.wip_limit().is_some())
}
