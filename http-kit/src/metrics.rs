//! Figures in the Prometheus text format: requests by route and status, their latency, and gauges.
//!
//! Invariant: the number of series is bounded by the routes, never by what clients send. Gauges are read
//! when they are asked for, by closures of the service.

use axum::http::Method;
use dashmap::DashMap;
use parking_lot::Mutex;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the latency buckets, microseconds.
const BUCKETS_US: [u64; 13] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];

/// Whether a figure only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

type Read = Box<dyn Fn() -> f64 + Send + Sync>;

struct Figure {
    name: &'static str,
    what: &'static str,
    kind: Kind,
    read: Read,
}

/// A distribution of times, as it stands when somebody asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bounds of the buckets, microseconds.
    pub bounds_us: &'static [u64],
    /// What fell within each bound and above the one before; one more for what is above all of them.
    pub counts: Vec<u64>,
    /// All times together.
    pub total: Duration,
}

struct Distribution {
    name: &'static str,
    what: &'static str,
    read: Box<dyn Fn() -> Histogram + Send + Sync>,
}

#[derive(Debug, Default)]
struct Route {
    /// By method and status: a handful, so a list is the fastest map.
    counts: Vec<(&'static str, u16, u64)>,
    buckets: [u64; BUCKETS_US.len()],
    total_us: u64,
    count: u64,
}

/// The figures of one process. Cheap to clone; all clones are the same registry.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    // Sharded by route, so that requests of different routes do not meet on one lock.
    routes: DashMap<String, Route>,
    figures: Mutex<Vec<Figure>>,
    distributions: Mutex<Vec<Distribution>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a figure that goes up and down. The name is a Prometheus metric name, `what` one line.
    pub fn gauge(
        &self,
        name: &'static str,
        what: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.figure(Figure { name, what, kind: Kind::Gauge, read: Box::new(read) });
    }

    /// Adds a figure that only grows.
    pub fn counter(
        &self,
        name: &'static str,
        what: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.figure(Figure { name, what, kind: Kind::Counter, read: Box::new(read) });
    }

    /// Adds a distribution of times. By convention the name ends in `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        what: &'static str,
        read: impl Fn() -> Histogram + Send + Sync + 'static,
    ) {
        self.0.distributions.lock().push(Distribution { name, what, read: Box::new(read) });
    }

    fn figure(&self, figure: Figure) {
        self.0.figures.lock().push(figure);
    }

    /// Counts an answered request. `route` is the route's pattern, not the path that was asked for.
    pub fn request(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let method = name_of(method);
        // The name is only copied the first time.
        let mut figures = match self.0.routes.get_mut(route) {
            Some(figures) => figures,
            None => self.0.routes.entry(route.to_owned()).or_default(),
        };
        match figures.counts.iter_mut().find(|entry| entry.0 == method && entry.1 == status) {
            Some(entry) => entry.2 += 1,
            None => figures.counts.push((method, status, 1)),
        }
        if let Some(bucket) = BUCKETS_US.iter().position(|bound_us| took_us <= *bound_us) {
            figures.buckets[bucket] += 1;
        }
        figures.count += 1;
        figures.total_us = figures.total_us.saturating_add(took_us);
    }

    /// Everything in the text format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let mut routes: Vec<_> = self.0.routes.iter().collect();
        routes.sort_by(|one, other| one.key().cmp(other.key()));
        head(out, "sunday_http_requests_total", "Requests answered.", Kind::Counter)?;
        for entry in &routes {
            let (route, figures) = entry.pair();
            for (method, status, count) in &figures.counts {
                writeln!(
                    out,
                    "sunday_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
                )?;
            }
        }
        let name = "sunday_http_request_seconds";
        writeln!(
            out,
            "# HELP {name} Time from the head of a request to its answer.\n# TYPE {name} histogram"
        )?;
        for entry in &routes {
            let (route, figures) = entry.pair();
            let mut below = 0;
            for (bound_us, count) in BUCKETS_US.iter().zip(figures.buckets) {
                below += count;
                writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{}\"}} {below}", seconds(*bound_us))?;
            }
            writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {}", figures.count)?;
            writeln!(out, "{name}_sum{{route=\"{route}\"}} {}", seconds(figures.total_us))?;
            writeln!(out, "{name}_count{{route=\"{route}\"}} {}", figures.count)?;
        }
        drop(routes);
        for figure in self.0.figures.lock().iter() {
            head(out, figure.name, figure.what, figure.kind)?;
            writeln!(out, "{} {}", figure.name, (figure.read)())?;
        }
        for distribution in self.0.distributions.lock().iter() {
            let Distribution { name, what, read } = distribution;
            let histogram = read();
            writeln!(out, "# HELP {name} {what}\n# TYPE {name} histogram")?;
            let mut below = 0;
            for (bound_us, count) in histogram.bounds_us.iter().zip(&histogram.counts) {
                below += count;
                writeln!(out, "{name}_bucket{{le=\"{}\"}} {below}", seconds(*bound_us))?;
            }
            let count: u64 = histogram.counts.iter().sum();
            writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
            writeln!(out, "{name}_sum {}\n{name}_count {count}", histogram.total.as_secs_f64())?;
        }
        Ok(())
    }
}

