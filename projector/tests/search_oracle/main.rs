//! Promise: a search finds exactly what a plain reading of the query says, in the order that was asked for, and counts it.
//!
//! The oracle knows nothing of the index: it keeps what it has told the log (`history`), holds its own words of every text in
//! a table written by hand (`vocabulary`), and asks of every thing whether the query holds for it (`asking`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod asking;
mod history;
#[path = "../support/mod.rs"]
mod support;
mod vocabulary;

use asking::Asked;
use history::{Day, History, Thing};
use projector::Projector;
use projector::search::{
    DocumentKind, Expression, Facet, FacetValue, SearchPage, SearchQuery, Searcher, Sort,
};
use std::collections::{BTreeMap, BTreeSet};
use support::{Random, settle};
use uuid::Uuid;

const SORTS: [Sort; 7] = [
    Sort::Relevance,
    Sort::Updated,
    Sort::UpdatedLatest,
    Sort::Created,
    Sort::CreatedLatest,
    Sort::Due,
    Sort::DueLatest,
];

struct Running {
    history: History,
    projector: Projector,
    searcher: Searcher,
}

impl Running {
    fn with_history(random: &mut Random, items: usize, events: usize) -> Self {
        let mut history = History::begin();
        history.go_on(random, items, events);
        let projector = Projector::start(history.world.data_dir(), history.world.log()).unwrap();
        let searcher = Searcher::open(history.world.data_dir(), history.world.log());
        let running = Self { history, projector, searcher };
        running.settle();
        running
    }

    fn settle(&self) {
        settle(&self.history.world, &self.projector, &self.searcher);
    }

    fn understood(&self, text: &str, query: &SearchQuery) -> SearchQuery {
        let mut expression = Expression::parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake}"));
        let names = expression.place_names(&self.projector.models().read(), query.within.as_deref());
        expression.resolve(&names);
        SearchQuery { expression, ..query.clone() }
    }
}

/// What is first by a sort; nothing for relevance, which the oracle does not know.
fn in_order(mut found: Vec<&Thing>, sort: Sort) -> Option<Vec<&Thing>> {
    let value = |thing: &Thing| match sort {
        Sort::Relevance => None,
        Sort::Updated | Sort::UpdatedLatest => Some(thing.updated),
        Sort::Created | Sort::CreatedLatest => Some(thing.created),
        Sort::Due | Sort::DueLatest => thing.due.map(i64::from),
    };
    let is_latest_first = matches!(sort, Sort::UpdatedLatest | Sort::CreatedLatest | Sort::DueLatest);
    found.sort_by_key(|thing| {
        let value = value(thing).map(|value| if is_latest_first { -value } else { value });
        (value.is_none(), value, thing.id, thing.kind_number())
    });
    (sort != Sort::Relevance).then_some(found)
}

fn ids(page: &SearchPage) -> Vec<(DocumentKind, Uuid)> {
    page.hits.iter().map(|hit| (hit.kind, hit.id)).collect()
}

#[test]
fn random_queries_find_what_they_say() {
    let mut random = Random::from_environment();
    let running = Running::with_history(&mut random, 250, 900);
    let things = running.history.things();
    let (mut hits, mut with_hits) = (0, 0);
    for number in 0..3_000 {
        let asked = Asked::random(&mut random, 3);
        let text = asked.written(&mut random);
        // A tree of nothing but prefixes is one that is refused.
        if Expression::parse(&text).is_err_and(|mistake| mistake.what.contains("too many")) {
            continue;
        }
        let within =
            [None, Some(vec![history::OURS.id()]), Some(vec![history::THEIRS.id()])][random.below(3)].clone();
        let is_stemmed = random.below(3) == 0;
        let limit = if random.below(10) == 0 { 5_000 } else { 1 + random.below(40) };
        let facets = if random.below(3) == 0 { facets() } else { Vec::new() };
        let query = SearchQuery {
            within: within.clone(),
            stem: is_stemmed,
            sort: SORTS[random.below(SORTS.len())],
            today: Some(history::TODAY.to_string().parse().unwrap()),
            facets: facets.clone(),
            limit,
            ..SearchQuery::default()
        };
        let sort = query.sort;
        let query = running.understood(&text, &query);
        let page = running.searcher.search(&query).unwrap_or_else(|error| panic!("{text}: {error}"));
        let said = format!("query {number}: {text} (stems {is_stemmed}, {sort:?}, within {within:?})");

        let seen =
            |thing: &&Thing| within.as_ref().is_none_or(|within| within.contains(&thing.workspace.id()));
        let expected: Vec<_> =
            things.iter().filter(seen).filter(|thing| asked.holds(thing, is_stemmed)).collect();
        assert_eq!(page.total, expected.len() as u64, "{said}");
        hits += page.hits.len();
        with_hits += usize::from(page.total > 0);
        let expected_ids: BTreeSet<_> =
            expected.iter().map(|thing| (thing.kind_number(), thing.id)).collect();
        assert_eq!(page.hits.len(), expected.len().min(limit), "{said}");
        for hit in &page.hits {
            assert!(expected_ids.contains(&(history::number(hit.kind), hit.id)), "{said}: {hit:?}");
        }
        assert!(page.hits.is_sorted_by(|one, next| one.score >= next.score), "{said}");
        assert_eq!(page.next.is_some(), expected.len() > limit, "{said}");
        for (counted, facet) in page.facets.iter().zip(&facets) {
            assert_eq!(counted.facet, *facet);
            assert_eq!(counted.values, brute_counts(&expected, facet), "{said}: {facet:?}");
        }
        if let Some(ordered) = in_order(expected, sort) {
            let ordered: Vec<_> = ordered.iter().take(limit).map(|thing| (thing.kind, thing.id)).collect();
            assert_eq!(ids(&page), ordered, "{said}");
        }
    }
    assert!(hits > 10_000 && with_hits > 1_000, "the queries are worth asking: {hits} hits in {with_hits}");
}

