//! An example of every operation, as the document shows it.
//!
//! Invariant: after the batch `tests/world.json`, and with the consumers `ledger` and `old-ledger` of everything, and dead letters at 0 and 1, each of them works, in the order of the document. What one takes away
//! is there for that only. A test holds it.

use serde_json::{Value, json};

pub(crate) const WORKSPACE: &str = "01920000-0000-7000-8000-000000000001";
const PROJECT: &str = "01920000-0000-7000-8000-000000000002";
const BOARD: &str = "01920000-0000-7000-8000-000000000003";
const TODO: &str = "01920000-0000-7000-8000-000000000004";
const DOING: &str = "01920000-0000-7000-8000-000000000005";
const ITEM: &str = "01920000-0000-7000-8000-000000000006";
const OTHER_ITEM: &str = "01920000-0000-7000-8000-000000000007";
const COMMENT: &str = "01920000-0000-7000-8000-000000000008";
const ATTACHMENT: &str = "01920000-0000-7000-8000-000000000009";

const CONSUMER: &str = "ledger";

// There to be archived, removed or deleted.
const OLD_WORKSPACE: &str = "01920000-0000-7000-8000-000000000011";
const OLD_PROJECT: &str = "01920000-0000-7000-8000-000000000012";
const OLD_BOARD: &str = "01920000-0000-7000-8000-000000000013";
const OLD_COLUMN: &str = "01920000-0000-7000-8000-000000000014";
const OLD_ITEM: &str = "01920000-0000-7000-8000-000000000016";
const OLD_COMMENT: &str = "01920000-0000-7000-8000-000000000018";
const OLD_CONSUMER: &str = "old-ledger";
const PROJECTION: &str = "models";

/// What a path says, and a body.
pub(crate) struct Example {
    pub(crate) path: Vec<(&'static str, &'static str)>,
    pub(crate) body: Option<Value>,
}

