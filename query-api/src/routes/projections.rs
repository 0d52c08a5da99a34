//! `/projections`: how far the read models and the index have come.

use super::json;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use eventstore::Position;
use schemars::JsonSchema;
use serde::Serialize;

/// `{"watermark", "projections": [{"name", "position", "lag", …}]}`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Projections {
    #[schemars(with = "u64")]
    watermark: Position,
    projections: [Projection; 2],
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Projection {
    name: &'static str,
    /// Exclusive: how many events it covers.
    #[schemars(with = "u64")]
    position: Position,
    /// How many events it does not cover yet.
    lag: u64,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Figures {
    Models { entities: usize, unknown_events: u64, unreadable_events: u64, failure: Option<String> },
    Search { documents: Option<u64> },
}

pub(super) async fn list(
    State(service): State<QueryService>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let freshness = parameters.finish()?;
    service.both_reach(&freshness).await?;
    let reading = service.clone();
    let answer = service
        .blocking(move || {
            let (models_at, entities, counts) = {
                let models = reading.models().read();
                (models.checkpoint().next, models.len(), models.counts())
            };
            let search_at = reading.searcher().checkpoint();
            let watermark = reading.log().watermark();
            let projection = |name, position: Position, figures| Projection {
                name,
                position,
                lag: watermark.get().saturating_sub(position.get()),
                figures,
            };
            let models = Figures::Models {
                entities,
                unknown_events: counts.unknown,
                unreadable_events: counts.unreadable,
                failure: reading.failure(),
            };
            let search = Figures::Search { documents: reading.searcher().documents().ok() };
            let projections =
                [projection("models", models_at, models), projection("search", search_at, search)];
            stamp(json(&Projections { watermark, projections }), models_at.min(search_at))
        })
        .await?;
    Ok(answer)
}
