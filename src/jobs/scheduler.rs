//! The ticker: starts due jobs, limits them, and records how they ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

use super::board::{Board, JobState};
use super::declare::Job;
use super::metrics::JobMetrics;
use super::store::{self, RunRecord};
use crate::db::{DbError, Store, Tx};
use crate::kernel::Clock;
use crate::kernel::error_chain;

/// How long the row of a job may lag behind while every run goes the same way.
const STORE_AT_LEAST: Duration = Duration::from_mins(1);

/// No job has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no job has this name")]
pub struct UnknownJob;

/// Why a job was not switched.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// There is none.
    #[error(transparent)]
    Unknown(#[from] UnknownJob),
    /// It stays on, and why.
    #[error("this job cannot be switched off: {0}")]
    KeptOn(&'static str),
    /// The switch could not be stored.
    #[error(transparent)]
    Store(#[from] DbError),
}

struct RunNow {
    name: String,
    done: oneshot::Sender<Result<(), String>>,
}

/// A handle to the scheduler. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs {
    commands: mpsc::Sender<RunNow>,
    switched: Arc<Notify>,
    board: Board,
    metrics: JobMetrics,
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
        let names: Vec<_> = table.iter().map(|job| job.name).collect();
        let now = clock.now();
        let rows = store.write(move |tx| {
            names
                .iter()
                .try_for_each(|name| store::job_insert(tx, name, now))?;
            store::job_list(tx)
        });
        let board = Board::new(&table, &rows.await?, now);
        board.list().iter().for_each(|state| metrics.show(state));
        let (commands, inbox) = mpsc::channel(32);
        let jobs = Self {
            commands,
            switched: Arc::default(),
            board: board.clone(),
            metrics: metrics.clone(),
            store: store.clone(),
        };
        let ticker = Ticker::new(table, board, store, clock, metrics);
        Ok((jobs.clone(), ticker.drive(inbox, jobs.switched)))
    }

    /// What is known of every job, by name.
    #[must_use]
    pub fn list(&self) -> Vec<JobState> {
        self.board.list()
    }

    /// What is known of one.
    ///
    /// # Errors
    /// [`UnknownJob`].
    pub fn get(&self, name: &str) -> Result<JobState, UnknownJob> {
        self.board.get(name).ok_or(UnknownJob)
    }

    /// Runs a job now, also one that is switched off, and waits for its end; a run that is under way already
    /// is waited for instead.
    ///
    /// # Errors
    /// [`UnknownJob`] outside; the job's own failure in words inside.
    ///
    /// # Cancel safety
    /// Dropped once it has waited, the run goes on.
    pub async fn run_now(&self, name: &str) -> Result<Result<(), String>, UnknownJob> {
        self.get(name)?;
        let (done, ended) = oneshot::channel();
        let command = RunNow {
            name: name.to_owned(),
            done,
        };
        let stopped = || Err("the scheduler has stopped".to_owned());
        if self.commands.send(command).await.is_err() {
            return Ok(stopped());
        }
        Ok(ended.await.unwrap_or_else(|_| stopped()))
    }

    /// Switches a job on or off, for this run of the server and all later ones; `also` belongs to the same
    /// transaction. A run that is under way ends by itself.
    ///
    /// # Errors
    /// [`SwitchError`]; then nothing has changed.
    pub async fn switch<F>(
        &self,
        name: &str,
        is_enabled: bool,
        also: F,
    ) -> Result<JobState, SwitchError>
    where
        F: FnOnce(&Tx<'_>) -> Result<(), DbError> + Send + 'static,
    {
        let known = self.get(name)?;
        if let (false, Some(why)) = (is_enabled, known.kept_on) {
            return Err(SwitchError::KeptOn(why));
        }
        let jobs = self.clone();
        let own_name = known.row.name.clone();
        let stored = self.store.write(move |tx| {
            store::job_enable(tx, &own_name, is_enabled)?;
            also(tx)?;
            tx.after_commit(move || jobs.switched(&own_name, is_enabled));
            Ok::<_, DbError>(())
        });
        stored.await?;
        Ok(self.get(&known.row.name)?)
    }

    fn switched(&self, name: &str, is_enabled: bool) {
        self.board.switch(name, is_enabled);
        if let Some(state) = self.board.get(name) {
            self.metrics.show(&state);
        }
        self.switched.notify_one();
    }
}

struct Entry {
    job: Job,
    /// On the monotonic clock, so that setting the machine's clock neither skips nor storms.
    due: Duration,
    /// Runs that went as the stored one did and are not stored yet.
    unstored_runs: i64,
    stored: Option<(Duration, Result<String, String>)>,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
}

struct Ticker {
    entries: HashMap<&'static str, Entry>,
    board: Board,
    runs: JoinSet<RunRecord>,
    running: HashMap<Id, &'static str>,
    /// Rows being written: a slow disk holds no job up.
    writes: JoinSet<()>,
    store: Store,
    clock: Clock,
    metrics: JobMetrics,
}

impl Ticker {
    fn new(table: Vec<Job>, board: Board, store: Store, clock: Clock, metrics: JobMetrics) -> Self {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let entries = table.into_iter().map(|job| {
            let row = board.get(job.name).map(|state| state.row);
            // A row from the future (the clock was set back) must not postpone a job beyond its period.
            let wait = row
                .map_or(Duration::ZERO, |row| row.next_run_at.since(now))
                .min(job.period);
            let entry = Entry {
                due: monotonic + wait,
                unstored_runs: 0,
                stored: None,
                waiting: Vec::new(),
                job,
            };
            (entry.job.name, entry)
        });
        Self {
            entries: entries.collect(),
            board,
            runs: JoinSet::new(),
            running: HashMap::new(),
            writes: JoinSet::new(),
            store,
            clock,
            metrics,
        }
    }

    async fn drive(mut self, mut inbox: mpsc::Receiver<RunNow>, switched: Arc<Notify>) {
        loop {
            self.start_due();
            let pause = self.until_next();
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(ended) = self.runs.join_next_with_id() => match ended {
                    Ok((id, record)) => self.ended(id, record),
                    Err(error) => self.lost(&error),
                },
                Some(written) = self.writes.join_next() => if let Err(error) = written {
                    tracing::error!(error = %error, "a job's outcome was not stored");
                },
                () = switched.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn until_next(&self) -> Duration {
        let now = self.clock.monotonic();
        let waiting = self
            .entries
            .values()
            .filter(|entry| self.board.may_begin(entry.job.name));
        let next = waiting.map(|entry| entry.due.saturating_sub(now)).min();
        next.unwrap_or(Duration::from_hours(1))
            .max(Duration::from_millis(1))
    }

    fn start_due(&mut self) {
        let now = self.clock.monotonic();
        let due = self
            .entries
            .values()
            .filter(|entry| entry.due <= now && self.board.may_begin(entry.job.name));
        let names: Vec<_> = due.map(|entry| entry.job.name).collect();
        for name in names {
            self.start(name);
        }
    }

    fn start(&mut self, name: &'static str) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        self.board.begun(name, self.clock.now());
        self.metrics.begun(name);
        let run = run_once(entry.job.clone(), self.clock.clone());
        let id = self.runs.spawn(run).id();
        self.running.insert(id, name);
    }

    fn obey(&mut self, RunNow { name, done }: RunNow) {
        let Some(entry) = self.entries.get_mut(name.as_str()) else {
            return;
        };
        entry.waiting.push(done);
        let name = entry.job.name;
        if !self.board.is_running(name) {
            self.start(name);
        }
    }

    /// A run whose task ended otherwise than by its own end, as by a panic while it was cleaned up.
    fn lost(&mut self, error: &JoinError) {
        let id = error.id();
        let Some(name) = self.running.get(&id).copied() else {
            return;
        };
        let now = self.clock.now();
        let began = self
            .board
            .get(name)
            .and_then(|state| state.running_since)
            .unwrap_or(now);
        let next = self.entries.get(name).map_or(now, |e| now + e.job.period);
        let record = RunRecord {
            name,
            started_at: began,
            duration_ms: i64::try_from(now.since(began).as_millis()).unwrap_or(i64::MAX),
            outcome: Err(error.to_string()),
            next_run_at: next,
            runs: 1,
        };
        tracing::error!(job = name, error = %error, "a job's task was lost");
        self.ended(id, record);
    }

    fn ended(&mut self, id: Id, record: RunRecord) {
        self.running.remove(&id);
        let Some(entry) = self.entries.get_mut(record.name) else {
            return;
        };
        entry.due = self.clock.monotonic() + entry.job.period;
        self.metrics.ended(&record);
        self.board.ended(&record);
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
            self.writes.spawn(write_record(self.store.clone(), record));
        }
    }
}

async fn write_record(store: Store, record: RunRecord) {
    let name = record.name;
    let stored = store.write(move |tx| store::job_record(tx, &record)).await;
    if let Err(error) = stored {
        tracing::error!(job = name, error = %error, "a job's outcome could not be stored");
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
