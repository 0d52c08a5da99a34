//! What commands touch.

use super::Wish;
use super::facet::{ARCHIVED, DELETED, Facet, PRESENT, Touch, field_type, json, order, removed};
use crate::{board, comment, ids::ColumnId, item, project, workspace};
use serde_json::Value;

/// Gives everything that a command touches.
pub(super) fn for_each_touch<'a>(wish: Wish<'a>, mut give: impl FnMut(Touch<'a>)) {
    let give: &mut dyn FnMut(Touch<'a>) = &mut give;
    match wish {
        Wish::Create => end("created", give),
        Wish::Workspace(command) => of_workspace(command, give),
        Wish::Project(command) => of_project(command, give),
        Wish::Board(command) => of_board(command, give),
        Wish::Item(command) => of_item(command, give),
        Wish::Update(update) => {
            of_update(update, give);
            present(give);
        }
        Wish::Move(to, from) => of_move(to, from, give),
        Wish::Comment(command) => of_comment(command, give),
    }
}

fn present<'a>(give: &mut dyn FnMut(Touch<'a>)) {
    give(Touch::Set(Facet::Life, PRESENT.into()));
}

fn end<'a>(how: &str, give: &mut dyn FnMut(Touch<'a>)) {
    give(Touch::End(Facet::Life, how.into()));
}

fn of_workspace<'a>(command: &'a workspace::Command, give: &mut dyn FnMut(Touch<'a>)) {
    use workspace::Command as C;
    match command {
        C::Create(_) => return end("created", give),
        C::Archive => return end(ARCHIVED, give),
        C::Rename(rename) => give(Touch::Set(Facet::Name, rename.name.as_str().into())),
        C::AddMember(add) => give(Touch::Set(Facet::Member(&add.member), json(add.role))),
        C::RemoveMember(remove) => give(Touch::Set(Facet::Member(&remove.member), Value::Null)),
        C::ChangeMemberRole(change) => give(Touch::Set(Facet::Member(&change.member), json(change.role))),
    }
    present(give);
}

fn of_project<'a>(command: &'a project::Command, give: &mut dyn FnMut(Touch<'a>)) {
    use project::Command as C;
    match command {
        C::Create(..) => return end("created", give),
        C::Archive => return end(ARCHIVED, give),
        C::Update(update) => of_label(update, give),
        C::Restore => {}
    }
    present(give);
}

fn of_label<'a>(update: &'a project::Update, give: &mut dyn FnMut(Touch<'a>)) {
    let project::Update { name, description } = update;
    if let Some(name) = name {
        give(Touch::Set(Facet::Name, name.as_str().into()));
    }
    if let Some(description) = description {
        give(Touch::Set(Facet::Description, description.as_deref().into()));
    }
}

fn of_board<'a>(command: &'a board::Command, give: &mut dyn FnMut(Touch<'a>)) {
    use board::Command as C;
    let is_there = |column: ColumnId| Touch::Set(Facet::Column(column), PRESENT.into());
    match command {
        C::Create(..) => return end("created", give),
        C::Delete => return end(DELETED, give),
        C::Update(update) => of_label(update, give),
        C::AddColumn(add) => {
            // One without an id is a new one, and one without an index goes to the end, wherever that is.
            if let Some(id) = add.id {
                give(is_there(id));
            }
            if add.index.is_some() {
                give(Touch::Set(Facet::Order, order(add.id, add.index)));
            }
        }
        C::ChangeColumn(id, change) => {
            let board::ChangeColumn { name, wip_limit } = change;
            give(is_there(*id));
            if let Some(name) = name {
                give(Touch::Set(Facet::ColumnName(*id), name.as_str().into()));
            }
            if let Some(limit) = wip_limit {
                give(Touch::Set(Facet::ColumnLimit(*id), json(limit)));
            }
        }
        C::MoveColumn(id, to) => {
            give(is_there(*id));
            give(Touch::Set(Facet::Order, order(Some(*id), Some(to.index))));
        }
        C::RemoveColumn(id, remove) => {
            give(Touch::End(Facet::Column(*id), removed(remove.items_to)));
            give(is_there(remove.items_to));
        }
        C::AddMember(add) => give(Touch::Set(Facet::Member(&add.member), json(add.role))),
        C::RemoveMember(remove) => give(Touch::Set(Facet::Member(&remove.member), Value::Null)),
        C::ChangeMemberRole(change) => give(Touch::Set(Facet::Member(&change.member), json(change.role))),
        C::DefineField(define) => {
            let board::DefineField { name, kind, options } = define;
            give(Touch::Set(Facet::Field(name), field_type(*kind, options)));
        }
        C::RemoveField(name) => give(Touch::Set(Facet::Field(name), Value::Null)),
    }
    present(give);
}

