//! What happens to the items of the world: each is moved and commented on, every second completed, every third given to
//! somebody else as well, every fifth renamed.

use benches::world::{append as commit, board_of, column_of, event, scope_of};
use domain::change::Change;
use domain::{Changes, CommentId, Rank, comment, item};
use eventstore::Store;

/// Events of a commit, as an import has them.
const COMMIT: usize = 100;

pub(crate) fn append(store: &Store, items: usize) {
    let mut events = Vec::new();
    for number in 0..items {
        let (id, scope) = scope_of(number);
        let of_item = |happened: item::Event| event(&id.stream_id(), &happened.into(), &scope);
        let rank = |text: &str| Rank::new(format!("{text}{number:08}i")).unwrap();
        events.push(of_item(
            item::Moved {
                from_column: column_of(number, number),
                to_column: column_of(number, number + 1),
                from_rank: rank("i"),
                to_rank: rank("k"),
            }
            .into(),
        ));
        let comment = CommentId::derive(id, "1");
        let said = comment::Event::from(comment::Added {
            workspace_id: scope.workspace,
            board_id: board_of(number),
            item_id: id,
            author: None,
            body: "Somebody has looked at it and says what there is to be said.".to_owned(),
            external_key: None,
        });
        events.push(event(&comment.stream_id(), &said.into(), &scope));
        if number % 2 == 0 {
            events.push(of_item(item::Completed { resolution: Some("done".to_owned()) }.into()));
        }
        if number % 3 == 0 {
            events
                .push(of_item(item::Assigned { assignees: vec![format!("person-{}", number % 40)] }.into()));
        }
        if number % 5 == 0 {
            let change = Change::between(None, format!("The candle number {number:012} is out").into());
            let changes = Changes::from([("title".to_owned(), change)]);
            events.push(of_item(item::Updated { changes }.into()));
        }
        if events.len() >= COMMIT {
            commit(store, std::mem::take(&mut events));
        }
    }
    commit(store, events);
}
