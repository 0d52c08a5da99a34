//! What every handler works with.
//!
//! Invariant: the service blocks, so it only ever runs on blocking threads, and on a bounded number of them.

use crate::answer;
use crate::problems::problem;
use crate::request::Call;
use crate::service::{CommandService, Done, Intent, Order, Refusal};
use crate::streams::Streams;
use axum::response::Response;
use http_kit::problem::Problem;
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Requests that are carried out at one time; the next ones wait their turn without a thread.
const REQUESTS_MAX: usize = 256;

/// The command service as handlers see it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    service: CommandService,
    streams: Streams,
    places: Arc<Semaphore>,
}

impl AppState {
    /// Handlers for this service.
    #[must_use]
    pub fn new(service: CommandService) -> Self {
        let streams = Streams::new(service.store().clone());
        Self { service, streams, places: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }

    /// The service itself.
    #[must_use]
    pub fn service(&self) -> &CommandService {
        &self.service
    }

    /// Streams outside the domain.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Carries out what a request asks for and answers it.
    pub(crate) async fn run(
        &self,
        call: Call,
        target: Option<Uuid>,
        intent: Intent,
    ) -> Result<Response, Problem> {
        let shape = answer::Shape::of(&intent, &call);
        let order = Order {
            target,
            intent,
            conditions: call.conditions,
            command: call.command,
            fingerprint: call.fingerprint,
            origin: call.origin,
        };
        let done: Result<Done, Refusal> = self.blocking(move |service| service.execute(&order)).await?;
        done.map(|done| answer::done(&done, &shape)).map_err(|refusal| problem(&refusal))
    }

    /// Runs something on a blocking thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CommandService) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Problem::internal())?;
        let service = self.service.clone();
        let working = tokio::task::spawn_blocking(move || {
            // Held until the work ends, even if the client has gone away by then.
            let _place = place;
            work(&service)
        });
        working.await.map_err(|error| {
            tracing::error!(%error, "a command did not end");
            Problem::internal()
        })
    }
}