/// The example of an operation; without a body where it takes none that says anything.
pub(crate) fn of(id: &str) -> Example {
    let (path, body) = match id {
        "workspace.create" => (vec![], json!({"name": "Acme"})),
        "workspace.rename" => (vec![("id", WORKSPACE)], json!({"name": "Acme & Sons"})),
        "workspace.archive" => (vec![("id", OLD_WORKSPACE)], Value::Null),
        "workspace.add_member" => (vec![("id", WORKSPACE)], json!({"member": "ann", "role": "member"})),
        "workspace.change_member_role" => {
            (vec![("id", WORKSPACE), ("member", "ann")], json!({"role": "viewer"}))
        }
        "workspace.remove_member" => (vec![("id", WORKSPACE), ("member", "cem")], Value::Null),
        "project.create" => (vec![], json!({"workspaceId": WORKSPACE, "name": "Rocket"})),
        "project.update" => (vec![("id", PROJECT)], json!({"description": "To the moon."})),
        "project.archive" | "project.delete" | "project.restore" => (vec![("id", OLD_PROJECT)], Value::Null),
        "board.create" => (
            vec![],
            json!({"projectId": PROJECT, "name": "Engines", "columns": [{"name": "Open"}, {"name": "Done"}]}),
        ),
        "board.update" => (vec![("id", BOARD)], json!({"name": "All of it"})),
        "board.delete" => (vec![("id", OLD_BOARD)], Value::Null),
        "board.add_column" => (vec![("id", BOARD)], json!({"name": "In review", "wipLimit": 5})),
        "board.change_column" => (vec![("id", BOARD), ("columnId", DOING)], json!({"wipLimit": 50})),
        "board.move_column" => (vec![("id", BOARD), ("columnId", TODO)], json!({"index": 0})),
        "board.remove_column" => (vec![("id", BOARD), ("columnId", OLD_COLUMN)], json!({"itemsTo": TODO})),
        "board.add_member" => (vec![("id", BOARD)], json!({"member": "ann", "role": "admin"})),
        "board.change_member_role" => (vec![("id", BOARD), ("member", "ann")], json!({"role": "member"})),
        "board.remove_member" => (vec![("id", BOARD), ("member", "ben")], Value::Null),
        "board.define_field" => (vec![("id", BOARD)], json!({"name": "estimate", "kind": "number"})),
        "board.remove_field" => (vec![("id", BOARD), ("name", "colour")], Value::Null),
        "item.create" => (
            vec![],
            json!({"boardId": BOARD, "title": "Light the candle", "assignees": ["ann"], "fields": {"priority": "high"}}),
        ),
        "item.update" => (
            vec![("id", ITEM)],
            json!({"title": "Light both candles", "fields": {"labels": {"add": ["ready"]}}}),
        ),
        "item.delete" => (vec![("id", OLD_ITEM)], Value::Null),
        "item.move" => (vec![("id", ITEM)], json!({"columnId": DOING})),
        "item.rank" => (vec![("id", ITEM)], json!({"rank": "i"})),
        "item.assign" => (vec![("id", ITEM)], json!({"assignees": ["ann", "ben"]})),
        "item.unassign" => (vec![("id", ITEM)], json!({"assignees": ["ben"]})),
        "item.complete" => (vec![("id", ITEM)], json!({"resolution": "done"})),
        "item.reopen" => (vec![("id", ITEM)], Value::Null),
        "item.link" | "item.unlink" => (vec![("id", ITEM)], json!({"kind": "blocks", "itemId": OTHER_ITEM})),
        "item.add_attachment" => {
            (vec![("id", ITEM)], json!({"name": "plan.pdf", "size": 48_213, "mime": "application/pdf"}))
        }
        "item.remove_attachment" => (vec![("id", ITEM), ("attachmentId", ATTACHMENT)], Value::Null),
        "comment.add" => (vec![("itemId", ITEM)], json!({"body": "Ready when you are."})),
        "comment.edit" => (vec![("id", COMMENT)], json!({"body": "Ready, really."})),
        "comment.delete" => (vec![("id", OLD_COMMENT)], Value::Null),
        "stream.append" => (
            vec![("streamId", "order-7")],
            json!({"events": [{"type": "order.placed", "data": {"total": 12}, "tags": ["customer:9"]}]}),
        ),
        "schema.register" => (
            vec![],
            json!({"type": "order.paid", "schema": {"type": "object", "required": ["total"]}, "compatibility": "backward"}),
        ),
        "schema.newest" => (vec![("type", "item.created")], Value::Null),
        "schema.one" => (vec![("type", "item.created"), ("version", "1")], Value::Null),
        "consumer.create" => (
            vec![],
            json!({"name": "billing", "filter": {"category": "order", "types": ["order.placed"]}, "from": 0}),
        ),
        "consumer.acknowledge" => (vec![("name", CONSUMER)], json!({"position": 0})),
        "consumer.refuse" => (
            vec![("name", CONSUMER)],
            json!({"position": 1, "action": "retry", "reason": "the ledger is closed", "delayMs": 5000}),
        ),
        "consumer.retry_parked" | "consumer.discard_parked" => {
            (vec![("name", CONSUMER)], json!({"all": true}))
        }
        "consumer.reset" => (vec![("name", CONSUMER)], json!({"position": 0})),
        "consumer.delete" => (vec![("name", OLD_CONSUMER)], Value::Null),
        "projection.rebuild" => (vec![("name", PROJECTION)], json!({"shadow": true})),
        "projection.cancel_rebuild" => (vec![("name", PROJECTION)], json!({})),
        "projection.retry_dead_letters" => (vec![("name", PROJECTION)], json!({"positions": [1]})),
        "projection.retry_dead_letter" => (vec![("name", PROJECTION), ("position", "0")], Value::Null),
        "projection.repair" => (vec![("name", PROJECTION)], json!({"entity": format!("item:{ITEM}")})),
        // Its event's id is another one in every log.
        "projection.decide" => (
            vec![("name", PROJECTION)],
            json!({"type": "sys.dead_letter_added", "data": {
                "position": 2, "eventId": "01920000-0000-7000-8000-000000000000", "streamId": format!("item-{ITEM}"),
                "version": 0, "reason": "missing field `title`"
            }}),
        ),
        "item.bulk" => (
            vec![],
            json!({"ids": [ITEM, OTHER_ITEM], "command": "item.assign", "data": {"assignees": ["cem"]}}),
        ),
        "batch" => (
            vec![],
            json!({"commands": [
                {"command": "item.create", "data": {"boardId": BOARD, "title": "Count down"}},
                {"command": "item.complete", "id": OTHER_ITEM, "data": {"resolution": "done"}},
            ]}),
        ),
        _ => (vec![], Value::Null),
    };
    Example { path, body: (!body.is_null()).then_some(body) }
}
