//! The whole command API: every operation once. Routes, the batch's commands and the served document come from here.
//!
//! An entry says method, path, name and what it does; how its data becomes an intent (see `operation`); whether it
//! creates; and which codes of 422 it has of its own.

use super::batch::{BATCH_SUCCESS, batch};
use super::bulk::{Bulk, bulk};
use super::data::{ChangeColumn, MoveColumn, RemoveAttachment, RemoveColumn, RemoveField};
use super::operation::{Nothing, Operation, delete, get, patch, post};
use crate::consumers::body as consumer;
use crate::consumers::routes as consumers;
use crate::envelope::{BATCH_BYTES_MAX, BatchBody};
use crate::projections::routes as projections;
use crate::registry::routes as registry;
use crate::service::Intent;
use crate::streams;
use domain::board::Command as Board;
use domain::comment::Command as Comment;
use domain::item::Command as Item;
use domain::project::Command as Project;
use domain::workspace::Command as Workspace;
use http_kit::auth::Scope;
use std::sync::LazyLock;

/// The table.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let needing = |scope: Scope, operations: Vec<Operation>| {
        operations.into_iter().map(move |operation| operation.needs(scope))
    };
    needing(Scope::WorkspacesWrite, workspaces())
        .chain(needing(Scope::ProjectsWrite, projects()))
        .chain(needing(Scope::BoardsWrite, boards()))
        .chain(needing(Scope::ItemsWrite, items()))
        .chain(needing(Scope::CommentsWrite, comments()))
        .chain(needing(Scope::StreamsWrite, streams()))
        .chain(schemas())
        .chain(needing(Scope::ProjectionsOperate, projections()))
        .chain(needing(Scope::ProjectionsDecide, decisions()))
        .chain(needing(Scope::ConsumersWrite, consumers()))
        .chain(batches())
        .collect()
});

fn workspaces() -> Vec<Operation> {
    vec![
        post("/workspaces", "workspace.create", "Creates a workspace.")
            .reads(Intent::CreateWorkspace)
            .creates(),
        patch("/workspaces/{id}", "workspace.rename", "Gives a workspace another name.")
            .reads(|data| Intent::Workspace(Workspace::Rename(data))),
        post("/workspaces/{id}/archive", "workspace.archive", "Keeps a workspace as it is, for good.")
            .reads(|_: Nothing| Intent::Workspace(Workspace::Archive)),
        post("/workspaces/{id}/members", "workspace.add_member", "Makes somebody a member.")
            .reads(|data| Intent::Workspace(Workspace::AddMember(data))),
        patch(
            "/workspaces/{id}/members/{member}",
            "workspace.change_member_role",
            "Lets a member do something else.",
        )
        .reads(|data| Intent::Workspace(Workspace::ChangeMemberRole(data)))
        .refuses(422, &["last_owner"]),
        delete("/workspaces/{id}/members/{member}", "workspace.remove_member", "Ends somebody's membership.")
            .reads(|data| Intent::Workspace(Workspace::RemoveMember(data)))
            .refuses(422, &["last_owner"]),
    ]
}

fn projects() -> Vec<Operation> {
    vec![
        post("/projects", "project.create", "Creates a project.").reads(Intent::CreateProject).creates(),
        patch("/projects/{id}", "project.update", "Changes what is said of a project.")
            .reads(|data| Intent::Project(Project::Update(data))),
        post("/projects/{id}/archive", "project.archive", "Keeps a project as it is until it is restored.")
            .reads(|_: Nothing| Intent::Project(Project::Archive)),
        // A project is never lost.
        delete("/projects/{id}", "project.delete", "Archives a project.")
            .reads(|_: Nothing| Intent::Project(Project::Archive))
            .not_in_batch(),
        post("/projects/{id}/restore", "project.restore", "Takes an archived project up again.")
            .reads(|_: Nothing| Intent::Project(Project::Restore)),
    ]
}

