//! One workspace, project, board, item or comment by its id: as it is, as it was, and what differs between two moments.

use super::{json, tagged, written};
use crate::answers::Told;
use crate::answers::board::BoardAnswer;
use crate::answers::comment::CommentAnswer;
use crate::answers::item::ItemAnswer;
use crate::answers::project::ProjectAnswer;
use crate::answers::workspace::WorkspaceAnswer;
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::parameters::{Parameters, path_id};
use crate::past::differences::{self, Difference};
use crate::past::{AsOf, Past, Source};
use crate::problems::{bad_parameter, gone, unreadable};
use crate::routes::{boards, items, projects, workspaces};
use crate::selection::tag;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::{BoardId, CommentId, ItemId, ProjectId, WorkspaceId, tags};
use eventstore::{Log, Position, StreamId};
use http_kit::params::Path;
use http_kit::problem::Problem;
use projector::models::Models;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Display;
use std::str::FromStr;

/// An id of what can be asked for as it was.
pub(super) trait Remembered: FromStr<Err: Display> + Display + Copy + Send + 'static {
    type Answer: Told + Send + 'static;

    /// Where all events are that its answer follows from, or that there never was such a thing for the audience. These are
    /// the models of today: what was deleted is still known to them.
    fn sources(self, models: &Models, audience: &Audience) -> Result<Vec<Source>, Problem>;

    /// What the models know of it.
    fn copy(self, models: &Models, audience: &Audience) -> Result<Self::Answer, Problem>;
}

/// All of a stream, by the stream's name: names that are made of ids are names of the log.
fn stream(name: String) -> Result<Source, Problem> {
    StreamId::new(name).map(Source::Stream).map_err(|error| bad_parameter("id", error))
}

/// All that is tagged with a thing.
fn tagged_with(begins_with: &str, id: impl Display) -> Result<Source, Problem> {
    tag(begins_with, id).map(Source::Tag)
}

impl Remembered for ItemId {
    type Answer = ItemAnswer;

    fn sources(self, models: &Models, audience: &Audience) -> Result<Vec<Source>, Problem> {
        let item = items::ever(models, audience, self)?;
        // Its board says which columns there are, what became of those that were removed, and whether it is gone with it.
        let sources =
            [stream(self.stream_id()), tagged_with(tags::ITEM, self), stream(item.board_id.stream_id())];
        sources.into_iter().collect()
    }

    fn copy(self, models: &Models, audience: &Audience) -> Result<ItemAnswer, Problem> {
        Ok(ItemAnswer::of(models, items::present(models, audience, self)?))
    }
}

impl Remembered for BoardId {
    type Answer = BoardAnswer;

    fn sources(self, models: &Models, audience: &Audience) -> Result<Vec<Source>, Problem> {
        boards::ever(models, audience, self)?;
        // The tag is on its items and their comments, too.
        [stream(self.stream_id()), tagged_with(tags::BOARD, self)].into_iter().collect()
    }

    fn copy(self, models: &Models, audience: &Audience) -> Result<BoardAnswer, Problem> {
        Ok(BoardAnswer::of(boards::present(models, audience, self)?))
    }
}

impl Remembered for ProjectId {
    type Answer = ProjectAnswer;

    fn sources(self, models: &Models, audience: &Audience) -> Result<Vec<Source>, Problem> {
        let project = projects::present(models, audience, self)?;
        // Nothing is tagged with its project; all that counts in it is on its boards, and these are never forgotten.
        let boards = project.boards.iter().map(|board| tagged_with(tags::BOARD, board));
        std::iter::once(stream(self.stream_id())).chain(boards).collect()
    }

    fn copy(self, models: &Models, audience: &Audience) -> Result<ProjectAnswer, Problem> {
        Ok(ProjectAnswer::of(models, projects::present(models, audience, self)?))
    }
}

impl Remembered for WorkspaceId {
    type Answer = WorkspaceAnswer;