fn facets() -> Vec<Facet> {
    ["assignee", "board", "column", "project", "state", "field.priority", "field.tags", "field.none"]
        .map(|name| Facet::parse(name).unwrap())
        .to_vec()
}

/// The most frequent values by counting them one by one.
fn brute_counts(found: &[&Thing], facet: &Facet) -> Vec<(FacetValue, u64)> {
    let mut counts: BTreeMap<FacetValue, u64> = BTreeMap::new();
    for thing in found {
        let text = |text: &String| FacetValue::Text(text.clone());
        let values: Vec<FacetValue> = match facet {
            Facet::Assignee => thing.assignees.iter().map(text).collect(),
            Facet::Board => thing.board.into_iter().map(FacetValue::Id).collect(),
            Facet::Column => thing.column.into_iter().map(FacetValue::Id).collect(),
            Facet::Project => vec![FacetValue::Id(thing.project)],
            Facet::State => {
                thing.state().map(|state| FacetValue::Text(state.to_owned())).into_iter().collect()
            }
            Facet::Field(name) => {
                thing.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| text(value)).collect()
            }
        };
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(one, one_count), (other, other_count)| other_count.cmp(one_count).then(one.cmp(other)));
    counts.truncate(20);
    counts
}

#[test]
fn cursors_lead_through_everything_once_while_other_things_happen() {
    let mut random = Random::from_environment();
    let mut running = Running::with_history(&mut random, 120, 300);
    for (round, sort) in SORTS.into_iter().enumerate() {
        let text =
            ["crash OR list OR server", "", "deploy OR \"foo bar\" OR li* OR view", "-crash"][round % 4];
        let query = SearchQuery {
            within: Some(vec![history::OURS.id()]),
            sort,
            stem: round % 2 == 0,
            ..SearchQuery::default()
        };
        let query = running.understood(text, &query);
        // What a single large page says; nothing of ours changes from here on.
        let all = running.searcher.search(&SearchQuery { limit: 5_000, ..query.clone() }).unwrap();
        assert!(all.total > 20, "{text}");
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let limit = 5 + random.below(30);
            let page = running
                .searcher
                .search(&SearchQuery { after: after.clone(), limit, ..query.clone() })
                .unwrap();
            assert_eq!(page.total, all.total, "{text} {sort:?}");
            seen.extend(ids(&page));
            after = page.next;
            if after.is_none() {
                break;
            }
            // Commits that change how frequent the words are, and segments, but nothing that is looked for.
            running.history.others_go_on(&mut random, 12);
            running.settle();
        }
        assert_eq!(seen, ids(&all), "{text} {sort:?}");
        if let Some(ordered) = in_order(running.history.things().iter().collect(), sort) {
            let wanted: BTreeSet<_> = seen.iter().map(|(_, id)| *id).collect();
            let ordered: Vec<_> =
                ordered.iter().filter(|thing| wanted.contains(&thing.id)).map(|thing| thing.id).collect();
            assert_eq!(seen.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ordered, "{text} {sort:?}");
        }
    }
}

#[test]
fn an_index_that_follows_is_one_that_is_built_anew() {
    let mut random = Random::from_environment();
    let mut running = Running::with_history(&mut random, 60, 100);
    for _ in 0..5 {
        running.history.go_on(&mut random, 5, 60);
        running.settle();
    }
    let Running { history, projector, .. } = running;
    projector.stop().unwrap();
    for rebuilt in projector::rebuild(history.world.data_dir(), &[], &mut |_| {}).unwrap().projections {
        assert_eq!(rebuilt.is_equal(), Some(true), "{rebuilt:?}");
    }
    // The digest is of what a document stores; that it is found alike is asked for one by one.
    let searcher = Searcher::open(history.world.data_dir(), history.world.log());
    let today: Day = history::TODAY;
    for text in [
        "is:open",
        "has:comments",
        "-has:assignee",
        "is:overdue",
        "column:Done",
        "field.priority:high",
        "crash",
    ] {
        let mut expression = Expression::parse(text).unwrap();
        let names = expression.place_names(&history.world.models(), None);
        expression.resolve(&names);
        let today = Some(today.to_string().parse().unwrap());
        let page =
            searcher.search(&SearchQuery { expression, today, limit: 1, ..SearchQuery::default() }).unwrap();
        let asked = Asked::parse(text);
        let expected = history.things().iter().filter(|thing| asked.holds(thing, false)).count();
        assert_eq!(page.total, expected as u64, "{text}");
    }
}
