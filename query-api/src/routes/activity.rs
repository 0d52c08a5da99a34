//! `/activity`: what happened lately to a thing, or by whom, newest first.
//!
//! Invariant: the positions come from the read model, the events from the log, with no model locked meanwhile.

use super::json_bytes;
use crate::answers::activity::ActivityAnswer;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::pages::PAGE_BYTES_MAX;
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, not_found, unreadable};
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::{BoardId, ItemId, ProjectId, WorkspaceId};
use eventstore::{Log, Position, ReadError, RecordedEvent};
use http_kit::problem::Problem;
use projector::activity::{Feed, Thing};
use projector::models::Models;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::io::Write;

/// Entries of a page unless the request says otherwise.
pub(super) const LIMIT_DEFAULT: usize = 50;
/// Entries of a page at most.
pub(super) const LIMIT_MAX: usize = 200;

/// What is written of a feed.
pub(super) struct ActivityPage;

impl JsonSchema for ActivityPage {
    fn schema_name() -> Cow<'static, str> {
        "ActivityPage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["entries", "next"],
            "properties": {
                "entries": {"type": "array", "items": generator.subschema_for::<ActivityAnswer>()},
                "next": {
                    "type": ["integer", "null"],
                    "minimum": 0,
                    "description": "The position to go on before, where there is more.",
                },
            },
        })
    }
}

/// What is asked for.
#[derive(Debug)]
struct Asked {
    feed: Feed,
    /// Of a person's deeds only those in this workspace.
    within: Option<WorkspaceId>,
    before: Option<Position>,
    limit: usize,
}

pub(super) async fn list(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let board = parameters.parsed::<BoardId>("boardId")?.map(Thing::Board);
    let item = parameters.parsed::<ItemId>("itemId")?.map(Thing::Item);
    let project = parameters.parsed::<ProjectId>("projectId")?.map(Thing::Project);
    let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
    let person = parameters.text("person")?;
    let before = parameters.number("before", 0..=u64::MAX)?.map(Position::new);
    let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let freshness = parameters.finish()?;
    let things: Vec<Thing> = [board, item, project].into_iter().flatten().collect();
    let (feed, within) = match (things.as_slice(), workspace, person) {
        ([thing], None, None) => (Feed::Of(*thing), None),
        ([], Some(workspace), None) => (Feed::Of(Thing::Workspace(workspace)), None),
        ([], within, Some(person)) => (Feed::Person(person), within),
        _ => {
            let reason = "exactly one of boardId, itemId, projectId, workspaceId and person is expected; \
                          with person, workspaceId may say where";
            return Err(bad_parameter("boardId", reason).into());
        }
    };
    service.models_and(service.activity(), &freshness).await?;
    let asked = Asked { feed, within, before, limit };
    let reading = service.clone();
    let answer = service.blocking(move || answer(&reading, &audience, &asked)).await?;
    answer.map_err(|(position, problem)| Refusal::at(position, problem))
}

fn answer(
    service: &QueryService,
    audience: &Audience,
    asked: &Asked,
) -> Result<Response, (Position, Problem)> {
    let models_at = {
        let models = service.models().read();
        let models_at = models.checkpoint().next;
        if let Feed::Of(thing) = asked.feed {
            present(&models, audience, thing).map_err(|problem| (models_at, problem))?;
        }
        models_at
    };
    let (mut positions, position) = {
        let activity = service.activity().read();
        let seen =
            |workspace| audience.sees(workspace) && asked.within.is_none_or(|within| within == workspace);
        // One more than is given, which says whether there is more.
        let found = activity.newest(&asked.feed, asked.before, asked.limit + 1, seen);
        (found, activity.checkpoint().next.min(models_at))
    };
    let mut more = positions.len() > asked.limit;
    positions.truncate(asked.limit);
    let entries = entries(service.log(), audience, &positions);
    let mut entries = entries.map_err(|error| (position, unreadable(&error)))?;
    {
        let models = service.models().read();
        entries.iter_mut().for_each(|entry| entry.name(&models));
    }

    let mut body = b"{\"entries\":[".to_vec();
    let mut next = positions.last().copied();
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 {
            if body.len() >= PAGE_BYTES_MAX {
                // The rest is left for the next page.
                (more, next) = (true, Some(entries[place - 1].position()));
                break;
            }
            body.push(b',');
        }
        // A vector takes all bytes, and entries are plain data.
        let _ = serde_json::to_writer(&mut body, entry);
    }
    let next = next.filter(|_| more).map_or_else(|| "null".to_owned(), |next| next.to_string());
    let _ = write!(body, "],\"next\":{next}}}");
    Ok(stamp(json_bytes(body), position))
}

/// That a thing is there, whether it was deleted or not: its feed says so.
fn present(models: &Models, audience: &Audience, thing: Thing) -> Result<(), Problem> {
    let (workspace, name) = match thing {
        Thing::Workspace(id) => (models.workspace(id).map(|workspace| workspace.id), "workspace"),
        Thing::Project(id) => (models.project(id).map(|project| project.workspace_id), "project"),
        Thing::Board(id) => (models.board(id).map(|board| board.workspace_id), "board"),
        Thing::Item(id) => (models.item(id).map(|item| item.workspace_id), "item"),
    };
    let is_seen = workspace.is_some_and(|workspace| audience.sees(workspace));
    if is_seen { Ok(()) } else { Err(not_found(name)) }
}

fn entries(log: &Log, audience: &Audience, positions: &[Position]) -> Result<Vec<ActivityAnswer>, ReadError> {
    let mut entries = Vec::with_capacity(positions.len());
    for position in positions {
        let event = log.event(*position)?;
        // Whose an event is, is said by its own tags, here as everywhere.
        let seen = event.as_ref().and_then(RecordedEvent::get).filter(|event| audience.sees_event(event));
        entries.extend(seen.map(|event| ActivityAnswer::of(&event)));
    }
    Ok(entries)
}
