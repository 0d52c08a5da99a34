//! A little model of all five aggregates, as JSON that is folded from stored events alone. It shares no code with
//! the states that it is compared with.

use domain::{
    Aggregate, Life,
    board::{self, Board},
    comment::{self, Comment},
    item::{self, Item},
    project::{self, Project},
    text::TextDigest,
    workspace::{self, Workspace},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// An aggregate that the model knows.
pub(super) trait Modelled: Aggregate + Serialize {
    /// What the state says, in the model's words.
    fn view(&self) -> Value;
    /// Whether the command, repeated at once, changes nothing any more.
    fn settles(command: &Self::Command) -> bool;
}

/// What is known from the events so far.
#[derive(Debug, Default)]
pub(super) struct Model(Map<String, Value>);

impl Model {
    /// What the model expects of [`Modelled::view`].
    pub(super) fn view(&self) -> Value {
        match self.0.get("life") {
            None => json!({"life": "Absent"}),
            Some(life) if life == "Deleted" => json!({"life": "Deleted"}),
            Some(_) => Value::Object(self.0.clone()),
        }
    }

    /// Takes in a stored event.
    pub(super) fn take(&mut self, event_type: &str, data: &Value) {
        let (category, what) = event_type.split_once('.').expect("category.what");
        match (category, what) {
            (_, "archived") => self.set("life", json!("Archived")),
            (_, "restored") => self.set("life", json!("Present")),
            (_, "deleted") => self.set("life", json!("Deleted")),
            ("workspace", "renamed") => self.set("name", data["to"].clone()),
            (_, "member_added") => self.put("members", &data["member"], data["role"].clone()),
            (_, "member_removed") => self.drop_from("members", &data["member"]),
            (_, "member_role_changed") => self.put("members", &data["member"], data["to"].clone()),
            ("workspace", "created") => self.begin(&json!({"name": data["name"], "members": {}})),
            ("project", "created") => {
                self.begin(&json!({"name": data["name"], "description": digest(&data["description"])}));
            }
            ("project" | "board", "updated") => self.label(data),
            ("board", _) => self.take_of_board(what, data),
            ("item", _) => self.take_of_item(what, data),
            ("comment", "added") => {
                self.begin(&json!({"item": data["itemId"], "body": digest(&data["body"])}));
            }
            ("comment", "edited") => self.set("body", digest(&data["body"])),
            _ => panic!("the model does not know {event_type}"),
        }
    }

    fn take_of_board(&mut self, what: &str, data: &Value) {
        let column = |data: &Value| json!([data["columnId"], data["name"], data["wipLimit"]]);
        match what {
            "created" => {
                let columns: Vec<Value> =
                    data["columns"].as_array().into_iter().flatten().map(column).collect();
                self.begin(&json!({
                    "name": data["name"], "description": digest(&data["description"]), "columns": columns,
                    "removed": {}, "members": {}, "fields": {}
                }));
            }
            "column_added" => self.list("columns").insert(index(&data["index"]), column(data)),
            "column_changed" => {
                let at = self.column(&data["columnId"]);
                let column = &mut self.list("columns")[at];
                for (place, name) in [(1, "name"), (2, "wipLimit")] {
                    if let Some(change) = data["changes"].get(name) {
                        column[place] = change["to"].clone();
                    }
                }
            }
            "column_moved" => {
                let at = self.column(&data["columnId"]);
                assert_eq!(at, index(&data["from"]));
                let column = self.list("columns").remove(at);
                self.list("columns").insert(index(&data["to"]), column);
            }
            "column_removed" => {
                let at = self.column(&data["columnId"]);
                self.list("columns").remove(at);
                self.put("removed", &data["columnId"], data["itemsTo"].clone());
            }
            "field_defined" => {
                let options = data.get("options").cloned().unwrap_or_else(|| json!([]));
                self.put("fields", &data["name"], json!([data["kind"], options]));
            }
            "field_removed" => self.drop_from("fields", &data["name"]),
            _ => panic!("the model does not know board.{what}"),
        }
    }

    fn take_of_item(&mut self, what: &str, data: &Value) {
        let strings = |value: &Value| value.as_array().cloned().unwrap_or_default();
        match what {
            "created" => self.begin(&json!({
                "title": data["title"], "description": digest(&data["description"]),
                "column": data["columnId"], "rank": data["rank"], "dueDate": data["dueDate"],
                "assignees": strings(&data["assignees"]), "completed": false,
                "fields": data.get("fields").cloned().unwrap_or_else(|| json!({})),
                "links": [], "attachments": {}
            })),
            "updated" => {
                for (name, change) in data["changes"].as_object().expect("changes") {
                    let to = change["to"].clone();
                    match name.as_str() {
                        "title" | "dueDate" => self.set(name, to),
                        "description" => self.set(name, digest(&to)),
                        _ if to.is_null() => self.drop_from("fields", &json!(name)),
                        _ => self.put("fields", &json!(name), to),
                    }
                }
            }
            "moved" => {
                assert_eq!(self.0["column"], data["fromColumn"]);
                assert_eq!(self.0["rank"], data["fromRank"]);
                self.set("column", data["toColumn"].clone());
                self.set("rank", data["toRank"].clone());
            }
            "ranked" => {
                assert_eq!(self.0["rank"], data["fromRank"]);
                self.set("rank", data["toRank"].clone());
            }
            "assigned" => {
                let people = strings(&data["assignees"]);
                let list = self.list("assignees");
                assert!(people.iter().all(|person| !list.contains(person)), "assigned twice");
                list.extend(people);
            }
            "unassigned" => {
                let people = strings(&data["assignees"]);
                let list = self.list("assignees");
                assert!(people.iter().all(|person| list.contains(person)), "was not assigned");
                list.retain(|person| !people.contains(person));
            }
            "completed" => self.set("completed", json!(true)),
            "reopened" => self.set("completed", json!(false)),
            "linked" => {
                let link = json!([data["kind"], data["itemId"]]);
                let links = self.list("links");
                links.push(link);
                links.sort_by_key(ToString::to_string);
            }
            "unlinked" => {
                let link = json!([data["kind"], data["itemId"]]);
                self.list("links").retain(|known| *known != link);
            }
            "attachment_added" => self.put("attachments", &data["attachmentId"], json!(true)),
            "attachment_removed" => self.put("attachments", &data["attachmentId"], json!(false)),
            _ => panic!("the model does not know item.{what}"),
        }
    }

    fn begin(&mut self, state: &Value) {
        assert!(self.0.is_empty(), "created twice");
        self.0.clone_from(state.as_object().expect("an object"));
        self.set("life", json!("Present"));
    }

    fn label(&mut self, data: &Value) {
        let changes = &data["changes"];
        if let Some(name) = changes.get("name") {
            assert_eq!(self.0["name"], name["from"]);
            self.set("name", name["to"].clone());
        }
        if let Some(description) = changes.get("description") {
            self.set("description", digest(&description["to"]));
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    fn list(&mut self, name: &str) -> &mut Vec<Value> {
        self.0[name].as_array_mut().expect("a list")
    }

    fn put(&mut self, map: &str, key: &Value, value: Value) {
        self.0[map][key.as_str().expect("a key")] = value;
    }

    fn drop_from(&mut self, map: &str, key: &Value) {
        let removed = self.0[map].as_object_mut().expect("a map").remove(key.as_str().expect("a key"));
        assert!(removed.is_some(), "{key} was not in {map}");
    }

    fn column(&mut self, id: &Value) -> usize {
        self.list("columns").iter().position(|column| column[0] == *id).expect("a column")
    }
}

fn index(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a number")).expect("small")
}

fn digest(text: &Value) -> Value {
    text.as_str().map_or(Value::Null, |text| json!(TextDigest::of(text)))
}

/// The parts of a state that have no getter are read off its stored form.
fn stored(state: &impl Serialize) -> Value {
    serde_json::to_value(state).expect("a state has a JSON form")
}

fn unless_gone(life: Life, view: impl FnOnce() -> Value) -> Value {
    match life {
        Life::Absent | Life::Deleted => json!({"life": life}),
        Life::Present | Life::Archived => {
            let mut view = view();
            view["life"] = json!(life);
            view
        }
    }
}

impl Modelled for Workspace {
    fn view(&self) -> Value {
        unless_gone(self.life(), || json!({"name": self.name(), "members": stored(self)["members"]}))
    }

    fn settles(command: &workspace::Command) -> bool {
        use workspace::Command as C;
        matches!(command, C::Rename(_) | C::Archive | C::AddMember(_) | C::ChangeMemberRole(_))
    }
}

impl Modelled for Project {
    fn view(&self) -> Value {
        let stored = stored(self);
        unless_gone(
            self.life(),
            || json!({"name": self.name(), "description": stored["label"]["description"]}),
        )
    }

    fn settles(command: &project::Command) -> bool {
        !matches!(command, project::Command::Create(..))
    }
}

impl Modelled for Board {
    fn view(&self) -> Value {
        let stored = stored(self);
        unless_gone(self.life(), || {
            let columns: Vec<Value> = self
                .columns()
                .iter()
                .map(|column| json!([column.id(), column.name(), column.wip_limit()]))
                .collect();
            let fields = stored["fields"].as_object().expect("a map");
            let fields: Map<String, Value> = fields
                .iter()
                .map(|(name, field)| (name.clone(), json!([field["kind"], field["options"]])))
                .collect();
            json!({
                "name": self.name(), "description": stored["label"]["description"], "columns": columns,
                "removed": stored["removed"], "members": stored["members"], "fields": fields
            })
        })
    }

    fn settles(command: &board::Command) -> bool {
        use board::Command as C;
        matches!(
            command,
            C::Update(_)
                | C::ChangeColumn(..)
                | C::MoveColumn(..)
                | C::AddMember(_)
                | C::ChangeMemberRole(_)
                | C::DefineField(_)
        )
    }
}

impl Modelled for Item {
    fn view(&self) -> Value {
        let stored = stored(self);
        unless_gone(self.life(), || {
            let fields = stored["fields"].as_object().expect("a map");
            let fields: Map<String, Value> = fields
                .iter()
                .map(|(name, text)| {
                    let text = text.as_str().expect("a text");
                    (name.clone(), serde_json::from_str(text).expect("JSON"))
                })
                .collect();
            let mut links = stored["links"].as_array().cloned().expect("a list");
            links.sort_by_key(ToString::to_string);
            json!({
                "title": self.title(), "description": stored["description"], "column": self.column_id(),
                "rank": self.rank().map(domain::Rank::as_str), "dueDate": self.due_date(),
                "assignees": self.assignees(), "completed": self.is_completed(), "fields": fields,
                "links": links, "attachments": stored["attachments"]
            })
        })
    }

    fn settles(command: &item::Command) -> bool {
        use item::Command as C;
        match command {
            C::Move(to, _) => to.after.is_none() && to.before.is_none(),
            C::Rank(to) => to.rank.is_some(),
            C::Update(..) | C::Assign(_) | C::Unassign(_) | C::Complete(_) | C::Reopen | C::Link(_) => true,
            _ => false,
        }
    }
}

impl Modelled for Comment {
    fn view(&self) -> Value {
        let stored = stored(self);
        unless_gone(self.life(), || json!({"item": self.item_id(), "body": stored["body"]}))
    }

    fn settles(command: &comment::Command) -> bool {
        matches!(command, comment::Command::Edit(_))
    }
}
