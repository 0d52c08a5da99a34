//! What a history says of every item, by a straight reading of its lines.
//!
//! Invariant: this shares no code with Sunday; where both agree, they agree about the history, not about a bug.

use crate::client::Client;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// One item, as far as it is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The name of its column.
    pub column: String,
    /// Whether it is done.
    pub completed: bool,
    /// Who it is assigned to.
    pub assignees: BTreeSet<String>,
    /// Its title; empty where the history has none.
    pub title: String,
    /// How many comments it has.
    pub comments: usize,
    /// What it is about, at length.
    pub description: Option<String>,
    /// Its custom fields; those that are null are none.
    pub fields: BTreeMap<String, Value>,
    /// The project that it belongs to.
    pub project: String,
}

#[derive(Debug, Default)]
struct Item {
    seen: Expected,
    /// Their texts, by the names that the history has for them.
    comments: BTreeMap<String, String>,
    /// Nulls included: a null that becomes a null has not changed.
    fields: HashMap<String, Value>,
}

/// What a whole history says.
#[derive(Debug, Default)]
pub struct Oracle {
    /// By `stream_key`.
    pub items: BTreeMap<String, Expected>,
    /// The texts of the comments on each item.
    pub comments: BTreeMap<String, Vec<String>>,
    /// Lines.
    pub lines: u64,
    /// Lines that change nothing.
    pub unchanged: u64,
}

/// Reads a history and folds it.
#[must_use]
pub fn read(path: &Path) -> Oracle {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    let mut early: HashMap<String, Vec<Value>> = HashMap::new();
    let mut oracle = Oracle::default();
    for line in BufReader::new(MultiGzDecoder::new(BufReader::new(file))).lines() {
        let line: Value = serde_json::from_str(&line.expect("a line")).expect("every line is JSON");
        oracle.lines += 1;
        let key = text(&line["stream_key"]).expect("every line has a key");
        if line["type"] == "item.created" {
            let mut item = created(&line["data"]);
            for line in early.remove(&key).unwrap_or_default() {
                oracle.unchanged += u64::from(!item.take(&line, oracle.lines));
            }
            items.insert(key, item);
        } else if let Some(item) = items.get_mut(&key) {
            oracle.unchanged += u64::from(!item.take(&line, oracle.lines));
        } else {
            early.entry(key).or_default().push(line);
        }
    }
    assert!(early.is_empty(), "these histories create every item that they name");
    for (key, item) in items {
        let fields = item.fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
        let seen = Expected { comments: item.comments.len(), fields, ..item.seen };
        oracle.comments.insert(key.clone(), item.comments.into_values().collect());
        oracle.items.insert(key, seen);
    }
    oracle
}

