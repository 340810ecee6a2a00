//! The ticker: starts due jobs, limits them, and records how they ended.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::metrics::JobMetrics;
use super::store::{self, JobRow, RunRecord};
use crate::db::{DbError, Store};
use crate::kernel::{Clock, error_chain};

/// How long the row of a job may lag behind while every run goes the same way.
const STORE_AT_LEAST: Duration = Duration::from_mins(1);

type Running = Pin<Box<dyn Future<Output = anyhow::Result<String>> + Send>>;

/// One job of the table in `appliance/jobs.rs`.
#[derive(Clone)]
pub struct Job {
    name: &'static str,
    period: Duration,
    time_limit: Duration,
    run: Arc<dyn Fn() -> Running + Send + Sync>,
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
        run: Arc::new(move || Box::pin(run())),
    }
}

/// No job has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no job has this name")]
pub struct UnknownJob;

enum Command {
    RunNow {
        name: String,
        done: oneshot::Sender<Result<(), String>>,
    },
    Enable {
        name: String,
        is_enabled: bool,
    },
}

/// A handle to the scheduler. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs {
    commands: mpsc::Sender<Command>,
    names: Arc<[&'static str]>,
    store: Store,
}

impl Jobs {
    /// Makes the scheduler and the future that drives it, which runs until it is dropped.
    ///
    /// # Errors
    /// When the jobs' rows cannot be made.
    pub async fn new(
        table: Vec<Job>,
        store: Store,
        clock: Clock,
        metrics: JobMetrics,
    ) -> Result<(Self, impl Future<Output = ()> + Send), DbError> {
        let names: Arc<[_]> = table.iter().map(|job| job.name).collect();
        let now = clock.now();
        let listed = Arc::clone(&names);
        let rows = store.write(move |tx| {
            listed
                .iter()
                .try_for_each(|name| store::job_insert(tx, name, now))?;
            store::job_list(tx)
        });
        let rows = rows.await?;
        names.iter().for_each(|name| metrics.announce(name));
        let (commands, inbox) = mpsc::channel(32);
        let ticker = Ticker::new(table, &rows, store.clone(), clock, metrics);
        Ok((
            Self {
                commands,
                names,
                store,
            },
            ticker.drive(inbox),
        ))
    }

    /// What is known of every job.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<Vec<JobRow>, DbError> {
        self.store.read(store::job_list).await
    }

    /// Runs a job now and waits for its end; a run that is under way already is waited for instead.
    ///
    /// # Errors
    /// [`UnknownJob`] outside; the job's own failure in words inside.
    pub async fn run_now(&self, name: &str) -> Result<Result<(), String>, UnknownJob> {
        self.known(name)?;
        let (done, ended) = oneshot::channel();
        let command = Command::RunNow {
            name: name.to_owned(),
            done,
        };
        let stopped = || Err("the scheduler has stopped".to_owned());
        if self.commands.send(command).await.is_err() {
            return Ok(stopped());
        }
        Ok(ended.await.unwrap_or_else(|_| stopped()))
    }

    /// Switches a job on or off.
    ///
    /// # Errors
    /// [`UnknownJob`].
    pub async fn enable(&self, name: &str, is_enabled: bool) -> Result<(), UnknownJob> {
        self.known(name)?;
        let command = Command::Enable {
            name: name.to_owned(),
            is_enabled,
        };
        // The scheduler ends only with the server: then nothing runs anyway.
        drop(self.commands.send(command).await);
        Ok(())
    }

    fn known(&self, name: &str) -> Result<(), UnknownJob> {
        self.names.contains(&name).then_some(()).ok_or(UnknownJob)
    }
}

struct Entry {
    job: Job,
    /// On the monotonic clock, so that setting the machine's clock neither skips nor storms.
    due: Duration,
    is_enabled: bool,
    is_running: bool,
    /// Runs that went as the stored one did and are not stored yet.
    unstored_runs: i64,
    stored: Option<(Duration, Result<String, String>)>,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
}

struct Ticker {
    entries: HashMap<&'static str, Entry>,
    runs: JoinSet<RunRecord>,
    store: Store,
    clock: Clock,
    metrics: JobMetrics,
}

impl Ticker {
    fn new(
        table: Vec<Job>,
        rows: &[JobRow],
        store: Store,
        clock: Clock,
        metrics: JobMetrics,
    ) -> Self {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let entries = table.into_iter().map(|job| {
            let row = rows.iter().find(|row| row.name == job.name);
            // A row from the future (the clock was set back) must not postpone a job beyond its period.
            let wait = row
                .map_or(Duration::ZERO, |row| row.next_run_at.since(now))
                .min(job.period);
            let entry = Entry {
                due: monotonic + wait,
                is_enabled: row.is_none_or(|row| row.is_enabled),
                is_running: false,
                unstored_runs: 0,
                stored: None,
                waiting: Vec::new(),
                job,
            };
            (entry.job.name, entry)
        });
        Self {
            entries: entries.collect(),
            runs: JoinSet::new(),
            store,
            clock,
            metrics,
        }
    }

