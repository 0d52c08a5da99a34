//! Types and tags of an append's events, checked and made once for all events that share them.

use super::body::{Bounded, Text};
use super::owners::Owner;
use super::refusals::{invalid, reserved_tag, too_many_tags};
use super::reserved::{is_reserved_tag, is_reserved_type};
use axum::http::StatusCode;
use domain::tags;
use eventstore::limits::TAGS_MAX;
use eventstore::{EventType, Tag};
use http_kit::problem::Problem;

/// Names that are remembered; the events of one append rarely have more different ones.
const RECENT_MAX: usize = 16;

/// The names that have been seen.
#[derive(Debug)]
pub(super) struct Names {
    types: Vec<EventType>,
    tags: Vec<Tag>,
    /// The tenant's tag, which stands on every event.
    workspace: Option<Tag>,
}

impl Names {
    pub(super) fn new(owner: Owner) -> Result<Self, Problem> {
        let workspace = match owner.map(|owner| Tag::new(format!("{}{owner}", tags::WORKSPACE))).transpose() {
            Ok(workspace) => workspace,
            Err(error) => {
                tracing::error!(%error, "a workspace has no tag");
                return Err(Problem::internal());
            }
        };
        Ok(Self { types: Vec::new(), tags: Vec::new(), workspace })
    }

    /// The type of an event.
    pub(super) fn event_type(&mut self, index: usize, name: &str) -> Result<&EventType, Problem> {
        if let Some(at) = self.types.iter().position(|known| known.as_str() == name) {
            return Ok(&self.types[at]);
        }
        let field = || format!("events[{index}].type");
        if is_reserved_type(name) {
            let detail = format!("{}: {name} belongs to the domain or to the system", field());
            return Err(Problem::new(StatusCode::FORBIDDEN, "reserved_type", detail).with("field", field()));
        }
        let event_type = EventType::new(name).map_err(|error| invalid(&field(), &error))?;
        if self.types.len() == RECENT_MAX {
            self.types.clear();
        }
        self.types.push(event_type);
        Ok(&self.types[self.types.len() - 1])
    }

    /// The tags of an event, with the tenant's own, into `out`.
    pub(super) fn tags(
        &mut self,
        index: usize,
        said: &Bounded<Text<'_>, TAGS_MAX>,
        out: &mut Vec<Tag>,
    ) -> Result<(), Problem> {
        out.clear();
        out.extend(self.workspace.clone());
        for (number, text) in said.list.iter().enumerate() {
            let text = &*text.0;
            if out.iter().any(|tag| tag.as_str() == text) {
                continue;
            }
            let field = || format!("events[{index}].tags[{number}]");
            if is_reserved_tag(text) {
                let detail = "tags of the domain stand on the domain's own events only";
                return Err(reserved_tag(field(), detail));
            }
            let tag = match self.tags.iter().find(|known| known.as_str() == text) {
                Some(known) => known.clone(),
                None => {
                    let tag = Tag::new(text).map_err(|error| invalid(&field(), &error))?;
                    if self.tags.len() == RECENT_MAX {
                        self.tags.clear();
                    }
                    self.tags.push(tag.clone());
                    tag
                }
            };
            out.push(tag);
        }
        if said.beyond > 0 || out.len() > TAGS_MAX {
            let own = usize::from(self.workspace.is_some());
            return Err(too_many_tags(index, (said.said() + own).max(out.len())));
        }
        Ok(())
    }
}
