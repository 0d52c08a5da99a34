//! `/boards`: create, update, delete, and what a board has: columns, members, fields.

use crate::request::Call;
use crate::service::{CreateBoard, Intent};
use crate::state::AppState;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{delete, patch, post};
use domain::ColumnId;
use domain::board::{
    AddColumn, ChangeColumn, ChangeMemberRole, Command, DefineField, MoveColumn, RemoveColumn,
};
use domain::project::Update;
use domain::workspace::{AddMember, RemoveMember};
use http_kit::params::Path;
use http_kit::problem::Problem;
use uuid::Uuid;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/boards", post(create))
        .route("/boards/{id}", patch(update).delete(remove))
        .route("/boards/{id}/columns", post(add_column))
        .route("/boards/{id}/columns/{columnId}", patch(change_column).delete(remove_column))
        .route("/boards/{id}/columns/{columnId}/move", post(move_column))
        .route("/boards/{id}/members", post(add_member))
        .route("/boards/{id}/members/{member}", patch(change_role).delete(remove_member))
        .route("/boards/{id}/fields", post(define_field))
        .route("/boards/{id}/fields/{name}", delete(remove_field))
}

async fn create(State(app): State<AppState>, mut call: Call) -> Result<Response, Problem> {
    let create: CreateBoard = call.read()?;
    app.run(call, None, Intent::CreateBoard(create)).await
}

async fn update(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let update: Update = call.read()?;
    app.run(call, Some(id), Intent::Board(Command::Update(update))).await
}

async fn remove(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Board(Command::Delete)).await
}

async fn add_column(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let add: AddColumn = call.read()?;
    app.run(call, Some(id), Intent::Board(Command::AddColumn(add))).await
}

async fn change_column(
    State(app): State<AppState>,
    Path((id, column)): Path<(Uuid, ColumnId)>,
    mut call: Call,
) -> Result<Response, Problem> {
    let change: ChangeColumn = call.read()?;
    app.run(call, Some(id), Intent::Board(Command::ChangeColumn(column, change))).await
}

async fn move_column(
    State(app): State<AppState>,
    Path((id, column)): Path<(Uuid, ColumnId)>,
    mut call: Call,
) -> Result<Response, Problem> {
    let to: MoveColumn = call.read()?;
    app.run(call, Some(id), Intent::Board(Command::MoveColumn(column, to))).await
}

async fn remove_column(
    State(app): State<AppState>,
    Path((id, column)): Path<(Uuid, ColumnId)>,
    mut call: Call,
) -> Result<Response, Problem> {
    let remove: RemoveColumn = call.read()?;
    app.run(call, Some(id), Intent::Board(Command::RemoveColumn(column, remove))).await
}

async fn add_member(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let add: AddMember = call.read()?;
    app.run(call, Some(id), Intent::Board(Command::AddMember(add))).await
}

async fn change_role(
    State(app): State<AppState>,
    Path((id, member)): Path<(Uuid, String)>,
    mut call: Call,
) -> Result<Response, Problem> {
    let change: ChangeMemberRole = call.read_with("member", &member)?;
    app.run(call, Some(id), Intent::Board(Command::ChangeMemberRole(change))).await
}

async fn remove_member(
    State(app): State<AppState>,
    Path((id, member)): Path<(Uuid, String)>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Board(Command::RemoveMember(RemoveMember { member }))).await
}

async fn define_field(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let define: DefineField = call.read()?;
    app.run(call, Some(id), Intent::Board(Command::DefineField(define))).await
}

async fn remove_field(
    State(app): State<AppState>,
    Path((id, name)): Path<(Uuid, String)>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Board(Command::RemoveField(name))).await
}
