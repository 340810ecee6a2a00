//! The `email_token` table: single-use links that prove who reads an address.

use rusqlite::{Connection, OptionalExtension};

use crate::accounts::mail::LinkPurpose;
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::UserId;
use crate::kernel::secret::TokenDigest;

/// What a link proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::accounts) struct EmailToken {
    pub(in crate::accounts) user_id: UserId,
    pub(in crate::accounts) email: String,
}

/// Stores a link's digest.
pub(in crate::accounts) fn email_token_insert(
    conn: &Connection,
    digest: TokenDigest,
    purpose: LinkPurpose,
    token: &EmailToken,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO email_token
                 (digest, user_id, purpose, email, created_at_ms, expires_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    conn.prepare_cached(sql)?.execute((
        digest,
        token.user_id,
        purpose.as_str(),
        &token.email,
        now,
        now + purpose.life(),
    ))?;
    Ok(())
}

/// The unexpired link with this digest.
pub(in crate::accounts) fn email_token_get(
    conn: &Connection,
    digest: TokenDigest,
    purpose: LinkPurpose,
    now: UnixMillis,
) -> Result<Option<EmailToken>, DbError> {
    let sql = "SELECT user_id, email FROM email_token
               WHERE digest = ?1 AND purpose = ?2 AND expires_at_ms > ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(EmailToken {
            user_id: row.get("user_id")?,
            email: row.get("email")?,
        })
    };
    Ok(statement
        .query_row((digest, purpose.as_str(), now), read)
        .optional()?)
}

/// Ends all links of a user for this purpose.
pub(in crate::accounts) fn email_tokens_delete(
    conn: &Connection,
    user_id: UserId,
    purpose: LinkPurpose,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM email_token WHERE user_id = ?1 AND purpose = ?2";
    Ok(conn
        .prepare_cached(sql)?
        .execute((user_id, purpose.as_str()))?)
}

/// Forgets links that ended.
pub(in crate::accounts) fn email_tokens_delete_old(
    conn: &Connection,
    now: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM email_token WHERE expires_at_ms <= ?1";
    Ok(conn.prepare_cached(sql)?.execute([now])?)
}
