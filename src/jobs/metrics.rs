//! Figures of the jobs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    job: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    job: &'static str,
}

/// Upper bounds in milliseconds, as the contract lists them.
const BUCKETS_MS: [f64; 10] = [
    10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0,
];

/// Runs and durations by job. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JobMetrics {
    runs: Family<RunLabels, Counter>,
    duration_ms: Family<JobLabels, Histogram>,
}

impl Default for JobMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS_MS);
        Self {
            runs: Family::default(),
            duration_ms: Family::new_with_constructor(histogram),
        }
    }
}

impl JobMetrics {
    /// Shows the figures under `job_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("job_runs", "Job runs by outcome", self.runs.clone());
        registry.register(
            "job_duration_ms",
            "Job duration in ms",
            self.duration_ms.clone(),
        );
    }

    /// Makes a job's figures stand at zero from the first scrape.
    pub(super) fn announce(&self, job: &'static str) {
        for status in ["ok", "error"] {
            drop(self.runs.get_or_create(&RunLabels { job, status }));
        }
        drop(self.duration_ms.get_or_create(&JobLabels { job }));
    }

    pub(super) fn observe(&self, job: &'static str, is_ok: bool, duration_ms: f64) {
        let status = if is_ok { "ok" } else { "error" };
        self.runs.get_or_create(&RunLabels { job, status }).inc();
        self.duration_ms
            .get_or_create(&JobLabels { job })
            .observe(duration_ms);
    }
}
