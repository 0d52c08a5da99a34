//! What the log says in the end, read by `sunday replay` with no server running.

use crate::clients::{BoardName, Place, World};
use crate::history::Operation;
use crate::words::{Answer, Column, Input, ItemName, Looks, Position, Title, Version, View, What};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tests::run;

/// The events of a board's items.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) view: View,
    /// The type of each event, and how many events the log had with it.
    events: BTreeMap<(ItemName, Version), (String, Position)>,
}

/// Reads all events of all items.
pub(crate) fn read(data_dir: &Path, world: &World, places: &[Place]) -> Vec<Recorded> {
    let output = run(&["replay", "--data-dir", data_dir.to_str().unwrap()]);
    assert!(output.status.success(), "replay: {}", String::from_utf8_lossy(&output.stderr));
    let mut boards: Vec<Recorded> = places.iter().map(|_| Recorded::default()).collect();
    let mut names: HashMap<String, (BoardName, ItemName)> = HashMap::new();
    let text = String::from_utf8(output.stdout).unwrap();
    for (expected, line) in text.lines().enumerate() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["position"], expected as u64, "no position is left out: {event}");
        if event["aggregateType"] != "item" {
            continue;
        }
        let (id, data) = (event["aggregateId"].as_str().unwrap(), &event["data"]);
        if event["type"] == "item.created" {
            let board = places.iter().position(|place| data["boardId"] == *place.board).unwrap();
            let board = BoardName(board);
            let name = world.name(board, id, data["externalKey"].as_str());
            let name = name.unwrap_or_else(|| panic!("nobody created {event}"));
            assert_eq!(names.insert(id.to_owned(), (board, name)), None, "created twice: {event}");
        }
        let (board, name) = names[id];
        boards[board.0].take(name, &event, &places[board.0]);
    }
    boards
}

impl Recorded {
    fn take(&mut self, name: ItemName, event: &Value, place: &Place) {
        let kind = event["type"].as_str().unwrap();
        let data = &event["data"];
        let version = Version(event["version"].as_u64().unwrap());
        let column = |id: &Value| if *id == *place.doing { Column::Doing } else { Column::ToDo };
        let title = |text: &Value| {
            let number = text.as_str().and_then(|text| text.strip_prefix("title "));
            Title(number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{event}")))
        };
        let before = self.view.get(&name);
        let next = before.map_or(0, |looks| looks.version.0 + 1);
        assert_eq!(version, Version(next), "versions count events: {event}");
        let mut present = before.and_then(|looks| looks.present);
        match (kind, &mut present) {
            ("item.created", None) if before.is_none() => {
                present = Some((title(&data["title"]), column(&data["columnId"]), false));
            }
            ("item.updated", Some(present)) => present.0 = title(&data["changes"]["title"]["to"]),
            ("item.moved", Some(present)) => present.1 = column(&data["toColumn"]),
            ("item.completed", Some(present)) => present.2 = true,
            ("item.reopened", Some(present)) => present.2 = false,
            ("item.deleted", Some(_)) => present = None,
            _ => panic!("{kind} does not follow on {before:?}: {event}"),
        }
        self.view.insert(name, Looks { version, present });
        let position = Position(event["position"].as_u64().unwrap() + 1);
        self.events.insert((name, version), (kind.to_owned(), position));
    }

    /// How many commands were applied.
    pub(crate) fn applied(&self) -> usize {
        self.events.len()
    }

    /// What was said to be applied is there, at the place that was said.
    pub(crate) fn holds(&self, operation: &Operation<Input, Answer>) -> bool {
        let (Input::Command(command), Some(Answer::Done(done, position))) =
            (&operation.input, operation.output())
        else {
            return true;
        };
        let kind = match command.request.what {
            What::Create(..) => "item.created",
            What::Retitle(_) => "item.updated",
            What::Move(_) => "item.moved",
            What::Complete => "item.completed",
            What::Reopen => "item.reopened",
            What::Delete => "item.deleted",
        };
        let event = self.events.get(&(command.request.item, done.version));
        match event {
            Some((found, at)) if done.is_applied => found == kind && at == position,
            // It had that version then, which it may have had for long.
            Some((_, at)) => at <= position,
            None => false,
        }
    }
}
