//! The log's events, and those who read them.

use super::ABSENT;
use crate::envelope::Members;
use crate::pages::{EventPage, StreamPage};
use crate::routes::operation::{Operation, get};
use crate::routes::parameter::{choice, formed, id, limit, log_name, number, schema_of, text};
use crate::routes::{consumers, events, export, live, streams};
use domain::system::consumers::{NAME_PATTERN, State as ConsumerState};
use eventstore::{EventType, StreamId, Tag};
use http_kit::auth::Scope;
use serde_json::json;

pub(super) fn events() -> Vec<Operation> {
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

pub(super) fn consumers() -> Vec<Operation> {
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
