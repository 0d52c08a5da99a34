//! `/events/live`: events as they happen, as server-sent events (WHATWG HTML, 9.2).
//!
//! `id` is the event's position, and `Last-Event-ID` goes on right after it. A client that takes nothing for as long as the
//! server's limits allow is cut off like any other, and goes on by its last id.

use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::live::{Subscriber, Topic};
use crate::parameters::Parameters;
use crate::problems::too_many_subscribers;
use crate::pulled::Pulled;
use crate::selection::Selection;
use crate::service::QueryService;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use eventstore::Position;
use http_kit::problem::Problem;
use uuid::Uuid;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Keeps nginx, and those that do as it does, from holding events back until they have a buffer full.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Tenants of a token that are told apart; whoever has more looks at everything himself.
const TENANTS_MAX: usize = 64;

pub(super) async fn live(
    State(service): State<QueryService>,
    audience: Audience,
    headers: HeaderMap,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let from = parameters.number("from", 0..=u64::MAX)?.map(Position::new);
    let selection = Selection::take(&mut parameters)?;
    let from = last_event_id(&headers)?.map(|last| last.plus(1)).or(from);
    let freshness = parameters.finish()?;
    service.log_reaches(&freshness).await?;

    let topics = topics(&selection, &audience);
    let wanted = selection.for_audience(audience);
    let service_at = service.log().watermark();
    let from = from.unwrap_or(service_at);
    let seat = service.live().join(topics).ok_or_else(too_many_subscribers)?;
    let subscriber = Subscriber::new(service, seat, wanted, from);
    let mut response = Response::new(Body::new(Pulled::new(subscriber)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    let covered = from.min(service_at);
    Ok(stamp(response, covered))
}

/// What wakes a subscriber: something that all the events that he may get have in common, and as few others as can be.
fn topics(selection: &Selection, audience: &Audience) -> Vec<Topic> {
    // Each tenant by itself, as long as they are few; `None` stands for any.
    let tenants: Vec<Option<Uuid>> = match audience.workspaces() {
        Some(tenants) if tenants.len() <= TENANTS_MAX => {
            tenants.iter().map(|tenant| Some(tenant.uuid())).collect()
        }
        _ => vec![None],
    };
    if let Some(stream) = selection.stream() {
        return vec![Topic::Stream(stream.as_str().to_owned())];
    }
    if let Some(tag) = selection.narrowest_tag() {
        return vec![Topic::Tag(tag.as_str().to_owned())];
    }
    let topic = |tenant| match (selection.person(), selection.event_type(), tenant) {
        (Some(person), _, tenant) => Topic::Person(tenant, person.to_owned()),
        (None, Some(event_type), tenant) => Topic::Type(tenant, event_type.as_str().to_owned()),
        (None, None, Some(tenant)) => Topic::Tenant(tenant),
        (None, None, None) => Topic::Everything,
    };
    tenants.into_iter().map(topic).collect()
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    // Digits only: `u64` would take a sign as well.
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(position) => Ok(Some(Position::new(position))),
        None => {
            let detail = "Last-Event-ID: the position of an event is expected, as its id gives it";
            Err(Problem::invalid_header("last-event-id", detail))
        }
    }
}
