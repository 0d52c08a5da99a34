//! What requests about consumers say.

use domain::system::consumers::{ConsumerName, Filter, Settings, TYPES_MAX};
use domain::whole;
use eventstore::{EventType, StreamId, Tag};
use http_kit::problem::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Display;
use uuid::Uuid;

/// Bounds and defaults of what a consumer is created with.
const ACK_TIMEOUT_MS: (u64, u64, u64) = (1_000, 3_600_000, 30_000);
const ATTEMPTS: (u32, u32, u32) = (1, 1_000, 5);
const IN_FLIGHT: (u32, u32, u32) = (1, 10_000, 1_000);
/// How long a refused event may be kept back at most, milliseconds.
const DELAY_MS_MAX: u64 = 3_600_000;
/// Positions that one request names at most: as many as can be parked.
const POSITIONS_MAX: usize = domain::system::consumers::PARKED_MAX;

/// A consumer to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CreateConsumer {
    /// Its name, one of its workspace's.
    pub(super) name: ConsumerName,
    /// The workspace whose events it gets, and to which it belongs; see the append of events.
    pub(super) workspace_id: Option<Uuid>,
    /// Which events it gets.
    #[serde(default)]
    filter: Filter,
    /// The position to begin at, 0 for everything there is; absent: what happens from now on.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default)]
    pub(super) from: Option<u64>,
    /// How long nothing has to be acknowledged until what is on its way is delivered again, milliseconds; 30000 if absent.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default, range(min = 1_000, max = 3_600_000))]
    ack_timeout_ms: Option<u64>,
    /// How often an event is delivered at most before it is parked; 5 if absent.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default, range(min = 1, max = 1_000))]
    attempts_max: Option<u32>,
    /// How many events are on their way at most; 1000 if absent.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default, range(min = 1, max = 10_000))]
    in_flight_max: Option<u32>,
}

/// What was dealt with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Acknowledge {
    /// The position of the last event that was dealt with: it and everything before it. Of an event that is delivered once more
    /// after it was parked, this one only.
    #[serde(deserialize_with = "whole::number")]
    pub(super) position: u64,
    /// The generation that came with it: refused if the consumer was reset since.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default)]
    pub(super) generation: Option<u64>,
}

/// What is to be done about an event that could not be dealt with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "RefuseAction")]
pub(crate) enum Action {
    /// Deliver it again, or park it when it was tried as often as may be.
    #[default]
    Retry,
    /// Put it aside at once.
    Park,
}

/// What could not be dealt with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RefuseEvent {
    /// The event's position.
    #[serde(deserialize_with = "whole::number")]
    pub(super) position: u64,
    /// What is to be done about it.
    #[serde(default)]
    pub(super) action: Action,
    /// Why, at most 256 characters.
    #[schemars(length(max = 256))]
    pub(super) reason: Option<String>,
    /// How long to wait before it is delivered again, milliseconds; 0 if absent.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default, range(max = 3_600_000))]
    delay_ms: Option<u64>,
    /// The generation that came with it: refused if the consumer was reset since.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default)]
    pub(super) generation: Option<u64>,
}

/// Some of the parked events, or all of them; one of the two is said.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    {"required": ["positions"], "properties": {"positions": {"type": "array"}, "all": {"const": false}}},
    {"required": ["all"], "properties": {"all": {"const": true}, "positions": {"type": "null"}}},
]))]
pub(crate) struct ParkedOnes {
    /// Those at these positions.
    #[serde(default, deserialize_with = "whole::numbers")]
    #[schemars(!default, length(min = 1, max = 256))]
    positions: Option<Vec<u64>>,
    /// All of them.
    #[serde(default)]
    all: bool,
}

/// Where to go on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResetConsumer {
    /// The next position to be delivered.
    #[serde(deserialize_with = "whole::number")]
    pub(super) position: u64,
}

impl CreateConsumer {
    pub(super) fn settings(&self) -> Result<Settings, Problem> {
        let Filter { stream, category, types, tag } = &self.filter;
        named("filter.stream", stream.as_ref().map(StreamId::new))?;
        named("filter.tag", tag.as_ref().map(Tag::new))?;
        if let Some(category) = category {
            named("filter.category", Some(StreamId::new(category)))?;
            if category.contains('-') {
                return Err(invalid(
                    "filter.category",
                    "a category ends before the first '-' of its streams' names",
                ));
            }
        }
        if types.len() > TYPES_MAX {
            return Err(invalid("filter.types", format_args!("at most {TYPES_MAX} types")));
        }
        for (number, name) in types.iter().enumerate() {
            named(&format!("filter.types[{number}]"), Some(EventType::new(name)))?;
        }
        let mut filter = self.filter.clone();
        // The same set is the same filter, in whatever order it is said.
        filter.types.sort_unstable();
        filter.types.dedup();
        Ok(Settings {
            filter,
            ack_timeout_ms: bounded("ackTimeoutMs", self.ack_timeout_ms, ACK_TIMEOUT_MS)?,
            attempts_max: bounded("attemptsMax", self.attempts_max, ATTEMPTS)?,
            in_flight_max: bounded("inFlightMax", self.in_flight_max, IN_FLIGHT)?,
        })
    }
}

impl RefuseEvent {
    /// How long to wait, milliseconds.
    pub(super) fn delay_ms(&self) -> Result<i64, Problem> {
        let delay_ms = bounded("delayMs", self.delay_ms, (0, DELAY_MS_MAX, 0))?;
        Ok(i64::try_from(delay_ms).unwrap_or(0))
    }
}

impl ParkedOnes {
    /// The positions; nothing for all of them.
    pub(super) fn positions(self) -> Result<Option<Vec<u64>>, Problem> {
        match (self.positions, self.all) {
            (None, true) => Ok(None),
            (Some(positions), false) if (1..=POSITIONS_MAX).contains(&positions.len()) => Ok(Some(positions)),
            (Some(_), false) => Err(invalid("positions", format_args!("1 to {POSITIONS_MAX} positions"))),
            _ => Err(invalid("positions", "either positions or \"all\": true is said")),
        }
    }
}

fn bounded<N: PartialOrd + Display + Copy>(
    field: &str,
    said: Option<N>,
    (min, max, default): (N, N, N),
) -> Result<N, Problem> {
    let value = said.unwrap_or(default);
    if value < min || value > max {
        return Err(invalid(field, format_args!("{min} to {max}")));
    }
    Ok(value)
}

fn named<T>(field: &str, name: Option<Result<T, impl Display>>) -> Result<(), Problem> {
    match name {
        Some(Err(error)) => Err(invalid(field, error)),
        _ => Ok(()),
    }
}

fn invalid(field: &str, reason: impl Display) -> Problem {
    Problem::invalid_body(field, format!("{field}: {reason}"))
}
