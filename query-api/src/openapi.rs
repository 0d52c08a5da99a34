//! `GET /openapi.json`: the API as an OpenAPI 3.1 document, made of the table of operations.
//!
//! ```text
//! routes::table ─▶ paths (one operation each) ─▶ document ─▶ bytes, once ─▶ openapi.json, ETag
//!  answers (schemars) ─▶ schemas ┘ └─ problems (codes by status)
//! ```
//!
//! Invariant: what an operation takes and answers is said in the table; what all operations share is said here, and what
//! both APIs share in [`http_kit::openapi`].

use crate::routes::operation::Operation;
use crate::routes::parameter;
use crate::routes::table::OPERATIONS;
use axum::Router;
use http_kit::auth::Scope;
use http_kit::openapi::parts::{
    self, header, header_references, parameter_reference, request_header, request_id, required_header,
};
use http_kit::openapi::{
    About, Components, Problems, Schemas, Served, Shared, WITH_TOKEN, add, assemble, everywhere,
};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

const DESCRIPTION: &str = "\
What there is, from read models that follow the log, from the search index, and from the log itself.\n\n\
**Asking.** Parameters that an operation does not know are refused, as are those that are given twice: a typing error in a \
filter must not widen an answer. Lists are read on by `offset` (`next` of the answer), events by `from`.\n\n\
**Whose.** An answer holds what belongs to the tenants of its token; the rest is as if it were not there. On loopback \
without an issuer no token is asked for.\n\n\
**How fresh.** `Sunday-Position` is how many events an answer covers, of a refusal those that it rests on. `minPosition` waits \
until it is at least that: with the `Sunday-Position` of a command one reads one's own write.\n\n\
**Again.** Every JSON answer has an `ETag`; with `If-None-Match` it is sent only if it is another one, else 304. That of one \
workspace, project, board, item or comment is strong and begins with its version: as `If-Match` of a command it demands \
that version. JSON from 1 KiB on is coded (`gzip`, `zstd`) where `Accept-Encoding` allows it.\n\n\
**Problems** are `application/problem+json` (RFC 9457) with a `code` that never changes its meaning.";

/// The document's route.
pub(crate) fn route() -> Router {
    static SERVED: LazyLock<Served> = LazyLock::new(|| Served::new(&document(&OPERATIONS)));
    http_kit::openapi::route(&SERVED)
}

/// The whole document.
fn document(operations: &[Operation]) -> Value {
    let mut schemas = Schemas::of_what_is_written(problem());
    let shared = Shared::of(operations.iter().map(problems), meaning);
    let mut paths = Map::new();
    for operation in operations {
        let entry = entry(operation, &mut schemas, &shared);
        let path = paths.entry(operation.full_path()).or_insert_with(|| json!({}));
        path[operation.method] = entry;
    }
    paths.extend(parts::of_the_process(&shared));
    let about = About {
        title: "Sunday query API",
        version: env!("CARGO_PKG_VERSION"),
        summary: "The read side: read models, search, and the log's events.",
        description: DESCRIPTION,
        tags: tags(),
    };
    let lead = "A JWT whose claim `tenant` holds the workspaces that may be read, and whose claim `scope` holds what the \
        operation lists. On loopback without an issuer none is needed.";
    let components = Components {
        schemas: schemas.into_components(),
        parameters: parameters(),
        headers: headers(),
        responses: shared.into_components(),
        security: parts::security(lead, &[Scope::Audit, Scope::ConsumersWrite, Scope::Metrics]),
    };
    assemble(&about, paths, components)
}

fn entry(operation: &Operation, schemas: &mut Schemas, shared: &Shared) -> Value {
    let success = &operation.success;
    let told = ["Sunday-Position", "x-request-id", "RateLimit", "RateLimit-Policy"];
    let headers = header_references(success.headers.iter().copied().chain(told));
    let mut responses = Map::new();
    if operation.is_tagged() {
        responses.insert(
            "304".to_owned(),
            json!({"description": "It is what `If-None-Match` names.", "headers": headers}),
        );
    }
    let schema = (success.schema)(schemas);
    let mut content = json!({(success.media_type): {"schema": schema}});
    for media_type in success.also {
        content[*media_type] = json!({"schema": {"type": "string"}});
    }
    responses.insert(
        success.status.to_string(),
        json!({"description": success.what, "headers": headers, "content": content}),
    );
    shared.respond(&mut responses, &problems(operation));
    let scopes = operation.scope.map_or_else(Vec::new, |scope| vec![scope.name()]);
    json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation)],
        "parameters": parameters_of(operation),
        "responses": responses,
        // Without an issuer none is needed.
        "security": [{"bearer": scopes}, {}],
    })
}

/// The part of the API that an operation belongs to: the first segment of its name.
fn tag(operation: &Operation) -> &str {
    operation.id.split('.').next().unwrap_or(operation.id)
}

fn parameters_of(operation: &Operation) -> Vec<Value> {
    let mut parameters: Vec<Value> = Vec::new();
    for name in operation.parameters_in_path() {
        let (schema, example) = match operation.in_path.iter().find(|(said, ..)| *said == name) {
            Some((_, schema, example)) => (schema.clone(), example.clone()),
            None => (json!({"type": "string", "format": "uuid"}), example_id(operation.path).into()),
        };
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema,
            "examples": {"plain": {"value": example}},
        }));
    }
    parameters.extend(operation.query.iter().map(parameter::Parameter::entry));
    parameters.extend(parameter::freshness().iter().map(parameter::Parameter::entry));
    parameters.extend(operation.takes.iter().map(|name| parameter_reference(name)));
    if operation.is_tagged() {
        parameters.push(parameter_reference("IfNoneMatch"));
    }
    parameters.push(parameter_reference("RequestId"));
    parameters
}

