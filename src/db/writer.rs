//! The one writer: a thread that commits queued jobs in groups.
//!
//! While one group commits, the next collects itself, so the price of an fsync is shared by all who wait.
//! A job is atomic: when it fails or panics, its savepoint is rolled back and its neighbours commit. The
//! caller's future resolves only after COMMIT.
//!
//! Invariant: a job does SQL only. It holds everybody else, so no network, no hashing of passwords.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::damage::Damage;
use super::metrics::DbMetrics;
use super::{DbError, connection};

/// Jobs that wait at most; one more is told to come back.
const QUEUE: usize = 1024;
/// Jobs in one commit at most.
const GROUP: usize = 128;
/// A job that takes longer holds everybody up: somebody must look.
const SLOW_JOB: Duration = Duration::from_millis(50);

type Hook = Box<dyn FnOnce() + Send>;
type Finish = Box<dyn FnOnce(Result<(), DbError>) + Send>;

/// A write transaction as a job sees it.
pub struct Tx<'c> {
    connection: &'c Connection,
    after_commit: RefCell<Vec<Hook>>,
}

impl Tx<'_> {
    /// Runs `hook` after COMMIT and before the caller is answered, even when the caller has gone away.
    /// For invalidating caches; it must be quick and must not wait.
    pub fn after_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.borrow_mut().push(Box::new(hook));
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

/// What running a job came to: whether its changes stay, and how to tell its caller.
struct Ran {
    keeps_changes: bool,
    finish: Finish,
}

/// A queued job, its types erased.
trait Job: Send {
    /// Whether its caller has gone away.
    fn is_abandoned(&self) -> bool;
    /// Runs it inside the savepoint that the writer opened.
    fn run(self: Box<Self>, connection: &Connection, damage: &Damage) -> Ran;
    /// Tells its caller that it never ran.
    fn refuse(self: Box<Self>, error: DbError);
}

struct Typed<T, E, F> {
    job: F,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Typed<T, E, F>
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
    F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(self: Box<Self>, connection: &Connection, damage: &Damage) -> Ran {
        let Self { job, answer } = *self;
        let tx = Tx {
            connection,
            after_commit: RefCell::default(),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| job(&tx)))
            .unwrap_or_else(|_| Err(E::from(DbError::Panicked)));
        damage.note_in(&outcome);
        let hooks = tx.after_commit.into_inner();
        let keeps_changes = outcome.is_ok();
        let finish: Finish = Box::new(move |committed| {
            let outcome = outcome.and_then(|value| match committed {
                Ok(()) => {
                    for hook in hooks {
                        // The writes stand; a hook that panics must not end the writer.
                        if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                            tracing::error!("what follows a commit panicked");
                        }
                    }
                    Ok(value)
                }
                Err(error) => Err(E::from(error)),
            });
            // A caller that has gone away does not need the answer.
            drop(answer.send(outcome));
        });
        Ran {
            keeps_changes,
            finish,
        }
    }

    fn refuse(self: Box<Self>, error: DbError) {
        drop(self.answer.send(Err(E::from(error))));
    }
}

enum Message {
    Job(Box<dyn Job>),
    /// Outside any transaction, such as a checkpoint.
    Maintenance(Box<dyn FnOnce(&Connection) + Send>),
}

/// A handle to the writer thread. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// Starts the thread on `connection`.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(
        connection: Connection,
        metrics: DbMetrics,
        damage: Damage,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || work(&connection, jobs, &metrics, &damage))?;
        Ok(Self {
            queue,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Runs `job` in a transaction of its own and waits for the commit.
    ///
    /// # Errors
    /// The job's own error, or [`DbError`] when the commit failed or the queue is full.
    ///
    /// # Cancel safety
    /// Dropped before its turn, the job writes nothing; dropped later, it commits all the same.
    pub async fn call<T, E>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel::<Result<T, E>>();
        let message = Message::Job(Box::new(Typed { job, answer }));
        self.queue
            .try_send(message)
            .map_err(|error| E::from(queue_error(&error)))?;
        answered
            .await
            .unwrap_or_else(|_| Err(E::from(DbError::Closed)))
    }

    /// Runs `task` on the writing connection between groups, outside a transaction.
    ///
    /// # Errors
    /// The task's own error, or [`DbError::Closed`].
    pub async fn maintain<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (answer, answered) = oneshot::channel();
        let task = Box::new(move |connection: &Connection| {
            // A caller that has gone away does not need the answer.
            drop(answer.send(task(connection)));
        });
        self.queue
            .try_send(Message::Maintenance(task))
            .map_err(|error| queue_error(&error))?;
        answered.await.unwrap_or(Err(DbError::Closed))
    }

    /// Jobs that wait now.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Takes the thread to wait for, once; it ends when every handle is dropped.
    #[must_use]
    pub fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread
            .lock()
            .expect("the lock is held for one statement")
            .take()
    }
}

