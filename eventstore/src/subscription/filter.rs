//! Which events somebody wants.

use crate::format::event::EventView;
use crate::names::{EventType, NameError, StreamId, Tag};

/// Which events a subscription delivers.
///
/// ```
/// use eventstore::{EventType, Filter};
/// # fn main() -> Result<(), eventstore::NameError> {
/// let moves = Filter::Category("item".to_owned()).and(Filter::Types(vec![EventType::new("item.moved")?]));
/// # let _ = moves; Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Every event.
    All,
    /// The events of one stream.
    Stream(StreamId),
    /// The events of all streams of a category: see [`StreamId::category`]. One with a `-` in it has no streams.
    Category(String),
    /// The events of any of these types; of none, when there are none.
    Types(Vec<EventType>),
    /// The events with a tag.
    Tag(Tag),
    /// The events that every one of these wants: types within a category, a tag within a stream.
    Every(Vec<Filter>),
}

impl Filter {
    /// The events that have every name that is said: of all types where no type is.
    ///
    /// # Errors
    /// When one of them is no name that the log takes.
    pub fn of_names<'a>(
        stream: Option<&str>,
        category: Option<&str>,
        types: &[String],
        tags: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, NameError> {
        let mut parts = Vec::new();
        if let Some(stream) = stream {
            parts.push(Self::Stream(StreamId::new(stream)?));
        }
        for tag in tags {
            parts.push(Self::Tag(Tag::new(tag)?));
        }
        if let Some(category) = category {
            parts.push(Self::Category(category.to_owned()));
        }
        if !types.is_empty() {
            let types: Result<_, _> = types.iter().map(EventType::new).collect();
            parts.push(Self::Types(types?));
        }
        Ok(Self::Every(parts))
    }

    /// The events that both this filter and another want.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut parts = match self {
            Self::Every(parts) => parts,
            one => vec![one],
        };
        match other {
            Self::Every(more) => parts.extend(more),
            one => parts.push(one),
        }
        Self::Every(parts)
    }

    /// Whether it wants an event.
    #[must_use]
    pub fn matches(&self, event: &EventView<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Stream(stream) => event.stream() == stream.as_str(),
            Self::Category(category) => StreamId::category_of(event.stream()) == category,
            Self::Types(types) => types.iter().any(|wanted| wanted.as_str() == event.event_type()),
            Self::Tag(tag) => event.tags().any(|has| has == tag.as_str()),
            Self::Every(parts) => parts.iter().all(|part| part.matches(event)),
        }
    }

    /// A stream that holds all the events it wants, if it names one.
    pub(crate) fn stream(&self) -> Option<&StreamId> {
        match self {
            Self::Stream(stream) => Some(stream),
            Self::Every(parts) => parts.iter().find_map(Self::stream),
            _ => None,
        }
    }

    /// A tag that all the events it wants have, if it names one.
    pub(crate) fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Every(parts) => parts.iter().find_map(Self::tag),
            _ => None,
        }
    }
}
