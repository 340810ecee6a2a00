//! The tables `linked_account` and `oauth_state`.

use rusqlite::{Connection, OptionalExtension, Row};

use super::model::{LinkedAccount, Provider};
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::UserId;
use crate::kernel::secret::TokenDigest;

/// A browser that is at a provider.
#[derive(Debug)]
pub(super) struct StateRow {
    pub(super) browser: TokenDigest,
    pub(super) provider: Provider,
    pub(super) link_user: Option<UserId>,
    pub(super) verifier_sealed: Vec<u8>,
    pub(super) next_path: String,
    pub(super) expires_at: UnixMillis,
}

/// Stores a state. What is over goes, and of more than `most` the oldest.
pub(super) fn state_insert(
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
                  expires_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    conn.prepare_cached(sql)?.execute((
        digest,
        row.browser,
        row.provider,
        row.link_user,
        &row.verifier_sealed,
        &row.next_path,
        row.expires_at,
    ))?;
    Ok(())
}

/// The state of this digest.
pub(super) fn state_get(
    conn: &Connection,
    digest: TokenDigest,
) -> Result<Option<StateRow>, DbError> {
    let sql =
        "SELECT browser_digest, provider, link_user_id, verifier_sealed, next_path, expires_at_ms
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
        })
    });
    Ok(row.optional()?)
}

/// Uses a state up.
pub(super) fn state_delete(conn: &Connection, digest: TokenDigest) -> Result<(), DbError> {
    conn.prepare_cached("DELETE FROM oauth_state WHERE state_digest = ?1")?
        .execute([digest])?;
    Ok(())
}

/// Forgets browsers that did not come back; returns how many.
pub(super) fn states_delete_old(conn: &Connection, now: UnixMillis) -> Result<usize, DbError> {
    let sql = "DELETE FROM oauth_state WHERE expires_at_ms <= ?1";
    Ok(conn.prepare_cached(sql)?.execute([now])?)
}

fn linked(row: &Row<'_>) -> rusqlite::Result<LinkedAccount> {
    Ok(LinkedAccount {
        provider: row.get("provider")?,
        provider_id: row.get("provider_id")?,
        display_name: row.get("display_name")?,
        linked_at: row.get("linked_at_ms")?,
    })
}

/// The accounts that a user linked.
pub(super) fn links_of(conn: &Connection, user: UserId) -> Result<Vec<LinkedAccount>, DbError> {
    let sql = "SELECT provider, provider_id, display_name, linked_at_ms FROM linked_account
               WHERE user_id = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([user], linked)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Who linked this account.
pub(super) fn link_owner(
    conn: &Connection,
    provider: Provider,
    provider_id: &str,
) -> Result<Option<UserId>, DbError> {
    let sql = "SELECT user_id FROM linked_account WHERE provider = ?1 AND provider_id = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement
        .query_row((provider, provider_id), |row| row.get(0))
        .optional()?)
}

/// What is stored of a link.
#[derive(Debug)]
pub(super) struct LinkRow<'a> {
    pub(super) user: UserId,
    pub(super) provider: Provider,
    pub(super) provider_id: &'a str,
    pub(super) display_name: &'a str,
    pub(super) tokens_sealed: &'a [u8],
    pub(super) access_expires_at: Option<UnixMillis>,
}

/// Links an account, or refreshes name and tokens of one that is linked; another account of the same provider, or
/// the same account of another user, is [`DbError::Conflict`].
pub(super) fn link_put(
    conn: &Connection,
    row: &LinkRow<'_>,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO linked_account
                 (user_id, provider, provider_id, display_name, tokens_sealed, access_expires_at_ms,
                  linked_at_ms, updated_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
               ON CONFLICT (user_id, provider) DO UPDATE
               SET display_name = ?4, tokens_sealed = ?5, access_expires_at_ms = ?6, updated_at_ms = ?7
               WHERE provider_id = ?3";
    conn.prepare_cached(sql)?.execute((
        row.user,
        row.provider,
        row.provider_id,
        row.display_name,
        row.tokens_sealed,
        row.access_expires_at,
        now,
    ))?;
    Ok(())
}

/// Unlinks; says whether there was a link.
pub(super) fn link_delete(
    conn: &Connection,
    user: UserId,
    provider: Provider,
) -> Result<bool, DbError> {
    let sql = "DELETE FROM linked_account WHERE user_id = ?1 AND provider = ?2";
    Ok(conn.prepare_cached(sql)?.execute((user, provider))? > 0)
}

/// The tokens of a link.
#[derive(Debug)]
pub(super) struct TokenRow {
    pub(super) provider_id: String,
    /// Absent once the provider withdrew them.
    pub(super) tokens_sealed: Option<Vec<u8>>,
    pub(super) access_expires_at: Option<UnixMillis>,
}

/// The tokens of a user's link.
pub(super) fn tokens_get(
    conn: &Connection,
    user: UserId,
    provider: Provider,
) -> Result<Option<TokenRow>, DbError> {
    let sql = "SELECT provider_id, tokens_sealed, access_expires_at_ms FROM linked_account
               WHERE user_id = ?1 AND provider = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let row = statement.query_row((user, provider), |row| {
        Ok(TokenRow {
            provider_id: row.get(0)?,
            tokens_sealed: row.get(1)?,
            access_expires_at: row.get(2)?,
        })
    });
    Ok(row.optional()?)
}

/// Replaces the tokens of an account, whoever linked it; `None` when the provider withdrew them.
pub(super) fn tokens_put(
    conn: &Connection,
    provider: Provider,
    provider_id: &str,
    tokens_sealed: Option<&[u8]>,
    access_expires_at: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE linked_account
               SET tokens_sealed = ?3, access_expires_at_ms = ?4, updated_at_ms = ?5
               WHERE provider = ?1 AND provider_id = ?2";
    conn.prepare_cached(sql)?.execute((
        provider,
        provider_id,
        tokens_sealed,
        access_expires_at,
        now,
    ))?;
    Ok(())
}