    fn sources(self, models: &Models, audience: &Audience) -> Result<Vec<Source>, Problem> {
        let workspace = workspaces::present(models, audience, self)?;
        // A project says by itself to which workspace it belongs.
        let projects = workspace.projects.iter().map(|project| stream(project.stream_id()));
        std::iter::once(stream(self.stream_id())).chain(projects).collect()
    }

    fn copy(self, models: &Models, audience: &Audience) -> Result<WorkspaceAnswer, Problem> {
        Ok(WorkspaceAnswer::of(workspaces::present(models, audience, self)?))
    }
}

impl Remembered for CommentId {
    type Answer = CommentAnswer;

    fn sources(self, models: &Models, audience: &Audience) -> Result<Vec<Source>, Problem> {
        let (_, item) = items::said(models, audience, self)?;
        // It is gone with its item, and that with its board.
        let streams = [self.stream_id(), item.id.stream_id(), item.board_id.stream_id()];
        streams.into_iter().map(stream).collect()
    }

    fn copy(self, models: &Models, audience: &Audience) -> Result<CommentAnswer, Problem> {
        let (comment, item) = items::said(models, audience, self)?;
        let is_gone = comment.deleted || models.is_gone(item);
        if is_gone { Err(gone("comment")) } else { Ok(CommentAnswer::of(comment)) }
    }
}

pub(super) async fn by_id<I: Remembered>(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let id: I = path_id(&id)?;
    let as_of = parameters.as_of()?;
    let freshness = parameters.finish()?;
    let asking = audience.clone();
    let sources = move |models: &Models| id.sources(models, &asking);
    let copy = move |models: &Models| id.copy(models, &audience);
    let finish = move |answer: I::Answer, log: &Log| {
        let answer = answer.fill(log).map_err(|error| unreadable(&error))?;
        // A version of the past is no condition for a command, so only today's answers have strong tags.
        Ok(if as_of.is_some() { json(&answer) } else { tagged(answer.version(), &answer) })
    };
    service.read_as_of(as_of, freshness, sources, copy, I::Answer::work, finish).await
}

/// What differs of a thing between two moments.
#[derive(Serialize, JsonSchema)]
pub(super) struct Diff {
    #[schemars(extend("format" = "uuid"))]
    id: String,
    /// The positions of both moments.
    from: u64,
    to: u64,
    /// The members that differ, by name; before its creation and after its deletion all are `null`.
    changes: Vec<Difference>,
}

pub(super) async fn diff<I: Remembered>(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let id: I = path_id(&id)?;
    let (from, to) = (parameters.text("from")?, parameters.text("to")?);
    let freshness = parameters.finish()?;
    let from = from.ok_or_else(|| bad_parameter("from", "it is needed here: a position or a time"))?;
    let moments =
        [("from", Some(AsOf::read("from", &from)?)), ("to", to.map(|to| AsOf::read("to", &to)).transpose()?)];
    let asking = audience.clone();
    let sources = move |models: &Models| id.sources(models, &asking);
    let tell = move |past: &mut Past<'_>, [from, to]: [Position; 2], log: &Log| {
        // Time is gone through once, whichever of them is the later one.
        let (earlier, later) = (from.min(to), from.max(to));
        let earlier = id.copy(past.at(earlier)?, &audience);
        let later = id.copy(past.at(later)?, &audience);
        let (before, after) = if from <= to { (earlier, later) } else { (later, earlier) };
        let (before, after) = match (before, after) {
            // There is nothing to compare.
            (Err(_), Err(problem)) => return Err(problem),
            (before, after) => (before.ok(), after.ok()),
        };
        let body = |answer: Option<I::Answer>| {
            let filled = answer.map(|answer| answer.fill(log)).transpose();
            filled.map_err(|error| unreadable(&error))?.as_ref().map(written).transpose()
        };
        let (before, after) = (body(before)?, body(after)?);
        let changes = differences::between(before.as_deref(), after.as_deref()).map_err(|error| {
            tracing::error!(%error, "an answer is no object");
            Problem::internal()
        })?;
        Ok(json(&Diff { id: id.to_string(), from: from.get(), to: to.get(), changes }))
    };
    service.recall(moments, freshness, sources, tell).await
}
