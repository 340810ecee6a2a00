//! Figures of the jobs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::board::JobState;
use super::store::RunRecord;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    job: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    job: String,
}

/// Upper bounds in milliseconds, as the contract lists them.
const BUCKETS_MS: [f64; 10] = [
    10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0,
];

/// Runs, durations and states by job. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JobMetrics {
    runs: Family<RunLabels, Counter>,
    duration_ms: Family<JobLabels, Histogram>,
    running: Family<JobLabels, Gauge>,
    enabled: Family<JobLabels, Gauge>,
    succeeded: Family<JobLabels, Gauge>,
}

impl Default for JobMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS_MS);
        Self {
            runs: Family::default(),
            duration_ms: Family::new_with_constructor(histogram),
            running: Family::default(),
            enabled: Family::default(),
            succeeded: Family::default(),
        }
    }
}

fn of(job: &str) -> JobLabels {
    JobLabels {
        job: job.to_owned(),
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
        let help = "1 while a run of the job is under way";
        registry.register("job_running", help, self.running.clone());
        let help = "1 for a job that is switched on";
        registry.register("job_enabled", help, self.enabled.clone());
        registry.register(
            "job_last_success_timestamp_seconds",
            "When the last good run since the start ended; 0 before the first",
            self.succeeded.clone(),
        );
    }

    /// Makes a job's figures stand from the first scrape, and tells its switch.
    pub(super) fn show(&self, state: &JobState) {
        let job = &state.row.name;
        for status in ["ok", "error"] {
            drop(self.run_counter(job, status));
        }
        drop(self.duration_ms.get_or_create_owned(&of(job)));
        drop(self.running.get_or_create_owned(&of(job)));
        drop(self.succeeded.get_or_create_owned(&of(job)));
        let enabled = self.enabled.get_or_create_owned(&of(job));
        enabled.set(i64::from(state.row.is_enabled));
    }

    fn run_counter(&self, job: &str, status: &'static str) -> Counter {
        let job = job.to_owned();
        self.runs.get_or_create_owned(&RunLabels { job, status })
    }

    pub(super) fn begun(&self, job: &str) {
        self.running.get_or_create(&of(job)).set(1);
    }

    pub(super) fn ended(&self, run: &RunRecord) {
        let status = if run.outcome.is_ok() { "ok" } else { "error" };
        self.run_counter(run.name, status).inc();
        self.running.get_or_create(&of(run.name)).set(0);
        let duration_ms = f64::from(i32::try_from(run.duration_ms).unwrap_or(i32::MAX));
        self.duration_ms
            .get_or_create(&of(run.name))
            .observe(duration_ms);
        if run.outcome.is_ok() {
            let ended_at = run.started_at.0.saturating_add(run.duration_ms) / 1000;
            self.succeeded.get_or_create(&of(run.name)).set(ended_at);
        }
    }
}
