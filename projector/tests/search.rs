//! The search index says what the log says, whatever happens to the process that writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;

use eventstore::Position;
use projector::Projector;
use projector::search::{DocumentKind, Expression, ItemState, SearchError, SearchHit, SearchQuery, Searcher};
use serde_json::json;
use support::*;

fn query(text: &str) -> SearchQuery {
    SearchQuery { expression: Expression::parse(text).unwrap(), limit: 10, ..SearchQuery::default() }
}

fn hits(searcher: &Searcher, query: &SearchQuery) -> Vec<SearchHit> {
    let page = searcher.search(query).unwrap();
    assert!(page.total >= page.hits.len() as u64);
    page.hits
}

fn total(searcher: &Searcher, text: &str) -> u64 {
    searcher.search(&query(text)).unwrap().total
}

struct Running {
    world: World,
    projector: Projector,
    searcher: Searcher,
}

impl Running {
    fn start(world: World) -> Self {
        let projector = Projector::start(world.data_dir(), world.log()).unwrap();
        let searcher = Searcher::open(world.data_dir(), world.log());
        let running = Self { world, projector, searcher };
        running.settle();
        running
    }

    fn settle(&self) {
        settle(&self.world, &self.projector, &self.searcher);
    }
}

#[test]
fn everything_is_found_by_its_words_with_a_snippet() {
    let world = World::with_board();
    let mut payload = created("ACME-17", "Crash <in> ListView", "1", "Open");
    payload["description"] = json!("The Ångström list scrolls & then it crashes on Android.");
    world.append(&item("ACME-17").stream_id(), "item.created", payload);
    world.comment("ACME-17", "c", "I can reproduce the null pointer on my phone.");
    let running = Running::start(world);
    let searcher = &running.searcher;

    let found = hits(searcher, &query("angstrom SCROLLS"));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, found[0].id), (DocumentKind::Item, item("ACME-17").uuid()));
    assert_eq!(found[0].title.as_deref(), Some("Crash <in> ListView"));
    assert_eq!(found[0].snippet, "The <b>Ångström</b> list <b>scrolls</b> &amp; then it crashes on Android");
    assert_eq!(hits(searcher, &query("crash"))[0].snippet, "<b>Crash</b> &lt;in&gt; ListView");

    let found = hits(searcher, &query(r#""null pointer""#));
    assert_eq!((found[0].kind, found[0].item_id), (DocumentKind::Comment, Some(item("ACME-17"))));
    assert_eq!(total(searcher, r#""pointer null""#), 0);
    assert_eq!(total(searcher, "pointer null"), 1);
    assert_eq!(total(searcher, "pointer crash"), 0, "words are ANDed within a document");
    assert_eq!(hits(searcher, &query("acme-17"))[0].kind, DocumentKind::Item);
    assert_eq!(hits(searcher, &query("rocket"))[0].kind, DocumentKind::Project);
    assert_eq!(hits(searcher, &query("main"))[0].kind, DocumentKind::Board);
}

#[test]
fn filters_narrow_and_an_empty_text_lists_the_latest_first() {
    let world = World::with_board();
    for (number, key) in ["1", "2", "3"].into_iter().enumerate() {
        let time = Some(number as i64 * SECOND);
        let title = format!("thing {key}");
        world.append_as(
            "ann",
            time,
            &item(key).stream_id(),
            "item.created",
            created(key, &title, "1", "Open"),
        );
    }
    let at = |second: i64| Some(second * SECOND);
    world.append_as("ann", at(4), &item("2").stream_id(), "item.completed", json!({}));
    world.append_as("ann", at(5), &item("3").stream_id(), "item.assigned", json!({"assignees": ["Bob B"]}));
    let moved =
        json!({"fromColumn": column("Open"), "toColumn": column("Done"), "fromRank": "1", "toRank": "2"});
    world.append_as("ann", at(6), &item("1").stream_id(), "item.moved", moved);
    world.comment("1", "c", "a thing or two");
    let running = Running::start(world);
    let searcher = &running.searcher;
    let ids = |query: SearchQuery| -> Vec<_> {
        hits(searcher, &query)
            .into_iter()
            .filter(|hit| hit.kind == DocumentKind::Item)
            .map(|hit| hit.id)
            .collect()
    };
    let id = |key: &str| item(key).uuid();

    assert_eq!(ids(SearchQuery { state: Some(ItemState::Completed), ..query("thing") }), [id("2")]);
    assert_eq!(ids(SearchQuery { assignee: Some("Bob B".into()), ..query("thing") }), [id("3")]);
    assert!(ids(SearchQuery { assignee: Some("bob b".into()), ..query("thing") }).is_empty());
    assert_eq!(ids(SearchQuery { column: Some(column("Done")), ..query("thing") }), [id("1")]);
    assert!(
        ids(SearchQuery { workspace: Some(domain::WorkspaceId::derive("other")), ..query("thing") })
            .is_empty()
    );
    let all = SearchQuery { kind: Some(DocumentKind::Item), board: Some(board()), ..query("") };
    assert_eq!(ids(all.clone()), [id("1"), id("3"), id("2")]);
    let page = searcher.search(&SearchQuery { offset: 1, limit: 1, ..all }).unwrap();
    assert_eq!((page.total, page.hits[0].id), (3, id("3")));
    let of_item = SearchQuery { item: Some(item("1")), ..query("thing") };
    assert_eq!(searcher.search(&of_item).unwrap().total, 2);
    let far = SearchQuery { offset: 9_999, limit: 2, ..query("thing") };
    assert!(matches!(searcher.search(&far), Err(SearchError::TooFar { end: 10_001, .. })));
}

#[test]
fn what_is_exact_stands_above_what_has_the_same_stem() {
    let world = World::with_board();
    world.create_item("1", "deploying deploying deploys", "1");
    let mut payload = created("2", "something else", "2", "Open");
    payload["description"] = json!(format!("{} deployed", "long text about nothing ".repeat(40)));
    world.append(&item("2").stream_id(), "item.created", payload);
    world.create_item("3", "deployed", "3");
    let running = Running::start(world);
    let ids = |stem| -> Vec<_> {
        let found = hits(&running.searcher, &SearchQuery { stem, ..query("deployed") });
        found.into_iter().map(|hit| hit.id).collect()
    };
    let id = |key: &str| item(key).uuid();
    assert_eq!(ids(false), [id("3"), id("2")]);
    assert_eq!(ids(true), [id("3"), id("2"), id("1")]);
    // Quotes mean what they enclose, stems or not.
    let quoted = SearchQuery { stem: true, ..query("\"deployed\"") };
    assert_eq!(running.searcher.search(&quoted).unwrap().total, 2);
}

#[test]
fn an_item_says_what_it_has_as_soon_as_it_has_it() {
    let world = World::with_board();
    world.create_item("1", "banana", "1");
    let running = Running::start(world);
    let (world, searcher) = (&running.world, &running.searcher);
    assert_eq!((total(searcher, "has:comments"), total(searcher, "is:unassigned")), (0, 1));
    world.comment("1", "c", "cherry");
    world.append(&item("1").stream_id(), "item.assigned", json!({"assignees": ["ann"]}));
    running.settle();
    assert_eq!((total(searcher, "has:comments"), total(searcher, "is:unassigned")), (1, 0));
    world.append(&comment("1", "c").stream_id(), "comment.deleted", json!({"itemId": item("1")}));
    running.settle();
    assert_eq!(total(searcher, "has:comments"), 0);
}

/// An item's document is not written again for every comment on it: only for the first of those that it has, and for each that
/// goes away. Nothing else happens to the item here.
#[test]
fn an_item_has_comments_as_long_as_it_has_any() {
    let world = World::with_board();
    world.create_item("1", "banana", "1");
    let running = Running::start(world);
    let (world, searcher) = (&running.world, &running.searcher);
    let delete = |key: &str| {
        world.append(&comment("1", key).stream_id(), "comment.deleted", json!({"itemId": item("1")}));
    };
    let found = || {
        running.settle();
        (total(searcher, "has:comments"), total(searcher, "cherry"))
    };
    assert_eq!(found(), (0, 0));
    world.comment("1", "a", "cherry");
    assert_eq!(found(), (1, 1));
    world.comment("1", "b", "cherry");
    assert_eq!(found(), (1, 2));
    delete("a");
    assert_eq!(found(), (1, 1));
    delete("b");
    assert_eq!(found(), (0, 0));
    // Several at once: the one that is first in the end was not when it came.
    world.comment("1", "c", "cherry");
    world.comment("1", "d", "cherry");
    delete("c");
    assert_eq!(found(), (1, 1));
    delete("d");
    world.comment("1", "e", "cherry");
    world.comment("1", "f", "cherry");
    assert_eq!(found(), (1, 2));
}

#[test]
fn places_are_found_by_the_names_that_they_have_now() {
    let world = World::with_board();
    world.create_item("1", "banana", "1");
    let running = Running::start(world);
    let found = |text: &str| {
        let mut query = query(text);
        let names = query.expression.place_names(&running.projector.models().read(), None);
        query.expression.resolve(&names);
        running.searcher.search(&SearchQuery { kind: Some(DocumentKind::Item), ..query }).unwrap().total
    };
    assert_eq!(
        (found("board:main column:\"open\""), found("board:haupt"), found("project:ROCKET")),
        (1, 0, 1)
    );
    let renamed = json!({"changes": {"name": {"to": "Hauptbrett"}}});
    running.world.append(&board().stream_id(), "board.updated", renamed);
    let renamed = json!({"columnId": column("Open"), "changes": {"name": {"to": "Ünfertig"}}});
    running.world.append(&board().stream_id(), "board.column_changed", renamed);
    running.settle();
    assert_eq!(
        (found("board:main"), found("board:hauptbrett column:unfertig"), found("column:open")),
        (0, 1, 0)
    );
}

#[test]
fn suggestions_complete_keys_and_titles() {
    let world = World::with_board();
    world.create_item("tidev/MOD-2426", "Clustering of <map> markers", "1");
    world.create_item("tidev/MOD-24", "A ListView that is clustered", "2");
    world.create_item("tidev/MOD-3", "Map of MOD-24", "3");
    world.append(
        &item("tidev/MOD-3").stream_id(),
        "item.updated",
        json!({"changes": {"dueDate": {"to": "2024-01-01"}}}),
    );
    let running = Running::start(world);
    let suggested = |typed: &str| -> Vec<String> {
        let (found, _) = running.searcher.suggest(typed, None, 10).unwrap();
        found.into_iter().map(|suggestion| suggestion.highlight).collect()
    };
    let (clustering, clustered, map) =
        ("Clustering of &lt;map&gt; markers", "A ListView that is clustered", "Map of MOD-24");
    assert_eq!(suggested("MOD-242"), [clustering]);
    let of_key = suggested("mod-24");
    assert!(of_key.contains(&clustering.to_owned()) && of_key.contains(&clustered.to_owned()), "{of_key:?}");
    assert_eq!(suggested("cluster").len(), 2);
    assert_eq!(suggested("map clu"), ["<b>Clustering</b> of &lt;<b>map</b>&gt; markers"]);
    assert_eq!(suggested("view"), ["A List<b>View</b> that is clustered"]);
    assert!(suggested("ma").contains(&map.replace("Map", "<b>Map</b>")));
    assert!(suggested("").is_empty() && suggested("!!").is_empty() && suggested("nothing").is_empty());
    let others = [domain::WorkspaceId::derive("other")];
    assert!(running.searcher.suggest("map", Some(&others), 10).unwrap().0.is_empty());
    assert_eq!(running.searcher.suggest("ma", Some(&[workspace()]), 1).unwrap().0.len(), 1);
    assert!(suggested("m").is_empty() && suggested("- m").is_empty(), "a letter is no beginning");
    assert_eq!(suggested("map c").len(), suggested("map").len(), "nor is it after a word");
}

#[test]
fn an_index_of_another_version_is_built_anew() {
    let world = World::with_board();
    world.create_item("1", "banana", "1");
    let running = Running::start(world);
    let Running { world, projector, searcher } = running;
    projector.stop().unwrap();
    let generation = std::fs::read_to_string(world.data_dir().join("search/CURRENT")).unwrap();
    let meta = world.data_dir().join("search").join(generation.trim()).join("meta.json");
    let text = std::fs::read_to_string(&meta).unwrap();
    let other = text.replace("\\\"version\\\":", "\\\"version\\\":9");
    assert_ne!(text, other);
    std::fs::write(&meta, other).unwrap();
    assert!(matches!(searcher.search(&query("banana")), Err(SearchError::NoIndex)));
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    settle(&world, &projector, &searcher);
    assert_eq!(total(&searcher, "banana"), 1);
}

#[test]
fn updates_and_deletes_are_seen() {
    let world = World::with_board();
    world.create_item("1", "banana", "1");
    world.comment("1", "c", "cherry");
    world.comment("1", "d", "damson");
    let running = Running::start(world);
    let (world, searcher) = (&running.world, &running.searcher);
    assert_eq!((total(searcher, "banana"), total(searcher, "cherry"), total(searcher, "damson")), (1, 1, 1));

    world.append(&item("1").stream_id(), "item.updated", json!({"changes": {"title": {"to": "mango"}}}));
    let edited = json!({"itemId": item("1"), "body": "coconut"});
    world.append(&comment("1", "c").stream_id(), "comment.edited", edited);
    world.append(&comment("1", "d").stream_id(), "comment.deleted", json!({"itemId": item("1")}));
    running.settle();
    assert_eq!((total(searcher, "banana"), total(searcher, "mango")), (0, 1));
    assert_eq!((total(searcher, "cherry"), total(searcher, "coconut"), total(searcher, "damson")), (0, 1, 0));

    world.append(&item("1").stream_id(), "item.deleted", json!({"columnId": column("Open")}));
    running.settle();
    assert_eq!((total(searcher, "mango"), total(searcher, "coconut")), (0, 0), "comments go with their item");
    world.append(&board().stream_id(), "board.deleted", json!({}));
    running.settle();
    assert_eq!(total(searcher, "main"), 0);
}

#[test]
fn items_of_a_removed_column_are_found_in_the_other() {
    let world = World::with_board();
    world.create_item("1", "banana", "1");
    let running = Running::start(world);
    let payload = json!({"columnId": column("Open"), "itemsTo": column("Doing")});
    running.world.append(&board().stream_id(), "board.column_removed", payload);
    running.settle();
    let in_column = |name: &str| {
        running.searcher.search(&SearchQuery { column: Some(column(name)), ..query("") }).unwrap().total
    };
    assert_eq!((in_column("Open"), in_column("Doing")), (0, 1));
}

#[test]
fn positions_without_documents_are_caught_up_with_too() {
    let running = Running::start(World::with_board());
    let next = running.world.append("sys-x", "sys.ran", json!({}));
    running.settle();
    assert!(running.searcher.checkpoint() >= next);
    running.world.append(
        &workspace().stream_id(),
        "workspace.renamed",
        json!({"from": "Acme", "to": "ACME"}),
    );
    running.settle();
}

/// What a fresh index of the same log would find.
fn assert_complete(world: &World) {
    let report = projector::rebuild(world.data_dir(), &[], &mut |_| {}).unwrap();
    for rebuilt in report.projections {
        assert_eq!(rebuilt.is_equal(), Some(true), "{rebuilt:?}");
    }
}

#[test]
fn a_clean_stop_leaves_a_checkpoint_that_covers_everything() {
    let world = World::with_board();
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    let mut random = Random::from_environment();
    random_history(&world, &mut random, 100);
    // The tail has it, the index most likely not yet: stopping works it off.
    assert!(wait(projector.models(), world.log().watermark()));
    projector.stop().unwrap();
    let searcher = Searcher::open(world.data_dir(), world.log());
    assert_eq!(searcher.checkpoint(), world.log().watermark());
    assert_complete(&world);
}

#[test]
fn a_killed_projector_skips_nothing_when_it_comes_back() {
    let mut random = Random::from_environment();
    let world = World::with_board();
    for round in 0..6 {
        let projector = Projector::start(world.data_dir(), world.log()).unwrap();
        random_history(&world, &mut random, 40);
        // Killed at some moment between marks, documents and commits: nothing is saved on purpose.
        std::thread::sleep(std::time::Duration::from_millis(random.below(150) as u64));
        drop(projector);
        random_history(&world, &mut random, 10);
        let searcher = Searcher::open(world.data_dir(), world.log());
        assert!(searcher.checkpoint() <= world.log().watermark(), "round {round}");
    }
    let running = Running::start(world);
    assert_eq!(running.searcher.checkpoint(), running.world.log().watermark());
    let Running { world, projector, .. } = running;
    projector.stop().unwrap();
    assert_complete(&world);
}

#[test]
fn an_index_behind_an_image_is_brought_along() {
    let world = World::with_board();
    world.create_item("1", "banana", "1");
    let running = Running::start(world);
    let Running { world, projector, searcher } = running;
    projector.stop().unwrap();
    // Keep the index as it is now, let the models' image go on.
    let search = world.data_dir().join("search");
    let kept = world.data_dir().join("kept");
    copy(&search, &kept);
    world.append(&item("1").stream_id(), "item.updated", json!({"changes": {"title": {"to": "mango"}}}));
    world.comment("1", "c", "coconut");
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    settle(&world, &projector, &searcher);
    projector.stop().unwrap();
    std::fs::remove_dir_all(&search).unwrap();
    std::fs::rename(&kept, &search).unwrap();

    let searcher = Searcher::open(world.data_dir(), world.log());
    assert_eq!((total(&searcher, "mango"), searcher.checkpoint()), (0, Position::new(4)));
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    settle(&world, &projector, &searcher);
    assert_eq!(
        (total(&searcher, "banana"), total(&searcher, "mango"), total(&searcher, "coconut")),
        (0, 1, 1)
    );
    projector.stop().unwrap();
    assert_complete(&world);
}

#[test]
fn a_searcher_sees_a_generation_that_is_swapped_under_it() {
    let world = World::with_board();
    world.create_item("1", "banana", "1");
    let running = Running::start(world);
    let Running { world, projector, searcher } = running;
    assert_eq!(total(&searcher, "banana"), 1);
    projector.stop().unwrap();
    world.create_item("2", "banana", "2");
    projector::rebuild(world.data_dir(), &[], &mut |_| {}).unwrap();
    assert_eq!(total(&searcher, "banana"), 2);
}

#[test]
fn the_items_of_a_deleted_board_are_not_found_and_nor_are_their_comments() {
    let world = World::with_board();
    world.create_item("1", "gasket one", "1");
    world.create_item("2", "gasket two", "2");
    world.comment("1", "c", "a gasket of rubber");
    let running = Running::start(world);
    let searcher = &running.searcher;
    assert_eq!(total(searcher, "gasket"), 3);
    running.world.append(&board().stream_id(), "board.deleted", json!({}));
    running.settle();
    assert_eq!(total(searcher, "gasket"), 0);
    assert_eq!(total(searcher, "main"), 0);
    // What comes late does not bring anything back, and an index that is built anew agrees.
    running.world.append(&item("1").stream_id(), "item.completed", json!({}));
    running.world.comment("2", "c", "a gasket of steel");
    running.settle();
    assert_eq!(total(searcher, "gasket"), 0);
    let Running { world, projector, searcher } = running;
    drop(searcher);
    projector.stop().unwrap();
    for rebuilt in projector::rebuild(world.data_dir(), &[], &mut |_| {}).unwrap().projections {
        assert_eq!(rebuilt.is_equal(), Some(true), "{rebuilt:?}");
    }
}
