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
mod error;
mod lock;
mod metrics;
mod migrate;
mod readers;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

use std::path::Path;

use rusqlite::Connection;

pub use cache::Cache;
pub use connection::Durability;
pub use error::DbError;
pub use lock::{FolderLock, LockError};
pub use metrics::DbMetrics;
pub use migrate::{MigrateError, Schema, migrate};
use readers::Readers;
pub use writer::{Tx, Writer};

/// One database: its writer and its readers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    readers: Readers,
    metrics: DbMetrics,
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
        let writer = writer::open(path, durability, metrics.clone())?;
        Ok(Self {
            writer,
            readers: Readers::open(path, readers)?,
            metrics,
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
        self.writer.call(job).await
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
        self.readers.call(query).await
    }

    /// Cuts the WAL back and refreshes the planner's statistics.
    ///
    /// # Errors
    /// When the checkpoint cannot run now.
    pub async fn checkpoint(&self) -> Result<(), DbError> {
        let task = |connection: &Connection| {
            connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);")?;
            Ok(())
        };
        self.writer.maintain(task).await
    }

    /// Write jobs that wait now.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.writer.queue_depth()
    }

    /// The writer's figures.
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
