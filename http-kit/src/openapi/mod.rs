//! What the OpenAPI 3.1 documents of both services have in common: each makes its own from its table of operations.
//!
//! ```text
//! a service's table ─▶ its paths ──┐ ┌── parts (headers, security, process routes)
//!        types (schemars) ─▶ schemas ─┴▶ assemble ─▶ serve: bytes, once, with their tag
//!        codes by status ─▶ problems ─┘      └▶ judge: whether answers are what it says (tests)
//! ```
//!
//! Invariant: nothing here knows an operation, and nothing that all operations share is said anywhere else.

pub mod judge;
pub mod parts;
mod problems;
mod schemas;
mod serve;

pub use problems::{Listed, Meaning, Problems, Shared, WITH_TOKEN, add, everywhere};
pub use schemas::{AnyProblem, COMPONENTS, NAME, Schemas, refer, type_name};
pub use serve::{Served, route};

use serde_json::{Map, Value, json};

/// What a document says of the service as a whole.
#[derive(Debug)]
pub struct About {
    /// Its name.
    pub title: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What holds for all of its operations.
    pub description: &'static str,
    /// The parts that operations belong to.
    pub tags: Value,
}

/// What operations refer to.
#[derive(Debug)]
pub struct Components {
    /// Schemas by name.
    pub schemas: Map<String, Value>,
    /// Headers of requests by name.
    pub parameters: Value,
    /// Headers of answers by name.
    pub headers: Value,
    /// Answers by name.
    pub responses: Map<String, Value>,
    /// How callers are known.
    pub security: Value,
}

/// The whole document, its members in order.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "it is made for the call, and ends up in a document")]
pub fn assemble(about: &About, paths: Map<String, Value>, components: Components) -> Value {
    let mut document = json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": about.title,
            "version": about.version,
            "summary": about.summary,
            "description": about.description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "where this document comes from"}],
        "tags": about.tags,
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "parameters": components.parameters,
            "headers": components.headers,
            "responses": components.responses,
            "securitySchemes": components.security,
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
