//! Dead letters, decisions and swaps, with models that fail when they are told to.

use super::decisions::{Clerk, ClerkThread, DecisionError, Decisions};
use super::{ImageDir, Permit, Role, Steered};
use crate::decode::DecodedEvent;
use crate::generation::Generations;
use crate::image::{self, IMAGES_DIR};
use crate::models::{DigestSum, digest_entity};
use crate::projection::Projection;
use crate::read_model::ReadModel;
use crate::shared::Shared;
use crate::tail::{self, Condition, Stop};
use domain::system::projections::{
    ControlEvent, DeadLettersRetried, ProjectionState, RebuildOutcome, RebuildRequested, SCHEMA_VERSION,
    stream_of,
};
use eventstore::codec::{self, CodecError};
use eventstore::{
    CommitBuilder, ContentType, Digest, EventType, Lineage, Log, Metadata, NewEvent, Position, Store,
    StoreOptions, StreamId,
};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What makes models fail, by store: payloads that hold one of these words.
static POISON: Mutex<BTreeSet<(Uuid, &str)>> = Mutex::new(BTreeSet::new());

const REFUSED: &str = "refused";
const PANICS: &str = "panics";
/// Only some builds fail at it.
const DELICATE: &str = "delicate";

/// Remembers everything in order. `FAILS` is the build that fails at what is delicate, too.
#[derive(Debug)]
struct Everything<const FAILS: bool> {
    store: Uuid,
    taken: Vec<(String, u64)>,
    checkpoint: Lineage,
}

impl<const FAILS: bool> Everything<FAILS> {
    fn is_poison(&self, event: &DecodedEvent<'_>, word: &str) -> bool {
        let text = String::from_utf8_lossy(event.view.payload()).into_owned();
        text.contains(word)
            && POISON.lock().iter().any(|(store, poison)| *store == self.store && *poison == word)
    }
}

impl<const FAILS: bool> ReadModel for Everything<FAILS> {
    const NAME: &'static str = "activity";
    const VERSION: u32 = 77;

    fn begin(store: Uuid) -> Self {
        let checkpoint = Lineage { store, next: Position::ZERO, chain: Digest::default() };
        Self { store, taken: Vec::new(), checkpoint }
    }

    fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }

    fn refuses(&self, event: &DecodedEvent<'_>) -> Option<String> {
        (self.is_poison(event, REFUSED) || FAILS && self.is_poison(event, DELICATE))
            .then(|| "it says so".to_owned())
    }

    fn take_in(&mut self, event: &DecodedEvent<'_>) {
        // Half of it is done by then.
        self.taken.push((event.view.stream().to_owned(), event.view.position().get()));
        assert!(!self.is_poison(event, PANICS), "a bug");
    }

    fn advance(&mut self, to: Lineage) {
        self.checkpoint = to;
    }

    fn digest(&mut self) -> Digest {
        let mut sum = DigestSum::default();
        // The order counts, so the place does.
        for (place, (stream, position)) in self.taken.iter().enumerate() {
            sum.add(&digest_entity(b'e', format!("{place}:{stream}:{position}").as_bytes()));
        }
        sum.digest()
    }

    fn each_digest(&mut self, told: &mut dyn FnMut(&dyn fmt::Display, Digest)) {
        for (stream, position) in &self.taken {
            told(&format_args!("event:{position}"), Digest(digest_entity(b'e', stream.as_bytes())));
        }
    }

    fn count(&self) -> usize {
        self.taken.len()
    }

    fn to_rows(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(&self.taken)
    }

    fn from_rows(rows: &[u8], checkpoint: Lineage) -> Result<Self, CodecError> {
        Ok(Self { store: checkpoint.store, taken: codec::decode(rows)?, checkpoint })
    }
}

/// Writes into the log what makes sense there, as the command API does.
#[derive(Debug)]
struct InLog(Store);

