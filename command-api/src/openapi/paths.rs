//! One operation of the table as an operation of the document.

use super::problems;
use super::schemas::{Body, body_of, parameter};
use crate::routes::examples;
use crate::routes::operation::{Operation, Verb};
use http_kit::openapi::parts::{header_references, parameter_reference};
use http_kit::openapi::{Schemas, Shared};
use serde_json::{Map, Value, json};

pub(super) fn of(operation: &Operation, schemas: &mut Schemas, shared: &Shared) -> Value {
    let body = body_of(operation, schemas);
    let example = examples::of(operation.id);
    let success = &operation.success;
    let answer = schemas.component(success.name, success.schema);
    let mut responses = Map::new();
    responses.insert(
        success.status.to_string(),
        json!({
            "description": success.what,
            "headers": headers(operation),
            "content": {"application/json": {"schema": answer}},
        }),
    );
    if operation.may_be_unchanged {
        let mut unchanged = responses[&success.status.to_string()].clone();
        unchanged["description"] = "It was so already.".into();
        if let Some(headers) = unchanged.get_mut("headers").and_then(Value::as_object_mut) {
            headers.remove("Location");
        }
        responses.insert("200".to_owned(), unchanged);
    }
    if operation.may_be_later {
        let mut later = responses[&success.status.to_string()].clone();
        later["description"] = "It is taken, and recorded soon together with others.".into();
        if let Some(headers) = later.get_mut("headers").and_then(Value::as_object_mut) {
            headers.remove("Sunday-Position");
        }
        responses.insert("202".to_owned(), later);
    }
    shared.respond(&mut responses, &problems::of(operation));
    let mut entry = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation)],
        "parameters": parameters(operation, schemas, body.as_ref(), &example),
        "responses": responses,
        "security": [{"bearer": operation.scope.map_or_else(Vec::new, |scope| vec![scope.name()])}],
    });
    if let Some(body) = body {
        let mut content = json!({"schema": body.reference});
        if let Some(example) = example.body {
            content["examples"] = json!({"plain": {"value": example}});
        }
        entry["requestBody"] =
            json!({"required": body.is_required, "content": {"application/json": content}});
    }
    if operation.deprecation.is_some() {
        entry["deprecated"] = true.into();
    }
    entry
}

/// The part of the API that an operation belongs to: the first segment of its name.
fn tag(operation: &Operation) -> &str {
    operation.id.split('.').next().unwrap_or(operation.id)
}

fn headers(operation: &Operation) -> Value {
    let mut names: Vec<&str> = operation.success.headers.to_vec();
    names.extend(["x-request-id", "RateLimit", "RateLimit-Policy"]);
    if let Some(deprecation) = &operation.deprecation {
        names.extend(["Deprecation", "Link"]);
        names.extend(deprecation.sunset.map(|_| "Sunset"));
    }
    header_references(names)
}

fn parameters(
    operation: &Operation,
    schemas: &mut Schemas,
    body: Option<&Body>,
    example: &examples::Example,
) -> Vec<Value> {
    let mut parameters: Vec<Value> = Vec::new();
    for &name in &operation.parameters {
        let said = match operation.in_path.iter().find(|(said, _)| *said == name) {
            Some((_, schema)) => Some(schemas.plain(*schema)),
            None => body.and_then(|body| body.in_path.get(name)).cloned(),
        };
        let mut entry = json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": said.unwrap_or_else(|| parameter(name)),
        });
        if let Some(example) = example.path.iter().find(|(parameter, _)| *parameter == name) {
            let is_number = entry["schema"]["type"] == "integer";
            let number = example.1.parse::<u64>().ok().filter(|_| is_number);
            let value = number.map_or_else(|| Value::from(example.1), Value::from);
            entry["examples"] = json!({"plain": {"value": value}});
        }
        parameters.push(entry);
    }
    parameters.extend(operation.query.map(|query| in_query(&schemas.plain(query))).into_iter().flatten());
    parameters.extend(operation.headers.iter().map(|name| parameter_reference(name)));
    if operation.method != Verb::Get {
        parameters.push(parameter_reference("Traceparent"));
    }
    parameters.push(parameter_reference("RequestId"));
    parameters
}

/// The members of a schema as parameters of the query; there is no `null` in a query.
fn in_query(schema: &Value) -> Vec<Value> {
    let members = schema.get("properties").and_then(Value::as_object);
    let required = |name: &str| {
        let required = schema.get("required").and_then(Value::as_array);
        required.is_some_and(|required| required.iter().any(|member| member == name))
    };
    let parameter = |(name, member): (&String, &Value)| {
        let mut member = member.clone();
        if let Some(types) = member.get("type").and_then(Value::as_array) {
            member["type"] = types.iter().find(|one| *one != "null").cloned().unwrap_or(Value::Null);
        }
        json!({"name": name, "in": "query", "required": required(name), "schema": member})
    };
    members.into_iter().flatten().map(parameter).collect()
}
