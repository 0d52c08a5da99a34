//! What happens to a board when a command is accepted.

use crate::{
    aggregate::{Aggregate, Context},
    board::{
        AddColumn, Board, ChangeColumn, ChangeMemberRole, Column, ColumnAdded, ColumnChanged, ColumnMoved,
        ColumnRemoved, Command, Create, Created, CreatedColumn, DefineField, Deleted, Event, FieldDefined,
        FieldRemoved, FieldType, MemberAdded, MemberRemoved, MemberRoleChanged, Updated,
    },
    change::{Change, Changes},
    error::{DomainError, Thing},
    ids::{BoardId, ColumnId},
    limits::{COLUMNS_MAX, FIELD_NAME_CHARS_MAX, FIELDS_MAX},
    project::{Label, ProjectRef},
    tags::Scope,
    text::{check_chars, check_count, check_name, check_says_something},
    workspace::{AddMember, RemoveMember, admit_member},
};
use serde_json::Value;

impl Aggregate for Board {
    const CATEGORY: &'static str = BoardId::CATEGORY;
    const STATE_VERSION: u32 = 1;
    type Id = BoardId;
    type Command = Command;
    type Event = Event;

    fn decide(&self, context: &Context, command: Command) -> Result<Vec<Event>, DomainError> {
        if let Command::Create(create, project) = command {
            self.life.check_absent(Thing::Board)?;
            return Ok(vec![created(context, create, project)?.into()]);
        }
        self.life.check_open(Thing::Board)?;
        match command {
            Command::Create(..) => Err(DomainError::AlreadyExists { thing: Thing::Board }),
            Command::Update(update) => {
                let changes = self.label.changes(update)?;
                Ok(if changes.is_empty() { vec![] } else { vec![Updated { changes }.into()] })
            }
            Command::Delete => Ok(vec![Deleted {}.into()]),
            Command::AddColumn(add) => self.add_column(context, add),
            Command::ChangeColumn(column, change) => self.change_column(column, change),
            Command::MoveColumn(column, to) => self.move_column(column, to.index),
            Command::RemoveColumn(column, remove) => self.remove_column(column, remove.items_to),
            Command::AddMember(AddMember { member, role }) => {
                let is_new = admit_member(&self.members, &member, role)?;
                Ok(if is_new { vec![MemberAdded { member, role }.into()] } else { vec![] })
            }
            Command::RemoveMember(RemoveMember { member }) => {
                self.known_member(&member)?;
                Ok(vec![MemberRemoved { member }.into()])
            }
            Command::ChangeMemberRole(ChangeMemberRole { member, role }) => {
                let from = self.known_member(&member)?;
                if from == role {
                    return Ok(vec![]);
                }
                Ok(vec![MemberRoleChanged { member, from, to: role }.into()])
            }
            Command::DefineField(DefineField { name, kind, options }) => {
                check_says_something("name", &name)?;
                check_chars("name", &name, FIELD_NAME_CHARS_MAX)?;
                let said = FieldType::check(kind, options)?;
                match self.fields.get(&name) {
                    Some(known) if *known == said => return Ok(vec![]),
                    Some(_) => {}
                    None => check_count("fields", self.fields.len() + 1, FIELDS_MAX)?,
                }
                Ok(vec![FieldDefined { name, kind, options: said.into_options() }.into()])
            }
            Command::RemoveField(name) => {
                if !self.fields.contains_key(&name) {
                    return Err(DomainError::NotFound { thing: Thing::Field });
                }
                Ok(vec![FieldRemoved { name }.into()])
            }
        }
    }

    fn apply(&mut self, event: &Event) {
        self.fold(event);
    }

    fn scope(&self, id: BoardId) -> Option<Scope> {
        self.home.map(|home| Scope { workspace: home.workspace, board: Some(id), item: None })
    }
}