fn queue_error<T>(error: &mpsc::error::TrySendError<T>) -> DbError {
    match error {
        mpsc::error::TrySendError::Full(_) => DbError::Busy,
        mpsc::error::TrySendError::Closed(_) => DbError::Closed,
    }
}

fn work(
    connection: &Connection,
    mut queue: mpsc::Receiver<Message>,
    metrics: &DbMetrics,
    damage: &Damage,
) {
    let mut messages = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut messages, GROUP) > 0 {
        let mut group = Vec::with_capacity(messages.len());
        for message in messages.drain(..) {
            match message {
                Message::Job(job) => group.push(job),
                Message::Maintenance(task) => {
                    commit_group(connection, std::mem::take(&mut group), metrics, damage);
                    task(connection);
                }
            }
        }
        commit_group(connection, group, metrics, damage);
    }
    if damage.finding().is_none() {
        close(connection);
    }
}

fn close(connection: &Connection) {
    let result = connection
        .execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);")
        .map_err(DbError::from);
    if let Err(error) = result {
        tracing::warn!(error = %error, "the last checkpoint failed; the next start does it");
    }
}

fn commit_group(
    connection: &Connection,
    mut group: Vec<Box<dyn Job>>,
    metrics: &DbMetrics,
    damage: &Damage,
) {
    group.retain(|job| !job.is_abandoned());
    if group.is_empty() {
        return;
    }
    if let Some(refusal) = damage.refusal() {
        return group
            .into_iter()
            .for_each(|job| job.refuse(refusal.for_neighbour()));
    }
    metrics
        .group_size
        .observe(f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX)));
    let begun = statement(connection, "BEGIN IMMEDIATE");
    damage.note_in(&begun);
    if let Err(error) = begun {
        tracing::error!(error = %error, "a group of writes could not begin");
        return group
            .into_iter()
            .for_each(|job| job.refuse(error.for_neighbour()));
    }
    let mut finishes = Vec::with_capacity(group.len());
    for job in group {
        if connection.is_autocommit() {
            // An earlier job met a full disk and SQLite ended the transaction: this one must not begin
            // another by its savepoint.
            job.refuse(rolled_back());
            continue;
        }
        let started = Instant::now();
        run_in_savepoint(connection, job, &mut finishes, damage);
        observe(metrics, started.elapsed());
    }
    let committed = finish_transaction(connection);
    damage.note_in(&committed);
    metrics.commits.inc();
    for finish in finishes {
        finish(committed.as_ref().copied().map_err(DbError::for_neighbour));
    }
}

fn observe(metrics: &DbMetrics, elapsed: Duration) {
    metrics.job_seconds.observe(elapsed.as_secs_f64());
    if elapsed > SLOW_JOB {
        tracing::warn!(
            duration_ms = elapsed.as_millis(),
            "a database job held up the writer"
        );
    }
}

/// Adds the job to `finishes` when its changes wait for the commit; else undoes it and tells its caller.
fn run_in_savepoint(
    connection: &Connection,
    job: Box<dyn Job>,
    finishes: &mut Vec<Finish>,
    damage: &Damage,
) {
    if let Err(error) = statement(connection, "SAVEPOINT job") {
        return job.refuse(error);
    }
    let ran = job.run(connection, damage);
    let end = if ran.keeps_changes {
        "RELEASE job"
    } else {
        "ROLLBACK TO job"
    };
    match statement(connection, end) {
        Ok(()) if ran.keeps_changes => finishes.push(ran.finish),
        Ok(()) => (ran.finish)(statement(connection, "RELEASE job")),
        Err(error) => (ran.finish)(Err(error)),
    }
}

fn rolled_back() -> DbError {
    // SQLite does so by itself on a full disk, an I/O error or lack of memory.
    DbError::NotCommitted {
        reason: "an earlier write of the group filled the disk".into(),
    }
}

fn statement(connection: &Connection, sql: &str) -> Result<(), DbError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn finish_transaction(connection: &Connection) -> Result<(), DbError> {
    if connection.is_autocommit() {
        return Err(rolled_back());
    }
    let committed = statement(connection, "COMMIT");
    if let Err(error) = &committed {
        tracing::error!(error = %error, "a group of writes could not be committed");
        drop(connection.execute_batch("ROLLBACK"));
    }
    committed
}

/// Opens `path` for writing and starts a writer on it.
///
/// # Errors
/// When the file or the thread cannot be had.
pub(super) fn open(
    path: &std::path::Path,
    durability: connection::Durability,
    metrics: DbMetrics,
    damage: Damage,
) -> Result<Writer, DbError> {
    let connection = connection::open_writer(path, durability)?;
    Writer::start(connection, metrics, damage).map_err(|error| DbError::NotCommitted {
        reason: format!("no thread for the database writer: {error}"),
    })
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
