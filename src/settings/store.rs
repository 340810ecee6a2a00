//! The `setting` table.

use rusqlite::{Connection, OptionalExtension};

use crate::db::DbError;
use crate::kernel::UnixMillis;

/// The value of `key`.
pub(super) fn setting_get(conn: &Connection, key: &str) -> Result<Option<String>, DbError> {
    let mut statement = conn.prepare_cached("SELECT value FROM setting WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// Stores the value of `key`.
pub(super) fn setting_put(
    conn: &Connection,
    key: &str,
    value: &str,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO setting (key, value, updated_at_ms) VALUES (?1, ?2, ?3)
               ON CONFLICT (key) DO UPDATE SET value = ?2, updated_at_ms = ?3";
    conn.prepare_cached(sql)?.execute((key, value, now))?;
    Ok(())
}
