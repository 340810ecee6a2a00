//! `SQLite` behind async code: one writer thread with group commit, a small pool of readers.
//!
//! ```text
//! handlers, jobs ── write ──► queue ──► one thread: BEGIN IMMEDIATE, a savepoint per job, COMMIT
//!                └─ read ───► semaphore ──► read-only connections
//! ```
//!
//! Promise: when [`Store::write`] returned `Ok` on the main store, the change survives kill -9 and a power cut.
//!
//! Invariant: no other module opens a database, and no other process writes these files while we hold the
//! [`FolderLock`].

mod cache;
mod connection;
mod damage;
mod error;
mod integrity;
mod lock;
mod metrics;
mod migrate;
mod readers;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

pub use cache::Cache;
pub use connection::Durability;
use damage::Damage;
pub use error::DbError;
pub use lock::{FolderLock, LockError};
pub use metrics::{DbFigures, DbMetrics};
pub use migrate::{MigrateError, Schema, migrate};
use readers::Readers;
pub use writer::{Tx, Writer};

/// One database: its writer and its readers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    readers: Readers,
    metrics: DbMetrics,
    path: Arc<PathBuf>,
    damage: Damage,
}

impl Store {
    /// Opens the migrated database at `path`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, DbError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let readers = u32::try_from(cores * 2).unwrap_or(4).clamp(2, 8);
        let metrics = DbMetrics::default();
        let damage = Damage::of(path);
        let writer = writer::open(path, durability, metrics.clone(), damage.clone())?;
        Ok(Self {
            writer,
            readers: Readers::open(path, readers)?,
            metrics,
            path: Arc::new(path.to_owned()),
            damage,
        })
    }

    /// Runs `job` as one atomic write and waits for the commit. SQL only inside.
    ///
    /// # Errors
    /// The job's own error (nothing is stored then), or the store's.
    pub async fn write<T, E>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let began = Instant::now();
        let outcome = self.writer.call(job).await;
        let elapsed = began.elapsed().as_secs_f64();
        self.metrics.write_seconds.observe(elapsed);
        outcome
    }

    /// Runs `query` on a read-only connection.
    ///
    /// # Errors
    /// The query's own error, or the store's.
    pub async fn read<T, E>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let began = Instant::now();
        let outcome = self.readers.call(query).await;
        let elapsed = began.elapsed().as_secs_f64();
        self.metrics.read_seconds.observe(elapsed);
        self.damage.note_in(&outcome);
        outcome
    }

    /// Moves the WAL into the database and cuts it back; `false` when a reader held it.
    ///
    /// # Errors
    /// When the checkpoint cannot run now.
    ///
    /// Source: <https://sqlite.org/pragma.html#pragma_wal_checkpoint>, the first column tells.
    pub async fn checkpoint(&self) -> Result<bool, DbError> {
        let task = |connection: &Connection| {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            let is_held: i64 = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(is_held == 0)
        };
        self.require_sound()?;
        self.writer.maintain(task).await
    }

    /// Refreshes the planner's statistics where tables have changed much.
    ///
    /// # Errors
    /// When it cannot run now.
    pub async fn optimize(&self) -> Result<(), DbError> {
        let task = |connection: &Connection| Ok(connection.execute_batch("PRAGMA optimize")?);
        self.require_sound()?;
        self.writer.maintain(task).await
    }

    /// Looks through the whole file for damage; what it finds ends all writes.
    ///
    /// # Errors
    /// When the file cannot be looked through.
    pub async fn check_integrity(&self) -> Result<Option<String>, DbError> {
        let finding = integrity::check(self.path.to_path_buf()).await?;
        if let Some(finding) = &finding {
            self.damage.note(finding);
        }
        Ok(finding)
    }

    /// Whether damage was found, so that nothing is written any more.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.damage.finding().is_some()
    }

    /// Refuses when damage was found.
    ///
    /// # Errors
    /// [`DbError::Damaged`].
    pub fn require_sound(&self) -> Result<(), DbError> {
        self.damage.refusal().map_or(Ok(()), Err)
    }

    /// Bytes of the file and of its write-ahead log; 0 for one that is not there.
    #[must_use]
    pub fn size_bytes(&self) -> (u64, u64) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        (size(&self.path), size(Path::new(&wal)))
    }

    /// Write jobs that wait now.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.writer.queue_depth()
    }

    /// The figures of this database.
    #[must_use]
    pub fn metrics(&self) -> &DbMetrics {
        &self.metrics
    }

    /// Waits for the writer thread, which ends when every other handle is dropped; then the file is closed.
    pub fn close(self) {
        let thread = self.writer.take_thread();
        drop(self);
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the database writer panicked while closing");
        }
    }
}
