//! Who looks at a board right now, and where: shared among the sockets of one process, and in no log.
//!
//! Invariant: nothing is queued for anybody. A room holds its present state; whoever is told compares it with what he was
//! told last. So a slow socket misses nothing but what was replaced meanwhile, and a room takes the same memory however
//! fast cursors move.

use domain::BoardId;
use parking_lot::Mutex;
use projector::models::Name;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Sessions of one board that are shown, and told of each other; further ones only follow the board. Everybody is told of
/// everybody, so this is squared.
const SHOWN_MAX: usize = 200;
/// Changes are told together, this often at most, in a room of this many; in a fuller one less often.
const TOLD_EVERY: Duration = Duration::from_millis(50);
const TOLD_EVERY_SESSIONS: u32 = 10;

/// All boards that somebody looks at.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Arc<Mutex<ByBoard>>);

/// Rooms, and how many are in each, shown or not.
type ByBoard = HashMap<BoardId, (Arc<Room>, usize)>;

#[derive(Debug)]
struct Room {
    sessions: Mutex<BTreeMap<Uuid, Session>>,
    /// Counts the changes.
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Session {
    person: Name,
    cursor: Option<Box<RawValue>>,
    /// The change that this was last touched by.
    touched: u64,
}

/// One session's place in a room, which it leaves by dropping it.
#[derive(Debug)]
pub(crate) struct Presence {
    rooms: Arc<Mutex<ByBoard>>,
    board: BoardId,
    room: Arc<Room>,
    pub(super) session: Uuid,
    is_shown: bool,
    changes: watch::Receiver<u64>,
    /// The change up to which the client has been told, and whom it knows.
    told: u64,
    known: BTreeSet<Uuid>,
}

/// Somebody who is there.
#[derive(Debug, Serialize)]
pub(super) struct Present {
    session: Uuid,
    person: Name,
    cursor: Option<Box<RawValue>>,
}

/// What has changed since the client was told.
#[derive(Debug, Default, Serialize)]
pub(super) struct Changes {
    joined: Vec<Present>,
    moved: Vec<Moved>,
    left: Vec<Uuid>,
}

/// Somebody's cursor, wherever it is now.
#[derive(Debug, Serialize)]
struct Moved {
    session: Uuid,
    cursor: Option<Box<RawValue>>,
}

impl Rooms {
    /// A session of somebody joins those who look at a board.
    pub(crate) fn join(&self, board: BoardId, person: &str, session: Uuid) -> Presence {
        let room = {
            let mut rooms = self.0.lock();
            let (room, count) = rooms.entry(board).or_insert_with(|| {
                let room = Room { sessions: Mutex::default(), changed: watch::Sender::new(0) };
                (Arc::new(room), 0)
            });
            *count += 1;
            Arc::clone(room)
        };
        let mut is_shown = false;
        room.change(|sessions, touched| {
            is_shown = sessions.len() < SHOWN_MAX;
            if is_shown {
                sessions.insert(session, Session { person: Name::new(person), cursor: None, touched });
            }
            is_shown
        });
        let changes = room.changed.subscribe();
        let rooms = Arc::clone(&self.0);
        Presence { rooms, board, room, session, is_shown, changes, told: 0, known: BTreeSet::new() }
    }

    /// Boards that somebody looks at.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Room {
    /// Changes who is there; `change` says whether it has.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<Uuid, Session>, u64) -> bool) {
        let mut sessions = self.sessions.lock();
        // Under the lock, so that numbers and changes are in one order.
        let next = *self.changed.borrow() + 1;
        if change(&mut sessions, next) {
            self.changed.send_replace(next);
        }
    }
}

impl Presence {
    /// Says where this session is.
    pub(super) fn moves(&self, cursor: Option<Box<RawValue>>) {
        self.room.change(|sessions, touched| {
            let Some(session) = sessions.get_mut(&self.session) else { return false };
            session.cursor = cursor;
            session.touched = touched;
            true
        });
    }

    /// Comes when there may be something to tell.
    pub(super) async fn changed(&mut self) {
        // It fails only when the room is gone, which this place in it keeps.
        let _ = self.changes.changed().await;
    }

    /// How long changes are collected.
    pub(super) fn pause(&self) -> Duration {
        let sessions = u32::try_from(self.room.sessions.lock().len()).unwrap_or(u32::MAX);
        TOLD_EVERY * (sessions / TOLD_EVERY_SESSIONS).max(1)
    }

