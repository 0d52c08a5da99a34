//! The figures as rows of an image.

use super::{Analytics, BoardTrack, DayRow, ItemTrack};
use eventstore::Lineage;
use eventstore::codec::{self, CodecError};

/// The lists, in the order in which they are read.
pub(super) fn encode(analytics: &Analytics) -> Result<Vec<u8>, CodecError> {
    let Analytics { boards, items, rows, .. } = analytics;
    codec::encode(&(
        boards.iter().collect::<Vec<_>>(),
        items.iter().collect::<Vec<_>>(),
        rows.iter().collect::<Vec<_>>(),
    ))
}

pub(super) fn decode(bytes: &[u8], checkpoint: Lineage) -> Result<Analytics, CodecError> {
    let mut rows = codec::Reader::new(bytes);
    let mut analytics = Analytics::new(checkpoint.store);
    analytics.checkpoint = checkpoint;
    rows.each(|board: BoardTrack| {
        analytics.boards.insert(board);
    })?;
    rows.each(|item: ItemTrack| {
        analytics.items.insert(item);
    })?;
    rows.each(|row: DayRow| {
        analytics.days.entry(row.board).or_default().insert(row.day);
        analytics.rows.insert(row);
    })?;
    rows.finish()?;
    Ok(analytics)
}
