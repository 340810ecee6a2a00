//! Is it alive, is it ready, and its figures: for supervisors and Prometheus.

pub mod api;
mod service;

pub use service::{BeforeScrape, HealthService, MetricsAccess, Readiness};
