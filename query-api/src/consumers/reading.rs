//! The log as a consumer is given it: so many events, from a position on, of those that it wants.
//!
//! Reading touches mapped pages, which may have to come from the disk: call it on blocking threads.

use crate::audience::Audience;
use crate::envelope::write_event;
use domain::system::{self, consumers::State};
use eventstore::{Delivery, EventView, Filter, Log, NameError, Position, ReadError, Subscription};
use std::time::Duration;

/// No more events are taken once they have so many bytes.
const BYTES_MAX: usize = 256 << 10;
/// How much is looked at in one go, wanted or not: a commit counts 1, many that are passed over at once count 16.
const LOOKS_MAX: u32 = 256;
const LOOK_UNWANTED: u32 = 16;

/// What a consumer wants and may be given.
#[derive(Debug)]
pub(super) struct Wants {
    filter: Filter,
    audience: Audience,
}

impl Wants {
    /// By a consumer's filter, as far as `audience` sees.
    pub(super) fn of(state: &State, audience: Audience) -> Result<Self, NameError> {
        let wanted = &state.settings.filter;
        let tenant = state.workspace_id.map(|tenant| format!("{}{tenant}", domain::tags::WORKSPACE));
        let tags = wanted.tag.as_deref().into_iter().chain(tenant.as_deref());
        let filter =
            Filter::of_names(wanted.stream.as_deref(), wanted.category.as_deref(), &wanted.types, tags)?;
        Ok(Self { filter, audience })
    }

    fn takes(&self, event: &EventView<'_>) -> bool {
        !event.stream().starts_with(system::STREAM_PREFIX) && self.audience.sees_event(event)
    }

    /// The event at a position as JSON, where it is wanted.
    pub(super) fn one(&self, log: &Log, position: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let event = log.event(Position::new(position))?;
        let event = event.as_ref().and_then(eventstore::RecordedEvent::get);
        let event = event.filter(|event| self.filter.matches(event) && self.takes(event));
        Ok(event.map(|event| written(&event)))
    }
}

fn written(event: &EventView<'_>) -> Vec<u8> {
    let mut json = Vec::with_capacity(512);
    write_event(&mut json, event);
    json
}

/// A place in the log, while there is something to read.
#[derive(Debug)]
pub(super) struct Reading {
    subscription: Subscription,
    /// A commit that was not taken as a whole.
    rest: Option<Delivery>,
    at: u64,
}

/// What was read: positions and JSON, and the position before which nothing else is wanted.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) events: Vec<(u64, Vec<u8>)>,
    pub(super) at: u64,
}

impl Reading {
    pub(super) fn new(log: &Log, wants: &Wants, at: u64) -> Self {
        let subscription = log.subscribe(wants.filter.clone(), Position::new(at));
        Self { subscription, rest: None, at }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Reads up to `room` events, all of them before `until`; those at `aside` are passed over.
    pub(super) fn read(
        &mut self,
        wants: &Wants,
        aside: impl Fn(u64) -> bool,
        room: usize,
        until: u64,
    ) -> Result<Found, ReadError> {
        let (mut events, mut bytes, mut looks) = (Vec::new(), 0, 0);
        while events.len() < room && bytes < BYTES_MAX && looks < LOOKS_MAX && self.at < until {
            let delivery = match self.rest.take() {
                Some(rest) => Some(rest),
                None => self.subscription.wait(Duration::ZERO)?,
            };
            looks += if delivery.as_ref().is_some_and(|delivery| !delivery.is_empty()) {
                1
            } else {
                LOOK_UNWANTED
            };
            let Some(delivery) = delivery else { continue };
            let from = self.at;
            let (mut is_whole, mut is_at_end) = (true, false);
            for event in delivery.events().skip_while(|event| event.position().get() < from) {
                let position = event.position().get();
                if position >= until || events.len() >= room || bytes >= BYTES_MAX {
                    is_whole = false;
                    is_at_end = position >= until;
                    break;
                }
                if wants.takes(&event) && !aside(position) {
                    let json = written(&event);
                    bytes += json.len();
                    events.push((position, json));
                }
                self.at = position + 1;
            }
            if is_whole {
                self.at = self.at.max(delivery.checkpoint().next.get());
            } else {
                self.rest = Some(delivery);
                if is_at_end {
                    // Everything before has been looked at.
                    self.at = until;
                }
            }
        }
        Ok(Found { events, at: self.at })
    }
}
