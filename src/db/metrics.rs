//! Figures of the store.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

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

/// The figures of several databases under `db_`, told apart by the label `database`.
#[derive(Debug)]
pub struct DbFigures(Vec<(&'static str, DbMetrics)>);

type Labels = [(&'static str, &'static str); 1];

impl DbFigures {
    /// Of these databases, by name.
    #[must_use]
    pub fn of(databases: Vec<(&'static str, DbMetrics)>) -> Self {
        Self(databases)
    }

    fn encode_one<M: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, kind): (&str, &str, MetricType),
        of: impl Fn(&DbMetrics) -> &M,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (database, metrics) in &self.0 {
            let labels: Labels = [("database", database)];
            of(metrics).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for DbFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let kind = MetricType::Histogram;
        let help = "Time of a write for its caller, from queueing to the commit.";
        let one = ("db_write_seconds", help, kind);
        self.encode_one(&mut encoder, one, |it| &it.write_seconds)?;
        let one = ("db_read_seconds", "Time of a read for its caller.", kind);
        self.encode_one(&mut encoder, one, |it| &it.read_seconds)?;
        let help = "Time each write job held the writer.";
        let one = ("db_write_job_seconds", help, kind);
        self.encode_one(&mut encoder, one, |it| &it.job_seconds)?;
        let help = "Write jobs that shared one commit.";
        let one = ("db_write_group_jobs", help, kind);
        self.encode_one(&mut encoder, one, |it| &it.group_size)?;
        let one = ("db_commits", "Commits.", MetricType::Counter);
        self.encode_one(&mut encoder, one, |it| &it.commits)
    }
}
