//! The `api_key` table.

use rusqlite::{Connection, OptionalExtension};

use crate::accounts::api_key::{ApiKey, ApiScopes, KeyName};
use crate::db::DbError;
use crate::kernel::ids::{ApiKeyId, UserId};
use crate::kernel::secret::TokenDigest;
use crate::kernel::{Role, UnixMillis};

/// What a request with a key needs to know.
#[derive(Debug, Clone, Copy)]
pub(in crate::accounts) struct ApiKeyRow {
    pub(in crate::accounts) id: ApiKeyId,
    pub(in crate::accounts) user_id: UserId,
    pub(in crate::accounts) role: Role,
    pub(in crate::accounts) scopes: ApiScopes,
    pub(in crate::accounts) expires_at: Option<UnixMillis>,
}

/// Stores a key's digest.
pub(in crate::accounts) fn api_key_insert(
    conn: &Connection,
    user_id: UserId,
    key: &ApiKey,
    digest: TokenDigest,
) -> Result<(), DbError> {
    let sql = "INSERT INTO api_key
                 (id, user_id, name, prefix, digest, scopes, created_at_ms, expires_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    conn.prepare_cached(sql)?.execute((
        key.id,
        user_id,
        key.name.as_str(),
        &key.prefix,
        digest,
        key.scopes.to_string(),
        key.created_at,
        key.expires_at,
    ))?;
    Ok(())
}

/// The live key with this digest, of a user who is not being deleted.
pub(in crate::accounts) fn api_key_by_digest(
    conn: &Connection,
    digest: TokenDigest,
) -> Result<Option<ApiKeyRow>, DbError> {
    let sql = "SELECT k.id, k.user_id, u.role, k.scopes, k.expires_at_ms
               FROM api_key k JOIN user u ON u.id = k.user_id
               WHERE k.digest = ?1 AND k.revoked_at_ms IS NULL AND u.deletion_started_at_ms IS NULL";
    let read = |row: &rusqlite::Row<'_>| {
        let scopes: String = row.get("scopes")?;
        Ok(ApiKeyRow {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            role: row.get("role")?,
            scopes: ApiScopes::parse_stored(&scopes),
            expires_at: row.get("expires_at_ms")?,
        })
    };
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([digest], read).optional()?)
}

/// A user's keys that were not revoked, newest first.
pub(in crate::accounts) fn api_key_list(
    conn: &Connection,
    user_id: UserId,
) -> Result<Vec<ApiKey>, DbError> {
    let sql = "SELECT id, name, prefix, scopes, created_at_ms, expires_at_ms, last_used_at_ms
               FROM api_key WHERE user_id = ?1 AND revoked_at_ms IS NULL ORDER BY id DESC";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([user_id], |row| {
        let scopes: String = row.get("scopes")?;
        let name: String = row.get("name")?;
        Ok(ApiKey {
            id: row.get("id")?,
            name: KeyName::stored(name),
            prefix: row.get("prefix")?,
            scopes: ApiScopes::parse_stored(&scopes),
            created_at: row.get("created_at_ms")?,
            expires_at: row.get("expires_at_ms")?,
            last_used_at: row.get("last_used_at_ms")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Ends a key of `user_id`; says whether there was such a live one.
pub(in crate::accounts) fn api_key_revoke(
    conn: &Connection,
    user_id: UserId,
    id: ApiKeyId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let sql = "UPDATE api_key SET revoked_at_ms = ?3
               WHERE id = ?1 AND user_id = ?2 AND revoked_at_ms IS NULL";
    Ok(conn.prepare_cached(sql)?.execute((id, user_id, now))? > 0)
}

/// Ends all keys of a user.
pub(in crate::accounts) fn api_key_revoke_all(
    conn: &Connection,
    user_id: UserId,
    now: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "UPDATE api_key SET revoked_at_ms = ?2 WHERE user_id = ?1 AND revoked_at_ms IS NULL";
    Ok(conn.prepare_cached(sql)?.execute((user_id, now))?)
}

/// Writes when a key was last used.
pub(in crate::accounts) fn api_key_used(
    conn: &Connection,
    id: ApiKeyId,
    at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE api_key SET last_used_at_ms = max(coalesce(last_used_at_ms, 0), ?2)
               WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, at))?;
    Ok(())
}
