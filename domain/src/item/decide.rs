//! What happens to an item when a command is accepted.

use crate::{
    aggregate::{Aggregate, Context},
    board::{FieldTypes, Placement},
    change::{Change, Changes},
    date::Date,
    error::{DomainError, Thing},
    ids::{AttachmentId, ItemId},
    item::{
        AddAttachment, Assigned, AttachmentAdded, AttachmentRemoved, Command, Complete, Completed, Create,
        Created, Deleted, Event, Item, Link, Linked, Move, Moved, Ranked, Reopened, SetRank, Unassigned,
        Unlinked, Update, Updated, fields,
    },
    limits::{
        ASSIGNEES_MAX, ATTACHMENTS_MAX, EXTERNAL_KEY_CHARS_MAX, FILE_NAME_CHARS_MAX, LINKS_MAX,
        RESOLUTION_CHARS_MAX, TITLE_CHARS_MAX,
    },
    project::same_text,
    rank::{Rank, rank_at_end, rank_between},
    tags::Scope,
    text::{check_chars, check_count, check_name, check_says_something, check_text},
};
use serde_json::Value;

impl Aggregate for Item {
    const CATEGORY: &'static str = ItemId::CATEGORY;
    const STATE_VERSION: u32 = 1;
    type Id = ItemId;
    type Command = Command;
    type Event = Event;

    fn decide(&self, context: &Context, command: Command) -> Result<Vec<Event>, DomainError> {
        if let Command::Create(create, placement, types) = command {
            self.life.check_absent(Thing::Item)?;
            return Ok(vec![created(context, create, &placement, &types)?.into()]);
        }
        let place = self.open_place()?;
        match command {
            Command::Create(..) => Err(DomainError::AlreadyExists { thing: Thing::Item }),
            Command::Update(update, types) => self.update(context, update, &types),
            Command::Move(to, placement) => self.move_to(context, &to, &placement),
            Command::Rank(to) => {
                let SetRank { rank, after, before } = to;
                let to_rank = match rank {
                    Some(rank) => rank,
                    None => choose_rank(context, after.as_ref(), before.as_ref())?,
                };
                if to_rank == place.rank {
                    return Ok(vec![]);
                }
                Ok(vec![Ranked { from_rank: place.rank.clone(), to_rank }.into()])
            }
            Command::Assign(assign) => self.assign(assign.assignees, &assign.remove),
            Command::Unassign(unassign) => self.assign(vec![], &unassign.assignees),
            Command::Complete(Complete { resolution }) => {
                if let Some(text) = &resolution {
                    check_chars("resolution", text, RESOLUTION_CHARS_MAX)?;
                }
                Ok(if self.completed { vec![] } else { vec![Completed { resolution }.into()] })
            }
            Command::Reopen => Ok(if self.completed { vec![Reopened {}.into()] } else { vec![] }),
            Command::AddAttachment(add) => self.add_attachment(context, add),
            Command::RemoveAttachment(attachment_id) => self.remove_attachment(attachment_id),
            Command::Link(Link { kind, item_id }) => {
                check_name("kind", &kind)?;
                let link = (kind, item_id);
                if self.links.contains(&link) {
                    return Ok(vec![]);
                }
                check_count("links", self.links.len() + 1, LINKS_MAX)?;
                Ok(vec![Linked { kind: link.0, item_id }.into()])
            }
            Command::Unlink(Link { kind, item_id }) => {
                let link = (kind, item_id);
                if !self.links.contains(&link) {
                    return Err(DomainError::NotFound { thing: Thing::Link });
                }
                Ok(vec![Unlinked { kind: link.0, item_id }.into()])
            }
            Command::Delete => Ok(vec![Deleted { column_id: place.column }.into()]),
        }
    }

    fn apply(&mut self, event: &Event) {
        self.fold(event);
    }

    fn scope(&self, id: ItemId) -> Option<Scope> {
        self.place.as_ref().map(|place| Scope {
            workspace: place.workspace,
            board: Some(place.board),
            item: Some(id),
        })
    }
}

impl Item {
    fn update(
        &self,
        context: &Context,
        update: Update,
        types: &FieldTypes,
    ) -> Result<Vec<Event>, DomainError> {
        if types.board_id() != self.open_place()?.board {
            return Err(DomainError::OtherBoard);
        }
        let mut changes = Changes::new();
        if let Some(title) = update.title {
            check_title(context, &title)?;
            if title != self.title {
                let change = Change::between(Some(self.title.clone().into()), title.into());
                changes.insert("title".to_owned(), change);
            }
        }
        if let Some(description) = update.description {
            if let Some(text) = &description {
                check_text("description", text)?;
            }
            if !same_text(self.description.as_ref(), description.as_deref()) {
                changes.insert("description".to_owned(), Change::to_text(description));
            }
        }
        if let Some(due_date) = update.due_date
            && due_date != self.due_date
        {
            let value = |date: Date| Value::String(date.to_string());
            let change = Change::between(self.due_date.map(value), due_date.map_or(Value::Null, value));
            changes.insert("dueDate".to_owned(), change);
        }
        fields::edit(&self.fields, update.fields, binding(context, types), &mut changes)?;
        Ok(if changes.is_empty() { vec![] } else { vec![Updated { changes }.into()] })
    }

