//! Which problems an operation answers: its codes by status.
//!
//! Invariant: a code stands here before it is served; the tests compare every answer that they see.

use crate::routes::operation::{Operation, Verb};
use http_kit::openapi::{Listed, Problems, WITH_TOKEN, add, everywhere};

/// What a token may lack.
const NOT_PERMITTED: Listed<'static> = &[(403, &["insufficient_scope", "not_permitted", "tenant_mismatch"])];

/// What every request with a body may get.
const WITH_BODY: Listed<'static> = &[
    (400, &["invalid_body"]),
    (408, &["body_timeout"]),
    (413, &["body_too_large"]),
    (415, &["unsupported_media_type"]),
];

/// What may come of writing to the log.
const WRITES: Listed<'static> =
    &[(503, &["archive_unreachable", "outcome_unknown", "read_only", "stopping"])];

/// What every single command may get, for itself or for what its body refers to.
const COMMAND: Listed<'static> = &[
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
    let mut add = |listed: Listed<'_>| add(&mut problems, listed);
    if operation.body.is_some() {
        add(WITH_BODY);
    }
    add(WITH_TOKEN);
    add(NOT_PERMITTED);
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

/// What a status means here.
pub(super) fn meaning(status: u16) -> &'static str {
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
