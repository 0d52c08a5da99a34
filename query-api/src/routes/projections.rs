//! `/projections`: how far the read models and the index have come, how fast they are, and what is wrong with them.

use super::checks::OngoingChecks;
use super::json;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::unreadable;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use eventstore::{Log, Position, ReadError, RecordedEvent, Timestamp};
use projector::search::SEARCH_VERSION;
use projector::{ReadModel, Shared};
use schemars::JsonSchema;
use serde::Serialize;

/// Whoever is less than this behind keeps up with what happens.
const LIVE_SECONDS: f64 = 5.0;

/// Whether digests are told.
pub(super) const DIGEST: [(&str, bool); 2] = [("true", true), ("false", false)];

/// `{"watermark", "projections": [{"name", "position", "lag", …}]}`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Projections {
    #[schemars(with = "u64")]
    watermark: Position,
    projections: [Projection; 4],
    /// What checks of samples have found since this process began, for who may read the whole log.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<OngoingChecks>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Projection {
    name: &'static str,
    version: u32,
    state: Condition,
    /// Exclusive: how many events it covers.
    #[schemars(with = "u64")]
    position: Position,
    /// How many events it does not cover yet.
    lag: u64,
    /// The age of the oldest of them.
    lag_seconds: f64,
    /// What it took in lately; not known of an index that another process keeps.
    events_per_second: Option<f64>,
    /// What is wrong with it now.
    failure: Option<String>,
    /// What was wrong with it last, since this process began.
    last_error: Option<String>,
    /// Of everything in it, where that was asked for; an index is not digested while it is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(flatten)]
    figures: Option<Figures>,
}

/// How it goes.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Condition {
    Failed,
    CatchingUp,
    Live,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Figures {
    Models { entities: usize, unknown_events: u64, unreadable_events: u64 },
    Search { documents: Option<u64> },
    Activity { feeds: usize, memory_bytes: usize },
    Analytics { days: usize },
}

pub(super) async fn list(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let digest = parameters.choice("digest", &DIGEST)?.unwrap_or(false);
    let freshness = parameters.finish()?;
    if digest {
        // Digests are of everybody's things, and cost work under the models' locks.
        audience.reads_the_log()?;
    }
    service.both_reach(&freshness).await?;
    service.models_and(service.activity(), &freshness).await?;
    service.models_and(service.analytics(), &freshness).await?;
    let reading = service.clone();
    let answer = service.blocking(move || Observer::of(&reading, &audience, digest).projections()).await?;
    answer.map_err(|error| unreadable(&error).into())
}

/// Who looks, and at what.
struct Observer<'a> {
    service: &'a QueryService,
    log: &'a Log,
    digest: bool,
    /// How much there is of things is told only to whoever may see all of them.
    sees_all: bool,
}

impl<'a> Observer<'a> {
    fn of(service: &'a QueryService, audience: &Audience, digest: bool) -> Self {
        Self { service, log: service.log(), digest, sees_all: audience.sees_all() }
    }

    fn projections(self) -> Result<Response, ReadError> {
        let service = self.service;
        let models = self.model(service.models(), |models| {
            let counts = models.counts();
            Figures::Models {
                entities: models.len(),
                unknown_events: counts.unknown,
                unreadable_events: counts.unreadable,
            }
        })?;
        let activity = self.model(service.activity(), |activity| Figures::Activity {
            feeds: activity.len(),
            memory_bytes: activity.memory_bytes(),
        })?;
        let analytics =
            self.model(service.analytics(), |analytics| Figures::Analytics { days: analytics.len() })?;
        let mut projections = [models, self.search()?, activity, analytics];
        // Looked at last, because they may have moved on meanwhile, and nobody is ahead of the log.
        let watermark = self.log.watermark();
        for projection in &mut projections {
            projection.lag = watermark.get().saturating_sub(projection.position.get());
        }
        let checks = service.checks().figures().filter(|_| self.sees_all);
        let checks = checks.as_ref().map(OngoingChecks::of);
        let covered = projections.iter().map(|projection| projection.position).min().unwrap_or_default();
        Ok(stamp(json(&Projections { watermark, projections, checks }), covered))
    }

    fn model<M: ReadModel>(
        &self,
        model: &Shared<M>,
        figures: impl FnOnce(&M) -> Figures,
    ) -> Result<Projection, ReadError> {
        let read_models = self.service.read_models();
        // Under one lock, so that the digest is the one of the position.
        let digested = self.digest.then(|| model.digest());
        let (checkpoint, figures) = {
            let model = model.read();
            (model.checkpoint(), self.sees_all.then(|| figures(&model)))
        };
        let (position, digest) = match digested {
            Some((lineage, digest)) => (lineage.next, Some(digest.to_string())),
            None => (checkpoint.next, None),
        };
        Ok(Projection {
            events_per_second: Some(model.events_per_second()),
            last_error: read_models.last_error(),
            digest,
            ..self.projection(M::NAME, M::VERSION, position, read_models.failure(), figures)?
        })
    }

    fn search(&self) -> Result<Projection, ReadError> {
        let searcher = self.service.searcher();
        let figures = self.sees_all.then(|| Figures::Search { documents: searcher.documents().ok() });
        // What is wrong with the service and not with the read models is wrong with its index.
        let failure = match self.service.read_models().failure() {
            Some(_) => None,
            None => self.service.failure(),
        };
        self.projection("search", SEARCH_VERSION, searcher.checkpoint(), failure, figures)
    }

    fn projection(
        &self,
        name: &'static str,
        version: u32,
        position: Position,
        failure: Option<String>,
        figures: Option<Figures>,
    ) -> Result<Projection, ReadError> {
        let lag_seconds = self.age_at(position)?;
        let state = match failure {
            Some(_) => Condition::Failed,
            None if lag_seconds < LIVE_SECONDS => Condition::Live,
            None => Condition::CatchingUp,
        };
        Ok(Projection {
            name,
            version,
            state,
            position,
            lag: 0,
            lag_seconds,
            events_per_second: None,
            last_error: failure.clone(),
            failure,
            digest: None,
            figures,
        })
    }

    /// How old the event is that comes next, seconds; none where there is none yet.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn age_at(&self, position: Position) -> Result<f64, ReadError> {
        let next = self.log.event(position)?;
        let Some(next) = next.as_ref().and_then(RecordedEvent::get) else { return Ok(0.0) };
        let nanoseconds = Timestamp::now().get().saturating_sub(next.recorded_at().get());
        Ok(nanoseconds.max(0) as f64 / 1e9)
    }
}
