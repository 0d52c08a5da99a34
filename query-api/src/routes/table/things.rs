//! Things as they are, or as they were at a moment.

use super::{ABSENT, DELETED, TOO_MUCH};
use crate::answers::board::{BoardAnswer, BoardSummary, ViewAnswer};
use crate::answers::comment::CommentAnswer;
use crate::answers::item::ItemAnswer;
use crate::answers::project::{ProjectAnswer, ProjectSummary, StatisticsAnswer};
use crate::answers::workspace::WorkspaceAnswer;
use crate::routes::operation::{Operation, get};
use crate::routes::parameter::{as_of, choice, id, limit, moment, number, offset, text};
use crate::routes::thing::{self, Diff, Remembered};
use crate::routes::{LISTED_MAX, OFFSET_MAX, board_socket, boards, items, people, projects, workspaces};
use domain::{BoardId, CommentId, ItemId, ProjectId, WorkspaceId};
use serde_json::json;

/// The differences of one kind of thing.
fn diff<I: Remembered>(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    get(path, id, summary, thing::diff::<I>)
        .answers::<Diff>("The members that differ.")
        .asks([
            moment("from", "The moment to compare with: a position, or a time.").required().such_as("41"),
            moment("to", "The moment to be compared; else now."),
        ])
        .refuses(404, ABSENT)
        .refuses(422, TOO_MUCH)
}

pub(super) fn workspaces() -> Vec<Operation> {
    vec![
        get("/workspaces", "workspace.list", "Lists the workspaces.", workspaces::list)
            .lists::<WorkspaceAnswer>("workspaces")
            .asks([limit(workspaces::LIMIT_DEFAULT, LISTED_MAX), offset(OFFSET_MAX)]),
        get("/workspaces/{id}", "workspace.get", "Gives a workspace.", thing::by_id::<WorkspaceId>)
            .answers::<WorkspaceAnswer>("The workspace.")
            .asks([as_of()])
            .refuses(404, ABSENT)
            .refuses(422, TOO_MUCH),
    ]
}

pub(super) fn projects() -> Vec<Operation> {
    vec![
        get("/projects", "project.list", "Lists the projects.", projects::list)
            .lists::<ProjectSummary>("projects")
            .asks([id("workspaceId", "Only those of this workspace.")])
            .asks([limit(projects::LIMIT_DEFAULT, LISTED_MAX), offset(OFFSET_MAX)]),
        get("/projects/{id}", "project.get", "Gives a project.", thing::by_id::<ProjectId>)
            .answers::<ProjectAnswer>("The project.")
            .asks([as_of()])
            .refuses(404, ABSENT)
            .refuses(422, TOO_MUCH),
        diff::<ProjectId>(
            "/projects/{id}/diff",
            "project.diff",
            "Says what differs of a project between two moments.",
        ),
        get(
            "/projects/{id}/statistics",
            "project.statistics",
            "Says what goes on in a project.",
            projects::statistics,
        )
        .answers::<StatisticsAnswer>("Its figures.")
        .refuses(404, ABSENT),
    ]
}

pub(super) fn boards() -> Vec<Operation> {
    vec![
        get("/boards", "board.list", "Lists the boards.", boards::list).lists::<BoardSummary>("boards").asks(
            [
                id("projectId", "Only those of this project."),
                id("workspaceId", "Only those of this workspace."),
                limit(boards::LIMIT_DEFAULT, LISTED_MAX),
                offset(OFFSET_MAX),
            ],
        ),
        get("/boards/{id}", "board.get", "Gives a board.", thing::by_id::<BoardId>)
            .answers::<BoardAnswer>("The board, without its items.")
            .asks([as_of()])
            .refuses(404, ABSENT)
            .refuses(410, DELETED)
            .refuses(422, TOO_MUCH),
        diff::<BoardId>(
            "/boards/{id}/diff",
            "board.diff",
            "Says what differs of a board between two moments.",
        )
        .refuses(410, DELETED),
        get("/boards/{id}/view", "board.view", "Shows a board: its items in their columns.", boards::view)
            .answers::<ViewAnswer>("The columns, each with a part of its items, in order.")
            .asks([
                id("column", "Only this column."),
                limit(boards::COLUMN_ITEMS_DEFAULT, boards::COLUMN_ITEMS_MAX),
                offset(OFFSET_MAX),
                as_of(),
            ])
            .refuses(404, ABSENT)
            .refuses(410, DELETED)
            .refuses(422, TOO_MUCH),
        get(
            "/boards/{id}/ws",
            "board.follow",
            "Follows a board over a WebSocket: its state, every event of it, and who else looks at it.",
            board_socket::follow,
        )
        .gives(
            "The subprotocol `sunday.board.v1`: messages are JSON with a `type`.",
            "application/octet-stream",
            |_| json!({}),
        )
        .switches()
        .asks([
            number("from", 0..=u64::MAX, None, "The position to go on from, without the state."),
            limit(boards::COLUMN_ITEMS_DEFAULT, boards::COLUMN_ITEMS_MAX),
        ])
        .refuses(404, ABSENT)
        .refuses(410, DELETED)
        .refuses(426, &["no_websocket"])
        .refuses(503, &["overloaded"]),
    ]
}

pub(super) fn items() -> Vec<Operation> {
    vec![
        get("/items", "item.list", "Finds items by their name elsewhere.", items::by_key)
            .lists::<ItemAnswer>("items")
            .asks([
                text("externalKey", "The name that an item has where it comes from.")
                    .required()
                    .such_as("KEY-1"),
                id("workspaceId", "Only those of this workspace."),
                limit(items::LIMIT_DEFAULT, LISTED_MAX),
                offset(OFFSET_MAX),
            ]),
        get("/items/{id}", "item.get", "Gives an item.", thing::by_id::<ItemId>)
            .answers::<ItemAnswer>("The item, its comments apart.")
            .asks([as_of()])
            .refuses(404, ABSENT)
            .refuses(410, DELETED)
            .refuses(422, TOO_MUCH),
        diff::<ItemId>("/items/{id}/diff", "item.diff", "Says what differs of an item between two moments.")
            .refuses(410, DELETED),
        get("/items/{id}/comments", "comment.list", "Lists what was said about an item.", items::comments)
            .lists::<CommentAnswer>("comments")
            .asks([limit(items::LIMIT_DEFAULT, LISTED_MAX), offset(OFFSET_MAX), as_of()])
            .refuses(404, ABSENT)
            .refuses(410, DELETED)
            .refuses(422, TOO_MUCH),
        get("/comments/{id}", "comment.get", "Gives a comment.", thing::by_id::<CommentId>)
            .answers::<CommentAnswer>("The comment.")
            .asks([as_of()])
            .refuses(404, ABSENT)
            .refuses(410, DELETED)
            .refuses(422, TOO_MUCH),
    ]
}

pub(super) fn people() -> Vec<Operation> {
    vec![
        get("/users/{id}/items", "user.items", "Lists what somebody is to do, and has done.", people::items)
            .lists::<ItemAnswer>("items")
            .in_path("id", json!({"type": "string", "minLength": 1}), "ann")
            .asks([
                choice("completed", &people::COMPLETED, None, "Only those that are done, or are not."),
                id("boardId", "Only those on this board."),
                id("workspaceId", "Only those of this workspace."),
                limit(people::LIMIT_DEFAULT, LISTED_MAX),
                offset(OFFSET_MAX),
            ]),
    ]
}
