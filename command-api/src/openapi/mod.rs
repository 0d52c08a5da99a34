//! `GET /openapi.json`: the API as an OpenAPI 3.1 document, made of the table of operations.
//!
//! ```text
//! routes::table ─▶ paths (one operation each) ─▶ document ─▶ bytes, once ─▶ openapi.json, ETag
//!   bodies (schemars) ─▶ schemas ┘ └─ problems (codes by status)
//! ```
//!
//! Invariant: what an operation takes and answers is said in the table, by types and limits that decide too; what all
//! operations share (headers, problems of commands) is said here, and what both APIs share in [`http_kit::openapi`].

mod parts;
mod paths;
mod problems;
mod schemas;

use crate::routes::ROOT;
use crate::routes::operation::Operation;
use crate::routes::table::OPERATIONS;
use axum::Router;
use http_kit::openapi::parts::of_the_process;
use http_kit::openapi::{About, Components, Schemas, Served, Shared, assemble};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The document's route.
pub(crate) fn route() -> Router {
    static SERVED: LazyLock<Served> = LazyLock::new(|| Served::new(&document(&OPERATIONS)));
    http_kit::openapi::route(&SERVED)
}

/// The whole document.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let mut schemas = Schemas::of_what_is_read(parts::problem());
    let shared = Shared::of(operations.iter().map(problems::of), problems::meaning);
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(format!("{ROOT}{}", operation.path)).or_insert_with(|| json!({}));
        path[operation.method.name()] = paths::of(operation, &mut schemas, &shared);
    }
    paths.extend(of_the_process(&shared));
    let about = About {
        title: "Sunday command API",
        version: env!("CARGO_PKG_VERSION"),
        summary: "The write side: commands, decided by the domain, appended to the log.",
        description: parts::DESCRIPTION,
        tags: parts::tags(),
    };
    let components = Components {
        schemas: schemas.into_components(),
        parameters: parts::parameters(),
        headers: parts::headers(),
        responses: shared.into_components(),
        security: parts::security(),
    };
    assemble(&about, paths, components)
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
