//! `/comments`: edit, delete. They are added under their items.

use crate::request::Call;
use crate::service::Intent;
use crate::state::AppState;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::patch;
use domain::comment::{Command, Edit};
use http_kit::params::Path;
use http_kit::problem::Problem;
use uuid::Uuid;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/comments/{id}", patch(edit).delete(remove))
}

async fn edit(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let edit: Edit = call.read()?;
    app.run(call, Some(id), Intent::Comment(Command::Edit(edit))).await
}

async fn remove(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Comment(Command::Delete)).await
}
