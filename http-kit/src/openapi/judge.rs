//! A document as a judge of tests: whatever they send and get must be what it says.
//!
//! A status, a code or a header that is answered but not documented is a fault, as is a body that is taken although the
//! document forbids it. A strict judge also finds members that no schema names; served documents leave objects open,
//! because a member that comes later must not break those who read by an older document.

use axum::http::HeaderMap;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// A request and its answer, as they went over the wire.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's path, with its query.
    pub path: &'a str,
    /// The request's body.
    pub sent: &'a [u8],
    /// The answer's status.
    pub status: u16,
    /// The answer's headers.
    pub headers: &'a HeaderMap,
    /// The answer's body.
    pub body: &'a [u8],
}

/// Compares with one document.
pub struct Judge {
    document: Value,
    schemas: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

impl Judge {
    /// A judge that goes by the document as it is.
    #[must_use]
    pub fn new(document: Value) -> Self {
        let schemas = document["components"]["schemas"].clone();
        Self { document, schemas, validators: Mutex::default() }
    }

    /// A judge that allows no members beside those of the schemas, but for problems, whose further members vary.
    #[must_use]
    pub fn strict(document: Value) -> Self {
        let mut judge = Self::new(document);
        if let Some(schemas) = judge.schemas.as_object_mut() {
            for (_, schema) in schemas.iter_mut().filter(|(name, _)| *name != "Problem") {
                close(schema);
            }
        }
        judge
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// That an exchange is what the document says.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn judge(&self, exchange: &Exchange<'_>) -> Result<(), String> {
        let Exchange { method, path, status, headers, .. } = *exchange;
        let Some(template) = self.template(path) else {
            return sure(status == 404, || "no path of the document".to_owned());
        };
        // Every GET has its HEAD (RFC 9110, 9.3.2), which no document lists.
        let method = if method == "HEAD" { "GET" } else { method };
        let Some(operation) = self.document["paths"][template].get(method.to_ascii_lowercase()) else {
            return sure(status == 405, || "no method of the document".to_owned());
        };
        let response = &operation["responses"][status.to_string()];
        sure(!response.is_null(), || "the document knows no such status".to_owned())?;
        let response = self.resolve(response);
        self.judge_body(response, exchange)?;
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let is_required = self.resolve(header)["required"] == true;
            sure(!is_required || headers.contains_key(name), || format!("no header {name}"))?;
        }
        let taken = &operation["requestBody"]["content"]["application/json"]["schema"];
        if taken.is_null() || status >= 300 {
            return Ok(());
        }
        // What a batch only passes on may be nested deeper than this parser goes.
        let Ok(sent) = serde_json::from_slice::<Value>(exchange.sent) else { return Ok(()) };
        let faults = self.faults(taken, &without(path, template, sent))?;
        sure(faults.is_empty(), || format!("taken, though the document forbids it: {faults:?}"))
    }

    fn judge_body(&self, response: &Value, exchange: &Exchange<'_>) -> Result<(), String> {
        let Some(contents) = response["content"].as_object() else {
            return sure(exchange.body.is_empty(), || "a body where the document knows none".to_owned());
        };
        let media_type = exchange.headers.get("content-type").and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default();
        let Some(content) = contents.get(media_type.split(';').next().unwrap_or_default()) else {
            return Err(format!("the document knows no {media_type:?} here"));
        };
        let is_json = media_type == "application/json" || media_type.ends_with("+json");
        if exchange.method == "HEAD" || !is_json {
            return Ok(());
        }
        let body = serde_json::from_slice(exchange.body).map_err(|error| format!("no JSON: {error}"))?;
        let faults = self.faults(&content["schema"], &body)?;
        sure(faults.is_empty(), || format!("the document says otherwise: {faults:?}"))
    }

