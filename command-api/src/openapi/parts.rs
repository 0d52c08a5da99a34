//! What all operations share: words, headers, parameters, security, and the routes outside the table.

use super::problems::{self, Shared};
use http_kit::auth::Scope;
use serde_json::{Map, Value, json};

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
        {"name": "batch", "description": "Many commands in one request."},
        {"name": "process", "description": "What an operator's tools ask."},
    ])
}

pub(super) fn security() -> Value {
    let scopes: Vec<String> =
        Scope::ALL.iter().map(|scope| format!("- `{scope}`: {}", means(*scope))).collect();
    let description = format!(
        "A JWT whose claim `scope` holds what the operation lists, and whose claim `tenant` holds the workspaces that may \
         be touched. On loopback without configuration: the development token, `keys/development.token` below the data \
         directory.\n\nScopes:\n{}",
        scopes.join("\n")
    );
    json!({"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description}})
}

fn means(scope: Scope) -> &'static str {
    match scope {
        Scope::WorkspacesWrite => "create and change workspaces and their members",
        Scope::ProjectsWrite => "create and change projects",
        Scope::BoardsWrite => "create and change boards, their columns, members and fields",
        Scope::ItemsWrite => "create and change items",
        Scope::CommentsWrite => "add, edit and delete comments",
        Scope::StreamsWrite => "append to streams outside the domain",
        Scope::SchemasWrite => "register schemas",
        Scope::Import => "say on whose behalf and when something happened",
        Scope::Audit => "read the whole log",
        Scope::Metrics => "read the process's figures",
        Scope::Admin => "act with an owner's rights in every workspace of the token's tenants",
        _ => "something newer than this document",
    }
}

/// Headers of requests.
pub(super) fn parameters() -> Value {
    let header = |name: &str, what: &str, schema: Value, example: &str| {
        json!({
            "name": name, "in": "header", "required": false, "description": what, "schema": schema,
            "examples": {"plain": {"value": example}},
        })
    };
    // RFC 9110, 8.8.3 and 13.1.1, empty elements included.
    let tag = "(W/)?\"[!#-~\\u0080-\\u00FF]*\"";
    let pattern = format!("^(\\*|[ ,]*({tag}( *,[ ,]*{tag})*[ ,]*)?)$");
    let entity_tags = json!({"type": "string", "pattern": pattern});
    json!({
        "IdempotencyKey": header(
            "Idempotency-Key",
            "Names the command, for ever: 1 to 255 visible ASCII characters, spaces inside.",
            json!({"type": "string", "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
            "0d5b2c9e-first-try",
        ),
        "IfMatch": header(
            "If-Match",
            "The versions that the target may have, as entity tags, or `*` for any. Weak tags never match.",
            entity_tags.clone(),
            "*",
        ),
        "IfNoneMatch": header(
            "If-None-Match",
            "The versions that the target may not have; `*`: it must not exist. Else 412.",
            entity_tags,
            "*",
        ),
        "IfNoneMatchAny": header(
            "If-None-Match",
            "`*`: it must not exist, else 412.",
            json!({"type": "string", "const": "*"}),
            "*",
        ),
        "Traceparent": header(
            "traceparent",
            "W3C trace context, version 00, kept with the events. One that cannot be understood is passed over.",
            json!({"type": "string"}),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        "RequestId": header(
            "x-request-id",
            "Names the request in logs and in the answer: up to 128 visible ASCII characters; another one is replaced.",
            json!({"type": "string"}),
            "9b1f7c34",
        ),
    })
}

/// Headers of answers.
pub(super) fn headers() -> Value {
    let header = |what: &str, schema: Value| json!({"description": what, "schema": schema});
    let required =
        |what: &str, schema: Value| json!({"description": what, "schema": schema, "required": true});
    json!({
        "ETag": header("The version of what the answer is about.", json!({"type": "string", "pattern": "^\"[^\"]*\"$"})),
        "Sunday-Position": required(
            "How many events the log holds with this command's: what `minPosition` of the query API waits for.",
            json!({"type": "integer", "minimum": 0}),
        ),
        "Location": required("Where what was created is found.", json!({"type": "string", "format": "uri-reference"})),
        "x-request-id": required("The request's name in logs.", json!({"type": "string", "minLength": 1, "maxLength": 128})),
        "Retry-After": header("Seconds after which to try again.", json!({"type": "integer", "minimum": 0})),
        "RateLimit": header("What is left of the quotas, and for how long.", json!({"type": "string"})),
        "RateLimit-Policy": header("The quotas that the request counts against.", json!({"type": "string"})),
        "WWW-Authenticate": required("What a token must be (RFC 6750).", json!({"type": "string"})),
        "Deprecation": required("Since when it is deprecated (RFC 9745).", json!({"type": "string", "pattern": "^@-?[0-9]+$"})),
        "Sunset": required("From when on it may answer no more (RFC 8594).", json!({"type": "string"})),
        "Link": required("Where the deprecation is explained, and what takes its place.", json!({"type": "string"})),
    })
}

/// The schema of every problem.
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457). Codes are contracts; `detail` is for people and may change.",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri", "pattern": "^urn:sunday:problem:[a-z_]+$"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": {"type": "string", "pattern": "^[a-z_]+$"},
            "detail": {"type": "string"},
            "field": {"type": "string", "description": "The member, parameter or header that is to blame."},
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
            "scope": {"type": "string", "description": "What the token lacks."},
        },
    })
}

/// The number of an event within its stream, from 0.
pub(super) fn version() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u64::MAX, "description": "Versions count from 0."})
}

/// The routes that are not in the table.
pub(super) fn of_the_process(shared: &Shared) -> Map<String, Value> {
    let text = json!({"text/plain": {"schema": {"type": "string"}}});
    let mut paths = Map::new();
    for (path, id, summary, content) in [
        ("/livez", "process.alive", "Says that the process answers.", &text),
        ("/readyz", "process.ready", "Says whether the process can do its work, or why not.", &text),
        ("/metrics", "process.metrics", "The process's figures, for Prometheus.", &text),
        (
            "/openapi.json",
            "process.openapi",
            "This document.",
            &json!({"application/json": {"schema": {"type": "object", "required": ["openapi", "paths"]}}}),
        ),
    ] {
        let mut problems = problems::everywhere();
        if path == "/readyz" {
            problems.entry(503).or_default().insert("not_ready");
        }
        let mut headers = json!({"x-request-id": {"$ref": "#/components/headers/x-request-id"}});
        let mut parameters = vec![json!({"$ref": "#/components/parameters/RequestId"})];
        let mut responses = Map::new();
        if path == "/openapi.json" {
            headers["ETag"] = json!({"$ref": "#/components/headers/ETag"});
            parameters.push(json!({
                "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
                "description": "The tag of the copy that the client has.",
            }));
            responses.insert(
                "304".to_owned(),
                json!({"description": "The client's copy is the newest.", "headers": headers}),
            );
        }
        responses.insert(
            "200".to_owned(),
            json!({"description": summary, "headers": headers, "content": content}),
        );
        for (status, codes) in problems {
            responses.insert(status.to_string(), shared.response(status, &codes));
        }
        let entry = json!({
            "operationId": id, "summary": summary, "tags": ["process"], "parameters": parameters,
            "responses": responses, "security": [],
        });
        paths.insert(path.to_owned(), json!({"get": entry}));
    }
    paths
}
