//! The whole command API: every operation once. Routes, the batch's commands and the served document come from here.

use super::batch::batch;
use super::data::{ChangeColumn, MoveColumn, RemoveAttachment, RemoveColumn, RemoveField};
use super::operation::{Nothing, Operation, delete, patch, post};
use crate::envelope::BATCH_BYTES_MAX;
use crate::service::Intent;
use domain::board::Command as Board;
use domain::comment::Command as Comment;
use domain::item::Command as Item;
use domain::project::Command as Project;
use domain::workspace::Command as Workspace;
use std::sync::LazyLock;

/// The table.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(operations);

fn operations() -> Vec<Operation> {
    vec![
        post("/workspaces", "workspace.create").reads(Intent::CreateWorkspace),
        patch("/workspaces/{id}", "workspace.rename")
            .reads(|data| Intent::Workspace(Workspace::Rename(data))),
        post("/workspaces/{id}/archive", "workspace.archive")
            .reads(|_: Nothing| Intent::Workspace(Workspace::Archive)),
        post("/workspaces/{id}/members", "workspace.add_member")
            .reads(|data| Intent::Workspace(Workspace::AddMember(data))),
        patch("/workspaces/{id}/members/{member}", "workspace.change_member_role")
            .reads(|data| Intent::Workspace(Workspace::ChangeMemberRole(data))),
        delete("/workspaces/{id}/members/{member}", "workspace.remove_member")
            .reads(|data| Intent::Workspace(Workspace::RemoveMember(data))),
        //
        post("/projects", "project.create").reads(Intent::CreateProject),
        patch("/projects/{id}", "project.update").reads(|data| Intent::Project(Project::Update(data))),
        post("/projects/{id}/archive", "project.archive")
            .reads(|_: Nothing| Intent::Project(Project::Archive)),
        // A project is never lost: deleting it archives it.
        delete("/projects/{id}", "project.delete")
            .reads(|_: Nothing| Intent::Project(Project::Archive))
            .not_in_batch(),
        post("/projects/{id}/restore", "project.restore")
            .reads(|_: Nothing| Intent::Project(Project::Restore)),
        //
        post("/boards", "board.create").reads(Intent::CreateBoard),
        patch("/boards/{id}", "board.update").reads(|data| Intent::Board(Board::Update(data))),
        delete("/boards/{id}", "board.delete").reads(|_: Nothing| Intent::Board(Board::Delete)),
        post("/boards/{id}/columns", "board.add_column").reads(|data| Intent::Board(Board::AddColumn(data))),
        patch("/boards/{id}/columns/{columnId}", "board.change_column").reads(ChangeColumn::intent),
        post("/boards/{id}/columns/{columnId}/move", "board.move_column").reads(MoveColumn::intent),
        delete("/boards/{id}/columns/{columnId}", "board.remove_column").reads(RemoveColumn::intent),
        post("/boards/{id}/members", "board.add_member").reads(|data| Intent::Board(Board::AddMember(data))),
        patch("/boards/{id}/members/{member}", "board.change_member_role")
            .reads(|data| Intent::Board(Board::ChangeMemberRole(data))),
        delete("/boards/{id}/members/{member}", "board.remove_member")
            .reads(|data| Intent::Board(Board::RemoveMember(data))),
        post("/boards/{id}/fields", "board.define_field")
            .reads(|data| Intent::Board(Board::DefineField(data))),
        delete("/boards/{id}/fields/{name}", "board.remove_field").reads(RemoveField::intent),
        //
        post("/items", "item.create").reads(Intent::CreateItem),
        patch("/items/{id}", "item.update").reads(|data| Intent::Item(Item::Update(data))),
        delete("/items/{id}", "item.delete").reads(|_: Nothing| Intent::Item(Item::Delete)),
        post("/items/{id}/move", "item.move").reads(Intent::MoveItem),
        post("/items/{id}/rank", "item.rank").reads(|data| Intent::Item(Item::Rank(data))),
        post("/items/{id}/assign", "item.assign").reads(|data| Intent::Item(Item::Assign(data))),
        post("/items/{id}/unassign", "item.unassign").reads(|data| Intent::Item(Item::Unassign(data))),
        post("/items/{id}/complete", "item.complete").reads(|data| Intent::Item(Item::Complete(data))),
        post("/items/{id}/reopen", "item.reopen").reads(|_: Nothing| Intent::Item(Item::Reopen)),
        post("/items/{id}/links", "item.link").reads(|data| Intent::Item(Item::Link(data))),
        post("/items/{id}/unlink", "item.unlink").reads(|data| Intent::Item(Item::Unlink(data))),
        post("/items/{id}/attachments", "item.add_attachment")
            .reads(|data| Intent::Item(Item::AddAttachment(data))),
        delete("/items/{id}/attachments/{attachmentId}", "item.remove_attachment")
            .reads(RemoveAttachment::intent),
        //
        post("/items/{itemId}/comments", "comment.add").reads(Intent::AddComment),
        patch("/comments/{id}", "comment.edit").reads(|data| Intent::Comment(Comment::Edit(data))),
        delete("/comments/{id}", "comment.delete").reads(|_: Nothing| Intent::Comment(Comment::Delete)),
        //
        post("/batch", "batch").calls(batch).takes(BATCH_BYTES_MAX),
    ]
}
