//! The reader pool: a few read-only connections behind a semaphore.
//!
//! The semaphore waits in async code, so that waiting requests do not each hold a blocking thread, as
//! `r2d2`'s own waiting would.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use r2d2::{ManageConnection, Pool};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{DbError, connection};

/// A reader that cannot be opened by then (no file descriptors, a stuck disk) is told as busy.
const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Manager {
    path: PathBuf,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = DbError;

    fn connect(&self) -> Result<Connection, DbError> {
        connection::open_reader(&self.path)
    }

    /// A connection to a local file does not go stale.
    fn is_valid(&self, _: &mut Connection) -> Result<(), DbError> {
        Ok(())
    }

    /// One that comes back inside a transaction would pin the WAL: throw it away.
    fn has_broken(&self, connection: &mut Connection) -> bool {
        !connection.is_autocommit()
    }
}

/// A pool of read-only connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    pool: Pool<Manager>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens up to `size` connections on `path`, the first one now.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn open(path: &Path, size: u32) -> Result<Self, DbError> {
        // One early connection proves the file; the others come when they are needed.
        drop(connection::open_reader(path)?);
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(CONNECT_TIME_LIMIT)
            .build_unchecked(Manager {
                path: path.to_owned(),
            });
        Ok(Self {
            pool,
            permits: Arc::new(Semaphore::new(size as usize)),
        })
    }

    /// Runs `query` on a reader thread. Return owned rows.
    ///
    /// # Errors
    /// The query's own error, or [`DbError`] when no connection can be had.
    pub(super) async fn call<T, E>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let permit = permits
            .acquire_owned()
            .await
            .map_err(|_| E::from(DbError::Closed))?;
        let pool = self.pool.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let connection = pool.get().map_err(|_| E::from(DbError::Busy))?;
            let answer = query(&connection);
            drop(permit);
            answer
        });
        answer
            .await
            .unwrap_or_else(|_| Err(E::from(DbError::Panicked)))
    }
}
