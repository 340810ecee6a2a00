//! The table `merge_request`.

use rusqlite::{Connection, OptionalExtension};

use crate::accounts::oauth::model::Provider;
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::{BrowserSessionId, MergeRequestId, UserId};

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::accounts::oauth) struct MergeRequest {
    pub(in crate::accounts::oauth) id: MergeRequestId,
    pub(in crate::accounts::oauth) browser_session: BrowserSessionId,
    pub(in crate::accounts::oauth) user: UserId,
    pub(in crate::accounts::oauth) other: UserId,
    pub(in crate::accounts::oauth) provider: Provider,
    pub(in crate::accounts::oauth) expires_at: UnixMillis,
}

/// Stores a request in the place of the one that its browser session had.
pub(in crate::accounts::oauth) fn merge_request_put(
    conn: &Connection,
    row: &MergeRequest,
) -> Result<(), DbError> {
    let sql = "INSERT INTO merge_request
                 (id, browser_session_id, user_id, other_user_id, provider, expires_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (browser_session_id) DO UPDATE
               SET id = ?1, user_id = ?3, other_user_id = ?4, provider = ?5, expires_at_ms = ?6";
    conn.prepare_cached(sql)?.execute((
        row.id,
        row.browser_session,
        row.user,
        row.other,
        row.provider,
        row.expires_at,
    ))?;
    Ok(())
}

/// The request of a browser session that still stands at `now`.
pub(in crate::accounts::oauth) fn merge_request_get(
    conn: &Connection,
    browser_session: BrowserSessionId,
    now: UnixMillis,
) -> Result<Option<MergeRequest>, DbError> {
    let sql = "SELECT id, user_id, other_user_id, provider, expires_at_ms FROM merge_request
               WHERE browser_session_id = ?1 AND expires_at_ms > ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let row = statement.query_row((browser_session, now), |row| {
        Ok(MergeRequest {
            id: row.get(0)?,
            browser_session,
            user: row.get(1)?,
            other: row.get(2)?,
            provider: row.get(3)?,
            expires_at: row.get(4)?,
        })
    });
    Ok(row.optional()?)
}

/// Uses a request up.
pub(in crate::accounts::oauth) fn merge_request_delete(
    conn: &Connection,
    id: MergeRequestId,
) -> Result<(), DbError> {
    conn.prepare_cached("DELETE FROM merge_request WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Forgets requests that nobody confirmed; returns how many.
pub(in crate::accounts::oauth) fn merge_requests_delete_old(
    conn: &Connection,
    now: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM merge_request WHERE expires_at_ms <= ?1";
    Ok(conn.prepare_cached(sql)?.execute([now])?)
}
