//! The `browser_session` table.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::accounts::model::BrowserSession;
use crate::db::DbError;
use crate::kernel::ids::{BrowserSessionId, UserId};
use crate::kernel::secret::TokenDigest;
use crate::kernel::{Role, UnixMillis};

/// What a request with a cookie needs to know.
#[derive(Debug, Clone)]
pub(in crate::accounts) struct BrowserSessionRow {
    pub(in crate::accounts) id: BrowserSessionId,
    pub(in crate::accounts) user_id: UserId,
    pub(in crate::accounts) role: Role,
    pub(in crate::accounts) display_name: String,
    pub(in crate::accounts) email: String,
    pub(in crate::accounts) last_seen_at: UnixMillis,
    pub(in crate::accounts) expires_at: UnixMillis,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<BrowserSessionRow> {
    Ok(BrowserSessionRow {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        role: row.get("role")?,
        display_name: row.get("display_name")?,
        email: row.get("email")?,
        last_seen_at: row.get("last_seen_at_ms")?,
        expires_at: row.get("expires_at_ms")?,
    })
}

/// What a new row holds.
#[derive(Debug)]
pub(in crate::accounts) struct BrowserRow<'a> {
    pub(in crate::accounts) id: BrowserSessionId,
    pub(in crate::accounts) user_id: UserId,
    pub(in crate::accounts) digest: TokenDigest,
    pub(in crate::accounts) user_agent: &'a str,
    pub(in crate::accounts) address: String,
    pub(in crate::accounts) now: UnixMillis,
    pub(in crate::accounts) expires_at: UnixMillis,
}

/// Stores a signed-in browser.
pub(in crate::accounts) fn browser_session_insert(
    conn: &Connection,
    new: &BrowserRow<'_>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO browser_session
                 (id, user_id, token_digest, user_agent, address, created_at_ms, last_seen_at_ms,
                  expires_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)";
    conn.prepare_cached(sql)?.execute((
        new.id,
        new.user_id,
        new.digest,
        new.user_agent,
        &new.address,
        new.now,
        new.expires_at,
    ))?;
    Ok(())
}

/// The session whose cookie has this digest.
pub(in crate::accounts) fn browser_session_by_digest(
    conn: &Connection,
    digest: TokenDigest,
) -> Result<Option<BrowserSessionRow>, DbError> {
    let sql = "SELECT s.id, s.user_id, u.role, u.display_name, u.email, s.last_seen_at_ms,
                      s.expires_at_ms
               FROM browser_session s JOIN user u ON u.id = s.user_id
               WHERE s.token_digest = ?1 AND u.deletion_started_at_ms IS NULL";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([digest], from_row).optional()?)
}

/// A user's signed-in browsers, newest first.
pub(in crate::accounts) fn browser_session_list(
    conn: &Connection,
    user_id: UserId,
    now: UnixMillis,
) -> Result<Vec<BrowserSession>, DbError> {
    let sql = "SELECT id, user_agent, address, created_at_ms, last_seen_at_ms
               FROM browser_session WHERE user_id = ?1 AND expires_at_ms > ?2 ORDER BY id DESC";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map((user_id, now), |row| {
        Ok(BrowserSession {
            id: row.get("id")?,
            user_agent: row.get("user_agent")?,
            address: row.get("address")?,
            created_at: row.get("created_at_ms")?,
            last_seen_at: row.get("last_seen_at_ms")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Signs one browser of `user_id` out; says whether there was one.
pub(in crate::accounts) fn browser_session_delete(
    conn: &Connection,
    user_id: UserId,
    id: BrowserSessionId,
) -> Result<bool, DbError> {
    let sql = "DELETE FROM browser_session WHERE id = ?1 AND user_id = ?2";
    Ok(conn.prepare_cached(sql)?.execute((id, user_id))? > 0)
}

/// Signs all browsers of `user_id` out but `kept`.
pub(in crate::accounts) fn browser_session_delete_others(
    conn: &Connection,
    user_id: UserId,
    kept: Option<BrowserSessionId>,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM browser_session WHERE user_id = ?1 AND id IS NOT ?2";
    Ok(conn.prepare_cached(sql)?.execute((user_id, kept))?)
}

/// Writes the last sign of life.
pub(in crate::accounts) fn browser_session_seen(
    conn: &Connection,
    id: BrowserSessionId,
    at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE browser_session SET last_seen_at_ms = ?2 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, at))?;
    Ok(())
}

/// Deletes what is over: past its absolute end, or not seen since `idle_since`.
pub(in crate::accounts) fn browser_sessions_delete_old(
    conn: &Connection,
    now: UnixMillis,
    idle_since: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM browser_session WHERE expires_at_ms <= ?1 OR last_seen_at_ms < ?2";
    Ok(conn.prepare_cached(sql)?.execute((now, idle_since))?)
}
