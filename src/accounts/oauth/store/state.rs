//! The table `oauth_state`.

use rusqlite::{Connection, OptionalExtension};

use crate::accounts::oauth::model::Provider;
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::UserId;
use crate::kernel::secret::TokenDigest;

/// A browser that is at a provider.
#[derive(Debug)]
pub(in crate::accounts::oauth) struct StateRow {
    pub(in crate::accounts::oauth) browser: TokenDigest,
    pub(in crate::accounts::oauth) provider: Provider,
    pub(in crate::accounts::oauth) link_user: Option<UserId>,
    pub(in crate::accounts::oauth) verifier_sealed: Vec<u8>,
    /// The token of the invitation that it brought.
    pub(in crate::accounts::oauth) invite_sealed: Option<Vec<u8>>,
    pub(in crate::accounts::oauth) next_path: String,
    pub(in crate::accounts::oauth) expires_at: UnixMillis,
}

/// Stores a state. What is over goes, and of more than `most` the oldest.
pub(in crate::accounts::oauth) fn state_insert(
    conn: &Connection,
    digest: TokenDigest,
    row: &StateRow,
    now: UnixMillis,
    most: u32,
) -> Result<(), DbError> {
    states_delete_old(conn, now)?;
    let sql = "DELETE FROM oauth_state WHERE state_digest IN
                   (SELECT state_digest FROM oauth_state ORDER BY expires_at_ms DESC LIMIT -1 OFFSET ?1)";
    conn.prepare_cached(sql)?
        .execute([most.saturating_sub(1)])?;
    let sql = "INSERT INTO oauth_state
                 (state_digest, browser_digest, provider, link_user_id, verifier_sealed, next_path,
                  expires_at_ms, invite_sealed)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    conn.prepare_cached(sql)?.execute((
        digest,
        row.browser,
        row.provider,
        row.link_user,
        &row.verifier_sealed,
        &row.next_path,
        row.expires_at,
        &row.invite_sealed,
    ))?;
    Ok(())
}

/// The state of this digest.
pub(in crate::accounts::oauth) fn state_get(
    conn: &Connection,
    digest: TokenDigest,
) -> Result<Option<StateRow>, DbError> {
    let sql =
        "SELECT browser_digest, provider, link_user_id, verifier_sealed, next_path, expires_at_ms,
                invite_sealed
               FROM oauth_state WHERE state_digest = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let row = statement.query_row([digest], |row| {
        Ok(StateRow {
            browser: row.get(0)?,
            provider: row.get(1)?,
            link_user: row.get(2)?,
            verifier_sealed: row.get(3)?,
            next_path: row.get(4)?,
            expires_at: row.get(5)?,
            invite_sealed: row.get(6)?,
        })
    });
    Ok(row.optional()?)
}

/// Uses a state up.
pub(in crate::accounts::oauth) fn state_delete(
    conn: &Connection,
    digest: TokenDigest,
) -> Result<(), DbError> {
    conn.prepare_cached("DELETE FROM oauth_state WHERE state_digest = ?1")?
        .execute([digest])?;
    Ok(())
}

/// Forgets browsers that did not come back; returns how many.
pub(in crate::accounts::oauth) fn states_delete_old(
    conn: &Connection,
    now: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM oauth_state WHERE expires_at_ms <= ?1";
    Ok(conn.prepare_cached(sql)?.execute([now])?)
}
