//! What all operations share: words, headers, parameters and security.

use http_kit::auth::Scope;
use http_kit::openapi::parts::{
    self, entity_tags, header, process_tag, request_header, request_id, required_header,
};
use serde_json::{Value, json};

/// What holds for the whole API.
pub(super) const DESCRIPTION: &str = "\
Every change is a command; every command that changes something appends events to the log, and is answered when they \
are on disk.\n\n\
**Reading.** Members that a body does not know are refused, as are values of another type. A member that the path says \
may stand in the body too, with the same value. A body without members may be left out.\n\n\
**Versions.** An answer's `ETag` is the version of what the command was about. `If-Match` demands one (412 where it \
does not hold), `expectedVersion` in the body (or `baseVersion`) does too (409); without either, concurrent changes are \
resolved by deciding anew. With `onConflict: merge` a command is carried out on a newer version if it touches other parts \
than what happened since, or makes the same of them; with `last_writer_wins` in any case. A 409 says what both sides want \
(`conflicts`) and what happened since (`events`).\n\n\
**Repeating.** With an `Idempotency-Key` a command is carried out once, however often it is sent; later ones get the \
first answer byte for byte, whatever is demanded of versions by then. The same key with another content, byte for byte, is \
422 `idempotency_key_reused`. Keys last for ever, and are the sender's own. In a batch every command may have a key; a key \
of the whole names those that have none.\n\n\
**Reading your writes.** `Sunday-Position` says how many events the log held with this command's; the query API's \
`minPosition` waits for them.\n\n\
**Problems** are `application/problem+json` (RFC 9457) with a `code` that never changes its meaning.";

/// The parts of the API.
pub(super) fn tags() -> Value {
    json!([
        {"name": "workspace", "description": "Tenants, and who belongs to them."},
        {"name": "project", "description": "Parts of a workspace, which hold boards."},
        {"name": "board", "description": "Columns, members and custom fields."},
        {"name": "item", "description": "What is worked on."},
        {"name": "comment", "description": "What is said about items."},
        {"name": "stream", "description": "Events of other services, appended as they are."},
        {"name": "schema", "description": "The schemas that events are checked against."},
        {"name": "consumer", "description": "Durable places in the log, of services that follow it."},
        {"name": "projection", "description": "What is asked of read models and search index, and decided about them."},
        {"name": "batch", "description": "Many commands in one request."},
        process_tag(),
    ])
}

pub(super) fn security() -> Value {
    let lead = "A JWT whose claim `scope` holds what the operation lists, and whose claim `tenant` holds the workspaces that may \
         be touched. On loopback without configuration: the development token, `keys/development.token` below the data \
         directory.";
    parts::security(lead, &Scope::ALL)
}

/// Headers of requests.
pub(super) fn parameters() -> Value {
    json!({
        "IdempotencyKey": request_header(
            "Idempotency-Key",
            "Names the command, for ever: 1 to 255 visible ASCII characters, spaces inside.",
            json!({"type": "string", "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
            "0d5b2c9e-first-try",
        ),
        "IfMatch": request_header(
            "If-Match",
            "The versions that the target may have, as entity tags, or `*` for any. Weak tags never match.",
            entity_tags(),
            "*",
        ),
        "IfNoneMatch": request_header(
            "If-None-Match",
            "The versions that the target may not have; `*`: it must not exist. Else 412.",
            entity_tags(),
            "*",
        ),
        "IfNoneMatchAny": request_header(
            "If-None-Match",
            "`*`: it must not exist, else 412.",
            json!({"type": "string", "const": "*"}),
            "*",
        ),
        "Traceparent": request_header(
            "traceparent",
            "W3C trace context, version 00, kept with the events. One that cannot be understood is passed over.",
            json!({"type": "string"}),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        "RequestId": request_id(),
    })
}

/// Headers of answers.
pub(super) fn headers() -> Value {
    parts::headers(json!({
        "ETag": header("The version of what the answer is about.", json!({"type": "string", "pattern": "^\"[^\"]*\"$"})),
        "Sunday-Position": required_header(
            "How many events the log holds with this command's: what `minPosition` of the query API waits for.",
            json!({"type": "integer", "minimum": 0}),
        ),
        "Location": required_header("Where what was created is found.", json!({"type": "string", "format": "uri-reference"})),
        "Deprecation": required_header("Since when it is deprecated (RFC 9745).", json!({"type": "string", "pattern": "^@-?[0-9]+$"})),
        "Sunset": required_header("From when on it may answer no more (RFC 8594).", json!({"type": "string"})),
        "Link": required_header("Where the deprecation is explained, and what takes its place.", json!({"type": "string"})),
    }))
}

/// The schema of every problem.
pub(super) fn problem() -> Value {
    parts::problem(json!({
        "currentVersion": {"anyOf": [{"$ref": "#/components/schemas/Version"}, {"type": "null"}]},
        "expectedVersion": {
            "anyOf": [{"$ref": "#/components/schemas/Version"}, {"type": ["string", "null"]}],
            "description": "What was demanded: a version, or of a stream `noStream` or `streamExists`.",
        },
        "streamId": {"type": "string"},
        "conflicts": {
            "type": "array",
            "description": "What the command would overwrite of what happened since the version that its sender saw.",
            "items": {
                "type": "object",
                "required": ["field", "theirs", "yours"],
                "properties": {
                    "field": {"type": "string"},
                    "base": {"description": "What it was before, where the events say it."},
                    "theirs": {"description": "What it is now."},
                    "yours": {"description": "What the command wants it to be."},
                },
            },
        },
        "events": {
            "type": "array",
            "maxItems": 100,
            "description": "What happened since, oldest first, in the form that the query API gives events.",
            "items": {"type": "object", "required": ["eventId", "type", "version", "position", "time", "data", "metadata"]},
        },
        "truncated": {"type": "boolean", "description": "Whether more happened than `events` shows."},
    }))
}
