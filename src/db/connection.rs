//! How every connection is opened: flags and pragmas, in one place.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::DbError;

/// "glb1": tells our files from other applications' (`PRAGMA application_id`).
pub(super) const APPLICATION_ID: i32 = 0x676c_6231;

/// Statements that each connection keeps prepared.
const STATEMENT_CACHE: usize = 192;

/// How much an acknowledged write may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives a power cut (`synchronous=FULL`).
    Full,
    /// May lose the last moments at a power cut, never the file (`synchronous=NORMAL`).
    Relaxed,
}

impl Durability {
    const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Relaxed => "NORMAL",
        }
    }
}

/// Opens the one connection that writes.
///
/// # Errors
/// When the file cannot be opened, or is no database.
pub(super) fn open_writer(path: &Path, durability: Durability) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", durability.pragma())?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    // The WAL file never shrinks by itself; a checkpoint cuts it to this.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    mark_as_ours(&connection)?;
    Ok(connection)
}

/// Marks a new file and refuses another application's.
fn mark_as_ours(connection: &Connection) -> Result<(), DbError> {
    let found: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    match found {
        APPLICATION_ID => Ok(()),
        0 => Ok(connection.pragma_update(None, "application_id", APPLICATION_ID)?),
        _ => Err(DbError::Foreign),
    }
}

/// Opens a connection that can only read.
///
/// # Errors
/// When the file cannot be opened.
pub(super) fn open_reader(path: &Path) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    connection.pragma_update(None, "cache_size", -2_000)?;
    // A write through the reader pool is a bug: fail it.
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), DbError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Else statements on partial indexes are prepared anew for each bound value: it stood out in a profile
    // of relay/start. Source: https://sqlite.org/c3ref/c_dbconfig_defensive.html (ENABLE_QPSG).
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // An I/O error through a memory map is a SIGBUS; not worth it at these sizes.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(())
}