    async fn drive(mut self, mut inbox: mpsc::Receiver<Command>) {
        loop {
            self.start_due();
            let pause = self.until_next();
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                Some(ended) = self.runs.join_next() => match ended {
                    Ok(record) => self.ended(record).await,
                    Err(error) => tracing::error!(error = %error, "a job's task was lost"),
                },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn until_next(&self) -> Duration {
        let now = self.clock.monotonic();
        let waiting = self
            .entries
            .values()
            .filter(|entry| entry.is_enabled && !entry.is_running);
        let next = waiting.map(|entry| entry.due.saturating_sub(now)).min();
        next.unwrap_or(Duration::from_hours(1))
            .max(Duration::from_millis(1))
    }

    fn start_due(&mut self) {
        let now = self.clock.monotonic();
        let due = self
            .entries
            .values()
            .filter(|e| e.is_enabled && !e.is_running && e.due <= now);
        let names: Vec<_> = due.map(|entry| entry.job.name).collect();
        for name in names {
            self.start(name);
        }
    }

    fn start(&mut self, name: &str) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.is_running = true;
        self.runs
            .spawn(run_once(entry.job.clone(), self.clock.clone()));
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::RunNow { name, done } => {
                let Some(entry) = self.entries.get_mut(name.as_str()) else {
                    return;
                };
                entry.waiting.push(done);
                if !entry.is_running {
                    self.start(&name);
                }
            }
            Command::Enable { name, is_enabled } => {
                if let Some(entry) = self.entries.get_mut(name.as_str()) {
                    entry.is_enabled = is_enabled;
                }
                let stored = self
                    .store
                    .write(move |tx| store::job_enable(tx, &name, is_enabled));
                if let Err(error) = stored.await {
                    tracing::error!(error = %error, "a job's switch could not be stored");
                }
            }
        }
    }

    async fn ended(&mut self, record: RunRecord) {
        let Some(entry) = self.entries.get_mut(record.name) else {
            return;
        };
        entry.is_running = false;
        entry.due = self.clock.monotonic() + entry.job.period;
        let duration_ms = f64::from(i32::try_from(record.duration_ms).unwrap_or(i32::MAX));
        self.metrics
            .observe(record.name, record.outcome.is_ok(), duration_ms);
        let outcome = record.outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        for waiting in entry.waiting.drain(..) {
            // Whoever asked may have gone away.
            drop(waiting.send(outcome.clone()));
        }
        entry.unstored_runs += 1;
        if entry.is_news(&record, self.clock.monotonic()) {
            let record = RunRecord {
                runs: std::mem::take(&mut entry.unstored_runs),
                ..record
            };
            self.store_record(record).await;
        }
    }

    async fn store_record(&self, record: RunRecord) {
        let stored = self
            .store
            .write(move |tx| store::job_record(tx, &record))
            .await;
        if let Err(error) = stored {
            tracing::error!(error = %error, "a job's outcome could not be stored");
        }
    }
}

impl Entry {
    /// A run that went like the last one is stored once a minute only: each row written is an fsync.
    fn is_news(&mut self, record: &RunRecord, now: Duration) -> bool {
        let is_stale = self.stored.as_ref().is_none_or(|(at, outcome)| {
            now.saturating_sub(*at) >= STORE_AT_LEAST || *outcome != record.outcome
        });
        if is_stale {
            self.stored = Some((now, record.outcome.clone()));
        }
        is_stale
    }
}

async fn run_once(job: Job, clock: Clock) -> RunRecord {
    let (started_at, started) = (clock.now(), clock.monotonic());
    // Made inside the guarded future: a job may panic before its first await.
    let guarded = std::panic::AssertUnwindSafe(async { (job.run)().await }).catch_unwind();
    let outcome = match tokio::time::timeout(job.time_limit, guarded).await {
        Ok(Ok(Ok(result))) => Ok(result),
        Ok(Ok(Err(error))) => Err(error_chain(error.as_ref())),
        Ok(Err(_)) => Err("it panicked".to_owned()),
        Err(_) => Err(format!(
            "it took longer than {:?} and was ended",
            job.time_limit
        )),
    };
    if let Err(error) = &outcome {
        tracing::error!(job = job.name, error, "a job failed");
    }
    let elapsed = clock.monotonic().saturating_sub(started);
    RunRecord {
        name: job.name,
        started_at,
        duration_ms: i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX),
        outcome,
        next_run_at: clock.now() + job.period,
        runs: 1,
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
