//! One reader of a consumer: waits until there is something for it, reads it, and notes that it is on its way.
//!
//! Invariant: an event is noted before it is given out, so what is lost on the way comes again.

use super::known;
use super::reading::{Found, Reading, Wants};
use super::session::{Session, Step};
use super::slots::{Chair, NoChair};
use super::{Consumer, Exhausted};
use crate::audience::Audience;
use crate::live::{Seat, Topic};
use crate::problems::{consumer_busy, too_many_subscribers, unreadable};
use crate::service::QueryService;
use domain::system::consumers::State;
use eventstore::Position;
use http_kit::problem::Problem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time;

/// How long an exhausted event is given to be parked before that is asked for again.
const EXHAUSTED_AGAIN: Duration = Duration::from_secs(5);

/// An event on its way.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) position: u64,
    /// The number of this delivery of it, from 1 on.
    pub(crate) attempt: u32,
    /// The consumer's generation.
    pub(crate) generation: u64,
    /// The event.
    pub(crate) json: Vec<u8>,
}

/// What a reader is told.
#[derive(Debug)]
pub(crate) enum News {
    /// These are on their way, at least one.
    Events(Vec<Delivered>),
    /// This one has to be parked.
    Exhausted(Exhausted),
    /// Nothing, for as long as was to be waited.
    Silence,
    /// There will be nothing more, for this reason.
    Ended(&'static str),
}

/// Somebody who reads for a consumer.
#[derive(Debug)]
pub(crate) struct Reader {
    service: QueryService,
    consumer: Consumer,
    seat: Seat,
    chair: Chair,
    wants: Arc<Wants>,
    reading: Option<Reading>,
    /// There may be something before this.
    until: Position,
    /// The consumer has been looked at since this reader is woken by what happens to it.
    has_looked: bool,
    /// What the reader was told to be exhausted, and when.
    exhausted: Option<(u64, Instant)>,
    /// When the client's token has to be looked at again.
    ends: Option<time::Instant>,
}

impl Reader {
    /// Takes the place at a consumer. A stream's reader begins with what is not acknowledged; the reader of a single answer goes
    /// on behind what the ones before it have been given, unless it takes over.
    ///
    /// # Errors
    /// 409 `consumer_busy` where somebody else reads, 503 where too many do.
    pub(crate) fn sit(
        service: &QueryService,
        consumer: Consumer,
        audience: &Audience,
        takes_over: bool,
        begins_again: bool,
    ) -> Result<Self, Problem> {
        let ends = audience.time_left().and_then(|left| time::Instant::now().checked_add(left));
        let state = &consumer.state;
        let audience = state.workspace_id.map_or_else(|| audience.clone(), |tenant| audience.within(tenant));
        let wants = Wants::of(state, audience).map_err(|error| {
            tracing::error!(%error, consumer = %consumer.stream, "a consumer's filter names what cannot be");
            Problem::internal()
        })?;
        let seat = service.live().join(topics(&consumer)).ok_or_else(too_many_subscribers)?;
        let now = Instant::now();
        let begin = |session: Option<Session>| match session {
            Some(mut session) => {
                session.take_in(state.clone(), now);
                if takes_over || begins_again {
                    session.go_back(now);
                }
                session
            }
            None => Session::new(state.clone(), now),
        };
        let chair =
            service.consumers().sit(&consumer.stream, takes_over, begin).map_err(
                |refused| match refused {
                    NoChair::Taken => consumer_busy(&consumer.state.name),
                    NoChair::TooMany => too_many_subscribers(),
                },
            )?;
        let until = seat.seam;
        let wants = Arc::new(wants);
        let service = service.clone();
        let (reading, has_looked, exhausted) = (None, false, None);
        Ok(Self { service, consumer, seat, chair, wants, reading, until, has_looked, exhausted, ends })
    }

    /// Where the reader is: nothing of what is before this comes that was not given out.
    pub(crate) fn at(&self) -> Position {
        Position::new(self.chair.with(|session| session.at()).unwrap_or_default())
    }

    /// The consumer, as far as is known here.
    pub(crate) fn state(&self) -> Option<State> {
        self.chair.with(|session| session.state().clone())
    }

