//! The outermost middleware: request id, one access log line, and the HTTP figures.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
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

/// Middleware: see the module.
pub async fn observe(State(metrics): State<HttpMetrics>, request: Request, next: Next) -> Response {
    let id = RequestId::from_header(request.headers().get(RequestId::HEADER));
    let header = id.to_header();
    let mut response = id.scope(handle(metrics, request, next)).await;
    response.headers_mut().insert(RequestId::HEADER, header);
    response
}

async fn handle(metrics: HttpMetrics, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let in_flight = InFlight::new(&metrics.in_flight);
    let response = next.run(request).await;
    drop(in_flight);
    let elapsed = started.elapsed();
    let status = response.status();
    metrics.seconds.observe(elapsed.as_secs_f64());
    log(method, &route, status, elapsed.as_micros());
    metrics
        .requests
        .get_or_create(&RequestLabels {
            method,
            route,
            status: status.as_u16(),
        })
        .inc();
    response
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
