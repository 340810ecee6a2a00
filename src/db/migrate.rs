//! Schema migrations: all pending ones in one transaction, after a copy of the file.
//!
//! refinery must run grouped: ungrouped, a crash between a migration and its history row makes every later
//! start fail. Foreign keys are off on this connection, else a table rebuild deletes the children.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use super::DbError;
use super::connection::{Durability, open_writer};
use super::damage::refuse_damaged;

mod main_schema {
    refinery::embed_migrations!("migrations/main");
}

mod telemetry_schema {
    refinery::embed_migrations!("migrations/telemetry");
}

/// Which database's migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// `glb.db`.
    Main,
    /// `telemetry.db`.
    Telemetry,
}

impl Schema {
    fn runner(self) -> refinery::Runner {
        match self {
            Self::Main => main_schema::migrations::runner(),
            Self::Telemetry => telemetry_schema::migrations::runner(),
        }
    }

    /// The newest version that this program knows.
    #[must_use]
    pub fn newest(self) -> i64 {
        let runner = self.runner();
        let versions = runner
            .get_migrations()
            .iter()
            .map(|m| i64::from(m.version()));
        versions.max().unwrap_or(0)
    }
}

/// Why a database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer program wrote it.
    #[error(
        "{} has schema version {found}, this program knows versions up to {known}: \
         run the newer program that wrote it, or restore a backup",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// The copy before the migration failed, so nothing was migrated.
    #[error("cannot copy the database to {} before migrating it", .0.display())]
    Copy(PathBuf, #[source] rusqlite::Error),
    /// The migrated file refers to missing rows.
    #[error("the migrated database has {count} broken references; the copy before it is {}", copy.display())]
    BrokenReferences {
        /// How many.
        count: usize,
        /// The copy made before.
        copy: PathBuf,
    },
    /// A migration failed; nothing of it was applied.
    #[error("a schema migration failed; nothing of it was applied")]
    Migration(#[source] refinery::Error),
    /// The file cannot be used at all.
    #[error("cannot open {}", .0.display())]
    Open(PathBuf, #[source] DbError),
}

/// Brings the database at `path` to the newest schema, making it when it is not there.
///
/// # Errors
/// See [`MigrateError`]; the file is as it was before, or its copy is named.
pub fn migrate(path: &Path, schema: Schema, backups: &Path) -> Result<(), MigrateError> {
    let open_error = |error| MigrateError::Open(path.to_owned(), error);
    refuse_damaged(path).map_err(open_error)?;
    let mut connection = open_writer(path, Durability::Full).map_err(open_error)?;
    let found = version_of(&connection).map_err(|error| open_error(error.into()))?;
    let known = schema.newest();
    if found > known {
        return Err(MigrateError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    if found == known {
        return Ok(());
    }
    let copy = backups.join(format!("pre-V{known}-{}", file_name(path)));
    if found > 0 {
        copy_to(&connection, &copy)?;
    }
    connection
        .pragma_update(None, "foreign_keys", false)
        .map_err(|error| open_error(error.into()))?;
    schema
        .runner()
        .set_grouped(true)
        .run(&mut connection)
        .map_err(MigrateError::Migration)?;
    let count = broken_references(&connection).map_err(|error| open_error(error.into()))?;
    if count > 0 {
        // The migration is committed: put the copy back, so that the next start does not run on it.
        drop(connection);
        restore(path, &copy).map_err(|error| MigrateError::Copy(copy.clone(), io_error(error)))?;
        return Err(MigrateError::BrokenReferences { count, copy });
    }
    connection
        .execute_batch("PRAGMA optimize")
        .map_err(|error| open_error(error.into()))?;
    tracing::info!(
        from = found,
        to = known,
        database = file_name(path),
        "schema migrated"
    );
    Ok(())
}

fn restore(path: &Path, copy: &Path) -> std::io::Result<()> {
    for leftover in ["-wal", "-shm"] {
        let leftover = PathBuf::from(format!("{}{leftover}", path.display()));
        if leftover.exists() {
            std::fs::remove_file(leftover)?;
        }
    }
    std::fs::copy(copy, path).map(drop)
}

fn io_error(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn version_of(connection: &Connection) -> rusqlite::Result<i64> {
    let table = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    if table.is_none() {
        return Ok(0);
    }
    let newest = "SELECT COALESCE(MAX(version), 0) FROM refinery_schema_history";
    connection.query_row(newest, [], |row| row.get(0))
}

fn copy_to(connection: &Connection, copy: &Path) -> Result<(), MigrateError> {
    let failed = |error| MigrateError::Copy(copy.to_owned(), error);
    if copy.exists() {
        // Left by an earlier try that went no further: this one is newer and as good.
        std::fs::remove_file(copy)
            .map_err(|error| failed(rusqlite::Error::ToSqlConversionFailure(error.into())))?;
    }
    connection
        .execute("VACUUM INTO ?1", [copy.to_string_lossy()])
        .map_err(failed)?;
    Ok(())
}

fn broken_references(connection: &Connection) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let rows = statement.query_map([], |_| Ok(()))?;
    Ok(rows.count())
}
