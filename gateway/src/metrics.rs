//! What the edge counts, in the text format of Prometheus. Labels are bounded: operations are those of the tables and of
//! the proxy routes, and what would be too many counts as `other`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use crate::limits::Class;

/// Upper bounds of the latency histogram, in microseconds.
const BOUNDS: [u64; 12] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000, 10_000_000];
const MOST_OPERATIONS: usize = 1_000;
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Default)]
struct Series {
    statuses: [AtomicU64; STATUSES.len()],
    buckets: [AtomicU64; BOUNDS.len()],
    microseconds: AtomicU64,
}

/// The counters of a process.
#[derive(Default)]
pub struct Metrics {
    operations: RwLock<BTreeMap<String, Arc<Series>>>,
    in_flight: AtomicUsize,
    limited: [AtomicU64; Class::ALL.len()],
    shed: AtomicU64,
    connections: AtomicI64,
    connections_refused: AtomicU64,
    upstream_errors: AtomicU64,
    upstream_retries: AtomicU64,
    upstream_ejections: AtomicU64,
    invalid_requests: AtomicU64,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Metrics {
    fn series(&self, operation: &str) -> Arc<Series> {
        let known = self.operations.read().unwrap_or_else(PoisonError::into_inner).get(operation).map(Arc::clone);
        known.unwrap_or_else(|| {
            let mut operations = self.operations.write().unwrap_or_else(PoisonError::into_inner);
            let name = if operations.len() < MOST_OPERATIONS { operation } else { "other" };
            Arc::clone(operations.entry(name.to_owned()).or_default())
        })
    }

    pub(crate) fn answered(&self, operation: &str, status: StatusCode, took: Duration) {
        let series = self.series(operation);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        series.statuses.get(class).map(add);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| took <= *bound);
        bucket.and_then(|bucket| series.buckets.get(bucket)).map(add);
        series.microseconds.fetch_add(took, Ordering::Relaxed);
    }

    pub(crate) fn limited(&self, class: Class) {
        self.limited.get(class as usize).map(add);
    }

    pub(crate) fn shed(&self) {
        add(&self.shed);
    }

    pub(crate) fn connection(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    pub(crate) fn connection_refused(&self) {
        add(&self.connections_refused);
    }

    pub(crate) fn upstream_error(&self) {
        add(&self.upstream_errors);
    }

    pub(crate) fn upstream_retry(&self) {
        add(&self.upstream_retries);
    }

    pub(crate) fn upstream_ejection(&self) {
        add(&self.upstream_ejections);
    }

    pub(crate) fn invalid_request(&self) {
        add(&self.invalid_requests);
    }

    /// Counts a request that runs; tells how many ran before.
    pub(crate) fn begins(&self) -> usize {
        self.in_flight.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// All counters as text (Prometheus exposition format 0.0.4).
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).unwrap_or_default();
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        writeln!(text, "# TYPE freehold_http_requests_in_flight gauge\nfreehold_http_requests_in_flight {in_flight}")?;
        let connections = self.connections.load(Ordering::Relaxed);
        writeln!(text, "# TYPE freehold_connections gauge\nfreehold_connections {connections}")?;
        for (name, counter) in [
            ("http_requests_shed", &self.shed),
            ("connections_refused", &self.connections_refused),
            ("upstream_errors", &self.upstream_errors),
            ("upstream_retries", &self.upstream_retries),
            ("upstream_ejections", &self.upstream_ejections),
            ("proxy_invalid_requests", &self.invalid_requests),
        ] {
            writeln!(text, "# TYPE freehold_{name}_total counter\nfreehold_{name}_total {}", of(counter))?;
        }
        writeln!(text, "# TYPE freehold_http_requests_limited_total counter")?;
        for (class, counter) in Class::ALL.iter().zip(&self.limited) {
            writeln!(text, "freehold_http_requests_limited_total{{class=\"{}\"}} {}", class.name(), of(counter))?;
        }
        self.write_operations(text)
    }

    fn write_operations(&self, text: &mut String) -> std::fmt::Result {
        let operations = self.operations.read().unwrap_or_else(PoisonError::into_inner);
        writeln!(text, "# TYPE freehold_http_requests_total counter")?;
        for (operation, series) in operations.iter() {
            for (status, counter) in STATUSES.iter().zip(&series.statuses) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    let labels = format!("operation=\"{operation}\",status=\"{status}\"");
                    writeln!(text, "freehold_http_requests_total{{{labels}}} {count}")?;
                }
            }
        }
        writeln!(text, "# TYPE freehold_http_request_duration_seconds histogram")?;
        for (operation, series) in operations.iter() {
            let mut below = 0;
            for (bound, counter) in BOUNDS.iter().zip(&series.buckets) {
                below += counter.load(Ordering::Relaxed);
                let bound = Duration::from_micros(*bound).as_secs_f64();
                let labels = format!("operation=\"{operation}\",le=\"{bound}\"");
                writeln!(text, "freehold_http_request_duration_seconds_bucket{{{labels}}} {below}")?;
            }
            let all: u64 = series.statuses.iter().map(|it| it.load(Ordering::Relaxed)).sum();
            let sum = Duration::from_micros(series.microseconds.load(Ordering::Relaxed)).as_secs_f64();
            let name = "freehold_http_request_duration_seconds";
            writeln!(text, "{name}_bucket{{operation=\"{operation}\",le=\"+Inf\"}} {all}")?;
            writeln!(text, "{name}_sum{{operation=\"{operation}\"}} {sum}")?;
            writeln!(text, "{name}_count{{operation=\"{operation}\"}} {all}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_operations_are_bounded() {
        let metrics = Metrics::default();
        for took in [50, 200, 200, 20_000_000] {
            metrics.answered("users.read", StatusCode::OK, Duration::from_micros(took));
        }
        metrics.limited(Class::Tenant);
        metrics.begins();
        let text = metrics.text();
        for line in [
            "freehold_http_requests_in_flight 1",
            "freehold_http_requests_limited_total{class=\"tenant\"} 1",
            "freehold_http_requests_total{operation=\"users.read\",status=\"2xx\"} 4",
            "freehold_http_request_duration_seconds_bucket{operation=\"users.read\",le=\"0.0001\"} 1",
            "freehold_http_request_duration_seconds_bucket{operation=\"users.read\",le=\"10\"} 3",
            "freehold_http_request_duration_seconds_bucket{operation=\"users.read\",le=\"+Inf\"} 4",
            "freehold_http_request_duration_seconds_count{operation=\"users.read\"} 4",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
        for number in 0..(2 * MOST_OPERATIONS) {
            metrics.answered(&number.to_string(), StatusCode::OK, Duration::ZERO);
        }
        assert!(metrics.operations.read().unwrap().len() <= MOST_OPERATIONS + 1);
    }
}
