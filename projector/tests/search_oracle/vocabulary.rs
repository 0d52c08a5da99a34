//! Words as people write them, and, by hand, the words that a search may find them by.

/// A word as it is written. Per place that it takes: the word there first, then its parts.
pub(crate) struct Written {
    pub(crate) text: &'static str,
    pub(crate) places: &'static [&'static [&'static str]],
}

const fn written(text: &'static str, places: &'static [&'static [&'static str]]) -> Written {
    Written { text, places }
}

pub(crate) const VOCABULARY: &[Written] = &[
    written("crash", &[&["crash"]]),
    written("Crashes", &[&["crashes"]]),
    written("CRASHING", &[&["crashing"]]),
    written("list", &[&["list"]]),
    written("Lists,", &[&["lists"]]),
    written("ListView", &[&["listview", "list", "view"]]),
    written("list_view", &[&["list"], &["view"]]),
    written("view", &[&["view"]]),
    written("HTTPServer", &[&["httpserver", "http", "server"]]),
    written("server", &[&["server"]]),
    written("src/main.rs", &[&["src"], &["main"], &["rs"]]),
    written("Ångström", &[&["angstrom"]]),
    written("A\u{30a}ngstro\u{308}m", &[&["angstrom"]]),
    written("Straße", &[&["strasse"]]),
    written("STRASSE", &[&["strasse"]]),
    written("İzmir", &[&["izmir"]]),
    written("東京", &[&["東"], &["京"]]),
    written("京都x", &[&["京"], &["都"], &["x"]]),
    written("ＡＢＣ", &[&["abc"]]),
    written("deploy", &[&["deploy"]]),
    written("deployed", &[&["deployed"]]),
    written("Deploying", &[&["deploying"]]),
    written("deplore", &[&["deplore"]]),
    written("sha256", &[&["sha256", "sha", "256"]]),
    written("foo-bar", &[&["foo"], &["bar"]]),
    written("null", &[&["null"]]),
    written("pointer", &[&["pointer"]]),
    written("K-7", &[&["k"], &["7"]]),
    written("&", &[]),
    written("Main", &[&["main"]]),
];

/// Forms of one English word.
const FORMS: [&[&str]; 3] =
    [&["crash", "crashes", "crashing"], &["list", "lists"], &["deploy", "deployed", "deploying"]];

pub(crate) fn are_forms_of_one(one: &str, other: &str) -> bool {
    one == other || FORMS.iter().any(|forms| forms.contains(&one) && forms.contains(&other))
}

/// A text, as numbers of the vocabulary.
pub(crate) type Text = Vec<usize>;

pub(crate) fn as_written(text: &[usize]) -> String {
    text.iter().map(|number| VOCABULARY[*number].text).collect::<Vec<_>>().join(" ")
}

/// The places of a text, each with the words that stand there.
pub(crate) fn places(text: &[usize]) -> Vec<Vec<String>> {
    let places = text.iter().flat_map(|number| VOCABULARY[*number].places);
    places.map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect()
}

/// Whether so few letters have to be inserted, left out, replaced or swapped.
pub(crate) fn is_near(one: &[char], other: &[char], edits: usize) -> bool {
    match (one, other) {
        ([], rest) | (rest, []) => rest.len() <= edits,
        ([a, one_rest @ ..], [b, other_rest @ ..]) => {
            if a == b && is_near(one_rest, other_rest, edits) {
                return true;
            }
            let swapped = match (one, other) {
                ([a, b, one_rest @ ..], [c, d, other_rest @ ..]) if a == d && b == c => {
                    Some((one_rest, other_rest))
                }
                _ => None,
            };
            edits > 0
                && (is_near(one_rest, other_rest, edits - 1)
                    || is_near(one, other_rest, edits - 1)
                    || is_near(one_rest, other, edits - 1)
                    || swapped.is_some_and(|(one, other)| is_near(one, other, edits - 1)))
        }
    }
}
