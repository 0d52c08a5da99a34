//! What the read models answer, beside what a fold of plain JSON gives, by the simplest means and at any cost.

use crate::lives::PEOPLE;
use crate::oracle::Fact;
use crate::support::Random;
use domain::{BoardId, WorkspaceId};
use eventstore::Position;
use projector::Models;
use projector::activity::{Activity, Feed, Thing};
use projector::analytics::{Analytics, Day};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const DAY: i64 = 86_400_000_000_000;

/// Who has which items.
pub(crate) fn compare_people(models: &Models, facts: &[Fact]) {
    let mut items: HashMap<&str, (&str, BTreeSet<&str>)> = HashMap::new();
    let mut deleted_boards = HashSet::new();
    for fact in facts {
        let id = fact.id.as_str();
        match fact.event_type.as_str() {
            "item.created" => {
                items.insert(id, (fact.text("boardId"), fact.texts("assignees").collect()));
            }
            "item.assigned" => items.get_mut(id).unwrap().1.extend(fact.texts("assignees")),
            "item.unassigned" => {
                let gone: Vec<_> = fact.texts("assignees").collect();
                items.get_mut(id).unwrap().1.retain(|person| !gone.contains(person));
            }
            "item.deleted" => drop(items.remove(id)),
            "board.deleted" => drop(deleted_boards.insert(id)),
            _ => {}
        }
    }
    items.retain(|_, (board, _)| !deleted_boards.contains(board));
    for person in PEOPLE.iter().chain(&["nobody"]) {
        let has = |(id, (_, people)): (&&str, &(&str, BTreeSet<&str>))| {
            people.contains(person).then(|| (*id).to_owned())
        };
        let expected: BTreeSet<String> = items.iter().filter_map(has).collect();
        let told: Vec<String> = models.assigned_to(person).map(|item| item.id.to_string()).collect();
        assert_eq!(told.len(), expected.len(), "{person}");
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), expected, "{person}");
    }
}

/// Which events concern what.
pub(crate) fn compare_feeds(activity: &Activity, facts: &[Fact], random: &mut Random) {
    let mut things: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    let mut people: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    let mut projects: HashMap<&str, &str> = HashMap::new();
    for fact in facts {
        if fact.event_type == "board.created" {
            projects.insert(&fact.id, fact.text("projectId"));
        }
        let workspace = fact.tag("workspace").unwrap();
        let board = fact.tag("board");
        let project = match fact.event_type.split_once('.').unwrap().0 {
            "project" => Some(fact.id.as_str()),
            _ => board.map(|board| projects[board]),
        };
        let named = [
            ("workspace", Some(workspace)),
            ("project", project),
            ("board", board),
            ("item", fact.tag("item")),
        ];
        for (kind, id) in named {
            if let Some(id) = id {
                things.entry((kind, id)).or_default().push(fact.position);
            }
        }
        people.entry((&fact.person, workspace)).or_default().push(fact.position);
    }
    for ((kind, id), expected) in &things {
        let thing = match *kind {
            "workspace" => Thing::Workspace(id.parse().unwrap()),
            "project" => Thing::Project(id.parse().unwrap()),
            "board" => Thing::Board(id.parse().unwrap()),
            _ => Thing::Item(id.parse().unwrap()),
        };
        compare_feed(activity, &Feed::Of(thing), expected, random, |_| true);
    }
    for person in PEOPLE {
        let of = |seen: &dyn Fn(&str) -> bool| {
            let lists = people.iter().filter(|((known, workspace), _)| known == person && seen(workspace));
            let mut all: Vec<u64> = lists.flat_map(|(_, positions)| positions.clone()).collect();
            all.sort_unstable();
            all
        };
        let feed = Feed::Person((*person).to_owned());
        compare_feed(activity, &feed, &of(&|_| true), random, |_| true);
        compare_feed(activity, &feed, &[], random, |_| false);
        let acme = WorkspaceId::derive("acme");
        let expected = of(&|workspace| workspace == acme.to_string());
        compare_feed(activity, &feed, &expected, random, |workspace| workspace == acme);
    }
    assert_eq!(activity.len(), things.len() + people.len());
}

