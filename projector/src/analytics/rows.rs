//! The figures as rows of an image.

use super::{Analytics, BoardTrack, DayRow, ItemTrack};
use eventstore::Lineage;
use eventstore::codec::{self, CodecError};

type Rows = (Vec<BoardTrack>, Vec<ItemTrack>, Vec<DayRow>);

pub(super) fn encode(analytics: &Analytics) -> Result<Vec<u8>, CodecError> {
    let Analytics { boards, items, rows, .. } = analytics;
    // As `Rows`, borrowed.
    codec::encode(&(
        boards.iter().collect::<Vec<_>>(),
        items.iter().collect::<Vec<_>>(),
        rows.iter().collect::<Vec<_>>(),
    ))
}

pub(super) fn decode(bytes: &[u8], checkpoint: Lineage) -> Result<Analytics, CodecError> {
    let (boards, items, rows): Rows = codec::decode(bytes)?;
    let mut analytics = Analytics::new(checkpoint.store);
    analytics.checkpoint = checkpoint;
    for board in boards {
        analytics.boards.insert(board);
    }
    for item in items {
        analytics.items.insert(item);
    }
    for row in rows {
        analytics.days.entry(row.board).or_default().insert(row.day);
        analytics.rows.insert(row);
    }
    Ok(analytics)
}