fn created(data: &Value) -> Item {
    let own = ["workspace", "project", "board", "title", "description", "column", "assignee", "final"];
    let fields =
        data.as_object().expect("an object").iter().filter(|(name, _)| !own.contains(&name.as_str()));
    Item {
        seen: Expected {
            column: text(&data["column"]).expect("these histories name a column"),
            completed: false,
            assignees: text(&data["assignee"]).into_iter().collect(),
            title: text(&data["title"]).unwrap_or_default(),
            comments: 0,
            description: text(&data["description"]),
            fields: BTreeMap::new(),
            project: text(&data["project"]).expect("every creation names a project"),
        },
        comments: BTreeMap::new(),
        fields: fields.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

impl Item {
    /// Takes in a line; says whether it changes anything.
    fn take(&mut self, line: &Value, ordinal: u64) -> bool {
        let data = &line["data"];
        match line["type"].as_str().expect("every line has a type") {
            "item.moved" => {
                let to = text(&data["to"]).expect("a move says where to");
                let moves = to != self.seen.column;
                self.seen.column = to;
                moves
            }
            "item.assigned" => {
                let before = self.seen.assignees.clone();
                if let Some(from) = text(&data["from"]) {
                    self.seen.assignees.remove(&from);
                }
                self.seen.assignees.extend(text(&data["to"]));
                self.seen.assignees != before
            }
            "item.completed" => !std::mem::replace(&mut self.seen.completed, true),
            "item.reopened" => std::mem::replace(&mut self.seen.completed, false),
            "item.updated" => self.update(data),
            "comment.added" => {
                let named = text(&data["comment_id"]).or_else(|| text(&data["source_id"]));
                // A comment without a name is one of its own.
                let name = named.unwrap_or_else(|| format!("line {ordinal}"));
                if self.comments.contains_key(&name) {
                    return false;
                }
                self.comments.insert(name, text(&data["body"]).unwrap_or_default());
                true
            }
            "comment.edited" => match (text(&data["comment_id"]), text(&data["body"])) {
                (Some(name), Some(body)) => {
                    self.comments.entry(name).and_modify(|comment| *comment = body);
                    true
                }
                (_, body) => body.is_some(),
            },
            "comment.deleted" => {
                self.comments.remove(&text(&data["comment_id"]).expect("a comment's name")).is_some()
            }
            "attachment.added" => true,
            other => panic!("these histories have no {other}"),
        }
    }

    fn update(&mut self, data: &Value) -> bool {
        let Some(field) = text(&data["field"]) else { return false };
        if field == "touched" || data.get("to").is_none() {
            return false;
        }
        let to = data["to"].clone();
        match field.as_str() {
            "title" => {
                let to = text(&to).unwrap_or_default();
                let changes = to != self.seen.title;
                self.seen.title = to;
                changes
            }
            "description" => panic!("these histories do not change descriptions"),
            _ => self.fields.insert(field, to.clone()).as_ref() != Some(&to),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

impl Oracle {
    /// Asks the query API for every item and compares.
    pub fn compare(&self, query: Client) {
        let wrong: Vec<String> =
            self.items.iter().filter_map(|(key, expected)| difference(query, key, expected)).collect();
        let shown = wrong.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        assert!(wrong.is_empty(), "{} of {} items differ:\n{shown}", wrong.len(), self.items.len());
    }

    /// Checks the sums of a first import.
    pub fn check_first_import(&self, summary: &Value) {
        let of = |name: &str| summary[name].as_u64().expect("a number");
        assert_eq!(summary["rejections"], serde_json::json!([]));
        assert_eq!(of("lines"), self.lines);
        assert_eq!(of("duplicate"), 0);
        assert_eq!(of("unchanged"), self.unchanged);
        assert_eq!(of("applied"), self.lines - self.unchanged);
    }

    /// Checks the sums of an import of what is there already.
    pub fn check_second_import(&self, summary: &Value) {
        assert_eq!(summary["duplicate"], self.lines, "{summary}");
        assert_eq!(summary["lines"], self.lines);
    }
}

fn difference(query: Client, key: &str, expected: &Expected) -> Option<String> {
    let path = format!("/api/v1/items?externalKey={}", percent_encoded(key));
    let answer = query.try_get(&path).unwrap_or_else(|error| panic!("GET {path}: {error}"));
    if answer.status != 200 {
        return Some(format!("{key}: status {}", answer.status));
    }
    let list = answer.json();
    let items = list["items"].as_array().expect("a list of items");
    let [item] = items.as_slice() else { return Some(format!("{key}: {} items", items.len())) };
    let assignees = item["assignees"].as_array().expect("a list of assignees");
    let found = Expected {
        column: text(&item["column"]["name"]).unwrap_or_default(),
        completed: item["completed"].as_bool().expect("a boolean"),
        assignees: assignees.iter().filter_map(text).collect(),
        title: text(&item["title"]).expect("a title"),
        comments: usize::try_from(item["commentCount"].as_u64().expect("a number")).expect("not that many"),
        description: text(&item["description"]),
        fields: item["fields"].as_object().expect("an object").clone().into_iter().collect(),
        // Compared by the statistics.
        project: expected.project.clone(),
    };
    let is_right =
        found == *expected && assignees.len() == expected.assignees.len() && item["externalKey"] == key;
    (!is_right).then(|| format!("{key}: expected {expected:?}\n  found {item}"))
}

impl Oracle {
    /// Asks for what is made of many items: the projects' statistics, and what everybody is to do.
    pub fn compare_sums(&self, query: Client) {
        let (mut projects, mut people) = (BTreeMap::new(), BTreeMap::<_, u64>::new());
        for item in self.items.values() {
            let (total, completed): &mut (u64, u64) = projects.entry(item.project.as_str()).or_default();
            *total += 1;
            *completed += u64::from(item.completed);
            for person in &item.assignees {
                *people.entry(person.as_str()).or_default() += 1;
            }
        }
        let (mut list, mut offset) = (Vec::new(), Some(0));
        while let Some(from) = offset {
            let page = query.get(&format!("/api/v1/projects?limit=500&offset={from}")).json();
            list.extend(page["projects"].as_array().expect("a list of projects").iter().cloned());
            offset = page["next"].as_u64();
        }
        assert_eq!(list.len(), projects.len());
        for project in &list {
            let (name, id) =
                (project["name"].as_str().expect("a name"), project["id"].as_str().expect("an id"));
            let told = query.get(&format!("/api/v1/projects/{id}/statistics")).json();
            let (total, completed) = projects[name];
            assert_eq!((&told["total"], &told["completed"]), (&total.into(), &completed.into()), "{name}");
        }
        for (person, count) in people {
            let path = format!("/api/v1/users/{}/items?limit=1", percent_encoded(person));
            assert_eq!(query.get(&path).json()["total"], count, "{person}");
        }
    }
}

/// RFC 3986 §2.1, for everything but the unreserved characters.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
