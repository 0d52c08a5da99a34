//! Headers, parameters, security, problems and process routes: what the documents of both services say alike.

use super::problems::{self, Shared};
use crate::auth::Scope;
use serde_json::{Map, Value, json};

/// How callers are known: `lead` says what a token is for, then the scopes are listed.
#[must_use]
pub fn security(lead: &str, scopes: &[Scope]) -> Value {
    let scopes: Vec<String> = scopes.iter().map(|scope| format!("- `{scope}`: {}", means(*scope))).collect();
    let description = format!("{lead}\n\nScopes:\n{}", scopes.join("\n"));
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
        Scope::ProjectionsOperate => "ask for rebuilds, retries and repairs of projections",
        Scope::ProjectionsDecide => "say what became of them: the projector's own",
        Scope::ConsumersWrite => "create consumers, read what they are given, and say what became of it",
        Scope::Import => "say on whose behalf and when something happened",
        Scope::Audit => "read the whole log",
        Scope::Metrics => "read the process's figures",
        Scope::Admin => "act with an owner's rights in every workspace of the token's tenants",
    }
}

/// A header of requests.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "it is made for the call, and ends up in a document")]
pub fn request_header(name: &str, what: &str, schema: Value, example: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": false, "description": what, "schema": schema,
        "examples": {"plain": {"value": example}},
    })
}

/// What names a request.
#[must_use]
pub fn request_id() -> Value {
    request_header(
        "x-request-id",
        "Names the request in logs and in the answer: up to 128 visible ASCII characters; another one is replaced.",
        json!({"type": "string"}),
        "9b1f7c34",
    )
}

/// `*`, or a list of entity tags: RFC 9110, 8.8.3 and 13.1.1, empty elements included.
#[must_use]
pub fn entity_tags() -> Value {
    let tag = "(W/)?\"[!#-~\\u0080-\\u00FF]*\"";
    let pattern = format!("^(\\*|[ ,]*({tag}( *,[ ,]*{tag})*[ ,]*)?)$");
    json!({"type": "string", "pattern": pattern})
}

/// A header of answers that may be there.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "it is made for the call, and ends up in a document")]
pub fn header(what: &str, schema: Value) -> Value {
    json!({"description": what, "schema": schema})
}

/// A header of answers that is always there.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "it is made for the call, and ends up in a document")]
pub fn required_header(what: &str, schema: Value) -> Value {
    json!({"description": what, "schema": schema, "required": true})
}

/// The headers that answers of both services have, and `more`.
#[must_use]
pub fn headers(more: Value) -> Value {
    let mut headers = json!({
        "x-request-id": required_header("The request's name in logs.", json!({"type": "string", "minLength": 1, "maxLength": 128})),
        "Retry-After": header("Seconds after which to try again.", json!({"type": "integer", "minimum": 0})),
        "RateLimit": header("What is left of the quotas, and for how long.", json!({"type": "string"})),
        "RateLimit-Policy": header("The quotas that the request counts against.", json!({"type": "string"})),
        "WWW-Authenticate": required_header("What a token must be (RFC 6750).", json!({"type": "string"})),
    });
    join(&mut headers, more);
    headers
}

/// Refers to headers of answers by their names.
#[must_use]
pub fn header_references<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    let headers = names
        .into_iter()
        .map(|name| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")})));
    Value::Object(headers.collect())
}

/// Refers to a header of requests by its name.
#[must_use]
pub fn parameter_reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// The schema of every problem, with the members that only some have.
#[must_use]
pub fn problem(more: Value) -> Value {
    let mut members = json!({
        "type": {"type": "string", "format": "uri", "pattern": "^urn:sunday:problem:[a-z_]+$"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z_]+$"},
        "detail": {"type": "string"},
        "field": {"type": "string", "description": "The member, parameter or header that is to blame."},
        "scope": {"type": "string", "description": "What the token lacks."},
    });
    join(&mut members, more);
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457). Codes are contracts; `detail` is for people and may change.",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": members,
    })
}

/// The number of an event within its stream, from 0.
#[must_use]
pub fn version() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u64::MAX, "description": "Versions count from 0."})
}

/// The tag that these operations belong to.
#[must_use]
pub fn process_tag() -> Value {
    json!({"name": "process", "description": "What an operator's tools ask."})
}

/// The routes that the frame and the document itself add to a service's own.
#[must_use]
pub fn of_the_process(shared: &Shared) -> Map<String, Value> {
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
        let mut headers = header_references(["x-request-id"]);
        let mut parameters = vec![parameter_reference("RequestId")];
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
        shared.respond(&mut responses, &problems);
        let entry = json!({
            "operationId": id, "summary": summary, "tags": ["process"], "parameters": parameters,
            "responses": responses, "security": [],
        });
        paths.insert(path.to_owned(), json!({"get": entry}));
    }
    paths
}

/// Adds members to an object.
fn join(members: &mut Value, more: Value) {
    if let (Value::Object(members), Value::Object(more)) = (members, more) {
        members.extend(more);
    }
}
