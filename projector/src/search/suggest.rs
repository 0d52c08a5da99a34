//! Suggestions: items by what somebody has typed so far of a key or a title.
//!
//! All words but the last have to stand in the title or the key, the last is the beginning of one; or everything typed is
//! the beginning of the key, from any of its words on (`mod-24` finds `tidev/MOD-2426`).

use crate::search::compile::{self, exactly};
use crate::search::document::{DocumentKind, StoredHit};
use crate::search::expression::{Condition, Expression, Manner, Node, Scope, Words};
use crate::search::order::Sort;
use crate::search::parser::terms::PREFIX_CHARS_MIN;
use crate::search::query::in_workspaces;
use crate::search::schema::Fields;
use crate::search::score::scored_words;
use crate::search::searcher::SearchError;
use crate::search::snippet::marked_text;
use crate::search::walk::{Ordering, Wanted, walk};
use crate::search::words::{fold, is_ideograph, query_words};
use domain::{ItemId, WorkspaceId};
use tantivy::{Searcher, TantivyDocument};

/// Words that are looked at; whoever types more has found what they wanted.
const WORDS_MAX: usize = 12;

/// An item that may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The item.
    pub item_id: ItemId,
    /// What it is called.
    pub title: String,
    /// HTML: the title, escaped, with what was typed in `<b>`.
    pub highlight: String,
}

pub(crate) fn suggest(
    searcher: &Searcher,
    fields: &Fields,
    typed: &str,
    within: Option<&[WorkspaceId]>,
    limit: usize,
) -> Result<Vec<Suggestion>, SearchError> {
    let mut typed_words = query_words(typed);
    typed_words.truncate(WORDS_MAX);
    // A single letter begins too many words to be looked up with every key that is pressed. In a key it may stand.
    let is_short = |word: &String| word.chars().count() < PREFIX_CHARS_MIN && !word.chars().all(is_ideograph);
    while typed_words.last().is_some_and(is_short) {
        typed_words.pop();
    }
    if typed_words.is_empty() && key_of(typed).chars().count() < PREFIX_CHARS_MIN {
        return Ok(Vec::new());
    }
    let words = words_of(typed_words);
    let expression = Expression { root: Some(condition(typed, &words)) };
    let compiler = compile::Compiler { fields, stemmed: false, today: 0 };
    let mut must = vec![exactly(fields.kind, DocumentKind::Item.as_str())];
    must.extend(compiler.query(&expression));
    must.extend(within.map(|within| in_workspaces(within, &compiler)));
    let scored = scored_words(&expression, fields, false);
    // All words count alike: there is no time to count how rare they are between two keystrokes.
    let ordering = Ordering { sort: Sort::Relevance, words: &scored, rarities: &[] };
    let wanted = Wanted { after: None, count: limit, facets: &[] };
    let found = walk(searcher, compile::all(must).as_ref(), &ordering, &wanted)?.first;

    let shown: Vec<Words> = words.into_iter().flatten().collect();
    let mut suggestions = Vec::with_capacity(found.len());
    for (_, address) in found {
        let stored = StoredHit::of_document(&searcher.doc::<TantivyDocument>(address)?, fields);
        let Some(StoredHit { item: Some(item_id), title: Some(title), .. }) = stored else { continue };
        suggestions.push(Suggestion { item_id, highlight: marked_text(&title, &shown), title });
    }
    Ok(suggestions)
}

/// Per word the ways in which it may stand there.
fn words_of(typed: Vec<String>) -> Vec<[Words; 2]> {
    let last = typed.len().saturating_sub(1);
    let ways = typed.into_iter().enumerate().map(|(index, word)| {
        let manner = if index == last { Manner::Prefix } else { Manner::Plain };
        [Scope::Title, Scope::Key].map(|scope| Words { scope, words: vec![word.clone()], manner })
    });
    ways.collect()
}

fn condition(typed: &str, words: &[[Words; 2]]) -> Node {
    let node = |condition| Node { span: 0..typed.len(), condition };
    let any = |ways: &[Words; 2]| {
        node(Condition::Any(ways.iter().cloned().map(Condition::Words).map(node).collect()))
    };
    let all = node(Condition::All(words.iter().map(any).collect()));
    let key = node(Condition::KeyPrefix(fold(key_of(typed))));
    node(Condition::Any(if words.is_empty() { vec![key] } else { vec![all, key] }))
}

/// What was typed, as the beginning of a key.
fn key_of(typed: &str) -> &str {
    typed.trim().trim_start_matches(|c: char| !c.is_alphanumeric())
}
