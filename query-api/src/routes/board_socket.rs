//! `/boards/{id}/ws`: a board as it changes, over a WebSocket (RFC 6455).

use super::boards::{COLUMN_ITEMS_DEFAULT, COLUMN_ITEMS_MAX, present};
use crate::answers::board::{ViewAnswer, Window};
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::live::{BOARD_MESSAGE_BYTES_MAX, BoardSession, SUBPROTOCOL, Topic};
use crate::parameters::{Parameters, path_id};
use crate::problems::{no_websocket, too_many_subscribers};
use crate::selection::Selection;
use crate::service::QueryService;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use axum::routing::get;
use domain::BoardId;
use eventstore::{Position, Tag};
use http_kit::auth::Principal;
use http_kit::params::Path;
use http_kit::problem::Problem;

/// What is buffered of one socket, bytes each way.
const BUFFER_BYTES: usize = 4 << 10;

pub(super) fn router() -> Router<QueryService> {
    Router::new().route("/boards/{id}/ws", get(follow))
}

async fn follow(
    State(service): State<QueryService>,
    principal: Principal,
    Path(id): Path<String>,
    mut parameters: Parameters,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let id: BoardId = path_id(&id)?;
    let from = parameters.number("from", 0..=u64::MAX)?.map(Position::new);
    let limit = parameters.count("limit", COLUMN_ITEMS_DEFAULT, COLUMN_ITEMS_MAX)?;
    let freshness = parameters.finish()?;
    service.models_reach(&freshness).await?;
    let audience = Audience::of(&principal);

    // The seat first: what happens while the state is copied is behind it, and told.
    let tag = Tag::new(format!("board:{id}")).map_err(|_| Problem::internal())?;
    let seat = service.live().join(vec![Topic::Tag(tag.as_str().to_owned())]);
    let seat = seat.ok_or_else(too_many_subscribers)?;
    let (view, position) = {
        let models = service.models().read();
        let position = models.checkpoint().next;
        let board = present(&models, &audience, id).map_err(|problem| Refusal::at(position, problem))?;
        let window = Window { column: None, offset: 0, limit };
        (from.is_none().then(|| ViewAnswer::of(&models, board, window)), position)
    };
    let upgrade = upgrade.map_err(|_| Refusal::at(position, no_websocket()))?;
    let wanted = Selection::with_tag(tag).for_audience(audience);
    let rooms = (service.rooms(), id, &**principal.subject());
    let session = BoardSession::new(service.clone(), seat, wanted, from.unwrap_or(position), rooms);
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(BOARD_MESSAGE_BYTES_MAX)
        .max_frame_size(BOARD_MESSAGE_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES);
    Ok(upgrade.on_upgrade(move |socket| session.run(socket, view)))
}
