//! Whether a database was found damaged. From then on nothing is written to it.
//!
//! `SQLite` tells of damage with `SQLITE_CORRUPT` or `SQLITE_NOTADB` when a statement meets it; the weekly check
//! looks for it where no statement comes by. A write to a damaged file can spread the damage and overwrite what
//! could still be saved, so the writer refuses everything from then on; reads go on, as far as they can, and
//! media flow. The finding is kept in a file beside the database: the next start checks the database again and
//! refuses to run on one that is still damaged, or forgets the finding when a sound one stands in its place.
//!
//! Invariant: a finding is never taken back while the process runs.

use std::any::Any;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::{DbError, integrity};
use crate::kernel::Error;

/// What is known of a database's damage. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Damage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: PathBuf,
    finding: OnceLock<String>,
}

impl Damage {
    /// Of the database at `path`, of which nothing bad is known yet.
    pub(super) fn of(path: &Path) -> Self {
        Self(Arc::new(Inner {
            database: path.to_owned(),
            finding: OnceLock::new(),
        }))
    }

    /// What was found, if anything.
    pub(super) fn finding(&self) -> Option<&str> {
        self.0.finding.get().map(String::as_str)
    }

    /// The refusal of a write, once there is damage.
    pub(super) fn refusal(&self) -> Option<DbError> {
        self.finding().map(|_| damaged(&self.0.database))
    }

    /// Takes note of damage; the first finding stays.
    pub(super) fn note(&self, finding: &str) {
        if self.0.finding.set(finding.to_owned()).is_err() {
            return;
        }
        let database = &self.0.database;
        tracing::error!(
            database = %database.display(),
            finding,
            "the database is damaged: nothing is written to it any more. Stop the server and put a backup in \
             its place"
        );
        if let Err(error) = std::fs::write(marker(database), finding) {
            tracing::error!(error = %error, "the finding could not be kept for the next start");
        }
    }

    /// Takes note of damage that an operation on the database met.
    pub(super) fn note_in<T, E: 'static>(&self, outcome: &Result<T, E>) {
        if let Err(error) = outcome
            && let Some(finding) = corruption_in(error)
        {
            self.note(&finding);
        }
    }
}

/// Refuses a database whose damage an earlier process found, unless it is sound now.
pub(super) fn refuse_damaged(database: &Path) -> Result<(), DbError> {
    let marker = marker(database);
    if !marker.exists() {
        return Ok(());
    }
    match integrity::check_file(database) {
        Ok(None) => {
            tracing::info!(database = %database.display(), "the database is sound again");
            if let Err(error) = std::fs::remove_file(&marker) {
                tracing::warn!(error = %error, "the old finding could not be removed");
            }
            Ok(())
        }
        Ok(Some(_)) | Err(_) => Err(damaged(database)),
    }
}

fn damaged(database: &Path) -> DbError {
    let name = database.file_name().unwrap_or_default();
    DbError::Damaged {
        database: name.to_string_lossy().into_owned(),
    }
}

fn marker(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".damaged");
    PathBuf::from(name)
}

/// The damage that an error of a job or a query tells of, wherever it stands in its causes.
fn corruption_in<E: Any>(error: &E) -> Option<String> {
    let error: &dyn Any = error;
    if let Some(error) = error.downcast_ref::<DbError>() {
        return corruption(error);
    }
    let mut cause = error.downcast_ref::<Error>()?.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<DbError>() {
            return corruption(error);
        }
        cause = error.source();
    }
    None
}

fn corruption(error: &DbError) -> Option<String> {
    match error {
        DbError::Corrupt(cause) => Some(cause.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;
    use crate::db::{Durability, Schema, Store, migrate};

    const ROWS: &str = "INSERT INTO setting (key, value, updated_at_ms)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        SELECT 'k' || i, hex(randomblob(60)), i FROM n";

    /// A database of many pages whose middle was overwritten, as by a dying disk.
    async fn damaged_database(folder: &Path) -> PathBuf {
        let path = folder.join("glb.db");
        migrate(&path, Schema::Main, folder).unwrap();
        let store = Store::open(&path, Durability::Full).unwrap();
        store
            .write(|tx| Ok::<_, DbError>(tx.execute(ROWS, []).map(drop)?))
            .await
            .unwrap();
        assert_eq!(store.check_integrity().await.unwrap(), None);
        store.checkpoint().await.unwrap();
        store.close();
        let pages = std::fs::metadata(&path).unwrap().len() / 4096;
        let mut file = std::fs::File::options().write(true).open(&path).unwrap();
        for page in pages / 2..pages {
            file.seek(SeekFrom::Start(page * 4096)).unwrap();
            file.write_all(&[0xa5; 4096]).unwrap();
        }
        path
    }

    async fn write_one(store: &Store) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO setting VALUES ('one', '', 1)";
        let written = store.write(move |tx| Ok::<_, DbError>(tx.execute(sql, []).map(drop)?));
        written.await
    }

    #[tokio::test]
    async fn a_check_that_finds_damage_ends_all_writes_and_the_next_start_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let path = damaged_database(folder.path()).await;
        let good = folder.path().join("good.db");
        migrate(&good, Schema::Main, folder.path()).unwrap();

        let store = Store::open(&path, Durability::Full).unwrap();
        assert!(!store.is_damaged());
        assert!(store.check_integrity().await.unwrap().is_some());
        assert!(store.is_damaged());
        let refused = write_one(&store).await.unwrap_err();
        assert!(matches!(refused, DbError::Damaged { .. }), "{refused}");
        store.close();

        let refused = migrate(&path, Schema::Main, folder.path()).unwrap_err();
        assert!(crate::kernel::error_chain(&refused).contains("damaged"));
        // A backup is put in its place.
        for leftover in ["glb.db-wal", "glb.db-shm"] {
            std::fs::remove_file(folder.path().join(leftover)).ok();
        }
        std::fs::copy(&good, &path).unwrap();
        migrate(&path, Schema::Main, folder.path()).unwrap();
        let store = Store::open(&path, Durability::Full).unwrap();
        write_one(&store).await.unwrap();
    }

    #[tokio::test]
    async fn a_statement_that_meets_damage_ends_all_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = damaged_database(folder.path()).await;
        let store = Store::open(&path, Durability::Full).unwrap();
        let counted: Result<i64, Error> = store
            .read(|conn| {
                let sql = "SELECT SUM(length(value)) FROM setting";
                Ok(conn.query_row(sql, [], |row| row.get(0))?)
            })
            .await;
        assert!(counted.is_err());
        assert!(store.is_damaged());
        let refused = write_one(&store).await.unwrap_err();
        assert!(matches!(refused, DbError::Damaged { .. }), "{refused}");
    }
}
