//! Promise: whoever asks with the `Sunday-Position` of their command as `minPosition` sees what the command did, on every
//! endpoint, whatever everybody else does meanwhile.
//!
//! `SUNDAY_TEST_PAIRS` says how many commands are looked after (1,500 unless it is set). A million:
//! `SUNDAY_TEST_PAIRS=1000000 cargo test --release --workspace --test read_your_writes`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test says what it expects by panicking; small numbers are chosen at random"
)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::random::Random;
use tests::{Answer, Connection, Sunday, size};

const CLIENTS: u64 = 12;
/// Items that a client has at a time, so that one page shows all of them.
const ITEMS_MAX: usize = 20;
/// What needs the index waits for its next commit, so only one question in so many does.
const SEARCHES: u64 = 25;

/// What a client knows of an item of its own.
#[derive(Debug, Clone)]
struct Item {
    id: String,
    title: String,
    column: usize,
    completed: bool,
    comments: Vec<(String, String)>,
    version: u64,
}

/// A client with a workspace of its own, in which nobody else writes.
struct Reader {
    number: u64,
    command: Connection,
    query: Connection,
    random: Random,
    person: String,
    workspace: String,
    project: String,
    board: String,
    columns: [String; 2],
    items: Vec<Item>,
    created: u64,
    /// Names something new every time.
    next: u64,
}

