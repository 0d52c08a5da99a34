//! `/consumers`: where they are, what is parked, and the events that they are given.

use super::json;
use crate::audience::Audience;
use crate::consumers::{Consumer, ConsumerStream, News, Reader, find, list as all};
use crate::freshness::{Freshness, Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, not_found};
use crate::pulled::Pulled;
use crate::service::QueryService;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use domain::WorkspaceId;
use domain::system::consumers::{ConsumerName, Owner, Parked, State as ConsumerState};
use http_kit::auth::{Principal, Scope, Tenants};
use http_kit::params::Path;
use http_kit::problem::Problem;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::time::Instant;

/// Events of one answer.
pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: usize = 1_000;
/// How long an answer waits for something to give out, milliseconds.
pub(super) const WAIT_MS_MAX: u64 = 30_000;
const WAIT_MS_DEFAULT: u64 = 10_000;
pub(super) const YES_OR_NO: [(&str, bool); 2] = [("true", true), ("false", false)];
/// Keeps nginx, and those that do as it does, from holding events back until they have a buffer full.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// All consumers of a workspace, or all of those that follow every workspace.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConsumerList {
    /// By name.
    consumers: Vec<ConsumerState>,
}

/// What a consumer could not deal with.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParkedEvents {
    /// How many there are.
    total: usize,
    /// By position; at most 256.
    parked: Vec<Parked>,
}

/// What is on its way.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deliveries {
    /// How often the consumer was reset; it goes with what is said of these events.
    generation: u64,
    /// The events, in order.
    events: Vec<ConsumerDelivery>,
    /// An event that was delivered as often as may be, and has to be parked before anything else comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    exhausted: Option<ExhaustedEvent>,
}

/// One event on its way.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ConsumerDelivery {
    position: u64,
    /// The number of this delivery of it, from 1 on.
    attempt: u32,
    /// The event, as `/events` gives it.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    event: Box<RawValue>,
}

/// What has to be parked.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ExhaustedEvent {
    position: u64,
    /// How often it was tried.
    attempts: u32,
}

pub(super) async fn list(
    State(service): State<QueryService>,
    principal: Principal,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
    let freshness = parameters.finish()?;
    service.log_reaches(&freshness).await?;
    let position = service.log().watermark();
    let consumers = match owner(&principal, workspace)? {
        Some(owner) => {
            let log = service.log().clone();
            service.blocking(move || all(&log, owner)).await??
        }
        None => Vec::new(),
    };
    Ok(stamp(json(&ConsumerList { consumers }), position))
}

pub(super) async fn by_name(
    State(service): State<QueryService>,
    principal: Principal,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let asked = Asked::take(&principal, &name, parameters)?;
    let position = asked.reach(&service).await?;
    Ok(stamp(json(&asked.find(&service).await?.state), position))
}

pub(super) async fn parked(
    State(service): State<QueryService>,
    principal: Principal,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let asked = Asked::take(&principal, &name, parameters)?;
    let position = asked.reach(&service).await?;
    let parked = asked.find(&service).await?.state.parked;
    Ok(stamp(json(&ParkedEvents { total: parked.len(), parked }), position))
}

pub(super) async fn events(
    State(service): State<QueryService>,
    principal: Principal,
    headers: HeaderMap,
    Path(name): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let wait_ms = parameters.number("waitMs", 0..=WAIT_MS_MAX)?.unwrap_or(WAIT_MS_DEFAULT);
    let takes_over = parameters.choice("takeover", &YES_OR_NO)?.unwrap_or(false);
    let asked = Asked::take(&principal, &name, parameters)?;
    if !principal.may(Scope::ConsumersWrite) {
        // Whoever is given events keeps them from others.
        return Err(http_kit::auth::insufficient_scope(Scope::ConsumersWrite).into());
    }
    asked.reach(&service).await?;
    let consumer = asked.find(&service).await?;
    let is_stream = wants_stream(&headers);
    let mut reader = Reader::sit(&service, consumer, &Audience::of(&principal), takes_over, is_stream)?;
    if is_stream {
        let at = reader.at();
        let mut response = Response::new(Body::new(Pulled::new(ConsumerStream::new(reader))));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        return Ok(stamp(response, at.min(service.log().watermark())));
    }
    // What happened between the look at it and the taking of the place.
    if !reader.look().await? {
        return Err(absent().into());
    }
    let generation = reader.state().map_or(0, |state| state.generation);
    let silent_at = Instant::now() + Duration::from_millis(wait_ms);
    let mut answer = Deliveries { generation, events: Vec::new(), exhausted: None };
    match reader.next(limit, silent_at).await? {
        News::Events(delivered) => {
            answer.generation = delivered.first().map_or(generation, |first| first.generation);
            for delivered in delivered {
                let event =
                    String::from_utf8(delivered.json).ok().and_then(|text| RawValue::from_string(text).ok());
                let Some(event) = event else { return Err(Problem::internal().into()) };
                let (position, attempt) = (delivered.position, delivered.attempt);
                answer.events.push(ConsumerDelivery { position, attempt, event });
            }
        }
        News::Exhausted(exhausted) => {
            let (position, attempts) = (exhausted.position, exhausted.attempts);
            answer.exhausted = Some(ExhaustedEvent { position, attempts });
        }
        News::Ended("deleted") => return Err(absent().into()),
        News::Silence | News::Ended(_) => {}
    }
    let at = reader.at().min(service.log().watermark());
    Ok(stamp(json(&answer), at))
}

/// Which consumer somebody asks for.
struct Asked {
    owner: Option<Owner>,
    name: ConsumerName,
    freshness: Freshness,
}

impl Asked {
    /// Takes `workspaceId` and ends the taking of parameters.
    fn take(principal: &Principal, name: &str, mut parameters: Parameters) -> Result<Self, Problem> {
        let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
        let freshness = parameters.finish()?;
        let name = name.parse().map_err(|error| bad_parameter("name", error))?;
        Ok(Self { owner: owner(principal, workspace)?, name, freshness })
    }

    /// Waits until the log is as far as was asked, and says how far it is.
    async fn reach(&self, service: &QueryService) -> Result<eventstore::Position, Refusal> {
        service.log_reaches(&self.freshness).await?;
        Ok(service.log().watermark())
    }

    async fn find(&self, service: &QueryService) -> Result<Consumer, Problem> {
        let Some(owner) = self.owner else { return Err(absent()) };
        let (log, name) = (service.log().clone(), self.name.clone());
        service.blocking(move || find(&log, owner, &name)).await??.ok_or_else(absent)
    }
}

/// Whose consumers somebody means; nobody's, where they are not his to know of.
fn owner(principal: &Principal, said: Option<WorkspaceId>) -> Result<Option<Owner>, Problem> {
    match (principal.tenants(), said) {
        (tenants, Some(said)) => Ok(tenants.contains(said.uuid()).then_some(Some(said))),
        (Tenants::All, None) => Ok(Some(None)),
        (Tenants::These(tenants), None) => match &tenants[..] {
            [] => Ok(None),
            [only, ..] if tenants.iter().all(|tenant| tenant == only) => {
                Ok(Some(Some(WorkspaceId::new(*only))))
            }
            _ => {
                let detail = "the token is for several workspaces; say which one is meant";
                Err(bad_parameter("workspaceId", detail))
            }
        },
    }
}

fn absent() -> Problem {
    not_found("consumer")
}

/// Whether somebody asks for a stream of events rather than for one answer.
fn wants_stream(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|range| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/event-stream")
    })
}