/// The method's name. HTTP allows any word as a method; those that nobody registered share one name.
fn name_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "OTHER",
    }
}

fn head(out: &mut String, name: &str, what: &str, kind: Kind) -> fmt::Result {
    let kind = match kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    writeln!(out, "# HELP {name} {what}\n# TYPE {name} {kind}")
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_make_one_series_and_no_more() {
        let metrics = Metrics::new();
        for number in 0..1000 {
            let method = Method::from_bytes(format!("BREW{number}").as_bytes()).unwrap();
            metrics.request(&method, "unmatched", 405, Duration::ZERO);
        }
        let text = metrics.text();
        let series: Vec<_> =
            text.lines().filter(|line| line.starts_with("sunday_http_requests_total{")).collect();
        assert_eq!(
            series,
            [r#"sunday_http_requests_total{method="OTHER",route="unmatched",status="405"} 1000"#]
        );
    }

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::new();
        metrics.gauge("sunday_depth", "How deep.", || 2.5);
        metrics.histogram("sunday_wait_seconds", "How long.", || Histogram {
            bounds_us: &[100, 1_000],
            counts: vec![2, 1, 4],
            total: Duration::from_millis(20),
        });
        metrics.request(&Method::GET, "/a", 200, Duration::from_micros(700));
        metrics.request(&Method::GET, "/a", 200, Duration::from_secs(60));
        metrics.request(&Method::GET, "/a", 404, Duration::from_micros(10));
        let text = metrics.text();
        for line in [
            "sunday_http_requests_total{method=\"GET\",route=\"/a\",status=\"200\"} 2",
            "sunday_http_requests_total{method=\"GET\",route=\"/a\",status=\"404\"} 1",
            "sunday_http_request_seconds_bucket{route=\"/a\",le=\"0.0001\"} 1",
            "sunday_http_request_seconds_bucket{route=\"/a\",le=\"0.001\"} 2",
            "sunday_http_request_seconds_bucket{route=\"/a\",le=\"10\"} 2",
            "sunday_http_request_seconds_bucket{route=\"/a\",le=\"+Inf\"} 3",
            "sunday_http_request_seconds_count{route=\"/a\"} 3",
            "# TYPE sunday_depth gauge",
            "sunday_depth 2.5",
            "# TYPE sunday_wait_seconds histogram",
            "sunday_wait_seconds_bucket{le=\"0.0001\"} 2",
            "sunday_wait_seconds_bucket{le=\"0.001\"} 3",
            "sunday_wait_seconds_bucket{le=\"+Inf\"} 7",
            "sunday_wait_seconds_sum 0.02",
            "sunday_wait_seconds_count 7",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} in\n{text}");
        }
    }
}
