//! What the page of jobs shows.

use std::time::Duration;

use askama::Template;

use crate::http::moment::Moment;
use crate::http::page::{Shell, sentence};
use crate::jobs::JobState;
use crate::kernel::counted;

/// `GET /jobs`
#[derive(Debug, Template)]
#[template(path = "pages/system/jobs.html")]
pub struct JobsPage {
    /// What is around the content.
    pub shell: Shell,
    /// Jobs whose last run failed.
    pub failing: Vec<JobCard>,
    /// The others.
    pub sound: Vec<JobCard>,
}

/// One job.
#[derive(Debug)]
pub struct JobCard {
    /// Its name as programs know it, such as `lease_expiry`.
    pub name: String,
    /// Its name as people read it, such as `Lease expiry`.
    pub title: String,
    /// How often, such as `every 5 s`.
    pub period: String,
    /// Whether it runs by itself.
    pub is_enabled: bool,
    /// Why it cannot be switched off.
    pub kept_on: Option<&'static str>,
    /// Since when it runs.
    pub running_since: Option<Moment>,
    /// When it runs next, for one that is switched on.
    pub next: Option<Moment>,
    /// Its last run.
    pub last: Option<LastRun>,
    /// Runs and failures, such as `12 runs, 1 failed`.
    pub count: String,
}

/// How a job went last.
#[derive(Debug)]
pub struct LastRun {
    /// When it began.
    pub at: Moment,
    /// How long it took, such as `3 ms`.
    pub took: String,
    /// What it did, or why it failed.
    pub said: String,
    /// Whether it failed.
    pub has_failed: bool,
}

impl JobsPage {
    /// The page of all jobs, those in trouble first.
    #[must_use]
    pub fn new(shell: Shell, jobs: Vec<JobState>) -> Self {
        let cards = jobs.into_iter().map(JobCard::from);
        let is_failing = |card: &JobCard| card.last.as_ref().is_some_and(|last| last.has_failed);
        let (failing, sound) = cards.partition(is_failing);
        Self {
            shell,
            failing,
            sound,
        }
    }
}

impl From<JobState> for JobCard {
    fn from(state: JobState) -> Self {
        let row = state.row;
        let failures = match row.failures {
            0 => String::new(),
            failures => format!(", {failures} failed"),
        };
        Self {
            title: sentence(&row.name.replace('_', " "))
                .trim_end_matches('.')
                .to_owned(),
            period: format!("every {}", spoken(state.period)),
            is_enabled: row.is_enabled,
            kept_on: state.kept_on,
            running_since: state.running_since.map(Moment::from),
            next: row.is_enabled.then(|| row.next_run_at.into()),
            last: row.last_started_at.map(|at| LastRun {
                at: at.into(),
                took: took(row.last_duration_ms.unwrap_or(0)),
                has_failed: row.last_error.is_some(),
                said: row.last_error.or(row.last_result).unwrap_or_default(),
            }),
            count: format!("{}{failures}", counted(row.runs, "run", "runs")),
            name: row.name,
        }
    }
}

/// A period in its one unit: periods are round.
fn spoken(period: Duration) -> String {
    let seconds = period.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn took(duration_ms: i64) -> String {
    if duration_ms < 1000 {
        return format!("{duration_ms} ms");
    }
    format!("{}.{} s", duration_ms / 1000, duration_ms % 1000 / 100)
}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
