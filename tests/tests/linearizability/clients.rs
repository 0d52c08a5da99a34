//! Clients that want random things of few items at the same time, and write down what they were told.
//!
//! Invariant: whatever was sent is in the history; only what was certainly never taken (no connection, 503 before the
//! log) is left out.

use crate::history::{ClientId, Clock, Ended, Moment, Operation};
use crate::words::{
    Answer, Column, Command, Done, Input, ItemName, KeyName, OnConflict, Position, Refused, Request, Title,
    Version, What,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use tests::random::Random;
use tests::{Client, Connection};

/// Items of a board that exist at one time, if they exist.
pub(crate) const SLOTS: u32 = 4;

/// The last one's items are named by an external key, and the server makes their ids.
const EXTERNAL_SLOT: u32 = SLOTS - 1;

const TITLES: u64 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BoardName(pub(crate) usize);

/// What the server calls a board and its columns.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) board: String,
    pub(crate) to_do: String,
    pub(crate) doing: String,
}

/// What clients tell each other, so that they get in each other's way.
#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    generation: u32,
    latest: Option<Version>,
}

#[derive(Debug)]
struct Shared {
    slots: HashMap<(BoardName, u32), Slot>,
    /// Of items with an external key.
    ids: BTreeMap<(BoardName, ItemName), String>,
    /// Commands whose keys somebody else may use too.
    offered: Vec<(BoardName, Command)>,
}

/// All that the clients have in common.
#[derive(Debug)]
pub(crate) struct World {
    places: Vec<Place>,
    clock: Clock,
    shared: Mutex<Shared>,
}

/// What has an external key has this one.
pub(crate) fn external_key(board: BoardName, item: ItemName) -> String {
    format!("lin-{}-{}-{}", board.0, item.slot, item.generation)
}

/// The id of an item that has no external key.
fn id_of(board: BoardName, item: ItemName) -> String {
    format!("0197a3c0-{:04x}-7000-8{:03x}-{:012x}", item.slot, board.0, item.generation)
}

impl World {
    pub(crate) fn new(places: Vec<Place>, clock: Clock) -> Self {
        let shared = Shared { slots: HashMap::new(), ids: BTreeMap::new(), offered: Vec::new() };
        Self { places, clock, shared: Mutex::new(shared) }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("a client that panics ends the test")
    }

    /// The item's id, as far as it is known.
    fn id(&self, board: BoardName, item: ItemName) -> Option<String> {
        if item.slot == EXTERNAL_SLOT {
            self.shared().ids.get(&(board, item)).cloned()
        } else {
            Some(id_of(board, item))
        }
    }

    /// The name of an item that was created with this id, or with an external key.
    pub(crate) fn name(&self, board: BoardName, id: &str, external: Option<&str>) -> Option<ItemName> {
        let shared = self.shared();
        (0..SLOTS)
            .flat_map(|slot| {
                let last = shared.slots.get(&(board, slot)).map_or(0, |slot| slot.generation);
                (0..=last).map(move |generation| ItemName { slot, generation })
            })
            .find(|name| match external {
                Some(external) => external_key(board, *name) == external,
                None => id_of(board, *name) == id,
            })
    }

    fn slot(&self, board: BoardName, slot: u32) -> Slot {
        self.shared().slots.get(&(board, slot)).copied().unwrap_or_default()
    }

    /// Takes in what an answer says of an item.
    fn learn(&self, board: BoardName, request: &Request, answer: &Answer, random: &mut Random) {
        let item = request.item;
        let is_known = self.id(board, item).is_some();
        let mut shared = self.shared();
        let slot = shared.slots.entry((board, item.slot)).or_default();
        if slot.generation != item.generation {
            return;
        }
        let (is_over, version) = match answer {
            Answer::Done(done, _) => (request.what == What::Delete, Some(done.version)),
            Answer::Refused(Refused::Gone) => (true, None),
            // Whoever created it may never tell us its id.
            Answer::Refused(Refused::AlreadyExists) => (!is_known && random.below(5) == 0, None),
            Answer::Refused(Refused::Precondition(version)) => (false, *version),
            Answer::Refused(Refused::Conflict(version)) => (false, Some(*version)),
            _ => (false, None),
        };
        if is_over {
            *slot = Slot { generation: item.generation + 1, latest: None };
        } else {
            slot.latest = slot.latest.max(version);
        }
    }

