//! The read side of Sunday over HTTP: items, boards, projects, workspaces, search, and the log's events.
//!
//! ```text
//! request ─▶ parameters (400) ─▶ freshness (minPosition; 504) ─▶ service ─┬─ models (in memory) ─▶ answers ─┐
//!                                                                         ├─ searcher (index) ──────────────┤
//!                                                                         ├─ pages, envelope (log) ─────────┤
//!                                                                         └─ live (log, for ever) ──────────┤
//!                                            JSON + Sunday-Position ◀─ routes, problems ◀───────────────────┘
//! ```
//!
//! Invariant: nothing here writes, and nothing here imports the write side. Any number of these services run beside
//! one projector and one command API; all they share is the data directory.
//!
//! Invariant: `Sunday-Position` is how many events an answer covers (exclusive); it never says more than is true.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answers;
mod audience;
mod checks;
mod consumers;
pub mod envelope;
mod export;
mod freshness;
mod jobs;
mod live;
mod openapi;
mod pages;
mod parameters;
mod past;
mod problems;
mod pulled;
pub mod rfc3339;
mod routes;
mod selection;
mod service;
mod verification;
mod views;

pub use consumers::Exhausted;
pub use service::{BEHIND_SECONDS_MAX, QueryService};

use axum::Router;
use http_kit::app::App;
use http_kit::auth::Authentication;
use http_kit::limits::Limits;
use http_kit::metrics::Metrics;
use projector::audit::ScrubFigures;
use projector::checker::{CheckFigures, Class};

/// All routes of the query API with health, metrics and problems around them, for whom `authentication` lets in. Each of them
/// reads what belongs to the tenants of its token.
pub fn router(service: QueryService, authentication: Authentication, limits: Limits) -> Router {
    let app = App::new(authentication).within(limits).ready_when({
        let service = service.clone();
        move || service.readiness()
    });
    let figures = app.metrics();
    let log = service.log().clone();
    figures.gauge("sunday_log_position", "Events in the log.", move || gauge(log.watermark().get()));
    let models = service.models().clone();
    figures.gauge("sunday_models_position", "Events that the read models have taken in.", move || {
        gauge(models.checkpoint().get())
    });
    let activity = service.activity().clone();
    figures.gauge("sunday_activity_position", "Events that the activity feeds have taken in.", move || {
        gauge(activity.checkpoint().get())
    });
    let analytics = service.analytics().clone();
    figures.gauge("sunday_analytics_position", "Events that the analytics have taken in.", move || {
        gauge(analytics.checkpoint().get())
    });
    let searcher = service.searcher().clone();
    figures.gauge("sunday_search_position", "Events that the search index has taken in.", move || {
        gauge(searcher.checkpoint().get())
    });
    check_figures(&service, figures);
    scrub_figures(&service, figures);
    let audit = service.clone();
    figures.gauge("sunday_checkpoint_position", "Events that the published checkpoint covers.", move || {
        gauge(audit.checkpointed())
    });
    let live = service.clone();
    figures.gauge("sunday_live_subscribers", "Live streams that are open.", move || {
        gauge(u64::try_from(live.live().subscribers()).unwrap_or(u64::MAX))
    });
    let live = service.clone();
    figures.counter(
        "sunday_live_wakes_total",
        "Live streams woken because a commit concerned them.",
        move || gauge(live.live().wakes()),
    );
    app.frame(routes::router(service))
}

/// What checks that go on by themselves have found.
fn check_figures(service: &QueryService, figures: &Metrics) {
    let read = |read: fn(&CheckFigures) -> u64| {
        let service = service.clone();
        move || service.checks().figures().map_or(0.0, |figures| gauge(read(&figures)))
    };
    figures.counter(
        "sunday_check_passes_total",
        "Checks of a sample that have ended.",
        read(CheckFigures::passes),
    );
    let compared = read(CheckFigures::compared);
    figures.counter("sunday_check_compared_total", "Things that were compared with the log.", compared);
    let missing = read(|figures| figures.findings(Class::Missing));
    figures.counter("sunday_check_missing_total", "Things of the log that were not there.", missing);
    let stale = read(|figures| figures.findings(Class::Stale));
    figures.counter("sunday_check_stale_total", "Things that were not what the log says.", stale);
    let duplicate = read(|figures| figures.findings(Class::Duplicate));
    figures.counter("sunday_check_duplicate_total", "Things that were there more than once.", duplicate);
    let orphaned = read(|figures| figures.findings(Class::Orphaned));
    figures.counter("sunday_check_orphaned_total", "Things that the log does not have.", orphaned);
    let seconds = |at: eventstore::Timestamp| at.get().unsigned_abs() / 1_000_000_000;
    let last = service.clone();
    figures.gauge(
        "sunday_check_last_time_seconds",
        "When the last of them ended, seconds since 1970.",
        move || {
            let last = last.checks().figures().and_then(|figures| figures.last());
            last.map_or(0.0, |last| gauge(seconds(last.at)))
        },
    );
}

/// What the scrub has found.
fn scrub_figures(service: &QueryService, figures: &Metrics) {
    let read = |read: fn(&ScrubFigures) -> u64| {
        let service = service.clone();
        move || service.verifications().scrubbed().map_or(0.0, |figures| gauge(read(&figures)))
    };
    let bytes = read(ScrubFigures::bytes);
    figures.counter(
        "sunday_scrub_bytes_total",
        "Bytes of ended segments that were verified in the background.",
        bytes,
    );
    figures.counter(
        "sunday_scrub_passes_total",
        "Passes over all ended segments.",
        read(ScrubFigures::passes),
    );
    figures.counter("sunday_scrub_findings_total", "What these passes found.", read(ScrubFigures::findings));
    let alarm = read(|figures| u64::from(figures.alarm().is_some()));
    figures.gauge("sunday_scrub_alarm", "1 while the last pass found damage.", alarm);
}

/// A figure as Prometheus has them: whole up to 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "positions stay far below 2⁵³")]
fn gauge(value: u64) -> f64 {
    value as f64
}