/// Ids of what `command-api/tests/world.json` creates, by the collection that the path begins with.
fn example_id(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("workspaces") => "01920000-0000-7000-8000-000000000001",
        Some("projects") => "01920000-0000-7000-8000-000000000002",
        Some("boards") => "01920000-0000-7000-8000-000000000003",
        Some("comments") => "01920000-0000-7000-8000-000000000008",
        _ => "01920000-0000-7000-8000-000000000006",
    }
}

/// The problems of an operation: its codes by status.
fn problems(operation: &Operation) -> Problems {
    let mut problems = everywhere();
    add(&mut problems, WITH_TOKEN);
    add(
        &mut problems,
        &[
            (400, &["invalid_parameter", "unknown_parameter"]),
            (500, &["log_unreadable"]),
            (503, &["archive_unreachable"]),
            (504, &["not_caught_up"]),
        ],
    );
    add(&mut problems, &operation.problems);
    problems
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => {
            "It cannot be read: `field` names the parameter or header that is wrong, `known` the parameters that there are."
        }
        401 => "There is no token, or it is not valid.",
        403 => "The token does not permit it.",
        404 => "There is no such thing, or none that the token may know of.",
        409 => "It is another log, or became one; or what was asked for is going on already.",
        410 => "It was deleted, and its id is never used again.",
        416 => "The log, or its published tree, ends before that.",
        422 => "More happened than is read for one answer.",
        426 => "It is spoken to in another protocol.",
        429 => "Too many requests for now.",
        500 => "A fault of the service, which has been logged.",
        503 => "Not for the moment; it may be asked again.",
        504 => "`minPosition` was not reached in time; `position` is how far it has come.",
        _ => "It is refused.",
    }
}

/// The parts of the API.
fn tags() -> Value {
    json!([
        {"name": "workspace", "description": "Tenants, and who belongs to them."},
        {"name": "project", "description": "Parts of a workspace, which hold boards, and their figures."},
        {"name": "board", "description": "Columns, and the items in them."},
        {"name": "item", "description": "What is worked on."},
        {"name": "comment", "description": "What is said about items."},
        {"name": "user", "description": "What people are to do."},
        {"name": "activity", "description": "What happened, newest first."},
        {"name": "search", "description": "Everything by its words."},
        {"name": "event", "description": "What happened, by position and as it happens."},
        {"name": "stream", "description": "What happened to one thing, by version."},
        {"name": "consumer", "description": "Durable places in the log, of services that follow it."},
        {"name": "log", "description": "The log itself, for standbys."},
        {"name": "audit", "description": "What was signed of the log, and proofs (C2SP tlog-tiles, RFC 6962)."},
        {"name": "projection", "description": "How far answers are behind the log."},
        parts::process_tag(),
    ])
}

/// Headers of requests.
fn parameters() -> Value {
    json!({
        "IfNoneMatch": request_header(
            "If-None-Match",
            "The tags of the answers that the client has, or `*`. What is no list of tags is passed over.",
            json!({"type": "string"}),
            "W/\"93f1c2a45be0d871\"",
        ),
        "LastEventId": request_header(
            "Last-Event-ID",
            "The `id` of the last event that the client has got; it goes on right after it.",
            json!({"type": "string", "pattern": "^[0-9]{1,20}$"}),
            "41",
        ),
        "RequestId": request_id(),
    })
}

/// Headers of answers.
fn headers() -> Value {
    let yes_or_no = || json!({"type": "string", "enum": ["true", "false"]});
    parts::headers(json!({
        "ETag": required_header(
            "Which answer it is: of one thing its version and a digest, else a digest; another one where the answer is coded.",
            json!({"type": "string", "pattern": "^(W/)?\"[^\"]*\"$"}),
        ),
        "Sunday-Position": required_header(
            "How many events the answer covers, exclusive.",
            json!({"type": "integer", "minimum": 0}),
        ),
        "Sunday-Next": header(
            "Of lines: the `offset` to go on from, where something is left.",
            json!({"type": "integer", "minimum": 0}),
        ),
        "Sunday-Total": header("Of lines: how many there are in all.", json!({"type": "integer", "minimum": 0})),
        "Cache-Control": header("How long the answer stays what it is.", json!({"type": "string"})),
        "Sunday-Store": header("The store that the segment belongs to.", json!({"type": "string", "format": "uuid"})),
        "Sunday-Segment-Ended": header("Whether nothing more comes into this segment.", yes_or_no()),
        "Sunday-Segment-Tail": header("Whether the bytes are no frames, but what a crash left behind the last one.", yes_or_no()),
    }))
}

/// The schema of every problem.
fn problem() -> Value {
    let position = || json!({"type": "integer", "minimum": 0});
    parts::problem(json!({
        "known": {"type": "array", "items": {"type": "string"}, "description": "The parameters that there are."},
        "minPosition": position(),
        "position": position(),
        "at": {"type": "integer", "minimum": 0, "description": "The character of `q` that is to blame."},
        "expected": {"type": "string", "description": "What could stand there."},
        "store": {"type": "string", "format": "uuid"},
        "chain": {"type": "string"},
    }))
}