fn boards() -> Vec<Operation> {
    vec![
        post("/boards", "board.create", "Creates a board.").reads(Intent::CreateBoard).creates(),
        patch("/boards/{id}", "board.update", "Changes what is said of a board.")
            .reads(|data| Intent::Board(Board::Update(data))),
        delete("/boards/{id}", "board.delete", "Takes a board away, for good.")
            .reads(|_: Nothing| Intent::Board(Board::Delete)),
        post("/boards/{id}/columns", "board.add_column", "Adds a column.")
            .reads(|data| Intent::Board(Board::AddColumn(data)))
            .creates(),
        patch("/boards/{id}/columns/{columnId}", "board.change_column", "Changes a column.")
            .reads(ChangeColumn::intent)
            .refuses(422, &["no_such_column"]),
        post("/boards/{id}/columns/{columnId}/move", "board.move_column", "Puts a column elsewhere.")
            .reads(MoveColumn::intent)
            .refuses(422, &["no_such_column"]),
        delete(
            "/boards/{id}/columns/{columnId}",
            "board.remove_column",
            "Removes a column and hands its items to another.",
        )
        .reads(RemoveColumn::intent)
        .refuses(422, &["no_such_column", "column_to_itself", "wip_limit_reached"]),
        post("/boards/{id}/members", "board.add_member", "Makes somebody a member.")
            .reads(|data| Intent::Board(Board::AddMember(data))),
        patch(
            "/boards/{id}/members/{member}",
            "board.change_member_role",
            "Lets a member do something else.",
        )
        .reads(|data| Intent::Board(Board::ChangeMemberRole(data))),
        delete("/boards/{id}/members/{member}", "board.remove_member", "Ends somebody's membership.")
            .reads(|data| Intent::Board(Board::RemoveMember(data))),
        post(
            "/boards/{id}/fields",
            "board.define_field",
            "Says what a custom field of the board's items is.",
        )
        .reads(|data| Intent::Board(Board::DefineField(data))),
        delete("/boards/{id}/fields/{name}", "board.remove_field", "Forgets what a custom field is.")
            .reads(RemoveField::intent),
    ]
}

fn items() -> Vec<Operation> {
    vec![
        post("/items", "item.create", "Creates an item.").reads(Intent::CreateItem).creates().refuses(
            422,
            &["title_empty", "no_such_column", "no_columns", "wip_limit_reached", "too_deep", "field_type"],
        ),
        patch("/items/{id}", "item.update", "Changes what is said of an item.")
            .reads(Intent::UpdateItem)
            .refuses(422, &["title_empty", "not_a_list", "too_deep", "field_type"]),
        delete("/items/{id}", "item.delete", "Takes an item away, for good.")
            .reads(|_: Nothing| Intent::Item(Item::Delete)),
        post("/items/{id}/move", "item.move", "Puts an item into a column, and to a place in it.")
            .reads(Intent::MoveItem)
            .refuses(
                422,
                &["no_such_column", "other_board", "wip_limit_reached", "rank_order", "rank_exhausted"],
            ),
        post("/items/{id}/rank", "item.rank", "Puts an item to another place in its column.")
            .reads(|data| Intent::Item(Item::Rank(data)))
            .refuses(422, &["rank_order", "rank_exhausted"]),
        post("/items/{id}/assign", "item.assign", "Changes who an item is assigned to.")
            .reads(|data| Intent::Item(Item::Assign(data))),
        post("/items/{id}/unassign", "item.unassign", "Takes people off an item.")
            .reads(|data| Intent::Item(Item::Unassign(data))),
        post("/items/{id}/complete", "item.complete", "Says that the work is done.")
            .reads(|data| Intent::Item(Item::Complete(data))),
        post("/items/{id}/reopen", "item.reopen", "Says that the work is not done after all.")
            .reads(|_: Nothing| Intent::Item(Item::Reopen)),
        post("/items/{id}/links", "item.link", "Ties an item to another one.")
            .reads(|data| Intent::Item(Item::Link(data))),
        post("/items/{id}/unlink", "item.unlink", "Unties an item from another one.")
            .reads(|data| Intent::Item(Item::Unlink(data))),
        post("/items/{id}/attachments", "item.add_attachment", "Notes a file; its bytes are elsewhere.")
            .reads(|data| Intent::Item(Item::AddAttachment(data)))
            .creates(),
        delete("/items/{id}/attachments/{attachmentId}", "item.remove_attachment", "Forgets an attachment.")
            .reads(RemoveAttachment::intent),
    ]
}

