//! The `plugin_login_attempt` table.

use rusqlite::{Connection, OptionalExtension, Row};

use super::model::{Attempt, Claim, Decision, ShortCode};
use crate::accounts::PluginDevice;
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::{AuthSessionId, LoginAttemptId};
use crate::kernel::secret::TokenDigest;

fn from_row(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let claimed_at: Option<UnixMillis> = row.get("claimed_at_ms")?;
    let auth_session_id: Option<AuthSessionId> = row.get("auth_session_id")?;
    let sealed = row.get("claimed_sealed")?;
    Ok(Attempt {
        id: row.get("id")?,
        poll_digest: row.get("poll_digest")?,
        short_code: row.get("short_code")?,
        device: PluginDevice {
            platform: row.get("platform")?,
            plugin_version: row.get("plugin_version")?,
            device_name: row.get("device_name")?,
        },
        status: row.get("status")?,
        user_id: row.get("user_id")?,
        reason_code: row.get("reason_code")?,
        created_at: row.get("created_at_ms")?,
        expires_at: row.get("expires_at_ms")?,
        claim: claimed_at
            .zip(auth_session_id)
            .map(|(at, auth_session_id)| Claim {
                at,
                auth_session_id,
                sealed,
            }),
    })
}

/// What a new row holds.
#[derive(Debug)]
pub(super) struct NewAttempt<'a> {
    pub(super) id: LoginAttemptId,
    pub(super) poll_digest: TokenDigest,
    pub(super) short_code: &'a ShortCode,
    pub(super) device: &'a PluginDevice,
    pub(super) now: UnixMillis,
    pub(super) expires_at: UnixMillis,
}

/// Stores a pending attempt.
pub(super) fn attempt_insert(conn: &Connection, new: &NewAttempt<'_>) -> Result<(), DbError> {
    let sql = "INSERT INTO plugin_login_attempt
                 (id, poll_digest, short_code, platform, plugin_version, device_name, status,
                  created_at_ms, expires_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8)";
    conn.prepare_cached(sql)?.execute((
        new.id,
        new.poll_digest,
        new.short_code.to_string(),
        &new.device.platform,
        &new.device.plugin_version,
        &new.device.device_name,
        new.now,
        new.expires_at,
    ))?;
    Ok(())
}

/// Deletes the oldest of the attempts that wait for a decision, until one more makes `most` at most.
pub(super) fn attempts_make_room(
    conn: &Connection,
    now: UnixMillis,
    most: u32,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM plugin_login_attempt WHERE id IN
                   (SELECT id FROM plugin_login_attempt
                    WHERE status = 'pending' AND expires_at_ms > ?1
                    ORDER BY expires_at_ms DESC, id DESC LIMIT -1 OFFSET ?2)";
    Ok(conn
        .prepare_cached(sql)?
        .execute((now, most.saturating_sub(1)))?)
}

/// One attempt.
pub(super) fn attempt_get(
    conn: &Connection,
    id: LoginAttemptId,
) -> Result<Option<Attempt>, DbError> {
    let sql = "SELECT id, poll_digest, short_code, platform, plugin_version, device_name, status,
                      user_id, reason_code, created_at_ms, expires_at_ms, claimed_at_ms,
                      auth_session_id, claimed_sealed
               FROM plugin_login_attempt WHERE id = ?1";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([id], from_row)
        .optional()?)
}

/// Decides a pending attempt.
pub(super) fn attempt_decide(
    conn: &Connection,
    id: LoginAttemptId,
    decision: &Decision,
    now: UnixMillis,
) -> Result<(), DbError> {
    let (status, user_id, reason) = match decision {
        Decision::Approve(user_id) => ("approved", Some(*user_id), None),
        Decision::Deny(reason) => ("denied", None, Some(reason.as_str())),
    };
    let sql = "UPDATE plugin_login_attempt
               SET status = ?2, user_id = ?3, reason_code = ?4, decided_at_ms = ?5
               WHERE id = ?1 AND status = 'pending'";
    conn.prepare_cached(sql)?
        .execute((id, status, user_id, reason, now))?;
    Ok(())
}

/// Notes what the plugin got.
pub(super) fn attempt_claim(
    conn: &Connection,
    id: LoginAttemptId,
    session: AuthSessionId,
    sealed: &[u8],
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE plugin_login_attempt
               SET claimed_at_ms = ?2, auth_session_id = ?3, claimed_sealed = ?4
               WHERE id = ?1 AND status = 'approved' AND claimed_at_ms IS NULL";
    conn.prepare_cached(sql)?
        .execute((id, now, session, sealed))?;
    Ok(())
}

/// Forgets the sealed tokens of attempts that were claimed before `claimed_before`.
pub(super) fn attempts_wipe(
    conn: &Connection,
    claimed_before: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "UPDATE plugin_login_attempt SET claimed_sealed = NULL
               WHERE claimed_sealed IS NOT NULL AND claimed_at_ms < ?1";
    Ok(conn.prepare_cached(sql)?.execute([claimed_before])?)
}

/// Deletes attempts that expired before `expired_before`.
pub(super) fn attempts_delete_old(
    conn: &Connection,
    expired_before: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM plugin_login_attempt WHERE expires_at_ms < ?1";
    Ok(conn.prepare_cached(sql)?.execute([expired_before])?)
}
