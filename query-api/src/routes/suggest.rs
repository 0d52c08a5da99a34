//! `/search/suggest`: items by what has been typed so far, for a field that completes it.

use super::json;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, unsearchable};
use crate::service::QueryService;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use domain::ItemId;
use projector::models::Name;
use serde::Serialize;

/// Suggestions unless the request says otherwise.
const LIMIT_DEFAULT: usize = 8;
/// Suggestions at most.
const LIMIT_MAX: usize = 50;
/// Bytes that can have been typed.
const TYPED_BYTES_MAX: usize = 500;

pub(super) fn router() -> Router<QueryService> {
    Router::new().route("/search/suggest", get(suggest))
}

/// `{"suggestions": […]}`, the best first.
#[derive(Debug, Serialize)]
struct Suggestions {
    suggestions: Vec<Suggested>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Suggested {
    item_id: ItemId,
    key: Option<Name>,
    title: String,
    /// HTML: the title, escaped, with what was typed in `<b>`.
    highlight: String,
}

async fn suggest(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let typed = parameters.text("q")?.unwrap_or_default();
    let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let freshness = parameters.finish()?;
    if typed.len() > TYPED_BYTES_MAX {
        return Err(bad_parameter("q", format_args!("it has more than {TYPED_BYTES_MAX} bytes")).into());
    }
    service.both_reach(&freshness).await?;
    let reading = service.clone();
    let answer = service.blocking(move || {
        let within = audience.workspaces();
        let (found, reached) = match reading.searcher().suggest(&typed, within.as_deref(), limit) {
            Ok(found) => found,
            Err(error) => {
                let position = reading.searcher().checkpoint().min(reading.models().checkpoint());
                return Err(Refusal::at(position, unsearchable(&error)));
            }
        };
        let models = reading.models().read();
        let position = reached.min(models.checkpoint().next);
        let suggestions = found.into_iter().map(|found| Suggested {
            key: models.item(found.item_id).and_then(|item| item.external_key.clone()),
            item_id: found.item_id,
            title: found.title,
            highlight: found.highlight,
        });
        let suggestions = Suggestions { suggestions: suggestions.collect() };
        drop(models);
        Ok(stamp(json(&suggestions), position))
    });
    answer.await?
}