fn comments() -> Vec<Operation> {
    vec![
        post("/items/{itemId}/comments", "comment.add", "Comments on an item.")
            .reads(Intent::AddComment)
            .creates()
            .refuses(422, &["body_empty"]),
        patch("/comments/{id}", "comment.edit", "Says a comment differently.")
            .reads(|data| Intent::Comment(Comment::Edit(data)))
            .refuses(422, &["body_empty"]),
        delete("/comments/{id}", "comment.delete", "Takes a comment away.")
            .reads(|_: Nothing| Intent::Comment(Comment::Delete)),
    ]
}

fn streams() -> Vec<Operation> {
    vec![
        post("/streams/{streamId}/events", "stream.append", "Appends events to a stream outside the domain.")
            .calls(streams::append, streams::APPENDED)
            .parameter("streamId", streams::stream_id)
            .takes::<streams::Body<'_>>()
            .heeds(&["IdempotencyKey", "IfMatch", "IfNoneMatchAny"])
            .refuses(403, &["reserved_stream", "reserved_tag", "reserved_type"])
            .refuses(409, &["event_id_taken", "guard_failed", "version_conflict"])
            .refuses(412, &["version_conflict"])
            .refuses(413, &["append_too_large", "batch_too_large", "event_too_large"])
            .refuses(
                422,
                &["contradiction", "idempotency_key_reused", "schema_violation", "unknown_schema_version"],
            ),
    ]
}

fn schemas() -> Vec<Operation> {
    vec![
        post("/schemas", "schema.register", "Registers a JSON Schema for an event type.")
            .calls(registry::register, registry::REGISTERED)
            .or_unchanged()
            .takes::<registry::RegisterSchema>()
            .heeds(&["IdempotencyKey"])
            .needs(Scope::SchemasWrite)
            .refuses(403, &["reserved_type"])
            .refuses(409, &["schema_incompatible", "version_conflict"])
            .refuses(413, &["event_too_large", "schema_too_large"])
            .refuses(422, &["idempotency_key_reused", "invalid_schema", "too_many_schemas"]),
        get("/schemas", "schema.list", "Lists the schemas.")
            .calls(registry::list, registry::LISTED)
            .asks::<registry::Page>(),
        get("/schemas/{type}", "schema.newest", "Gives the newest schema of an event type.")
            .calls(registry::newest, registry::FOUND)
            .parameter("type", registry::event_type)
            .asks::<registry::Whose>()
            .refuses(404, &["not_found"]),
        get("/schemas/{type}/{version}", "schema.one", "Gives a version of the schema of an event type.")
            .calls(registry::one, registry::FOUND)
            .parameter("type", registry::event_type)
            .parameter("version", registry::version)
            .asks::<registry::Whose>()
            .refuses(404, &["not_found"]),
    ]
}

/// What every event of a projection's stream may come to.
const CONTROL: [(u16, &[&str]); 3] = [
    (404, &["not_found"]),
    (413, &["event_too_large"]),
    (422, &["idempotency_key_reused", "too_many_dead_letters"]),
];

fn projections() -> Vec<Operation> {
    let all = vec![
        post(
            "/projections/{name}/rebuild",
            "projection.rebuild",
            "Asks for a projection to be built anew, beside the one in use.",
        )
        .calls(projections::rebuild, projections::TAKEN)
        .takes::<projections::Rebuild>()
        .refuses(409, &["rebuild_under_way"]),
        post(
            "/projections/{name}/rebuild/cancel",
            "projection.cancel_rebuild",
            "Ends a rebuild; what is in use stays in use.",
        )
        .calls(projections::cancel, projections::TAKEN)
        .takes::<projections::Cancel>()
        .refuses(409, &["no_rebuild", "rebuild_swapping", "rebuild_under_way"]),
        post(
            "/projections/{name}/dead-letters/retry",
            "projection.retry_dead_letters",
            "Has dead letters taken in once more, all or those that are named, and what they held back.",
        )
        .calls(projections::retry, projections::TAKEN)
        .takes::<projections::Retry>()
        .refuses(409, &["no_dead_letter"]),
        post(
            "/projections/{name}/dead-letters/{position}/retry",
            "projection.retry_dead_letter",
            "Has one dead letter taken in once more, and what it held back.",
        )
        .calls(projections::retry_one, projections::TAKEN)
        .parameter("position", projections::position)
        .refuses(409, &["no_dead_letter"]),
        post(
            "/projections/{name}/repairs",
            "projection.repair",
            "Asks for one entity of a projection to be made anew.",
        )
        .calls(projections::repair, projections::TAKEN)
        .takes::<projections::Repair>(),
    ];
    all.into_iter().map(of_projection).collect()
}

