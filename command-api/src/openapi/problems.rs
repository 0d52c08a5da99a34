//! Which problems an operation answers: its codes by status, as responses that most operations share.
//!
//! Invariant: a code stands here before it is served; the tests compare every answer that they see.

use super::schemas::type_name;
use crate::routes::operation::{Operation, Verb};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Codes by status.
pub(super) type Problems = BTreeMap<u16, BTreeSet<&'static str>>;

/// What the frame answers to any request.
const EVERYWHERE: &[(u16, &[&str])] = &[
    (403, &["foreign_origin"]),
    (429, &["rate_limited"]),
    (500, &["internal"]),
    (503, &["overloaded", "request_timeout"]),
];

/// What every request that needs a token may get.
const WITH_TOKEN: &[(u16, &[&str])] = &[
    (401, &["invalid_token", "unauthenticated"]),
    (403, &["insufficient_scope", "not_permitted", "tenant_mismatch"]),
    (429, &["tenant_busy"]),
];

/// What every request with a body may get.
const WITH_BODY: &[(u16, &[&str])] = &[
    (400, &["invalid_body"]),
    (408, &["body_timeout"]),
    (413, &["body_too_large"]),
    (415, &["unsupported_media_type"]),
];

/// What may come of writing to the log.
const WRITES: &[(u16, &[&str])] = &[(503, &["outcome_unknown", "read_only", "stopping"])];

/// What every single command may get, for itself or for what its body refers to.
const COMMAND: &[(u16, &[&str])] = &[
    (404, &["not_found"]),
    (409, &["version_conflict"]),
    (410, &["gone"]),
    (412, &["version_conflict"]),
    (413, &["event_too_large"]),
    (422, &["archived", "contradiction", "empty", "idempotency_key_reused", "name_empty", "tenant_unsaid"]),
    (422, &["too_long", "too_many"]),
];

/// The problems of an operation.
pub(super) fn of(operation: &Operation) -> Problems {
    let mut problems = everywhere();
    let mut add = |listed: &[(u16, &[&'static str])]| {
        for (status, codes) in listed {
            problems.entry(*status).or_default().extend(*codes);
        }
    };
    if operation.body.is_some() {
        add(WITH_BODY);
    }
    add(WITH_TOKEN);
    if !operation.headers.is_empty() {
        add(&[(400, &["invalid_header"])]);
    }
    if operation.method != Verb::Get {
        add(WRITES);
    }
    if operation.reader().is_some() {
        add(COMMAND);
    }
    if !operation.parameters.is_empty() || operation.query.is_some() {
        add(&[(400, &["invalid_parameter"])]);
    }
    if operation.success.status == 201 {
        add(&[(409, &["already_exists"])]);
    }
    add(&operation.problems);
    problems
}

/// The problems of what is not in the table.
pub(super) fn everywhere() -> Problems {
    EVERYWHERE.iter().map(|(status, codes)| (*status, codes.iter().copied().collect())).collect()
}

/// The responses that stand once in the document, because most operations give them.
pub(super) struct Shared(BTreeMap<u16, (BTreeSet<&'static str>, String)>);

impl Shared {
    pub(super) fn of(operations: &[Operation]) -> Self {
        let mut counts: BTreeMap<u16, BTreeMap<BTreeSet<&'static str>, usize>> = BTreeMap::new();
        for (status, codes) in operations.iter().flat_map(of) {
            *counts.entry(status).or_default().entry(codes).or_default() += 1;
        }
        let most = |counts: BTreeMap<BTreeSet<&'static str>, usize>| {
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(codes, _)| codes)
        };
        Self(
            counts
                .into_iter()
                .filter_map(|(status, counts)| {
                    let name = type_name(&reason(status).replace([' ', '-'], "_").to_ascii_lowercase());
                    Some((status, (most(counts)?, name)))
                })
                .collect(),
        )
    }

    /// A response, by reference where it is the usual one.
    pub(super) fn response(&self, status: u16, codes: &BTreeSet<&'static str>) -> Value {
        match self.0.get(&status) {
            Some((usual, name)) if usual == codes => {
                json!({"$ref": format!("#/components/responses/{name}")})
            }
            _ => response(status, codes),
        }
    }

    pub(super) fn into_components(self) -> Map<String, Value> {
        self.0.into_iter().map(|(status, (codes, name))| (name, response(status, &codes))).collect()
    }
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Problem")
}

fn response(status: u16, codes: &BTreeSet<&'static str>) -> Value {
    let header = |name: &str| json!({"$ref": format!("#/components/headers/{name}")});
    let mut headers = json!({"x-request-id": header("x-request-id")});
    match status {
        401 => headers["WWW-Authenticate"] = header("WWW-Authenticate"),
        429 => {
            for name in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
                headers[name] = header(name);
            }
        }
        503 => headers["Retry-After"] = header("Retry-After"),
        _ => {}
    }
    json!({
        "description": meaning(status),
        "headers": headers,
        "content": {"application/problem+json": {"schema": {"allOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"properties": {"status": {"const": status}, "code": {"enum": codes}}},
        ]}}},
    })
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "It cannot be read: `field` names the member, parameter or header that is wrong.",
        401 => "There is no token, or it is not valid.",
        403 => "The token, or the role, does not permit it.",
        404 => "There is no such thing, or none that the token may know of; `field` says what refers to it.",
        408 => "The body took too long to arrive.",
        409 => "The target is not at the version that was demanded, or exists already.",
        410 => "It was deleted, and its id is never used again.",
        412 => "`If-Match` or `If-None-Match` does not hold.",
        413 => "It is larger than what is taken.",
        415 => "The body is not JSON.",
        422 => "It can be read, but not be carried out.",
        429 => "Too many requests for now.",
        500 => "A fault of the service, which has been logged.",
        503 => {
            "Not for the moment; it may be sent again, with an `Idempotency-Key` without doubling anything."
        }
        _ => "It is refused.",
    }
}
