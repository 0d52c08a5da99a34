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
use domain::system::projections::RebuildFinished;
use eventstore::{Log, Position, ReadError, RecordedEvent, Timestamp};
use projector::control::Phase;
use projector::search::SEARCH_VERSION;
use projector::{ReadModel, Shared};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

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
    /// What is asked of it and was decided about it, for who may read the whole log.
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<Control>,
}

/// What is asked of a projection and was decided about it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Control {
    /// Events that are passed over; `/projections/{name}/dead-letters` lists them.
    dead_letters: usize,
    /// The rebuild that was asked for and has not come to an end.
    rebuild: Option<Rebuild>,
    /// What the last one came to.
    last_rebuild: Option<LastRebuild>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ProjectionRebuild")]
struct Rebuild {
    rebuild_id: Uuid,
    shadow: bool,
    /// Where the log has the request.
    requested_at: u64,
    /// What is done now; nothing until a projector says so.
    phase: Option<Phase>,
    /// Events that are taken in, or documents that are made.
    done: u64,
    /// How many there are.
    total: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FinishedProjectionRebuild")]
struct LastRebuild {
    /// Where the log has its end.
    finished_at: u64,
    /// Whether old and new were equal; nothing where they were not compared.
    equal: Option<bool>,
    #[serde(flatten)]
    finished: RebuildFinished,
}

/// How it goes.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Condition {
    Failed,
    CatchingUp,
    Live,
    /// It cannot take in the next event, and waits for a decision.
    Waiting,
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
        let projection = self.projection(M::NAME, M::VERSION, position, read_models.failure(), figures)?;
        // What it waits for names a foreign stream, so only whoever may see all is told more than that it does.
        let waiting = model.waiting();
        let state = if waiting.is_some() { Condition::Waiting } else { projection.state };
        let waits = waiting.filter(|_| self.sees_all).map(|waiting| waiting.to_string());
        Ok(Projection {
            state,
            failure: waits.or(projection.failure),
            events_per_second: Some(model.events_per_second()),
            last_error: read_models.last_error(),
            digest,
            ..projection
        })
    }

    fn control(&self, name: &str) -> Result<Option<Control>, ReadError> {
        let Some(state) = self.service.controls().state(name)? else { return Ok(None) };
        let rebuild = state.rebuild.map(|open| {
            let underway = self.service.underway(name).filter(|underway| underway.rebuild_id == open.id);
            Rebuild {
                rebuild_id: open.id,
                shadow: open.shadow,
                requested_at: open.position,
                phase: underway.as_ref().map(|underway| underway.phase),
                done: underway.as_ref().map_or(0, |underway| underway.done),
                total: underway.map_or(0, |underway| underway.total),
            }
        });
        let last_rebuild = state.finished.map(|(finished_at, finished)| LastRebuild {
            finished_at,
            equal: finished.is_equal(),
            finished,
        });
        Ok(Some(Control { dead_letters: state.dead_letters.len(), rebuild, last_rebuild }))
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
            control: if self.sees_all { self.control(name)? } else { None },
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
