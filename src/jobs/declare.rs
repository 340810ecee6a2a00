//! How a job is declared, for the table in `appliance/jobs.rs`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

type Running = Pin<Box<dyn Future<Output = anyhow::Result<String>> + Send>>;

/// One job of the table in `appliance/jobs.rs`.
#[derive(Clone)]
pub struct Job {
    pub(super) name: &'static str,
    pub(super) period: Duration,
    pub(super) time_limit: Duration,
    pub(super) kept_on: Option<&'static str>,
    pub(super) run: Arc<dyn Fn() -> Running + Send + Sync>,
}

impl Job {
    /// Makes it one that cannot be switched off, because of `why`: a half sentence for operators.
    #[must_use]
    pub fn kept_on(mut self, why: &'static str) -> Self {
        self.kept_on = Some(why);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Declares a job: `run` says in words what it did.
pub fn job<F, Fut>(name: &'static str, period: Duration, time_limit: Duration, run: F) -> Job
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<String>> + Send + 'static,
{
    Job {
        name,
        period,
        time_limit,
        kept_on: None,
        run: Arc::new(move || Box::pin(run())),
    }
}
