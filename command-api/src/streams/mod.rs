//! Generic streams: events of other services, appended as they are.
//!
//! ```text
//! body ─▶ append (who may, whose stream, names, schemas, limits) ─▶ commit ─▶ log ─▶ answer
//! ```
//!
//! Invariant: what stands here is never an event of the domain or of the system: their streams, types and tags are
//! refused, so that nobody can forge an item or break a guard from outside.
//! Invariant: a stream belongs to the tenant that began it, and every event of it carries that tenant's tag.
//! Invariant: `data` is stored byte for byte as sent.
//!
//! What an event means is not known here, save for what its registered schema says.

mod answer;
mod append;
mod body;
mod checks;
mod conditions;
mod ids;
mod names;
mod owners;
mod refusals;
mod reserved;
mod routes;
mod tenant;

pub(crate) use body::Body;
pub(crate) use reserved::is_reserved_type;
pub(crate) use routes::{APPENDED, append, stream_id};
pub(crate) use tenant::tenant_of;

use crate::registry::Registry;
use append::{Append, Stop};
use axum::response::Response;
use eventstore::{AppendError, Position, Store, StreamId, Version};
use http_kit::problem::Problem;
use owners::Owners;
use std::sync::Arc;

/// Longest body that is worked on where it arrived; longer ones would keep others waiting.
const BODY_BYTES_INLINE: usize = 256 << 10;

/// Whoever finds a stream begun meanwhile knows its owner the second time, so there is no third.
const ATTEMPTS: usize = 3;

/// Appends to streams outside the domain. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    owners: Owners,
    registry: Registry,
}

impl Streams {
    pub(crate) fn new(store: Store, registry: Registry) -> Self {
        Self(Arc::new(Inner { store, owners: Owners::default(), registry }))
    }
}

/// An append that was recorded, now or before.
#[derive(Debug)]
struct Appended {
    stream: StreamId,
    first: Version,
    last: Version,
    position: Position,
    ids: Vec<uuid::Uuid>,
}

impl Append {
    /// Carries it out and answers it.
    async fn run(self, app: &crate::state::AppState) -> Result<Response, Problem> {
        // Shared with what blocks, so that it is held until that ends, even if the client has gone away by then.
        let place = Arc::new(app.enter(&self.origin.principal).await?);
        let append = Arc::new(self);
        for _ in 0..ATTEMPTS {
            let attempt = match append.begin(&app.streams().0, false) {
                Err(Stop::WouldBlock) => {
                    let (append, streams) = (Arc::clone(&append), app.streams().clone());
                    let place = Arc::clone(&place);
                    let work = move |_: &_| {
                        let _place = place;
                        append.begin(&streams.0, true)
                    };
                    app.blocking(work).await?
                }
                begun => begun,
            };
            let (ready, pending) = match attempt {
                Ok(begun) => begun,
                Err(Stop::Known(appended)) => return Ok(answer::recorded(&appended)),
                Err(Stop::Refused(problem)) => return Err(problem),
                Err(Stop::WouldBlock) => break,
            };
            match pending.await {
                Ok(receipt) if receipt.duplicate => {
                    let streams = app.streams().clone();
                    return app
                        .blocking(move |_| streams.0.recorded(receipt.first, ready.stream))
                        .await?
                        .map(|appended| answer::recorded(&appended));
                }
                Ok(receipt) => {
                    app.streams().0.owners.learn(&ready.stream, ready.owner);
                    return ready.appended(&receipt).map(|appended| answer::recorded(&appended));
                }
                // Somebody began the stream meanwhile: whose it is has to be asked again.
                Err(AppendError::WrongExpectedVersion { current: Some(_), .. }) if ready.begins => {}
                // It may have been recorded when ids were not remembered yet.
                Err(AppendError::CommandsSplit { command }) => {
                    let streams = app.streams().clone();
                    let appended = app.blocking(move |_| ready.recorded_before(command, &streams.0)).await?;
                    return appended.map(|appended| answer::recorded(&appended));
                }
                Err(error) => return Err(ready.problem(error)),
            }
        }
        tracing::error!("an append was begun again and again");
        Err(Problem::internal())
    }
}
