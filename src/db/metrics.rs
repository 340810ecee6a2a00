//! Figures of the store.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Figures of one database's writer.
#[derive(Debug, Clone)]
pub struct DbMetrics {
    /// How long each write took for its caller, from queueing to the commit.
    pub write_seconds: Histogram,
    /// How long each read took for its caller.
    pub read_seconds: Histogram,
    /// How long each job held the writer.
    pub job_seconds: Histogram,
    /// How many jobs shared a commit.
    pub group_size: Histogram,
    /// Commits.
    pub commits: Counter,
}

impl Default for DbMetrics {
    fn default() -> Self {
        Self {
            write_seconds: Histogram::new(exponential_buckets(0.000_25, 4.0, 8)),
            read_seconds: Histogram::new(exponential_buckets(0.000_05, 4.0, 8)),
            job_seconds: Histogram::new(exponential_buckets(0.000_05, 4.0, 8)),
            group_size: Histogram::new(exponential_buckets(1.0, 2.0, 8)),
            commits: Counter::default(),
        }
    }
}

impl DbMetrics {
    /// Shows the figures under `db_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "db_write_seconds",
            "Time of a write for its caller, from queueing to the commit",
            self.write_seconds.clone(),
        );
        registry.register(
            "db_read_seconds",
            "Time of a read for its caller",
            self.read_seconds.clone(),
        );
        registry.register(
            "db_write_job_seconds",
            "Time each write job held the writer",
            self.job_seconds.clone(),
        );
        registry.register(
            "db_write_group_jobs",
            "Write jobs that shared one commit",
            self.group_size.clone(),
        );
        registry.register("db_commits", "Commits", self.commits.clone());
    }
}