fn must(answer: &Answer, what: &str) -> Value {
    assert!((200..300).contains(&answer.status), "{what}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

impl Reader {
    fn new(sunday: &Sunday, number: u64, mut random: Random) -> Self {
        let mut command = Connection::open(sunday.command).unwrap();
        let mut post = |path: &str, body: Value| {
            let answer = command.send("POST", path, &[], &body).unwrap();
            must(&answer, path)["id"].as_str().unwrap().to_owned()
        };
        let workspace = post("/api/v1/workspaces", json!({"name": format!("workspace {number}")}));
        let project = post("/api/v1/projects", json!({"workspaceId": workspace, "name": "p"}));
        let columns = [0, 1].map(|column| {
            let (high, low) = (random.below(1 << 48), random.below(1 << 48));
            format!("0197a3c0-0000-7000-8{column:03x}-{:012x}", high ^ low)
        });
        let [todo, doing] = &columns;
        let columns_of = json!([{"id": todo, "name": "To do"}, {"id": doing, "name": "Doing"}]);
        let board = post("/api/v1/boards", json!({"projectId": project, "name": "b", "columns": columns_of}));
        let query = Connection::open(sunday.query).unwrap();
        let person = format!("person-{number}");
        Self {
            number,
            command,
            query,
            random,
            person,
            workspace,
            project,
            board,
            columns,
            items: Vec::new(),
            created: 0,
            next: 0,
        }
    }

    fn command(&mut self, method: &str, path: &str, body: &Value) -> (Value, u64) {
        let answer = self.command.send(method, path, &[], body).unwrap();
        (must(&answer, &format!("{method} {path} {body}")), answer.position())
    }

    /// A word that nobody has used.
    fn word(&mut self) -> String {
        self.next += 1;
        let mut word = "w".to_owned();
        let mut left = self.next * CLIENTS + self.number;
        // Letters only: a sign or a digit would make several words of it.
        while left > 0 {
            word.extend(char::from_u32(u32::from(b'a') + (left % 26) as u32));
            left /= 26;
        }
        word
    }

    /// Something, and the position and item that it was done to.
    fn act(&mut self) -> (u64, usize) {
        if self.items.len() < 3 || (self.items.len() < ITEMS_MAX && self.random.below(6) == 0) {
            let title = self.word();
            let body = json!({"boardId": self.board, "columnId": self.columns[0], "title": title,
                "assignees": [self.person], "externalKey": title});
            let (answer, position) = self.command("POST", "/api/v1/items", &body);
            let id = answer["id"].as_str().unwrap().to_owned();
            let item = Item { id, title, column: 0, completed: false, comments: Vec::new(), version: 0 };
            self.items.push(item);
            self.created += 1;
            return (position, self.items.len() - 1);
        }
        let which = self.random.below(self.items.len() as u64) as usize;
        let item = self.items[which].clone();
        let path = format!("/api/v1/items/{}", item.id);
        let position = match self.random.below(8) {
            0 if self.items.len() > 5 => {
                let position = self.command("DELETE", &path, &json!({})).1;
                self.items.remove(which);
                return (position, 0);
            }
            1 | 2 => {
                let to = 1 - item.column;
                let body = json!({"columnId": self.columns[to]});
                self.items[which].column = to;
                self.command("POST", &format!("{path}/move"), &body).1
            }
            3 => {
                let word = if item.completed { "reopen" } else { "complete" };
                self.items[which].completed = !item.completed;
                self.command("POST", &format!("{path}/{word}"), &json!({})).1
            }
            4 | 5 => {
                let word = self.word();
                let (answer, position) =
                    self.command("POST", &format!("{path}/comments"), &json!({"body": word}));
                let id = answer["id"].as_str().unwrap().to_owned();
                self.items[which].comments.push((id, word));
                return (position, which);
            }
            _ => {
                let title = self.word();
                let position = self.command("PATCH", &path, &json!({"title": title})).1;
                self.items[which].title = title;
                position
            }
        };
        self.items[which].version += 1;
        (position, which)
    }

    fn ask(&mut self, path: &str, position: u64) -> Value {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}minPosition={position}&timeoutMs=30000");
        let answer = self.query.send("GET", &path, &[], &Value::Null).unwrap();
        let body = must(&answer, &path);
        assert!(answer.position() >= position, "{path} tells {}", answer.position());
        body
    }

    /// One question about what was just done; returns its name.
    fn look(&mut self, position: u64, which: usize) -> &'static str {
        let Item { id, title, column, completed, comments, version } = self.items[which].clone();
        let (board, person) = (self.board.clone(), self.person.clone());
        let newest = position - 1;
        if self.random.below(SEARCHES) == 0 {
            return self.search(position, &self.items[which].clone());
        }
        match self.random.below(15) {
            0 | 1 => {
                let item = self.ask(&format!("/api/v1/items/{id}"), position);
                assert_eq!(
                    (
                        &item["title"],
                        &item["completed"],
                        &item["column"]["id"],
                        &item["commentCount"],
                        &item["version"]
                    ),
                    (
                        &json!(title),
                        &json!(completed),
                        &json!(self.columns[column]),
                        &json!(comments.len()),
                        &json!(version)
                    ),
                    "{item}"
                );
                "item"
            }
            2 => {
                let key = self.items[which].title.clone();
                let first = self.ask(&format!("/api/v1/items/{id}?asOf={position}"), position);
                assert_eq!((&first["title"], &first["version"]), (&json!(key), &json!(version)), "{first}");
                "item as of"
            }
            3 => {
                let view = self.ask(&format!("/api/v1/boards/{board}/view?limit={ITEMS_MAX}"), position);
                let mut shown = BTreeMap::new();
                for column in view["columns"].as_array().unwrap() {
                    for card in column["items"].as_array().unwrap() {
                        let id = card["id"].as_str().unwrap().to_owned();
                        shown.insert(id, (column["id"].clone(), card["title"].clone()));
                    }
                }
                let expected: BTreeMap<_, _> = self
                    .items
                    .iter()
                    .map(|item| (item.id.clone(), (json!(self.columns[item.column]), json!(item.title))))
                    .collect();
                assert_eq!(shown, expected);
                "board view"
            }
            4 => {
                let path = format!("/api/v1/projects/{}/statistics", self.project);
                let statistics = self.ask(&path, position);
                let done = self.items.iter().filter(|item| item.completed).count();
                assert_eq!(
                    (&statistics["total"], &statistics["completed"]),
                    (&json!(self.items.len()), &json!(done)),
                    "{statistics}"
                );
                "statistics"
            }
            5 => {
                let work = self.ask(&format!("/api/v1/users/{person}/items?completed=false"), position);
                let mut told: Vec<_> = work["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item["id"].as_str().unwrap())
                    .collect();
                let open = self.items.iter().filter(|item| !item.completed);
                let mut expected: Vec<_> = open.map(|item| item.id.as_str()).collect();
                told.sort_unstable();
                expected.sort_unstable();
                assert_eq!(told, expected);
                "work"
            }
            6 => {
                let feed = self.ask(&format!("/api/v1/activity?boardId={board}&limit=1"), position);
                assert_eq!(feed["entries"][0]["position"], newest, "{feed}");
                "activity of a board"
            }
            7 => {
                let feed =
                    self.ask(&format!("/api/v1/activity?workspaceId={}&limit=1", self.workspace), position);
                assert_eq!(feed["entries"][0]["position"], newest, "{feed}");
                "activity of a workspace"
            }
            8 => {
                let history =
                    self.ask(&format!("/api/v1/items/{id}/history?direction=backward&limit=1"), position);
                assert_eq!(history["version"], version, "{history}");
                "history"
            }
            9 => {
                let stream = self
                    .ask(&format!("/api/v1/streams/item-{id}/events?direction=backward&limit=1"), position);
                assert_eq!(stream["events"][0]["version"], version, "{stream}");
                "stream"
            }
            10 => {
                let events = self.ask(&format!("/api/v1/events?from={newest}&limit=1"), position);
                assert_eq!(events["events"][0]["position"], newest, "{events}");
                "events"
            }
            11 => {
                let days = self.ask(&format!("/api/v1/boards/{board}/analytics"), position);
                let days = days["days"].as_array().unwrap();
                let created: u64 = days.iter().map(|day| day["created"].as_u64().unwrap()).sum();
                let open = self.items.iter().filter(|item| !item.completed).count();
                assert_eq!(
                    (created, &days.last().unwrap()["workInProgress"]),
                    (self.created, &json!(open)),
                    "{days:?}"
                );
                "analytics"
            }
            12 if !comments.is_empty() => {
                let list = self.ask(&format!("/api/v1/items/{id}/comments?limit=500"), position);
                let told: Vec<_> = list["comments"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|comment| comment["body"].clone())
                    .collect();
                let expected: Vec<_> =
                    comments.iter().rev().take(500).rev().map(|(_, body)| json!(body)).collect();
                assert_eq!(list["total"], comments.len());
                if comments.len() <= 500 {
                    assert_eq!(told, expected);
                }
                let (last, body) = comments.last().unwrap();
                let comment = self.ask(&format!("/api/v1/comments/{last}"), position);
                assert_eq!(comment["body"], json!(body));
                "comments"
            }
            13 => {
                let found = self.ask(&format!("/api/v1/boards?projectId={}", self.project), position);
                assert_eq!(found["boards"][0]["itemCount"], self.items.len(), "{found}");
                "boards"
            }
            _ => {
                let body = self.ask("/api/v1/projections", position);
                for projection in body["projections"].as_array().unwrap() {
                    assert!(projection["position"].as_u64().unwrap() >= position, "{body}");
                }
                "projections"
            }
        }
    }

    fn search(&mut self, position: u64, item: &Item) -> &'static str {
        match item.comments.last() {
            Some((id, body)) if self.random.below(2) == 0 => {
                let found = self.ask(&format!("/api/v1/search?q={body}&kind=comment"), position);
                assert_eq!((&found["total"], &found["hits"][0]["id"]), (&json!(1), &json!(id)), "{found}");
                "search of a comment"
            }
            _ => {
                let state = if item.completed { "completed" } else { "open" };
                let column = &self.columns[item.column];
                let path = format!("/api/v1/search?q=title:{}&state={state}&column={column}", item.title);
                let found = self.ask(&path, position);
                assert_eq!(
                    (&found["total"], &found["hits"][0]["id"]),
                    (&json!(1), &json!(item.id)),
                    "{found}"
                );
                "search of an item"
            }
        }
    }
}

#[test]
fn whoever_names_their_position_sees_their_write() {
    let pairs = size("SUNDAY_TEST_PAIRS", 1_500);
    let mut random = Random::seeded();
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::three_processes(data.path(), ["command-api", "projector", "query-api"]);
    let (left, counts) = (AtomicU64::new(pairs), Mutex::new(BTreeMap::<&str, u64>::new()));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut reader = Reader::new(&sunday, number, random.fork());
            let (left, counts) = (&left, &counts);
            scope.spawn(move || {
                let mut own = BTreeMap::<&str, u64>::new();
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    let (position, which) = reader.act();
                    *own.entry(reader.look(position, which)).or_default() += 1;
                }
                let mut counts = counts.lock().unwrap();
                own.into_iter().for_each(|(name, count)| *counts.entry(name).or_default() += count);
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    eprintln!("{counts:?}");
    assert_eq!(counts.values().sum::<u64>(), pairs);
    assert!(counts.len() >= 15, "some endpoints were not asked: {counts:?}");
    sunday.stop();
}
