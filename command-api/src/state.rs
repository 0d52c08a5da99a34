//! What every handler works with.
//!
//! Invariant: what blocks runs on blocking threads only, and on a bounded number of them. Most orders need none: they
//! are decided where they arrive, and only their commit is waited for.

use crate::answer;
use crate::consumers::Consumers;
use crate::problems::problem;
use crate::projections::ProjectionControl;
use crate::registry::Registry;
use crate::request::Call;
use crate::service::{CommandService, Done, Intent, Order, Refusal};
use crate::streams::Streams;
use axum::response::Response;
use http_kit::auth::Principal;
use http_kit::limits::{Limits, Party, Place, PlaceSizes, Places};
use http_kit::problem::Problem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Blocking threads that work at one time, whatever the places say.
const THREADS_MAX: usize = 256;

/// The command service as handlers see it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: CommandService,
    streams: Streams,
    registry: Registry,
    projections: ProjectionControl,
    consumers: Consumers,
    threads: Arc<Semaphore>,
    places: Places,
    limits: Limits,
    orders: Orders,
}

/// The orders that are being carried out.
#[derive(Debug, Default)]
struct Orders {
    present: AtomicUsize,
    /// Orders in a row that found no other when they came.
    alone: AtomicUsize,
}

/// Orders in a row that have to come alone before one is taken to be on its own: among many there are often a few that
/// come just when all others are answered.
const ALONE_AFTER: usize = 64;

/// One of the orders that are being carried out.
struct Present<'a>(&'a Orders);

impl<'a> Present<'a> {
    /// With whether it is likely to remain the only one.
    fn enter(orders: &'a Orders) -> (Self, bool) {
        let is_alone = if orders.present.fetch_add(1, Ordering::Relaxed) > 0 {
            // Mostly it is zero already, and a line that nobody writes is everybody's.
            if orders.alone.load(Ordering::Relaxed) != 0 {
                orders.alone.store(0, Ordering::Relaxed);
            }
            false
        } else {
            orders.alone.fetch_add(1, Ordering::Relaxed) >= ALONE_AFTER
        };
        (Self(orders), is_alone)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AppState {
    /// Handlers for this service.
    #[must_use]
    pub fn new(service: CommandService) -> Self {
        let registry = Registry::new(service.store().clone());
        let streams = Streams::new(service.store().clone(), registry.clone());
        let projections = ProjectionControl::new(service.store().clone());
        let consumers = Consumers::new(service.store().clone());
        let limits = Limits::default();
        let places = Places::new(PlaceSizes::of(limits.settings()));
        let threads = Arc::new(Semaphore::new(THREADS_MAX));
        Self(Arc::new(Inner {
            service,
            streams,
            registry,
            projections,
            consumers,
            threads,
            places,
            limits,
            orders: Orders::default(),
        }))
    }

    /// The same within other limits than the defaults.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        let Inner { service, streams, registry, projections, consumers, threads, .. } = &*self.0;
        Self(Arc::new(Inner {
            service: service.clone(),
            streams: streams.clone(),
            registry: registry.clone(),
            projections: projections.clone(),
            consumers: consumers.clone(),
            threads: Arc::clone(threads),
            places: Places::new(PlaceSizes::of(limits.settings())),
            limits,
            orders: Orders::default(),
        }))
    }

    /// What clients may take.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Requests that are being carried out, and those that wait.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.0.places
    }

    /// The service itself.
    #[must_use]
    pub fn service(&self) -> &CommandService {
        &self.0.service
    }

    /// The schemas of events.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// What is asked of projections and decided about them.
    #[must_use]
    pub fn projections(&self) -> &ProjectionControl {
        &self.0.projections
    }

    /// The named consumers.
    #[must_use]
    pub fn consumers(&self) -> &Consumers {
        &self.0.consumers
    }

    /// Streams outside the domain.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// A place to work on a request, when it is this principal's tenant's turn.
    ///
    /// # Errors
    /// 429 `tenant_busy` or 503 `overloaded`, at once, when too many wait already.
    pub(crate) async fn enter(&self, principal: &Principal) -> Result<Place, Problem> {
        Ok(self.0.places.enter(&Party::of(principal)).await?)
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
        let done = match self.at_once(&order).await {
            Some(done) => done,
            None => {
                let work = move |service: &CommandService| {
                    // Held until the work ends, even if the client has gone away by then.
                    let _place = place;
                    service.execute(&order)
                };
                self.blocking(work).await?
            }
        };
        done.map(|done| answer::done(&done, &shape)).map_err(|refusal| problem(&refusal))
    }

    /// Carries out an order without a thread of its own, if it is one of those that can be decided at once.
    async fn at_once(&self, order: &Order) -> Option<Result<Done, Refusal>> {
        let (_present, is_alone) = Present::enter(&self.0.orders);
        let decided = self.0.service.decide_at_once(order)?;
        // With nobody to share a sync with, two changes of threads would cost more than they save.
        if is_alone && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            return tokio::task::block_in_place(|| decided.append());
        }
        match decided.submit() {
            Ok(underway) => underway.await,
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// Runs something on a blocking thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CommandService) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let thread = Arc::clone(&self.0.threads).acquire_owned().await.map_err(|_| Problem::internal())?;
        let service = self.0.service.clone();
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