    /// Looks anew at where the consumer is. False when it is gone, or somebody else has taken over.
    pub(crate) async fn look(&mut self) -> Result<bool, Problem> {
        // First, as what happens while it is read is news again.
        self.seat.take_news();
        self.has_looked = true;
        let (log, stream) = (self.service.log().clone(), self.consumer.stream.clone());
        let state = self.service.blocking(move || known::state(&log, &stream)).await??;
        let Some(state) = state else { return Ok(false) };
        let now = Instant::now();
        Ok(self.chair.with(|session| session.take_in(state, now)).is_some())
    }

    /// What comes next, at most `limit` events, or silence at `silent_at`.
    pub(crate) async fn next(&mut self, limit: usize, silent_at: time::Instant) -> Result<News, Problem> {
        loop {
            if let Some(reason) = self.end() {
                return Ok(News::Ended(reason));
            }
            if (!self.has_looked || self.seat.has_news()) && !self.look().await? {
                return Ok(News::Ended(self.end().unwrap_or("deleted")));
            }
            if self.chair.with(|session| session.is_late(Instant::now())) == Some(true) {
                // An acknowledgement wakes nobody, so it may be there.
                if !self.look().await? {
                    return Ok(News::Ended(self.end().unwrap_or("deleted")));
                }
                self.chair.with(|session| {
                    let now = Instant::now();
                    if session.is_late(now) {
                        session.go_back(now);
                    }
                });
            }
            let Some(step) = self.chair.with(|session| session.step(Instant::now(), now_ms())) else {
                return Ok(News::Ended("taken_over"));
            };
            let (wait, is_blocked) = match step {
                Step::Read { from, room, until } => {
                    if self.is_due(from) {
                        if let Some(news) = self.read(room.min(limit), until).await? {
                            return Ok(news);
                        }
                        continue;
                    }
                    (self.chair.with(|session| session.patience(Instant::now(), now_ms())).flatten(), false)
                }
                Step::One(position) => match self.one(position).await? {
                    Some(news) => return Ok(news),
                    None => (Some(EXHAUSTED_AGAIN), true),
                },
                Step::Exhausted { position, attempts } => {
                    if let Some(news) = self.exhaust(position, attempts) {
                        return Ok(news);
                    }
                    (Some(EXHAUSTED_AGAIN), true)
                }
                Step::Wait(wait) => (wait, true),
            };
            if time::Instant::now() >= silent_at {
                return Ok(News::Silence);
            }
            self.wait(wait, is_blocked, silent_at).await;
        }
    }

    /// Why there is nothing more.
    fn end(&self) -> Option<&'static str> {
        if self.seat.is_closed() {
            Some("stopping")
        } else if self.ends.is_some_and(|ends| time::Instant::now() >= ends) {
            Some("token_expired")
        } else if self.chair.with(|_| ()).is_none() {
            Some("taken_over")
        } else {
            None
        }
    }

    /// Whether there may be something to read from a position on. Where there is not, the session has come as far as the hub has
    /// looked.
    fn is_due(&mut self, from: u64) -> bool {
        let mut at = Position::new(from);
        while at >= self.until {
            self.reading = None;
            // Before the bell: what is rung for after this is not before it.
            let looked = self.seat.looked();
            match self.seat.take() {
                Some(touched) => {
                    self.until = touched.next;
                    if touched.next > at {
                        at = at.max(touched.first);
                        self.chair.with(|session| session.pass(at.get()));
                    }
                }
                None => {
                    self.chair.with(|session| session.pass(looked.get()));
                    return false;
                }
            }
        }
        true
    }

    async fn wait(&self, wait: Option<Duration>, is_blocked: bool, silent_at: time::Instant) {
        self.seat.heed_acknowledgements(is_blocked);
        // After that, as what comes now is told by the bell.
        if !self.seat.has_news() {
            let until = wait.and_then(|wait| time::Instant::now().checked_add(wait));
            let until = [until, self.ends, Some(silent_at)].into_iter().flatten().min().unwrap_or(silent_at);
            let overtaken = self.chair.overtaken();
            tokio::select! {
                () = self.seat.rung() => {}
                () = overtaken => {}
                () = time::sleep_until(until) => {}
            }
        }
        self.seat.heed_acknowledgements(false);
    }