    /// What a command is over HTTP: method, path, body. The id of its item is known, or it creates it.
    fn http(&self, board: BoardName, request: &Request) -> (&'static str, String, Value) {
        let place = &self.places[board.0];
        let column = |column| if column == Column::Doing { &place.doing } else { &place.to_do };
        let title = |title: Title| format!("title {}", title.0);
        let item = request.item;
        if let What::Create(named, at) = request.what {
            let mut body = json!({"boardId": place.board, "columnId": column(at), "title": title(named)});
            if item.slot == EXTERNAL_SLOT {
                body["externalKey"] = external_key(board, item).into();
            } else {
                body["id"] = id_of(board, item).into();
            }
            return ("POST", "/api/v1/items".to_owned(), body);
        }
        let id = self.id(board, item).expect("only known items are changed");
        let (method, rest, mut body) = match request.what {
            What::Retitle(to) => ("PATCH", "", json!({"title": title(to)})),
            What::Move(to) => ("POST", "/move", json!({"columnId": column(to)})),
            What::Complete => ("POST", "/complete", json!({})),
            What::Reopen => ("POST", "/reopen", json!({})),
            What::Delete | What::Create(..) => ("DELETE", "", json!({})),
        };
        if let Some((version, on_conflict)) = request.base {
            body["baseVersion"] = version.0.into();
            body["onConflict"] = match on_conflict {
                OnConflict::Reject => "reject",
                OnConflict::Merge => "merge",
                OnConflict::LastWriterWins => "last_writer_wins",
            }
            .into();
        }
        (method, format!("/api/v1/items/{id}{rest}"), body)
    }

    /// What the server's answer means; nothing where the command certainly was not taken, or nobody knows (503).
    fn understand(&self, board: BoardName, request: &Request, answer: &tests::Answer) -> Reply {
        let body = answer.json();
        let unexpected = || Reply::Answer(Answer::Else(format!("{} {body}", answer.status)));
        if answer.status == 200 || answer.status == 201 {
            let (Some(id), Some(version), Some(position), Some(status)) = (
                body["id"].as_str(),
                body["version"].as_u64(),
                body["position"].as_u64(),
                body["status"].as_str(),
            ) else {
                return unexpected();
            };
            let known =
                self.shared().ids.entry((board, request.item)).or_insert_with(|| id.to_owned()).clone();
            let is_its_own = request.item.slot == EXTERNAL_SLOT || id == id_of(board, request.item);
            let says_it_twice = answer.header("etag") == Some(&format!("\"{version}\""))
                && answer.header("sunday-position") == Some(&position.to_string());
            if known != id || !is_its_own || !says_it_twice || !["applied", "unchanged"].contains(&status) {
                return unexpected();
            }
            let is_applied = status == "applied";
            let done = Done { is_new: answer.status == 201, is_applied, version: Version(version) };
            return Reply::Answer(Answer::Done(done, Position(position)));
        }
        let current = body["currentVersion"].as_u64().map(Version);
        let refused = match (answer.status, body["code"].as_str(), current) {
            (404, Some("not_found"), _) => Refused::NotFound,
            (410, Some("gone"), _) => Refused::Gone,
            (409, Some("already_exists"), _) => Refused::AlreadyExists,
            (412, Some("version_conflict"), current) => Refused::Precondition(current),
            (409, Some("version_conflict"), Some(current)) if body["conflicts"].is_array() => {
                Refused::Conflict(current)
            }
            (422, Some("wip_limit_reached"), _) => Refused::ColumnFull,
            (422, Some("idempotency_key_reused"), _) => Refused::KeyReused,
            (503, Some("outcome_unknown"), _) => return Reply::Unknown,
            (503, Some("stopping" | "overloaded"), _) => return Reply::NotTaken,
            _ => return unexpected(),
        };
        Reply::Answer(Answer::Refused(refused))
    }
}

/// What came of a request.
enum Reply {
    Answer(Answer),
    Unknown,
    NotTaken,
}

/// One client, over all rounds.
#[derive(Debug)]
pub(crate) struct Actor {
    id: ClientId,
    random: Random,
    seen: HashMap<(BoardName, ItemName), Version>,
    keys: u32,
    /// Whose outcome was not known when the last server died.
    lost: Vec<(BoardName, Command)>,
    history: Vec<(BoardName, Operation<Input, Answer>)>,
}

impl Actor {
    pub(crate) fn new(id: ClientId, random: Random) -> Self {
        Self { id, random, seen: HashMap::new(), keys: 0, lost: Vec::new(), history: Vec::new() }
    }

    pub(crate) fn into_history(self) -> Vec<(BoardName, Operation<Input, Answer>)> {
        self.history
    }

    /// Asks again for about half of what it does not know the outcome of, under the same keys.
    pub(crate) fn ask_again(&mut self, world: &World, server: Client) {
        let lost = std::mem::take(&mut self.lost);
        let Ok(mut connection) = Connection::open(server) else { return };
        for (board, command) in lost {
            if command.key.is_some() && !connection.is_closing() && self.random.below(2) == 0 {
                self.send(world, &mut connection, board, command);
            }
        }
    }

