//! What a line means: one line, one command.
//!
//! Invariant: a line that changes nothing is sent too, so that its command is remembered and counts as a duplicate
//! the next time.
//!
//! Whether the command is carried out is the server's decision.

use crate::import::batch::{Batch, Body, Header};
use crate::import::keys::LineId;
use crate::import::line::{Line, Members, Reason, is_text};
use crate::import::places::{Home, Places};
use domain::{CommentId, Date};

/// What a line is about, other than the creation of its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `item.created`
    Created,
    /// `item.moved`
    Moved,
    /// `item.assigned`
    Assigned,
    /// `item.updated`
    Updated,
    /// `item.completed`
    Completed,
    /// `item.reopened`
    Reopened,
    /// `comment.added`
    CommentAdded,
    /// `comment.edited`
    CommentEdited,
    /// `comment.deleted`
    CommentDeleted,
    /// `attachment.added`
    AttachmentAdded,
}

impl Kind {
    /// By its name in the history.
    ///
    /// # Errors
    /// When there is no such kind.
    pub(super) fn parse(name: &str) -> Result<Self, Reason> {
        Ok(match name {
            "item.created" => Self::Created,
            "item.moved" => Self::Moved,
            "item.assigned" => Self::Assigned,
            "item.updated" => Self::Updated,
            "item.completed" => Self::Completed,
            "item.reopened" => Self::Reopened,
            "comment.added" => Self::CommentAdded,
            "comment.edited" => Self::CommentEdited,
            "comment.deleted" => Self::CommentDeleted,
            "attachment.added" => Self::AttachmentAdded,
            _ => return Err(format!("unknown type {name:?}")),
        })
    }
}

/// Members of `item.created` that are not custom fields. `final` is what the source said of the end, no event.
const OWN_MEMBERS: [&str; 9] =
    ["workspace", "project", "board", "title", "description", "column", "assignee", "dueDate", "final"];

/// Writes the command that creates an item, and returns its home.
///
/// # Errors
/// When the line lacks what a creation needs.
pub(super) fn create(
    number: u64,
    line: &Line<'_>,
    id: LineId,
    places: &mut Places,
    set_up: &mut Batch,
    batch: &mut Batch,
) -> Result<Home, Reason> {
    let data = Members::parse(line.data)?;
    let workspace = data.need_text("workspace")?;
    let project = data.need_text("project")?;
    let board = data.text("board")?;
    let column = data.text("column")?;
    let home = places.home(line, &workspace, &project, board.as_deref(), set_up);
    let column = column.map(|name| places.column(line, home.board, &name, set_up));
    let header = Header { key: id.command(home.workspace.uuid()), actor: line.actor, at: &line.at };
    batch.add(number, |body| {
        body.open("item.create", home.item.uuid(), header);
        body.member_id("boardId", home.board.uuid());
        if let Some(column) = column {
            body.member_id("columnId", column.uuid());
        }
        body.member("title", data.get("title").unwrap_or("\"\""));
        if let Some(description) = data.get("description") {
            body.member("description", description);
        }
        body.member_text("externalKey", &line.key);
        if let Some(assignee) = data.get("assignee") {
            body.member_list_of("assignees", assignee);
        }
        if let Some(due_date) = data.get("dueDate") {
            body.member("dueDate", &day(due_date)?);
        }
        body.open_object("fields");
        for (name, json) in data.iter().filter(|(name, _)| !OWN_MEMBERS.contains(name)) {
            body.foreign_member(name, json);
        }
        body.close_object();
        body.close();
        Ok::<(), Reason>(())
    })?;
    Ok(home)
}

