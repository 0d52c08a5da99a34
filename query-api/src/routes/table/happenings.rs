//! What happened to things, as people tell it.

use super::{ABSENT, DELETED};
use crate::answers::analytics::AnalyticsAnswer;
use crate::routes::activity::{self, ActivityPage};
use crate::routes::history::{self, HistoryPage, Streamed};
use crate::routes::operation::{Operation, get};
use crate::routes::parameter::{choice, day, id, limit, number, text};
use crate::routes::{analytics, events, streams};
use domain::{BoardId, CommentId, ItemId, ProjectId, WorkspaceId};

/// What happened, as people tell it.
pub(super) fn happenings() -> Vec<Operation> {
    fn history<I: Streamed>(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        get(path, id, summary, history::list::<I>)
            .answers::<HistoryPage>("A part of its history; what was deleted keeps its own.")
            .asks([
                number(
                    "from",
                    0..=u64::MAX,
                    None,
                    "The version to begin at; else the end that the direction comes from.",
                ),
                choice("direction", &streams::DIRECTIONS, Some("forward"), "Which way to read."),
                limit(history::LIMIT_DEFAULT, events::LIMIT_MAX),
            ])
            .refuses(404, ABSENT)
    }
    vec![
        history::<WorkspaceId>(
            "/workspaces/{id}/history",
            "workspace.history",
            "Says who changed what of a workspace.",
        ),
        history::<ProjectId>(
            "/projects/{id}/history",
            "project.history",
            "Says who changed what of a project.",
        ),
        history::<BoardId>("/boards/{id}/history", "board.history", "Says who changed what of a board."),
        history::<ItemId>("/items/{id}/history", "item.history", "Says who changed what of an item."),
        history::<CommentId>(
            "/comments/{id}/history",
            "comment.history",
            "Says who changed what of a comment.",
        ),
        get("/activity", "activity", "Says what happened lately to a thing, or by whom.", activity::list)
            .answers::<ActivityPage>("A part of the feed, newest first.")
            .asks([
                id("boardId", "Of this board; exactly one of these is said."),
                id("itemId", "Of this item."),
                id("projectId", "Of this project."),
                id("workspaceId", "Of this workspace; or with `person`: only there."),
                text("person", "By this person, or on this person's behalf."),
                number(
                    "before",
                    0..=u64::MAX,
                    None,
                    "Only what is before this position: `next` of the page before.",
                ),
                limit(activity::LIMIT_DEFAULT, activity::LIMIT_MAX),
            ])
            .refuses(404, ABSENT),
        get(
            "/boards/{id}/analytics",
            "board.analytics",
            "Says how work flows on a board, by days of business time in UTC.",
            analytics::analytics,
        )
        .answers::<AnalyticsAnswer>("Its days, and how long work takes.")
        .asks([
            day("from", "The first day; else 30 days before the last one. At most 366 are given."),
            day("to", "The last day; else the newest one on which anything happened."),
        ])
        .refuses(404, ABSENT)
        .refuses(410, DELETED),
    ]
}
