//! The whole query API: every operation once. Routes and the served document come from here.
//!
//! An entry says path, name and summary, what answers it, what is answered, what its query may say (beside `minPosition` and
//! `timeoutMs`, which all take), and which problems it has of its own.

use super::activity::ActivityPage;
use super::checks::{self, Check};
use super::dead_letters::{self, DeadLetters};
use super::history::{HistoryPage, Streamed};
use super::operation::{Operation, get, post};
use super::parameter::{
    as_of, choice, day, formed, id, limit, log_name, moment, number, offset, schema_of, text,
};
use super::projections::Projections;
use super::search::Found;
use super::suggest::Suggestions;
use super::thing::{self, Diff, Remembered};
use super::verification;
use super::{LISTED_MAX, OFFSET_MAX};
use super::{
    activity, analytics, audit, board_socket, boards, consumers, events, export, history, items, live, log,
    people, projections, projects, search, streams, suggest, workspaces,
};
use crate::answers::analytics::AnalyticsAnswer;
use crate::answers::board::{BoardAnswer, BoardSummary, ViewAnswer};
use crate::answers::comment::CommentAnswer;
use crate::answers::item::ItemAnswer;
use crate::answers::project::{ProjectAnswer, ProjectSummary, StatisticsAnswer};
use crate::answers::workspace::WorkspaceAnswer;
use crate::envelope::Members;
use crate::pages::{EventPage, StreamPage};
use domain::system::consumers::{NAME_PATTERN, State as ConsumerState};
use domain::system::projections::PROJECTIONS;
use domain::{BoardId, CommentId, ItemId, ProjectId, WorkspaceId};
use eventstore::{EventType, StreamId, Tag};
use http_kit::auth::Scope;
use http_kit::openapi::Schemas;
use serde_json::json;
use std::sync::LazyLock;

/// The table.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let parts = [
        workspaces(),
        projects(),
        boards(),
        items(),
        people(),
        happenings(),
        search(),
        events(),
        consumers(),
        log(),
        audit(),
        projections(),
    ];
    parts.into_iter().flatten().collect()
});

const ABSENT: &[&str] = &["not_found"];
const DELETED: &[&str] = &["gone"];
const TOO_MUCH: &[&str] = &["too_much_history"];

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