/// Writes the command of any other line.
///
/// # Errors
/// When the line lacks what its kind needs.
#[expect(clippy::too_many_arguments, reason = "a line, its name and home, and where its command goes")]
pub(super) fn change(
    number: u64,
    line: &Line<'_>,
    kind: Kind,
    id: LineId,
    home: &Home,
    places: &mut Places,
    set_up: &mut Batch,
    batch: &mut Batch,
) -> Result<(), Reason> {
    let data = Members::parse(line.data)?;
    let key = id.command(home.workspace.uuid());
    let header = Header { key, actor: line.actor, at: &line.at };
    let item = home.item.uuid();
    batch.add(number, |body| {
        match kind {
            Kind::Created => return Err("the item was created before".to_owned()),
            Kind::Moved => {
                let column = places.column(line, home.board, &data.need_text("to")?, set_up);
                body.open("item.move", item, header);
                body.member_id("columnId", column.uuid());
            }
            Kind::Assigned => {
                body.open("item.assign", item, header);
                for (member, name) in [("assignees", "to"), ("remove", "from")] {
                    if let Some(person) = data.get(name) {
                        body.member_list_of(member, person);
                    }
                }
            }
            Kind::Updated => {
                body.open("item.update", item, header);
                update(body, &data)?;
            }
            Kind::Completed => {
                body.open("item.complete", item, header);
                if let Some(resolution) = data.get("resolution") {
                    body.member("resolution", resolution);
                }
            }
            Kind::Reopened => body.open("item.reopen", item, header),
            Kind::AttachmentAdded => {
                body.open("item.add_attachment", item, header);
                for name in ["name", "size", "mime"] {
                    if let Some(json) = data.get(name) {
                        body.member(name, json);
                    }
                }
            }
            Kind::CommentAdded => {
                let foreign = foreign_comment(&data)?;
                let own = foreign.is_none().then(|| key.to_string());
                let name = foreign.as_deref().or(own.as_deref()).unwrap_or_default();
                body.open("comment.add", CommentId::derive(home.item, name).uuid(), header);
                body.member_id("itemId", item);
                if let Some(foreign) = &foreign {
                    body.member_text("externalKey", foreign);
                }
                if let Some(text) = data.get("body") {
                    body.member("body", text);
                }
            }
            Kind::CommentEdited | Kind::CommentDeleted => {
                let foreign = foreign_comment(&data)?.ok_or("no comment_id")?;
                let comment = CommentId::derive(home.item, &foreign).uuid();
                if kind == Kind::CommentDeleted {
                    body.open("comment.delete", comment, header);
                } else {
                    body.open("comment.edit", comment, header);
                    if let Some(text) = data.get("body") {
                        body.member("body", text);
                    }
                }
            }
        }
        body.close();
        Ok(())
    })
}

/// `{field, from?, to?}` sets a field, `{field, added|removed}` edits a list; anything else changes nothing.
fn update(body: &mut Body<'_>, data: &Members<'_>) -> Result<(), Reason> {
    let Some(field) = data.text("field")? else { return Ok(()) };
    let edit = match (data.get("added"), data.get("removed")) {
        (Some(_), Some(_)) => return Err("both added and removed".to_owned()),
        (Some(values), None) => Some(("add", values)),
        (None, Some(values)) => Some(("remove", values)),
        (None, None) => None,
    };
    // Without a former and a new value the history only says that somebody touched it.
    let touched =
        field == "touched" || (edit.is_none() && data.get("to").is_none() && data.get("from").is_none());
    if touched {
        return Ok(());
    }
    match (&*field, edit) {
        ("title" | "description" | "dueDate", Some(_)) => return Err(format!("{field} is not a list")),
        ("title", None) => body.member("title", data.get("to").unwrap_or("\"\"")),
        ("description", None) => body.member("description", data.get("to").unwrap_or("null")),
        ("dueDate", None) => body.member("dueDate", &day(data.get("to").unwrap_or("null"))?),
        (_, edit) => {
            body.open_object("fields");
            body.open_foreign(&field);
            match edit {
                Some((name, values)) if values.starts_with('[') => body.member(name, values),
                Some((name, value)) => body.member_list_of(name, value),
                None => body.member("set", data.get("to").unwrap_or("null")),
            }
            body.close_object();
            body.close_object();
        }
    }
    Ok(())
}

/// The day of a due date; a point in time loses its clock and its zone.
fn day(json: &str) -> Result<String, Reason> {
    if json == "null" {
        return Ok(json.to_owned());
    }
    let text: String = serde_json::from_str(json).unwrap_or_default();
    let day = match text.split_at_checked(10) {
        Some((day, "")) => day.parse::<Date>().ok(),
        Some((day, rest)) if rest.starts_with(['T', 't', ' ']) => day.parse().ok(),
        _ => None,
    };
    day.map(|day| format!("\"{day}\"")).ok_or_else(|| format!("dueDate {json} is no date"))
}

/// The comment's name in the history, where it has one.
fn foreign_comment(data: &Members<'_>) -> Result<Option<String>, Reason> {
    for name in ["comment_id", "source_id"] {
        match data.get(name) {
            Some(json) if is_text(json) => return Ok(data.text(name)?.map(Into::into)),
            Some(json) if json.starts_with(|digit: char| digit.is_ascii_digit()) => {
                return Ok(Some(json.to_owned()));
            }
            Some(_) => return Err(format!("{name} is neither a text nor a number")),
            None => {}
        }
    }
    Ok(None)
}
