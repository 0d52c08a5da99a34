//! `/projects`: create, update, archive, restore.

use crate::request::Call;
use crate::service::{CreateProject, Intent};
use crate::state::AppState;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{patch, post};
use domain::project::{Command, Update};
use http_kit::params::Path;
use http_kit::problem::Problem;
use uuid::Uuid;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/projects", post(create))
        // A project is never lost: deleting it archives it.
        .route("/projects/{id}", patch(update).delete(archive))
        .route("/projects/{id}/archive", post(archive))
        .route("/projects/{id}/restore", post(restore))
}

async fn create(State(app): State<AppState>, mut call: Call) -> Result<Response, Problem> {
    let create: CreateProject = call.read()?;
    app.run(call, None, Intent::CreateProject(create)).await
}

async fn update(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let update: Update = call.read()?;
    app.run(call, Some(id), Intent::Project(Command::Update(update))).await
}

async fn archive(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Project(Command::Archive)).await
}

async fn restore(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Project(Command::Restore)).await
}
