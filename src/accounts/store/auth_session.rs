//! The `auth_session` and `refresh_token` tables.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::accounts::model::{AccessId, AuthSession, PluginDevice};
use crate::db::DbError;
use crate::kernel::ids::{AuthSessionId, UserId};
use crate::kernel::secret::TokenDigest;
use crate::kernel::{Role, UnixMillis};

/// What a request with a bearer token needs to know.
#[derive(Debug, Clone, Copy)]
pub(in crate::accounts) struct AuthSessionRow {
    pub(in crate::accounts) user_id: UserId,
    pub(in crate::accounts) role: Role,
    pub(in crate::accounts) expires_at: UnixMillis,
    pub(in crate::accounts) is_revoked: bool,
    /// The access token of a pair that waits for its first use.
    pub(in crate::accounts) unused_access: Option<AccessId>,
}

/// Stores a signed-in plugin.
pub(in crate::accounts) fn auth_session_row_insert(
    conn: &Connection,
    id: AuthSessionId,
    user_id: UserId,
    device: &PluginDevice,
    now: UnixMillis,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO auth_session
                 (id, user_id, device_name, platform, plugin_version, created_at_ms, last_seen_at_ms,
                  expires_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)";
    conn.prepare_cached(sql)?.execute((
        id,
        user_id,
        &device.device_name,
        &device.platform,
        &device.plugin_version,
        now,
        expires_at,
    ))?;
    Ok(())
}

/// One session.
pub(in crate::accounts) fn auth_session_get(
    conn: &Connection,
    id: AuthSessionId,
) -> Result<Option<AuthSessionRow>, DbError> {
    let sql =
        "SELECT s.user_id, u.role, s.expires_at_ms, s.revoked_at_ms IS NOT NULL AS is_revoked,
                      (SELECT c.access_id FROM refresh_token c
                       WHERE c.auth_session_id = s.id AND c.replaced_at_ms IS NULL
                         AND EXISTS (SELECT 1 FROM refresh_token p
                                     WHERE p.auth_session_id = s.id AND p.replaced_at_ms IS NOT NULL
                                       AND p.successor_used_at_ms IS NULL)) AS unused_access
               FROM auth_session s JOIN user u ON u.id = s.user_id
               WHERE s.id = ?1 AND u.deletion_started_at_ms IS NULL";
    let read = |row: &Row<'_>| {
        Ok(AuthSessionRow {
            user_id: row.get("user_id")?,
            role: row.get("role")?,
            expires_at: row.get("expires_at_ms")?,
            is_revoked: row.get("is_revoked")?,
            unused_access: row.get("unused_access")?,
        })
    };
    Ok(conn.prepare_cached(sql)?.query_row([id], read).optional()?)
}

/// A user's signed-in plugins, newest first.
pub(in crate::accounts) fn auth_session_list(
    conn: &Connection,
    user_id: UserId,
    now: UnixMillis,
) -> Result<Vec<AuthSession>, DbError> {
    let sql = "SELECT id, device_name, platform, plugin_version, created_at_ms, last_seen_at_ms
               FROM auth_session
               WHERE user_id = ?1 AND expires_at_ms > ?2 AND revoked_at_ms IS NULL ORDER BY id DESC";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map((user_id, now), |row| {
        Ok(AuthSession {
            id: row.get("id")?,
            device: PluginDevice {
                platform: row.get("platform")?,
                plugin_version: row.get("plugin_version")?,
                device_name: row.get("device_name")?,
            },
            created_at: row.get("created_at_ms")?,
            last_seen_at: row.get("last_seen_at_ms")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Pushes the end of a session forward.
pub(in crate::accounts) fn auth_session_extend(
    conn: &Connection,
    id: AuthSessionId,
    now: UnixMillis,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE auth_session SET last_seen_at_ms = ?2, expires_at_ms = ?3 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, now, expires_at))?;
    Ok(())
}

/// Writes the last sign of life.
pub(in crate::accounts) fn auth_session_seen(
    conn: &Connection,
    id: AuthSessionId,
    at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE auth_session SET last_seen_at_ms = max(last_seen_at_ms, ?2) WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, at))?;
    Ok(())
}

/// Ends a session of `user_id`, and with it all its tokens; says whether there is such a session.
/// The first revocation's time stays.
pub(in crate::accounts) fn auth_session_revoke(
    conn: &Connection,
    user_id: UserId,
    id: AuthSessionId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let sql = "UPDATE auth_session SET revoked_at_ms = coalesce(revoked_at_ms, ?3)
               WHERE id = ?1 AND user_id = ?2";
    Ok(conn.prepare_cached(sql)?.execute((id, user_id, now))? > 0)
}