    async fn read(&mut self, room: usize, barrier: u64) -> Result<Option<News>, Problem> {
        let looked_at = self.chair.with(|session| (session.at(), session.state().clone()));
        let Some((at, state)) = looked_at else { return Ok(None) };
        let until = barrier.min(self.until.get());
        let turn = self.seat.turn().await;
        let (log, wants) = (self.service.log().clone(), Arc::clone(&self.wants));
        // Another place than where it stopped: whatever is kept there is of no use.
        let reading = self.reading.take().filter(|reading| reading.at() == at);
        let read = self.service.blocking(move || {
            // It belongs to the thread: a reader that is given up leaves the read running.
            let _turn = turn;
            let mut reading = reading.unwrap_or_else(|| Reading::new(&log, &wants, at));
            let found = reading.read(&wants, |position| state.is_aside(position), room, until);
            (reading, found)
        });
        let (reading, found) = read.await?;
        let Found { events, at } = found.map_err(|error| unreadable(&error))?;
        self.reading = Some(reading);
        let delivered = self.chair.with(|session| {
            let delivered = deliver(session, events);
            session.pass(at);
            delivered
        });
        Ok(delivered.filter(|events| !events.is_empty()).map(News::Events))
    }

    /// A retried event, by itself. Nothing where it cannot be given out.
    async fn one(&mut self, position: u64) -> Result<Option<News>, Problem> {
        let (log, wants) = (self.service.log().clone(), Arc::clone(&self.wants));
        let read = self.service.blocking(move || wants.one(&log, position)).await?;
        let json = read.map_err(|error| unreadable(&error))?;
        // The command API has seen that it is one of the consumer's.
        let Some(json) = json else { return Ok(None) };
        let delivered = self.chair.with(|session| deliver(session, vec![(position, json)]));
        Ok(delivered.map(News::Events))
    }

    /// Says that an event has to be parked, now and then.
    fn exhaust(&mut self, position: u64, attempts: u32) -> Option<News> {
        let was_told = self.exhausted.filter(|(told, _)| *told == position);
        if was_told.is_some_and(|(_, at)| at.elapsed() < EXHAUSTED_AGAIN) {
            return None;
        }
        self.exhausted = Some((position, Instant::now()));
        let exhausted = Exhausted {
            workspace: self.consumer.state.workspace_id,
            name: self.consumer.state.name.clone(),
            position,
            attempts,
        };
        let is_heard = self.service.tell_exhausted(exhausted.clone());
        // Whoever listens parks it, and the reader need not be bothered; unless it is not done, for lack of room, say.
        if is_heard && was_told.is_none() { None } else { Some(News::Exhausted(exhausted)) }
    }
}

/// Notes that events are on their way.
fn deliver(session: &mut Session, events: Vec<(u64, Vec<u8>)>) -> Vec<Delivered> {
    let now = Instant::now();
    let generation = session.state().generation;
    let deliver = |(position, json)| {
        let attempt = session.attempt(position);
        session.deliver(position, now);
        Delivered { position, attempt, generation, json }
    };
    events.into_iter().map(deliver).collect()
}

/// What wakes a reader: one thing that all events that the consumer wants have in common, and its own stream.
fn topics(consumer: &Consumer) -> Vec<Topic> {
    let state = &consumer.state;
    let filter = &state.settings.filter;
    let tenant = state.workspace_id.map(domain::WorkspaceId::uuid);
    let mut topics = match (&filter.stream, &filter.tag, &filter.types[..], &filter.category, tenant) {
        (Some(stream), ..) => vec![Topic::Stream(stream.clone())],
        (None, Some(tag), ..) => vec![Topic::Tag(tag.clone())],
        (None, None, types @ [_, ..], ..) => {
            types.iter().map(|name| Topic::Type(tenant, name.clone())).collect()
        }
        (None, None, [], Some(category), None) => vec![Topic::Category(category.clone())],
        (None, None, [], _, Some(tenant)) => vec![Topic::Tenant(tenant)],
        (None, None, [], None, None) => vec![Topic::Ordinary],
    };
    topics.push(Topic::Control(consumer.stream.as_str().to_owned()));
    topics
}

/// Unix time, milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