impl Decisions for InLog {
    fn write(&self, projection: &'static str, event: &ControlEvent) -> Result<(), DecisionError> {
        let state = super::state_of(projection, &self.0.log()).unwrap();
        state.admit(event).map_err(|refused| DecisionError::Refused(refused.to_string()))?;
        if state.changes(event) {
            append(&self.0, &stream_of(projection), event.event_type(), event.payload().unwrap());
        }
        Ok(())
    }
}

fn append(store: &Store, stream: &str, event_type: &str, payload: Vec<u8>) -> Position {
    let mut commit = CommitBuilder::new();
    commit.event(NewEvent {
        id: Uuid::now_v7(),
        stream: StreamId::new(stream).unwrap(),
        event_type: EventType::new(event_type).unwrap(),
        content_type: ContentType::Json,
        schema_version: SCHEMA_VERSION,
        tags: Vec::new(),
        metadata: Metadata::default(),
        payload,
    });
    store.append(commit.prepare().unwrap()).unwrap().next
}

struct World {
    dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        Self { dir, store }
    }

    fn say(&self, stream: &str, word: &str) -> Position {
        append(&self.store, stream, "thing.said", format!("\"{word}\"").into_bytes())
    }

    fn control(&self, event: &ControlEvent) -> Position {
        append(&self.store, &stream_of("activity"), event.event_type(), event.payload().unwrap())
    }

    fn poison(&self, word: &'static str) {
        POISON.lock().insert((self.store.store_id(), word));
    }

    fn cure(&self, word: &'static str) {
        POISON.lock().remove(&(self.store.store_id(), word));
    }

    fn state(&self) -> ProjectionState {
        super::state_of("activity", &self.store.log()).unwrap()
    }

    /// What a replay makes now, under the letters of now.
    fn replayed<const FAILS: bool>(&self) -> Vec<(String, u64)> {
        let letters = super::letters_of("activity", &self.store.log()).unwrap();
        let mut shared = Shared::obeying(Everything::<FAILS>::begin(self.store.store_id()), letters);
        tail::catch_up(&self.store.log(), &mut [&mut shared], |_| {}).unwrap();
        assert_eq!(shared.waiting(), None);
        shared.read().taken.clone()
    }
}

/// A process with that model.
struct Process<const FAILS: bool> {
    model: Shared<Everything<FAILS>>,
    stop: Stop,
    thread: Option<JoinHandle<bool>>,
    _clerk: Option<ClerkThread>,
}

impl<const FAILS: bool> Process<FAILS> {
    fn projector(world: &World) -> Self {
        Self::start(world.dir.path(), &world.store.log(), Some(Arc::new(InLog(world.store.clone()))), true)
    }

    fn reader(world: &World) -> Self {
        Self::start(world.dir.path(), &world.store.log(), None, false)
    }

    fn start(data_dir: &Path, log: &Log, decisions: Option<Arc<dyn Decisions>>, decides: bool) -> Self {
        let model = Shared::open(data_dir, log);
        let (role, clerk) = if decides {
            let generations = Generations::new(data_dir, IMAGES_DIR);
            let generation = generations.current().unwrap_or_else(|| {
                let begun = generations.begin().unwrap();
                generations.make_current(&begun).unwrap();
                begun
            });
            let (clerk, thread) = Clerk::start(decisions).unwrap();
            (Role::Projector { clerk, images: ImageDir::new(data_dir, &generation) }, Some(thread))
        } else {
            (Role::Reader { data_dir: Some(data_dir.to_owned()) }, None)
        };
        Self::of(model, log, role, clerk)
    }

    fn of(model: Shared<Everything<FAILS>>, log: &Log, role: Role, clerk: Option<ClerkThread>) -> Self {
        let stop = Stop::telling(Condition::default());
        let thread = {
            let (log, stop) = (log.clone(), stop.clone());
            let mut steered = Steered::new(model.clone(), &log, role, Permit::default());
            std::thread::spawn(move || {
                let is_whole = tail::run(&log, &mut [&mut steered], &stop);
                steered.save().unwrap();
                is_whole
            })
        };
        Self { model, stop, thread: Some(thread), _clerk: clerk }
    }

    fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < Duration::from_secs(30), "never: {what}; {:?}", self.model.waiting());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn until_taken(&self, taken: &[(String, u64)]) {
        self.until(&format!("{taken:?}"), |process| {
            let model = process.model.read();
            process.model.waiting().is_none() && model.taken == taken
        });
    }

    fn words(&self) -> Vec<u64> {
        self.model
            .read()
            .taken
            .iter()
            .filter(|(stream, _)| stream.starts_with("thing"))
            .map(|(_, at)| *at)
            .collect()
    }
}

impl<const FAILS: bool> Drop for Process<FAILS> {
    fn drop(&mut self) {
        self.stop.stop();
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn an_event_that_is_refused_becomes_a_dead_letter_and_holds_back_only_its_own_stream() {
    let world = World::new();
    world.poison(REFUSED);
    for (stream, word) in
        [("thing-a", "x"), ("thing-b", REFUSED), ("thing-a", "x"), ("thing-b", "x"), ("thing-c", "x")]
    {
        world.say(stream, word);
    }
    let projector = Process::<true>::projector(&world);
    projector.until("a decision", |_| world.state().dead_letters.len() == 1);
    let letter = world.state().dead_letters[&1].clone();
    assert_eq!((letter.event.stream_id.as_str(), letter.event.version, letter.attempts), ("thing-b", 0, 1));
    assert_eq!(letter.event.reason, "it says so");
    projector.until("the others", |process| process.words() == [0, 2, 4]);
    // It goes on, and goes on holding back.
    world.say("thing-b", "x");
    let last = world.say("thing-a", "x").get() - 1;
    projector.until("what comes later", |process| process.words() == [0, 2, 4, last]);
}

#[test]
fn a_panic_is_one_events_and_leaves_no_half_of_it() {
    let world = World::new();
    world.poison(PANICS);
    for (stream, word) in [("thing-a", "x"), ("thing-b", PANICS), ("thing-a", "x")] {
        world.say(stream, word);
    }
    let projector = Process::<true>::projector(&world);
    projector.until("a decision", |_| world.state().dead_letters.len() == 1);
    assert!(world.state().dead_letters[&1].event.reason.contains("panicked: a bug"));
    projector.until("the model without it", |process| process.words() == [0, 2]);
    projector.until_taken(&world.replayed::<true>());
}

#[test]
fn who_failed_and_who_did_not_come_to_the_same_digest() {
    let world = World::new();
    world.poison(DELICATE);
    // A build that does not fail at it, and has taken it in when the decision comes.
    let sturdy = Process::<false>::reader(&world);
    for (stream, word) in [("thing-a", "x"), ("thing-b", DELICATE), ("thing-b", "x"), ("thing-c", "x")] {
        world.say(stream, word);
    }
    sturdy.until("all of it", |process| process.words() == [0, 1, 2, 3]);
    // Another that fails, and has nobody to decide.
    let delicate = Process::<true>::reader(&world);
    delicate.until("to wait", |process| process.model.waiting().is_some());
    assert_eq!(delicate.words(), [0]);
    assert_eq!(world.state().dead_letters.len(), 0, "no reader decides");
    let projector = Process::<true>::projector(&world);
    projector.until("a decision", |_| world.state().dead_letters.len() == 1);
    let wanted = world.replayed::<true>();
    projector.until_taken(&wanted);
    delicate.until_taken(&wanted);
    sturdy.until("without it", |process| process.model.read().taken == wanted);
    let digests = (projector.model.digest().1, delicate.model.digest().1, sturdy.model.digest().1);
    assert!(digests.0 == digests.1 && digests.1 == digests.2, "{digests:?}");
}

#[test]
fn a_retry_takes_in_what_was_held_back_in_the_order_of_the_log() {
    let world = World::new();
    world.poison(REFUSED);
    for (stream, word) in
        [("thing-b", REFUSED), ("thing-a", "x"), ("thing-b", "x"), ("thing-b", "x"), ("thing-a", "x")]
    {
        world.say(stream, word);
    }
    let (projector, reader) = (Process::<true>::projector(&world), Process::<false>::reader(&world));
    projector.until("a decision", |_| world.state().dead_letters.len() == 1);
    projector.until("the others", |process| process.words() == [1, 4]);
    reader.until("the others", |process| process.words() == [1, 4]);
    // Too soon: it is decided again, counted, and what is in use does not change.
    world.control(&ControlEvent::DeadLettersRetried(DeadLettersRetried { positions: Some(vec![0]) }));
    projector.until("a second decision", |_| {
        world.state().dead_letters.get(&0).is_some_and(|letter| letter.attempts == 2)
    });
    assert_eq!(projector.words(), [1, 4]);
    world.cure(REFUSED);
    world.control(&ControlEvent::DeadLettersRetried(DeadLettersRetried { positions: None }));
    projector.until("everything", |process| process.words() == [0, 1, 2, 3, 4]);
    reader.until("everything", |process| process.words() == [0, 1, 2, 3, 4]);
    assert!(world.state().dead_letters.is_empty());
    assert_eq!(projector.model.digest().1, reader.model.digest().1);
}

#[test]
fn images_agree_with_the_decisions_that_they_were_made_under() {
    let world = World::new();
    world.poison(REFUSED);
    let images = || image::load::<Everything<true>>(world.dir.path(), &world.store.log());
    {
        for (stream, word) in [("thing-a", "x"), ("thing-b", REFUSED), ("thing-b", "x")] {
            world.say(stream, word);
        }
        let projector = Process::<true>::projector(&world);
        projector.until("a decision", |_| world.state().dead_letters.len() == 1);
        projector.until("all", |process| process.model.checkpoint() == world.store.watermark());
    }
    let image = images().unwrap();
    assert_eq!(image.checkpoint().next, world.store.watermark());
    assert_eq!(image.taken, world.replayed::<true>());
    // A process that starts from it obeys as if it had been there.
    let reader = Process::<true>::reader(&world);
    world.say("thing-b", "x");
    world.say("thing-a", "x");
    reader.until_taken(&world.replayed::<true>());
    drop(reader);
    // Another decision about what it holds makes it a stranger.
    world.cure(REFUSED);
    world.control(&ControlEvent::DeadLettersRetried(DeadLettersRetried { positions: None }));
    assert!(matches!(images(), Err(image::ImageError::OtherLetters)), "{:?}", images());
    let reader = Process::<true>::reader(&world);
    reader.until_taken(&world.replayed::<true>());
    assert_eq!(reader.words(), [0, 1, 2, 4, 5]);
}

#[test]
fn without_anybody_to_write_to_nothing_is_decided_and_it_says_that_it_waits() {
    let world = World::new();
    world.poison(REFUSED);
    let alone = Process::<true>::start(world.dir.path(), &world.store.log(), None, true);
    world.say("thing-a", "x");
    world.say("thing-b", REFUSED);
    world.control(&ControlEvent::RebuildRequested(RebuildRequested {
        rebuild_id: Uuid::now_v7(),
        shadow: false,
    }));
    alone.until("to wait", |process| process.model.waiting().is_some());
    std::thread::sleep(Duration::from_millis(600));
    let waiting = alone.model.waiting().unwrap();
    assert_eq!((waiting.position, waiting.stream_id.as_str()), (Position::new(1), "thing-b"));
    assert!(waiting.to_string().contains("a decision of the projector is waited for"), "{waiting}");
    assert!(world.state().rebuild.is_some() && world.state().dead_letters.is_empty());
}

#[test]
fn a_shadow_of_another_build_reports_and_does_not_swap() {
    let world = World::new();
    for (stream, word) in [("thing-a", "x"), ("thing-b", "x"), ("thing-b", "x")] {
        world.say(stream, word);
    }
    let projector = Process::<true>::projector(&world);
    projector.until("all", |process| process.words() == [0, 1, 2]);
    // What an older build made of one event, say.
    projector.model.write().taken[1].0 = "thing-z".to_owned();
    let ask = |shadow| {
        let id = Uuid::now_v7();
        world.control(&ControlEvent::RebuildRequested(RebuildRequested { rebuild_id: id, shadow }));
        projector.until("an end", |_| world.state().finished.is_some_and(|(_, end)| end.rebuild_id == id));
        world.state().finished.unwrap().1
    };
    let current = || Generations::new(world.dir.path(), IMAGES_DIR).current();
    let before = current();
    let end = ask(true);
    assert_eq!((end.outcome, end.is_equal(), end.differing), (RebuildOutcome::Compared, Some(false), 1));
    assert_eq!(end.differences[0].entity, "event:1");
    assert_ne!(end.differences[0].old, end.differences[0].new);
    assert_eq!(projector.model.read().taken[1].0, "thing-z", "what is in use stays in use");
    assert_eq!(current(), before);
    let end = ask(false);
    assert_eq!((end.outcome, end.is_equal(), end.differing), (RebuildOutcome::Swapped, Some(false), 1));
    projector.until("the right one", |process| process.model.read().taken[1].0 == "thing-b");
    assert_ne!(current(), before);
    let end = ask(false);
    assert_eq!((end.outcome, end.is_equal(), end.differing), (RebuildOutcome::Swapped, Some(true), 0));
}

#[test]
fn a_reader_takes_up_what_the_projector_has_put_into_use() {
    let world = World::new();
    for word in ["x", "y", "z"] {
        world.say("thing-a", word);
    }
    let (projector, reader) = (Process::<true>::projector(&world), Process::<true>::reader(&world));
    projector.until("all", |process| process.words() == [0, 1, 2]);
    reader.until("all", |process| process.words() == [0, 1, 2]);
    reader.model.write().taken[2].0 = "thing-z".to_owned();
    let id = Uuid::now_v7();
    world.control(&ControlEvent::RebuildRequested(RebuildRequested { rebuild_id: id, shadow: false }));
    projector.until("an end", |_| world.state().finished.is_some_and(|(_, end)| end.rebuild_id == id));
    reader.until("the right one", |process| process.model.read().taken[2].0 == "thing-a");
    let end = world.store.watermark();
    reader.until("the end", |process| process.model.checkpoint() == end);
    assert_eq!(Projection::checkpoint(&reader.model).next, end);
    assert_eq!(reader.model.read().taken, world.replayed::<true>());
}

#[test]
fn a_reader_takes_up_what_was_put_into_use_whatever_came_after_it() {
    let world = World::new();
    for word in ["x", "y", "z"] {
        world.say("thing-a", word);
    }
    let projector = Process::<true>::projector(&world);
    projector.until("all", |process| process.words() == [0, 1, 2]);
    // Opened before the swap, and put to work after the end of it and of a comparison that came later.
    let opened: Shared<Everything<true>> = Shared::open(world.dir.path(), &world.store.log());
    let mut opened_early = opened.clone();
    tail::catch_up(&world.store.log(), &mut [&mut opened_early], |_| {}).unwrap();
    opened.write().taken[2].0 = "thing-z".to_owned();
    for shadow in [false, true] {
        let id = Uuid::now_v7();
        world.control(&ControlEvent::RebuildRequested(RebuildRequested { rebuild_id: id, shadow }));
        projector.until("an end", |_| world.state().finished.is_some_and(|(_, end)| end.rebuild_id == id));
    }
    let role = Role::Reader { data_dir: Some(world.dir.path().to_owned()) };
    let reader = Process::of(opened, &world.store.log(), role, None);
    reader.until("the right one", |process| process.model.read().taken[2].0 == "thing-a");
}
