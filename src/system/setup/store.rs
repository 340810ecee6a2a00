//! The `setup_token` table.

use rusqlite::{Connection, OptionalExtension};

use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::secret::TokenDigest;

/// Replaces the token.
pub(super) fn setup_token_put(
    conn: &Connection,
    digest: TokenDigest,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO setup_token (singleton, digest, expires_at_ms) VALUES (1, ?1, ?2)
               ON CONFLICT (singleton) DO UPDATE SET digest = ?1, expires_at_ms = ?2";
    conn.prepare_cached(sql)?.execute((digest, expires_at))?;
    Ok(())
}

/// The token's digest, while it has not expired.
pub(super) fn setup_token_get(
    conn: &Connection,
    now: UnixMillis,
) -> Result<Option<TokenDigest>, DbError> {
    let sql = "SELECT digest FROM setup_token WHERE expires_at_ms > ?1";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([now], |row| row.get("digest"))
        .optional()?)
}

/// Forgets the token.
pub(super) fn setup_token_delete(conn: &Connection) -> Result<(), DbError> {
    conn.prepare_cached("DELETE FROM setup_token")?
        .execute([])?;
    Ok(())
}
