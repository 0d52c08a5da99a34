//! Which events somebody asks for, and which of them he may see: what all reads of single events share.

use crate::audience::Audience;
use crate::parameters::Parameters;
use crate::problems::bad_parameter;
use domain::{BoardId, Extras, ItemId};
use eventstore::{EventType, EventView, Filter, StreamId, Tag};
use http_kit::problem::Problem;
use std::fmt::Display;

/// What a request says of the events that it wants; all of it has to hold.
#[derive(Debug)]
pub(crate) struct Selection {
    event_type: Option<EventType>,
    stream: Option<StreamId>,
    /// The narrowest first: it is what the index is asked for.
    tags: Vec<Tag>,
    person: Option<String>,
}

impl Selection {
    /// Takes `type`, `stream`, `tag`, `board`, `item` and `person`.
    ///
    /// # Errors
    /// 400 for what is none of these.
    pub(crate) fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        let event_type = parameters.name("type")?;
        let stream = parameters.name("stream")?;
        let tag = parameters.name("tag")?;
        let board = tag_of("board", parameters.parsed::<BoardId>("board")?)?;
        let item = tag_of("item", parameters.parsed::<ItemId>("item")?)?;
        let person = parameters.text("person")?;
        Ok(Self { event_type, stream, tags: [item, tag, board].into_iter().flatten().collect(), person })
    }

    /// Everything with a tag.
    pub(crate) fn with_tag(tag: Tag) -> Self {
        Self { event_type: None, stream: None, tags: vec![tag], person: None }
    }

    pub(crate) fn stream(&self) -> Option<&StreamId> {
        self.stream.as_ref()
    }

    /// The tag that fewest events have, as far as can be told.
    pub(crate) fn narrowest_tag(&self) -> Option<&Tag> {
        self.tags.first()
    }

    /// What whoever asks gets of it.
    pub(crate) fn for_audience(self, audience: Audience) -> Wanted {
        let parts = self.stream.map(Filter::Stream).into_iter();
        let parts = parts.chain(self.tags.into_iter().map(Filter::Tag));
        let parts = parts.chain(self.event_type.map(|wanted| Filter::Types(vec![wanted])));
        Wanted { filter: Filter::Every(parts.collect()), person: self.person, audience }
    }
}

/// The tag that the events of something carry.
fn tag_of(name: &'static str, id: Option<impl Display>) -> Result<Option<Tag>, Problem> {
    let tag = id.map(|id| Tag::new(format!("{name}:{id}")));
    tag.transpose().map_err(|error| bad_parameter(name, error))
}

/// Which events somebody gets.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// What the log can tell by itself, and mostly find in its index.
    pub(crate) filter: Filter,
    /// Who has done it, or in whose name it was done.
    pub(crate) person: Option<String>,
    /// What may be read.
    pub(crate) audience: Audience,
}

impl Wanted {
    /// Whether an event that has passed the filter is wanted and may be seen.
    pub(crate) fn takes(&self, event: &EventView<'_>) -> bool {
        let is_of_person = |person: &String| {
            let metadata = event.metadata();
            Extras::decode(metadata.extras()).is_ok_and(|extras| {
                extras.actor() == person || extras.on_behalf_of() == Some(person.as_str())
            })
        };
        self.person.as_ref().is_none_or(is_of_person) && self.audience.sees_event(event)
    }
}