impl Board {
    fn add_column(&self, context: &Context, add: AddColumn) -> Result<Vec<Event>, DomainError> {
        let AddColumn { id, name, wip_limit, index } = add;
        let column_id = id.unwrap_or_else(|| ColumnId::new(context.fresh_id(0)));
        if self.removed.contains_key(&column_id) {
            return Err(DomainError::Gone { thing: Thing::Column });
        }
        if self.column(column_id).is_some() {
            return Err(DomainError::AlreadyExists { thing: Thing::Column });
        }
        check_column(&name, wip_limit)?;
        check_count("columns", self.columns.len() + 1, COLUMNS_MAX)?;
        let end = index_of(self.columns.len());
        let index = index.unwrap_or(end).min(end);
        Ok(vec![ColumnAdded { column_id, name, wip_limit, index }.into()])
    }

    fn change_column(&self, id: ColumnId, change: ChangeColumn) -> Result<Vec<Event>, DomainError> {
        let (_, column) = self.known_column(id)?;
        let mut changes = Changes::new();
        if let Some(name) = change.name {
            check_name("name", &name)?;
            if name != column.name {
                let change = Change::between(Some(column.name.clone().into()), name.into());
                changes.insert("name".to_owned(), change);
            }
        }
        if let Some(limit) = change.wip_limit {
            check_limit(limit)?;
            if limit != column.wip_limit {
                let change = Change::between(
                    column.wip_limit.map(Value::from),
                    limit.map_or(Value::Null, Value::from),
                );
                changes.insert("wipLimit".to_owned(), change);
            }
        }
        Ok(if changes.is_empty() { vec![] } else { vec![ColumnChanged { column_id: id, changes }.into()] })
    }

    fn move_column(&self, id: ColumnId, index: u32) -> Result<Vec<Event>, DomainError> {
        let (from, _) = self.known_column(id)?;
        let from = index_of(from);
        let to = index.min(index_of(self.columns.len() - 1));
        Ok(if to == from { vec![] } else { vec![ColumnMoved { column_id: id, from, to }.into()] })
    }

    fn remove_column(&self, id: ColumnId, items_to: ColumnId) -> Result<Vec<Event>, DomainError> {
        self.known_column(id)?;
        if items_to == id {
            return Err(DomainError::ColumnToItself);
        }
        self.column(items_to).ok_or(DomainError::NoSuchColumn { column: items_to })?;
        Ok(vec![ColumnRemoved { column_id: id, items_to }.into()])
    }

    fn known_column(&self, id: ColumnId) -> Result<(usize, &Column), DomainError> {
        let found = self.columns.iter().enumerate().find(|(_, column)| column.id == id);
        found.ok_or(if self.removed.contains_key(&id) {
            DomainError::Gone { thing: Thing::Column }
        } else {
            DomainError::NotFound { thing: Thing::Column }
        })
    }

    fn known_member(&self, member: &str) -> Result<crate::workspace::Role, DomainError> {
        self.role(member).ok_or(DomainError::NotFound { thing: Thing::Member })
    }
}

fn created(context: &Context, create: Create, project: ProjectRef) -> Result<Created, DomainError> {
    let Create { name, description, columns, .. } = create;
    Label::check(&name, description.as_deref())?;
    check_count("columns", columns.len(), COLUMNS_MAX)?;
    let mut made: Vec<CreatedColumn> = Vec::with_capacity(columns.len());
    for (ordinal, column) in (0..).zip(columns) {
        check_column(&column.name, column.wip_limit)?;
        let column_id = column.id.unwrap_or_else(|| ColumnId::new(context.fresh_id(ordinal)));
        if made.iter().any(|other| other.column_id == column_id) {
            return Err(DomainError::AlreadyExists { thing: Thing::Column });
        }
        made.push(CreatedColumn { column_id, name: column.name, wip_limit: column.wip_limit });
    }
    Ok(Created {
        workspace_id: project.workspace_id(),
        project_id: project.project_id(),
        name,
        description,
        columns: made,
    })
}

fn check_column(name: &str, wip_limit: Option<u32>) -> Result<(), DomainError> {
    check_name("name", name)?;
    check_limit(wip_limit)
}

fn check_limit(wip_limit: Option<u32>) -> Result<(), DomainError> {
    if wip_limit == Some(0) { Err(DomainError::WipLimitZero) } else { Ok(()) }
}

/// At most 500, so it always fits.
fn index_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
