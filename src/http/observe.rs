//! One access log line for each request, and the HTTP figures.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::request_id::RequestId;

/// Labels of a request: never a user's or a session's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// HTTP figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
    in_flight: Gauge,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.000_25, 4.0, 9)),
            in_flight: Gauge::default(),
        }
    }
}

impl HttpMetrics {
    /// Shows the figures under `http_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time until the answer's head",
            self.seconds.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being handled",
            self.in_flight.clone(),
        );
        // A family shows up with its first labels: make it stand at zero from the first scrape.
        let zero = RequestLabels {
            method: "GET",
            route: "/healthz".into(),
            status: 200,
        };
        drop(self.requests.get_or_create(&zero));
    }
}

/// Counts a request while it is handled, also one whose client goes away meanwhile.
struct InFlight(Gauge);

impl InFlight {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A request that is being handled.
pub(super) struct Observed<'a> {
    metrics: &'a HttpMetrics,
    started: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
    _in_flight: InFlight,
}

impl<'a> Observed<'a> {
    /// Counts a request as being handled.
    pub(super) fn begin(metrics: &'a HttpMetrics, request: &Request) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            method: method_label(request.method()),
            route: request.extensions().get::<MatchedPath>().cloned(),
            _in_flight: InFlight::new(&metrics.in_flight),
        }
    }

    /// Counts and logs it as answered.
    pub(super) fn end(self, status: StatusCode) {
        let elapsed = self.started.elapsed();
        let route = self.route.as_ref().map_or("other", MatchedPath::as_str);
        self.metrics.seconds.observe(elapsed.as_secs_f64());
        log(self.method, route, status, elapsed.as_micros());
        let labels = RequestLabels {
            method: self.method,
            route: route.to_owned(),
            status: status.as_u16(),
        };
        self.metrics.requests.get_or_create(&labels).inc();
    }
}

/// The log names the route, never the path: keys, attempts and tokens stand in paths and queries.
fn log(method: &str, route: &str, status: StatusCode, duration_us: u128) {
    tracing::debug!(
        request_id = RequestId::current().map(tracing::field::display),
        method,
        route,
        status = status.as_u16(),
        duration_us,
        "request answered"
    );
}

/// A fixed word, because a client may invent methods and labels must stay few.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