fn workspaces() -> Vec<Operation> {
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

fn projects() -> Vec<Operation> {
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

fn boards() -> Vec<Operation> {
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

fn items() -> Vec<Operation> {
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

fn people() -> Vec<Operation> {
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

/// What happened, as people tell it.
fn happenings() -> Vec<Operation> {
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

fn search() -> Vec<Operation> {
    vec![
        get("/search", "search", "Finds things by their words.", search::search)
            .answers::<Found>("A page of what was found, best first.")
            .asks([
                text("q", "What is looked for, in the query language of the README; a mistake says where it is.")
                    .such_as("candle"),
                choice("kind", &search::KINDS, None, "Only things of this kind."),
                id("workspace", "Only within this workspace."),
                id("project", "Only within this project."),
                id("board", "Only on this board."),
                id("column", "Only items in this column."),
                id("item", "Only this item and its comments."),
                text("assignee", "Only items that are assigned to this person."),
                choice("state", &search::STATES, None, "Only items in this state."),
                choice("sort", &search::SORTS, Some("relevance"), "The order; `-` is the latest first."),
                choice("stem", &search::STEMS, Some("none"), "Finds other forms of words in this language, too."),
                text("facets", "Counts hits by these, separated by commas: assignee, board, column, project, state, field.<name>."),
                text("after", "Goes on behind a page: its `next`."),
                limit(search::LIMIT_DEFAULT, search::LIMIT_MAX),
                offset(search::OFFSET_MAX),
            ])
            .refuses(400, &["invalid_query"])
            .refuses(503, &["no_search_index"]),
        get("/search/suggest", "search.suggest", "Completes what is being typed.", suggest::suggest)
            .answers::<Suggestions>("Items, the best first.")
            .asks([
                text("q", "What has been typed so far, 500 bytes at most.").such_as("cand"),
                limit(suggest::LIMIT_DEFAULT, suggest::LIMIT_MAX),
            ])
            .refuses(503, &["no_search_index"]),
    ]
}

fn events() -> Vec<Operation> {
    let named = || {
        [
            log_name::<EventType>("type", "Only events of this type.").such_as("item.created"),
            log_name::<StreamId>("stream", "Only events of this stream."),
            log_name::<Tag>("tag", "Only events with this tag."),
        ]
    };
    let selected = || {
        [
            id("board", "Only events on this board."),
            id("item", "Only events of this item and its comments."),
            text("person", "Only what this person did, or was done on this person's behalf."),
        ]
    };
    vec![
        get("/events", "event.list", "Gives the log's events by position.", events::list)
            .answers::<EventPage>("A page of them.")
            .asks([
                number("from", 0..=u64::MAX, Some(0), "The position to begin at."),
                limit(events::LIMIT_DEFAULT, events::LIMIT_MAX),
            ])
            .asks(named()),
        get("/events/export", "event.export", "Gives the log's events as lines of JSON.", export::export)
            .gives(
                "A line for each event. What was cut off is gone on with from the position after its last line.",
                "application/x-ndjson",
                |_| json!({"type": "string"}),
            )
            .asks([
                number("from", 0..=u64::MAX, Some(0), "The position to begin at."),
                number("to", 0..=u64::MAX, None, "The position to end before; else where the log ends now."),
                number("limit", 1..=u64::MAX, None, "How many lines there are at most."),
                formed("fields", &Members::pattern(), "The members of each line; `data` is `dataBase64`, too."),
            ])
            .asks(named())
            .asks(selected())
            .refuses(426, &["http_too_old"]),
        get("/events/live", "event.live", "Sends events as they happen.", live::live)
            .gives(
                "A stream that ends with the connection: `id` is an event's position, `data` the event.",
                "text/event-stream",
                |_| json!({"type": "string"}),
            )
            .asks([number(
                "from",
                0..=u64::MAX,
                None,
                "The position to begin at, unless `Last-Event-ID` says it; else only what happens from now on.",
            )])
            .asks(named())
            .asks(selected())
            .heeds(&["LastEventId"])
            .refuses(400, &["invalid_header"]),
        get("/streams/{id}/events", "stream.events", "Gives a stream's events by version.", streams::list)
            .answers::<StreamPage>("A page of them.")
            .in_path("id", schema_of::<StreamId>(), "item-01920000-0000-7000-8000-000000000006")
            .asks([
                number(
                    "from",
                    0..=u64::MAX,
                    None,
                    "The version to begin at; else the end that the direction comes from.",
                ),
                choice("direction", &streams::DIRECTIONS, Some("forward"), "Which way to read."),
                limit(streams::LIMIT_DEFAULT, events::LIMIT_MAX),
            ])
            .refuses(404, ABSENT),
    ]
}

fn consumers() -> Vec<Operation> {
    let whose =
        || id("workspaceId", "The workspace that it belongs to, where the token is for several or for all.");
    let about_one = |operation: Operation| {
        operation
            .in_path("name", json!({"type": "string", "pattern": NAME_PATTERN}), "ledger")
            .asks([whose()])
            .refuses(404, ABSENT)
    };
    vec![
        get("/consumers", "consumer.list", "Lists the consumers of a workspace.", consumers::list)
            .answers::<consumers::ConsumerList>("All of them, with where they are.")
            .asks([whose()]),
        about_one(
            get("/consumers/{name}", "consumer.get", "Gives a consumer.", consumers::by_name)
                .answers::<ConsumerState>("The consumer, and where it is."),
        ),
        about_one(
            get(
                "/consumers/{name}/parked",
                "consumer.parked",
                "Lists what a consumer has put aside.",
                consumers::parked,
            )
            .answers::<consumers::ParkedEvents>("All of it, with the reasons."),
        ),
        about_one(
            get(
                "/consumers/{name}/events",
                "consumer.events",
                "Gives a consumer its next events: in one answer, or as `text/event-stream`.",
                consumers::events,
            )
            .answers::<consumers::Deliveries>("What is on its way then; nothing, when nothing came in time.")
            .or_as(&["text/event-stream"])
            .asks([
                limit(consumers::LIMIT_DEFAULT, consumers::LIMIT_MAX),
                number(
                    "waitMs",
                    0..=consumers::WAIT_MS_MAX,
                    Some(10_000),
                    "How long to wait for events, milliseconds.",
                ),
                choice(
                    "takeover",
                    &consumers::YES_OR_NO,
                    Some("false"),
                    "Whether to send away whoever reads for it now.",
                ),
            ]),
        )
        .needs_for_some(Scope::ConsumersWrite)
        .refuses(403, &["insufficient_scope"])
        .refuses(409, &["consumer_busy"])
        .refuses(503, &["overloaded"]),
    ]
}

fn log() -> Vec<Operation> {
    vec![
        get("/log", "log.place", "Says where the log is; for standbys.", log::place)
            .answers::<log::Place>("Where it ends, as far as it is durable.")
            .needs(Scope::Audit)
            .asks([
                id("store", "With `position` and `chain`: answer only if that is a place of this log."),
                number("position", 0..=u64::MAX, None, "The next position there."),
                text("chain", "The head of the chain there: 64 hexadecimal digits."),
            ])
            .refuses(409, &["diverged", "other_store"])
            .refuses(416, &["beyond_end"]),
        get(
            "/log/segments/{segment}",
            "log.segment",
            "Gives a piece of a segment, byte by byte; for standbys.",
            log::segment,
        )
        .gives(
            "Whole frames, or nothing where there is nothing new.",
            "application/octet-stream",
            |_| json!({"type": "string", "contentEncoding": "binary"}),
        )
        .needs(Scope::Audit)
        .in_path("segment", json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}), 0)
        .asks([
            number("offset", 0..=log::OFFSET_MAX, Some(0), "Where it begins: the end of the piece before."),
            number(
                "waitMs",
                0..=log::WAIT_MS_MAX,
                Some(0),
                "How long to wait for something new, milliseconds.",
            ),
        ])
        .tells(&["Sunday-Store", "Sunday-Segment-Ended", "Sunday-Segment-Tail"])
        .refuses(400, &["not_a_frame"])
        .refuses(404, &["no_such_segment"])
        .refuses(416, &["beyond_end"]),
    ]
}

/// The first three are C2SP's (`tlog-tiles`), whose clients know these paths.
fn audit() -> Vec<Operation> {
    let binary = |_: &mut Schemas| json!({"type": "string", "contentEncoding": "binary"});
    let index = || json!({"type": "string", "pattern": audit::TILE_PATTERN});
    const BROKEN: &[&str] = &["tree_unreadable"];
    const UNSIGNED: &[&str] = &["no_checkpoint"];
    const UNTILED: &[&str] = &["no_checkpoint", "no_such_tile"];
    vec![
        get("/checkpoint", "audit.checkpoint", "Gives the newest published checkpoint.", audit::checkpoint)
            .gives("A signed note (C2SP tlog-checkpoint).", "text/plain", |_| json!({"type": "string"}))
            .at_root()
            .tells(&["Cache-Control"])
            .refuses(404, UNSIGNED)
            .refuses(500, BROKEN),
        get("/tile/{level}/{index}", "audit.tile", "Gives a tile of the tree's hashes.", audit::tile)
            .gives("Hashes, 32 bytes each.", "application/octet-stream", binary)
            .at_root()
            .with_rest()
            .in_path("level", json!({"type": "integer", "minimum": 0, "maximum": 63}), 0)
            .in_path("index", index(), "000.p/1")
            .tells(&["Cache-Control"])
            .refuses(404, UNTILED)
            .refuses(500, BROKEN),
        get("/tile/entries/{index}", "audit.entries", "Gives a bundle of leaves.", audit::entries)
            .gives("Leaves, each behind its length in two bytes.", "application/octet-stream", binary)
            .at_root()
            .with_rest()
            .needs(Scope::Audit)
            .in_path("index", index(), "000.p/1")
            .tells(&["Cache-Control"])
            .refuses(404, UNTILED)
            .refuses(500, BROKEN),
        get(
            "/audit/proof/inclusion",
            "audit.inclusion",
            "Proves that an event is in the tree; for who may read the event.",
            audit::inclusion,
        )
        .answers::<audit::Inclusion>("The leaf and the way from it to the root.")
        .asks([
            id("eventId", "The event, by its id; or"),
            number("position", 0..=u64::MAX, None, "the event, by its position."),
            number("size", 0..=u64::MAX, None, "The tree's size; else that of the published checkpoint."),
        ])
        .refuses(404, &["no_checkpoint", "not_found"])
        .refuses(416, &["beyond_end"])
        .refuses(500, BROKEN),
        get(
            "/audit/proof/consistency",
            "audit.consistency",
            "Proves that the tree was only appended to.",
            audit::consistency,
        )
        .answers::<audit::Consistency>("The hashes that lead to both roots.")
        .asks([
            number("from", 0..=u64::MAX, None, "The older tree's size.").required().such_as(0),
            number("to", 0..=u64::MAX, None, "The newer one's; else that of the published checkpoint."),
        ])
        .refuses(404, UNSIGNED)
        .refuses(416, &["beyond_end"])
        .refuses(500, BROKEN),
        get("/audit/keys", "audit.keys", "Gives the keys that checkpoints are verified with.", audit::keys)
            .answers::<audit::Keys>("The key in use, and how it came after those before.")
            .refuses(404, UNSIGNED)
            .refuses(500, BROKEN),
        post(
            "/audit/verify",
            "audit.verify",
            "Begins to verify the log, what was signed of it and what is derived from it, in the background.",
            verification::begin,
        )
        .answers::<verification::Verification>("It has begun; GET says how it is.")
        .accepted()
        .needs(Scope::Audit)
        .asks([
            number(
                "sample",
                1..=checks::ONE_IN_MAX,
                Some(1),
                "Of read models and search index one item in so many.",
            ),
            choice(
                "logOnly",
                &verification::LOG_ONLY,
                Some("false"),
                "Whether to leave out what is derived.",
            ),
        ])
        .refuses(409, &["verification_running"]),
        get(
            "/audit/verify",
            "audit.verified",
            "Says how the verification is that was asked for last, and what it found.",
            verification::state,
        )
        .answers::<verification::Verification>("How it is.")
        .needs(Scope::Audit),
    ]
}

fn projections() -> Vec<Operation> {
    vec![
        get(
            "/projections",
            "projection.list",
            "Says how far the read models and the index have come.",
            projections::list,
        )
        .answers::<Projections>("How far each of them is.")
        .asks([choice(
            "digest",
            &projections::DIGEST,
            Some("false"),
            "Whether to tell the digests, which cost; for who may read the whole log.",
        )])
        .refuses(403, &["insufficient_scope", "tenant_mismatch"]),
        post(
            "/projections/check",
            "projection.check",
            "Begins to compare the read models of this process with the log.",
            checks::begin,
        )
        .answers::<Check>("It has begun; GET says how it is.")
        .accepted()
        .needs(Scope::Audit)
        .asks([
            number("sample", 1..=checks::ONE_IN_MAX, Some(1), "One item in so many; 1 is everything."),
            number("seed", 0..=u64::MAX, None, "Which ones; a sample that was told can be had again."),
        ])
        .refuses(409, &["check_running"]),
        get(
            "/projections/check",
            "projection.checked",
            "Says how the check is that was asked for last, and what it found.",
            checks::state,
        )
        .answers::<Check>("How it is.")
        .needs(Scope::Audit),
        get(
            "/projections/{name}/dead-letters",
            "projection.dead_letters",
            "Lists the events that a projection passes over, and why.",
            dead_letters::list,
        )
        .answers::<DeadLetters>("A part of them, in the order of positions.")
        .in_path("name", json!({"type": "string", "enum": PROJECTIONS}), "models")
        .asks([
            number("from", 0..=u64::MAX, Some(0), "The position that the page begins at."),
            limit(dead_letters::LIMIT_DEFAULT, LISTED_MAX),
        ])
        .needs(Scope::Audit)
        .refuses(404, ABSENT),
    ]
}