fn compare_feed(
    activity: &Activity,
    feed: &Feed,
    expected: &[u64],
    random: &mut Random,
    seen: impl Fn(WorkspaceId) -> bool + Copy,
) {
    let told = |before: Option<u64>, limit: usize| -> Vec<u64> {
        let positions = activity.newest(feed, before.map(Position::new), limit, seen);
        positions.into_iter().map(Position::get).collect()
    };
    let newest = |before: u64, limit: usize| -> Vec<u64> {
        expected.iter().rev().copied().filter(|position| *position < before).take(limit).collect()
    };
    assert_eq!(told(None, usize::MAX), newest(u64::MAX, usize::MAX), "{feed:?}");
    for _ in 0..3 {
        let (before, limit) = (random.below(600) as u64, random.below(20));
        assert_eq!(told(Some(before), limit), newest(before, limit), "{feed:?} before {before}");
    }
}

/// Something that changed on a board, with the day.
enum Change {
    Count(&'static str),
    Open(i64),
    Column(String, i64),
    Times(u32, u32),
}

struct Item {
    board: String,
    column: String,
    created: i64,
    begun: Option<i64>,
    is_completed: bool,
}

/// The figures of each board, day by day.
pub(crate) fn compare_flows(analytics: &Analytics, models: &Models, facts: &[Fact], random: &mut Random) {
    let changes = changes(facts);
    for (board, changes) in &changes {
        let id: BoardId = board.parse().unwrap();
        let newest = changes.iter().map(|(day, _)| *day).max().unwrap();
        assert_eq!(analytics.newest_day(id), Some(newest), "{board}");
        let begin = crate::lives::day("2025-12-30");
        let from = begin.plus(random.below(20) as i32);
        compare_flow(analytics, id, changes, from, from.plus(random.below(40) as i32));
        // At the end of all days there is what is there now.
        let flow = analytics.flow(id, newest, newest).unwrap();
        let now = models.board(id).unwrap();
        if now.deleted {
            assert!(flow.days[0].columns.iter().all(|column| column.items == 0), "{board}");
            continue;
        }
        let items: Vec<_> = now.columns.iter().map(|column| (column.id, column.items.len() as u64)).collect();
        let told: Vec<_> = flow.days[0].columns.iter().map(|column| (column.id, column.items)).collect();
        assert_eq!(told, items, "{board}");
        let names: Vec<_> = now.columns.iter().map(|column| column.name.clone()).collect();
        assert_eq!(flow.days[0].columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>(), names);
    }
}

fn compare_flow(analytics: &Analytics, board: BoardId, changes: &[(Day, Change)], from: Day, to: Day) {
    let flow = analytics.flow(board, from, to).unwrap();
    let (mut cycle, mut lead) = (Vec::new(), Vec::new());
    let mut days = flow.days.iter();
    for day in from.up_to(to) {
        let told = days.next().unwrap();
        let mut counts: HashMap<&str, u64> = HashMap::new();
        let (mut open, mut columns) = (0, BTreeMap::<&str, i64>::new());
        for (of, change) in changes.iter().filter(|(of, _)| *of <= day) {
            match change {
                Change::Open(items) => open += items,
                Change::Column(id, items) => *columns.entry(id).or_default() += items,
                Change::Count(what) if *of == day => *counts.entry(what).or_default() += 1,
                Change::Times(one, other) if *of == day => {
                    cycle.push(*one);
                    lead.push(*other);
                }
                _ => {}
            }
        }
        let count = |what| counts.get(what).copied().unwrap_or(0);
        assert_eq!(told.day, day);
        assert_eq!(
            [told.created, told.completed, told.reopened, told.deleted],
            ["created", "completed", "reopened", "deleted"].map(count),
            "{board} on {day}"
        );
        assert_eq!(told.work_in_progress, open.max(0).unsigned_abs(), "{board} on {day}");
        columns.retain(|_, items| *items > 0);
        let items = told.columns.iter().filter(|column| column.items > 0);
        let items: BTreeMap<String, u64> =
            items.map(|column| (column.id.to_string(), column.items)).collect();
        let expected = columns.into_iter().map(|(id, items)| (id.to_owned(), items.unsigned_abs())).collect();
        assert_eq!(items, expected, "{board} on {day}");
    }
    let sorted = |mut times: Vec<u32>| {
        times.sort_unstable();
        times
    };
    assert_eq!(sorted(flow.cycle_times), sorted(cycle), "{board}");
    assert_eq!(sorted(flow.lead_times), sorted(lead), "{board}");
}

/// All that changed on each board, in the order of the log.
fn changes(facts: &[Fact]) -> BTreeMap<String, Vec<(Day, Change)>> {
    let mut all: BTreeMap<String, Vec<(Day, Change)>> = BTreeMap::new();
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    let mut deleted: HashSet<String> = HashSet::new();
    for fact in facts {
        let day = Day::of(eventstore::Timestamp::new(fact.time));
        let (what, id) = (fact.event_type.as_str(), fact.id.clone());
        match what {
            "board.created" => {
                // The first day has a row, though nothing has happened on it.
                all.entry(id).or_default().push((day, Change::Open(0)));
            }
            "board.column_removed" => {
                let (from, to) = (fact.text("columnId"), fact.text("itemsTo"));
                let changes = all.get_mut(&id).unwrap();
                // A removal is a change of the day also where nothing was in the column.
                changes.push((day, Change::Open(0)));
                for item in items.values_mut().filter(|item| item.board == id && item.column == from) {
                    changes.push((day, Change::Column(from.to_owned(), -1)));
                    changes.push((day, Change::Column(to.to_owned(), 1)));
                    to.clone_into(&mut item.column);
                }
            }
            "board.deleted" => {
                let changes = all.get_mut(&id).unwrap();
                changes.push((day, Change::Open(0)));
                for item in items.values().filter(|item| item.board == id) {
                    changes.push((day, Change::Count("deleted")));
                    changes.push((day, Change::Open(if item.is_completed { 0 } else { -1 })));
                    changes.push((day, Change::Column(item.column.clone(), -1)));
                }
                items.retain(|_, item| item.board != id);
                deleted.insert(id);
            }
            "item.created" => {
                let (board, column) = (fact.text("boardId").to_owned(), fact.text("columnId").to_owned());
                assert!(!deleted.contains(&board), "the domain lets nobody");
                let changes = all.get_mut(&board).unwrap();
                changes.push((day, Change::Count("created")));
                changes.push((day, Change::Open(1)));
                changes.push((day, Change::Column(column.clone(), 1)));
                let item = Item { board, column, created: fact.time, begun: None, is_completed: false };
                items.insert(id, item);
            }
            _ => {
                let Some(item) = items.get_mut(&id) else { continue };
                let changes = all.get_mut(&item.board).unwrap();
                let is_gone = item_happens(item, fact, day, changes);
                if is_gone {
                    items.remove(&id);
                }
            }
        }
    }
    all
}

/// Whether the item is gone by it.
fn item_happens(item: &mut Item, fact: &Fact, day: Day, changes: &mut Vec<(Day, Change)>) -> bool {
    match fact.event_type.as_str() {
        "item.moved" => {
            let to = fact.text("toColumn");
            if to != item.column {
                changes.push((day, Change::Column(item.column.clone(), -1)));
                changes.push((day, Change::Column(to.to_owned(), 1)));
                to.clone_into(&mut item.column);
                item.begun = item.begun.or(Some(fact.time));
            }
        }
        "item.completed" if !item.is_completed => {
            item.is_completed = true;
            let since = |begin: i64| u32::try_from((fact.time - begin).max(0) / (DAY / 86_400)).unwrap();
            changes.push((day, Change::Count("completed")));
            changes.push((day, Change::Open(-1)));
            changes
                .push((day, Change::Times(since(item.begun.unwrap_or(item.created)), since(item.created))));
        }
        "item.reopened" if item.is_completed => {
            item.is_completed = false;
            changes.push((day, Change::Count("reopened")));
            changes.push((day, Change::Open(1)));
        }
        "item.deleted" => {
            changes.push((day, Change::Count("deleted")));
            changes.push((day, Change::Open(if item.is_completed { 0 } else { -1 })));
            changes.push((day, Change::Column(item.column.clone(), -1)));
            return true;
        }
        _ => {}
    }
    false
}
