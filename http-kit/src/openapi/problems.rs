//! Problems as responses: their codes by status, and those responses that most operations share.
//!
//! Invariant: a code stands in a table before it is served; the tests compare every answer that they see.

use super::schemas::type_name;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Codes by status.
pub type Problems = BTreeMap<u16, BTreeSet<&'static str>>;

/// Codes by status, as tables write them.
pub type Listed<'a> = &'a [(u16, &'a [&'static str])];

/// What a status means in a service, for people.
pub type Meaning = fn(u16) -> &'static str;

/// What the frame answers to any request.
const EVERYWHERE: Listed<'static> = &[
    (403, &["foreign_origin"]),
    (429, &["rate_limited"]),
    (500, &["internal"]),
    (503, &["overloaded", "request_timeout"]),
];

/// What every request that needs a token may get.
pub const WITH_TOKEN: Listed<'static> =
    &[(401, &["invalid_token", "unauthenticated"]), (429, &["tenant_busy"])];

/// The problems of what needs nothing.
#[must_use]
pub fn everywhere() -> Problems {
    let mut problems = Problems::new();
    add(&mut problems, EVERYWHERE);
    problems
}

/// Adds codes to those that are there.
pub fn add(problems: &mut Problems, listed: Listed<'_>) {
    for (status, codes) in listed {
        problems.entry(*status).or_default().extend(*codes);
    }
}

/// The responses that stand once in the document, because most operations give them.
#[derive(Debug)]
pub struct Shared {
    usual: BTreeMap<u16, (BTreeSet<&'static str>, String)>,
    meaning: Meaning,
}

impl Shared {
    /// What most of the operations, whose problems these are, answer with each status.
    #[must_use]
    pub fn of(operations: impl IntoIterator<Item = Problems>, meaning: Meaning) -> Self {
        let mut counts: BTreeMap<u16, BTreeMap<BTreeSet<&'static str>, usize>> = BTreeMap::new();
        for (status, codes) in operations.into_iter().flatten() {
            *counts.entry(status).or_default().entry(codes).or_default() += 1;
        }
        let most = |counts: BTreeMap<BTreeSet<&'static str>, usize>| {
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(codes, _)| codes)
        };
        let usual = counts
            .into_iter()
            .filter_map(|(status, counts)| {
                let name = type_name(&reason(status).replace([' ', '-'], "_").to_ascii_lowercase());
                Some((status, (most(counts)?, name)))
            })
            .collect();
        Self { usual, meaning }
    }

    /// A response, by reference where it is the usual one.
    #[must_use]
    pub fn response(&self, status: u16, codes: &BTreeSet<&'static str>) -> Value {
        match self.usual.get(&status) {
            Some((usual, name)) if usual == codes => {
                json!({"$ref": format!("#/components/responses/{name}")})
            }
            _ => response(status, codes, self.meaning),
        }
    }

    /// Adds the responses of an operation's problems.
    pub fn respond(&self, responses: &mut Map<String, Value>, problems: &Problems) {
        for (status, codes) in problems {
            responses.insert(status.to_string(), self.response(*status, codes));
        }
    }

    /// The usual responses by name.
    #[must_use]
    pub fn into_components(self) -> Map<String, Value> {
        let Self { usual, meaning } = self;
        usual.into_iter().map(|(status, (codes, name))| (name, response(status, &codes, meaning))).collect()
    }
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Problem")
}

fn response(status: u16, codes: &BTreeSet<&'static str>, meaning: Meaning) -> Value {
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
