//! The table `linked_account`.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::accounts::oauth::model::{LinkedAccount, Provider};
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::UserId;

fn linked(row: &Row<'_>) -> rusqlite::Result<LinkedAccount> {
    Ok(LinkedAccount {
        provider: row.get("provider")?,
        provider_id: row.get("provider_id")?,
        display_name: row.get("display_name")?,
        linked_at: row.get("linked_at_ms")?,
    })
}

/// The accounts that a user linked.
pub(in crate::accounts::oauth) fn links_of(
    conn: &Connection,
    user: UserId,
) -> Result<Vec<LinkedAccount>, DbError> {
    let sql = "SELECT provider, provider_id, display_name, linked_at_ms FROM linked_account
               WHERE user_id = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([user], linked)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Who linked this account.
pub(in crate::accounts::oauth) fn link_owner(
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
pub(in crate::accounts::oauth) struct LinkRow<'a> {
    pub(in crate::accounts::oauth) user: UserId,
    pub(in crate::accounts::oauth) provider: Provider,
    pub(in crate::accounts::oauth) provider_id: &'a str,
    pub(in crate::accounts::oauth) display_name: &'a str,
    pub(in crate::accounts::oauth) tokens_sealed: &'a [u8],
    pub(in crate::accounts::oauth) access_expires_at: Option<UnixMillis>,
}

/// Links an account, or refreshes name and tokens of one that is linked; another account of the same provider, or
/// the same account of another user, is [`DbError::Conflict`].
pub(in crate::accounts::oauth) fn link_put(
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
pub(in crate::accounts::oauth) fn link_delete(
    conn: &Connection,
    user: UserId,
    provider: Provider,
) -> Result<bool, DbError> {
    let sql = "DELETE FROM linked_account WHERE user_id = ?1 AND provider = ?2";
    Ok(conn.prepare_cached(sql)?.execute((user, provider))? > 0)
}

/// The tokens of a link.
#[derive(Debug)]
pub(in crate::accounts::oauth) struct TokenRow {
    pub(in crate::accounts::oauth) provider_id: String,
    /// Absent once the provider withdrew them.
    pub(in crate::accounts::oauth) tokens_sealed: Option<Vec<u8>>,
    pub(in crate::accounts::oauth) access_expires_at: Option<UnixMillis>,
}

/// The tokens of a user's link.
pub(in crate::accounts::oauth) fn tokens_get(
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
pub(in crate::accounts::oauth) fn tokens_put(
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

/// Moves links to another user; of a provider of which that user has one, the link stays where it is.
pub(in crate::accounts::oauth) fn links_move(
    conn: &Connection,
    from: UserId,
    to: UserId,
) -> Result<(), DbError> {
    let sql = "UPDATE OR IGNORE linked_account SET user_id = ?2 WHERE user_id = ?1";
    conn.prepare_cached(sql)?.execute((from, to))?;
    Ok(())
}
