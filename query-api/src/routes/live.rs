//! `/events/live`: events as they happen, as server-sent events (WHATWG HTML, 9.2).
//!
//! `id` is the event's position, and `Last-Event-ID` goes on right after it. A client that takes nothing for as long as the
//! server's limits allow is cut off like any other, and goes on by its last id.

use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::live::{LiveBody, Subscriber, Topic, Wanted};
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, too_many_subscribers};
use crate::service::QueryService;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use domain::{BoardId, ItemId};
use eventstore::{EventType, Filter, Position, StreamId, Tag};
use http_kit::problem::Problem;
use std::fmt::Display;

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
    let event_type: Option<EventType> = parameters.name("type")?;
    let stream: Option<StreamId> = parameters.name("stream")?;
    let tag: Option<Tag> = parameters.name("tag")?;
    let board = tag_of("board", parameters.parsed::<BoardId>("board")?)?;
    let item = tag_of("item", parameters.parsed::<ItemId>("item")?)?;
    let person = parameters.text("person")?;
    let from = last_event_id(&headers)?.map(|last| last.plus(1)).or(from);
    let freshness = parameters.finish()?;
    service.log_reaches(&freshness).await?;

    // The narrowest first: it is what the index is asked for, and what wakes.
    let tags: Vec<Tag> = [item, tag, board].into_iter().flatten().collect();
    let topics = topics(stream.as_ref(), tags.first(), &audience);
    let parts = stream.map(Filter::Stream).into_iter();
    let parts = parts.chain(tags.into_iter().map(Filter::Tag));
    let parts = parts.chain(event_type.map(|wanted| Filter::Types(vec![wanted])));
    let wanted = Wanted { filter: Filter::Every(parts.collect()), person, audience };
    let from = from.unwrap_or_else(|| service.log().watermark());
    let seat = service.live().join(topics).ok_or_else(too_many_subscribers)?;
    let subscriber = Subscriber::new(service, seat, wanted, from);
    let mut response = Response::new(Body::new(LiveBody::new(subscriber)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(stamp(response, from))
}

/// What wakes a subscriber: one thing that all the events that he may get have in common, if there is one.
fn topics(stream: Option<&StreamId>, tag: Option<&Tag>, audience: &Audience) -> Vec<Topic> {
    match (stream, tag, audience.workspaces()) {
        (Some(stream), _, _) => vec![Topic::Stream(stream.as_str().to_owned())],
        (None, Some(tag), _) => vec![Topic::Tag(tag.as_str().to_owned())],
        (None, None, Some(tenants)) if tenants.len() <= TENANTS_MAX => {
            tenants.iter().map(|tenant| Topic::Tenant(tenant.uuid())).collect()
        }
        (None, None, _) => vec![Topic::Everything],
    }
}

/// The tag that the events of something carry.
fn tag_of(name: &'static str, id: Option<impl Display>) -> Result<Option<Tag>, Problem> {
    let tag = id.map(|id| Tag::new(format!("{name}:{id}")));
    tag.transpose().map_err(|error| bad_parameter(name, error))
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
