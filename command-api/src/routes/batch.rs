//! `POST /batch`: many commands in one request.

use super::operation::Success;
use crate::envelope::{self, BatchAnswer, BatchBody, COMMANDS_MAX};
use crate::request::origin;
use crate::state::AppState;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use http_kit::auth::Principal;
use http_kit::json::{JsonBytes, parse};
use http_kit::problem::Problem;
use schemars::JsonSchema;

/// What a batch answers.
pub(super) const BATCH_SUCCESS: Success = Success {
    status: 200,
    what: "The result of every command, in their order; each may be a problem of its own.",
    name: "BatchDone",
    schema: BatchAnswer::json_schema,
    headers: &["Sunday-Position"],
};

pub(super) async fn batch(
    State(app): State<AppState>,
    principal: Principal,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let origin = origin(&headers, principal);
    // Reading tens of megabytes of JSON is work too, so it happens on the blocking thread.
    app.blocking(move |service| {
        let batch: BatchBody<'_> = parse(&body)?;
        if batch.commands.len() > COMMANDS_MAX {
            let detail = format!("{} commands, at most {COMMANDS_MAX} are allowed", batch.commands.len());
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", detail)
                .with("field", "commands"));
        }
        if batch.atomic {
            envelope::atomic(service, &batch, &origin)
        } else {
            Ok(envelope::one_by_one(service, &batch, &origin))
        }
    })
    .await?
}
