//! `/workspaces`: create, rename, archive, members.

use crate::request::Call;
use crate::service::{CreateWorkspace, Intent};
use crate::state::AppState;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{patch, post};
use domain::workspace::{AddMember, ChangeMemberRole, Command, RemoveMember, Rename};
use http_kit::params::Path;
use http_kit::problem::Problem;
use uuid::Uuid;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/workspaces", post(create))
        .route("/workspaces/{id}", patch(rename))
        .route("/workspaces/{id}/archive", post(archive))
        .route("/workspaces/{id}/members", post(add_member))
        .route("/workspaces/{id}/members/{member}", patch(change_role).delete(remove_member))
}

async fn create(State(app): State<AppState>, mut call: Call) -> Result<Response, Problem> {
    let create: CreateWorkspace = call.read()?;
    app.run(call, None, Intent::CreateWorkspace(create)).await
}

async fn rename(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let rename: Rename = call.read()?;
    app.run(call, Some(id), Intent::Workspace(Command::Rename(rename))).await
}

async fn archive(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Workspace(Command::Archive)).await
}

async fn add_member(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let add: AddMember = call.read()?;
    app.run(call, Some(id), Intent::Workspace(Command::AddMember(add))).await
}

async fn change_role(
    State(app): State<AppState>,
    Path((id, member)): Path<(Uuid, String)>,
    mut call: Call,
) -> Result<Response, Problem> {
    let change: ChangeMemberRole = call.read_with("member", &member)?;
    app.run(call, Some(id), Intent::Workspace(Command::ChangeMemberRole(change))).await
}

async fn remove_member(
    State(app): State<AppState>,
    Path((id, member)): Path<(Uuid, String)>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Workspace(Command::RemoveMember(RemoveMember { member }))).await
}
