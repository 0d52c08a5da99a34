//! `/boards/{id}/ws`: a board as it changes, over a WebSocket (RFC 6455).

use super::boards::{COLUMN_ITEMS_DEFAULT, COLUMN_ITEMS_MAX, present};
use crate::answers::board::{ViewAnswer, Window};
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::live::{BOARD_MESSAGE_BYTES_MAX, BoardSession, SUBPROTOCOL, Topic, state};
use crate::parameters::{Parameters, path_id};
use crate::problems::{bad_parameter, no_websocket, too_many_subscribers};
use crate::selection::{self, Selection};
use crate::service::QueryService;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use domain::{BoardId, tags};
use eventstore::Position;
use http_kit::auth::Principal;
use http_kit::params::Path;
use uuid::Uuid;

/// What is buffered of one socket, bytes each way.
const BUFFER_BYTES: usize = 4 << 10;

pub(super) async fn follow(
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
    let reached = service.models().checkpoint();
    let upgrade = upgrade.map_err(|_| Refusal::at(reached, no_websocket()))?;
    let audience = Audience::of(&principal);

    // The seat first: what happens while the state is copied is behind it, and told.
    let tag = selection::tag(tags::BOARD, id)?;
    let seat = service.live().join(vec![Topic::Tag(tag.as_str().to_owned())]);
    let seat = seat.ok_or_else(too_many_subscribers)?;
    let session = Uuid::now_v7();
    let (reading, reader) = (service.clone(), audience.clone());
    let begun = service.blocking(move || {
        let (view, position) = {
            let models = reading.models().read();
            let position = models.checkpoint().next;
            let board = present(&models, &reader, id).map_err(|problem| Refusal::at(position, problem))?;
            let window = Window { column: None, offset: 0, limit };
            (from.is_none().then(|| ViewAnswer::of(&models, board, window)), position)
        };
        if from.is_some_and(|from| from > reading.log().watermark()) {
            let detail = "the log ends before that; minPosition waits for it";
            return Err(Refusal::at(position, bad_parameter("from", detail)));
        }
        let position = from.unwrap_or(position);
        Ok((state(position, session, view.as_ref()), position))
    });
    let (state, position) = begun.await??;
    let wanted = Selection::with_tag(tag).for_audience(audience);
    let presence = service.rooms().join(id, principal.subject(), session);
    let session = BoardSession::new(service.clone(), seat, wanted, position, presence);
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(BOARD_MESSAGE_BYTES_MAX)
        .max_frame_size(BOARD_MESSAGE_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES);
    Ok(upgrade.on_upgrade(move |socket| session.run(socket, state)))
}
