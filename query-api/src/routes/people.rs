//! `/users/{id}/items`: what somebody is to do, and has done.

use super::{LISTED_MAX, List, OFFSET_MAX, json};
use crate::answers::Told;
use crate::answers::item::ItemAnswer;
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::pages::PAGE_BYTES_MAX;
use crate::parameters::Parameters;
use crate::problems::unreadable;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::{BoardId, Date, ItemId, WorkspaceId};
use eventstore::{Log, Timestamp};
use http_kit::params::Path;
use projector::models::{ItemModel, SharedModels};
use std::cmp::Reverse;

pub(super) const LIMIT_DEFAULT: usize = 100;

/// Which items are wanted, by whether they are done.
pub(super) const COMPLETED: [(&str, bool); 2] = [("true", true), ("false", false)];

/// Items that are looked at under one lock: somebody may have any number of them.
const PIECE: usize = 1_024;

/// Where an item stands among somebody's.
type Standing = (bool, Option<Date>, Reverse<Timestamp>, ItemId);

/// By the day they are due, those without one last; then what changed last comes first.
fn order(item: &ItemModel) -> Standing {
    (item.due_date.is_none(), item.due_date, Reverse(item.updated_at), item.id)
}

/// The entries from `offset` on, at most `limit`, in order; what comes before and behind them is not sorted.
fn window<T: Ord>(all: &mut [T], offset: usize, limit: usize) -> &[T] {
    if offset >= all.len() {
        return &[];
    }
    let (.., behind) = all.select_nth_unstable(offset);
    let more = limit.saturating_sub(1).min(behind.len());
    if (1..behind.len()).contains(&more) {
        behind.select_nth_unstable(more);
    }
    let page = &mut all[offset..=offset + more];
    page.sort_unstable();
    page
}

/// The items of somebody who is known nowhere are none.
///
/// They are looked at piece by piece, so that nobody waits for somebody who has a hundred thousand: the answer is of the
/// position at which their ids were taken, and may know of later changes of single ones.
pub(super) async fn items(
    State(service): State<QueryService>,
    audience: Audience,
    Path(person): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let completed = parameters.choice("completed", &COMPLETED)?;
    let board = parameters.parsed::<BoardId>("boardId")?;
    let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let freshness = parameters.finish()?;
    let is_wanted = move |item: &ItemModel| {
        audience.sees(item.workspace_id)
            && completed.is_none_or(|completed| completed == item.is_completed())
            && board.is_none_or(|board| board == item.board_id)
            && workspace.is_none_or(|workspace| workspace == item.workspace_id)
    };
    let collect = move |models: &SharedModels| {
        let (ids, position) = {
            let models = models.read();
            (models.ids_assigned_to(&person), models.checkpoint().next)
        };
        let mut found = Vec::new();
        for ids in ids.chunks(PIECE) {
            let models = models.read();
            let items = ids.iter().filter_map(|id| models.item(*id));
            found.extend(items.filter(|item| !models.is_gone(item) && is_wanted(item)).map(order));
        }
        let total = found.len();
        let page = window(&mut found, offset, limit);
        let models = models.read();
        let items = page.iter().filter_map(|(.., id)| models.item(*id));
        let entries = items.map(|item| ItemAnswer::of(&models, item)).collect();
        (List::of(total, offset, entries), position)
    };
    let finish = move |list: List<ItemAnswer>, log: &Log| {
        let list = list.fill(PAGE_BYTES_MAX, |item| item.fill(log), ItemAnswer::len);
        Ok(json(&list.map_err(|error| unreadable(&error))?.named("items")))
    };
    service.read_in_pieces(freshness, collect, finish).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_that_of_the_sorted_list() {
        // Every second number once, in an order of its own.
        let shuffled: Vec<u32> = (0..200).map(|number| number * 77 % 200 * 2).collect();
        let sorted: Vec<u32> = (0..200).map(|number| number * 2).collect();
        for offset in [0, 1, 2, 50, 198, 199, 200, 300] {
            for limit in [1, 2, 3, 100, 199, 200, 500] {
                let expected: Vec<u32> = sorted.iter().copied().skip(offset).take(limit).collect();
                assert_eq!(window(&mut shuffled.clone(), offset, limit), expected, "{offset} {limit}");
            }
        }
        assert!(window::<u32>(&mut [], 0, 10).is_empty());
    }
}
