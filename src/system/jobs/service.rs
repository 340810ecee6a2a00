//! What an operator sees and does about the jobs.
//!
//! Invariant: only operators get in, and what they did is in the audit log.

use std::time::Duration;

use crate::audit::{self, AuditEvent};
use crate::db::{DbError, Store, Tx};
use crate::jobs::{JobState, Jobs, SwitchError, UnknownJob};
use crate::kernel::{Actor, Clock, Error, Result};

/// How long an answer waits for the end of a run that was asked for; a longer one goes on without it.
const RUN_PATIENCE: Duration = Duration::from_secs(2);

/// The jobs as operators control them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JobControl {
    jobs: Jobs,
    store: Store,
    clock: Clock,
}

impl JobControl {
    /// Makes the service.
    #[must_use]
    pub fn new(jobs: Jobs, store: Store, clock: Clock) -> Self {
        Self { jobs, store, clock }
    }

    /// What is known of every job, by name.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator.
    pub fn list(&self, actor: &Actor) -> Result<Vec<JobState>> {
        require_operator(actor)?;
        Ok(self.jobs.list())
    }

    /// Runs a job now, also one that is switched off, and waits a moment for its end.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator, `NotFound` for an unknown name, the store's. That the run
    /// failed is no error: the state tells it.
    pub async fn run_now(&self, actor: &Actor, name: &str) -> Result<JobState> {
        require_operator(actor)?;
        let state = self.jobs.get(name).map_err(not_found)?;
        let note = self.note(actor, "job.run", &state.row.name);
        let noted = self.store.write(note).await;
        if let Err(error) = noted {
            // The jobs are what an operator looks at when the database is in trouble.
            tracing::warn!(error = %error, "a run by hand is not in the audit log");
        }
        let run = self.jobs.run_now(name);
        if let Ok(outcome) = tokio::time::timeout(RUN_PATIENCE, run).await {
            // How it went is in the state.
            drop(outcome.map_err(not_found)?);
        }
        self.jobs.get(name).map_err(not_found)
    }

    /// Switches a job on or off for good.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator, `NotFound` for an unknown name, `Conflict` for one that stays
    /// on, the store's.
    pub async fn switch(&self, actor: &Actor, name: &str, is_enabled: bool) -> Result<JobState> {
        require_operator(actor)?;
        let state = self.jobs.get(name).map_err(not_found)?;
        if state.row.is_enabled == is_enabled {
            return Ok(state);
        }
        let action = if is_enabled {
            "job.enabled"
        } else {
            "job.disabled"
        };
        let note = self.note(actor, action, name);
        let switched = self.jobs.switch(name, is_enabled, note).await;
        switched.map_err(|error| match error {
            SwitchError::Unknown(unknown) => not_found(unknown),
            SwitchError::KeptOn(_) => Error::conflict(error.to_string()).reason("job_is_kept_on"),
            SwitchError::Store(error) => error.into(),
        })
    }

    /// What writes the row of the audit log.
    fn note(
        &self,
        actor: &Actor,
        action: &'static str,
        name: &str,
    ) -> impl FnOnce(&Tx<'_>) -> std::result::Result<(), DbError> + Send + 'static {
        let (user_id, now, name) = (actor.user_id, self.clock.now(), name.to_owned());
        move |tx| {
            let event = AuditEvent {
                actor: Some(user_id),
                action,
                subject: &name,
                detail: "",
            };
            Ok(audit::append(tx, &event, now)?)
        }
    }
}

fn not_found(_: UnknownJob) -> Error {
    Error::not_found("job")
}

fn require_operator(actor: &Actor) -> Result<()> {
    if actor.is_operator() {
        Ok(())
    } else {
        Err(Error::forbidden())
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