    /// What the client has not been told of the others; nothing where that is nothing.
    pub(super) fn news(&mut self) -> Option<Changes> {
        if !self.is_shown {
            return None;
        }
        let mut changes = Changes::default();
        let sessions = self.room.sessions.lock();
        let now = *self.room.changed.borrow();
        for (id, session) in sessions.iter().filter(|(id, _)| **id != self.session) {
            if self.known.insert(*id) {
                let person = session.person.clone();
                changes.joined.push(Present { session: *id, person, cursor: session.cursor.clone() });
            } else if session.touched > self.told {
                changes.moved.push(Moved { session: *id, cursor: session.cursor.clone() });
            }
        }
        self.known.retain(|id| {
            let is_there = sessions.contains_key(id);
            if !is_there {
                changes.left.push(*id);
            }
            is_there
        });
        drop(sessions);
        self.told = now;
        let is_news = !(changes.joined.is_empty() && changes.moved.is_empty() && changes.left.is_empty());
        is_news.then_some(changes)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.room.change(|sessions, _| sessions.remove(&self.session).is_some());
        let mut rooms = self.rooms.lock();
        if let Some((_, count)) = rooms.get_mut(&self.board) {
            *count -= 1;
            if *count == 0 {
                rooms.remove(&self.board);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(presence: &mut Presence) -> serde_json::Value {
        serde_json::to_value(presence.news()).unwrap()
    }

    fn cursor(json: &str) -> Option<Box<RawValue>> {
        Some(RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn everybody_is_told_what_is_and_not_what_was() {
        let rooms = Rooms::default();
        let board = BoardId::new(Uuid::from_u128(1));
        let [ann, ben] = ["ann", "ben"];
        let mut one = rooms.join(board, ann, Uuid::now_v7());
        assert!(one.news().is_none(), "nobody is told of himself");
        let mut other = rooms.join(board, ben, Uuid::now_v7());
        let elsewhere = rooms.join(BoardId::new(Uuid::from_u128(2)), ben, Uuid::now_v7());
        for number in 0..100 {
            other.moves(cursor(&number.to_string()));
        }
        let news = told(&mut one);
        assert_eq!(news["joined"][0]["person"], "ben");
        assert_eq!(news["joined"][0]["cursor"], 99);
        assert_eq!(news["joined"].as_array().unwrap().len(), 1);
        assert!(one.news().is_none());
        for number in 0..100 {
            other.moves(cursor(&format!("{{\"x\":{number}}}")));
        }
        let news = told(&mut one);
        assert_eq!(news["moved"], serde_json::json!([{"session": other.session, "cursor": {"x": 99}}]));
        assert_eq!(told(&mut other)["joined"][0]["person"], "ann");
        let gone = other.session;
        drop(other);
        assert_eq!(told(&mut one)["left"], serde_json::json!([gone]));
        assert!(one.news().is_none());
        drop((one, elsewhere));
        assert_eq!(rooms.len(), 0);
    }

    #[test]
    fn a_crowd_is_shown_in_part_and_makes_room_by_leaving() {
        let rooms = Rooms::default();
        let board = BoardId::new(Uuid::from_u128(1));
        let join = || rooms.join(board, "ann", Uuid::now_v7());
        let mut first = join();
        assert_eq!(first.pause(), TOLD_EVERY);
        let crowd: Vec<Presence> = (1..SHOWN_MAX).map(|_| join()).collect();
        assert_eq!(first.pause(), TOLD_EVERY * 20);
        let mut late = join();
        late.moves(cursor("1"));
        assert!(late.news().is_none(), "who is not shown is not told");
        assert_eq!(told(&mut first)["joined"].as_array().unwrap().len(), SHOWN_MAX - 1);
        drop(crowd);
        assert_eq!(told(&mut first)["left"].as_array().unwrap().len(), SHOWN_MAX - 1);
        let mut next = join();
        assert_eq!(told(&mut next)["joined"].as_array().unwrap().len(), 1, "who was not shown stays unseen");
        assert_eq!(told(&mut first)["joined"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_change_is_heard() {
        let rooms = Rooms::default();
        let board = BoardId::new(Uuid::from_u128(1));
        let mut one = rooms.join(board, "ann", Uuid::now_v7());
        let other = rooms.join(board, "ben", Uuid::now_v7());
        one.changed().await;
        assert!(one.news().is_some());
        drop(other);
        one.changed().await;
        assert!(one.news().is_some_and(|changes| changes.left.len() == 1));
    }
}
