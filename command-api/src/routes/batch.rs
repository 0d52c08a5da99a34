//! `POST /batch`: many commands in one request.

use super::operation::Success;
use crate::envelope::{self, BatchAnswer, BatchBody, COMMANDS_MAX};
use crate::request::BatchCall;
use crate::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use http_kit::json::parse_outer;
use http_kit::limits::Meter;
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
    meter: Meter,
    call: BatchCall,
) -> Result<Response, Problem> {
    let place = app.enter(&call.origin.principal).await?;
    // Reading tens of megabytes of JSON is work too, so it happens on the blocking thread.
    app.blocking(move |service| {
        let _place = place;
        let batch: BatchBody<'_> = parse_outer(&call.body)?;
        if batch.commands.len() > COMMANDS_MAX {
            let detail = format!("{} commands, at most {COMMANDS_MAX} are allowed", batch.commands.len());
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", detail)
                .with("field", "commands"));
        }
        // The request itself has been one of them.
        meter.charge(batch.commands.len().saturating_sub(1))?;
        envelope::carry_out(service, &batch, &call)
    })
    .await?
}
