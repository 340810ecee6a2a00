//! One access log line for each request, and the HTTP figures.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::limit_name::{LimitName, LimitedCalls};
use super::request_id::RequestId;

/// Labels of a request: never a user's or a session's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// Methods as figures and log name them: a client may invent some, and labels must stay few.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other",
];
/// Classes of status codes.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The route of a path that is none of ours.
const NO_ROUTE: &str = "other";

/// HTTP figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    in_flight: Gauge,
    limited: LimitedCalls,
    /// The figures of each route that was asked for, so that a request costs one look-up.
    routes: Arc<RwLock<HashMap<String, Arc<RouteFigures>>>>,
}

#[derive(Debug)]
struct RouteFigures {
    seconds: Histogram,
    /// By method and class of status.
    answered: [[OnceLock<Counter>; CLASSES.len()]; METHODS.len()],
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_25, 4.0, 9));
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            limited: LimitedCalls::default(),
            routes: Arc::default(),
        }
    }
}

impl HttpMetrics {
    /// Shows the figures under `http_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Requests answered by method, route and class of status",
            self.requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "Time until the answer's head by route",
            self.seconds.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being handled",
            self.in_flight.clone(),
        );
        self.limited.register(registry);
        // A family shows up with its first labels: make it stand at zero from the first scrape.
        for class in 1..CLASSES.len() {
            drop(self.counter(NO_ROUTE, 0, class));
        }
        drop(self.figures(NO_ROUTE));
    }

    fn counter(&self, route: &str, method: usize, class: usize) -> Counter {
        self.requests.get_or_create_owned(&RequestLabels {
            method: METHODS[method],
            route: route.to_owned(),
            status: CLASSES[class],
        })
    }

    fn figures(&self, route: &str) -> Arc<RouteFigures> {
        let poisoned = "nothing panics while it holds the routes";
        if let Some(figures) = self.routes.read().expect(poisoned).get(route) {
            return Arc::clone(figures);
        }
        let labels = RouteLabels {
            route: route.to_owned(),
        };
        let figures = Arc::new(RouteFigures {
            seconds: self.seconds.get_or_create_owned(&labels),
            answered: Default::default(),
        });
        let mut routes = self.routes.write().expect(poisoned);
        Arc::clone(routes.entry(route.to_owned()).or_insert(figures))
    }

    fn count(&self, route: &str, method: usize, status: StatusCode, elapsed: Duration) {
        let figures = self.figures(route);
        figures.seconds.observe(elapsed.as_secs_f64());
        let class = usize::from(status.as_u16() / 100)
            .saturating_sub(1)
            .min(CLASSES.len() - 1);
        figures.answered[method][class]
            .get_or_init(|| self.counter(route, method, class))
            .inc();
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
    /// In [`METHODS`].
    method: usize,
    route: Option<MatchedPath>,
    _in_flight: InFlight,
}

impl<'a> Observed<'a> {
    /// Counts a request as being handled.
    pub(super) fn begin(metrics: &'a HttpMetrics, request: &Request) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            method: method_index(request.method()),
            route: request.extensions().get::<MatchedPath>().cloned(),
            _in_flight: InFlight::new(&metrics.in_flight),
        }
    }

    /// Counts and logs it as answered.
    pub(super) fn end(self, status: StatusCode) {
        let elapsed = self.started.elapsed();
        let route = self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
        self.metrics.count(route, self.method, status, elapsed);
        if status == StatusCode::TOO_MANY_REQUESTS {
            let name = RequestId::noted_limit().unwrap_or(LimitName::Other);
            self.metrics.limited.count(name);
        }
        log(METHODS[self.method], route, status, elapsed);
    }
}

/// The log names the route, never the path: keys, attempts and tokens stand in paths and queries.
fn log(method: &str, route: &str, status: StatusCode, elapsed: Duration) {
    tracing::debug!(
        request_id = RequestId::current().map(tracing::field::display),
        method,
        route,
        status = status.as_u16(),
        // As 64 bits: a longer number is text in a log of JSON.
        duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        "request answered"
    );
}

fn method_index(method: &Method) -> usize {
    let known = METHODS.iter().position(|known| *known == method.as_str());
    known.unwrap_or(METHODS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_class_and_an_invented_method_makes_no_label() {
        let metrics = HttpMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let invented = Method::from_bytes(b"X-SECRET").unwrap();
        for (method, status) in [(Method::GET, 200), (Method::GET, 204), (invented, 599)] {
            let status = StatusCode::from_u16(status).unwrap();
            metrics.count("/a/{id}", method_index(&method), status, Duration::ZERO);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "http_requests_total{method=\"GET\",route=\"/a/{id}\",status=\"2xx\"} 2",
            "http_requests_total{method=\"other\",route=\"/a/{id}\",status=\"5xx\"} 1",
            "http_request_duration_seconds_count{route=\"/a/{id}\"} 3",
            "http_requests_total{method=\"GET\",route=\"other\",status=\"4xx\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(!text.contains("X-SECRET"));
    }
}
