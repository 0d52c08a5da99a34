//! `POST /items/bulk`: one command for many items, as a batch of it.

use super::table::OPERATIONS;
use crate::envelope::{self, BatchBody, Envelope, Text};
use crate::request::BatchCall;
use crate::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use http_kit::json::parse;
use http_kit::limits::Meter;
use http_kit::problem::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashSet;
use uuid::Uuid;

/// Most items of one request.
const IDS_MAX: usize = 1_000;

/// What many items can be told at once.
const COMMANDS: [&str; 7] = [
    "item.update",
    "item.move",
    "item.assign",
    "item.unassign",
    "item.complete",
    "item.reopen",
    "item.delete",
];

/// One command for many items.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bulk<'a> {
    /// The items, each once.
    ids: Vec<Uuid>,
    /// Whether all of it is one commit or nothing; otherwise each item stands for itself.
    #[serde(default)]
    atomic: bool,
    /// What every item is told.
    #[serde(borrow)]
    command: Text<'a>,
    /// The body that the command has elsewhere.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// By hand, because `data` depends on `command`: it is what the command's own entry in the table reads.
impl JsonSchema for Bulk<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Bulk".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let of_commands = OPERATIONS.iter().filter(|operation| COMMANDS.contains(&operation.id));
        let each: Vec<Value> = of_commands
            .filter_map(|operation| {
                let data = operation.body?(generator);
                let needs = data.get("required").is_some_and(|required| *required != json!([]));
                // Nothing said is an empty object.
                let data = if needs { json!(data) } else { json!({"anyOf": [data, {"type": "null"}]}) };
                let required = if needs { json!(["data"]) } else { json!([]) };
                Some(json!({
                    "properties": {"command": {"const": operation.id}, "data": data},
                    "required": required,
                }))
            })
            .collect();
        json_schema!({
            "type": "object",
            "description": "One command for many items.",
            "properties": {
                "ids": {
                    "type": "array",
                    "items": {"type": "string", "format": "uuid"},
                    "maxItems": IDS_MAX,
                    "uniqueItems": true,
                    "description": "The items, each once.",
                },
                "atomic": {
                    "type": "boolean",
                    "default": false,
                    "description": "Whether all of it is one commit or nothing; otherwise each item stands for itself.",
                },
                "command": {"enum": COMMANDS, "description": "What every item is told."},
                "data": {"description": "The body that the command has elsewhere, without conditions."},
            },
            "required": ["ids", "command"],
            "additionalProperties": false,
            "oneOf": each,
        })
    }
}

pub(super) async fn bulk(
    State(app): State<AppState>,
    meter: Meter,
    call: BatchCall,
) -> Result<Response, Problem> {
    let place = app.enter(&call.origin.principal).await?;
    app.blocking(move |service| {
        let _place = place;
        let body: Bulk<'_> = parse(&call.body)?;
        let batch = body.batch()?;
        // The request itself has been one of them.
        meter.charge(batch.commands.len().saturating_sub(1))?;
        envelope::carry_out(service, &batch, &call)
    })
    .await?
}

impl<'a> Bulk<'a> {
    fn batch(&self) -> Result<BatchBody<'_>, Problem> {
        let command = &*self.command.0;
        if !COMMANDS.contains(&command) {
            let detail = format!("command: one of {}", COMMANDS.join(", "));
            return Err(Problem::invalid_body("command", detail));
        }
        if self.ids.len() > IDS_MAX {
            let detail = format!("{} ids, at most {IDS_MAX} are allowed", self.ids.len());
            return Err(
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", detail).with("field", "ids")
            );
        }
        let mut seen = HashSet::with_capacity(self.ids.len());
        if let Some(index) = self.ids.iter().position(|id| !seen.insert(id)) {
            let field = format!("ids[{index}]");
            return Err(Problem::invalid_body(&field, format!("{field}: it stands there twice")));
        }
        // Read once here, so that what is wrong with it is said once and by its own path.
        envelope::read(command, self.data)?;
        let one = |id: &Uuid| Envelope::new(Text(Cow::Borrowed(command)), *id, self.data);
        Ok(BatchBody { atomic: self.atomic, commands: self.ids.iter().map(one).collect() })
    }
}