    /// The path of the document that a request's path is one of.
    fn template(&self, path: &str) -> Option<&str> {
        let segments: Vec<&str> = path.split('?').next().unwrap_or_default().split('/').collect();
        let fits = |template: &&String| {
            let names: Vec<&str> = template.split('/').collect();
            names.len() == segments.len()
                && names.iter().zip(&segments).all(|(name, segment)| {
                    if name.starts_with('{') { !segment.is_empty() } else { name == segment }
                })
        };
        let paths = self.document["paths"].as_object()?.keys();
        // Literal segments come before parameters.
        paths.filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    /// What a schema of the document finds wrong with a value.
    ///
    /// # Errors
    /// When it is no schema, or refers to nothing.
    pub fn faults(&self, schema: &Value, value: &Value) -> Result<Vec<String>, String> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let key = schema.to_string();
        let validator = match validators.get(&key) {
            Some(validator) => Arc::clone(validator),
            None => {
                let mut root: Map<String, Value> =
                    schema.as_object().cloned().ok_or_else(|| format!("no schema: {schema}"))?;
                root.insert("components".to_owned(), json!({"schemas": self.schemas}));
                let options = jsonschema::options().should_validate_formats(true);
                let validator = options.build(&Value::Object(root)).map_err(|error| error.to_string())?;
                Arc::clone(validators.entry(key).or_insert(Arc::new(validator)))
            }
        };
        drop(validators);
        Ok(validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect())
    }

    /// A part of the document, or what it refers to.
    #[must_use]
    pub fn resolve<'a>(&'a self, part: &'a Value) -> &'a Value {
        let target = part["$ref"].as_str().and_then(|reference| self.document.pointer(reference.get(1..)?));
        target.unwrap_or(part)
    }

    /// Every operation: method, path and what is said of it.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.document["paths"].as_object().into_iter().flatten().flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
    }

    /// What is wrong with the document itself: names, tags, parameters of paths, references, schemas.
    #[must_use]
    pub fn shape(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut expect = |is_so: bool, what: String| {
            if !is_so {
                faults.push(what);
            }
        };
        expect(self.document["openapi"] == "3.1.0", "not OpenAPI 3.1.0".to_owned());
        let tags: Vec<&Value> =
            self.document["tags"].as_array().into_iter().flatten().map(|tag| &tag["name"]).collect();
        let mut names = BTreeSet::new();
        for (method, path, operation) in self.operations() {
            let name = operation["operationId"].as_str().unwrap_or_default();
            expect(names.insert(name), format!("{method} {path}: operationId {name:?} is not unique"));
            for tag in operation["tags"].as_array().into_iter().flatten() {
                expect(tags.contains(&tag), format!("{method} {path}: {tag} is not explained"));
            }
            let parameters =
                operation["parameters"].as_array().into_iter().flatten().map(|part| self.resolve(part));
            let in_path: Vec<&str> = parameters
                .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            let in_template: Vec<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
            expect(in_path == in_template, format!("{method} {path}: parameters {in_path:?}"));
            expect(operation["security"].is_array(), format!("{method} {path}: no security"));
        }
        let mut references = Vec::new();
        collect_references(&self.document, &mut references);
        for reference in references {
            let target = reference.get(1..).and_then(|pointer| self.document.pointer(pointer));
            expect(target.is_some(), format!("{reference} leads nowhere"));
        }
        for (name, schema) in self.document["components"]["schemas"].as_object().into_iter().flatten() {
            // schemars tells types of one name apart by a number.
            expect(
                !name.ends_with(|last: char| last.is_ascii_digit()),
                format!("{name}: two types of one name"),
            );
            expect(jsonschema::meta::is_valid(schema), format!("{name} is no JSON Schema"));
            // That patterns compile.
            let built = self.faults(&super::refer(name), &json!({}));
            expect(built.is_ok(), format!("{name}: {:?}", built.err()));
        }
        faults
    }
}

/// An error unless it is so.
fn sure(is_so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(what()) }
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

/// Closes every object of a schema to members that it does not name.
fn close(schema: &mut Value) {
    if let Value::Object(members) = schema {
        let is_composed = ["allOf", "anyOf", "oneOf"].iter().any(|word| members.contains_key(*word));
        if members.contains_key("properties") && !members.contains_key("additionalProperties") {
            let word = if is_composed { "unevaluatedProperties" } else { "additionalProperties" };
            members.insert(word.to_owned(), Value::Bool(false));
            // Its parts know only their own members, and the object closes itself.
            for (word, part) in members.iter_mut() {
                if !["allOf", "anyOf", "oneOf"].contains(&word.as_str()) {
                    close(part);
                }
            }
        } else {
            members.values_mut().for_each(close);
        }
    } else if let Value::Array(list) = schema {
        list.iter_mut().for_each(close);
    }
}

fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" => found.push(text),
                    value => collect_references(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}
