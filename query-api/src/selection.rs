//! Which events somebody asks for, and which of them he may see: what all reads of single events share.

use crate::audience::Audience;
use crate::parameters::Parameters;
use crate::problems::bad_parameter;
use domain::{BoardId, Extras, ItemId, tags};
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
        let named = parameters.name("tag")?;
        let board = parameters.parsed::<BoardId>("board")?.map(|id| tag(tags::BOARD, id)).transpose()?;
        let item = parameters.parsed::<ItemId>("item")?.map(|id| tag(tags::ITEM, id)).transpose()?;
        let person = parameters.text("person")?;
        Ok(Self { event_type, stream, tags: [item, named, board].into_iter().flatten().collect(), person })
    }

    /// Everything with a tag.
    pub(crate) fn with_tag(tag: Tag) -> Self {
        Self { event_type: None, stream: None, tags: vec![tag], person: None }
    }

    pub(crate) fn stream(&self) -> Option<&StreamId> {
        self.stream.as_ref()
    }

    pub(crate) fn event_type(&self) -> Option<&EventType> {
        self.event_type.as_ref()
    }

    pub(crate) fn person(&self) -> Option<&str> {
        self.person.as_deref()
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

/// The tag that the events of something carry: what such tags begin with, and its id.
pub(crate) fn tag(begins_with: &str, id: impl Display) -> Result<Tag, Problem> {
    Tag::new(format!("{begins_with}{id}")).map_err(|error| bad_parameter("id", error))
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
