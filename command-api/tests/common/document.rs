//! The served document as a judge of the tests: whatever they send and get must be what it says.
//!
//! A status, a code, a member or a header that is answered but not documented fails the test that saw it, and so does a
//! body that is taken although the document forbids it.

use super::Answer;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// The document as it is checked in, which a test holds to be what is served.
pub const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

// Read when it is needed, so that a snapshot that was just written counts.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_slice(&std::fs::read(SNAPSHOT).unwrap()).unwrap());

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The document itself.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// Compares a request and its answer with the document.
#[track_caller]
pub fn judge(method: &str, path: &str, body: &[u8], answer: &Answer) {
    let what = || format!("{method} {path}: {} {}", answer.status, answer.body);
    let Some(template) = template(path) else {
        assert_eq!(answer.status, 404, "no path of the document, {}", what());
        return;
    };
    let Some(operation) = DOCUMENT["paths"][template].get(method.to_ascii_lowercase()) else {
        assert_eq!(answer.status, 405, "no method of the document, {}", what());
        return;
    };
    let response = &operation["responses"][answer.status.to_string()];
    assert!(!response.is_null(), "the document knows no such status: {}", what());
    let response = resolve(response);
    let media_type = answer.headers["content-type"].to_str().unwrap();
    let schema = &response["content"][media_type]["schema"];
    assert!(!schema.is_null(), "the document knows no {media_type} here: {}", what());
    let faults = faults(schema, &answer.body);
    assert!(faults.is_empty(), "the document says otherwise: {faults:?}, {}", what());
    for (name, header) in response["headers"].as_object().unwrap() {
        let is_required = resolve(header)["required"] == true;
        assert!(!is_required || answer.headers.contains_key(name), "no header {name}: {}", what());
    }
    let taken = &operation["requestBody"]["content"]["application/json"]["schema"];
    // What a batch only passes on may be nested deeper than the test's own parser goes.
    if let (true, Ok(body)) = (answer.status < 300 && !taken.is_null(), serde_json::from_slice::<Value>(body))
    {
        let faults = self::faults(taken, &without(path, template, body.clone()));
        assert!(faults.is_empty(), "taken, though the document forbids {body}: {faults:?}, {}", what());
    }
}

/// A body without the members that its path says too: the document does not repeat them.
fn without(path: &str, template: &str, mut body: Value) -> Value {
    for (segment, name) in path.split('/').zip(template.split('/')) {
        let name = name.trim_matches(['{', '}']);
        if let Some(members) = body.as_object_mut()
            && members
                .get(name)
                .and_then(Value::as_str)
                .is_some_and(|said| said.eq_ignore_ascii_case(segment))
        {
            members.remove(name);
        }
    }
    body
}

/// The path of the document that a request's path is one of.
fn template(path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
    let paths = DOCUMENT["paths"].as_object().unwrap().keys();
    let fits = |template: &&String| {
        let names: Vec<&str> = template.split('/').collect();
        names.len() == segments.len()
            && names.iter().zip(&segments).all(|(name, segment)| {
                if name.starts_with('{') { !segment.is_empty() } else { name == segment }
            })
    };
    // Literal segments come before parameters.
    paths.filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
}

/// What a schema of the document finds wrong with a value.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut validators = VALIDATORS.lock().unwrap();
    let validator = validators.entry(schema.to_string()).or_insert_with(|| {
        let mut root: Map<String, Value> = schema.as_object().unwrap().clone();
        root.insert("components".to_owned(), json!({"schemas": DOCUMENT["components"]["schemas"]}));
        Arc::new(jsonschema::options().should_validate_formats(true).build(&Value::Object(root)).unwrap())
    });
    let validator = Arc::clone(validator);
    drop(validators);
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// A part of the document, or what it refers to.
pub fn resolve(part: &Value) -> &Value {
    match part["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(&reference[1..]).unwrap(),
        None => part,
    }
}