fn decisions() -> Vec<Operation> {
    vec![of_projection(
        post("/projections/{name}/decisions", "projection.decide", "Records what the projector decided.")
            .calls(projections::decide, projections::TAKEN)
            .takes::<projections::Decision>()
            .refuses(409, &["no_rebuild", "rebuild_under_way", "no_such_event"]),
    )]
}

fn of_projection(operation: Operation) -> Operation {
    let operation = operation.parameter("name", projections::name).heeds(&["IdempotencyKey"]);
    CONTROL.into_iter().fold(operation, |operation, (status, codes)| operation.refuses(status, codes))
}

fn consumers() -> Vec<Operation> {
    let about_one = |operation: Operation| {
        operation
            .parameter("name", consumers::name)
            .asks::<consumers::Whose>()
            .heeds(&["IdempotencyKey"])
            .refuses(404, &["not_found"])
            .refuses(422, &["idempotency_key_reused"])
    };
    vec![
        post("/consumers", "consumer.create", "Creates a consumer: a durable place in the log.")
            .calls(consumers::create, consumers::CREATED)
            .or_unchanged()
            .takes::<consumer::CreateConsumer>()
            .heeds(&["IdempotencyKey"])
            .refuses(422, &["beyond_end", "idempotency_key_reused", "too_many_consumers"]),
        about_one(
            post(
                "/consumers/{name}/acknowledge",
                "consumer.acknowledge",
                "Says how far events are dealt with.",
            )
            .calls(consumers::acknowledge, consumers::DONE)
            .takes::<consumer::Acknowledge>(),
        )
        .or_later()
        .refuses(409, &["stale_generation"])
        .refuses(422, &["beyond_end"]),
        about_one(
            post(
                "/consumers/{name}/refuse",
                "consumer.refuse",
                "Says that an event cannot be dealt with for now.",
            )
            .calls(consumers::refuse, consumers::DONE)
            .takes::<consumer::RefuseEvent>(),
        )
        .refuses(409, &["already_acknowledged", "stale_generation"])
        .refuses(422, &["beyond_end", "not_its_own", "too_long", "too_many_parked", "too_many_refused"]),
        about_one(
            post(
                "/consumers/{name}/parked/retry",
                "consumer.retry_parked",
                "Delivers parked events once more.",
            )
            .calls(consumers::retry, consumers::DONE)
            .takes::<consumer::ParkedOnes>(),
        )
        .refuses(422, &["not_parked"]),
        about_one(
            post("/consumers/{name}/parked/discard", "consumer.discard_parked", "Forgets parked events.")
                .calls(consumers::discard, consumers::DONE)
                .takes::<consumer::ParkedOnes>(),
        )
        .refuses(422, &["not_parked"]),
        about_one(
            post("/consumers/{name}/reset", "consumer.reset", "Goes on from another position.")
                .calls(consumers::reset, consumers::DONE)
                .takes::<consumer::ResetConsumer>(),
        )
        .refuses(422, &["beyond_end"]),
        about_one(
            delete("/consumers/{name}", "consumer.delete", "Takes a consumer away.")
                .calls(consumers::delete, consumers::DONE),
        ),
    ]
}

fn batches() -> Vec<Operation> {
    vec![
        post("/batch", "batch", "Carries out many commands in one request.")
            .calls(batch, BATCH_SUCCESS)
            .takes::<BatchBody<'_>>()
            .takes_bytes(BATCH_BYTES_MAX)
            .heeds(&["IdempotencyKey"])
            .refuses(413, &["batch_too_large", "event_too_large"])
            .refuses(422, &["batch_refused", "contradiction", "idempotency_key_reused"])
            .refuses(409, &["commands_split"]),
        post("/items/bulk", "item.bulk", "Carries out one command for many items.")
            .calls(bulk, BATCH_SUCCESS)
            .takes::<Bulk<'_>>()
            .takes_bytes(BATCH_BYTES_MAX)
            .heeds(&["IdempotencyKey"])
            .refuses(413, &["batch_too_large", "event_too_large"])
            .refuses(422, &["batch_refused", "contradiction", "idempotency_key_reused"])
            .refuses(409, &["commands_split"]),
    ]
}
