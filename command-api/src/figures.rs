//! What an operator watches of the write side: its figures under the names that `/metrics` has for them.
//!
//! Invariant: everything is read when somebody asks; no request pays for it here.

use crate::service::{APPEND_BOUNDS_US, CommandService, Figures};
use http_kit::limits::Places;
use http_kit::metrics::{Histogram, Metrics};

/// A counter: its name, what it is, and where it stands.
type Row = (&'static str, &'static str, fn(&Figures) -> u64);

const COUNTERS: [Row; 12] = [
    ("sunday_command_at_once_total", "Commands decided where their request was.", |f| f.at_once),
    ("sunday_command_blocking_total", "Commands carried out on a blocking thread.", |f| f.blocking),
    ("sunday_command_retries_total", "Decisions taken anew because something had changed.", |f| f.retries),
    ("sunday_command_conflicts_total", "Commands refused for the version they demanded.", |f| f.conflicts),
    ("sunday_command_cache_hits_total", "States found in memory.", |f| f.cache_hits),
    ("sunday_command_cache_misses_total", "States read from the log.", |f| f.cache_misses),
    ("sunday_command_snapshots_loaded_total", "States that began with a snapshot.", |f| f.snapshots_loaded),
    ("sunday_command_snapshots_kept_total", "Snapshots written.", |f| f.snapshots_kept),
    ("sunday_command_events_read_total", "Events folded to read states.", |f| f.events_read),
    ("sunday_log_groups_total", "Groups of commits written and synced together.", |f| f.store.groups),
    ("sunday_log_commits_total", "Commits written; over the groups, the mean size of a group.", |f| {
        f.store.commits
    }),
    ("sunday_log_bytes_total", "Bytes of commits written.", |f| f.store.bytes),
];

/// Publishes the figures of a service and of the places that its requests take.
pub(crate) fn publish(metrics: &Metrics, service: &CommandService, places: &Places) {
    for (name, what, read) in COUNTERS {
        let service = service.clone();
        metrics.counter(name, what, move || count(read(&service.figures())));
    }
    let of = || service.clone();
    let log = of();
    metrics.counter("sunday_log_watermark", "The next position of the log.", move || {
        count(log.store().watermark().get())
    });
    let log = of();
    metrics.counter(
        "sunday_log_flush_seconds_total",
        "Time spent on writing and syncing groups.",
        move || log.figures().store.flushing.as_secs_f64(),
    );
    let log = of();
    metrics.gauge("sunday_log_queued_commits", "Commits that wait for the writer.", move || {
        count(log.figures().store.queued_commits as u64)
    });
    let log = of();
    metrics.gauge("sunday_log_queued_bytes", "Bytes that wait for the writer.", move || {
        count(log.figures().store.queued_bytes as u64)
    });
    let states = of();
    metrics.gauge("sunday_command_cached_states", "States of aggregates kept ready.", move || {
        count(states.cached() as u64)
    });
    let log = of();
    let what = "How long commands waited for the log, from the hand-over until they were durable.";
    metrics.histogram("sunday_command_append_seconds", what, move || {
        let append = log.figures().append;
        Histogram { bounds_us: &APPEND_BOUNDS_US, counts: append.buckets.to_vec(), total: append.total }
    });
    let [running, waiting, refused] = [(); 3].map(|()| places.clone());
    metrics.gauge("sunday_command_requests_running", "Requests that have a place.", move || {
        count(running.running() as u64)
    });
    metrics.gauge("sunday_command_requests_waiting", "Requests that wait for a place.", move || {
        count(waiting.waiting() as u64)
    });
    metrics.counter("sunday_command_requests_shed", "Requests refused because too many waited.", move || {
        count(refused.refused())
    });
}

#[expect(clippy::cast_precision_loss, reason = "a figure may be off by a part in 2^53")]
fn count(value: u64) -> f64 {
    value as f64
}