    /// Sends commands until the server is gone.
    pub(crate) fn run(&mut self, world: &World, server: Client) {
        self.ask_again(world, server);
        while let Ok(mut connection) = Connection::open(server) {
            while !connection.is_closing() {
                let (board, command) = self.choose(world);
                self.send(world, &mut connection, board, command);
            }
        }
    }

    /// The server of the last round is gone for good: what has not taken effect by now never will.
    pub(crate) fn is_over(&mut self, gone: Moment) {
        for (_, operation) in self.history.iter_mut().rev() {
            match &mut operation.ended {
                Ended::Unknown { by } if *by == Moment::NEVER => *by = gone,
                _ => {}
            }
        }
    }

    fn send(&mut self, world: &World, connection: &mut Connection, board: BoardName, command: Command) {
        let (method, path, body) = world.http(board, &command.request);
        let if_match = command.if_match.map(|version| format!("\"{}\"", version.0));
        let key = command.key.map(|key| key.to_string());
        let headers: Vec<(&str, &str)> = [("if-match", &if_match), ("idempotency-key", &key)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect();
        let invoked = world.clock.now();
        let reply = connection.send(method, &path, &headers, &body);
        let at = world.clock.now();
        let reply = reply.map_or(Reply::Unknown, |answer| world.understand(board, &command.request, &answer));
        let ended = match reply {
            Reply::Answer(answer) => {
                world.learn(board, &command.request, &answer, &mut self.random);
                if let Answer::Done(done, _) = &answer {
                    self.seen.insert((board, command.request.item), done.version);
                }
                Ended::Answered { at, output: answer }
            }
            Reply::Unknown => {
                self.lost.push((board, command));
                Ended::Unknown { by: Moment::NEVER }
            }
            Reply::NotTaken => return,
        };
        let operation = Operation { client: self.id, invoked, input: Input::Command(command), ended };
        self.history.push((board, operation));
    }

    fn choose(&mut self, world: &World) -> (BoardName, Command) {
        let offered = (self.random.below(100) < 10).then(|| world.shared().offered.pop());
        if let Some((board, mut command)) = offered.flatten() {
            match self.random.below(10) {
                // A key is another's by mistake.
                0..3 => command.request = self.request(world, board),
                // What was demanded of the version is no part of what is repeated.
                3..5 => command.if_match = self.guess(world, board, command.request.item),
                _ => {}
            }
            return (board, command);
        }
        let board = BoardName(index(self.random.below(world.places.len() as u64)));
        let request = self.request(world, board);
        let creates = matches!(request.what, What::Create(..));
        let if_match = if !creates && request.base.is_none() && self.random.below(3) == 0 {
            self.guess(world, board, request.item)
        } else {
            None
        };
        let key = (self.random.below(10) < 5).then(|| {
            self.keys += 1;
            KeyName { client: self.id.0, number: self.keys }
        });
        let command = Command { request, if_match, key };
        if key.is_some() && self.random.below(4) == 0 {
            // Before it is sent, so that both may be on their way at once.
            world.shared().offered.push((board, command));
        }
        (board, command)
    }

    fn request(&mut self, world: &World, board: BoardName) -> Request {
        let slot = u32::try_from(self.random.below(u64::from(SLOTS))).expect("there are few");
        let Slot { mut generation, latest } = world.slot(board, slot);
        if generation > 0 && self.random.below(20) == 0 {
            generation -= 1;
        }
        let item = ItemName { slot, generation };
        let title = Title(self.random.below(TITLES));
        let column = if self.random.below(5) < 3 { Column::Doing } else { Column::ToDo };
        let creates = match latest {
            None => self.random.below(10) < 8,
            Some(_) => self.random.below(100) < 3,
        };
        if creates || world.id(board, item).is_none() {
            return Request { item, what: What::Create(title, column), base: None };
        }
        let what = match self.random.below(100) {
            0..38 => What::Retitle(title),
            38..78 => What::Move(column),
            78..88 => What::Complete,
            88..98 => What::Reopen,
            _ => What::Delete,
        };
        let on_conflict = match self.random.below(8) {
            0 => Some(OnConflict::Reject),
            1 | 2 => Some(OnConflict::Merge),
            3 => Some(OnConflict::LastWriterWins),
            _ => None,
        };
        let base = on_conflict.and_then(|on_conflict| Some((self.guess(world, board, item)?, on_conflict)));
        Request { item, what, base }
    }

    /// A version that the item may have: mostly the newest that anybody has heard of.
    fn guess(&mut self, world: &World, board: BoardName, item: ItemName) -> Option<Version> {
        let newest = world.slot(board, item.slot).latest?;
        let own = self.seen.get(&(board, item)).copied().unwrap_or(newest);
        Some(match self.random.below(20) {
            0..12 => newest,
            12..16 => own,
            16..19 => Version(newest.0.saturating_sub(1 + self.random.below(4))),
            _ => Version(newest.0 + 1),
        })
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("there are few")
}
