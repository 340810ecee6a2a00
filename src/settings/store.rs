//! The `setting` table.

use rusqlite::Connection;

use super::Words;
use crate::db::DbError;
use crate::kernel::UnixMillis;

/// All settings.
pub(super) fn setting_list(conn: &Connection) -> Result<Words, DbError> {
    let mut statement = conn.prepare_cached("SELECT key, value FROM setting")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
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
