//! One subscriber: a body that reads the log when it is asked for more, and waits when there is nothing.
//!
//! ```text
//! head ─▶ read up to the seam ─▶ silent bell: wait ─▶ rung: read up to what it was rung for ─▶ …
//!                                   └─ nothing said for a while: progress     closed: bye, the end
//! ```
//!
//! Invariant: the ids that a client is told are those of events before `at`, everything before which it has got or does not
//! want: going on right after the last one gives what it lacks, and nothing twice.

use super::follower::Follower;
use super::hub::Seat;
use crate::envelope::{in_one_line, write_event};
use crate::pulled::{Part, Source};
use crate::selection::Wanted;
use crate::service::QueryService;
use eventstore::{EventView, Position};
use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;
use tokio::time::Instant;

/// Silence after which something is said, so that proxies keep the connection open. It also tells how far reading has come.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long a client that was cut off waits before it comes again, milliseconds.
const RETRY_MS: u32 = 1_000;

/// What is known of one subscriber.
#[derive(Debug)]
pub(crate) struct Subscriber {
    follower: Follower,
    /// The client has been told to go on here.
    told: Position,
    spoke: Instant,
    silence_max: Duration,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begins,
    Goes,
    Over,
}

impl Subscriber {
    /// One that gets what is wanted from a position on.
    pub(crate) fn new(service: QueryService, seat: Seat, wanted: Wanted, from: Position) -> Self {
        Self {
            follower: Follower::new(service, seat, wanted, write_message, from),
            told: from,
            spoke: Instant::now(),
            silence_max: SILENCE_MAX,
            stage: Stage::Begins,
        }
    }

    /// What comes next; nothing when it is over.
    async fn next_bytes(&mut self) -> Option<Vec<u8>> {
        let bytes = match self.stage {
            Stage::Begins => {
                self.stage = Stage::Goes;
                let mut head = format!("retry: {RETRY_MS}\n").into_bytes();
                // The id, too: whoever is cut off before his first event has to go on here.
                progress(&mut head, self.follower.at(), true);
                head
            }
            Stage::Goes => self.go_on().await?,
            Stage::Over => return None,
        };
        self.spoke = Instant::now();
        Some(bytes)
    }

    async fn go_on(&mut self) -> Option<Vec<u8>> {
        loop {
            let is_due = self.follower.is_due();
            if self.follower.is_closed() || self.follower.is_expired() {
                self.stage = Stage::Over;
                let mut bye = self.news();
                bye.extend_from_slice(b": bye\n\n");
                return Some(bye);
            }
            let heartbeat = self.spoke + self.silence_max;
            if is_due {
                let chunk = self.follower.read().await?;
                if let Some(last) = chunk.last {
                    self.told = last.plus(1);
                    return Some(chunk.bytes);
                }
            } else {
                self.follower.wait(heartbeat).await;
            }
            if Instant::now() >= heartbeat {
                return Some(self.news());
            }
        }
    }

    /// How far it has come; with an id, where that is news.
    fn news(&mut self) -> Vec<u8> {
        let mut news = Vec::new();
        let at = self.follower.at();
        progress(&mut news, at, at > self.told);
        self.told = at;
        news
    }
}

impl Source for Subscriber {
    /// A stream that breaks off says so by ending: its client comes again by its last id.
    type Error = Infallible;

    async fn next(mut self: Box<Self>) -> Part<Self> {
        Ok(self.next_bytes().await.map(|bytes| (bytes.into(), self)))
    }
}

/// One event as a server-sent event. Names of the log hold no control characters, so they cannot end a line.
fn write_message(out: &mut Vec<u8>, event: &EventView<'_>) {
    // A vector takes all bytes.
    let _ = write!(out, "id: {}\nevent: {}\ndata: ", event.position(), event.event_type());
    let start = out.len();
    write_event(out, event);
    // A line end would end the data.
    in_one_line(&mut out[start..]);
    out.extend_from_slice(b"\n\n");
}

/// Says where the stream is; with the id, a client that comes again goes on there. A message without data is none to it.
fn progress(out: &mut Vec<u8>, at: Position, with_id: bool) {
    // A vector takes all bytes.
    let _ = writeln!(out, ": at {at}");
    if let Some(last) = at.get().checked_sub(1).filter(|_| with_id) {
        let _ = writeln!(out, "id: {last}");
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::Audience;
    use crate::live::Topic;
    use eventstore::{CommitBuilder, ContentType, EventType, Filter, Metadata, NewEvent};
    use eventstore::{Store, StoreOptions, StreamId, Tag};
    use http_kit::auth::Principal;
    use projector::ReadModels;
    use uuid::Uuid;

    fn append(store: &Store, tag: &str) {
        let mut commit = CommitBuilder::new();
        commit.event(NewEvent {
            id: Uuid::now_v7(),
            stream: StreamId::new("raw-1").unwrap(),
            event_type: EventType::new("raw.happened").unwrap(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: vec![Tag::new(tag).unwrap()],
            metadata: Metadata::default(),
            payload: b"{}".to_vec(),
        });
        tokio::task::block_in_place(|| store.append(commit.prepare().unwrap()).unwrap());
    }

    async fn next(subscriber: Box<Subscriber>) -> (String, Box<Subscriber>) {
        let next = tokio::time::timeout(Duration::from_secs(60), subscriber.next());
        let Ok(next) = next.await.expect("something comes");
        let (bytes, subscriber) = next.expect("it goes on");
        (String::from_utf8(bytes.to_vec()).unwrap(), subscriber)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_gets_nothing_is_told_how_far_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let models = ReadModels::open(dir.path(), &store.log());
        let service = QueryService::over(dir.path(), store.log(), models, || None);
        let wanted = Wanted {
            filter: Filter::Tag(Tag::new("a").unwrap()),
            person: None,
            audience: Audience::of(&Principal::local()),
        };
        let seat = service.live().join(vec![Topic::Tag("a".to_owned())]).unwrap();
        let mut subscriber = Box::new(Subscriber::new(service.clone(), seat, wanted, Position::ZERO));
        subscriber.silence_max = Duration::from_millis(20);
        let (head, subscriber) = next(subscriber).await;
        assert_eq!(head, "retry: 1000\n: at 0\n\n");
        let (heartbeat, mut subscriber) = next(subscriber).await;
        assert_eq!(heartbeat, ": at 0\n\n");
        for _ in 0..5 {
            append(&store, "b");
        }
        // The hub comes to it by and by; nobody is woken for that.
        loop {
            let (news, again) = next(subscriber).await;
            subscriber = again;
            if news == ": at 5\nid: 4\n\n" {
                break;
            }
        }
        assert_eq!(service.live().wakes(), 0);
        let (heartbeat, subscriber) = next(subscriber).await;
        assert_eq!(heartbeat, ": at 5\n\n", "the id is told once");
        append(&store, "a");
        let (mut event, mut subscriber) = next(subscriber).await;
        while event == ": at 5\n\n" {
            (event, subscriber) = next(subscriber).await;
        }
        assert!(event.starts_with("id: 5\nevent: raw.happened\ndata: {"), "{event}");
        let (heartbeat, _) = next(subscriber).await;
        assert_eq!(heartbeat, ": at 6\n\n");
        assert_eq!(service.live().wakes(), 1);
    }
}
