//! What every handler works with.
//!
//! Invariant: the service blocks, so it only ever runs on blocking threads, and on a bounded number of them.

use crate::answer;
use crate::problems::problem;
use crate::registry::Registry;
use crate::request::Call;
use crate::service::{CommandService, Done, Intent, Order, Refusal};
use crate::streams::Streams;
use axum::response::Response;
use http_kit::auth::Principal;
use http_kit::limits::{Limits, Party, Place, PlaceSizes, Places};
use http_kit::problem::Problem;
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Blocking threads that work at one time, whatever the places say.
const THREADS_MAX: usize = 256;

/// The command service as handlers see it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    service: CommandService,
    streams: Streams,
    registry: Registry,
    threads: Arc<Semaphore>,
    places: Places,
    limits: Limits,
}

impl AppState {
    /// Handlers for this service.
    #[must_use]
    pub fn new(service: CommandService) -> Self {
        let registry = Registry::new(service.store().clone());
        let streams = Streams::new(service.store().clone(), registry.clone());
        let limits = Limits::default();
        let places = Places::new(PlaceSizes::of(limits.settings()));
        let threads = Arc::new(Semaphore::new(THREADS_MAX));
        Self { service, streams, registry, threads, places, limits }
    }

    /// The same within other limits than the defaults.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { places: Places::new(PlaceSizes::of(limits.settings())), limits, ..self }
    }

    /// What clients may take.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Requests that are being carried out, and those that wait.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The service itself.
    #[must_use]
    pub fn service(&self) -> &CommandService {
        &self.service
    }

    /// The schemas of events.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Streams outside the domain.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// A place to work on a request, when it is this principal's tenant's turn.
    ///
    /// # Errors
    /// 429 `tenant_busy` or 503 `overloaded`, at once, when too many wait already.
    pub(crate) async fn enter(&self, principal: &Principal) -> Result<Place, Problem> {
        Ok(self.places.enter(&Party::of(principal)).await?)
    }

    /// Carries out what a request asks for and answers it.
    pub(crate) async fn run(
        &self,
        call: Call,
        target: Option<Uuid>,
        intent: Intent,
    ) -> Result<Response, Problem> {
        let place = self.enter(&call.origin.principal).await?;
        let shape = answer::Shape::of(&intent, &call);
        let order = Order {
            target,
            intent,
            conditions: call.conditions,
            command: call.command,
            fingerprint: call.fingerprint,
            origin: call.origin,
        };
        let done: Result<Done, Refusal> = self
            .blocking(move |service| {
                // Held until the work ends, even if the client has gone away by then.
                let _place = place;
                service.execute(&order)
            })
            .await?;
        done.map(|done| answer::done(&done, &shape)).map_err(|refusal| problem(&refusal))
    }

    /// Runs something on a blocking thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CommandService) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| Problem::internal())?;
        let service = self.service.clone();
        let working = tokio::task::spawn_blocking(move || {
            let _thread = thread;
            work(&service)
        });
        working.await.map_err(|error| {
            tracing::error!(%error, "a command did not end");
            Problem::internal()
        })
    }
}
