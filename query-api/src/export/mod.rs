//! Events by the million: what stands behind `/events/export`.
//!
//! ```text
//! log ─▶ scan (commits, or those that the index knows) ─▶ chunk of lines ─┐ one is made
//! client ◀─ body ◀────────────────────────────────────────────────────────┘ while the other is sent
//! ```
//!
//! Invariant: the end is fixed when an export begins, and told in its head. A body that comes to its end is whole; one that
//! cannot be finished breaks off, so that nobody takes a part for everything.
//!
//! Invariant: an export holds two chunks at most, and no thread while its client does not read.

mod places;
mod scan;

pub(crate) use places::{ExportPlace, ExportPlaces};
pub(crate) use scan::Scan;

use crate::problems::unreadable;
use crate::pulled::{Part, Source};
use crate::service::QueryService;
use axum::body::Bytes;
use eventstore::ReadError;
use scan::Chunk;
use tokio::task::JoinHandle;

/// The rest of an export could not be read; why has been logged.
#[derive(Debug, thiserror::Error)]
#[error("the rest cannot be read")]
pub(crate) struct BrokenOff;

/// An export under way.
#[derive(Debug)]
pub(crate) struct Export {
    service: QueryService,
    /// The chunk that is being made; none at the end.
    ahead: Option<Ahead>,
    /// Its place among the exports.
    _place: ExportPlace,
}

/// A chunk, and what reads on behind it.
type Ahead = JoinHandle<Result<Result<(Chunk, Scan), ReadError>, BrokenOff>>;

impl Export {
    /// Begins to read. Within a tokio runtime only.
    pub(crate) fn new(service: QueryService, scan: Scan, place: ExportPlace) -> Self {
        let ahead = Some(read(&service, scan));
        Self { service, ahead, _place: place }
    }
}

fn read(service: &QueryService, mut scan: Scan) -> Ahead {
    let service = service.clone();
    tokio::spawn(async move {
        let chunk = service.blocking(move || scan.chunk().map(|chunk| (chunk, scan))).await;
        chunk.map_err(|_| BrokenOff)
    })
}

impl Source for Export {
    type Error = BrokenOff;

    async fn next(mut self: Box<Self>) -> Part<Self> {
        while let Some(ahead) = self.ahead.take() {
            let read = ahead.await.map_err(|_| BrokenOff)??;
            let (chunk, scan) = read.map_err(|error| {
                drop(unreadable(&error));
                BrokenOff
            })?;
            if !scan.is_over() {
                if scan.is_expired() {
                    // The token has to be looked at again: the client comes again with it, from its last line on.
                    return Err(BrokenOff);
                }
                self.ahead = Some(crate::export::read(&self.service, scan));
            }
            if !chunk.is_empty() {
                return Ok(Some((Bytes::from(chunk), self)));
            }
        }
        Ok(None)
    }
}
