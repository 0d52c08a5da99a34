//! `/items`: create, update, delete, and what is done with an item.

use crate::request::Call;
use crate::service::{AddComment, CreateItem, Intent};
use crate::state::AppState;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{delete, patch, post};
use domain::AttachmentId;
use domain::item::{AddAttachment, Assign, Command, Complete, Link, Move, SetRank, Unassign, Update};
use http_kit::params::Path;
use http_kit::problem::Problem;
use uuid::Uuid;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/items", post(create))
        .route("/items/{id}", patch(update).delete(remove))
        .route("/items/{id}/move", post(move_to))
        .route("/items/{id}/rank", post(rank))
        .route("/items/{id}/assign", post(assign))
        .route("/items/{id}/unassign", post(unassign))
        .route("/items/{id}/complete", post(complete))
        .route("/items/{id}/reopen", post(reopen))
        .route("/items/{id}/links", post(link))
        .route("/items/{id}/unlink", post(unlink))
        .route("/items/{id}/comments", post(comment))
        .route("/items/{id}/attachments", post(add_attachment))
        .route("/items/{id}/attachments/{attachmentId}", delete(remove_attachment))
}

async fn create(State(app): State<AppState>, mut call: Call) -> Result<Response, Problem> {
    let create: CreateItem = call.read()?;
    app.run(call, None, Intent::CreateItem(create)).await
}

async fn move_to(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let to: Move = call.read()?;
    app.run(call, Some(id), Intent::MoveItem(to)).await
}

async fn comment(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    let add: AddComment = call.read_with("itemId", &id.to_string())?;
    app.run(call, None, Intent::AddComment(add)).await
}

async fn remove_attachment(
    State(app): State<AppState>,
    Path((id, attachment)): Path<(Uuid, AttachmentId)>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Item(Command::RemoveAttachment(attachment))).await
}

/// Handlers that read a body and hand it on as a command of the item in the path.
macro_rules! with_body {
    ($($handler:ident: $body:ty => $command:path),+ $(,)?) => {$(
        async fn $handler(
            State(app): State<AppState>,
            Path(id): Path<Uuid>,
            mut call: Call,
        ) -> Result<Response, Problem> {
            let body: $body = call.read()?;
            app.run(call, Some(id), Intent::Item($command(body))).await
        }
    )+};
}

with_body! {
    update: Update => Command::Update,
    rank: SetRank => Command::Rank,
    assign: Assign => Command::Assign,
    unassign: Unassign => Command::Unassign,
    complete: Complete => Command::Complete,
    link: Link => Command::Link,
    unlink: Link => Command::Unlink,
    add_attachment: AddAttachment => Command::AddAttachment,
}

async fn reopen(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Item(Command::Reopen)).await
}

async fn remove(
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
    mut call: Call,
) -> Result<Response, Problem> {
    call.read_nothing()?;
    app.run(call, Some(id), Intent::Item(Command::Delete)).await
}
