//! Things by their words.

use crate::routes::operation::{Operation, get};
use crate::routes::parameter::{choice, id, limit, offset, text};
use crate::routes::search::{self, Found};
use crate::routes::suggest::{self, Suggestions};

pub(super) fn search() -> Vec<Operation> {
    vec![
        get("/search", "search", "Finds things by their words.", search::search)
            .answers::<Found>("A page of what was found, best first.")
            .asks([
                text("q", "What is looked for, in the query language of the README; a mistake says where it is.")
                    .such_as("candle"),
                choice("kind", &search::KINDS, None, "Only things of this kind."),
                id("workspace", "Only within this workspace."),
                id("project", "Only within this project."),
                id("board", "Only on this board."),
                id("column", "Only items in this column."),
                id("item", "Only this item and its comments."),
                text("assignee", "Only items that are assigned to this person."),
                choice("state", &search::STATES, None, "Only items in this state."),
                choice("sort", &search::SORTS, Some("relevance"), "The order; `-` is the latest first."),
                choice("stem", &search::STEMS, Some("none"), "Finds other forms of words in this language, too."),
                text("facets", "Counts hits by these, separated by commas: assignee, board, column, project, state, field.<name>."),
                text("after", "Goes on behind a page: its `next`."),
                limit(search::LIMIT_DEFAULT, search::LIMIT_MAX),
                offset(search::OFFSET_MAX),
            ])
            .refuses(400, &["invalid_query"])
            .refuses(503, &["no_search_index"]),
        get("/search/suggest", "search.suggest", "Completes what is being typed.", suggest::suggest)
            .answers::<Suggestions>("Items, the best first.")
            .asks([
                text("q", "What has been typed so far, 500 bytes at most.").such_as("cand"),
                limit(suggest::LIMIT_DEFAULT, suggest::LIMIT_MAX),
            ])
            .refuses(503, &["no_search_index"]),
    ]
}
