//! What is known of each job now, for whoever looks.
//!
//! Invariant: the rows of the database follow it, at most a minute behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::declare::Job;
use super::store::{JobRow, RunRecord};
use crate::kernel::UnixMillis;

/// What is known of a job.
#[derive(Debug, Clone)]
pub struct JobState {
    /// Time from the end of a run to the next.
    pub period: Duration,
    /// After this long a run is ended.
    pub time_limit: Duration,
    /// Why it cannot be switched off; `None` for one that can.
    pub kept_on: Option<&'static str>,
    /// Since when it runs; `None` while it rests.
    pub running_since: Option<UnixMillis>,
    /// Its past and its switch.
    pub row: JobRow,
}

/// All jobs by name. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Board(Arc<Mutex<BTreeMap<&'static str, JobState>>>);

impl Board {
    /// Of the jobs of `table` with what their rows remember.
    pub(super) fn new(table: &[Job], rows: &[JobRow], now: UnixMillis) -> Self {
        let state = |job: &Job| {
            let row = rows.iter().find(|row| row.name == job.name);
            let mut row = row
                .cloned()
                .unwrap_or_else(|| JobRow::of_new(job.name, now));
            // The switch may have been thrown before the job was one that stays on.
            row.is_enabled |= job.kept_on.is_some();
            let state = JobState {
                period: job.period,
                time_limit: job.time_limit,
                kept_on: job.kept_on,
                running_since: None,
                row,
            };
            (job.name, state)
        };
        Self(Arc::new(Mutex::new(table.iter().map(state).collect())))
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, JobState>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the board")
    }

    pub(super) fn list(&self) -> Vec<JobState> {
        self.states().values().cloned().collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<JobState> {
        self.states().get(name).cloned()
    }

    /// Whether a job may be begun by the clock.
    pub(super) fn may_begin(&self, name: &str) -> bool {
        self.states()
            .get(name)
            .is_some_and(|state| state.row.is_enabled && state.running_since.is_none())
    }

    pub(super) fn is_running(&self, name: &str) -> bool {
        self.states()
            .get(name)
            .is_some_and(|state| state.running_since.is_some())
    }

    pub(super) fn begun(&self, name: &str, at: UnixMillis) {
        if let Some(state) = self.states().get_mut(name) {
            state.running_since = Some(at);
        }
    }

    pub(super) fn ended(&self, run: &RunRecord) {
        if let Some(state) = self.states().get_mut(run.name) {
            state.running_since = None;
            state.row.note(run);
        }
    }

    pub(super) fn switch(&self, name: &str, is_enabled: bool) {
        if let Some(state) = self.states().get_mut(name) {
            state.row.is_enabled = is_enabled;
        }
    }
}