fn of_item<'a>(command: &'a item::Command, give: &mut dyn FnMut(Touch<'a>)) {
    use item::Command as C;
    match command {
        C::Create(..) => return end("created", give),
        C::Delete => return end(DELETED, give),
        C::Move(to, _) => return of_move(to, None, give),
        C::Update(update, _) => return of_update(update, give),
        C::Rank(to) => {
            let item::SetRank { rank, after, before } = to;
            let wanted = rank.as_ref().map_or_else(|| neighbours(after, before), json);
            give(Touch::Set(Facet::Rank, wanted));
        }
        C::Assign(assign) => {
            let item::Assign { assignees, remove } = assign;
            let gone = remove.iter().filter(|person| !assignees.contains(person));
            for (person, is_assigned) in
                assignees.iter().map(|person| (person, true)).chain(gone.map(|person| (person, false)))
            {
                give(Touch::Set(Facet::Assignee(person), is_assigned.into()));
            }
        }
        C::Unassign(unassign) => {
            for person in &unassign.assignees {
                give(Touch::Set(Facet::Assignee(person), false.into()));
            }
        }
        C::Complete(complete) => {
            give(Touch::Set(Facet::Completed, true.into()));
            if let Some(resolution) = &complete.resolution {
                give(Touch::Set(Facet::Resolution, resolution.as_str().into()));
            }
        }
        C::Reopen => give(Touch::Set(Facet::Completed, false.into())),
        C::AddAttachment(add) => {
            if let Some(id) = add.id {
                give(Touch::Set(Facet::Attachment(id), true.into()));
            }
        }
        C::RemoveAttachment(id) => give(Touch::Set(Facet::Attachment(*id), false.into())),
        C::Link(link) => give(Touch::Set(Facet::Link(&link.kind, link.item_id), true.into())),
        C::Unlink(link) => give(Touch::Set(Facet::Link(&link.kind, link.item_id), false.into())),
    }
    present(give);
}

fn of_update<'a>(update: &'a item::Update, give: &mut dyn FnMut(Touch<'a>)) {
    let item::Update { title, description, fields, due_date } = update;
    if let Some(title) = title {
        give(Touch::Set(Facet::Title, title.as_str().into()));
    }
    if let Some(description) = description {
        give(Touch::Set(Facet::Description, description.as_deref().into()));
    }
    if let Some(due_date) = due_date {
        give(Touch::Set(Facet::DueDate, json(due_date)));
    }
    for (name, edit) in fields {
        give(match edit {
            item::FieldEdit::Set(value) => Touch::Set(Facet::Field(name), value.clone()),
            item::FieldEdit::Add(values) => Touch::Add(name, values),
            item::FieldEdit::Remove(values) => Touch::Remove(name, values),
        });
    }
    present(give);
}

fn of_move<'a>(to: &'a item::Move, from: Option<ColumnId>, give: &mut dyn FnMut(Touch<'a>)) {
    let item::Move { column_id, after, before } = to;
    give(Touch::Set(Facet::Place, json(column_id)));
    // Whoever goes to another column leaves its rank behind. Where it is not known to be another, it may be the same.
    let may_stay = from.is_none_or(|from| from == *column_id);
    if may_stay && (after.is_some() || before.is_some()) {
        give(Touch::Set(Facet::Rank, neighbours(after, before)));
    }
    present(give);
}

/// A wish to stand between others, which no rank is the same as.
fn neighbours(after: &Option<crate::Rank>, before: &Option<crate::Rank>) -> Value {
    serde_json::json!({ "after": after, "before": before })
}

fn of_comment<'a>(command: &'a comment::Command, give: &mut dyn FnMut(Touch<'a>)) {
    use comment::Command as C;
    match command {
        C::Add(..) => return end("created", give),
        C::Delete => return end(DELETED, give),
        C::Edit(edit) => {
            if let Some(body) = &edit.body {
                give(Touch::Set(Facet::Body, body.as_str().into()));
            }
        }
    }
    present(give);
}
