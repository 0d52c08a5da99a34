//! What of a text is shown, and what of that is marked.

use super::*;

fn words_of(query: &str) -> Vec<Words> {
    Expression::parse(query).unwrap().wanted_words().into_iter().cloned().collect()
}

fn marked(query: &str, text: &str) -> String {
    marked_text(text, &words_of(query))
}

/// The snippet of a text, with stems.
fn stemmed(query: &str, text: &str) -> String {
    let wanted = words_of(query).into_iter().map(|words| Wanted { stem: Some(stem(&words.words[0])), words });
    let log = tempfile::tempdir().unwrap();
    let store = eventstore::Store::open(log.path(), &eventstore::StoreOptions::default()).unwrap();
    let log = store.log();
    Snippets { log: &log, wanted: wanted.collect(), bytes_left: 0 }.snippet(text, |_| true)
}

#[test]
fn what_a_query_holds_for_is_marked_and_all_else_is_escaped() {
    for (query, text, html) in [
        ("angstrom", "<i>Ångström</i> & 'co'", "&lt;i&gt;<b>Ångström</b>&lt;/i&gt; &amp; &#x27;co&#x27;"),
        ("list", "a ListView", "a <b>List</b>View"),
        ("listview", "a ListView", "a <b>ListView</b>"),
        ("listview list view", "a ListView", "a <b>ListView</b>"),
        ("view", "ListView, view", "List<b>View</b>, <b>view</b>"),
        (
            "\"null pointer\"",
            "null x pointer, Null-Pointer null",
            "null x pointer, <b>Null</b>-<b>Pointer</b> null",
        ),
        ("\"list crash\"", "ListView crash", "<b>List</b>View <b>crash</b>"),
        ("deplo*", "deploy, deplored; deep", "<b>deploy</b>, <b>deplored</b>; deep"),
        ("deploi~", "deploy deplo dpeloi dploy", "<b>deploy</b> <b>deplo</b> <b>dpeloi</b> dploy"),
        ("a OR -b", "a b", "<b>a</b> b"),
        ("京都", "東京都", "東<b>京</b><b>都</b>"),
        ("\"a a\"", "a a a", "<b>a</b> <b>a</b> <b>a</b>"),
    ] {
        assert_eq!(marked(query, text), html, "{query} in {text}");
    }
    assert_eq!(stemmed("deploying", "we deployed it"), "we <b>deployed</b> it");
}

#[test]
fn a_snippet_is_the_piece_with_most_of_it() {
    let filler = "lorem ipsum dolor sit amet consetetur ".repeat(10);
    let text = format!("crash {filler} a crash of the crash view {filler} crash");
    let html = stemmed("crash", &text);
    assert_eq!(html.matches("<b>").count(), 2, "{html}");
    assert!(html.contains("a <b>crash</b> of the <b>crash</b> view lorem"), "{html}");
    assert!(html.len() <= SNIPPET_BYTES + 2 * "<b></b>".len(), "{html}");
    let long = "x".repeat(500);
    assert_eq!(stemmed("y", &format!("{long} y")), "<b>y</b>");
    assert_eq!(stemmed("y", &long), "");
}

#[test]
fn words_differ_by_letters() {
    for (one, other, edits) in [
        ("", "", 0),
        ("ab", "ba", 1),
        ("abc", "ca", 3),
        ("kitten", "sitting", 3),
        ("äb", "ab", 1),
        ("abcd", "badc", 2),
    ] {
        assert!(differs_by_at_most(one, other, edits), "{one} {other}");
        assert!(edits == 0 || !differs_by_at_most(one, other, edits - 1), "{one} {other}");
    }
}
