//! `GET /openapi.json`: the API as an OpenAPI 3.1 document, made of the table of operations.
//!
//! ```text
//! routes::table ─▶ paths (one operation each) ─▶ document ─▶ bytes, once ─▶ openapi.json, ETag
//!   bodies (schemars) ─▶ schemas ┘ └─ problems (codes by status)
//! ```
//!
//! Invariant: what an operation takes and answers is said in the table, by types and limits that decide too; only what
//! all operations share (headers, security, problems of the frame) is said here.

mod parts;
mod paths;
mod problems;
mod schemas;
mod serve;

pub(crate) use schemas::{AnyProblem, NAME};
pub(crate) use serve::route;

use crate::routes::ROOT;
use crate::routes::operation::Operation;
use problems::Shared;
use schemas::Schemas;
use serde_json::{Map, Value, json};

/// The whole document.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let mut schemas = Schemas::new();
    let shared = Shared::of(operations);
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(format!("{ROOT}{}", operation.path)).or_insert_with(|| json!({}));
        path[operation.method.name()] = paths::of(operation, &mut schemas, &shared);
    }
    paths.extend(parts::of_the_process(&shared));
    let mut document = json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Sunday command API",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The write side: commands, decided by the domain, appended to the log.",
            "description": parts::DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "where this document comes from"}],
        "tags": parts::tags(),
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "parameters": parts::parameters(),
            "headers": parts::headers(),
            "responses": shared.into_components(),
            "securitySchemes": parts::security(),
        },
    });
    sort(&mut document);
    document
}

/// One order of members, whatever map a build of `serde_json` has.
fn sort(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.sort_keys();
            members.values_mut().for_each(sort);
        }
        Value::Array(list) => list.iter_mut().for_each(sort),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::deprecation::Deprecation;
    use crate::routes::operation::{Nothing, delete};
    use crate::service::Intent;
    use time::OffsetDateTime;

    #[test]
    fn a_deprecated_operation_is_said_to_be_one() {
        let operation = || {
            delete("/projects/{id}", "project.delete", "Archives a project.")
                .reads(|_: Nothing| Intent::Project(domain::project::Command::Archive))
        };
        let deprecation = Deprecation {
            since: OffsetDateTime::UNIX_EPOCH,
            sunset: None,
            link: "https://example.org/deprecated",
            successor: None,
        };
        let plain = document(&[operation()]);
        let deprecated = document(&[operation().deprecated(deprecation)]);
        let [plain, deprecated] = [&plain, &deprecated].map(|document| {
            let operation = &document["paths"]["/api/v1/projects/{id}"]["delete"];
            (
                operation["deprecated"] == true,
                operation["responses"]["200"]["headers"].get("Deprecation").is_some(),
            )
        });
        assert_eq!((plain, deprecated), ((false, false), (true, true)));
    }
}