    fn move_to(
        &self,
        context: &Context,
        to: &Move,
        placement: &Placement,
    ) -> Result<Vec<Event>, DomainError> {
        let place = self.open_place()?;
        if placement.board_id() != place.board {
            return Err(DomainError::OtherBoard);
        }
        let to_column = placement.column_id();
        let stays = to_column == place.column;
        if stays && to.after.is_none() && to.before.is_none() {
            return Ok(vec![]);
        }
        let to_rank = choose_rank(context, to.after.as_ref(), to.before.as_ref())?;
        let from_rank = place.rank.clone();
        // Within its column nothing changes that a limit could mind, so that is no move.
        Ok(vec![if stays {
            Ranked { from_rank, to_rank }.into()
        } else {
            Moved { from_column: place.column, to_column, from_rank, to_rank }.into()
        }])
    }

    /// Takes off, puts on, and says only what that changes: whoever is in both lists stays.
    fn assign(&self, add: Vec<String>, remove: &[String]) -> Result<Vec<Event>, DomainError> {
        check_count("assignees", add.len(), ASSIGNEES_MAX)?;
        add.iter().try_for_each(|person| check_name("assignees", person))?;
        let gone: Vec<String> =
            self.assignees.iter().filter(|p| remove.contains(p) && !add.contains(p)).cloned().collect();
        let mut come: Vec<String> = Vec::with_capacity(add.len());
        for person in add {
            if !self.is_assigned(&person) && !come.contains(&person) {
                come.push(person);
            }
        }
        check_count("assignees", self.assignees.len() - gone.len() + come.len(), ASSIGNEES_MAX)?;
        let mut events = Vec::with_capacity(2);
        if !gone.is_empty() {
            events.push(Unassigned { assignees: gone }.into());
        }
        if !come.is_empty() {
            events.push(Assigned { assignees: come }.into());
        }
        Ok(events)
    }

    fn add_attachment(&self, context: &Context, add: AddAttachment) -> Result<Vec<Event>, DomainError> {
        let AddAttachment { id, name, size, mime } = add;
        let attachment_id = id.unwrap_or_else(|| AttachmentId::new(context.fresh_id(0)));
        match self.attachments.get(&attachment_id) {
            Some(true) => return Err(DomainError::AlreadyExists { thing: Thing::Attachment }),
            Some(false) => return Err(DomainError::Gone { thing: Thing::Attachment }),
            None => {}
        }
        check_says_something("name", &name)?;
        check_chars("name", &name, FILE_NAME_CHARS_MAX)?;
        if let Some(mime) = &mime {
            check_chars("mime", mime, FILE_NAME_CHARS_MAX)?;
        }
        check_count("attachments", self.attachments.len() + 1, ATTACHMENTS_MAX)?;
        Ok(vec![AttachmentAdded { attachment_id, name, size, mime }.into()])
    }

    fn remove_attachment(&self, attachment_id: AttachmentId) -> Result<Vec<Event>, DomainError> {
        match self.attachments.get(&attachment_id) {
            Some(true) => Ok(vec![AttachmentRemoved { attachment_id }.into()]),
            Some(false) => Err(DomainError::Gone { thing: Thing::Attachment }),
            None => Err(DomainError::NotFound { thing: Thing::Attachment }),
        }
    }
}

fn created(
    context: &Context,
    create: Create,
    placement: &Placement,
    types: &FieldTypes,
) -> Result<Created, DomainError> {
    if types.board_id() != placement.board_id() {
        return Err(DomainError::OtherBoard);
    }
    let Create { title, description, external_key, mut assignees, due_date, fields, rank, .. } = create;
    check_title(context, &title)?;
    if let Some(text) = &description {
        check_text("description", text)?;
    }
    if let Some(key) = &external_key {
        check_says_something("externalKey", key)?;
        check_chars("externalKey", key, EXTERNAL_KEY_CHARS_MAX)?;
    }
    check_count("assignees", assignees.len(), ASSIGNEES_MAX)?;
    assignees.iter().try_for_each(|person| check_name("assignees", person))?;
    remove_repeated(&mut assignees);
    let fields = fields::first(fields, binding(context, types))?;
    Ok(Created {
        workspace_id: placement.workspace_id(),
        project_id: placement.project_id(),
        board_id: placement.board_id(),
        column_id: placement.column_id(),
        rank: rank.unwrap_or_else(|| rank_at_end(context.time_ns(), context.entropy)),
        title,
        description,
        external_key,
        assignees,
        due_date,
        fields,
    })
}

/// What the board says of its fields binds everybody but history.
fn binding<'t>(context: &Context, types: &'t FieldTypes) -> Option<&'t FieldTypes> {
    (!context.imported).then_some(types)
}

fn choose_rank(context: &Context, after: Option<&Rank>, before: Option<&Rank>) -> Result<Rank, DomainError> {
    if after.is_none() && before.is_none() {
        Ok(rank_at_end(context.time_ns(), context.entropy))
    } else {
        rank_between(after, before, context.entropy)
    }
}

fn check_title(context: &Context, title: &str) -> Result<(), DomainError> {
    if !context.imported {
        check_says_something("title", title)?;
    }
    check_chars("title", title, TITLE_CHARS_MAX)
}

/// Keeps the first of each name; at most 100, so comparing all with all is cheap.
fn remove_repeated(people: &mut Vec<String>) {
    let mut kept = 0;
    for index in 0..people.len() {
        if !people[..kept].contains(&people[index]) {
            people.swap(kept, index);
            kept += 1;
        }
    }
    people.truncate(kept);
}