/// Ends all sessions of a user.
pub(in crate::accounts) fn auth_session_revoke_all(
    conn: &Connection,
    user_id: UserId,
    now: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "UPDATE auth_session SET revoked_at_ms = ?2
               WHERE user_id = ?1 AND revoked_at_ms IS NULL";
    Ok(conn.prepare_cached(sql)?.execute((user_id, now))?)
}

/// Deletes sessions that ended before `before`, and their refresh tokens.
pub(in crate::accounts) fn auth_sessions_delete_old(
    conn: &Connection,
    before: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM auth_session WHERE expires_at_ms < ?1 OR revoked_at_ms < ?1";
    Ok(conn.prepare_cached(sql)?.execute([before])?)
}

/// A refresh token and the session it belongs to.
#[derive(Debug)]
pub(in crate::accounts) struct RefreshRow {
    pub(in crate::accounts) auth_session_id: AuthSessionId,
    pub(in crate::accounts) user_id: UserId,
    pub(in crate::accounts) session_expires_at: UnixMillis,
    pub(in crate::accounts) is_revoked: bool,
    pub(in crate::accounts) is_replaced: bool,
    pub(in crate::accounts) successor_sealed: Option<Vec<u8>>,
    pub(in crate::accounts) successor_used_at: Option<UnixMillis>,
}

/// The refresh token with this digest.
pub(in crate::accounts) fn refresh_token_by_digest(
    conn: &Connection,
    digest: TokenDigest,
) -> Result<Option<RefreshRow>, DbError> {
    let sql = "SELECT t.auth_session_id, s.user_id, s.expires_at_ms,
                      s.revoked_at_ms IS NOT NULL AS is_revoked,
                      t.replaced_at_ms IS NOT NULL AS is_replaced,
                      t.successor_sealed, t.successor_used_at_ms
               FROM refresh_token t JOIN auth_session s ON s.id = t.auth_session_id
               WHERE t.digest = ?1";
    let read = |row: &Row<'_>| {
        Ok(RefreshRow {
            auth_session_id: row.get("auth_session_id")?,
            user_id: row.get("user_id")?,
            session_expires_at: row.get("expires_at_ms")?,
            is_revoked: row.get("is_revoked")?,
            is_replaced: row.get("is_replaced")?,
            successor_sealed: row.get("successor_sealed")?,
            successor_used_at: row.get("successor_used_at_ms")?,
        })
    };
    Ok(conn
        .prepare_cached(sql)?
        .query_row([digest], read)
        .optional()?)
}

/// Stores a refresh token as the current one of its session.
pub(in crate::accounts) fn refresh_token_insert(
    conn: &Connection,
    digest: TokenDigest,
    session: AuthSessionId,
    access_id: AccessId,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO refresh_token (digest, auth_session_id, access_id, issued_at_ms)
               VALUES (?1, ?2, ?3, ?4)";
    conn.prepare_cached(sql)?
        .execute((digest, session, access_id, now))?;
    Ok(())
}

/// Marks a refresh token as replaced by the sealed pair. Insert the successor after this.
pub(in crate::accounts) fn refresh_token_replace(
    conn: &Connection,
    digest: TokenDigest,
    successor_sealed: &[u8],
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql =
        "UPDATE refresh_token SET replaced_at_ms = ?2, successor_sealed = ?3 WHERE digest = ?1";
    conn.prepare_cached(sql)?
        .execute((digest, now, successor_sealed))?;
    Ok(())
}

/// Notes that the pair which waited for its first use was used.
pub(in crate::accounts) fn successor_mark_used(
    conn: &Connection,
    session: AuthSessionId,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE refresh_token SET successor_used_at_ms = ?2
               WHERE auth_session_id = ?1 AND replaced_at_ms IS NOT NULL
                 AND successor_used_at_ms IS NULL";
    conn.prepare_cached(sql)?.execute((session, now))?;
    Ok(())
}

/// Forgets sealed pairs that were first used before `used_before`: they are not handed out again.
pub(in crate::accounts) fn successors_wipe(
    conn: &Connection,
    used_before: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "UPDATE refresh_token SET successor_sealed = NULL
               WHERE successor_sealed IS NOT NULL AND successor_used_at_ms < ?1";
    Ok(conn.prepare_cached(sql)?.execute([used_before])?)
}
